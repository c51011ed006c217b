//! The kernel side: loads the programs, fills the interest map, hands out events, reads the counters.

use std::path::Path;

use aya::maps::{Array, MapData, PerCpuArray, RingBuf};
use aya::programs::BtfTracePoint;
use aya::{Btf, Ebpf, EbpfLoader};
use runtime_rules::{EventType, RuleSet};

use crate::decode::Kind;
use crate::syscalls;

/// The loaded programs. Dropping it takes them out of the kernel.
pub(crate) struct Kernel {
    events: RingBuf<MapData>,
    interest: Array<MapData, u64>,
    counters: PerCpuArray<MapData, u64>,
    // Holds the programs and their links.
    _programs: Ebpf,
}

/// What the kernel counted of one kind of event since the programs were loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) sent: u64,
    pub(crate) dropped: u64,
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kernel").finish_non_exhaustive()
    }
}

impl Kernel {
    /// Loads and attaches everything. Events flow when this returns.
    pub(crate) fn load(ring_bytes: u32, rules: &RuleSet) -> Result<Self, KernelError> {
        if !Path::new(BTF).exists() {
            return Err(KernelError::NoBtf);
        }
        let btf = Btf::from_sys_fs().map_err(|source| KernelError::Btf { source: Box::new(source) })?;
        let mut loader = EbpfLoader::new();
        loader.btf(Some(&btf)).map_max_entries("events", ring_bytes);
        let own = std::process::id();
        loader.override_global("own_tgid", &own, true);
        let mut programs = loader.load(OBJECT).map_err(|source| KernelError::Load { source: Box::new(source) })?;
        let map =
            |programs: &mut Ebpf, name: &'static str| programs.take_map(name).ok_or(KernelError::Missing { name });
        let wrong = |name: &'static str| move |_| KernelError::Missing { name };
        let events = RingBuf::try_from(map(&mut programs, "events")?).map_err(wrong("events"))?;
        let interest = Array::try_from(map(&mut programs, "interest")?).map_err(wrong("interest"))?;
        let counters = PerCpuArray::try_from(map(&mut programs, "counters")?).map_err(wrong("counters"))?;
        let mut kernel = Self { events, interest, counters, _programs: programs };
        kernel.want(rules)?;
        for (name, tracepoint) in PROGRAMS {
            kernel.attach(name, tracepoint, &btf)?;
        }
        Ok(kernel)
    }

    fn attach(&mut self, name: &'static str, tracepoint: &'static str, btf: &Btf) -> Result<(), KernelError> {
        let refused = |source| KernelError::Attach { name, source: Box::new(source) };
        let program = self._programs.program_mut(name).ok_or(KernelError::Missing { name })?;
        let program: &mut BtfTracePoint = program.try_into().map_err(refused)?;
        program.load(tracepoint, btf).map_err(refused)?;
        program.attach().map_err(refused)?;
        tracing::info!(program = name, tracepoint, "kernel program attached");
        Ok(())
    }

    /// Tells the kernel which system calls the rules want.
    pub(crate) fn want(&mut self, rules: &RuleSet) -> Result<(), KernelError> {
        for syscall in syscalls::SYSCALLS {
            let is_wanted = EventType::named(syscall.name).is_some_and(|event_type| rules.wants(event_type))
                || syscalls::STATE.contains(&syscall.name);
            let flags = if is_wanted { syscall.flags() } else { 0 };
            self.interest.set(syscall.nr, flags, 0).map_err(|source| KernelError::Map { source: Box::new(source) })?;
        }
        Ok(())
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

    /// The counters of all processors together, in the order of [`Kind::ALL`].
    pub(crate) fn counted(&self) -> [Counted; 4] {
        let sum = |key: usize| -> u64 {
            let values = u32::try_from(key).ok().and_then(|key| self.counters.get(&key, 0).ok());
            values.map_or(0, |values| values.iter().sum())
        };
        let mut place = 0;
        Kind::ALL.map(|_| {
            let counted = Counted { sent: sum(place * 2), dropped: sum(place * 2 + 1) };
            place += 1;
            counted
        })
    }
}

/// Why the kernel does not give events. Each says what cures it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KernelError {
    #[error("no BTF at {BTF}: the kernel must be 5.8 or later, built with CONFIG_DEBUG_INFO_BTF")]
    NoBtf,
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
        source: Box<aya::programs::ProgramError>,
    },
    #[error("the sensor's object lacks `{name}`: the build is broken")]
    Missing { name: &'static str },
    #[error("the interest map cannot be written")]
    Map {
        #[source]
        source: Box<aya::maps::MapError>,
    },
}

const OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sensor.bpf.o"));

const BTF: &str = "/sys/kernel/btf/vmlinux";

const PROGRAMS: [(&str, &str); 4] = [
    ("on_exec", "sched_process_exec"),
    ("on_fork", "sched_process_fork"),
    ("on_exit", "sched_process_exit"),
    ("on_sys_exit", "sys_exit"),
];
