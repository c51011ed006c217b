//! The machine's state in pieces that can be saved: what changed since the last time, by key.

use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::facts::ScanFacts;
use crate::limits::Stats;
use crate::links::{PodRecord, WaitingMark};

/// One piece of state. Its key is unique among all pieces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A case, with the story and the fingerprint of the rules that it was made under.
    Case {
        /// Story.
        story: String,
        /// Fingerprint of the story's rules.
        fingerprint: String,
        /// The case.
        case: Box<Case>,
    },
    /// What is known of a pod.
    Pod(Box<PodRecord>),
    /// Who waits for a link.
    Waiting(Vec<WaitingMark>),
    /// The scans of an image.
    Facts(Vec<ScanFacts>),
    /// The clock and the counts.
    Clock {
        /// Newest event time.
        newest: Timestamp,
        /// Counts.
        stats: Stats,
    },
}

/// A piece that changed: its new content, or that it is gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Key.
    pub key: String,
    /// Content; `None` when it is gone.
    pub record: Option<Record>,
}

/// What restoring came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Pieces taken.
    pub taken: u64,
    /// Keys of pieces that belong to rules which are no longer in force, or cannot be read; the caller may delete them.
    pub orphaned: Vec<String>,
    /// Incidents that were open in orphaned cases.
    pub orphaned_incidents: Vec<model::IncidentId>,
}
