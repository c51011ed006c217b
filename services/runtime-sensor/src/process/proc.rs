//! What /proc says of processes that ran before the sensor did (proc_pid_stat(5), proc_pid_status(5)). Processes choose much of it.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use super::{Process, Program, TICK_NS, split};
use crate::facts::FileFacts;

/// Reads a process; `None` when it is gone.
pub(super) fn read(pid: u32) -> Option<Process> {
    let of = |name: &str| bytes(pid, name);
    let Stat { comm, ppid, group, session, tty, start_ticks } = Stat::parse(&of("stat")?)?;
    let status = Status::parse(&of("status")?);
    let exe_path = link(pid, "exe");
    let file = fs::metadata(format!("/proc/{pid}/exe")).ok().map(|meta| facts(&meta)).unwrap_or_default();
    let program = Program {
        is_from_memory: exe_path.starts_with("/memfd:"),
        is_writable: file.mode != 0 && file.is_writable(status.euid, status.gid, status.cap_effective),
        exe_path,
        argv: split(&of("cmdline").unwrap_or_default()),
        environment: of("environ").unwrap_or_default().into(),
        file,
        ..Program::default()
    };
    Some(Process {
        pid,
        ppid,
        vpid: status.pid_in_namespace.unwrap_or(pid),
        start_ns: start_ticks.saturating_mul(TICK_NS),
        comm: comm.into(),
        program: Arc::new(program),
        cwd: link(pid, "cwd").into(),
        uid: status.uid,
        login_uid: login_uid(&of("loginuid").unwrap_or_default()),
        tty,
        sid: session,
        pgid: group,
        vpgid: status.group_in_namespace.unwrap_or(0),
        cap_effective: status.cap_effective,
        cap_permitted: status.cap_permitted,
        cap_inheritable: status.cap_inheritable,
        cap_bounding: status.cap_bounding,
        is_filtered: status.is_filtered,
        streams: ["fd/0", "fd/1", "fd/2"].map(|name| crate::streams::of_link(&link(pid, name))),
        ..Process::default()
    })
}

/// The most that any process of the machine can be allowed: what its first one can. 0 when that cannot be read.
pub(crate) fn bounding_of_machine() -> u64 {
    bytes(1, "status").map_or(0, |text| Status::parse(&text).cap_bounding)
}

/// The target of a link, which may be gone.
pub(super) fn link(pid: u32, name: &str) -> String {
    let path = fs::read_link(format!("/proc/{pid}/{name}")).map(|path| path.display().to_string()).unwrap_or_default();
    path.strip_suffix(" (deleted)").map_or_else(|| path.clone(), str::to_owned)
}

/// At most what the kernel side would have sent.
fn bytes(pid: u32, name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{pid}/{name}")).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn facts(meta: &fs::Metadata) -> FileFacts {
    let nanoseconds = |seconds: i64, rest: i64| {
        let whole = seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        u64::try_from(whole).unwrap_or(0)
    };
    FileFacts {
        inode: meta.ino(),
        device: meta.dev(),
        ctime_ns: nanoseconds(meta.ctime(), meta.ctime_nsec()),
        mtime_ns: nanoseconds(meta.mtime(), meta.mtime_nsec()),
        mode: meta.mode(),
        uid: meta.uid(),
        gid: meta.gid(),
        ..FileFacts::default()
    }
}

/// A line of `stat`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stat {
    comm: String,
    ppid: u32,
    group: u32,
    session: u32,
    tty: u32,
    start_ticks: u64,
}

impl Stat {
    /// The name may hold anything, blanks and parentheses too: it ends with the last parenthesis.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (front, rest) = text.rsplit_once(')')?;
        let (_, comm) = front.split_once('(')?;
        let fields: Vec<&str> = rest.split_whitespace().take(20).collect();
        let small = |place: usize| fields.get(place).and_then(|field| field.parse().ok()).unwrap_or(0);
        Some(Self {
            comm: comm.to_owned(),
            ppid: small(1),
            group: small(2),
            session: small(3),
            tty: small(4),
            start_ticks: fields.get(19).and_then(|field| field.parse().ok()).unwrap_or(0),
        })
    }
}

/// What is taken from `status`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Status {
    uid: u32,
    euid: u32,
    gid: u32,
    pid_in_namespace: Option<u32>,
    group_in_namespace: Option<u32>,
    cap_effective: u64,
    cap_permitted: u64,
    cap_inheritable: u64,
    cap_bounding: u64,
    is_filtered: bool,
}

impl Status {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let line = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let set = |key: &str| line(key).and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
        let nth = |key: &str, place: usize| line(key)?.split_whitespace().nth(place)?.parse::<u32>().ok();
        // One number for each namespace, the innermost last.
        let innermost = |key: &str| line(key)?.split_whitespace().next_back()?.parse::<u32>().ok();
        Self {
            uid: nth("Uid", 0).unwrap_or(0),
            euid: nth("Uid", 1).unwrap_or(0),
            gid: nth("Gid", 1).unwrap_or(0),
            pid_in_namespace: innermost("NSpid"),
            group_in_namespace: innermost("NSpgid"),
            cap_effective: set("CapEff"),
            cap_permitted: set("CapPrm"),
            cap_inheritable: set("CapInh"),
            cap_bounding: set("CapBnd"),
            is_filtered: nth("Seccomp", 0).unwrap_or(0) != 0,
        }
    }
}

fn login_uid(bytes: &[u8]) -> Option<u32> {
    std::str::from_utf8(bytes).ok()?.trim().parse().ok().filter(|uid| *uid != u32::MAX)
}

/// Reads bytes as each of the files that are asked of a process.
pub(crate) fn read_any(bytes: &[u8]) {
    drop(Stat::parse(bytes));
    let _ = Status::parse(bytes);
    let _ = login_uid(bytes);
    drop(split(bytes));
}

const MAX_BYTES: u64 = 4_096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_may_look_like_the_rest_of_the_line() {
        let mut fields: Vec<String> = (0..40).map(|number| number.to_string()).collect();
        fields[0] = "S".to_owned();
        let line = format!("42 (a) S 1 (b) {}", fields.join(" "));
        let stat = Stat::parse(line.as_bytes()).unwrap();
        assert_eq!((stat.comm.as_str(), stat.ppid, stat.group, stat.session, stat.tty), ("a) S 1 (b", 1, 2, 3, 4));
        assert_eq!(stat.start_ticks, 19);
    }

    #[test]
    fn the_innermost_namespace_counts() {
        let status = Status::parse(b"Name:\tx\nUid:\t7\t8\t9\t9\nNSpid:\t420\t17\t1\nCapEff:\t0000000000000003\n");
        assert_eq!((status.uid, status.euid, status.pid_in_namespace, status.cap_effective), (7, 8, Some(1), 3));
    }

    #[test]
    fn the_sensor_reads_itself() {
        let own = read(std::process::id()).unwrap();
        let exe = std::env::current_exe().unwrap();
        assert_eq!(own.program.exe_path, exe.display().to_string());
        assert_eq!(own.program.file.inode, exe.metadata().unwrap().ino());
        assert!(own.start_ns > 0 && !own.program.argv.is_empty());
        assert_eq!(&*own.cwd, std::env::current_dir().unwrap().display().to_string());
    }

    proptest! {
        #[test]
        fn anything_may_stand_in_proc(bytes in proptest::collection::vec(any::<u8>(), 0..300), front in "[0-9 ()SNpidUGCap:\t\n]{0,80}") {
            let mixed = [front.as_bytes(), &bytes].concat();
            for bytes in [bytes.as_slice(), front.as_bytes(), &mixed] {
                crate::hostile::read_proc(bytes);
            }
        }
    }
}
