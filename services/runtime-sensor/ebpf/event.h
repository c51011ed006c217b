/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The layout of events, shared in meaning with src/decode.rs and src/facts.rs.
 *
 *   event = header, then parts: u16 id, u16 length, bytes
 *   names = u8 status, then the names of a path from the last to the first, each closed by a zero
 *
 * Parts may be added within a version: a reader passes over those that it does not know.
 */
#ifndef BIOTOPE_EVENT_H
#define BIOTOPE_EVENT_H

#define VERSION 1

enum kind { KIND_SYSCALL = 0, KIND_EXEC = 1, KIND_FORK = 2, KIND_EXIT = 3, KINDS = 4 };

/* What losses are told by. The first four are the kinds. */
enum class { CLASS_OPEN = 4, CLASS_NETWORK = 5, CLASS_FILE = 6, CLASS_PROCESS = 7, CLASSES = 8 };

enum part {
	PART_PATH0 = 1,
	PART_PATH1 = 2,
	PART_SOCKADDR = 3,
	PART_ARGV = 4,
	PART_ENVP = 5,
	PART_EXEC = 6,
	PART_EXE = 7, /* names */
	PART_CWD = 8, /* names */
	PART_FILE = 9,
	PART_FILE_PATH = 10, /* names */
	PART_SOCKET = 11,
	PART_DIR0 = 12, /* names */
	PART_DIR1 = 13, /* names */
	PART_STRUCT = 14,
	PART_CGROUP = 15, /* names */
	PART_UNIX = 16,
	PART_OPENED = 17,
	PART_PAYLOAD = 18,
	PART_STREAM = 19, /* and the next two: standard input, output and error */
	PART_STREAM_PATH = 22, /* names; and the next two */
	PART_KEY = 25, /* of verdicts on the file and on its folder, see filter.h */
};

enum { FLAG_TRUNCATED = 1, FLAG_FAULT = 2 };

/* How a walk up a path ended: at the root of the process, at the limit, or at a file that is in no directory. */
enum { NAMES_COMPLETE = 0, NAMES_CUT = 1, NAMES_DETACHED = 2 };

enum { LAYER_UPPER = 1, LAYER_LOWER = 2, FROM_MEMORY = 4, READ_ONLY = 8 };

struct header {
	u16 version;
	u16 kind;
	u32 length;
	u64 time_ns; /* since boot, suspended time included */
	u32 nr;
	u32 flags;
	u32 tgid, tid, ppid;
	u32 uid, euid, egid;
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

struct file_facts {
	u64 inode, device;
	u64 ctime_ns, mtime_ns;
	u32 mode, uid, gid, links;
	u32 open_mode; /* FMODE_* of the open file */
	u32 layer;
};

/* What of the file behind a descriptor is asked for often, and no more: opens are frequent. */
struct opened_facts {
	u64 inode;
	u32 device, mode;
	u32 open_mode;
	u32 layer;
};

struct exec_facts {
	struct file_facts file;
	u64 cap_inheritable;
	u64 namespace_start_ns; /* of the first process of the pid namespace */
	u32 tty, session, group, group_in_namespace, login_uid;
	u32 seccomp; /* SECCOMP_MODE_* */
	u64 cap_bounding;
};

struct socket_facts {
	u64 inode;
	u16 family, type, protocol, state;
	u16 local_port, remote_port;
	u32 reserved;
	u8 local[16], remote[16];
};

/* What is behind one of the first three descriptors. Of a file the first two, and its path. */
struct stream_facts {
	u32 mode;
	u32 reserved;
	struct socket_facts socket;
};

/* What the kernel counted of a class. Nothing is lost without being counted here or as a missed run of the program. */
struct counted {
	u64 sent, dropped, bytes;
	u64 unwanted; /* left out by verdicts */
};

/* What to read for a syscall: argument number + 1, 0 for none. */
#define PATH0(flags) ((flags) & 0xff)
#define PATH1(flags) (((flags) >> 8) & 0xff)
#define SOCKADDR(flags) (((flags) >> 16) & 0xff)
#define DIR0(flags) (((flags) >> 24) & 0xf)
#define DIR1(flags) (((flags) >> 28) & 0xf)
#define WANTED (1ULL << 32)
#define SUCCESS_ONLY (1ULL << 33)
/* The file or socket behind a descriptor. */
#define OF_RESULT (1ULL << 34)
#define OF_ARG0 (1ULL << 35)
/* The first bytes that went through it. */
#define PAYLOAD (1ULL << 36)
#define SOCKETS_ONLY (1ULL << 37)
#define DATAGRAMS_ONLY (1ULL << 38)
#define NEW_CWD (1ULL << 39)
#define STRUCT(flags) (((flags) >> 40) & 0xf)
#define STRUCT_BYTES(flags) (((flags) >> 44) & 0xff)
#define SOCKADDR_LENGTH(flags) (((flags) >> 52) & 0xf)
#define MESSAGE (1ULL << 56)
#define CLASS(flags) (((flags) >> 57) & 0x7)
/* Whether verdicts may leave it out: an open by a path. */
#define FILTERED (1ULL << 60)

#endif
