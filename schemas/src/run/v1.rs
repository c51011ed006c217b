//! Run events, version 1.

use std::collections::BTreeMap;

use model::{PackageUrl, Timestamp};
use serde::{Deserialize, Serialize};

use crate::envelope::EventData;
use crate::event_type::EventType;

/// One process, as the sensor's table knew it when the event happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Process {
    /// Process id on the host.
    pub pid: u32,
    /// Name (`comm`).
    pub name: String,
    /// Path of the executable.
    pub exe: String,
    /// Command line, cut at 4096 bytes.
    pub cmdline: String,
    /// User id.
    pub uid: u32,
}

/// `run.container.started`, keyed by pod uid (by container id where there is no pod).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct ContainerStarted {
    /// The first process.
    pub process: Process,
    /// Image reference, where known.
    pub image: String,
    /// Path of the cgroup.
    pub cgroup: String,
}

impl EventData for ContainerStarted {
    const TYPE: EventType = EventType::ContainerStarted;
}

/// `run.container.exited`, keyed as its start was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct ContainerExited {
    /// Wait status of the first process, as wait(2) gives it.
    pub status: i32,
    /// How long it ran, in milliseconds.
    pub duration_ms: u64,
}

impl EventData for ContainerExited {
    const TYPE: EventType = EventType::ContainerExited;
}

/// The alert as Falco writes it with `json_output`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Alert {
    /// The formatted line.
    pub output: String,
    /// Priority: `Emergency` ... `Debug`.
    pub priority: String,
    /// Rule.
    pub rule: String,
    /// Event source: `syscall`.
    pub source: String,
    /// Tags of the rule.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Event time.
    pub time: Timestamp,
    /// Host.
    #[serde(default)]
    pub hostname: String,
    /// Values of the fields that the output names.
    #[serde(default)]
    pub output_fields: BTreeMap<String, serde_json::Value>,
}

/// `run.rule.matched`, keyed by pod uid, or by node for the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RuleMatched {
    /// The alert.
    pub alert: Alert,
    /// Type of the event that matched: `open`, `execve`, `connect`, ...
    #[serde(default)]
    pub event: String,
    /// The process.
    #[serde(default)]
    pub process: Process,
    /// Its ancestors, parent first.
    #[serde(default)]
    pub ancestors: Vec<Process>,
}

impl EventData for RuleMatched {
    const TYPE: EventType = EventType::RuleMatched;
}

/// `run.package.loaded`, keyed by pod uid: a file of a package was really used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PackageLoaded {
    /// The package.
    pub purl: PackageUrl,
    /// The file.
    pub path: String,
    /// How: `exec`, `open` or `mmap`.
    #[serde(default)]
    pub by: String,
}

impl EventData for PackageLoaded {
    const TYPE: EventType = EventType::PackageLoaded;
}

/// `run.events.lost`, keyed by node (also by service for losses of a spool).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct EventsLost {
    /// Where: `kernel-ring`, `spool`, `stream`, `table`.
    pub at: String,
    /// Events lost since the last event of this kind, by class.
    pub lost: BTreeMap<String, u64>,
    /// Events that were kept in the same time.
    pub kept: u64,
    /// What can be done about it.
    pub remedy: String,
}

impl EventData for EventsLost {
    const TYPE: EventType = EventType::EventsLost;
}
