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
#define NUMBER (SCRATCH - 96)
#define USED (SCRATCH - 136)
#define FOLDER (SCRATCH - 144)
#define COPY (SCRATCH - 512)

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

#include "walk.h"

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

static __always_inline void read_socket(struct socket_facts *facts, u64 inode, struct sock *sock)
{
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
}

static __always_inline u32 put_socket(struct scratch *out, u32 end, u64 inode, struct sock *sock)
{
	if (end > END || !sock)
		return end;
	u8 *place = place_of(out, end);
	struct socket_facts *facts = (struct socket_facts *)(place + 4);
	read_socket(facts, inode, sock);
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
