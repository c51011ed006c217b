//! The process table: who runs, and who started whom.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::sync::Arc;

use crate::decode::RawEvent;
use crate::facts::{self, ExecFacts, FileFacts};
use crate::hash::ByNumber;

/// What a process runs. Shared with the children that it makes, until they run something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Program {
    /// Path of the executable, as the process sees it.
    pub(crate) exe_path: String,
    pub(crate) argv: Vec<String>,
    /// Entries closed by zeros, at most 4 KiB; empty when no rule asks for it.
    pub(crate) environment: Box<[u8]>,
    pub(crate) file: FileFacts,
    pub(crate) is_writable: bool,
    pub(crate) is_from_memory: bool,
}

/// One process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) ppid: u32,
    pub(crate) vpid: u32,
    /// When it started, in nanoseconds since boot: tells a process from a later one with the same id.
    pub(crate) start_ns: u64,
    pub(crate) comm: Arc<str>,
    pub(crate) program: Arc<Program>,
    pub(crate) cwd: Arc<str>,
    pub(crate) uid: u32,
    pub(crate) login_uid: Option<u32>,
    pub(crate) tty: u32,
    pub(crate) sid: u32,
    pub(crate) pgid: u32,
    pub(crate) vpgid: u32,
    pub(crate) cgroup: u64,
    pub(crate) cap_effective: u64,
    pub(crate) cap_permitted: u64,
    pub(crate) cap_inheritable: u64,
    /// When the first process of its pid namespace started.
    pub(crate) namespace_start_ns: u64,
    /// The cgroup in which it, or the process that made it, last started a program; 0 when that was not seen.
    exec_cgroup: u64,
    /// When it was moved to the cgroup where it is now.
    moved_ns: u64,
    exited: bool,
}

impl Process {
    /// Name and arguments, as `proc.cmdline` has it.
    pub(crate) fn cmdline(&self) -> String {
        let arguments = self.program.argv.iter().skip(1).map(String::as_str);
        std::iter::once(&*self.comm).chain(arguments).collect::<Vec<_>>().join(" ")
    }

    /// Whether it came into its cgroup without having started a program there: as a runtime's child does that sets a container up.
    /// That takes milliseconds; who stays longer is no set-up.
    pub(crate) fn is_set_up(&self, now_ns: u64) -> bool {
        self.exec_cgroup != 0 && self.exec_cgroup != self.cgroup && now_ns.saturating_sub(self.moved_ns) < SET_UP_NS
    }
}

/// All processes, bounded.
#[derive(Debug)]
pub(crate) struct Processes {
    by_pid: HashMap<u32, Process, ByNumber>,
    max: usize,
    /// Processes that had to go for want of room.
    pub(crate) evicted: u64,
    /// Whether any rule asks for environments.
    pub(crate) keeps_environment: bool,
    leaving: VecDeque<(u64, u32, u64)>,
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
        Self { by_pid: HashMap::default(), max, evicted: 0, keeps_environment: true, leaving: VecDeque::new() }
    }

    /// How many processes it knows.
    pub(crate) fn len(&self) -> usize {
        self.by_pid.len()
    }

    pub(crate) fn get(&self, pid: u32) -> Option<&Process> {
        self.by_pid.get(&pid)
    }

    /// The ancestors of a process, parent first, at most 32.
    pub(crate) fn ancestors<'a>(&'a self, process: &'a Process) -> impl Iterator<Item = &'a Process> {
        std::iter::successors(Some(process), |child| {
            let parent = self.get(child.ppid).filter(|_| child.ppid != 0 && child.ppid != child.pid)?;
            // A parent is not younger than its child: that one only has the number of the parent that ended.
            (parent.start_ns / TICK_NS <= child.start_ns / TICK_NS).then_some(parent)
        })
        .skip(1)
        .take(MAX_ANCESTORS)
    }

    /// A process was made: it is its parent under another id.
    pub(crate) fn fork(&mut self, event: &RawEvent<'_>) {
        let parent_pid = u32::try_from(event.args.first().copied().unwrap_or(0)).unwrap_or(0);
        let parent = self.get(parent_pid).cloned().unwrap_or_default();
        let mut child = Process { ppid: parent_pid, exited: false, ..parent };
        apply(&mut child, event);
        self.insert(child);
    }

    /// A process runs another program. `live` asks /proc for what an event of an older layout does not carry.
    pub(crate) fn exec(&mut self, event: &RawEvent<'_>, live: bool) {
        let before = self.by_pid.remove(&event.tgid);
        let is_it = |process: &Process| process.start_ns / TICK_NS == event.start_ns / TICK_NS;
        let mut process = before.filter(is_it).unwrap_or_default();
        apply(&mut process, event);
        let argv = split(event.argv.unwrap_or_default());
        // A runtime's child runs a copy of its own program once more, before or after it joined the container's cgroup: that is set-up.
        let is_again = process.exec_cgroup != 0 && !argv.is_empty() && process.program.argv == argv;
        if !is_again {
            process.exec_cgroup = event.cgroup;
        }
        (process.ppid, process.exited) = (event.ppid, false);
        if let Some(cwd) = event.cwd.and_then(facts::path) {
            process.cwd = cwd.into();
        }
        let facts = event.exec.and_then(ExecFacts::parse);
        let mut program = Program {
            exe_path: event.exe.and_then(facts::path).unwrap_or_default(),
            argv,
            environment: event.environment.filter(|_| self.keeps_environment).unwrap_or_default().into(),
            ..Program::default()
        };
        if let Some(facts) = facts {
            program.is_from_memory = facts.file.is_from_memory();
            program.is_writable = facts.file.is_writable(event.euid, event.gid, event.cap_effective);
            program.file = facts.file;
            (process.tty, process.sid, process.pgid) = (facts.tty, facts.session, facts.group);
            (process.vpgid, process.login_uid) = (facts.group_in_namespace, facts.login_uid);
            process.cap_inheritable = facts.cap_inheritable;
            process.namespace_start_ns = facts.namespace_start_ns;
        } else {
            program.is_from_memory = event.args.first() == Some(&0);
        }
        if program.exe_path.is_empty() {
            let of_proc = live.then(|| link(event.tgid, "exe")).filter(|path| !path.is_empty());
            program.exe_path = of_proc.unwrap_or_else(|| resolve(&process.cwd, &text(event.path0.unwrap_or_default())));
        }
        process.program = Arc::new(program);
        self.insert(process);
    }

    /// A process ended. It stays for a while, for events that are still on their way.
    pub(crate) fn exit(&mut self, event: &RawEvent<'_>) {
        let process = self.by_pid.get_mut(&event.tgid);
        if let Some(process) = process.filter(|process| process.start_ns / TICK_NS == event.start_ns / TICK_NS) {
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
            if process.ppid != event.ppid && !self.by_pid.contains_key(&self.parent_of(event.tgid)) {
                // The parent is long gone: another one took the process over.
                self.adopt(event.tgid, event.ppid);
            }
            return;
        }
        let mut process = if live { read(event.tgid) } else { None }.unwrap_or_default();
        process.ppid = event.ppid;
        apply(&mut process, event);
        self.insert(process);
    }

    fn parent_of(&self, pid: u32) -> u32 {
        self.get(pid).map_or(0, |process| process.ppid)
    }

    fn adopt(&mut self, pid: u32, parent: u32) {
        if let Some(process) = self.by_pid.get_mut(&pid) {
            process.ppid = parent;
        }
    }

    /// The working directory changed: to what the kernel says, or for an event of an older layout, to what the call named.
    pub(crate) fn change_directory(&mut self, event: &RawEvent<'_>) {
        if let Some(process) = self.by_pid.get_mut(&event.tgid) {
            let named = || event.path0.map(|path| resolve(&process.cwd, &text(path)));
            if let Some(cwd) = event.cwd.and_then(facts::path).or_else(named) {
                process.cwd = cwd.into();
            }
        }
    }

    /// The process leads a session of its own.
    pub(crate) fn lead_session(&mut self, pid: u32) {
        if let Some(process) = self.by_pid.get_mut(&pid) {
            (process.sid, process.pgid, process.vpgid, process.tty) = (pid, pid, process.vpid, 0);
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
    if process.cgroup != event.cgroup {
        (process.cgroup, process.moved_ns) = (event.cgroup, event.time_ns);
    }
    process.cap_effective = event.cap_effective;
    process.cap_permitted = event.cap_permitted;
    // A thread may have another name; the process has that of its leader.
    if event.tid == event.tgid && process.comm.as_bytes() != event.comm {
        process.comm = text(event.comm).into();
    }
}

fn link(pid: u32, name: &str) -> String {
    let path = fs::read_link(format!("/proc/{pid}/{name}")).map(|path| path.display().to_string()).unwrap_or_default();
    path.strip_suffix(" (deleted)").map_or_else(|| path.clone(), str::to_owned)
}

/// Reads a process from /proc (proc_pid_stat(5), proc_pid_status(5)).
fn read(pid: u32) -> Option<Process> {
    let (comm, fields) = stat(pid)?;
    let number = |place: usize| fields.get(place).and_then(|field| field.parse::<i64>().ok()).unwrap_or(0);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let set = |key: &str| line(key).and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    let pids = line("NSpid").unwrap_or_default();
    let groups = line("NSpgid").unwrap_or_default();
    let small = |place: usize| u32::try_from(number(place)).unwrap_or(0);
    let exe_path = link(pid, "exe");
    let program = Program {
        is_from_memory: exe_path.starts_with("/memfd:"),
        exe_path,
        argv: split(&fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()),
        ..Program::default()
    };
    Some(Process {
        pid,
        ppid: small(1),
        vpid: pids.split_whitespace().last().and_then(|pid| pid.parse().ok()).unwrap_or(pid),
        start_ns: u64::try_from(number(19)).unwrap_or(0).saturating_mul(TICK_NS),
        comm: comm.into(),
        program: Arc::new(program),
        cwd: link(pid, "cwd").into(),
        uid: line("Uid").and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0),
        login_uid: login_uid(pid),
        tty: small(4),
        sid: small(3),
        pgid: small(2),
        vpgid: groups.split_whitespace().last().and_then(|group| group.parse().ok()).unwrap_or(0),
        cap_effective: set("CapEff"),
        cap_permitted: set("CapPrm"),
        cap_inheritable: set("CapInh"),
        ..Process::default()
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

/// How long a runtime's child may take from joining a container's cgroup to starting the container's program.
const SET_UP_NS: u64 = 10_000_000_000;

const MAX_ANCESTORS: usize = 32;

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
        let process = table.get(1).unwrap();
        assert_eq!(table.ancestors(process).count(), MAX_ANCESTORS);
    }

    #[test]
    fn a_younger_process_is_no_parent() {
        let mut table = Processes::empty(10);
        table.touch(&RawEvent { tgid: 7, ppid: 9, start_ns: 5 * TICK_NS, ..sample() }, false);
        table.touch(&RawEvent { tgid: 9, ppid: 0, start_ns: 6 * TICK_NS, ..sample() }, false);
        assert_eq!(table.ancestors(table.get(7).unwrap()).count(), 0);
    }

    #[test]
    fn who_outlives_the_parent_is_taken_over() {
        let mut table = Processes::empty(10);
        let parent = RawEvent { tgid: 5, tid: 5, ppid: 1, ..sample() };
        let child = RawEvent { tgid: 6, tid: 6, ppid: 5, ..sample() };
        table.touch(&parent, false);
        table.touch(&child, false);
        table.exit(&parent);
        table.touch(&RawEvent { ppid: 1, ..child.clone() }, false);
        assert_eq!(table.get(6).unwrap().ppid, 5, "the one that ended is still known");
        table.exit(&RawEvent { tgid: 99, time_ns: LINGER_NS * 2, ..sample() });
        table.touch(&RawEvent { ppid: 1, ..child }, false);
        assert_eq!(table.get(6).unwrap().ppid, 1);
    }

    #[test]
    fn set_up_ends_with_the_first_program_or_with_time() {
        let mut table = Processes::empty(10);
        let runtime = RawEvent { tgid: 5, tid: 5, cgroup: 1, ..sample() };
        table.exec(&runtime, false);
        table.fork(&RawEvent { tgid: 6, tid: 6, cgroup: 1, args: [5, 0, 0, 0, 0, 0], ..sample() });
        let is_set_up = |table: &Processes, now_ns| table.get(6).unwrap().is_set_up(now_ns);
        assert!(!is_set_up(&table, 0));
        let moved = RawEvent { tgid: 6, tid: 6, cgroup: 2, time_ns: 1_000, ..sample() };
        table.touch(&moved, false);
        assert!(is_set_up(&table, 2_000));
        assert!(!is_set_up(&table, 1_000 + SET_UP_NS));
        table.exec(&moved, false);
        assert!(!is_set_up(&table, 3_000));
        // A worker of a process that ran before the sensor did is no set-up.
        table.touch(&RawEvent { tgid: 8, tid: 8, cgroup: 3, ..sample() }, false);
        table.fork(&RawEvent { tgid: 9, tid: 9, cgroup: 3, args: [8, 0, 0, 0, 0, 0], ..sample() });
        assert!(!table.get(9).unwrap().is_set_up(0));
    }

    #[test]
    fn a_program_that_runs_itself_again_is_still_setting_up() {
        let mut table = Processes::empty(10);
        let init = RawEvent { tgid: 6, tid: 6, cgroup: 1, argv: Some(b"runc\0init\0"), ..sample() };
        table.exec(&init, false);
        let moved = RawEvent { cgroup: 2, time_ns: 1_000, ..init };
        table.exec(&moved, false);
        assert!(table.get(6).unwrap().is_set_up(2_000));
        table.exec(&RawEvent { argv: Some(b"sh\0"), ..moved }, false);
        assert!(!table.get(6).unwrap().is_set_up(2_000));
    }

    #[test]
    fn a_pid_that_is_given_out_anew_is_another_process() {
        let mut table = Processes::empty(10);
        let first = RawEvent { tgid: 7, tid: 7, start_ns: TICK_NS, argv: Some(b"first\0"), cgroup: 5, ..sample() };
        table.exec(&first, false);
        // Its end was lost; the next one with its number makes a call, and is told of later.
        let second = RawEvent { start_ns: 9 * TICK_NS, argv: None, comm: b"second", uid: 3, ..first.clone() };
        table.touch(&second, false);
        let process = table.get(7).unwrap();
        assert_eq!((&*process.comm, process.uid, process.program.argv.len()), ("second", 3, 0));
        // The end of the first one, which comes late, does not end the second.
        table.exit(&RawEvent { time_ns: 1, ..first });
        table.exit(&RawEvent { tgid: 99, time_ns: LINGER_NS * 2, ..sample() });
        assert!(table.get(7).is_some());
    }

    #[test]
    fn a_program_is_known_from_the_event_alone() {
        let mut table = Processes::empty(10);
        let mut facts = vec![0; 104];
        facts[32..36].copy_from_slice(&0o100_755_u32.to_le_bytes());
        facts[52] = 1; // upper layer
        facts[72..76].copy_from_slice(&0x8801_u32.to_le_bytes());
        facts[76..80].copy_from_slice(&4_u32.to_le_bytes());
        facts[88..92].copy_from_slice(&u32::MAX.to_le_bytes());
        table.exec(
            &RawEvent {
                argv: Some(b"/bin/x\0-a\0"),
                environment: Some(b"A=1\0"),
                exec: Some(&facts),
                exe: Some(b"\0x\0bin\0usr\0"),
                cwd: Some(b"\0tmp\0"),
                ..sample()
            },
            false,
        );
        let process = table.get(42).unwrap();
        assert_eq!((process.cmdline().as_str(), &*process.cwd), ("cat -a", "/tmp"));
        assert_eq!((process.tty, process.sid, process.login_uid), (0x8801, 4, None));
        let program = &process.program;
        assert_eq!((program.exe_path.as_str(), &*program.environment), ("/usr/bin/x", b"A=1\0".as_slice()));
        assert!(program.file.is_upper() && program.is_writable);
    }
}
