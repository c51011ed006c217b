//! Incident events, version 1. Only the correlator publishes them.

use model::{EventId, Identity, IncidentId, Severity, Timestamp};
use serde::{Deserialize, Serialize};

use crate::envelope::EventData;
use crate::event_type::{EventType, Phase};

/// Where an incident stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its rule is satisfied.
    Open,
    /// It was quiet for as long as its rule says, or a person ended it.
    Resolved,
    /// A word that this reader does not know.
    #[default]
    #[serde(other)]
    Other,
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Evidence {
    /// The event.
    pub event: EventId,
    /// Its event time.
    pub time: Timestamp,
    /// Its phase.
    pub phase: Phase,
    /// Its type: `run.rule.matched`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// It in one line.
    pub summary: String,
}

/// One factor of a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Factor {
    /// What counted.
    pub name: String,
    /// By how much the score was multiplied or raised.
    pub weight: f64,
}

/// An incident, whole, in every event about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Incident {
    /// Id: the same for the same rule, subject and window, also after a replay.
    pub id: IncidentId,
    /// Counts the states of this incident that were published, from 1.
    pub revision: u64,
    /// The rule.
    pub rule: String,
    /// One line that says what happened.
    pub title: String,
    /// Severity.
    pub severity: Severity,
    /// Score from 0 to 100.
    pub score: f64,
    /// Where the score comes from.
    #[serde(default)]
    pub factors: Vec<Factor>,
    /// Status.
    pub status: Status,
    /// Whom it is about.
    pub identity: Identity,
    /// Phases that have evidence.
    pub phases: Vec<Phase>,
    /// Event time of the first evidence.
    pub first_time: Timestamp,
    /// Event time of the last evidence.
    pub last_time: Timestamp,
    /// Evidence by event time and id, at most 64; the first and the last of each phase are always kept.
    pub timeline: Vec<Evidence>,
    /// Evidence left out of `timeline`.
    #[serde(default)]
    pub evidence_omitted: u64,
    /// ATT&CK technique ids.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Responses that the rule asks for.
    #[serde(default)]
    pub responses: Vec<String>,
}

/// `incident.case.opened`, keyed by severity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct CaseOpened(pub Incident);

impl EventData for CaseOpened {
    const TYPE: EventType = EventType::CaseOpened;
}

/// `incident.case.updated`, keyed by severity; at most one every 5 s per incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct CaseUpdated(pub Incident);

impl EventData for CaseUpdated {
    const TYPE: EventType = EventType::CaseUpdated;
}

/// `incident.case.resolved`, keyed by severity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct CaseResolved(pub Incident);

impl EventData for CaseResolved {
    const TYPE: EventType = EventType::CaseResolved;
}

/// `incident.response.requested`, keyed by kind: `block-digest`, `quarantine`, `rotate`, `evict`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ResponseRequested {
    /// The incident.
    pub incident: IncidentId,
    /// Kind of response.
    pub kind: String,
    /// Whom it is about.
    pub identity: Identity,
}

impl EventData for ResponseRequested {
    const TYPE: EventType = EventType::ResponseRequested;
}

/// `incident.response.done`, keyed by kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ResponseDone {
    /// The incident.
    pub incident: IncidentId,
    /// Kind of response.
    pub kind: String,
    /// Whether it worked.
    pub succeeded: bool,
    /// What was done, or why it failed.
    pub detail: String,
}

impl EventData for ResponseDone {
    const TYPE: EventType = EventType::ResponseDone;
}
