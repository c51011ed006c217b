//! System calls of x86-64: which of them the kernel side is asked for, and what it reads of each.

mod names;

use std::sync::LazyLock;

use runtime_rules::EventType;

use crate::decode::Class;

/// What to read of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syscall {
    pub(crate) nr: u32,
    /// Name, as `evt.type` has it.
    pub(crate) name: &'static str,
    pub(crate) event_type: EventType,
    /// Whether it opens a file by its path, or makes one.
    pub(crate) is_open: bool,
    /// What the kernel side reads, as ebpf/event.h has it.
    reads: u64,
}

/// How much of a call's events the rules need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Need {
    /// Also calls that failed.
    pub(crate) failures: bool,
    /// Also those about sockets that are no datagram sockets.
    pub(crate) streams: bool,
    /// The first bytes that went through.
    pub(crate) payload: bool,
}

impl Syscall {
    /// The flags for the kernel's interest map.
    pub(crate) fn flags(self, need: Need) -> u64 {
        let mut flags = self.reads | WANTED;
        if self.is_open && self.reads & 0xff != 0 {
            flags |= FILTERED;
        }
        if !need.failures {
            flags |= SUCCESS;
        }
        if need.streams {
            flags &= !DATAGRAMS;
        }
        if !need.payload {
            flags &= !PAYLOAD;
        }
        flags
    }

    /// Whether events of sockets other than those of datagrams are left out unless a rule needs them.
    pub(crate) fn is_for_datagrams(self) -> bool {
        self.reads & DATAGRAMS != 0
    }

    /// Whether anything but numbers is read of it. Others only come when a rule names them.
    pub(crate) fn is_telling(self) -> bool {
        self.reads & !(7 << CLASS) != 0 || self.reads >> CLASS == Class::Process as u64
    }

    /// Whether the texts that are read of it are paths.
    pub(crate) fn names_files(self) -> bool {
        let texts =
            ["memfd_create", "init_module", "finit_module", "delete_module", "add_key", "request_key", "fsopen"];
        !texts.contains(&self.name) && self.reads & 0xffff != 0
    }

    /// The descriptor that a call with these arguments and this result is about.
    pub(crate) fn descriptor(self, first: u64, ret: i64) -> Option<i64> {
        if self.reads & OF_RESULT != 0 {
            // A failed call has none, whatever the error.
            return Some(ret.max(-1));
        }
        // Descriptors are ints; the upper half of the register means nothing.
        (self.reads & OF_ARG0 != 0).then(|| i64::from(((first & 0xffff_ffff) as u32).cast_signed()))
    }

    /// Whether paths are relative to descriptors.
    pub(crate) fn is_at(self) -> bool {
        self.reads & (0xff << 24) != 0
    }
}

/// The system call with a number.
pub(crate) fn by_number(nr: u32) -> Option<&'static Syscall> {
    TABLE.get(usize::try_from(nr).ok()?)?.as_ref()
}

/// Every system call.
pub(crate) fn all() -> impl Iterator<Item = &'static Syscall> {
    TABLE.iter().flatten()
}

/// Whether events of a type ever come.
pub(crate) fn is_watched(event_type: &str) -> bool {
    event_type == "procexit" || all().any(|syscall| syscall.name == event_type)
}

/// The system calls that keep the sensor's state right, or that it counts, whatever the rules say.
pub(crate) const STATE: [&str; 5] = ["chdir", "fchdir", "setsid", "setpgid", "io_uring_setup"];

/// By number.
static TABLE: LazyLock<Vec<Option<Syscall>>> = LazyLock::new(|| {
    let most = names::NAMES.last().map_or(0, |(nr, _)| *nr);
    let mut table = vec![None; usize::try_from(most).unwrap_or(0) + 1];
    for (nr, name) in names::NAMES {
        let reads = READS.iter().find(|(known, _)| known == name).map_or(0, |(_, reads)| *reads);
        let place = usize::try_from(*nr).ok().and_then(|nr| table.get_mut(nr));
        if let (Some(place), Some(event_type)) = (place, EventType::named(name)) {
            let is_open = reads >> CLASS == Class::Open as u64;
            *place = Some(Syscall { nr: *nr, name, event_type, is_open, reads });
        }
    }
    table
});

const WANTED: u64 = 1 << 32;
const SUCCESS: u64 = 1 << 33;
const OF_RESULT: u64 = 1 << 34;
const OF_ARG0: u64 = 1 << 35;
const PAYLOAD: u64 = 1 << 36;
const DATAGRAMS: u64 = 1 << 38;
const NEW_CWD: u64 = 1 << 39;
const MESSAGE: u64 = 1 << 56;
const CLASS: u32 = 57;
const FILTERED: u64 = 1 << 60;
const OTHER: u64 = 0;
const OPEN: u64 = (Class::Open as u64) << CLASS | OF_RESULT;
const NETWORK: u64 = (Class::Network as u64) << CLASS;
const FILE: u64 = (Class::File as u64) << CLASS;
const PROCESS: u64 = (Class::Process as u64) << CLASS;

/// The path in an argument (counted from 0).
const fn path(argument: u64) -> u64 {
    argument + 1
}

/// A second path.
const fn path1(argument: u64) -> u64 {
    (argument + 1) << 8
}

/// The path in an argument, relative to the descriptor in another.
const fn at(directory: u64, argument: u64) -> u64 {
    path(argument) | (directory + 1) << 24
}

const fn at1(directory: u64, argument: u64) -> u64 {
    path1(argument) | (directory + 1) << 28
}

/// A socket address and its length.
const fn address(argument: u64, length: u64) -> u64 {
    (argument + 1) << 16 | (length + 1) << 52
}

/// A socket address that the kernel wrote.
const fn address_out(argument: u64) -> u64 {
    (argument + 1) << 16
}

/// So many bytes behind the pointer in an argument.
const fn structure(argument: u64, bytes: u64) -> u64 {
    (argument + 1) << 40 | bytes << 44
}

/// What is read of each; of those that are not here, numbers only.
#[rustfmt::skip]
const READS: &[(&str, u64)] = &[
    ("read", OTHER | PAYLOAD | OF_ARG0),
    ("write", OTHER | PAYLOAD | OF_ARG0),
    ("open", OPEN | path(0)),
    ("stat", FILE | path(0)),
    ("fstat", OTHER | OF_ARG0),
    ("lstat", FILE | path(0)),
    ("lseek", OTHER | OF_ARG0),
    ("ioctl", OTHER | OF_ARG0),
    ("pread", OTHER | PAYLOAD | OF_ARG0),
    ("pwrite", OTHER | PAYLOAD | OF_ARG0),
    ("readv", OTHER | OF_ARG0),
    ("writev", OTHER | OF_ARG0),
    ("access", FILE | path(0)),
    ("dup", PROCESS | OF_RESULT),
    ("dup2", PROCESS | OF_RESULT),
    ("sendfile", OTHER | OF_ARG0),
    ("socket", NETWORK | OF_RESULT),
    ("connect", NETWORK | OF_ARG0 | address(1, 2)),
    ("accept", NETWORK | OF_RESULT),
    ("sendto", NETWORK | OF_ARG0 | DATAGRAMS | address(4, 5) | PAYLOAD),
    ("recvfrom", NETWORK | OF_ARG0 | DATAGRAMS | address_out(4) | PAYLOAD),
    ("sendmsg", NETWORK | OF_ARG0 | DATAGRAMS | MESSAGE | PAYLOAD),
    ("recvmsg", NETWORK | OF_ARG0 | DATAGRAMS | MESSAGE | PAYLOAD),
    ("shutdown", NETWORK | OF_ARG0),
    ("bind", NETWORK | OF_ARG0 | address(1, 2)),
    ("listen", NETWORK | OF_ARG0),
    ("getsockname", NETWORK | OF_ARG0),
    ("getpeername", NETWORK | OF_ARG0),
    ("socketpair", NETWORK),
    ("setsockopt", NETWORK | OF_ARG0),
    ("getsockopt", NETWORK | OF_ARG0),
    ("clone", PROCESS),
    ("fork", PROCESS),
    ("vfork", PROCESS),
    ("execve", PROCESS | path(0)),
    ("kill", PROCESS),
    ("fcntl", OTHER | OF_ARG0),
    ("flock", OTHER | OF_ARG0),
    ("fsync", OTHER | OF_ARG0),
    ("truncate", FILE | path(0)),
    ("ftruncate", OTHER | OF_ARG0),
    ("getdents", OTHER | OF_ARG0),
    ("chdir", PROCESS | path(0) | NEW_CWD),
    ("fchdir", PROCESS | OF_ARG0 | NEW_CWD),
    ("rename", FILE | path(0) | path1(1)),
    ("mkdir", FILE | path(0)),
    ("rmdir", FILE | path(0)),
    ("creat", OPEN | path(0)),
    ("link", FILE | path(0) | path1(1)),
    ("unlink", FILE | path(0)),
    ("symlink", FILE | path(0) | path1(1)),
    ("readlink", FILE | path(0)),
    ("chmod", FILE | path(0)),
    ("fchmod", FILE | OF_ARG0),
    ("chown", FILE | path(0)),
    ("fchown", FILE | OF_ARG0),
    ("lchown", FILE | path(0)),
    ("ptrace", PROCESS),
    ("setuid", PROCESS),
    ("setgid", PROCESS),
    ("setpgid", PROCESS),
    ("setsid", PROCESS),
    ("setreuid", PROCESS),
    ("setregid", PROCESS),
    ("setgroups", PROCESS),
    ("setresuid", PROCESS),
    ("setresgid", PROCESS),
    ("setfsuid", PROCESS),
    ("setfsgid", PROCESS),
    ("capget", PROCESS),
    ("capset", PROCESS),
    ("rt_sigqueueinfo", PROCESS),
    ("utime", FILE | path(0)),
    ("mknod", FILE | path(0)),
    ("uselib", FILE | path(0)),
    ("personality", PROCESS),
    ("statfs", FILE | path(0)),
    ("vhangup", PROCESS),
    ("modify_ldt", PROCESS),
    ("pivot_root", FILE | path(0) | path1(1)),
    ("prctl", PROCESS),
    ("setrlimit", PROCESS),
    ("chroot", FILE | path(0)),
    ("acct", FILE | path(0)),
    ("settimeofday", PROCESS),
    ("mount", FILE | path(0) | path1(1) | structure(2, 16)),
    ("umount2", FILE | path(0)),
    ("swapon", FILE | path(0)),
    ("swapoff", FILE | path(0)),
    ("reboot", PROCESS),
    ("sethostname", PROCESS | path(0)),
    ("setdomainname", PROCESS | path(0)),
    ("iopl", PROCESS),
    ("ioperm", PROCESS),
    ("init_module", PROCESS | path(2)),
    ("delete_module", PROCESS | path(0)),
    ("setxattr", FILE | path(0)),
    ("lsetxattr", FILE | path(0)),
    ("fsetxattr", FILE | OF_ARG0),
    ("getxattr", FILE | path(0)),
    ("lgetxattr", FILE | path(0)),
    ("listxattr", FILE | path(0)),
    ("llistxattr", FILE | path(0)),
    ("removexattr", FILE | path(0)),
    ("lremovexattr", FILE | path(0)),
    ("tkill", PROCESS),
    ("getdents64", OTHER | OF_ARG0),
    ("clock_settime", PROCESS),
    ("tgkill", PROCESS),
    ("utimes", FILE | path(0)),
    ("kexec_load", PROCESS),
    ("add_key", PROCESS | path(0) | path1(1)),
    ("request_key", PROCESS | path(0) | path1(1)),
    ("keyctl", PROCESS),
    ("openat", OPEN | at(0, 1)),
    ("mkdirat", FILE | at(0, 1)),
    ("mknodat", FILE | at(0, 1)),
    ("fchownat", FILE | at(0, 1)),
    ("futimesat", FILE | at(0, 1)),
    ("newfstatat", FILE | at(0, 1)),
    ("unlinkat", FILE | at(0, 1)),
    ("renameat", FILE | at(0, 1) | at1(2, 3)),
    ("linkat", FILE | at(0, 1) | at1(2, 3)),
    ("symlinkat", FILE | path(0) | at1(1, 2)),
    ("readlinkat", FILE | at(0, 1)),
    ("fchmodat", FILE | at(0, 1)),
    ("faccessat", FILE | at(0, 1)),
    ("unshare", PROCESS),
    ("utimensat", FILE | at(0, 1)),
    ("fallocate", OTHER | OF_ARG0),
    ("accept4", NETWORK | OF_RESULT),
    ("dup3", PROCESS | OF_RESULT),
    ("preadv", OTHER | OF_ARG0),
    ("pwritev", OTHER | OF_ARG0),
    ("rt_tgsigqueueinfo", PROCESS),
    ("perf_event_open", PROCESS | OF_RESULT),
    ("recvmmsg", NETWORK | OF_ARG0 | DATAGRAMS | MESSAGE),
    ("fanotify_init", PROCESS | OF_RESULT),
    ("fanotify_mark", PROCESS),
    ("prlimit", PROCESS),
    ("name_to_handle_at", FILE | at(0, 1)),
    ("open_by_handle_at", OPEN),
    ("sendmmsg", NETWORK | OF_ARG0 | DATAGRAMS | MESSAGE),
    ("setns", PROCESS | OF_ARG0),
    ("process_vm_readv", PROCESS),
    ("process_vm_writev", PROCESS),
    ("kcmp", PROCESS),
    ("finit_module", PROCESS | OF_ARG0 | path(1)),
    ("renameat2", FILE | at(0, 1) | at1(2, 3)),
    ("seccomp", PROCESS),
    ("memfd_create", PROCESS | path(0) | OF_RESULT),
    ("kexec_file_load", PROCESS),
    ("bpf", PROCESS),
    ("execveat", PROCESS | at(0, 1)),
    ("userfaultfd", PROCESS | OF_RESULT),
    ("preadv2", OTHER | OF_ARG0),
    ("pwritev2", OTHER | OF_ARG0),
    ("statx", FILE | at(0, 1)),
    ("pidfd_send_signal", PROCESS),
    ("io_uring_setup", PROCESS | OF_RESULT),
    ("open_tree", FILE | at(0, 1)),
    ("move_mount", FILE | at(0, 1) | at1(2, 3)),
    ("fsopen", FILE | path(0) | OF_RESULT),
    ("pidfd_open", PROCESS | OF_RESULT),
    ("clone3", PROCESS | structure(0, 64)),
    ("openat2", OPEN | at(0, 1) | structure(2, 24)),
    ("pidfd_getfd", PROCESS | OF_RESULT),
    ("faccessat2", FILE | at(0, 1)),
    ("process_madvise", PROCESS),
    ("mount_setattr", FILE | at(0, 1)),
    ("memfd_secret", PROCESS | OF_RESULT),
    ("fchmodat2", FILE | at(0, 1)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_found_by_its_number() {
        assert!(names::NAMES.is_sorted_by_key(|(nr, _)| nr));
        assert_eq!(all().count(), names::NAMES.len(), "every name is an event type");
        for (nr, name) in names::NAMES {
            assert_eq!(by_number(*nr).map(|syscall| (syscall.nr, syscall.name)), Some((*nr, *name)));
        }
        for (name, _) in READS {
            assert_eq!(READS.iter().filter(|(other, _)| other == name).count(), 1, "{name}");
            assert!(all().any(|syscall| syscall.name == *name), "{name}");
        }
        assert!(by_number(5_000).is_none());
    }

    #[test]
    fn what_the_kernel_is_asked_for() {
        let flags = |nr, need| by_number(nr).unwrap().flags(need);
        let all = Need { failures: true, streams: true, payload: true };
        // Path in the second argument, directory in the first, file behind the result, class of opens.
        assert_eq!(flags(257, all), 2 | 1 << 24 | 1 << 32 | 1 << 34 | 4 << 57 | FILTERED);
        assert_eq!(flags(304, all) & FILTERED, 0, "by a handle, not by a path");
        assert_eq!(flags(42, all) >> 16 & 0xff, 2);
        assert_eq!(flags(44, all) & (DATAGRAMS | PAYLOAD), PAYLOAD);
        assert_eq!(flags(44, Need::default()) & (SUCCESS | DATAGRAMS | PAYLOAD), SUCCESS | DATAGRAMS);
        assert!(by_number(105).unwrap().is_telling() && !by_number(202).unwrap().is_telling());
    }
}
