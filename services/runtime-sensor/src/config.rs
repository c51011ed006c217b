//! The sensor's own settings.

mod alerts;

use std::path::PathBuf;

use runtime_rules::{LoadOptions, Matching};
use serde::Deserialize;
use service::{ConfigFault, Configuration};
use tokio_util::sync::CancellationToken;

use crate::cri::{Containers, SOCKETS};
use crate::metrics::Metrics;

pub use alerts::{
    Alerts, Append, AppendField, AppendMatch, Drops, FileOutput, HttpOutput, Level, NatsOutput, OutputsQueue,
    ProgramOutput, StdoutOutput, SyslogOutput,
};

/// The `service` section of the sensor's configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Rules files, and folders of them, in the order of their names; later ones change earlier ones. Default: the rules that are built
    /// in.
    pub rules: Vec<PathBuf>,
    /// Where events come from. Default `ebpf`.
    pub source: SourceKind,
    /// Recording to play, with `source: replay`.
    pub replay_file: Option<PathBuf>,
    /// Whether the first event of a recording happens now, and the others as long after it as they did. Default true; false keeps
    /// the recorded times.
    pub replay_as_now: bool,
    /// Bytes of the ring between kernel and sensor, a power of two from 256 KiB to 512 MiB. Default 8 MiB.
    pub ring_bytes: u32,
    /// Most processes in the table. Default 65536.
    pub max_processes: usize,
    /// How many rules may match one event. Default `first`.
    pub rule_matching: RuleMatching,
    /// Rules less urgent than this are not loaded. Default `debug`.
    pub priority: Level,
    /// Most alerts of one rule a second; more are counted and left out. 0 is no limit. Default 100.
    pub max_alerts_per_second: u32,
    /// Whether only processes in containers are judged. Default false.
    pub containers_only: bool,
    /// What is added to the outputs of rules. Default: the container's and the pod's fields, to all.
    pub append_output: Vec<Append>,
    /// Who is asked for names, images and labels of containers.
    pub container_engines: ContainerEngines,
    /// When lost events are an alert.
    pub syscall_event_drops: Drops,
    /// Where alerts go beside the bus, and how they are written there. On the bus they are always whole.
    pub alerts: Alerts,
}

/// Where events come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// The kernel of this machine.
    #[default]
    Ebpf,
    /// A recording.
    Replay,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            source: SourceKind::Ebpf,
            replay_file: None,
            replay_as_now: true,
            ring_bytes: 8 * 1024 * 1024,
            max_processes: 65_536,
            rule_matching: RuleMatching::First,
            priority: Level::default(),
            max_alerts_per_second: 100,
            containers_only: false,
            append_output: vec![Append { suggested_output: true, ..Append::default() }],
            container_engines: ContainerEngines::default(),
            syscall_event_drops: Drops::default(),
            alerts: Alerts::default(),
        }
    }
}

/// Who is asked for names, images and labels of containers.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContainerEngines {
    /// Runtimes with the Container Runtime Interface: containerd, CRI-O.
    pub cri: Cri,
    /// Milliseconds that events of a new container wait for the answer; later ones are judged without. Default 500.
    pub wait_ms: u64,
}

impl Default for ContainerEngines {
    fn default() -> Self {
        Self { cri: Cri::default(), wait_ms: 500 }
    }
}

/// Runtimes with the Container Runtime Interface.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cri {
    /// Whether they are asked. Default true.
    pub enabled: bool,
    /// Sockets; the first that answers is asked. Default: where containerd, CRI-O and k3s have theirs.
    pub sockets: Vec<PathBuf>,
}

impl Default for Cri {
    fn default() -> Self {
        Self { enabled: true, sockets: SOCKETS.map(PathBuf::from).to_vec() }
    }
}

/// How many rules may match one event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum RuleMatching {
    /// The first in the order of the files.
    #[default]
    First,
    /// Every one.
    All,
}

impl From<RuleMatching> for Matching {
    fn from(matching: RuleMatching) -> Self {
        match matching {
            RuleMatching::First => Self::First,
            RuleMatching::All => Self::All,
        }
    }
}

impl Config {
    /// Follows the container runtime, where events are of this machine and the settings want it.
    pub(crate) fn containers(
        &self,
        metrics: &Metrics,
        runtime: &tokio::runtime::Handle,
        shutdown: &CancellationToken,
    ) -> Option<Containers> {
        let sockets = &self.container_engines.cri.sockets;
        let is_wanted = self.container_engines.cri.enabled && self.source == SourceKind::Ebpf && !sockets.is_empty();
        is_wanted
            .then(|| Containers::follow(sockets.clone(), metrics.containers_evicted.clone(), runtime, shutdown.clone()))
    }

    /// How rules files are to be read.
    pub(crate) fn load_options(&self) -> LoadOptions {
        LoadOptions {
            least_priority: self.priority.0,
            append_output: self.append_output.iter().map(Append::to_engine).collect(),
            ..LoadOptions::default()
        }
    }
}

impl Configuration for Config {
    fn check(&self) -> Result<(), ConfigFault> {
        let fault = |field, what: &str| Err(ConfigFault { field, what: what.to_owned() });
        if !self.ring_bytes.is_power_of_two() || !(262_144..=536_870_912).contains(&self.ring_bytes) {
            return fault("service.ring_bytes", "must be a power of two from 262144 to 536870912");
        }
        if !(1_024..=4_194_304).contains(&self.max_processes) {
            return fault("service.max_processes", "must be from 1024 to 4194304");
        }
        self.alerts.check()?;
        if self.container_engines.wait_ms > 10_000 {
            return fault("service.container_engines.wait_ms", "must be at most 10000 milliseconds");
        }
        match (self.source, &self.replay_file) {
            (SourceKind::Replay, None) => {
                fault("service.replay_file", "names the recording that `source: replay` plays")
            }
            (SourceKind::Ebpf, Some(_)) => fault("service.replay_file", "has no meaning without `source: replay`"),
            _ => Ok(()),
        }
    }
}
