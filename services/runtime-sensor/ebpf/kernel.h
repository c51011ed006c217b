/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The kernel types that the sensor reads, and of each only the fields that it reads. The compiler records every access
 * (preserve_access_index) and the loader relocates it to the running kernel by its BTF, so offsets and order here mean nothing.
 */
#ifndef BIOTOPE_KERNEL_H
#define BIOTOPE_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed int __s32;
typedef signed long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
typedef _Bool bool;

enum {
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2, BPF_RB_AVAIL_DATA = 0 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs {
	unsigned long di, si, dx, r10, r8, r9, orig_ax, ax, ip, sp;
};

struct qstr {
	const unsigned char *name;
};

typedef struct {
	u32 val;
} kuid_t;

typedef struct {
	u32 val;
} kgid_t;

typedef struct {
	u64 val;
} kernel_cap_t;

struct cred {
	kuid_t uid, euid;
	kgid_t gid, egid;
	kernel_cap_t cap_permitted, cap_effective, cap_inheritable;
};

struct ns_common {
	u32 inum;
};

struct mnt_namespace {
	struct ns_common ns;
};

struct pid_namespace {
	struct ns_common ns;
	u32 level;
};

struct nsproxy {
	struct mnt_namespace *mnt_ns;
	struct pid_namespace *pid_ns_for_children;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	u32 level;
	struct upid numbers[1];
};

struct mm_struct {
	unsigned long arg_start, arg_end, env_start, env_end;
};

struct inode {
	u32 i_nlink;
};

struct file {
	struct inode *f_inode;
};

struct linux_binprm {
	const char *filename;
	const char *interp;
	struct file *file;
};

struct task_struct {
	int pid, tgid;
	int exit_code;
	u64 start_boottime;
	struct task_struct *real_parent, *group_leader;
	const struct cred *cred;
	struct nsproxy *nsproxy;
	struct mm_struct *mm;
	struct pid *thread_pid;
	char comm[16];
};

#pragma clang attribute pop

#endif
