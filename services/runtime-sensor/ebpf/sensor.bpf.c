/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * One program for all syscalls (at their exit), and one each for exec, fork and exit of processes.
 *
 *   sys_exit --interest[nr]--> header + the arguments that the flags name --> ring
 *
 * Nothing wakes the reader: it polls. What the ring cannot take is counted for each kind of event, so that seen + dropped = made.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define VERSION 1
#define MAX_SYSCALLS 512
#define MAX_PATH 4096
#define MAX_ARGS 4096
#define SCRATCH (16 * 1024)
#define MASK 4095

/* What to read for a syscall: one byte for each kind, the value is the argument number + 1. */
#define PATH0(flags) ((flags) & 0xff)
#define PATH1(flags) (((flags) >> 8) & 0xff)
#define SOCKADDR(flags) (((flags) >> 16) & 0xff)
#define WANTED (1ULL << 32)
#define SUCCESS_ONLY (1ULL << 33)

enum kind { KIND_SYSCALL = 0, KIND_EXEC = 1, KIND_FORK = 2, KIND_EXIT = 3, KINDS = 4 };
enum part { PART_PATH0 = 1, PART_PATH1 = 2, PART_SOCKADDR = 3, PART_ARGV = 4, PART_ENVP = 5 };
enum { FLAG_TRUNCATED = 1, FLAG_FAULT = 2 };

struct header {
	u16 version;
	u16 kind;
	u32 length;
	u64 time_ns; /* since boot, suspended time included */
	u32 nr;
	u32 flags;
	u32 tgid, tid, ppid;
	u32 uid, euid, gid;
	u32 vpid;
	u32 mnt_ns, pid_ns;
	u32 reserved;
	u64 cgroup;
	u64 start_ns;
	u64 cap_effective, cap_permitted;
	s64 ret;
	u64 args[6];
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 * 1024 * 1024);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SYSCALLS);
	__type(key, u32);
	__type(value, u64);
} interest SEC(".maps");

/* sent and dropped for each kind. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KINDS * 2);
	__type(key, u32);
	__type(value, u64);
} counters SEC(".maps");

struct scratch {
	u8 bytes[SCRATCH];
};

/* One for each program: programs may interrupt each other on a processor. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KINDS);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

const volatile u32 own_tgid = 0;

static __always_inline void count(u32 kind, bool dropped)
{
	u32 key = kind * 2 + (dropped ? 1 : 0);
	u64 *counter = bpf_map_lookup_elem(&counters, &key);
	if (counter)
		*counter += 1;
}

static __always_inline struct scratch *scratch(u32 kind)
{
	return bpf_map_lookup_elem(&scratches, &kind);
}

static __always_inline u32 number_in_namespace(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	struct upid last = {};
	/* numbers[] is as long as the namespaces are deep. */
	bpf_core_read(&last, sizeof(last), &pid->numbers[level]);
	return last.nr;
}

static __always_inline void fill(struct header *header, u32 kind, struct task_struct *task)
{
	__builtin_memset(header, 0, sizeof(*header));
	header->version = VERSION;
	header->kind = kind;
	header->length = sizeof(*header);
	header->time_ns = bpf_ktime_get_boot_ns();
	header->tgid = BPF_CORE_READ(task, tgid);
	header->tid = BPF_CORE_READ(task, pid);
	header->ppid = BPF_CORE_READ(task, real_parent, tgid);
	header->vpid = number_in_namespace(task);
	header->uid = BPF_CORE_READ(task, cred, uid.val);
	header->euid = BPF_CORE_READ(task, cred, euid.val);
	header->gid = BPF_CORE_READ(task, cred, gid.val);
	header->cap_effective = BPF_CORE_READ(task, cred, cap_effective.val);
	header->cap_permitted = BPF_CORE_READ(task, cred, cap_permitted.val);
	header->mnt_ns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	header->pid_ns = BPF_CORE_READ(task, nsproxy, pid_ns_for_children, ns.inum);
	header->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	header->cgroup = bpf_get_current_cgroup_id();
	BPF_CORE_READ_STR_INTO(&header->comm, task, comm);
}

/* Appends a part: u16 id, u16 length, bytes. Returns the new end. */
static __always_inline u32 put_string(struct scratch *out, u32 end, u16 part, const void *from, struct header *header, bool user)
{
	if (end > SCRATCH - MAX_PATH - 4)
		return end;
	u8 *place = out->bytes + (end & (SCRATCH / 2 - 1));
	long length = user ? bpf_probe_read_user_str(place + 4, MAX_PATH, from) : bpf_probe_read_kernel_str(place + 4, MAX_PATH, from);
	if (length < 0) {
		header->flags |= FLAG_FAULT;
		length = 0;
	} else if (length == MAX_PATH) {
		header->flags |= FLAG_TRUNCATED;
	}
	/* The closing zero is not sent. */
	u16 bytes = length > 0 ? (length - 1) & MASK : 0;
	*(u16 *)place = part;
	*(u16 *)(place + 2) = bytes;
	return end + 4 + bytes;
}

static __always_inline u32 put_bytes(struct scratch *out, u32 end, u16 part, unsigned long from, unsigned long length, struct header *header)
{
	if (end > SCRATCH - MAX_ARGS - 4)
		return end;
	u8 *place = out->bytes + (end & (SCRATCH / 2 - 1));
	if (length > MAX_ARGS - 1) {
		length = MAX_ARGS - 1;
		header->flags |= FLAG_TRUNCATED;
	}
	length &= MASK;
	if (bpf_probe_read_user(place + 4, length, (void *)from) < 0) {
		header->flags |= FLAG_FAULT;
		length = 0;
	}
	*(u16 *)place = part;
	*(u16 *)(place + 2) = length;
	return end + 4 + length;
}

static __always_inline void send(struct scratch *out, u32 kind, u32 end)
{
	struct header *header = (struct header *)out->bytes;
	header->length = end;
	long failed = bpf_ringbuf_output(&events, out->bytes, end & (SCRATCH - 1), BPF_RB_NO_WAKEUP);
	count(kind, failed != 0);
}

static __always_inline unsigned long argument(struct header *header, u32 number)
{
	return number < 6 ? header->args[number] : 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long ret)
{
	u32 nr = regs->orig_ax;
	u64 *flags = bpf_map_lookup_elem(&interest, &nr);
	if (!flags || !(*flags & WANTED) || ((*flags & SUCCESS_ONLY) && ret < 0))
		return 0;
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	if (own_tgid && (u32)(bpf_get_current_pid_tgid() >> 32) == own_tgid)
		return 0;
	struct scratch *out = scratch(KIND_SYSCALL);
	if (!out)
		return 0;
	struct header *header = (struct header *)out->bytes;
	fill(header, KIND_SYSCALL, task);
	header->nr = nr;
	header->ret = ret;
	header->args[0] = regs->di;
	header->args[1] = regs->si;
	header->args[2] = regs->dx;
	header->args[3] = regs->r10;
	header->args[4] = regs->r8;
	header->args[5] = regs->r9;
	u32 end = sizeof(*header);
	u32 path0 = PATH0(*flags), path1 = PATH1(*flags), address = SOCKADDR(*flags);
	if (path0)
		end = put_string(out, end, PART_PATH0, (void *)argument(header, path0 - 1), header, 1);
	if (path1)
		end = put_string(out, end, PART_PATH1, (void *)argument(header, path1 - 1), header, 1);
	if (address) {
		unsigned long from = argument(header, address - 1);
		/* accept() gives the length by a pointer; 128 bytes hold every address. */
		if (from)
			end = put_bytes(out, end, PART_SOCKADDR, from, 110, header);
	}
	send(out, KIND_SYSCALL, end);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *binary)
{
	struct scratch *out = scratch(KIND_EXEC);
	if (!out)
		return 0;
	struct header *header = (struct header *)out->bytes;
	fill(header, KIND_EXEC, task);
	/* A file without links was never in a directory: it came from memory. */
	header->args[0] = BPF_CORE_READ(binary, file, f_inode, i_nlink);
	u32 end = put_string(out, sizeof(*header), PART_PATH0, BPF_CORE_READ(binary, filename), header, 0);
	unsigned long start = BPF_CORE_READ(task, mm, arg_start), stop = BPF_CORE_READ(task, mm, arg_end);
	end = put_bytes(out, end, PART_ARGV, start, stop - start, header);
	send(out, KIND_EXEC, end);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	/* Threads share the process of their leader. */
	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid))
		return 0;
	struct scratch *out = scratch(KIND_FORK);
	if (!out)
		return 0;
	struct header *header = (struct header *)out->bytes;
	fill(header, KIND_FORK, child);
	header->args[0] = BPF_CORE_READ(parent, tgid);
	send(out, KIND_FORK, sizeof(*header));
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	if (BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid))
		return 0;
	struct scratch *out = scratch(KIND_EXIT);
	if (!out)
		return 0;
	struct header *header = (struct header *)out->bytes;
	fill(header, KIND_EXIT, task);
	header->ret = BPF_CORE_READ(task, exit_code);
	send(out, KIND_EXIT, sizeof(*header));
	return 0;
}
