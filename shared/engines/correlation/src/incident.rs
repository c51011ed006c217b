//! Incidents as the machine hands them out: id, score with its factors, timeline.

use model::{Identity, IncidentId, Severity, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::event::Phase;
use crate::evidence::Evidence;
use crate::set::{CompiledRule, Story};

/// What the machine says.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A rule is satisfied for the first time in its window.
    Opened(Incident),
    /// There is more evidence.
    Updated(Incident),
    /// It ended: it was quiet for long enough, or `resolve-when` matched. Its timeline is final but for late events.
    Resolved(Incident),
}

impl Output {
    /// The incident.
    #[must_use]
    pub fn incident(&self) -> &Incident {
        match self {
            Self::Opened(incident) | Self::Updated(incident) | Self::Resolved(incident) => incident,
        }
    }
}

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its rule is satisfied.
    Open,
    /// It ended.
    Resolved,
}

/// One factor of a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Factor {
    /// What counted.
    pub name: String,
    /// The base, or by how much it was multiplied.
    pub weight: f64,
}

/// One incident, whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// The first 16 bytes of SHA-256 over story, subject and window start.
    pub id: IncidentId,
    /// Counts the states that were handed out, from 1.
    pub revision: u64,
    /// The worst of the satisfied rules of the story.
    pub rule: String,
    /// Its title.
    pub title: String,
    /// Its severity.
    pub severity: Severity,
    /// From 0 to 100: the product of the factors.
    pub score: f64,
    /// The factors.
    pub factors: Vec<Factor>,
    /// Status.
    pub status: Status,
    /// Every identity that the evidence knew; where pieces differ, the earliest.
    pub identity: Identity,
    /// Phases with evidence.
    pub phases: Vec<Phase>,
    /// Event time of the first evidence.
    pub first_time: Timestamp,
    /// Event time of the last evidence.
    pub last_time: Timestamp,
    /// Evidence by event time and id, at most 64.
    pub timeline: Vec<Evidence>,
    /// Evidence left out of the timeline.
    pub evidence_omitted: u64,
    /// Tags of all satisfied rules.
    pub tags: Vec<String>,
    /// Responses that the satisfied rules ask for.
    pub responses: Vec<String>,
}

/// The id of the incident of a story about a subject (`pod/<uid>`) in the window that starts at `window_start`: the end of the last
/// incident of that story and subject, or the epoch.
#[must_use]
pub fn incident_id(story: &str, subject: &str, window_start: Timestamp) -> Option<IncidentId> {
    let mut hasher = Sha256::new();
    hasher.update(b"biotope incident v1\0");
    hasher.update(story.as_bytes());
    hasher.update([0]);
    hasher.update(subject.as_bytes());
    hasher.update([0]);
    hasher.update(window_start.as_nanos().to_be_bytes());
    hex::encode(hasher.finalize().get(..16)?).parse().ok()
}

/// What a score is made from.
pub(crate) struct Grounds<'a> {
    pub(crate) rules: &'a [&'a CompiledRule],
    pub(crate) severity: Severity,
    pub(crate) phases: &'a [Phase],
    pub(crate) timeline: &'a [Evidence],
    /// Worst severity among the events themselves.
    pub(crate) event_severity: Severity,
    /// Worst severity among the findings of the images, and whether one of that severity can be fixed.
    pub(crate) finding: Option<(Severity, bool)>,
}

/// Factors and score, rounded to a tenth.
pub(crate) fn score(grounds: &Grounds<'_>) -> (f64, Vec<Factor>) {
    let mut factors = vec![factor(format!("severity {}", grounds.severity), base(grounds.severity))];
    let phases = grounds.phases.len();
    if phases > 1 {
        factors.push(factor(
            format!("evidence in {phases} phases"),
            [1.0, 1.0, 1.1, 1.2, 1.3].get(phases).copied().unwrap_or(1.3),
        ));
    }
    if phases > 1 && grounds.timeline.is_sorted_by_key(|evidence| evidence.phase) {
        factors.push(factor("phases in the order of life".to_owned(), 1.05));
    }
    if let Some((severity @ (Severity::High | Severity::Critical), fixable)) = grounds.finding {
        let fix = if fixable { ", fix available" } else { "" };
        factors.push(factor(
            format!("{severity} finding in the image{fix}"),
            if severity == Severity::Critical { 1.15 } else { 1.1 },
        ));
    }
    if grounds.event_severity >= Severity::High {
        factors.push(factor(format!("{} event", grounds.event_severity), 1.1));
    }
    if let [_, others @ ..] = grounds.rules
        && !others.is_empty()
    {
        let names: Vec<&str> = others.iter().map(|rule| rule.name.as_str()).collect();
        factors.push(factor(format!("also satisfied: {}", names.join(", ")), 1.05));
    }
    let product: f64 = factors.iter().map(|factor| factor.weight).product();
    ((product.min(100.0) * 10.0).round() / 10.0, factors)
}

fn factor(name: String, weight: f64) -> Factor {
    Factor { name, weight }
}

fn base(severity: Severity) -> f64 {
    match severity {
        Severity::Critical => 65.0,
        Severity::High => 50.0,
        Severity::Medium => 35.0,
        Severity::Low => 20.0,
        Severity::Unknown => 10.0,
    }
}

/// Satisfied rules, the one that names the incident first: worst severity, then most phases, then by name.
pub(crate) fn ranked<'a>(story: &'a Story, satisfied: &[Option<Timestamp>]) -> Vec<&'a CompiledRule> {
    let mut rules: Vec<&CompiledRule> =
        story.rules.iter().zip(satisfied).filter(|(_, at)| at.is_some()).map(|(rule, _)| rule).collect();
    rules.sort_by(|a, b| {
        b.severity.cmp(&a.severity).then(b.phases.len().cmp(&a.phases.len())).then_with(|| a.name.cmp(&b.name))
    });
    rules
}
