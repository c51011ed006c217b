//! Events of the bus as the engine takes them, and incidents of the engine as the bus carries them.
//!
//! An event is read in two steps: first only the fields that rules ask for; then, for the few that some rule selects, the whole.

use correlation::{Event, Fields, Hits, Machine, Phase, RuleSet, ScanFacts, ScannedFinding};
use model::{Digest, EventId, Severity, Timestamp};
use schemas::build::v1::{Finding, FindingsChanged, ImageScanned};
use schemas::deploy::v1::PodCreated;
use schemas::incident::v1 as incident;
use schemas::wire::WireError;
use schemas::{AnyEvent, EventType};
use sha2::{Digest as _, Sha256};

use crate::summary;

/// What the first step came to.
pub(crate) enum Read {
    /// No rule selects it and it teaches nothing.
    Passed(Timestamp),
    /// It is to be handled.
    Selected(Box<Event>, Hits),
}

/// Reads a message of the events stream.
///
/// # Errors
/// When it is not an event.
pub(crate) fn read(rules: &RuleSet, sequence: u64, payload: &[u8], subject: &str) -> Result<Read, WireError> {
    let path = path(subject).ok_or_else(|| not_an_event("the subject is not that of an event"))?;
    let fields = bus::decode_seed(payload, rules.fields(path))?;
    let (id, time) = fields.id_and_time().ok_or_else(|| not_an_event("id or time is missing"))?;
    let hits = rules.select(path, &fields);
    let event_type = event_type(path).ok_or_else(|| not_an_event("the subject names no event type"))?;
    if hits.is_empty() && !Machine::links(path) {
        return Ok(Read::Passed(time));
    }
    let whole = bus::decode_any(payload)?;
    if whole.known_type() != Some(event_type) {
        return Err(not_an_event("type and subject differ"));
    }
    let event = event(whole, event_type, Head { id, time, sequence, fields })?;
    Ok(Read::Selected(Box::new(event), hits))
}

struct Head {
    id: EventId,
    time: Timestamp,
    sequence: u64,
    fields: Fields,
}

fn event(whole: AnyEvent, event_type: EventType, head: Head) -> Result<Event, WireError> {
    let phase = Phase::of_type(event_type.phase().as_str()).ok_or_else(|| not_an_event("not of a phase"))?;
    let told = summary::of(event_type, &whole).map_err(|error| not_an_event(&error.to_string()))?;
    let digests = match event_type {
        EventType::PodCreated => {
            let data: PodCreated =
                serde_json::from_value(whole.data).map_err(|error| not_an_event(&error.to_string()))?;
            data.images.into_iter().filter_map(|image| image.digest).collect()
        }
        _ => Vec::new(),
    };
    Ok(Event {
        id: head.id,
        position: head.sequence,
        event_type: event_type.path(),
        phase,
        time: head.time,
        node: whole.node,
        identity: whole.identity,
        digests,
        severity: told.severity,
        fields: head.fields,
        summary: told.line,
    })
}

/// Reads a message of the build stream into scan facts; `before` gives the facts that a change builds on. `None` for events that
/// carry none.
///
/// # Errors
/// When it is not an event.
pub(crate) fn read_scan<'m>(
    payload: &[u8],
    before: impl Fn(&Digest) -> Option<&'m ScanFacts>,
) -> Result<Option<ScanFacts>, WireError> {
    let whole = bus::decode_any(payload)?;
    let bad = |error: serde_json::Error| not_an_event(&error.to_string());
    match whole.known_type() {
        Some(EventType::ImageScanned) => Ok(Some(scanned(&whole.into_typed::<ImageScanned>().map_err(bad)?))),
        Some(EventType::FindingsChanged) => {
            let event = whole.into_typed::<FindingsChanged>().map_err(bad)?;
            let facts = before(&event.data.digest).cloned();
            Ok(facts.map(|facts| changed(facts, &event)))
        }
        _ => Ok(None),
    }
}

fn scanned(event: &schemas::Event<ImageScanned>) -> ScanFacts {
    let data = &event.data;
    ScanFacts {
        digest: data.digest.clone(),
        index_digest: event.identity.index_digest.clone(),
        event: event.id,
        time: event.time,
        event_type: EventType::ImageScanned.path(),
        reference: data.image.clone(),
        packages: data.packages,
        partial: data.partial,
        total: data.counts.total().max(data.findings.len() as u64),
        findings: data.findings.iter().take(ScanFacts::MAX_FINDINGS).map(finding).collect(),
        summary: summary::scan(data),
    }
}

fn changed(before: ScanFacts, event: &schemas::Event<FindingsChanged>) -> ScanFacts {
    let data = &event.data;
    let is_removed = |finding: &ScannedFinding| finding.advisories.iter().any(|id| data.removed.contains(id));
    // What is told of a finding now takes the place of what was told before; who was killed while telling tells it again.
    let told: Vec<ScannedFinding> = data.changed.iter().chain(&data.added).map(finding).collect();
    let is_told_anew = |old: &ScannedFinding| {
        told.iter().any(|new| new.package == old.package && new.advisories.first() == old.advisories.first())
    };
    let stays = |finding: &ScannedFinding| !is_removed(finding) && !is_told_anew(finding);
    let mut findings: Vec<ScannedFinding> = before.findings.iter().filter(|one| stays(one)).cloned().collect();
    findings.extend(told);
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.advisories.cmp(&b.advisories)));
    findings.truncate(ScanFacts::MAX_FINDINGS);
    let summary = summary::change(&before.reference, data);
    let event_type = EventType::FindingsChanged.path();
    ScanFacts { event: event.id, time: event.time, event_type, total: data.counts.total(), findings, summary, ..before }
}

fn finding(finding: &Finding) -> ScannedFinding {
    ScannedFinding {
        advisories: std::iter::once(&finding.id).chain(&finding.aliases).take(8).cloned().collect(),
        package: finding.package.clone(),
        severity: finding.severity,
        fixable: !finding.fixed_version.is_empty(),
    }
}

/// Phase, noun and participle of a subject, `run.rule.matched`, as the part of its text that they are: this runs for each event.
fn path(subject: &str) -> Option<&str> {
    let mut dots = subject.bytes().enumerate().filter(|(_, byte)| *byte == b'.').map(|(place, _)| place);
    let (start, end) = (dots.nth(2)?, dots.nth(2)?);
    subject.get(start + 1..end)
}

fn event_type(path: &str) -> Option<EventType> {
    let mut tokens = path.split('.');
    EventType::from_tokens(tokens.next()?, tokens.next()?, tokens.next()?)
}

fn not_an_event(what: &str) -> WireError {
    WireError::NotAnEvent { what: what.to_owned() }
}

/// An incident for the bus.
#[must_use]
pub(crate) fn incident(incident: &correlation::Incident) -> incident::Incident {
    let factor = |factor: &correlation::Factor| incident::Factor { name: factor.name.clone(), weight: factor.weight };
    let evidence = |piece: &correlation::Evidence| incident::Evidence {
        event: piece.event,
        time: piece.time,
        phase: phase(piece.phase),
        event_type: piece.event_type.to_string(),
        summary: piece.summary.to_string(),
    };
    incident::Incident {
        id: incident.id.clone(),
        revision: incident.revision,
        rule: incident.rule.clone(),
        title: incident.title.clone(),
        severity: incident.severity,
        score: incident.score,
        factors: incident.factors.iter().map(factor).collect(),
        status: match incident.status {
            correlation::Status::Open => incident::Status::Open,
            correlation::Status::Resolved => incident::Status::Resolved,
        },
        identity: incident.identity.clone(),
        phases: incident.phases.iter().copied().map(phase).collect(),
        first_time: incident.first_time,
        last_time: incident.last_time,
        timeline: incident.timeline.iter().map(evidence).collect(),
        evidence_omitted: incident.evidence_omitted,
        tags: incident.tags.clone(),
        responses: incident.responses.clone(),
    }
}

fn phase(phase: Phase) -> schemas::Phase {
    match phase {
        Phase::Build => schemas::Phase::Build,
        Phase::Deploy => schemas::Phase::Deploy,
        Phase::Start => schemas::Phase::Start,
        Phase::Run => schemas::Phase::Run,
    }
}

/// The id of the event that says `what` of an incident's revision: the same after a crash, so that the stream drops the repeat.
/// A UUID of version 7 whose time is that of the last evidence and whose other bits are a hash.
#[must_use]
pub(crate) fn event_id(incident: &incident::Incident, what: &str) -> EventId {
    let mut hasher = Sha256::new();
    hasher.update(incident.id.as_str());
    hasher.update(incident.revision.to_be_bytes());
    hasher.update(what);
    let mut random = [0; 10];
    random.iter_mut().zip(hasher.finalize()).for_each(|(to, from)| *to = from);
    let ms = u64::try_from(incident.last_time.as_millis()).unwrap_or(0);
    EventId::from_uuid(uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid())
}

/// The severity that an alert's priority stands for.
pub(crate) fn severity_of_priority(priority: &str) -> Severity {
    match priority.to_ascii_lowercase().as_str() {
        "emergency" | "alert" | "critical" => Severity::Critical,
        "error" => Severity::High,
        "warning" => Severity::Medium,
        "notice" | "informational" | "info" | "debug" => Severity::Low,
        _ => Severity::Unknown,
    }
}
