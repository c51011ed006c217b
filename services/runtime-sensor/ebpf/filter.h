/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Verdicts: opens that no rule in force can match, whatever else is true of them, as the reader found when it judged the like.
 *
 * A verdict is of a key, a hash of all that it follows from: the call and its flags, how it ended, the path as it was given, each
 * entry on the way from the file up to the root of the process, the same of the directory that the path is relative to, the name of the
 * process, and the cgroup. So another file behind the same path, or the same file by another path, is another key. Who knows neither
 * start nor factor can make no two keys equal.
 *
 * Each open has two: one of all that, and one of all but the last name of the path and of the file, for whole folders in which no name
 * can matter. There is no such one for names that begin with a dot, so that rules about hidden files stand in no folder's way, nor where
 * the file is the root of a mount or of the process, and so in no folder.
 */
#ifndef BIOTOPE_FILTER_H
#define BIOTOPE_FILTER_H

#define VERDICTS 65536
#define LONGEST_FILTERED 256
#define LONGEST_NAME 64
#define NO_NAME LONGEST_FILTERED
#define O_MAKES 020000100 /* O_CREAT or O_TMPFILE: then the mode counts */
#define EXECUTABLE 0111 /* all that rules can ask of a mode without asking for all of it, which is no key's matter */

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

/* The same of a directory that is not near: its fields come by calls. */
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

/* The key of the folder, beside that of the file: 0 where there is none. */
static __always_inline u64 *folder_of(struct scratch *out)
{
	return (u64 *)(out->bytes + FOLDER);
}

static __always_inline u8 *byte_of_path(struct scratch *out, u32 at)
{
	return out->bytes + sizeof(struct header) + 4 + (at & (LONGEST_FILTERED - 1));
}

/* Where the last name of a path begins that has so many bytes; NO_NAME when it is long, hidden, or none at all. */
__noinline u32 last_name(u32 length)
{
	struct scratch *out = scratch_of(KIND_SYSCALL);
	u32 at = length;
	if (!out || !length || length >= LONGEST_FILTERED || *byte_of_path(out, length - 1) == '/')
		return NO_NAME;
	for (int i = 0; i < LONGEST_NAME; i++) {
		if (!at || *byte_of_path(out, at - 1) == '/')
			return *byte_of_path(out, at) == '.' ? NO_NAME : at;
		at--;
	}
	return NO_NAME;
}

/* The path as it was given, from one byte on to another. It is the first part of the event. */
__noinline u64 hash_path(u64 hash, u32 from, u32 to)
{
	struct scratch *out = scratch_of(KIND_SYSCALL);
	struct seed *seed = seed_of();
	if (!out || !seed)
		return 0;
	u64 factor = seed->factor;
	u32 length = to - from;
	for (u32 i = 0; i < LONGEST_FILTERED / 4; i++) {
		if (i * 4 + 4 > length)
			break;
		hash = mix(hash, *(u32 *)byte_of_path(out, from + i * 4), factor);
	}
	u32 last = *(u32 *)byte_of_path(out, from + (length & ~3U));
	return mix(hash, (last & ((1U << (length & 3) * 8) - 1)) + length, factor);
}

/* What is asked for beside the path: flags, and the mode where it counts; of openat2() its structure. */
static __always_inline u64 hash_asked(struct scratch *out, u64 hash, u64 factor, u64 flags, u32 length)
{
	struct header *header = (struct header *)out->bytes;
	if (STRUCT(flags)) {
		u64 *how = (u64 *)place_of(out, sizeof(struct header) + 8 + length);
		hash = mix_long(hash, how[0], factor);
		hash = mix(hash, (how[1] & EXECUTABLE) != 0, factor);
		return mix_long(hash, how[2], factor);
	}
	u32 asked = argument(header, PATH0(flags));
	hash = mix(hash, asked, factor);
	return asked & O_MAKES ? mix(hash, (argument(header, PATH0(flags) + 1) & EXECUTABLE) != 0, factor) : hash;
}

/* The descriptor of the directory that the first path begins at, when it is relative. */
static __always_inline u32 directory_of(struct header *header, u64 flags)
{
	return DIR0(flags) ? argument(header, DIR0(flags) - 1) : AT_FDCWD;
}

static __always_inline bool has_verdict(u64 key)
{
	u32 place = key & (VERDICTS - 1);
	u64 *verdict = bpf_map_lookup_elem(&verdicts, &place);
	return key && verdict && *verdict == key;
}

/* Keeps the key of the folder. Says whether its verdict makes that of the file needless. */
static __always_inline bool keep_folder(struct scratch *out, u64 key)
{
	*folder_of(out) = key;
	return has_verdict(key);
}

static __always_inline bool is_hidden(struct dentry *dentry)
{
	const unsigned char *name = dentry->d_name.name;
	if (HAS_SHORT_NAMES && (u64)name == (u64)&dentry->d_shortname)
		return (dentry->d_shortname.words[0] & 0xff) == '.';
	u8 first = '.';
	bpf_probe_read_kernel(&first, sizeof(first), name);
	return first == '.';
}

/* The keys of a file that is near, from the hash of the rest. */
static __always_inline u64 keys_of_file(struct scratch *out, u64 hash, u64 factor, struct fs_struct *fs, struct file *file, u32 name, u32 length)
{
	struct dentry *dentry = file->f_path.dentry, *from = dentry;
	struct vfsmount *mount = file->f_path.mnt;
	bool is_below = (u64)dentry != (u64)mount->mnt_root && (u64)dentry != (u64)fs->root.dentry;
	if (is_below)
		from = dentry->d_parent;
	/* A file that is its own parent is in no folder. */
	if (!from || (is_below && (u64)from == (u64)dentry))
		return 0;
	hash = hash_walk(out, mix(hash, file->f_mode, factor), factor, fs, from, mount);
	if (!hash)
		return 0;
	if (is_below && name < NO_NAME && !is_hidden(dentry) && keep_folder(out, hash))
		return 0;
	if (is_below)
		hash = mix_entry(hash, number_of(out, dentry), dentry->d_name.hash, factor);
	return hash_path(hash, name & (NO_NAME - 1), length);
}

/* The same of a file that is not near: its fields come by calls. */
__noinline u64 keys_of_far(u64 hash, u32 descriptor, u32 name, u32 length)
{
	struct scratch *out = scratch_of(KIND_SYSCALL);
	struct seed *seed = seed_of();
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct file *file = file_of(task, descriptor);
	if (!out || !seed || !file)
		return 0;
	u64 factor = seed->factor;
	u8 *copy = copy_of(out, file), first = '.';
	struct walk walk = { (u64)IN_COPY(copy, file, struct file, f_path.dentry), (u64)IN_COPY(copy, file, struct file, f_path.mnt) };
	hash = mix(hash, IN_COPY(copy, file, struct file, f_mode), factor);
	read_root(&walk, task);
	u64 entry = walk.dentry;
	u32 called = 0;
	struct vfsmount *mount = (struct vfsmount *)walk.mount;
	bool is_below = entry != (u64)BPF_CORE_READ(mount, mnt_root) && entry != walk.root_dentry;
	if (is_below) {
		struct dentry *dentry = (struct dentry *)entry;
		copy = copy_of(out, dentry);
		called = IN_COPY(copy, dentry, struct dentry, d_name.hash);
		walk.dentry = (u64)IN_COPY(copy, dentry, struct dentry, d_parent);
		bpf_probe_read_kernel(&first, sizeof(first), IN_COPY(copy, dentry, struct dentry, d_name.name));
		if (!walk.dentry || walk.dentry == entry)
			return 0;
	}
	*walk_of(out) = walk;
	hash = hash_rest(hash);
	if (!hash)
		return 0;
	if (is_below && name < NO_NAME && first != '.' && keep_folder(out, hash))
		return 0;
	if (is_below)
		hash = mix_entry(hash, entry, called, factor);
	return hash_path(hash, name & (NO_NAME - 1), length);
}

/* The key of an open, and that of its folder; 0 for one that is always sent, or left out with its folder. */
__noinline u64 key_of(u64 flags)
{
	struct scratch *out = scratch_of(KIND_SYSCALL);
	struct seed *seed = seed_of();
	if (!out)
		return 0;
	*folder_of(out) = 0;
	if (!reads_directly || !seed || !seed->factor)
		return 0;
	struct header *header = (struct header *)out->bytes;
	u64 factor = seed->factor, hash = mix(seed->start, header->nr, factor);
	u32 length = *(u16 *)(out->bytes + sizeof(*header) + 2), descriptor = header->ret;
	bool is_relative = *byte_of_path(out, 0) != '/', failed = header->ret < 0;
	if (header->flags || length >= LONGEST_FILTERED || !length)
		return 0;
	/* The compiler knows the bounds; the verifier is to see them, too. */
	__asm__ volatile("" : "+r"(length));
	length &= LONGEST_FILTERED - 1;
	u32 name = last_name(length);
	struct task_struct *task = bpf_get_current_task_btf();
	struct fs_struct *fs = task->fs;
	/* Without a name to leave out, all of the path comes later. */
	hash = hash_path(hash, 0, name & (NO_NAME - 1));
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
	if (failed) {
		hash = mix(hash, header->ret, factor);
		if (name < NO_NAME && keep_folder(out, hash))
			return 0;
		return hash_path(hash, name & (NO_NAME - 1), length);
	}
	struct file *file = is_near(task->files, descriptor) ? near_file(task->files, descriptor) : 0;
	if (!file)
		return keys_of_far(hash, descriptor, name, length);
	return keys_of_file(out, hash, factor, fs, file, name, length);
}

/* Whether a verdict says that nobody wants it; then it is counted as such. */
static __always_inline bool is_unwanted(u64 key, u64 folder, u64 flags)
{
	u32 class = CLASS(flags);
	if (!has_verdict(folder) && !has_verdict(key))
		return false;
	struct counted *counted = bpf_map_lookup_elem(&counters, &class);
	if (counted)
		counted->unwanted += 1;
	return true;
}

#endif
