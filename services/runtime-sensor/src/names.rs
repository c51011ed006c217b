//! Words for numbers, as rules compare them: flags of open, address families, errors, requests of ptrace.

mod capabilities;
mod errors;

use capabilities::CAPABILITIES;

use crate::facts::OpenedFacts;
use crate::process::Program;

/// The access mode and flags of open(2) and what came of it, joined by `|`, in upstream's order.
pub(crate) fn open_flags(flags: u64, file: Option<&OpenedFacts>) -> String {
    let mut words = Vec::new();
    for (bit, word) in OPEN_FLAGS {
        let is_there = match *word {
            "O_RDWR" => flags & 3 == 2,
            "O_WRONLY" => flags & 3 == 1,
            "O_RDONLY" => flags & 3 == 0,
            _ => flags & bit == *bit,
        };
        if is_there {
            words.push(*word);
        }
    }
    if file.is_some_and(OpenedFacts::is_created) {
        words.push("O_F_CREATED");
    }
    words.join("|")
}

/// The type of a file in upstream's letter and word: by its mode, and where it is in no directory, by its name.
pub(crate) fn kind_of_file(mode: u32, name: &str) -> (&'static str, &'static str) {
    match mode & 0o170_000 {
        0o040_000 => ("d", "directory"),
        0o010_000 => ("p", "pipe"),
        _ if name.starts_with("memfd:") => ("m", "memfd"),
        _ if name.starts_with('/') => ("f", "file"),
        _ => {
            let found = ANONYMOUS.iter().find(|(part, _, _)| name.contains(part));
            found.map_or(("f", "file"), |(_, letter, word)| (*letter, *word))
        }
    }
}

/// What upstream says of an executable: `EXE_WRITABLE|EXE_UPPER_LAYER|EXE_FROM_MEMFD`.
pub(crate) fn exe_flags(program: &Program) -> String {
    let words = [
        (program.is_writable, "EXE_WRITABLE"),
        (program.file.is_upper(), "EXE_UPPER_LAYER"),
        (program.is_from_memory, "EXE_FROM_MEMFD"),
        (program.file.is_lower(), "EXE_LOWER_LAYER"),
    ];
    words.into_iter().filter(|(is_there, _)| *is_there).map(|(_, word)| word).collect::<Vec<_>>().join("|")
}

/// Name of a signal (signal(7)).
pub(crate) fn signal(number: u64) -> String {
    named(SIGNALS, number)
}

/// Name of a command of bpf(2).
pub(crate) fn bpf(number: u64) -> String {
    named(BPF_COMMANDS, number)
}

/// Name of an option of prctl(2).
pub(crate) fn prctl(number: u64) -> String {
    named(PRCTL, number)
}

/// Type of a socket, without the flags that may be in it.
pub(crate) fn socket_type(number: u64) -> String {
    named(SOCKET_TYPES, number & 0xf)
}

/// Transport protocol of a socket.
pub(crate) fn protocol(number: u16) -> &'static str {
    match number {
        1 | 58 => "icmp",
        6 | 262 => "tcp",
        17 | 136 => "udp",
        255 => "raw",
        _ => "na",
    }
}

/// The flags of umount2(2), joined by `|`.
pub(crate) fn umount_flags(flags: u64) -> String {
    joined(UMOUNT_FLAGS, flags)
}

/// The flags of mount(2), joined by `|`.
pub(crate) fn mount_flags(flags: u64) -> String {
    joined(MOUNT_FLAGS, flags)
}

/// The flags of memfd_create(2), joined by `|`.
pub(crate) fn memfd_flags(flags: u64) -> String {
    joined(&[(1, "MFD_CLOEXEC"), (2, "MFD_ALLOW_SEALING"), (4, "MFD_HUGETLB")], flags)
}

fn named(table: &[(u64, &str)], number: u64) -> String {
    let found = table.iter().find(|(known, _)| *known == number);
    found.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}

fn joined(table: &[(u64, &str)], flags: u64) -> String {
    let words: Vec<&str> = table.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, word)| *word).collect();
    words.join("|")
}

/// The bits of a mode that rules look for.
pub(crate) fn mode(mode: u64) -> String {
    joined(MODES, mode)
}

/// `SUCCESS`, or the name of the error.
pub(crate) fn result(ret: i64) -> String {
    if ret >= 0 {
        return "SUCCESS".to_owned();
    }
    let found = errors::ERRORS.iter().find(|(number, _)| *number == -ret);
    found.map_or_else(|| format!("{}", -ret), |(_, name)| (*name).to_owned())
}

/// Name of an address family.
pub(crate) fn family(number: u64) -> String {
    named(FAMILIES, number)
}

/// Name of a ptrace(2) request.
pub(crate) fn ptrace(number: u64) -> String {
    named(PTRACE, number)
}

/// Names of capabilities, joined by a blank.
pub(crate) fn capabilities(set: u64) -> String {
    let words = CAPABILITIES.iter().enumerate().filter(|(bit, _)| set & (1 << bit) != 0).map(|(_, word)| *word);
    words.collect::<Vec<_>>().join(" ")
}

/// Names of the namespaces that clone flags are about, joined by `|`.
pub(crate) fn clone_flags(flags: u64) -> String {
    joined(CLONE_FLAGS, flags)
}

const ANONYMOUS: &[(&str, &str, &str)] = &[
    ("eventpoll", "l", "eventpoll"),
    ("eventfd", "e", "event"),
    ("signalfd", "s", "signalfd"),
    ("timerfd", "t", "timerfd"),
    ("inotify", "i", "inotify"),
    ("userfaultfd", "u", "userfaultfd"),
    ("io_uring", "r", "io_uring"),
    ("bpf", "b", "bpf"),
    ("pidfd", "P", "pidfd"),
];

const OPEN_FLAGS: &[(u64, &str)] = &[
    (0o100_000, "O_LARGEFILE"),
    (0o200_000, "O_DIRECTORY"),
    (0o40000, "O_DIRECT"),
    (0o1000, "O_TRUNC"),
    (0o4_010_000, "O_SYNC"),
    (0o4000, "O_NONBLOCK"),
    (0o200, "O_EXCL"),
    (0o10000, "O_DSYNC"),
    (0o2000, "O_APPEND"),
    (0o100, "O_CREAT"),
    (2, "O_RDWR"),
    (1, "O_WRONLY"),
    (0, "O_RDONLY"),
    (0o2_000_000, "O_CLOEXEC"),
    (0o20_200_000, "O_TMPFILE"),
    (0o400_000, "O_NOFOLLOW"),
];

const MODES: &[(u64, &str)] = &[
    (0o4000, "S_ISUID"),
    (0o2000, "S_ISGID"),
    (0o1000, "S_ISVTX"),
    (0o400, "S_IRUSR"),
    (0o200, "S_IWUSR"),
    (0o100, "S_IXUSR"),
    (0o40, "S_IRGRP"),
    (0o20, "S_IWGRP"),
    (0o10, "S_IXGRP"),
    (0o4, "S_IROTH"),
    (0o2, "S_IWOTH"),
    (0o1, "S_IXOTH"),
];

const FAMILIES: &[(u64, &str)] = &[
    (0, "AF_UNSPEC"),
    (1, "AF_UNIX"),
    (2, "AF_INET"),
    (10, "AF_INET6"),
    (16, "AF_NETLINK"),
    (17, "AF_PACKET"),
    (40, "AF_VSOCK"),
];

const SIGNALS: &[(u64, &str)] = &[
    (0, "0"),
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (10, "SIGUSR1"),
    (11, "SIGSEGV"),
    (12, "SIGUSR2"),
    (13, "SIGPIPE"),
    (14, "SIGALRM"),
    (15, "SIGTERM"),
    (17, "SIGCHLD"),
    (18, "SIGCONT"),
    (19, "SIGSTOP"),
    (20, "SIGTSTP"),
    (28, "SIGWINCH"),
];

const BPF_COMMANDS: &[(u64, &str)] = &[
    (0, "BPF_MAP_CREATE"),
    (1, "BPF_MAP_LOOKUP_ELEM"),
    (2, "BPF_MAP_UPDATE_ELEM"),
    (3, "BPF_MAP_DELETE_ELEM"),
    (4, "BPF_MAP_GET_NEXT_KEY"),
    (5, "BPF_PROG_LOAD"),
    (6, "BPF_OBJ_PIN"),
    (7, "BPF_OBJ_GET"),
    (8, "BPF_PROG_ATTACH"),
    (9, "BPF_PROG_DETACH"),
    (10, "BPF_PROG_TEST_RUN"),
    (17, "BPF_RAW_TRACEPOINT_OPEN"),
    (18, "BPF_BTF_LOAD"),
    (28, "BPF_LINK_CREATE"),
];

const PRCTL: &[(u64, &str)] = &[
    (1, "PR_SET_PDEATHSIG"),
    (4, "PR_SET_DUMPABLE"),
    (8, "PR_SET_KEEPCAPS"),
    (15, "PR_SET_NAME"),
    (16, "PR_GET_NAME"),
    (22, "PR_SET_SECCOMP"),
    (24, "PR_CAPBSET_DROP"),
    (36, "PR_SET_CHILD_SUBREAPER"),
    (38, "PR_SET_NO_NEW_PRIVS"),
    (47, "PR_CAP_AMBIENT"),
];

const SOCKET_TYPES: &[(u64, &str)] =
    &[(1, "SOCK_STREAM"), (2, "SOCK_DGRAM"), (3, "SOCK_RAW"), (5, "SOCK_SEQPACKET"), (10, "SOCK_PACKET")];

const UMOUNT_FLAGS: &[(u64, &str)] = &[(1, "FORCE"), (2, "DETACH"), (4, "EXPIRE"), (8, "NOFOLLOW")];

const MOUNT_FLAGS: &[(u64, &str)] = &[
    (1, "RDONLY"),
    (2, "NOSUID"),
    (4, "NODEV"),
    (8, "NOEXEC"),
    (16, "SYNCHRONOUS"),
    (32, "REMOUNT"),
    (4096, "BIND"),
    (8192, "MOVE"),
    (16384, "REC"),
    (32768, "SILENT"),
    (1 << 18, "PRIVATE"),
    (1 << 19, "SLAVE"),
    (1 << 20, "SHARED"),
];

const PTRACE: &[(u64, &str)] = &[
    (0, "PTRACE_TRACEME"),
    (1, "PTRACE_PEEKTEXT"),
    (2, "PTRACE_PEEKDATA"),
    (3, "PTRACE_PEEKUSR"),
    (4, "PTRACE_POKETEXT"),
    (5, "PTRACE_POKEDATA"),
    (7, "PTRACE_CONT"),
    (12, "PTRACE_GETREGS"),
    (13, "PTRACE_SETREGS"),
    (16, "PTRACE_ATTACH"),
    (17, "PTRACE_DETACH"),
    (0x4206, "PTRACE_SEIZE"),
];

const CLONE_FLAGS: &[(u64, &str)] = &[
    (0x0002_0000, "CLONE_NEWNS"),
    (0x0200_0000, "CLONE_NEWCGROUP"),
    (0x0400_0000, "CLONE_NEWUTS"),
    (0x0800_0000, "CLONE_NEWIPC"),
    (0x1000_0000, "CLONE_NEWUSER"),
    (0x2000_0000, "CLONE_NEWPID"),
    (0x4000_0000, "CLONE_NEWNET"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_told_in_upstreams_words() {
        for (flags, expected) in [
            (0, "O_RDONLY"),
            (0o1101, "O_TRUNC|O_CREAT|O_WRONLY"),
            (0o2_100_002, "O_LARGEFILE|O_RDWR|O_CLOEXEC"),
            (0o200_000, "O_DIRECTORY|O_RDONLY"),
        ] {
            assert_eq!(open_flags(flags, None), expected);
        }
        assert_eq!(mode(0o4755).split('|').next(), Some("S_ISUID"));
        assert_eq!(
            (bpf(5).as_str(), signal(9).as_str(), ptrace(0).as_str()),
            ("BPF_PROG_LOAD", "SIGKILL", "PTRACE_TRACEME")
        );
        assert_eq!((result(0).as_str(), result(-2).as_str(), result(-1234).as_str()), ("SUCCESS", "ENOENT", "1234"));
    }
}
