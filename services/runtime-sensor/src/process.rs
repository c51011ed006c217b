//! The process table: who runs, and who started whom.

use std::collections::HashMap;
use std::fs;

use crate::decode::RawEvent;

/// One process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) ppid: u32,
    pub(crate) vpid: u32,
    /// When it started, in nanoseconds since boot: tells a process from a later one with the same id.
    pub(crate) start_ns: u64,
    pub(crate) comm: String,
    pub(crate) exe_path: String,
    pub(crate) argv: Vec<String>,
    pub(crate) cwd: String,
    pub(crate) uid: u32,
    pub(crate) login_uid: Option<u32>,
    pub(crate) tty: u32,
    pub(crate) sid: u32,
    pub(crate) cgroup: u64,
    pub(crate) cap_effective: u64,
    pub(crate) cap_permitted: u64,
    pub(crate) is_from_memory: bool,
    /// Whether it has run a program of its own since it was made: set-up of a container has not.
    pub(crate) has_executed: bool,
    exited: bool,
}

impl Process {
    /// Name and arguments, as `proc.cmdline` has it.
    pub(crate) fn cmdline(&self) -> String {
        let arguments = self.argv.iter().skip(1).map(String::as_str);
        std::iter::once(self.comm.as_str()).chain(arguments).collect::<Vec<_>>().join(" ")
    }
}

/// All processes, bounded.
#[derive(Debug)]
pub(crate) struct Processes {
    by_pid: HashMap<u32, Process>,
    max: usize,
    /// Processes that had to go for want of room.
    pub(crate) evicted: u64,
    leaving: std::collections::VecDeque<(u64, u32, u64)>,
}

impl Processes {
    /// A table with what /proc says now.
    pub(crate) fn scan(max: usize) -> Self {
        let mut table = Self::empty(max);
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            if let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(read) {
                table.insert(process);
            }
        }
        table
    }

    /// A table that knows nobody, for recordings.
    pub(crate) fn empty(max: usize) -> Self {
        Self { by_pid: HashMap::new(), max, evicted: 0, leaving: std::collections::VecDeque::new() }
    }

    /// How many processes it knows.
    pub(crate) fn len(&self) -> usize {
        self.by_pid.len()
    }

    pub(crate) fn get(&self, pid: u32) -> Option<&Process> {
        self.by_pid.get(&pid)
    }

    /// The ancestors of a process, parent first, at most 32.
    pub(crate) fn ancestors(&self, pid: u32) -> Vec<&Process> {
        let mut found: Vec<&Process> = Vec::new();
        let mut next = self.get(pid).map(|process| process.ppid);
        while let Some(process) = next.filter(|pid| *pid > 0).and_then(|pid| self.get(pid)) {
            if found.len() >= 32 || found.iter().any(|known| known.pid == process.pid) {
                break;
            }
            found.push(process);
            next = Some(process.ppid);
        }
        found
    }

    /// A process was made: it is its parent under another id.
    pub(crate) fn fork(&mut self, event: &RawEvent<'_>) {
        let parent_pid = u32::try_from(event.args.first().copied().unwrap_or(0)).unwrap_or(0);
        let parent = self.get(parent_pid).cloned().unwrap_or_default();
        let mut child = Process {
            ppid: parent_pid,
            has_executed: parent.has_executed && parent.cgroup == event.cgroup,
            exited: false,
            ..parent
        };
        apply(&mut child, event);
        self.insert(child);
    }

    /// A process runs another program. `live` asks /proc for what the event does not carry.
    pub(crate) fn exec(&mut self, event: &RawEvent<'_>, live: bool) {
        let mut process = self.by_pid.remove(&event.tgid).unwrap_or_default();
        apply(&mut process, event);
        process.ppid = event.ppid;
        process.argv = split(event.argv.unwrap_or_default());
        let named = text(event.path0.unwrap_or_default());
        process.is_from_memory = event.args.first() == Some(&0);
        process.has_executed = true;
        if live {
            let link = |name: &str| {
                fs::read_link(format!("/proc/{}/{name}", event.tgid)).ok().map(|path| path.display().to_string())
            };
            process.cwd = link("cwd").unwrap_or(process.cwd);
            process.exe_path = link("exe")
                .map(|path| path.trim_end_matches(" (deleted)").to_owned())
                .unwrap_or_else(|| resolve(&process.cwd, &named));
            if let Some((tty, sid)) = tty_and_session(event.tgid) {
                (process.tty, process.sid) = (tty, sid);
            }
            process.login_uid = login_uid(event.tgid).or(process.login_uid);
        } else {
            process.exe_path = resolve(&process.cwd, &named);
        }
        self.insert(process);
    }

    /// A process ended. It stays for a while, for events that are still on their way.
    pub(crate) fn exit(&mut self, event: &RawEvent<'_>) {
        if let Some(process) = self.by_pid.get_mut(&event.tgid) {
            process.exited = true;
            self.leaving.push_back((event.time_ns, event.tgid, process.start_ns));
        }
        let before = event.time_ns.saturating_sub(LINGER_NS);
        while let Some((_, pid, start_ns)) = self.leaving.pop_front_if(|(time_ns, _, _)| *time_ns < before) {
            if self.by_pid.get(&pid).is_some_and(|process| process.exited && process.start_ns == start_ns) {
                self.by_pid.remove(&pid);
            }
        }
    }

    /// What any event says of its process; one that is not known is asked of /proc.
    pub(crate) fn touch(&mut self, event: &RawEvent<'_>, live: bool) {
        if let Some(process) =
            self.by_pid.get_mut(&event.tgid).filter(|process| process.start_ns / TICK_NS == event.start_ns / TICK_NS)
        {
            apply(process, event);
            return;
        }
        let mut process = if live { read(event.tgid) } else { None }.unwrap_or_default();
        process.has_executed = true;
        process.ppid = event.ppid;
        apply(&mut process, event);
        self.insert(process);
    }

    /// The working directory changed.
    pub(crate) fn change_directory(&mut self, pid: u32, path: &str) {
        if let Some(process) = self.by_pid.get_mut(&pid) {
            process.cwd = resolve(&process.cwd, path);
        }
    }

    fn insert(&mut self, process: Process) {
        if self.by_pid.len() >= self.max && !self.by_pid.contains_key(&process.pid) {
            // Those that have ended go first; else any one.
            let gone = self.leaving.pop_front().map(|(_, pid, _)| pid).or_else(|| self.by_pid.keys().next().copied());
            if let Some(gone) = gone {
                self.by_pid.remove(&gone);
                self.evicted = self.evicted.saturating_add(1);
            }
        }
        self.by_pid.insert(process.pid, process);
    }
}

fn apply(process: &mut Process, event: &RawEvent<'_>) {
    process.pid = event.tgid;
    process.vpid = event.vpid;
    process.start_ns = event.start_ns;
    process.uid = event.uid;
    process.cgroup = event.cgroup;
    process.cap_effective = event.cap_effective;
    process.cap_permitted = event.cap_permitted;
    // A thread may have another name; the process has that of its leader.
    if event.tid == event.tgid {
        process.comm = text(event.comm);
    }
}

/// Reads a process from /proc (proc_pid_stat(5), proc_pid_status(5)).
fn read(pid: u32) -> Option<Process> {
    let (comm, fields) = stat(pid)?;
    let number = |place: usize| fields.get(place).and_then(|field| field.parse::<i64>().ok()).unwrap_or(0);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let set = |key: &str| line(key).and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    let link = |name: &str| {
        fs::read_link(format!("/proc/{pid}/{name}")).map(|path| path.display().to_string()).unwrap_or_default()
    };
    let pids = line("NSpid").unwrap_or_default();
    Some(Process {
        pid,
        ppid: u32::try_from(number(1)).unwrap_or(0),
        vpid: pids.split_whitespace().last().and_then(|pid| pid.parse().ok()).unwrap_or(pid),
        start_ns: u64::try_from(number(19)).unwrap_or(0).saturating_mul(TICK_NS),
        comm,
        exe_path: link("exe"),
        argv: split(&fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()),
        cwd: link("cwd"),
        uid: line("Uid").and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0),
        login_uid: login_uid(pid),
        tty: u32::try_from(number(4)).unwrap_or(0),
        sid: u32::try_from(number(3)).unwrap_or(0),
        cgroup: 0,
        cap_effective: set("CapEff"),
        cap_permitted: set("CapPrm"),
        is_from_memory: false,
        has_executed: true,
        exited: false,
    })
}

/// The name, and the fields behind it; the name may hold blanks and parentheses.
fn stat(pid: u32) -> Option<(String, Vec<String>)> {
    let bytes = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let (front, rest) = text.rsplit_once(')')?;
    let (_, comm) = front.split_once('(')?;
    Some((comm.to_owned(), rest.split_whitespace().map(str::to_owned).collect()))
}

fn tty_and_session(pid: u32) -> Option<(u32, u32)> {
    let (_, fields) = stat(pid)?;
    let number = |place: usize| {
        fields.get(place).and_then(|field| field.parse::<i64>().ok()).and_then(|number| u32::try_from(number).ok())
    };
    Some((number(4).unwrap_or(0), number(3)?))
}

fn login_uid(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/loginuid")).ok()?;
    text.trim().parse().ok().filter(|uid| *uid != u32::MAX)
}

fn split(argv: &[u8]) -> Vec<String> {
    let argv = argv.strip_suffix(b"\0").unwrap_or(argv);
    if argv.is_empty() { Vec::new() } else { argv.split(|byte| *byte == 0).take(512).map(text).collect() }
}

/// Bytes that a process chose, as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A path as seen from a folder, with `.` and `..` taken out by their letters: symbolic links are not followed.
pub(crate) fn resolve(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let start = if path.starts_with('/') { "" } else { folder };
    for part in start.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// How long a process that ended is still known.
const LINGER_NS: u64 = 10_000_000_000;

/// Start times of /proc are in hundredths of a second.
const TICK_NS: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::tests::sample;

    #[test]
    fn paths_are_resolved_by_letters() {
        assert_eq!(resolve("/var/log", "../lib/./x"), "/var/lib/x");
        assert_eq!(resolve("/a", "/etc//shadow"), "/etc/shadow");
        assert_eq!(resolve("/", "../../.."), "/");
    }

    #[test]
    fn the_table_is_bounded_and_counts() {
        let mut table = Processes::empty(3);
        for pid in 1..=5 {
            table.touch(&RawEvent { tgid: pid, tid: pid, ..sample() }, false);
        }
        assert_eq!((table.len(), table.evicted), (3, 2));
    }

    #[test]
    fn a_loop_of_parents_ends() {
        let mut table = Processes::empty(10);
        table.touch(&RawEvent { tgid: 1, ppid: 2, ..sample() }, false);
        table.touch(&RawEvent { tgid: 2, ppid: 1, ..sample() }, false);
        assert_eq!(table.ancestors(1).len(), 2);
    }
}
