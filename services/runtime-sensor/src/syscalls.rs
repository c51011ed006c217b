//! System calls of x86_64 (arch/x86/entry/syscalls/syscall_64.tbl): which the sensor reads, and which arguments of each.

/// What to read of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syscall {
    pub(crate) nr: u32,
    /// Name, which is also the event type.
    pub(crate) name: &'static str,
    /// Argument number + 1 of the first path; 0 for none.
    path0: u8,
    path1: u8,
    address: u8,
    /// Whether failures matter too.
    failures: bool,
}

impl Syscall {
    /// The flags for the kernel's interest map.
    pub(crate) fn flags(self) -> u64 {
        let reads = u64::from(self.path0) | u64::from(self.path1) << 8 | u64::from(self.address) << 16;
        reads | WANTED | if self.failures { 0 } else { SUCCESS_ONLY }
    }
}

/// The system call with a number.
pub(crate) fn by_number(nr: u32) -> Option<&'static Syscall> {
    SYSCALLS.binary_search_by_key(&nr, |syscall| syscall.nr).ok().and_then(|place| SYSCALLS.get(place))
}

/// The system calls that keep the sensor's state right, whatever the rules say.
pub(crate) const STATE: [&str; 4] = ["chdir", "fchdir", "setsid", "execve"];

const WANTED: u64 = 1 << 32;
const SUCCESS_ONLY: u64 = 1 << 33;

const fn row(nr: u32, name: &'static str, (path0, path1, address): (u8, u8, u8), failures: bool) -> Syscall {
    Syscall { nr, name, path0, path1, address, failures }
}

const NONE: (u8, u8, u8) = (0, 0, 0);

/// Sorted by number.
pub(crate) const SYSCALLS: &[Syscall] = &[
    row(2, "open", (1, 0, 0), true),
    row(32, "dup", NONE, false),
    row(33, "dup2", NONE, false),
    row(41, "socket", NONE, true),
    row(42, "connect", (0, 0, 2), true),
    row(43, "accept", (0, 0, 2), false),
    row(44, "sendto", (0, 0, 5), true),
    row(45, "recvfrom", (0, 0, 5), false),
    row(46, "sendmsg", NONE, true),
    row(47, "recvmsg", NONE, false),
    row(49, "bind", (0, 0, 2), true),
    row(50, "listen", NONE, true),
    row(59, "execve", (1, 0, 0), true),
    row(62, "kill", NONE, true),
    row(76, "truncate", (1, 0, 0), true),
    row(80, "chdir", (1, 0, 0), false),
    row(81, "fchdir", NONE, false),
    row(82, "rename", (1, 2, 0), true),
    row(83, "mkdir", (1, 0, 0), true),
    row(84, "rmdir", (1, 0, 0), true),
    row(85, "creat", (1, 0, 0), true),
    row(86, "link", (1, 2, 0), true),
    row(87, "unlink", (1, 0, 0), true),
    row(88, "symlink", (1, 2, 0), true),
    row(90, "chmod", (1, 0, 0), true),
    row(91, "fchmod", NONE, true),
    row(92, "chown", (1, 0, 0), true),
    row(93, "fchown", NONE, true),
    row(94, "lchown", (1, 0, 0), true),
    row(101, "ptrace", NONE, true),
    row(105, "setuid", NONE, true),
    row(106, "setgid", NONE, true),
    row(112, "setsid", NONE, false),
    row(113, "setreuid", NONE, true),
    row(117, "setresuid", NONE, true),
    row(119, "setresgid", NONE, true),
    row(126, "capset", NONE, true),
    row(133, "mknod", (1, 0, 0), true),
    row(155, "pivot_root", (1, 2, 0), true),
    row(157, "prctl", NONE, true),
    row(161, "chroot", (1, 0, 0), true),
    row(165, "mount", (1, 2, 0), true),
    row(166, "umount2", (1, 0, 0), true),
    row(175, "init_module", NONE, true),
    row(176, "delete_module", NONE, true),
    row(200, "tkill", NONE, true),
    row(234, "tgkill", NONE, true),
    row(257, "openat", (2, 0, 0), true),
    row(258, "mkdirat", (2, 0, 0), true),
    row(259, "mknodat", (2, 0, 0), true),
    row(260, "fchownat", (2, 0, 0), true),
    row(263, "unlinkat", (2, 0, 0), true),
    row(264, "renameat", (2, 4, 0), true),
    row(265, "linkat", (2, 4, 0), true),
    row(266, "symlinkat", (1, 3, 0), true),
    row(268, "fchmodat", (2, 0, 0), true),
    row(272, "unshare", NONE, true),
    row(288, "accept4", (0, 0, 2), false),
    row(292, "dup3", NONE, false),
    row(304, "open_by_handle_at", NONE, true),
    row(307, "sendmmsg", NONE, true),
    row(308, "setns", NONE, true),
    row(310, "process_vm_readv", NONE, true),
    row(311, "process_vm_writev", NONE, true),
    row(313, "finit_module", NONE, true),
    row(316, "renameat2", (2, 4, 0), true),
    row(317, "seccomp", NONE, true),
    row(319, "memfd_create", (1, 0, 0), true),
    row(321, "bpf", NONE, true),
    row(322, "execveat", (2, 0, 0), true),
    row(323, "userfaultfd", NONE, true),
    row(425, "io_uring_setup", NONE, true),
    row(434, "pidfd_open", NONE, true),
    row(437, "openat2", (2, 0, 0), true),
    row(438, "pidfd_getfd", NONE, true),
    row(452, "fchmodat2", (2, 0, 0), true),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_found() {
        assert!(SYSCALLS.is_sorted_by_key(|syscall| syscall.nr));
        assert_eq!(by_number(257).unwrap().name, "openat");
        assert_eq!(by_number(257).unwrap().flags(), 2 | 1 << 32);
        assert!(by_number(0).is_none());
    }
}
