//! System calls of x86_64 (arch/x86/entry/syscalls/syscall_64.tbl): which the sensor reads, and what of each.

/// What to read of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syscall {
    pub(crate) nr: u32,
    /// Name, which is also the event type.
    pub(crate) name: &'static str,
    /// What the kernel side reads, as ebpf/event.h has it.
    reads: u64,
}

impl Syscall {
    /// The flags for the kernel's interest map.
    pub(crate) fn flags(self) -> u64 {
        self.reads | WANTED
    }

    /// Whether the first path begins at the descriptor in the first argument, when it is relative.
    #[cfg(test)]
    fn has_directory(self) -> bool {
        self.reads & (0xff << 24) != 0
    }
}

/// The system call with a number.
pub(crate) fn by_number(nr: u32) -> Option<&'static Syscall> {
    SYSCALLS.binary_search_by_key(&nr, |syscall| syscall.nr).ok().and_then(|place| SYSCALLS.get(place))
}

/// Whether events of a type ever come.
pub(crate) fn is_watched(event_type: &str) -> bool {
    event_type == "procexit" || SYSCALLS.iter().any(|syscall| syscall.name == event_type)
}

/// The system calls that keep the sensor's state right, or that it counts, whatever the rules say.
pub(crate) const STATE: [&str; 4] = ["chdir", "fchdir", "setsid", "io_uring_setup"];

const WANTED: u64 = 1 << 32;
const SUCCESS: u64 = 1 << 33;
const FILE_OF_RESULT: u64 = 1 << 34;
const FILE_OF_ARG0: u64 = 1 << 35;
const SOCKET_OF_RESULT: u64 = 1 << 36;
const SOCKET: u64 = 1 << 37;
const UDP_ONLY: u64 = 1 << 38;
const NEW_CWD: u64 = 1 << 39;
const MESSAGE: u64 = 1 << 56;
const OPEN: u64 = 4 << 57 | FILE_OF_RESULT;
const NETWORK: u64 = 5 << 57;
const FILE: u64 = 6 << 57;
const PROCESS: u64 = 7 << 57;

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

const fn row(nr: u32, name: &'static str, reads: u64) -> Syscall {
    Syscall { nr, name, reads }
}

/// Sorted by number.
#[rustfmt::skip]
pub(crate) const SYSCALLS: &[Syscall] = &[
    row(2, "open", OPEN | path(0)),
    row(32, "dup", PROCESS | SUCCESS | SOCKET_OF_RESULT),
    row(33, "dup2", PROCESS | SUCCESS | SOCKET_OF_RESULT),
    row(41, "socket", NETWORK),
    row(42, "connect", NETWORK | SOCKET | address(1, 2)),
    row(43, "accept", NETWORK | SUCCESS | SOCKET_OF_RESULT),
    row(44, "sendto", NETWORK | SOCKET | UDP_ONLY | address(4, 5)),
    row(45, "recvfrom", NETWORK | SUCCESS | SOCKET | UDP_ONLY | address_out(4)),
    row(46, "sendmsg", NETWORK | SOCKET | UDP_ONLY | MESSAGE),
    row(47, "recvmsg", NETWORK | SUCCESS | SOCKET | UDP_ONLY | MESSAGE),
    row(49, "bind", NETWORK | SOCKET | address(1, 2)),
    row(50, "listen", NETWORK | SOCKET),
    row(53, "socketpair", NETWORK),
    row(56, "clone", PROCESS),
    row(57, "fork", PROCESS),
    row(58, "vfork", PROCESS),
    row(59, "execve", PROCESS | path(0)),
    row(62, "kill", PROCESS),
    row(76, "truncate", FILE | path(0)),
    row(80, "chdir", PROCESS | SUCCESS | path(0) | NEW_CWD),
    row(81, "fchdir", PROCESS | SUCCESS | NEW_CWD),
    row(82, "rename", FILE | path(0) | path1(1)),
    row(83, "mkdir", FILE | path(0)),
    row(84, "rmdir", FILE | path(0)),
    row(85, "creat", OPEN | path(0)),
    row(86, "link", FILE | path(0) | path1(1)),
    row(87, "unlink", FILE | path(0)),
    row(88, "symlink", FILE | path(0) | path1(1)),
    row(90, "chmod", FILE | path(0)),
    row(91, "fchmod", FILE | FILE_OF_ARG0),
    row(92, "chown", FILE | path(0)),
    row(93, "fchown", FILE | FILE_OF_ARG0),
    row(94, "lchown", FILE | path(0)),
    row(101, "ptrace", PROCESS),
    row(105, "setuid", PROCESS),
    row(106, "setgid", PROCESS),
    row(112, "setsid", PROCESS | SUCCESS),
    row(113, "setreuid", PROCESS),
    row(117, "setresuid", PROCESS),
    row(119, "setresgid", PROCESS),
    row(126, "capset", PROCESS),
    row(133, "mknod", FILE | path(0)),
    row(155, "pivot_root", FILE | path(0) | path1(1)),
    row(157, "prctl", PROCESS),
    row(161, "chroot", FILE | path(0)),
    row(165, "mount", FILE | path(0) | path1(1)),
    row(166, "umount2", FILE | path(0)),
    row(175, "init_module", PROCESS),
    row(176, "delete_module", PROCESS | path(0)),
    row(200, "tkill", PROCESS),
    row(234, "tgkill", PROCESS),
    row(257, "openat", OPEN | at(0, 1)),
    row(258, "mkdirat", FILE | at(0, 1)),
    row(259, "mknodat", FILE | at(0, 1)),
    row(260, "fchownat", FILE | at(0, 1)),
    row(263, "unlinkat", FILE | at(0, 1)),
    row(264, "renameat", FILE | at(0, 1) | at1(2, 3)),
    row(265, "linkat", FILE | at(0, 1) | at1(2, 3)),
    row(266, "symlinkat", FILE | path(0) | at1(1, 2)),
    row(268, "fchmodat", FILE | at(0, 1)),
    row(272, "unshare", PROCESS),
    row(288, "accept4", NETWORK | SUCCESS | SOCKET_OF_RESULT),
    row(292, "dup3", PROCESS | SUCCESS | SOCKET_OF_RESULT),
    row(304, "open_by_handle_at", OPEN),
    row(307, "sendmmsg", NETWORK | SOCKET | UDP_ONLY | MESSAGE),
    row(308, "setns", PROCESS | FILE_OF_ARG0),
    row(310, "process_vm_readv", PROCESS),
    row(311, "process_vm_writev", PROCESS),
    row(313, "finit_module", PROCESS | FILE_OF_ARG0),
    row(316, "renameat2", FILE | at(0, 1) | at1(2, 3)),
    row(317, "seccomp", PROCESS),
    row(319, "memfd_create", PROCESS | path(0)),
    row(321, "bpf", PROCESS),
    row(322, "execveat", PROCESS | at(0, 1)),
    row(323, "userfaultfd", PROCESS),
    row(425, "io_uring_setup", PROCESS | SUCCESS),
    row(434, "pidfd_open", PROCESS),
    row(435, "clone3", PROCESS | structure(0, 64)),
    row(437, "openat2", OPEN | at(0, 1) | structure(2, 24)),
    row(438, "pidfd_getfd", PROCESS | SOCKET_OF_RESULT),
    row(452, "fchmodat2", FILE | at(0, 1)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_found() {
        assert!(SYSCALLS.is_sorted_by_key(|syscall| syscall.nr));
        let openat = by_number(257).unwrap();
        assert_eq!((openat.name, openat.has_directory()), ("openat", true));
        // Path in the second argument, directory in the first, file behind the result, class of opens.
        assert_eq!(openat.flags(), 2 | 1 << 24 | 1 << 32 | 1 << 34 | 4 << 57);
        assert_eq!(by_number(42).unwrap().flags() >> 16 & 0xff, 2);
        assert!(by_number(0).is_none());
    }

    #[test]
    fn every_call_is_an_event_type() {
        for syscall in SYSCALLS {
            assert!(runtime_rules::EventType::named(syscall.name).is_some(), "{}", syscall.name);
        }
    }
}
