//! The process table: who runs, and who started whom.

pub(crate) mod proc;

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::sync::{Arc, OnceLock};

use crate::decode::RawEvent;
use crate::facts::{self, ExecFacts, FileFacts};
use crate::hash::ByNumber;
use crate::streams::{Stream, Streams};

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
    /// The arguments as one text, once that was asked for.
    arguments: OnceLock<Box<str>>,
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
    /// The most that it can ever be allowed; 0 when that is not known.
    pub(crate) cap_bounding: u64,
    /// Whether a filter of system calls is in force.
    pub(crate) is_filtered: bool,
    /// Standard input, output and error; not known when no rule asks for them.
    pub(crate) streams: Streams,
    /// When the first process of its pid namespace started.
    pub(crate) namespace_start_ns: u64,
    /// Name and arguments as one text, once that was asked for: rules ask at nearly every event.
    cmdline: OnceLock<Arc<str>>,
    /// The cgroup in which it, or the process that made it, last started a program; 0 when that was not seen.
    exec_cgroup: u64,
    /// When it was moved to the cgroup where it is now.
    moved_ns: u64,
    exited: bool,
}

impl Program {
    /// What it was given, without its own name.
    pub(crate) fn arguments(&self) -> &str {
        self.arguments.get_or_init(|| self.argv.get(1..).unwrap_or_default().join(" ").into())
    }
}

impl Process {
    /// Name and arguments, as `proc.cmdline` has it.
    pub(crate) fn cmdline(&self) -> &str {
        self.cmdline.get_or_init(|| match self.program.argv.len() {
            0 | 1 => self.comm.clone(),
            _ => format!("{} {}", self.comm, self.program.arguments()).into(),
        })
    }

    /// Whether nothing holds the process back that could: every capability of the machine is within its reach, and no system call is
    /// filtered. `None` when that is not known.
    pub(crate) fn is_unconfined(&self, of_machine: u64) -> Option<bool> {
        let is_known = self.cap_bounding != 0 && of_machine != 0;
        is_known.then_some(self.cap_bounding & of_machine == of_machine && !self.is_filtered)
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
            if let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(proc::read) {
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
            program.is_writable = facts.file.is_writable(event.euid, event.egid, event.cap_effective);
            program.file = facts.file;
            (process.tty, process.sid, process.pgid) = (facts.tty, facts.session, facts.group);
            (process.vpgid, process.login_uid) = (facts.group_in_namespace, facts.login_uid);
            process.cap_inheritable = facts.cap_inheritable;
            (process.cap_bounding, process.is_filtered) = (facts.cap_bounding, facts.is_filtered);
            process.namespace_start_ns = facts.namespace_start_ns;
        } else {
            program.is_from_memory = event.args.first() == Some(&0);
        }
        if program.exe_path.is_empty() {
            let of_proc = live.then(|| proc::link(event.tgid, "exe")).filter(|path| !path.is_empty());
            program.exe_path = of_proc.unwrap_or_else(|| resolve(&process.cwd, &text(event.path0.unwrap_or_default())));
        }
        process.program = Arc::new(program);
        process.cmdline = OnceLock::new();
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
        let mut process = if live { proc::read(event.tgid) } else { None }.unwrap_or_default();
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

    /// A process runs a program with these streams.
    pub(crate) fn begin_with(&mut self, pid: u32, streams: Streams) {
        if let Some(process) = self.by_pid.get_mut(&pid) {
            process.streams = streams;
        }
    }

    /// One of the streams was exchanged.
    pub(crate) fn redirect(&mut self, pid: u32, descriptor: i64, stream: Option<Arc<Stream>>) {
        let process = self.by_pid.get_mut(&pid);
        let place = process.zip(usize::try_from(descriptor).ok()).and_then(|(process, at)| process.streams.get_mut(at));
        if let Some(place) = place {
            *place = stream;
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
        process.cmdline = OnceLock::new();
    }
}

pub(crate) fn split(argv: &[u8]) -> Vec<String> {
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
mod tests;
