//! Where events come from: the kernel, or a recording.

use std::time::Duration;

use anyhow::Context as _;
use model::Timestamp;
use runtime_rules::RuleSet;

use crate::config::{Config, SourceKind};
use crate::host;
use crate::kernel::{Counts, Kernel};
use crate::probe::Feature;
use crate::record::Reader;

/// A source of events.
#[derive(Debug)]
pub(crate) enum Source {
    Kernel { kernel: Box<Kernel>, pause: Duration },
    Recording { reader: Reader, is_over: bool },
}

impl Source {
    pub(crate) fn open(config: &Config, rules: &RuleSet) -> anyhow::Result<Self> {
        match (config.source, &config.replay_file) {
            (SourceKind::Replay, Some(path)) => {
                let reader = Reader::open(path).with_context(|| format!("cannot play {}", path.display()))?;
                Ok(Self::Recording { reader, is_over: false })
            }
            _ => Ok(Self::Kernel { kernel: Box::new(Kernel::load(config.ring_bytes, rules)?), pause: PAUSE }),
        }
    }

    /// Whether events are of this machine, now: then /proc can be asked.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self, Self::Kernel { .. })
    }

    /// When the clock of the events was zero.
    pub(crate) fn boot_time(&self) -> Timestamp {
        match self {
            Self::Kernel { .. } => host::boot_time(),
            Self::Recording { reader, .. } => reader.head.boot_time,
        }
    }

    pub(crate) fn hostname(&self) -> String {
        match self {
            Self::Kernel { .. } => host::hostname(),
            Self::Recording { reader, .. } => reader.head.hostname.clone(),
        }
    }

    /// Hands events to `take`; sleeps a little when there are none.
    pub(crate) fn poll(&mut self, most: usize, mut take: impl FnMut(&[u8])) -> anyhow::Result<usize> {
        let count = match self {
            Self::Kernel { kernel, pause } => {
                let count = kernel.poll(most, take);
                if count == 0 {
                    std::thread::sleep(*pause);
                    *pause = (*pause * 2).min(LONGEST_PAUSE);
                } else {
                    *pause = PAUSE;
                }
                return Ok(count);
            }
            Self::Recording { is_over: true, .. } => 0,
            Self::Recording { reader, is_over } => {
                let mut count = 0;
                while count < most {
                    let Some(event) = reader.next().context("the recording cannot be read on")? else {
                        *is_over = true;
                        tracing::info!("the recording is over");
                        break;
                    };
                    take(&event);
                    count += 1;
                }
                count
            }
        };
        if count == 0 {
            std::thread::sleep(PAUSE);
        }
        Ok(count)
    }

    pub(crate) fn want(&mut self, rules: &RuleSet) -> anyhow::Result<()> {
        match self {
            Self::Kernel { kernel, .. } => kernel.want(rules).context("rules changed, but the kernel does not take it"),
            Self::Recording { .. } => Ok(()),
        }
    }

    /// The like of these is left out from now on.
    pub(crate) fn leave_out(&mut self, keys: impl Iterator<Item = u64>) -> anyhow::Result<()> {
        if let Self::Kernel { kernel, .. } = self {
            for key in keys {
                kernel.leave_out(key)?;
            }
        }
        Ok(())
    }

    /// What was said to be left out may be wanted now.
    pub(crate) fn forget_verdicts(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Kernel { kernel, .. } => Ok(kernel.forget_verdicts()?),
            Self::Recording { .. } => Ok(()),
        }
    }

    /// The kernel's counters; zero for a recording, which cannot lose.
    pub(crate) fn counted(&self) -> Counts {
        match self {
            Self::Kernel { kernel, .. } => kernel.counted(),
            Self::Recording { .. } => Counts::default(),
        }
    }

    /// What the machine has of what the sensor needs; nothing for a recording, which needs nothing.
    pub(crate) fn features(&self) -> &[Feature] {
        match self {
            Self::Kernel { kernel, .. } => &kernel.features,
            Self::Recording { .. } => &[],
        }
    }

    /// Whether a recording has been played to its end.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Recording { is_over: true, .. })
    }
}

/// Between two looks at an empty ring. Waking the reader for each event costs twelve times as much.
const PAUSE: Duration = Duration::from_millis(1);

/// What the pause grows to while nothing comes.
const LONGEST_PAUSE: Duration = Duration::from_millis(8);
