/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * One program for all syscalls (at their exit), and one each for exec, fork and exit of processes.
 *
 *   sys_exit --interest[nr]--> header + the arguments, files and sockets that the flags name --> ring
 *
 * Nothing wakes the reader: it polls. What the ring cannot take is counted by class, so that seen + dropped = made.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "event.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define MAX_SYSCALLS 512
#define AT_FDCWD -100
#define X32 0x40000000
#define TS_COMPAT 2

/* True where tasks can be read without calls (kernel 5.11). */
const volatile bool reads_directly = false;
const volatile u32 own_tgid = 0;
const volatile u64 ring_bytes = 8 * 1024 * 1024;

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

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CLASSES);
	__type(key, u32);
	__type(value, struct counted);
} counters SEC(".maps");

/* Calls by the 32-bit tables, whose numbers mean other things: counted, not read. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} foreign SEC(".maps");

/* Operations that processes ask for through io_uring, by opcode: these make no calls that could be read. */
#define URING_OPERATIONS 128
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, URING_OPERATIONS);
	__type(key, u32);
	__type(value, u64);
} uring SEC(".maps");

/* One for each program: programs may interrupt each other on a processor. */
struct scratch;
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KINDS);
	__uint(key_size, sizeof(u32));
	__uint(value_size, 32 * 1024);
} scratches SEC(".maps");

static __always_inline struct scratch *scratch_of(u32 kind)
{
	return bpf_map_lookup_elem(&scratches, &kind);
}

#include "read.h"

/*
 * Calls leave the last eighth of the ring to processes that begin, run a program and end: whoever makes more calls than can be read hides
 * other calls by that, and no program.
 */
static __always_inline bool has_room(u32 class)
{
	return class < KINDS || bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) < ring_bytes - ring_bytes / 8;
}

static __always_inline void send(struct scratch *out, u32 class, u32 end)
{
	struct header *header = (struct header *)out->bytes;
	header->length = end;
	long failed = !has_room(class) || bpf_ringbuf_output(&events, out->bytes, end & (SCRATCH - 1), BPF_RB_NO_WAKEUP);
	struct counted *counted = bpf_map_lookup_elem(&counters, &class);
	if (!counted)
		return;
	if (failed) {
		counted->dropped += 1;
		return;
	}
	counted->sent += 1;
	counted->bytes += end;
}

static __always_inline u32 number_in_namespace(struct pid *pid, bool in_own)
{
	u32 level = in_own ? BPF_CORE_READ(pid, level) : 0;
	struct upid number = {};
	/* numbers[] is as long as the namespaces are deep. */
	bpf_core_read(&number, sizeof(number), &pid->numbers[level]);
	return number.nr;
}

static __always_inline void open_header(struct header *header, u32 kind)
{
	header->version = VERSION;
	header->kind = kind;
	header->reserved = 0;
	header->time_ns = bpf_ktime_get_boot_ns();
}

/* What calls have and other events have not. */
static __always_inline void without_call(struct header *header)
{
	header->nr = 0;
	header->flags = 0;
	header->ret = 0;
	__builtin_memset(header->args, 0, sizeof(header->args));
}

static __always_inline void fill(struct header *header, u32 kind, struct task_struct *task)
{
	open_header(header, kind);
	header->tgid = BPF_CORE_READ(task, tgid);
	header->tid = BPF_CORE_READ(task, pid);
	header->ppid = BPF_CORE_READ(task, real_parent, tgid);
	const struct cred *cred = BPF_CORE_READ(task, cred);
	header->uid = BPF_CORE_READ(cred, uid.val);
	header->euid = BPF_CORE_READ(cred, euid.val);
	header->egid = BPF_CORE_READ(cred, egid.val);
	header->cap_effective = BPF_CORE_READ(cred, cap_effective.val);
	header->cap_permitted = BPF_CORE_READ(cred, cap_permitted.val);
	struct nsproxy *spaces = BPF_CORE_READ(task, nsproxy);
	header->mnt_ns = BPF_CORE_READ(spaces, mnt_ns, ns.inum);
	header->pid_ns = BPF_CORE_READ(spaces, pid_ns_for_children, ns.inum);
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	header->start_ns = BPF_CORE_READ(leader, start_boottime);
	header->vpid = number_in_namespace(BPF_CORE_READ(leader, thread_pid), true);
	header->cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	bpf_core_read(&header->comm, sizeof(header->comm), &task->comm);
}

/*
 * The task whose header the scratch holds. The parts of it that cost most to read stay the same from call to call, as long as these do;
 * who may do what is read anew each time.
 */
struct known {
	u64 task, start_ns, parent, spaces;
};

static __always_inline void fill_directly(struct scratch *out, struct task_struct *task)
{
	struct header *header = (struct header *)out->bytes;
	struct known *known = (struct known *)(out->bytes + KNOWN);
	open_header(header, KIND_SYSCALL);
	const struct cred *cred = task->cred;
	header->uid = cred->uid.val;
	header->euid = cred->euid.val;
	header->egid = cred->egid.val;
	header->cap_effective = cred->cap_effective.val;
	header->cap_permitted = cred->cap_permitted.val;
	header->cgroup = task->cgroups->dfl_cgrp->kn->id;
	u64 *comm = (u64 *)&task->comm, *to = (u64 *)header->comm;
	to[0] = comm[0];
	to[1] = comm[1];
	struct task_struct *parent = task->real_parent;
	struct nsproxy *spaces = task->nsproxy;
	u64 start_ns = task->start_boottime;
	u32 tid = task->pid;
	if (known->task == (u64)task && known->start_ns == start_ns && known->parent == (u64)parent && known->spaces == (u64)spaces &&
	    header->tid == tid)
		return;
	known->task = (u64)task;
	known->start_ns = start_ns;
	known->parent = (u64)parent;
	known->spaces = (u64)spaces;
	struct task_struct *leader = task->group_leader;
	header->tgid = task->tgid;
	header->tid = tid;
	header->ppid = parent->tgid;
	header->mnt_ns = spaces->mnt_ns->ns.inum;
	header->pid_ns = spaces->pid_ns_for_children->ns.inum;
	header->start_ns = leader->start_boottime;
	header->vpid = number_in_namespace(leader->thread_pid, true);
}

static __always_inline unsigned long argument(struct header *header, u32 number)
{
	return number < 6 ? header->args[number] : 0;
}

#include "filter.h"

/*
 * The steps of an event are functions of their own that take numbers only: so each is verified once, instead of once for each way that
 * leads to it.
 */
__noinline u32 put_arguments(u64 flags)
{
	struct scratch *out = scratch_of(KIND_SYSCALL);
	u32 end = sizeof(struct header);
	if (!out)
		return end;
	struct header *header = (struct header *)out->bytes;
	u32 path0 = PATH0(flags), path1 = PATH1(flags), address = SOCKADDR(flags), structure = STRUCT(flags);
	if (path0)
		end = put_string(out, end, PART_PATH0, (void *)argument(header, path0 - 1), true);
	if (path1)
		end = put_string(out, end, PART_PATH1, (void *)argument(header, path1 - 1), true);
	if (address) {
		u32 length = SOCKADDR_LENGTH(flags);
		unsigned long bytes = length ? (u32)argument(header, length - 1) : 0;
		end = put_sockaddr(out, end, argument(header, address - 1), bytes, length != 0);
	}
	if (flags & MESSAGE) {
		/* struct msghdr begins with the address and its length. */
		struct {
			u64 name;
			u32 length;
		} message = {};
		if (!bpf_probe_read_user(&message, 12, (void *)header->args[1]))
			end = put_sockaddr(out, end, message.name, message.length, true);
	}
	if (structure)
		end = put_bytes(out, end, PART_STRUCT, argument(header, structure - 1), STRUCT_BYTES(flags));
	return end;
}

static __always_inline u32 put_keys(struct scratch *out, u32 end, u64 key, u64 folder)
{
	if (!key || end > END)
		return end;
	u8 *place = place_of(out, end);
	u64 *keys = (u64 *)(place + 4);
	keys[0] = key;
	keys[1] = folder;
	return close_part(place, end, PART_KEY, 2 * sizeof(key));
}

static __always_inline bool is_relative(struct scratch *out, u32 at)
{
	u8 *place = place_of(out, at);
	return place[4] != '/';
}

/* Relative paths begin at directories that descriptors name. */
__noinline u32 put_directory(u32 end, u32 part, u32 descriptor)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	if ((s32)descriptor == AT_FDCWD || end > END)
		return end;
	struct file *file = file_of(task, descriptor);
	return file ? put_file_path(KIND_SYSCALL, end, part, task, file) : end;
}

#define SNAP 80

/* The first bytes that the call moved: from a buffer, or from the first buffer of a message. */
__noinline u32 put_payload(u32 end, u64 flags)
{
	struct scratch *out = scratch_of(KIND_SYSCALL);
	if (!out)
		return end;
	struct header *header = (struct header *)out->bytes;
	unsigned long from = header->args[1], moved = header->ret < SNAP ? header->ret : SNAP;
	if (header->ret <= 0)
		return end;
	if (flags & MESSAGE) {
		u64 buffers = 0;
		struct {
			u64 base, length;
		} first = {};
		/* struct msghdr: name, its length, buffers. */
		if (bpf_probe_read_user(&buffers, sizeof(buffers), (void *)(header->args[1] + 16)) < 0 ||
		    bpf_probe_read_user(&first, sizeof(first), (void *)buffers) < 0)
			return end;
		from = first.base;
		moved = moved < first.length ? moved : first.length;
	}
	return put_bytes(out, end, PART_PAYLOAD, from, moved);
}

/* What is behind a descriptor: an address and its peer, or a path. */
__noinline u32 put_descriptor(u32 end, u32 descriptor)
{
	struct scratch *out = scratch_of(KIND_SYSCALL);
	if (!out)
		return end;
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	if (reads_directly) {
		struct task_struct *current = bpf_get_current_task_btf();
		struct file *file = is_near(current->files, descriptor) ? near_file(current->files, descriptor) : 0;
		if (file && (file->f_inode->i_mode & S_IFMT) != S_IFSOCK) {
			end = put_opened_directly(out, end, file);
			return put_names_directly(out, KIND_SYSCALL, end, PART_FILE_PATH, current->fs, file);
		}
	}
	struct file *file = file_of(task, descriptor);
	if (!file)
		return end;
	u8 *copy = copy_of(out, file);
	struct inode *inode = IN_COPY(copy, file, struct file, f_inode);
	void *private = IN_COPY(copy, file, struct file, private_data);
	u32 open_mode = IN_COPY(copy, file, struct file, f_mode);
	struct walk walk = { (u64)IN_COPY(copy, file, struct file, f_path.dentry), (u64)IN_COPY(copy, file, struct file, f_path.mnt) };
	copy_of(out, inode);
	u16 mode = IN_COPY(copy, inode, struct inode, i_mode);
	u64 number = IN_COPY(copy, inode, struct inode, i_ino);
	if ((mode & S_IFMT) == S_IFSOCK)
		return private ? put_socket(out, end, number, BPF_CORE_READ((struct socket *)private, sk)) : end;
	if (end > END)
		return end;
	u8 *place = place_of(out, end);
	struct opened_facts *facts = (struct opened_facts *)(place + 4);
	struct super_block *block = IN_COPY(copy, inode, struct inode, i_sb);
	copy_of(out, block);
	facts->inode = number;
	facts->device = IN_COPY(copy, block, struct super_block, s_dev);
	facts->mode = mode;
	facts->open_mode = open_mode;
	facts->layer = IN_COPY(copy, block, struct super_block, s_magic) == OVERLAYFS_MAGIC ? overlay_layer(inode) : 0;
	end = close_part(place, end, PART_OPENED, sizeof(*facts));
	read_root(&walk, task);
	*walk_of(out) = walk;
	*used_of(out) = 1;
	return put_names(STAND(KIND_SYSCALL, end, PART_FILE_PATH));
}

/* Whether what is behind a descriptor is of the kind that is asked for. */
__noinline u32 is_of_kind(u64 flags, u32 descriptor)
{
	struct sock *sock = socket_of(file_of((struct task_struct *)bpf_get_current_task(), descriptor));
	return sock && (!(flags & DATAGRAMS_ONLY) || is_datagram(sock));
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *task;
	bool is_foreign;
	if (reads_directly) {
		task = bpf_get_current_task_btf();
		is_foreign = task->thread_info.status & TS_COMPAT;
	} else {
		task = (struct task_struct *)bpf_get_current_task();
		is_foreign = BPF_CORE_READ(task, thread_info.status) & TS_COMPAT;
	}
	u32 nr = regs->orig_ax, zero = 0;
	if (is_foreign || (s32)nr >= X32) {
		u64 *calls = bpf_map_lookup_elem(&foreign, &zero);
		if (calls)
			*calls += 1;
		return 0;
	}
	u64 *wanted = bpf_map_lookup_elem(&interest, &nr);
	if (!wanted)
		return 0;
	u64 flags = *wanted;
	if (!(flags & WANTED) || ((flags & SUCCESS_ONLY) && ret < 0))
		return 0;
	if (own_tgid && (u32)(bpf_get_current_pid_tgid() >> 32) == own_tgid)
		return 0;
	u32 descriptor = flags & OF_ARG0 ? regs->di : ret;
	bool has_descriptor = (flags & OF_ARG0) || ((flags & OF_RESULT) && ret >= 0);
	if (flags & (SOCKETS_ONLY | DATAGRAMS_ONLY) && (!has_descriptor || !is_of_kind(flags, descriptor)))
		return 0;
	struct scratch *out = scratch_of(KIND_SYSCALL);
	if (!out)
		return 0;
	struct header *header = (struct header *)out->bytes;
	header->nr = nr;
	header->flags = 0;
	header->ret = ret;
	header->args[0] = regs->di;
	header->args[1] = regs->si;
	header->args[2] = regs->dx;
	header->args[3] = regs->r10;
	header->args[4] = regs->r8;
	header->args[5] = regs->r9;
	u32 end = put_arguments(flags);
	if ((flags & FILTERED) && reads_directly) {
		u64 key = key_of(flags), folder = *folder_of(out);
		if (is_unwanted(key, folder, flags))
			return 0;
		end = put_keys(out, end, key, folder);
	}
	if (reads_directly)
		fill_directly(out, task);
	else
		fill(header, KIND_SYSCALL, task);
	if (PATH0(flags) && is_relative(out, sizeof(*header))) {
		u32 directory = directory_of(header, flags);
		end = put_directory(end, PART_DIR0, directory);
		/* Of what failed nothing else tells where it would have been. */
		if ((flags & FILTERED) && ret < 0 && (s32)directory == AT_FDCWD)
			end = put_cwd(KIND_SYSCALL, end, task);
	}
	if (DIR1(flags))
		end = put_directory(end, PART_DIR1, argument(header, DIR1(flags) - 1));
	if (has_descriptor)
		end = put_descriptor(end, descriptor);
	if (flags & NEW_CWD)
		end = put_cwd(KIND_SYSCALL, end, task);
	if (flags & PAYLOAD)
		end = put_payload(end, flags);
	send(out, CLASS(flags), end);
	return 0;
}

/* Who the process is to others: terminal, session, group, login. */
static __always_inline void read_standing(struct exec_facts *facts, struct task_struct *task)
{
	facts->cap_inheritable = BPF_CORE_READ(task, cred, cap_inheritable.val);
	facts->cap_bounding = BPF_CORE_READ(task, cred, cap_bset.val);
	facts->seccomp = bpf_core_field_exists(task->seccomp) ? BPF_CORE_READ(task, seccomp.mode) : 0;
	facts->namespace_start_ns = BPF_CORE_READ(task, nsproxy, pid_ns_for_children, child_reaper, start_boottime);
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	struct pid *group = BPF_CORE_READ(signal, pids[2]);
	facts->group = number_in_namespace(group, false);
	facts->group_in_namespace = number_in_namespace(group, true);
	facts->session = number_in_namespace(BPF_CORE_READ(signal, pids[3]), false);
	struct tty_struct *tty = BPF_CORE_READ(signal, tty);
	if (tty) {
		u32 minor = BPF_CORE_READ(tty, driver, minor_start) + BPF_CORE_READ(tty, index);
		/* As new_encode_dev() does. */
		facts->tty = (minor & 0xff) | BPF_CORE_READ(tty, driver, major) << 8 | (minor & ~0xff) << 12;
	}
	facts->login_uid = bpf_core_field_exists(task->loginuid) ? BPF_CORE_READ(task, loginuid.val) : -1;
}

static __always_inline u32 put_exec(struct scratch *out, u32 end, struct task_struct *task, struct file *file)
{
	if (end > END)
		return end;
	u8 *place = place_of(out, end);
	struct exec_facts *facts = (struct exec_facts *)(place + 4);
	__builtin_memset(facts, 0, sizeof(*facts));
	read_file(&facts->file, file);
	read_standing(facts, task);
	return close_part(place, end, PART_EXEC, sizeof(*facts));
}

/* What a program that starts reads from and writes to. */
__noinline u32 put_stream(u32 end, u32 descriptor)
{
	struct scratch *out = scratch_of(KIND_EXEC);
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct file *file = file_of(task, descriptor);
	if (!out || end > END || descriptor > 2 || !file)
		return end;
	u8 *place = place_of(out, end);
	struct stream_facts *facts = (struct stream_facts *)(place + 4);
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	facts->mode = BPF_CORE_READ(inode, i_mode);
	facts->reserved = 0;
	if ((facts->mode & S_IFMT) != S_IFSOCK) {
		end = close_part(place, end, PART_STREAM + descriptor, sizeof(*facts) - sizeof(facts->socket));
		return put_file_path(KIND_EXEC, end, PART_STREAM_PATH + descriptor, task, file);
	}
	struct sock *sock = socket_of(file);
	if (!sock)
		return end;
	read_socket(&facts->socket, BPF_CORE_READ(inode, i_ino), sock);
	return close_part(place, end, PART_STREAM + descriptor, sizeof(*facts));
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *binary)
{
	struct scratch *out = scratch_of(KIND_EXEC);
	if (!out)
		return 0;
	struct header *header = (struct header *)out->bytes;
	fill(header, KIND_EXEC, task);
	without_call(header);
	struct file *file = BPF_CORE_READ(binary, file);
	header->args[0] = BPF_CORE_READ(file, f_inode, i_nlink);
	u32 end = put_exec(out, sizeof(*header), task, file);
	end = put_string(out, end, PART_PATH0, BPF_CORE_READ(binary, filename), false);
	end = put_file_path(KIND_EXEC, end, PART_EXE, task, file);
	end = put_cwd(KIND_EXEC, end, task);
	end = put_cgroup(out, end, task);
	for (u32 descriptor = 0; descriptor < 3; descriptor++)
		end = put_stream(end, descriptor);
	struct mm_struct *memory = BPF_CORE_READ(task, mm);
	unsigned long start = BPF_CORE_READ(memory, arg_start), stop = BPF_CORE_READ(memory, arg_end);
	end = put_bytes(out, end, PART_ARGV, start, stop - start);
	start = BPF_CORE_READ(memory, env_start), stop = BPF_CORE_READ(memory, env_end);
	end = put_bytes(out, end, PART_ENVP, start, stop - start);
	send(out, KIND_EXEC, end);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	/* Threads share the process of their leader. */
	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid))
		return 0;
	struct scratch *out = scratch_of(KIND_FORK);
	if (!out)
		return 0;
	struct header *header = (struct header *)out->bytes;
	fill(header, KIND_FORK, child);
	without_call(header);
	header->args[0] = BPF_CORE_READ(parent, tgid);
	send(out, KIND_FORK, sizeof(*header));
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	if (BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid))
		return 0;
	struct scratch *out = scratch_of(KIND_EXIT);
	if (!out)
		return 0;
	struct header *header = (struct header *)out->bytes;
	fill(header, KIND_EXIT, task);
	without_call(header);
	header->ret = BPF_CORE_READ(task, exit_code);
	send(out, KIND_EXIT, sizeof(*header));
	return 0;
}

/* Optional: its name is that of 6.4 and later. */
SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(on_uring, struct io_kiocb *request)
{
	u32 opcode = BPF_CORE_READ(request, opcode) & (URING_OPERATIONS - 1);
	u64 *count = bpf_map_lookup_elem(&uring, &opcode);
	/* Another one may come between, on the same processor. */
	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}
