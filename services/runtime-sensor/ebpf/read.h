/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Reading the kernel's and the process's memory into an event. All lengths are masked where the verifier has to see their bounds:
 * a part begins below END, holds at most PART bytes, and so ends within the scratch.
 */
#ifndef BIOTOPE_READ_H
#define BIOTOPE_READ_H

/* A value of a per-processor map may have 32 KiB. */
#define SCRATCH (32 * 1024)
#define END (SCRATCH / 2 - 1)
#define PART 4096
#define MASK (PART - 1)
#define NAME 256
#define DEPTH 40

#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define OVERLAYFS_MAGIC 0x794c7630
#define SB_RDONLY 1
#define MNT_READONLY 0x40
/* The highest bit says whether somebody asked for the time (multigrain timestamps, 6.13). */
#define CTIME_NSEC 0x7fffffff

struct scratch {
	u8 bytes[SCRATCH];
};

static __always_inline u8 *place_of(struct scratch *out, u32 end)
{
	return out->bytes + (end & END);
}

static __always_inline u32 close_part(u8 *place, u32 end, u16 part, u32 length)
{
	*(u16 *)place = part;
	*(u16 *)(place + 2) = length;
	return end + 4 + length;
}

/* A string of the process, or of the kernel. */
static __always_inline u32 put_string(struct scratch *out, u32 end, u16 part, const void *from, bool user)
{
	struct header *header = (struct header *)out->bytes;
	if (end > END) {
		header->flags |= FLAG_TRUNCATED;
		return end;
	}
	u8 *place = place_of(out, end);
	long length = user ? bpf_probe_read_user_str(place + 4, PART, from) : bpf_probe_read_kernel_str(place + 4, PART, from);
	if (length < 0) {
		header->flags |= FLAG_FAULT;
		length = 0;
	} else if (length == PART) {
		header->flags |= FLAG_TRUNCATED;
	}
	/* The closing zero is not sent. */
	return close_part(place, end, part, length > 0 ? (length - 1) & MASK : 0);
}

/* Bytes of the process. */
static __always_inline u32 put_bytes(struct scratch *out, u32 end, u16 part, unsigned long from, unsigned long length)
{
	struct header *header = (struct header *)out->bytes;
	if (end > END) {
		header->flags |= FLAG_TRUNCATED;
		return end;
	}
	u8 *place = place_of(out, end);
	if (length > MASK) {
		length = MASK;
		header->flags |= FLAG_TRUNCATED;
	}
	length &= MASK;
	if (bpf_probe_read_user(place + 4, length, (void *)from) < 0) {
		header->flags |= FLAG_FAULT;
		length = 0;
	}
	return close_part(place, end, part, length);
}

/* A socket address that the process holds. Without a length the largest that is there is taken: of IPv6, else of IPv4. */
static __always_inline u32 put_sockaddr(struct scratch *out, u32 end, unsigned long from, unsigned long length, bool is_known)
{
	struct header *header = (struct header *)out->bytes;
	if (end > END || !from)
		return end;
	u8 *place = place_of(out, end);
	if (!is_known)
		length = 28;
	else if (length > 128)
		length = 128;
	length &= 0xff;
	if (bpf_probe_read_user(place + 4, length, (void *)from) < 0) {
		length = 16;
		if (is_known || bpf_probe_read_user(place + 4, length, (void *)from) < 0) {
			header->flags |= FLAG_FAULT;
			return end;
		}
	}
	return close_part(place, end, PART_SOCKADDR, length);
}

/*
 * The names of a path, from the last one up to the root that the process sees. Verified once, whoever calls it: so its arguments are
 * numbers. `where` is the kind of the event (which names the scratch) and the end of the event.
 */
__noinline u32 put_names(u64 where, u64 dentry_at, u64 mount_at, u64 root_dentry, u64 root_mount)
{
	u32 kind = (where >> 16) & 3, part = where >> 32, end = where & 0xffff;
	struct scratch *out = scratch_of(kind);
	if (!out || end > END)
		return end;
	struct dentry *dentry = (struct dentry *)dentry_at;
	struct vfsmount *mount = (struct vfsmount *)mount_at;
	struct dentry *top = BPF_CORE_READ(mount, mnt_root);
	u8 *place = place_of(out, end);
	u8 status = NAMES_CUT;
	u32 used = 1;
	for (int i = 0; i < DEPTH; i++) {
		if ((u64)dentry == root_dentry && (u64)mount == root_mount) {
			status = NAMES_COMPLETE;
			break;
		}
		if (dentry == top) {
			struct mount *outer = (struct mount *)((u8 *)mount - bpf_core_field_offset(struct mount, mnt));
			struct mount *parent = BPF_CORE_READ(outer, mnt_parent);
			if (parent == outer || !parent) {
				status = NAMES_COMPLETE;
				break;
			}
			dentry = BPF_CORE_READ(outer, mnt_mountpoint);
			mount = (struct vfsmount *)((u8 *)parent + bpf_core_field_offset(struct mount, mnt));
			top = BPF_CORE_READ(mount, mnt_root);
			continue;
		}
		if (used > PART - NAME - 8)
			break;
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
		long length = bpf_probe_read_kernel_str(place + 4 + (used & MASK), NAME, BPF_CORE_READ(dentry, d_name.name));
		if (length > 0)
			used += length & (NAME * 2 - 1);
		if (parent == dentry || !parent) {
			status = NAMES_DETACHED;
			break;
		}
		dentry = parent;
	}
	place[4] = status;
	return close_part(place, end, part, used & MASK);
}

static __always_inline u32 put_path_of(u32 kind, u32 end, u32 part, struct task_struct *task, struct dentry *dentry, struct vfsmount *mount)
{
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	return put_names((u64)part << 32 | kind << 16 | (end & 0xffff), (u64)dentry, (u64)mount,
			 (u64)BPF_CORE_READ(fs, root.dentry), (u64)BPF_CORE_READ(fs, root.mnt));
}

static __always_inline u32 put_cwd(u32 kind, u32 end, struct task_struct *task)
{
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	return put_path_of(kind, end, PART_CWD, task, BPF_CORE_READ(fs, pwd.dentry), BPF_CORE_READ(fs, pwd.mnt));
}

static __always_inline u32 put_file_path(u32 kind, u32 end, u32 part, struct task_struct *task, struct file *file)
{
	return put_path_of(kind, end, part, task, BPF_CORE_READ(file, f_path.dentry), BPF_CORE_READ(file, f_path.mnt));
}

/* The cgroup2 path of a task, so that a container is known even when it is gone before anybody can look. */
static __always_inline u32 put_cgroup(struct scratch *out, u32 end, struct task_struct *task)
{
	if (end > END)
		return end;
	struct kernfs_node *node = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn);
	u8 *place = place_of(out, end);
	u8 status = NAMES_CUT;
	u32 used = 1;
	for (int i = 0; i < 16; i++) {
		struct kernfs_node___before_6_15 *older = (void *)node;
		struct kernfs_node *parent;
		if (bpf_core_field_exists(node->__parent))
			parent = BPF_CORE_READ(node, __parent);
		else
			parent = BPF_CORE_READ(older, parent);
		if (!parent) {
			status = NAMES_COMPLETE;
			break;
		}
		if (used > PART - NAME - 8)
			break;
		long length = bpf_probe_read_kernel_str(place + 4 + (used & MASK), NAME, BPF_CORE_READ(node, name));
		if (length > 0)
			used += length & (NAME * 2 - 1);
		node = parent;
	}
	place[4] = status;
	return close_part(place, end, PART_CGROUP, used & MASK);
}

static __always_inline struct file *file_of(struct task_struct *task, u32 descriptor)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	if (descriptor >= BPF_CORE_READ(table, max_fds))
		return 0;
	struct file **files = BPF_CORE_READ(table, fd), *file = 0;
	bpf_probe_read_kernel(&file, sizeof(file), files + descriptor);
	return file;
}

static __always_inline u64 nanoseconds(struct timespec64 time)
{
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static __always_inline void times_of(struct file_facts *facts, struct inode *inode)
{
	struct inode___before_6_11 *older = (void *)inode;
	if (bpf_core_field_exists(inode->i_ctime_sec)) {
		facts->ctime_ns = BPF_CORE_READ(inode, i_ctime_sec) * 1000000000ULL + (BPF_CORE_READ(inode, i_ctime_nsec) & CTIME_NSEC);
		facts->mtime_ns = BPF_CORE_READ(inode, i_mtime_sec) * 1000000000ULL + BPF_CORE_READ(inode, i_mtime_nsec);
		return;
	}
	if (bpf_core_field_exists(older->__i_ctime))
		facts->ctime_ns = nanoseconds(BPF_CORE_READ(older, __i_ctime));
	else if (bpf_core_field_exists(older->i_ctime))
		facts->ctime_ns = nanoseconds(BPF_CORE_READ(older, i_ctime));
	if (bpf_core_field_exists(older->__i_mtime))
		facts->mtime_ns = nanoseconds(BPF_CORE_READ(older, __i_mtime));
	else if (bpf_core_field_exists(older->i_mtime))
		facts->mtime_ns = nanoseconds(BPF_CORE_READ(older, i_mtime));
}

/* Which layer of an overlay holds the file, and whether it exists in memory only. */
static __always_inline u32 layer_of(struct file *file, struct inode *inode, struct super_block *block)
{
	u32 layer = 0;
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	if (BPF_CORE_READ(block, s_magic) == OVERLAYFS_MAGIC) {
		/* An overlay's inode has the dentry of the upper layer right behind the common part; the layout is not in BTF. */
		struct dentry *upper = 0;
		bpf_probe_read_kernel(&upper, sizeof(upper), (u8 *)inode + bpf_core_type_size(struct inode));
		layer |= upper && BPF_CORE_READ(upper, d_inode) ? LAYER_UPPER : LAYER_LOWER;
	} else if (BPF_CORE_READ(dentry, d_parent) == dentry) {
		char name[8] = {};
		bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(dentry, d_name.name));
		if (name[0] == 'm' && name[1] == 'e' && name[2] == 'm' && name[3] == 'f' && name[4] == 'd' && name[5] == ':')
			layer |= FROM_MEMORY;
	}
	if (BPF_CORE_READ(block, s_flags) & SB_RDONLY || BPF_CORE_READ(file, f_path.mnt, mnt_flags) & MNT_READONLY)
		layer |= READ_ONLY;
	return layer;
}

static __always_inline void read_file(struct file_facts *facts, struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct super_block *block = BPF_CORE_READ(inode, i_sb);
	facts->inode = BPF_CORE_READ(inode, i_ino);
	facts->device = BPF_CORE_READ(block, s_dev);
	facts->mode = BPF_CORE_READ(inode, i_mode);
	facts->uid = BPF_CORE_READ(inode, i_uid.val);
	facts->gid = BPF_CORE_READ(inode, i_gid.val);
	facts->links = BPF_CORE_READ(inode, i_nlink);
	facts->open_mode = BPF_CORE_READ(file, f_mode);
	facts->layer = layer_of(file, inode, block);
	times_of(facts, inode);
}

/* What of an open file is asked for often, and no more: opens are frequent. */
static __always_inline u32 put_file(struct scratch *out, u32 end, struct file *file)
{
	if (end > END || !file)
		return end;
	u8 *place = place_of(out, end);
	struct file_facts *facts = (struct file_facts *)(place + 4);
	__builtin_memset(facts, 0, sizeof(*facts));
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	facts->inode = BPF_CORE_READ(inode, i_ino);
	facts->device = BPF_CORE_READ(inode, i_sb, s_dev);
	facts->mode = BPF_CORE_READ(inode, i_mode);
	facts->open_mode = BPF_CORE_READ(file, f_mode);
	return close_part(place, end, PART_FILE, sizeof(*facts));
}

static __always_inline struct sock *socket_of(struct file *file)
{
	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	/* The file of a socket in a directory that was opened as a path only has nothing behind it. */
	struct socket *socket = BPF_CORE_READ(file, private_data);
	return socket ? BPF_CORE_READ(socket, sk) : 0;
}

static __always_inline bool is_datagram(struct sock *sock)
{
	u16 family = BPF_CORE_READ(sock, __sk_common.skc_family);
	return (family == 2 || family == 10) && BPF_CORE_READ(sock, sk_type) != 1;
}

static __always_inline u32 put_socket(struct scratch *out, u32 end, struct file *file, struct sock *sock)
{
	if (end > END || !sock)
		return end;
	u8 *place = place_of(out, end);
	struct socket_facts *facts = (struct socket_facts *)(place + 4);
	__builtin_memset(facts, 0, sizeof(*facts));
	facts->inode = BPF_CORE_READ(file, f_inode, i_ino);
	facts->family = BPF_CORE_READ(sock, __sk_common.skc_family);
	facts->type = BPF_CORE_READ(sock, sk_type);
	facts->protocol = BPF_CORE_READ(sock, sk_protocol);
	facts->state = BPF_CORE_READ(sock, __sk_common.skc_state);
	if (facts->family == 2 || facts->family == 10) {
		facts->local_port = BPF_CORE_READ(sock, __sk_common.skc_num);
		facts->remote_port = __builtin_bswap16(BPF_CORE_READ(sock, __sk_common.skc_dport));
	}
	if (facts->family == 2) {
		*(u32 *)facts->local = BPF_CORE_READ(sock, __sk_common.skc_rcv_saddr);
		*(u32 *)facts->remote = BPF_CORE_READ(sock, __sk_common.skc_daddr);
	} else if (facts->family == 10) {
		BPF_CORE_READ_INTO(&facts->local, sock, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&facts->remote, sock, __sk_common.skc_v6_daddr);
	}
	end = close_part(place, end, PART_SOCKET, sizeof(*facts));
	if (facts->family != 1)
		return end;
	/* The name is that of the listening side: ours, or else the other's. */
	struct unix_sock *local = (struct unix_sock *)sock;
	struct unix_address *address = BPF_CORE_READ(local, addr);
	if (!address) {
		struct unix_sock *other = (struct unix_sock *)BPF_CORE_READ(local, peer);
		address = BPF_CORE_READ(other, addr);
	}
	if (!address || end > END)
		return end;
	place = place_of(out, end);
	u32 length = BPF_CORE_READ(address, len);
	length = length > 110 ? 110 : length;
	if (bpf_probe_read_kernel(place + 4, length & 0x7f, (u8 *)address + bpf_core_field_offset(struct unix_address, name)) < 0)
		return end;
	return close_part(place, end, PART_UNIX, length & 0x7f);
}

#endif
