//! Bounds of the machine and what it counts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bounds, all with a default that fits one node with 1 GiB to spare.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How far the watermark stays behind the newest event time. Default 5 s.
    pub watermark_delay: Duration,
    /// How late an event may be and still take part in decisions about order. Default 10 min.
    pub lateness: Duration,
    /// How far in the future of `now` an event time may move the watermark. Default 60 s.
    pub max_ahead: Duration,
    /// How long the stream must be still, beyond the watermark delay, before time alone moves the watermark. Default 5 s.
    pub idle: Duration,
    /// Shortest time between two publications of one incident. Default 5 s.
    pub update_every: Duration,
    /// Most cases (story and subject). Default 100 000.
    pub max_cases: usize,
    /// Most pods whose identities are remembered. Default 200 000.
    pub max_pods: usize,
    /// Most images whose scan facts are remembered. Default 200 000.
    pub max_images: usize,
    /// Most events that wait for a link between identities. Default 65 536.
    pub max_waiting: usize,
    /// Most pending events of one case; over it, the oldest settle before their time. Default 8 192.
    pub max_pending: usize,
    /// Most settled marks of one selection in one case; counting rules raise it to twice their threshold. Default 64.
    pub max_marks: usize,
    /// How many event ids a case remembers behind the watermark to know a duplicate. Default 512.
    pub max_recent: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            watermark_delay: Duration::from_secs(5),
            lateness: Duration::from_secs(600),
            max_ahead: Duration::from_secs(60),
            idle: Duration::from_secs(5),
            update_every: Duration::from_secs(5),
            max_cases: 100_000,
            max_pods: 200_000,
            max_images: 200_000,
            max_waiting: 65_536,
            max_pending: 8_192,
            max_marks: 64,
            max_recent: 512,
        }
    }
}

/// What the machine counted since its state was first made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// Events seen.
    pub received: u64,
    /// Events that some rule selects.
    pub selected: u64,
    /// Events behind the watermark, within the allowed lateness.
    pub late: u64,
    /// Events later than that.
    pub too_late: u64,
    /// Events whose time was too far ahead to move the watermark.
    pub ahead: u64,
    /// Events that came again.
    pub duplicates: u64,
    /// Late events that could not be told from a duplicate any more, and were dropped.
    pub unverifiable: u64,
    /// Selected events without an identity that their rule joins by.
    pub unjoined: u64,
    /// Cases forgotten because there were too many.
    pub evicted_cases: u64,
    /// Pods forgotten because there were too many.
    pub evicted_pods: u64,
    /// Images forgotten because there were too many.
    pub evicted_images: u64,
    /// Waiting events forgotten because there were too many or their link never came.
    pub evicted_waiting: u64,
    /// Incidents opened.
    pub opened: u64,
    /// Incidents resolved.
    pub resolved: u64,
}
