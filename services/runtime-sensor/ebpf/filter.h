/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Verdicts: opens that no rule in force can match, whatever else is true of them, as the reader found when it judged the like.
 *
 * A verdict is of a key, a hash of all that it follows from: the call and its flags, how it ended, the path as it was given, each
 * entry on the way from the file up to the root of the process, the same of the directory that the path is relative to, the name of the
 * process, and the cgroup. So another file behind the same path, or the same file by another path, is another key. Who knows neither
 * start nor factor can make no two keys equal.
 */
#ifndef BIOTOPE_FILTER_H
#define BIOTOPE_FILTER_H

#define VERDICTS 65536
#define LONGEST_FILTERED 256
#define O_MAKES 020000100 /* O_CREAT or O_TMPFILE: then the mode counts */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, VERDICTS);
	__type(key, u32);
	__type(value, u64);
} verdicts SEC(".maps");

/* Chosen by the reader, anew with each change of the rules, so that older verdicts mean nothing. All zero: nothing is left out. */
struct seed {
	u64 start, factor;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct seed);
} seeds SEC(".maps");

static __always_inline struct seed *seed_of(void)
{
	u32 zero = 0;
	return bpf_map_lookup_elem(&seeds, &zero);
}

static __always_inline u64 mix(u64 hash, u32 word, u64 factor)
{
	return (hash ^ hash >> 32) * factor + word;
}

static __always_inline u64 mix_long(u64 hash, u64 word, u64 factor)
{
	return mix(mix(hash, word, factor), word >> 32, factor);
}

/* The verifier lets no one calculate with a pointer, but with what was read from memory. */
static __always_inline u64 number_of(struct scratch *out, const void *pointer)
{
	volatile u64 *place = (u64 *)(out->bytes + NUMBER);
	*place = (u64)pointer;
	return *place;
}

/* Entries are told apart by where they are and what they are called. */
static __always_inline u64 mix_entry(u64 hash, u64 dentry, u32 name, u64 factor)
{
	return mix(mix(hash, dentry >> 3, factor), name, factor);
}

/* Goes on up from a mount to the root, as put_names() does. 0 when there is no such way. */
__noinline u64 hash_rest(u64 hash)
{
	struct scratch *out = scratch_of(KIND_SYSCALL);
	struct seed *seed = seed_of();
	if (!out || !seed)
		return 0;
	struct walk *walk = walk_of(out);
	u64 factor = seed->factor;
	enter_mount(walk, walk->mount);
	for (int i = 0; i < DEPTH; i++) {
		if (walk->dentry == walk->root_dentry && walk->mount == walk->root_mount)
			return hash;
		if (walk->dentry == walk->top) {
			if (!leave_mount(out, walk))
				return hash;
			continue;
		}
		struct dentry *dentry = (struct dentry *)walk->dentry;
		u8 *copy = copy_of(out, dentry);
		u32 name = IN_COPY(copy, dentry, struct dentry, d_name.hash);
		u64 parent = (u64)IN_COPY(copy, dentry, struct dentry, d_parent);
		hash = mix_entry(hash, walk->dentry, name, factor);
		if (!parent || parent == walk->dentry)
			return 0;
		walk->dentry = parent;
	}
	return 0;
}

/* All entries from one up to the root of the process. 0 when that is not reached. */
static __always_inline u64 hash_walk(struct scratch *out, u64 hash, u64 factor, struct fs_struct *fs, struct dentry *dentry,
				     struct vfsmount *mount)
{
	u64 root_dentry = (u64)fs->root.dentry, root_mount = (u64)fs->root.mnt, top = (u64)mount->mnt_root;
	u64 stop = (u64)mount == root_mount ? root_dentry : 0;
	for (int i = 0; i < DEPTH; i++) {
		if ((u64)dentry == stop)
			return hash;
		if ((u64)dentry == top) {
			*walk_of(out) = (struct walk){ (u64)dentry, (u64)mount, root_dentry, root_mount };
			return hash_rest(hash);
		}
		struct dentry *parent = dentry->d_parent;
		hash = mix_entry(hash, number_of(out, dentry), dentry->d_name.hash, factor);
		if ((u64)parent == (u64)dentry || !parent)
			return 0;
		dentry = parent;
	}
	return 0;
}

/* The same of a file that is not near: its fields come by calls. */
__noinline u64 hash_far(u64 hash, u32 descriptor)
{
	struct scratch *out = scratch_of(KIND_SYSCALL);
	struct seed *seed = seed_of();
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct file *file = file_of(task, descriptor);
	if (!out || !seed || !file)
		return 0;
	u8 *copy = copy_of(out, file);
	struct walk walk = { (u64)IN_COPY(copy, file, struct file, f_path.dentry), (u64)IN_COPY(copy, file, struct file, f_path.mnt) };
	hash = mix(hash, IN_COPY(copy, file, struct file, f_mode), seed->factor);
	read_root(&walk, task);
	*walk_of(out) = walk;
	return hash_rest(hash);
}

/* The directory that a path is relative to. 0 when there is none, or no way from there to the root. */
__noinline u64 hash_directory(u64 hash, u32 descriptor)
{
	struct scratch *out = scratch_of(KIND_SYSCALL);
	struct seed *seed = seed_of();
	if (!reads_directly || !out || !seed)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	struct fs_struct *fs = task->fs;
	if ((s32)descriptor == AT_FDCWD)
		return hash_walk(out, hash, seed->factor, fs, fs->pwd.dentry, fs->pwd.mnt);
	struct file *file = is_near(task->files, descriptor) ? near_file(task->files, descriptor) : 0;
	if (!file)
		return hash_far(hash, descriptor);
	return hash_walk(out, hash, seed->factor, fs, file->f_path.dentry, file->f_path.mnt);
}

/* The path as it was given. It is the first part of the event. */
static __always_inline u64 hash_path(struct scratch *out, u64 hash, u64 factor, u32 length)
{
	u32 *words = (u32 *)(out->bytes + sizeof(struct header) + 4);
	for (u32 i = 0; i < LONGEST_FILTERED / 4; i++) {
		if (i * 4 + 4 > length)
			break;
		hash = mix(hash, words[i], factor);
	}
	u32 last = words[length / 4];
	return mix(hash, (last & ((1U << (length & 3) * 8) - 1)) + length, factor);
}

/* What is asked for beside the path: flags, and the mode where it counts; of openat2() its structure. */
static __always_inline u64 hash_asked(struct scratch *out, u64 hash, u64 factor, u64 flags, u32 length)
{
	struct header *header = (struct header *)out->bytes;
	if (STRUCT(flags)) {
		u64 *how = (u64 *)place_of(out, sizeof(struct header) + 8 + length);
		for (int i = 0; i < 3; i++)
			hash = mix_long(hash, how[i], factor);
		return hash;
	}
	u32 asked = argument(header, PATH0(flags));
	hash = mix(hash, asked, factor);
	return asked & O_MAKES ? mix(hash, argument(header, PATH0(flags) + 1), factor) : hash;
}

/* The descriptor of the directory that the first path begins at, when it is relative. */
static __always_inline u32 directory_of(struct header *header, u64 flags)
{
	return DIR0(flags) ? argument(header, DIR0(flags) - 1) : AT_FDCWD;
}

/* The key of an open; 0 for one that is always sent. */
__noinline u64 key_of(u64 flags)
{
	struct scratch *out = scratch_of(KIND_SYSCALL);
	struct seed *seed = seed_of();
	if (!reads_directly || !out || !seed || !seed->factor)
		return 0;
	struct header *header = (struct header *)out->bytes;
	u64 factor = seed->factor, hash = mix(seed->start, header->nr, factor);
	u32 length = *(u16 *)(out->bytes + sizeof(*header) + 2), descriptor = header->ret;
	bool is_relative = out->bytes[sizeof(*header) + 4] != '/', failed = header->ret < 0;
	if (header->flags || length >= LONGEST_FILTERED || !length)
		return 0;
	/* The compiler knows the bounds; the verifier is to see them, too. */
	__asm__ volatile("" : "+r"(length));
	length &= LONGEST_FILTERED - 1;
	struct task_struct *task = bpf_get_current_task_btf();
	struct fs_struct *fs = task->fs;
	hash = hash_path(out, hash, factor, length);
	hash = hash_asked(out, hash, factor, flags, length);
	/* What the process is called: its name is that of its first thread. */
	u64 *comm = (u64 *)&task->group_leader->comm;
	hash = mix_long(hash, comm[0], factor);
	hash = mix_long(hash, comm[1], factor);
	hash = mix_long(hash, task->cgroups->dfl_cgrp->kn->id, factor);
	hash = mix_long(hash, number_of(out, fs->root.dentry), factor);
	hash = mix_long(hash, number_of(out, fs->root.mnt), factor);
	if (is_relative) {
		hash = hash_directory(hash, directory_of(header, flags));
		if (!hash)
			return 0;
	}
	/* What failed has no file: all that is said of it is the path that it was asked for by. */
	if (failed)
		return mix(hash, header->ret, factor);
	struct file *file = is_near(task->files, descriptor) ? near_file(task->files, descriptor) : 0;
	if (!file)
		return hash_far(hash, descriptor);
	hash = mix(hash, file->f_mode, factor);
	return hash_walk(out, hash, factor, fs, file->f_path.dentry, file->f_path.mnt);
}

/* Whether a verdict says that nobody wants it; then it is counted as such. */
static __always_inline bool is_unwanted(u64 key, u64 flags)
{
	u32 place = key & (VERDICTS - 1), class = CLASS(flags);
	u64 *verdict = bpf_map_lookup_elem(&verdicts, &place);
	if (!verdict || *verdict != key)
		return false;
	struct counted *counted = bpf_map_lookup_elem(&counters, &class);
	if (counted)
		counted->unwanted += 1;
	return true;
}

#endif
