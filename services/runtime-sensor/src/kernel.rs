//! The kernel side: loads the programs, fills the interest map, hands out events, reads the counters.

use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::maps::{Array, MapData, PerCpuArray, RingBuf};
use aya::programs::{BtfTracePoint, ProgramError};
use aya::{Btf, Ebpf, EbpfLoader};
use runtime_rules::RuleSet;

use crate::decode::Class;
use crate::filter;
use crate::interest;
use crate::probe::{self, Feature};
use crate::syscalls::{self, Syscall};

/// The loaded programs. Dropping it takes them out of the kernel.
pub(crate) struct Kernel {
    events: RingBuf<MapData>,
    interest: Array<MapData, u64>,
    counters: PerCpuArray<MapData, [u64; 4]>,
    verdicts: Array<MapData, u64>,
    seeds: Array<MapData, [u64; 2]>,
    foreign: PerCpuArray<MapData, u64>,
    uring: PerCpuArray<MapData, u64>,
    // Holds the programs and their links.
    programs: Ebpf,
    /// What this kernel has and has not.
    pub(crate) features: Vec<Feature>,
}

/// What the kernel counted of one class of events since the programs were loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) sent: u64,
    pub(crate) dropped: u64,
    pub(crate) bytes: u64,
    /// Left out because no rule can match them.
    pub(crate) unwanted: u64,
}

/// Everything that the kernel side counts. `made = sent + dropped + missed + unwanted`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// In the order of [`Class::ALL`].
    pub(crate) classes: [Counted; 8],
    /// Calls by the 32-bit tables, which are not read.
    pub(crate) foreign: u64,
    /// Operations through io_uring, in the order of [`URING_KINDS`].
    pub(crate) uring: [u64; 3],
    /// Runs that the kernel left out because the same program was at work on that processor.
    pub(crate) missed: u64,
}

impl Counts {
    /// Events that were wanted and that nobody will see.
    pub(crate) fn lost(&self) -> u64 {
        let dropped: u64 = self.classes.iter().map(|class| class.dropped).sum();
        dropped.saturating_add(self.missed)
    }
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kernel").finish_non_exhaustive()
    }
}

impl Kernel {
    /// Loads and attaches everything. Events flow when this returns.
    pub(crate) fn load(ring_bytes: u32, rules: &RuleSet) -> Result<Self, KernelError> {
        let mut features = probe::examine();
        if let Some(missing) = features.iter().find(|feature| feature.is_missing()) {
            return Err(KernelError::Unfit { what: missing.to_string() });
        }
        let btf = Btf::from_sys_fs().map_err(|source| KernelError::Btf { source: Box::new(source) })?;
        let mut kernel = match Self::attached(ring_bytes, &btf, true) {
            Ok(kernel) => {
                features.push(Feature::there("direct reads of tasks"));
                kernel
            }
            Err(KernelError::Attach { .. }) => {
                let kernel = Self::attached(ring_bytes, &btf, false)?;
                features.push(Feature::degraded("direct reads of tasks", "kernel 5.11 makes each event cheaper"));
                kernel
            }
            Err(error) => return Err(error),
        };
        features.push(Feature::there("ring buffer"));
        features.extend(PROGRAMS.map(|(_, tracepoint)| Feature::there(tracepoint)));
        features.append(&mut kernel.features);
        kernel.features = features;
        kernel.want(rules)?;
        Ok(kernel)
    }

    /// The programs, attached; nothing is wanted yet. `directly`: by loads that kernels before 5.11 do not know.
    pub(crate) fn attached(ring_bytes: u32, btf: &Btf, directly: bool) -> Result<Self, KernelError> {
        let mut loader = EbpfLoader::new();
        loader.btf(Some(btf)).map_max_entries("events", ring_bytes);
        let own = std::process::id();
        let directly = u8::from(directly);
        let ring = u64::from(ring_bytes);
        loader.override_global("own_tgid", &own, true).override_global("reads_directly", &directly, true);
        loader.override_global("ring_bytes", &ring, true);
        let mut programs = loader.load(OBJECT).map_err(|source| KernelError::Load { source: Box::new(source) })?;
        let map =
            |programs: &mut Ebpf, name: &'static str| programs.take_map(name).ok_or(KernelError::Missing { name });
        let wrong = |name: &'static str| move |_| KernelError::Missing { name };
        let events = RingBuf::try_from(map(&mut programs, "events")?).map_err(wrong("events"))?;
        let interest = Array::try_from(map(&mut programs, "interest")?).map_err(wrong("interest"))?;
        let counters = PerCpuArray::try_from(map(&mut programs, "counters")?).map_err(wrong("counters"))?;
        let foreign = PerCpuArray::try_from(map(&mut programs, "foreign")?).map_err(wrong("foreign"))?;
        let verdicts = Array::try_from(map(&mut programs, "verdicts")?).map_err(wrong("verdicts"))?;
        let seeds = Array::try_from(map(&mut programs, "seeds")?).map_err(wrong("seeds"))?;
        let uring = PerCpuArray::try_from(map(&mut programs, "uring")?).map_err(wrong("uring"))?;
        let features = Vec::new();
        let mut kernel = Self { events, interest, counters, verdicts, seeds, foreign, uring, programs, features };
        // All are verified before the first one runs, so that they begin together.
        for (name, tracepoint) in PROGRAMS {
            kernel.with(name, |program| load(program, tracepoint, btf))?;
        }
        for (name, _) in PROGRAMS {
            kernel.with(name, |program| program.attach().map(drop))?;
        }
        let counts_uring = kernel
            .with("on_uring", |program| load(program, "io_uring_submit_req", btf))
            .and_then(|()| kernel.with("on_uring", |program| program.attach().map(drop)));
        kernel.features.push(match counts_uring {
            Ok(()) => Feature::there("io_uring_submit_req"),
            Err(_) => Feature::degraded(
                "io_uring_submit_req",
                "operations through io_uring are not counted before kernel 6.4",
            ),
        });
        Ok(kernel)
    }

    fn with(
        &mut self,
        name: &'static str,
        step: impl FnOnce(&mut BtfTracePoint) -> Result<(), ProgramError>,
    ) -> Result<(), KernelError> {
        let refused = |source| KernelError::Attach { name, source: Box::new(source) };
        let program = self.programs.program_mut(name).ok_or(KernelError::Missing { name })?;
        step(program.try_into().map_err(refused)?).map_err(refused)
    }

    /// Tells the kernel which system calls the rules want, and how much of each.
    pub(crate) fn want(&mut self, rules: &RuleSet) -> Result<(), KernelError> {
        self.want_calls(|syscall| interest::flags(rules, syscall))
    }

    /// Tells the kernel what to send of each system call.
    pub(crate) fn want_calls(&mut self, flags: impl Fn(&Syscall) -> u64) -> Result<(), KernelError> {
        for syscall in syscalls::all() {
            let set = self.interest.set(syscall.nr, flags(syscall), 0);
            set.map_err(|source| KernelError::Map { source: Box::new(source) })?;
        }
        Ok(())
    }

    /// Makes all verdicts void; from now on, events may be left out by new ones.
    pub(crate) fn forget_verdicts(&mut self) -> Result<(), KernelError> {
        self.seeds.set(0, filter::seed(), 0).map_err(|source| KernelError::Map { source: Box::new(source) })
    }

    /// The like of an event with this key is left out from now on.
    pub(crate) fn leave_out(&mut self, key: u64) -> Result<(), KernelError> {
        let place = u32::try_from(key % u64::from(self.verdicts.len())).unwrap_or_default();
        self.verdicts.set(place, key, 0).map_err(|source| KernelError::Map { source: Box::new(source) })
    }

    /// Hands the events that are there to `take`, at most `most`. Returns how many.
    pub(crate) fn poll(&mut self, most: usize, mut take: impl FnMut(&[u8])) -> usize {
        let mut count = 0;
        while count < most
            && let Some(event) = self.events.next()
        {
            take(&event);
            count += 1;
        }
        count
    }

    /// The counters of all processors together.
    pub(crate) fn counted(&self) -> Counts {
        let mut counts = Counts::default();
        for (key, counted) in (0..).zip(&mut counts.classes) {
            let values = self.counters.get(&key, 0);
            for [sent, dropped, bytes, unwanted] in values.iter().flat_map(|values| values.iter().copied()) {
                counted.unwanted += unwanted;
                counted.sent += sent;
                counted.dropped += dropped;
                counted.bytes += bytes;
            }
        }
        counts.foreign = self.foreign.get(&0, 0).map_or(0, |values| values.iter().sum());
        for opcode in 0..self.uring.len() {
            let count: u64 = self.uring.get(&opcode, 0).map_or(0, |values| values.iter().sum());
            let kind = counts.uring.get_mut(usize::from(uring_kind(opcode)));
            kind.into_iter().for_each(|sum| *sum = sum.saturating_add(count));
        }
        counts.missed = PROGRAMS.iter().filter_map(|(name, _)| self.missed(name)).sum();
        counts
    }

    /// Runs of a program that the kernel left out, from proc_pid_fdinfo(5).
    fn missed(&self, name: &str) -> Option<u64> {
        let program: &BtfTracePoint = self.programs.program(name)?.try_into().ok()?;
        let descriptor = program.fd().ok()?.as_fd().as_raw_fd();
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).ok()?;
        text.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?.trim().parse().ok()
    }
}

/// Has a program verified. The verifier gives up with EAGAIN when a signal comes for the thread (`bpf_check` in the kernel), such as that
/// of a child that ended: then it is asked again.
fn load(program: &mut BtfTracePoint, tracepoint: &str, btf: &Btf) -> Result<(), ProgramError> {
    let is_disturbed = |error: &ProgramError| match error {
        ProgramError::LoadError { io_error, .. } => {
            matches!(io_error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted)
        }
        _ => false,
    };
    for _ in 0..DISTURBANCES {
        match program.load(tracepoint, btf) {
            Err(error) if is_disturbed(&error) => std::thread::sleep(std::time::Duration::from_millis(5)),
            done => return done,
        }
    }
    program.load(tracepoint, btf)
}

/// How often a signal may disturb one verification.
const DISTURBANCES: u32 = 20;

/// Why the kernel does not give events. Each says what cures it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KernelError {
    #[error("the kernel cannot be watched: {what}")]
    Unfit { what: String },
    #[error("the kernel's BTF cannot be read")]
    Btf {
        #[source]
        source: Box<aya::BtfError>,
    },
    #[error("the kernel refuses the sensor's maps: run as root, or with CAP_BPF and CAP_PERFMON")]
    Load {
        #[source]
        source: Box<aya::EbpfError>,
    },
    #[error("the kernel refuses the program `{name}`: it needs CAP_BPF, CAP_PERFMON and kernel 5.8 or later")]
    Attach {
        name: &'static str,
        #[source]
        source: Box<ProgramError>,
    },
    #[error("the sensor's object lacks `{name}`: the build is broken")]
    Missing { name: &'static str },
    #[error("the kernel's tables cannot be written")]
    Map {
        #[source]
        source: Box<aya::maps::MapError>,
    },
}

impl Class {
    /// The cause that Falco's report of losses names.
    pub(crate) fn cause(self) -> &'static str {
        match self {
            Self::Exec => "execve",
            Self::Fork => "clone_fork",
            Self::Exit | Self::Process => "proc",
            Self::Open => "open",
            Self::Network => "connect",
            Self::File => "dir_file",
            Self::Other => "other_interest",
        }
    }
}

/// What operations through io_uring are about.
pub(crate) const URING_KINDS: [&str; 3] = ["other", "files", "network"];

/// The place in [`URING_KINDS`] of an operation (enum io_uring_op).
fn uring_kind(opcode: u32) -> u8 {
    match opcode {
        // openat, openat2, renameat to linkat, extended attributes, ftruncate.
        18 | 28 | 35..=39 | 41 | 42 | 55 => 1,
        // sendmsg, recvmsg, accept, connect, send, recv, shutdown, socket, without copies, bind, listen.
        9 | 10 | 13 | 16 | 26 | 27 | 34 | 45 | 47 | 48 | 56 | 57 => 2,
        _ => 0,
    }
}

const OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sensor.bpf.o"));

const PROGRAMS: [(&str, &str); 4] = [
    ("on_exec", "sched_process_exec"),
    ("on_fork", "sched_process_fork"),
    ("on_exit", "sched_process_exit"),
    ("on_sys_exit", "sys_exit"),
];

#[cfg(test)]
pub(crate) mod tests;
