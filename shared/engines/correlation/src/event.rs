//! The engine's own view of an event.

use std::fmt;

use model::{Digest, EventId, Identity, NodeName, Severity, Timestamp};
use serde::{Deserialize, Serialize};

use crate::fields::Fields;

/// The four phases of a workload's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Images are scanned.
    Build,
    /// Objects are admitted.
    Deploy,
    /// Secrets are delivered.
    Start,
    /// Processes run.
    Run,
}

impl Phase {
    /// Every phase, in the order of life.
    pub const ALL: [Self; 4] = [Self::Build, Self::Deploy, Self::Start, Self::Run];

    /// The lower-case word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Deploy => "deploy",
            Self::Start => "start",
            Self::Run => "run",
        }
    }

    /// The phase of an event type: `run` of `run.rule.matched`.
    #[must_use]
    pub fn of_type(event_type: &str) -> Option<Self> {
        let first = event_type.split('.').next()?;
        Self::ALL.into_iter().find(|phase| phase.as_str() == first)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One event, as far as correlation needs it.
#[derive(Clone, Debug)]
pub struct Event {
    /// Unique id; the same id is the same event.
    pub id: EventId,
    /// Place in the stream it was read from.
    pub position: u64,
    /// Phase, noun and participle: `run.rule.matched`.
    pub event_type: String,
    /// Its phase.
    pub phase: Phase,
    /// When it happened.
    pub time: Timestamp,
    /// Node that it happened on.
    pub node: Option<NodeName>,
    /// Every identity that the sender knew.
    pub identity: Identity,
    /// Digests of all images concerned, when there are more than the one in `identity`.
    pub digests: Vec<Digest>,
    /// How bad it is by itself; it raises the score of an incident.
    pub severity: Severity,
    /// The fields that the rules ask for ([`crate::RuleSet::fields`]).
    pub fields: Fields,
    /// It in one line.
    pub summary: String,
}
