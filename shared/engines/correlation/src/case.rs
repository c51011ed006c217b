//! One case: what is known of one subject under one story.
//!
//! Evidence enters the *pending* tier, sorted by time and id. When the watermark has passed a piece, it is folded into the *settled*
//! tier. Every bound is applied by the fold, so what is kept is a function of the events, not of their arrival.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::{Digest, EventId, Identity, Severity, Timestamp};
use serde::{Deserialize, Serialize};

use crate::condition::{self, Mark};
use crate::event::Phase;
use crate::evidence::{Evidence, Retained};
use crate::facts::FactsTable;
use crate::incident::{self, Grounds, Incident, Status};
use crate::limits::Limits;
use crate::links::fill;
use crate::set::{CompiledRule, Story};
use crate::subject::Subject;

/// State of one subject under one story. Its fields are private; it is public so that it can be saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    pub(crate) subject: Subject,
    /// Where the current window starts: the end of the last incident, or the epoch.
    window_start: Timestamp,
    /// Images concerned, at most [`MAX_DIGESTS`], the smallest.
    pub(crate) digests: BTreeSet<Digest>,
    /// Identities that links gave, not evidence.
    context: Identity,
    pending: Vec<Pending>,
    settled: Settled,
    /// By rule of the story: the event time at which it was first satisfied in this window.
    satisfied: Vec<Option<Timestamp>>,
    pub(crate) open: Option<Open>,
    closed: Option<Box<Closed>>,
    /// The event time for which a timer is set.
    pub(crate) armed: Option<Timestamp>,
}

/// An event that a case took, with all that an incident shows of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) mark: Mark,
    pub(crate) event_type: Arc<str>,
    pub(crate) summary: Arc<str>,
    pub(crate) severity: Severity,
    pub(crate) identity: Arc<Identity>,
    pub(crate) digests: Vec<Digest>,
}

/// Everything behind the watermark.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Settled {
    marks: Vec<Mark>,
    evidence: [Retained; 4],
    identity: Identity,
    severity: Severity,
    /// Time of the last evidence of this window.
    last: Option<Timestamp>,
    /// Time and id up to which all is folded.
    to: Option<(Timestamp, EventId)>,
    /// Ids behind the watermark, sorted, by which a duplicate is known.
    recent: Vec<(Timestamp, EventId)>,
    /// Up to here ids were forgotten: whether such an event was here before cannot be told any more.
    forgotten: Option<(Timestamp, EventId)>,
}

/// That an incident is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Open {
    pub(crate) revision: u64,
    /// When it was last handed out.
    pub(crate) published_at: Timestamp,
    /// When it is due to be handed out again.
    pub(crate) publish_at: Option<Timestamp>,
}

/// The last incident that ended, so that later evidence from its time can be added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Closed {
    incident: Incident,
    window_start: Timestamp,
    /// `None` once it is too old for anything to be added.
    evidence: Option<[Retained; 4]>,
}

/// What a case needs to know to judge.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) story: &'a Story,
    pub(crate) facts: &'a FactsTable,
    pub(crate) limits: &'a Limits,
    pub(crate) watermark: Timestamp,
}

/// What became of an event.
#[derive(Debug, PartialEq)]
pub(crate) enum Inserted {
    New,
    Duplicate,
    Unverifiable,
    /// It belongs to the incident that ended last, which now reads so.
    Attached(Box<Incident>),
}

impl Case {
    pub(crate) fn new(subject: Subject, rules: usize) -> Self {
        Self {
            subject,
            window_start: Timestamp::default(),
            digests: BTreeSet::new(),
            context: Identity::default(),
            pending: Vec::new(),
            settled: Settled::default(),
            satisfied: vec![None; rules],
            open: None,
            closed: None,
            armed: None,
        }
    }

    /// Takes an event in, once.
    pub(crate) fn insert(&mut self, scene: Scene<'_>, event: Pending) -> Inserted {
        let key = event.mark.key();
        let Err(at) = self.pending.binary_search_by_key(&key, |other| other.mark.key()) else {
            return Inserted::Duplicate;
        };
        let is_folded = self.settled.to.is_some_and(|to| key <= to);
        let is_over =
            self.closed.is_some() && key.0 <= self.window_start && window_phase(scene.story, event.mark.phase);
        if (is_folded || is_over)
            && let Err(known) = self.settled.remember_late(key, scene.limits.max_recent)
        {
            return known;
        }
        if is_over && let Some(closed) = &mut self.closed {
            return closed
                .attach(event)
                .map_or(Inserted::Unverifiable, |incident| Inserted::Attached(Box::new(incident)));
        }
        self.add_digests(event.digests.iter().chain(&event.identity.image_digest).chain(&event.identity.index_digest));
        if is_folded {
            self.settled.fold_late(event);
        } else {
            self.pending.insert(at, event);
        }
        Inserted::New
    }

    /// Adds identities that came by a link. `true` when they say something new.
    pub(crate) fn add_context<'d>(
        &mut self,
        identity: &Identity,
        digests: impl IntoIterator<Item = &'d Digest>,
    ) -> bool {
        let before = self.digests.len();
        self.context.clone_from(identity);
        self.add_digests(digests);
        self.digests.len() != before
    }

    fn add_digests<'d>(&mut self, digests: impl IntoIterator<Item = &'d Digest>) {
        for digest in digests {
            if !self.digests.contains(digest) {
                self.digests.insert(digest.clone());
            }
        }
        while self.digests.len() > MAX_DIGESTS {
            self.digests.pop_last();
        }
    }

    /// Judges the rules that `bits` concern; the case opens when one is satisfied.
    pub(crate) fn judge(&mut self, scene: Scene<'_>, bits: u64, time: Option<Timestamp>) {
        let visible = self.visible(scene);
        for (number, rule) in scene.story.rules.iter().enumerate() {
            let known = self.satisfied.get(number).copied().flatten();
            let is_earlier = known.is_none_or(|known| time.is_some_and(|time| time < known));
            if rule.bits & bits == 0 || !is_earlier {
                continue;
            }
            let pending = if rule.settled_only { 0 } else { visible };
            let at = self.satisfied_at(scene, (number, rule), pending);
            if let (Some(at), Some(slot)) = (at, self.satisfied.get_mut(number)) {
                *slot = Some(slot.map_or(at, |known| known.min(at)));
            }
        }
        if self.open.is_none() && self.satisfied.iter().any(Option::is_some) {
            self.open = Some(Open { revision: 0, published_at: Timestamp::default(), publish_at: None });
        }
    }

    fn satisfied_at(&self, scene: Scene<'_>, rule: (usize, &CompiledRule), visible: usize) -> Option<Timestamp> {
        let pending = self.pending.iter().take(visible).map(|pending| &pending.mark);
        let marks: Vec<&Mark> =
            self.settled.marks.iter().chain(pending).filter(|mark| mark.bits & rule.1.bits != 0).collect();
        let facts = |clause: u8, time: Timestamp, within: Option<Duration>| {
            self.digests.iter().filter_map(|digest| scene.facts.at(digest, time)).any(|(scan, bits)| {
                let near = within.is_none_or(|within| time.since(scan.time) <= within);
                bits >> clause & 1 == 1 && near
            })
        };
        condition::satisfied_at(rule, &marks, &facts)
    }

    /// When the first rule was satisfied, in event time.
    fn opened_at(&self) -> Option<Timestamp> {
        self.satisfied.iter().flatten().min().copied()
    }

    /// How many pending events belong to the open incident: those before a gap longer than its quiet time.
    fn visible(&self, scene: Scene<'_>) -> usize {
        let Some(opened_at) = self.opened_at().filter(|_| self.open.is_some()) else {
            return self.pending.len();
        };
        let mut before = self.settled.last;
        for (number, event) in self.pending.iter().enumerate() {
            let time = event.mark.time;
            if before.is_some_and(|before| before >= opened_at && time > before.plus(scene.story.quiet)) {
                return number;
            }
            before = Some(time);
        }
        self.pending.len()
    }

    /// Folds what the watermark has passed, and ends the incident where its quiet time or `resolve-when` says. The first incident
    /// that ended is returned; call again until nothing is.
    pub(crate) fn settle(&mut self, scene: Scene<'_>) -> Option<Incident> {
        let over = self.pending.len().saturating_sub(scene.limits.max_pending);
        let ready = self.pending.partition_point(|event| event.mark.time < scene.watermark).max(over);
        let mut folded = 0;
        let mut ended = None;
        while folded < ready && ended.is_none() {
            let Some(event) = self.pending.get(folded) else { break };
            if let Some(end) = self.quiet_end(scene).filter(|end| event.mark.time > *end) {
                ended = Some(end);
                break;
            }
            let event = event.clone();
            folded = folded.saturating_add(1);
            ended = self.fold(scene, event);
        }
        self.pending.drain(..folded.min(self.pending.len()));
        let quiet = self.quiet_end(scene).filter(|end| scene.watermark > *end && folded >= ready);
        ended.or(quiet).and_then(|end| self.close(scene, end))
    }

    /// Folds one event; the time at which it ends the incident, if it does.
    fn fold(&mut self, scene: Scene<'_>, event: Pending) -> Option<Timestamp> {
        let (time, bits) = (event.mark.time, event.mark.bits);
        let is_open = self.open.is_some() && self.opened_at().is_some_and(|at| at <= time);
        if !is_open {
            self.settled.age(scene, time);
        }
        self.settled.fold(scene, event);
        if scene.story.rules.iter().any(|rule| rule.settled_only && rule.bits & bits != 0) {
            self.judge(scene, bits, None);
        }
        let ends = scene.story.resolve_bits & bits != 0 && self.open.is_some();
        (ends && self.opened_at().is_some_and(|at| at <= time)).then_some(time)
    }

    /// When the open incident ends by silence, if nothing else comes.
    fn quiet_end(&self, scene: Scene<'_>) -> Option<Timestamp> {
        let (last, opened_at) = (self.settled.last?, self.opened_at()?);
        (self.open.is_some() && last >= opened_at).then(|| last.plus(scene.story.quiet))
    }

    /// Ends the incident at `end` and starts the next window. Evidence of context phases stays: a secret that was delivered is
    /// still held.
    fn close(&mut self, scene: Scene<'_>, end: Timestamp) -> Option<Incident> {
        let incident = self.incident(scene, true);
        let kept = |phase: Phase| !window_phase(scene.story, phase);
        let mut evidence: [Retained; 4] = Default::default();
        for (phase, (now, before)) in Phase::ALL.into_iter().zip(self.settled.evidence.iter_mut().zip(&mut evidence)) {
            *before = if kept(phase) { now.clone() } else { std::mem::take(now) };
        }
        self.settled.marks.retain(|mark| kept(mark.phase));
        self.settled.last = None;
        self.settled.severity = Severity::Unknown;
        let window_start = std::mem::replace(&mut self.window_start, end);
        self.satisfied.iter_mut().for_each(|slot| *slot = None);
        self.open = None;
        let incident = incident?;
        self.closed = Some(Box::new(Closed { incident: incident.clone(), window_start, evidence: Some(evidence) }));
        Some(incident)
    }

    /// The incident as it stands; a closing one without what is still pending.
    pub(crate) fn incident(&mut self, scene: Scene<'_>, closing: bool) -> Option<Incident> {
        let opened_at = self.opened_at()?;
        let (evidence, identity, event_severity) = self.gathered(scene, closing);
        let (build, finding) = self.scans(scene, opened_at);
        let mut timeline = build;
        let mut omitted = 0_u64;
        for (phase, retained) in Phase::ALL.into_iter().zip(&evidence) {
            let horizon = scene.story.horizon.get(phase as usize).copied().flatten();
            let from = horizon.map(|horizon| opened_at.minus(horizon.saturating_add(slack(scene.limits))));
            timeline.extend(retained.iter().filter(|piece| from.is_none_or(|from| piece.time >= from)).cloned());
            omitted = omitted.saturating_add(retained.omitted);
        }
        timeline.sort_by_key(Evidence::key);
        let rules = incident::ranked(scene.story, &self.satisfied);
        let (first, phases) = (rules.first()?, phases_of(&timeline));
        let grounds = Grounds {
            rules: &rules,
            severity: first.severity,
            phases: &phases,
            timeline: &timeline,
            event_severity,
            finding,
        };
        let (score, factors) = incident::score(&grounds);
        let open = self.open.as_mut()?;
        open.revision = open.revision.saturating_add(1);
        Some(Incident {
            id: incident::incident_id(&scene.story.name, self.subject.as_str(), self.window_start)?,
            revision: open.revision,
            rule: first.name.clone(),
            title: first.title.clone(),
            severity: first.severity,
            score,
            factors,
            status: if closing { Status::Resolved } else { Status::Open },
            identity,
            phases,
            first_time: timeline.first().map_or(opened_at, |piece| piece.time),
            last_time: timeline.last().map_or(opened_at, |piece| piece.time),
            timeline,
            evidence_omitted: omitted,
            tags: union(rules.iter().map(|rule| &rule.tags)),
            responses: union(rules.iter().map(|rule| &rule.responses)),
        })
    }

    /// Both tiers joined, as if all were folded.
    fn gathered(&self, scene: Scene<'_>, closing: bool) -> ([Retained; 4], Identity, Severity) {
        let (mut evidence, mut identity) = (self.settled.evidence.clone(), self.settled.identity.clone());
        let mut severity = self.settled.severity;
        let visible = if closing { 0 } else { self.visible(scene) };
        for event in self.pending.iter().take(visible) {
            fill(&mut identity, &event.identity);
            severity = severity.max(event.severity);
            if let Some(slot) = evidence.get_mut(event.mark.phase as usize) {
                slot.insert(event.evidence());
            }
        }
        fill(&mut identity, &self.context);
        (evidence, identity, severity)
    }

    /// The scans that matter to the story's rules, as evidence, and the worst finding among them.
    fn scans(&self, scene: Scene<'_>, at: Timestamp) -> (Vec<Evidence>, Option<(Severity, bool)>) {
        if !scene.story.has_facts {
            return (Vec::new(), None);
        }
        let relevant = self.digests.iter().filter_map(|digest| scene.facts.at(digest, at));
        let mut scans: Vec<_> =
            relevant.filter(|(_, bits)| bits & scene.story.fact_clauses != 0).map(|(scan, _)| scan).collect();
        scans.sort_by_key(|scan| scan.key());
        scans.dedup_by_key(|scan| scan.key());
        let worst =
            scans.iter().flat_map(|scan| &scan.findings).map(|finding| (finding.severity, finding.fixable)).max();
        let piece = |scan: &&crate::facts::ScanFacts| Evidence {
            event: scan.event,
            time: scan.time,
            phase: Phase::Build,
            event_type: scan.event_type.as_str().into(),
            summary: scan.summary.as_str().into(),
        };
        (scans.iter().take(MAX_SCANS).map(piece).collect(), worst)
    }

    /// The next event time at which the case has something to do.
    pub(crate) fn due(&self, scene: Scene<'_>) -> Option<Timestamp> {
        if self.open.is_some() {
            let needs_fold = scene.story.resolve_bits != 0 || scene.story.rules.iter().any(|rule| rule.settled_only);
            let first =
                self.pending.first().map(|event| event.mark.time).filter(|_| needs_fold || self.settled.last.is_none());
            let last = self.pending.last().map(|event| event.mark.time).max(self.settled.last);
            let quiet = self.quiet_end(scene).or_else(|| last.map(|last| last.plus(scene.story.quiet)));
            return [first, quiet].into_iter().flatten().min();
        }
        if !self.pending.is_empty() && scene.story.rules.iter().any(|rule| rule.settled_only) {
            return self.pending.first().map(|event| event.mark.time);
        }
        let newest = self.pending.last().map(|event| event.mark.time).max(self.settled.to.map(|(time, _)| time))?;
        if self.is_forgettable() && self.closed.is_some() { None } else { Some(newest.plus(longest(scene.story))) }
    }

    /// Forgets what is too old to matter to a case without an open incident.
    pub(crate) fn age(&mut self, scene: Scene<'_>) {
        if self.open.is_none() {
            self.settled.age(scene, scene.watermark);
        }
        if self.is_forgettable() {
            self.settled.forgotten = self.settled.forgotten.max(self.settled.recent.last().copied());
            self.settled.recent.clear();
            if let Some(closed) = &mut self.closed {
                closed.evidence = None;
            }
        }
    }

    /// Whether nothing is left but the start of its window.
    pub(crate) fn is_forgettable(&self) -> bool {
        self.open.is_none()
            && self.pending.is_empty()
            && self.settled.marks.is_empty()
            && self.settled.evidence.iter().all(Retained::is_empty)
    }

    /// The id of the open incident.
    pub(crate) fn open_id(&self, story: &str) -> Option<model::IncidentId> {
        self.open.as_ref()?;
        incident::incident_id(story, self.subject.as_str(), self.window_start)
    }

    /// Whether it would be the same if it were made new.
    pub(crate) fn is_blank(&self) -> bool {
        self.is_forgettable() && self.closed.is_none()
    }
}

impl Settled {
    fn fold(&mut self, scene: Scene<'_>, event: Pending) {
        let key = event.mark.key();
        self.to = Some(key);
        self.recent.push(key);
        self.forget_over(scene.limits.max_recent);
        self.last = self.last.max(Some(key.0));
        self.absorb(&event);
        self.marks.push(event.mark);
        self.trim(scene);
    }

    /// Adds an event behind the watermark where it belongs.
    fn fold_late(&mut self, event: Pending) {
        self.last = self.last.max(Some(event.mark.time));
        self.absorb(&event);
        let at = self.marks.partition_point(|mark| mark.key() < event.mark.key());
        self.marks.insert(at, event.mark);
    }

    fn absorb(&mut self, event: &Pending) {
        fill(&mut self.identity, &event.identity);
        self.severity = self.severity.max(event.severity);
        if let Some(slot) = self.evidence.get_mut(event.mark.phase as usize) {
            slot.insert(event.evidence());
        }
    }

    /// Keeps a late event's key, or says why it must not be taken.
    fn remember_late(&mut self, key: (Timestamp, EventId), max: usize) -> Result<(), Inserted> {
        match self.recent.binary_search(&key) {
            Ok(_) => Err(Inserted::Duplicate),
            Err(_) if self.forgotten.is_some_and(|forgotten| key <= forgotten) => Err(Inserted::Unverifiable),
            Err(at) => {
                self.recent.insert(at, key);
                self.forget_over(max);
                Ok(())
            }
        }
    }

    fn forget_over(&mut self, max: usize) {
        if self.recent.len() > max {
            self.forgotten = self.forgotten.max(Some(self.recent.remove(0)));
        }
    }

    /// Keeps the newest marks of each phase.
    fn trim(&mut self, scene: Scene<'_>) {
        let max = scene.limits.max_marks.max(scene.story.max_marks);
        if self.marks.len() <= max {
            return;
        }
        let Some(phase) = self.marks.last().map(|mark| mark.phase) else { return };
        if self.marks.iter().filter(|mark| mark.phase == phase).count() > max
            && let Some(oldest) = self.marks.iter().position(|mark| mark.phase == phase)
        {
            self.marks.remove(oldest);
        }
    }

    fn age(&mut self, scene: Scene<'_>, now: Timestamp) {
        let from = |phase: Phase| {
            let horizon = scene.story.horizon.get(phase as usize).copied().flatten().unwrap_or(MAX_CONTEXT);
            now.minus(horizon.saturating_add(slack(scene.limits)))
        };
        if self.marks.iter().any(|mark| mark.time < from(mark.phase)) {
            self.marks.retain(|mark| mark.time >= from(mark.phase));
        }
        for (phase, retained) in Phase::ALL.into_iter().zip(&mut self.evidence) {
            retained.age(from(phase));
        }
    }
}

impl Pending {
    fn evidence(&self) -> Evidence {
        Evidence {
            event: self.mark.event,
            time: self.mark.time,
            phase: self.mark.phase,
            event_type: Arc::clone(&self.event_type),
            summary: Arc::clone(&self.summary),
        }
    }
}

impl Closed {
    /// Adds evidence from the incident's own time; its status stays.
    fn attach(&mut self, event: Pending) -> Option<Incident> {
        let evidence = self.evidence.as_mut().filter(|_| event.mark.time > self.window_start)?;
        if let Some(slot) = evidence.get_mut(event.mark.phase as usize) {
            slot.insert(event.evidence());
        }
        let scans = self.incident.timeline.iter().filter(|piece| piece.phase == Phase::Build).cloned();
        let pieces = evidence.iter().flat_map(Retained::iter).cloned();
        let mut timeline: Vec<Evidence> = scans.chain(pieces).collect();
        timeline.sort_by_key(Evidence::key);
        let incident = &mut self.incident;
        incident.revision = incident.revision.saturating_add(1);
        incident.evidence_omitted = evidence.iter().map(|retained| retained.omitted).sum();
        incident.first_time = timeline.first().map_or(incident.first_time, |piece| piece.time);
        incident.last_time = timeline.last().map_or(incident.last_time, |piece| piece.time);
        incident.phases = phases_of(&timeline);
        incident.timeline = timeline;
        Some(incident.clone())
    }
}

fn window_phase(story: &Story, phase: Phase) -> bool {
    story.window_phases.get(phase as usize).copied().unwrap_or(true)
}

fn phases_of(timeline: &[Evidence]) -> Vec<Phase> {
    Phase::ALL.into_iter().filter(|phase| timeline.iter().any(|piece| piece.phase == *phase)).collect()
}

fn union<'a>(lists: impl Iterator<Item = &'a Vec<String>>) -> Vec<String> {
    lists.flatten().cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

fn longest(story: &Story) -> Duration {
    story
        .horizon
        .iter()
        .map(|horizon| horizon.unwrap_or(MAX_CONTEXT))
        .max()
        .unwrap_or(MAX_CONTEXT)
        .saturating_add(SLACK)
}

/// Events within the watermark may still move a decision earlier by that much.
fn slack(limits: &Limits) -> Duration {
    limits.watermark_delay.saturating_mul(2)
}

/// For how long evidence without a bound of its own is kept when no incident is open.
const MAX_CONTEXT: Duration = Duration::from_secs(30 * 86_400);
const SLACK: Duration = Duration::from_secs(60);
const MAX_DIGESTS: usize = 16;
const MAX_SCANS: usize = 6;
