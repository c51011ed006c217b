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
/* What the programs keep for themselves, behind what is sent. */
#define WALK (SCRATCH - 64)
#define KNOWN (SCRATCH - 128)
#define USED (SCRATCH - 136)
#define COPY (SCRATCH - 512)

#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define OVERLAYFS_MAGIC 0x794c7630
#define SB_RDONLY 1
#define MNT_READONLY 0x40
/* The highest bit says whether somebody asked for the time (multigrain timestamps, 6.13). */
#define CTIME_NSEC 0x7fffffff

/* The same twice: by loads that the verifier proves, and by calls for what it cannot prove or older kernels. */
#define DIRECT(...) ___arrow(__VA_ARGS__)
#define BY_CALL(...) BPF_CORE_READ(__VA_ARGS__)

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

/* What a walk is for, packed: the end of the event, the kind of the event (which names the scratch), the part. */
#define STAND(kind, end, part) ((u64)(part) << 32 | (kind) << 16 | ((end) & 0xffff))

/*
 * A structure of the kernel, copied as a whole as far as it is asked for: each call that reads costs about as much as all else that is
 * done with what it read. Fields that a kernel has behind the end of the copy are read by calls of their own.
 */
#define COPIED 128
#define IN_COPY(copy, from, type, field)                                                                                     \
	({                                                                                                                   \
		typeof(((type *)0)->field) value;                                                                            \
		if (bpf_core_field_offset(type, field) + sizeof(value) <= COPIED)                                            \
			value = *(typeof(value) *)((copy) + bpf_core_field_offset(type, field));                             \
		else                                                                                                         \
			BPF_CORE_READ_INTO(&value, (type *)(from), field);                                                   \
		value;                                                                                                       \
	})

static __always_inline u8 *copy_of(struct scratch *out, const void *from)
{
	u8 *copy = out->bytes + COPY;
	bpf_probe_read_kernel(copy, COPIED, from);
	return copy;
}

/* Bytes of the part that are used, kept in the scratch: a number that the verifier has to follow makes each way through a walk another. */
static __always_inline u64 *used_of(struct scratch *out)
{
	return (u64 *)(out->bytes + USED);
}

static __always_inline void put_name(struct scratch *out, u8 *place, const unsigned char *name)
{
	u64 *used = used_of(out);
	long length = bpf_probe_read_kernel_str(place + 4 + (*used & MASK), NAME, name);
	*used += length > 0 ? length : 0;
}

/* A short name stands in its entry, and can be copied from there. */
static __always_inline void put_short_name(struct scratch *out, u8 *place, const u64 *words, u32 length)
{
	u64 *used = used_of(out), *to = (u64 *)(place + 4 + (*used & MASK));
	for (int i = 0; i < 5; i++)
		to[i] = words[i];
	length &= 63;
	((u8 *)to)[length] = 0;
	*used += length + 1;
}

#define HAS_SHORT_NAMES bpf_core_field_exists(struct dentry, d_shortname)
#define SHORT_AT bpf_core_field_offset(struct dentry, d_shortname)
#define SHORT 40

/*
 * From where to where to walk. It is in the scratch, for what is read from there is a number, which the verifier lets into any call, and
 * which it does not follow through each way that a walk may take.
 */
struct walk {
	u64 dentry, mount, root_dentry, root_mount;
	/* The root of the mount; 0 below the root of the process in its own mount, for that one is met first. */
	u64 top;
};

static __always_inline struct walk *walk_of(struct scratch *out)
{
	return (struct walk *)(out->bytes + WALK);
}

static __always_inline void enter_mount(struct walk *walk, u64 mount)
{
	walk->mount = mount;
	walk->top = mount == walk->root_mount ? 0 : (u64)BPF_CORE_READ((struct vfsmount *)mount, mnt_root);
}

/* Goes from the root of a mount to where it is mounted. Says whether there is such a place. */
static __always_inline bool leave_mount(struct scratch *out, struct walk *walk)
{
	struct mount *outer = (struct mount *)((u8 *)walk->mount - bpf_core_field_offset(struct mount, mnt));
	u8 *copy = copy_of(out, outer);
	struct mount *parent = IN_COPY(copy, outer, struct mount, mnt_parent);
	if (parent == outer || !parent)
		return false;
	walk->dentry = (u64)IN_COPY(copy, outer, struct mount, mnt_mountpoint);
	enter_mount(walk, (u64)parent + bpf_core_field_offset(struct mount, mnt));
	return true;
}

/* Puts the name of an entry and goes to its parent. Says whether there is one. */
static __always_inline bool leave_entry(struct scratch *out, struct walk *walk, u8 *place)
{
	struct dentry *dentry = (struct dentry *)walk->dentry;
	u8 *copy = copy_of(out, dentry);
	const unsigned char *name = IN_COPY(copy, dentry, struct dentry, d_name.name);
	u32 length = IN_COPY(copy, dentry, struct dentry, d_name.len);
	u64 parent = (u64)IN_COPY(copy, dentry, struct dentry, d_parent), entry = walk->dentry;
	walk->dentry = parent;
	if (HAS_SHORT_NAMES && (u64)name == entry + SHORT_AT && SHORT_AT + SHORT <= COPIED && length < SHORT)
		put_short_name(out, place, (u64 *)(copy + SHORT_AT), length);
	else
		put_name(out, place, name);
	return parent && parent != entry;
}

/* The names of a path, from the last one up to the root that the process sees. Verified once, whoever calls it. */
__noinline u32 put_names(u64 stand)
{
	u32 end = stand & 0xffff, kind = (stand >> 16) & 3, part = stand >> 32;
	struct scratch *out = scratch_of(kind);
	if (!out || end > END)
		return end;
	struct walk *walk = walk_of(out);
	u8 *place = place_of(out, end);
	u8 status = NAMES_CUT;
	enter_mount(walk, walk->mount);
	for (int i = 0; i < DEPTH; i++) {
		if (walk->dentry == walk->root_dentry && walk->mount == walk->root_mount) {
			status = NAMES_COMPLETE;
			break;
		}
		if (walk->dentry == walk->top) {
			if (leave_mount(out, walk))
				continue;
			status = NAMES_COMPLETE;
			break;
		}
		if (*used_of(out) > PART - NAME - 8)
			break;
		if (!leave_entry(out, walk, place)) {
			/* In the mount of the root it is not met when the process was shut in after it had opened the file. */
			status = walk->top ? NAMES_DETACHED : NAMES_COMPLETE;
			break;
		}
	}
	place[4] = status;
	return close_part(place, end, part, *used_of(out) & MASK);
}

/* The same by loads, as far as the mount goes that the file is in. */
static __always_inline u32 put_names_directly(struct scratch *out, u32 kind, u32 end, u32 part, struct fs_struct *fs, struct file *file)
{
	if (end > END)
		return end;
	struct dentry *dentry = file->f_path.dentry;
	struct vfsmount *mount = file->f_path.mnt;
	u64 root_dentry = (u64)fs->root.dentry, root_mount = (u64)fs->root.mnt, top = (u64)mount->mnt_root;
	u64 stop = (u64)mount == root_mount ? root_dentry : 0;
	u8 *place = place_of(out, end);
	u8 status = NAMES_CUT;
	*used_of(out) = 1;
	for (int i = 0; i < DEPTH; i++) {
		if ((u64)dentry == stop) {
			status = NAMES_COMPLETE;
			break;
		}
		if ((u64)dentry == top) {
			*walk_of(out) = (struct walk){ (u64)dentry, (u64)mount, root_dentry, root_mount };
			return put_names(STAND(kind, end, part));
		}
		if (*used_of(out) > PART - NAME - 8)
			break;
		struct dentry *parent = dentry->d_parent;
		const unsigned char *name = dentry->d_name.name;
		u32 length = dentry->d_name.len;
		if (HAS_SHORT_NAMES && (u64)name == (u64)&dentry->d_shortname && length < SHORT)
			put_short_name(out, place, dentry->d_shortname.words, length);
		else
			put_name(out, place, name);
		if ((u64)parent == (u64)dentry || !parent) {
			status = NAMES_DETACHED;
			break;
		}
		dentry = parent;
	}
	place[4] = status;
	return close_part(place, end, part, *used_of(out) & MASK);
}

static __always_inline void read_root(struct walk *walk, struct task_struct *task)
{
	if (reads_directly) {
		struct fs_struct *fs = bpf_get_current_task_btf()->fs;
		walk->root_dentry = (u64)fs->root.dentry;
		walk->root_mount = (u64)fs->root.mnt;
		return;
	}
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	walk->root_dentry = (u64)BPF_CORE_READ(fs, root.dentry);
	walk->root_mount = (u64)BPF_CORE_READ(fs, root.mnt);
}

static __always_inline u32 put_path_of(u32 kind, u32 end, u32 part, struct task_struct *task, struct dentry *dentry, struct vfsmount *mount)
{
	struct scratch *out = scratch_of(kind);
	if (!out)
		return end;
	struct walk walk = { (u64)dentry, (u64)mount };
	read_root(&walk, task);
	*walk_of(out) = walk;
	*used_of(out) = 1;
	return put_names(STAND(kind, end, part));
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
	if (reads_directly) {
		struct fdtable *table = bpf_get_current_task_btf()->files->fdt;
		struct file **files = table->fd, *file = 0;
		if (descriptor < table->max_fds)
			bpf_probe_read_kernel(&file, sizeof(file), files + descriptor);
		return file;
	}
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	if (descriptor >= BPF_CORE_READ(table, max_fds))
		return 0;
	struct file **files = BPF_CORE_READ(table, fd), *file = 0;
	bpf_probe_read_kernel(&file, sizeof(file), files + descriptor);
	return file;
}

#define NEAR 64
#define AT(number) case number: return files->fd_array[number];
#define AT4(number) AT(number) AT(number + 1) AT(number + 2) AT(number + 3)
#define AT16(number) AT4(number) AT4(number + 4) AT4(number + 8) AT4(number + 12)

/*
 * One of the first files of a process, while its table is the small one that it began with. The verifier follows pointers by their type
 * only at constant places: for the price of a few comparisons every read behind it is a load instead of a call.
 */
static __noinline struct file *near_file(struct files_struct *files, u32 descriptor)
{
	switch (descriptor) {
		AT16(0)
		AT16(16)
		AT16(32)
		AT16(48)
	}
	return 0;
}

static __always_inline bool is_near(struct files_struct *files, u32 descriptor)
{
	return descriptor < NEAR && files->fdt->max_fds == NEAR;
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

/* An overlay's inode has the dentry of the upper layer right behind the common part; the layout is not in BTF. */
static __always_inline u32 overlay_layer(struct inode *inode)
{
	struct dentry *upper = 0;
	bpf_probe_read_kernel(&upper, sizeof(upper), (u8 *)inode + bpf_core_type_size(struct inode));
	return upper && BPF_CORE_READ(upper, d_inode) ? LAYER_UPPER : LAYER_LOWER;
}

/* Which layer of an overlay holds the file, and whether it exists in memory only. */
static __always_inline u32 layer_of(struct file *file, struct inode *inode, struct super_block *block)
{
	u32 layer = 0;
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	if (BPF_CORE_READ(block, s_magic) == OVERLAYFS_MAGIC) {
		layer |= overlay_layer(inode);
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

static __always_inline u32 put_opened_directly(struct scratch *out, u32 end, struct file *file)
{
	if (end > END)
		return end;
	u8 *place = place_of(out, end);
	struct opened_facts *facts = (struct opened_facts *)(place + 4);
	struct inode *inode = file->f_inode;
	struct super_block *block = inode->i_sb;
	facts->inode = inode->i_ino;
	facts->device = block->s_dev;
	facts->mode = inode->i_mode;
	facts->open_mode = file->f_mode;
	facts->layer = block->s_magic == OVERLAYFS_MAGIC ? overlay_layer(inode) : 0;
	return close_part(place, end, PART_OPENED, sizeof(*facts));
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

static __always_inline u32 put_socket(struct scratch *out, u32 end, u64 inode, struct sock *sock)
{
	if (end > END || !sock)
		return end;
	u8 *place = place_of(out, end);
	struct socket_facts *facts = (struct socket_facts *)(place + 4);
	__builtin_memset(facts, 0, sizeof(*facts));
	facts->inode = inode;
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
