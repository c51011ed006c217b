/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Paths: from a file, a folder or a cgroup up to the root, name by name.
 */
#ifndef BIOTOPE_WALK_H
#define BIOTOPE_WALK_H

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

#endif
