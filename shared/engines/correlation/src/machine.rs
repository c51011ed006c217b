//! The machine: events in, incidents out.
//!
//! Call [`Machine::handle_event`] (or, where most events select nothing, [`RuleSet::select`] and then [`Machine::handle_selected`] or
//! [`Machine::pass`]) for each event, [`Machine::handle_scan`] for each scan, [`Machine::handle_timeout`] when
//! [`Machine::poll_timeout`] says, and take outputs by [`Machine::poll_output`] until there is none. Save what
//! [`Machine::take_changes`] gives together with the outputs, in one transaction.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use model::{Digest, PodUid, Timestamp};

use crate::case::{Case, Inserted, Pending, Scene};
use crate::condition::Mark;
use crate::event::Event;
use crate::facts::{FactsTable, ScanFacts};
use crate::incident::{Incident, Output, Status};
use crate::limits::{Limits, Stats};
use crate::links::{Links, PodRecord};
use crate::saved::{Dirty, case_key, facts_key};
use crate::set::{Hits, RuleSet, StoryHit};
use crate::subject::Subject;

/// Correlates events under one rule set.
///
/// `now` is passed in. It only moves the watermark when events stop ([`Machine::handle_timeout`], to be called only when the stream has
/// been read to its end), spaces publications, and bounds how far a wrong clock can move the watermark.
#[derive(Debug)]
pub struct Machine {
    pub(crate) rules: Arc<RuleSet>,
    pub(crate) limits: Limits,
    pub(crate) newest: Timestamp,
    pub(crate) links: Links,
    pub(crate) facts: FactsTable,
    pub(crate) cases: Vec<Option<Box<Case>>>,
    pub(crate) free: Vec<usize>,
    pub(crate) index: HashMap<(u16, Subject), usize>,
    pub(crate) story_of: Vec<u16>,
    pub(crate) by_pod: HashMap<PodUid, BTreeSet<usize>>,
    pub(crate) by_digest: HashMap<Digest, BTreeSet<usize>>,
    pub(crate) due: BTreeSet<(Timestamp, usize)>,
    pub(crate) publish: BTreeSet<(Timestamp, usize)>,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) dirty: Dirty,
    pub(crate) stats: Stats,
}

impl Machine {
    /// A machine without state.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, limits: Limits) -> Self {
        Self {
            rules,
            limits,
            newest: Timestamp::from_nanos(0),
            links: Links::default(),
            facts: FactsTable::default(),
            cases: Vec::new(),
            free: Vec::new(),
            index: HashMap::new(),
            story_of: Vec::new(),
            by_pod: HashMap::new(),
            by_digest: HashMap::new(),
            due: BTreeSet::new(),
            publish: BTreeSet::new(),
            outputs: VecDeque::new(),
            dirty: Dirty::default(),
            stats: Stats::default(),
        }
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Cases, pods, images and waiting events in memory.
    #[must_use]
    pub fn sizes(&self) -> [usize; 4] {
        [self.index.len(), self.links.pods.len(), self.by_digest.len(), self.links.waiting_count]
    }

    /// Event time before which all is taken to have arrived.
    #[must_use]
    pub fn watermark(&self) -> Timestamp {
        self.newest.minus(self.limits.watermark_delay)
    }

    /// The scan of an image that is newest.
    #[must_use]
    pub fn scan(&self, digest: &Digest) -> Option<&ScanFacts> {
        self.facts.newest(digest)
    }

    /// Whether events of this type teach links between identities, so that they are to be handled even when no rule selects them.
    #[must_use]
    pub fn links(event_type: &str) -> bool {
        matches!(event_type, "deploy.pod.created" | "run.container.started")
    }

    /// Takes in any event.
    pub fn handle_event(&mut self, event: &Event, now: Timestamp) {
        let hits = self.rules.select(&event.event_type, &event.fields);
        self.handle_selected(event, &hits, now);
    }

    /// Takes in an event that no rule selects and that teaches nothing: only its time counts.
    pub fn pass(&mut self, time: Timestamp, now: Timestamp) {
        self.observe(time, now);
        self.fire(now);
    }

    /// Takes in an event with what selected it.
    pub fn handle_selected(&mut self, event: &Event, hits: &Hits, now: Timestamp) {
        let too_late = self.observe(event.time, now);
        self.learn(event, now);
        if !hits.is_empty() {
            self.stats.selected = self.stats.selected.saturating_add(1);
            let shared = Shared {
                identity: Arc::new(event.identity.clone()),
                summary: event.summary.as_str().into(),
                event_type: event.event_type.as_str().into(),
            };
            for hit in &hits.stories {
                let pending = shared.pending(event, hit, too_late);
                self.route(hit.story, &hit.group, pending, event, now);
            }
        }
        self.fire(now);
    }

    /// Takes in the result of a scan.
    pub fn handle_scan(&mut self, facts: ScanFacts, now: Timestamp) {
        let digests: Vec<Digest> =
            [Some(facts.digest.clone()), facts.index_digest.clone()].into_iter().flatten().collect();
        if !self.facts.insert(&self.rules, facts) {
            return;
        }
        for digest in digests {
            let slots: Vec<usize> = self.by_digest.get(&digest).into_iter().flatten().copied().collect();
            for slot in slots {
                self.touch(slot, u64::MAX, None, now);
            }
            self.dirty.facts.insert(digest);
        }
        while let Some(digest) = self.facts.evict(self.limits.max_images) {
            self.stats.evicted_images = self.stats.evicted_images.saturating_add(1);
            self.dirty.facts.remove(&digest);
            self.dirty.gone.insert(facts_key(&digest), ());
        }
    }

    /// Tells the machine that the stream has been read to its end and that it is `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let still = now.minus(self.limits.idle);
        if still > self.newest && self.stats.received > 0 {
            self.newest = still;
            self.dirty.clock = true;
        }
        self.fire(now);
        self.publish_due(now);
    }

    /// When [`Machine::handle_timeout`] has something to do next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let delay =
            self.limits.watermark_delay.saturating_add(self.limits.idle).saturating_add(Duration::from_millis(1));
        let due = self.due.first().map(|(time, _)| time.plus(delay));
        let publish = self.publish.first().map(|(time, _)| *time);
        due.into_iter().chain(publish).min()
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Counts an event and moves the watermark. `true` when the event is later than allowed.
    fn observe(&mut self, time: Timestamp, now: Timestamp) -> bool {
        self.stats.received = self.stats.received.saturating_add(1);
        self.dirty.clock = true;
        let ceiling = now.plus(self.limits.max_ahead);
        if time > ceiling {
            self.stats.ahead = self.stats.ahead.saturating_add(1);
        }
        self.newest = self.newest.max(time.min(ceiling));
        let watermark = self.watermark();
        let too_late = time < watermark.minus(self.limits.lateness);
        if too_late {
            self.stats.too_late = self.stats.too_late.saturating_add(1);
        } else if time < watermark {
            self.stats.late = self.stats.late.saturating_add(1);
        }
        too_late
    }

    /// Gives an event to the case of its subject.
    pub(crate) fn take(&mut self, story: u16, subject: Subject, pending: Pending, now: Timestamp) {
        let Some(slot) = self.case_slot(story, subject) else {
            self.stats.evicted_cases = self.stats.evicted_cases.saturating_add(1);
            return;
        };
        let (bits, time) = (pending.mark.bits, pending.mark.time);
        let watermark = self.watermark();
        let (Some(story), Some(case)) =
            (self.rules.stories.get(usize::from(story)), self.cases.get_mut(slot).and_then(Option::as_deref_mut))
        else {
            return;
        };
        let scene = Scene { story, facts: &self.facts, limits: &self.limits, watermark };
        let inserted = case.insert(scene, pending);
        if story.has_facts {
            for digest in &case.digests {
                if !self.by_digest.get(digest).is_some_and(|slots| slots.contains(&slot)) {
                    self.by_digest.entry(digest.clone()).or_default().insert(slot);
                }
            }
        }
        match inserted {
            Inserted::New => self.touch(slot, bits, Some(time), now),
            Inserted::Duplicate => self.stats.duplicates = self.stats.duplicates.saturating_add(1),
            Inserted::Unverifiable => self.stats.unverifiable = self.stats.unverifiable.saturating_add(1),
            Inserted::Attached(incident) => {
                self.dirty.cases.insert(slot);
                self.outputs.push_back(Output::Updated(*incident));
            }
        }
    }

    /// The slot of a case, made when it is new. `None` when there is no room and every case has an open incident.
    fn case_slot(&mut self, story: u16, subject: Subject) -> Option<usize> {
        let key = (story, subject);
        if let Some(slot) = self.index.get(&key) {
            return Some(*slot);
        }
        if self.index.len() >= self.limits.max_cases {
            self.evict_case()?;
        }
        let rules = self.rules.stories.get(usize::from(story))?.rules.len();
        let case = Case::new(key.1.clone(), rules);
        self.dirty.gone.remove(&case_key(&self.rules, story, &key.1));
        Some(self.place(key, case))
    }

    pub(crate) fn place(&mut self, key: (u16, Subject), case: Case) -> usize {
        let uid = key.1.pod_uid();
        let slot = self.free.pop().unwrap_or(self.cases.len());
        if slot == self.cases.len() {
            self.cases.push(None);
            self.story_of.push(key.0);
        }
        if let (Some(place), Some(story)) = (self.cases.get_mut(slot), self.story_of.get_mut(slot)) {
            (*place, *story) = (Some(Box::new(case)), key.0);
        }
        self.index.insert(key, slot);
        if let Some(uid) = uid {
            self.by_pod.entry(uid.clone()).or_default().insert(slot);
            self.give_context(slot, &uid);
        }
        slot
    }

    /// Forgets the case whose evidence would be forgotten first, among those without an open incident.
    fn evict_case(&mut self) -> Option<()> {
        let is_idle =
            |slot: &usize| self.cases.get(*slot).and_then(Option::as_deref).is_some_and(|case| case.open.is_none());
        let unarmed = || {
            self.index.values().copied().find(|slot| {
                self.cases
                    .get(*slot)
                    .and_then(Option::as_deref)
                    .is_some_and(|case| case.open.is_none() && case.armed.is_none())
            })
        };
        let victim = self.due.iter().map(|(_, slot)| *slot).take(MAX_SEARCH).find(is_idle).or_else(unarmed)?;
        self.stats.evicted_cases = self.stats.evicted_cases.saturating_add(1);
        self.remove(victim);
        Some(())
    }

    fn remove(&mut self, slot: usize) {
        let Some(case) = self.cases.get_mut(slot).and_then(Option::take) else { return };
        let story = self.story_of.get(slot).copied().unwrap_or_default();
        if let Some(armed) = case.armed {
            self.due.remove(&(armed, slot));
        }
        if let Some(uid) = case.subject.pod_uid()
            && let Some(slots) = self.by_pod.get_mut(&uid)
        {
            slots.remove(&slot);
            if slots.is_empty() {
                self.by_pod.remove(&uid);
            }
        }
        for digest in &case.digests {
            if let Some(slots) = self.by_digest.get_mut(digest) {
                slots.remove(&slot);
                if slots.is_empty() {
                    self.by_digest.remove(digest);
                }
            }
        }
        self.dirty.cases.remove(&slot);
        self.dirty.gone.insert(case_key(&self.rules, story, &case.subject), ());
        self.index.remove(&(story, case.subject));
        self.free.push(slot);
    }

    /// Settles, judges, publishes and re-arms one case.
    pub(crate) fn touch(&mut self, slot: usize, bits: u64, time: Option<Timestamp>, now: Timestamp) {
        let watermark = self.watermark();
        let story = self.story_of.get(slot).copied().unwrap_or_default();
        let (Some(story), Some(case)) =
            (self.rules.stories.get(usize::from(story)), self.cases.get_mut(slot).and_then(Option::as_deref_mut))
        else {
            return;
        };
        let scene = Scene { story, facts: &self.facts, limits: &self.limits, watermark };
        case.judge(scene, bits, time);
        while let Some(incident) = case.settle(scene) {
            // An incident that was never shown is shown whole before it ends.
            let is_unseen = incident.revision == 1;
            if is_unseen {
                self.stats.opened = self.stats.opened.saturating_add(1);
                self.outputs.push_back(Output::Opened(Incident { status: Status::Open, ..incident.clone() }));
            }
            self.stats.resolved = self.stats.resolved.saturating_add(1);
            let revision = incident.revision.saturating_add(u64::from(is_unseen));
            self.outputs.push_back(Output::Resolved(Incident { revision, ..incident }));
            case.judge(scene, u64::MAX, None);
        }
        let opens = case.open.as_ref().is_some_and(|open| open.revision == 0);
        self.dirty.cases.insert(slot);
        if opens {
            self.stats.opened = self.stats.opened.saturating_add(1);
            self.show(slot, now);
        } else {
            self.plan_update(slot, now, time.is_some() || bits == u64::MAX);
        }
        self.arm(slot);
    }

    /// Hands the incident of a case out.
    fn show(&mut self, slot: usize, now: Timestamp) {
        let watermark = self.watermark();
        let story = self.story_of.get(slot).copied().unwrap_or_default();
        let (Some(story), Some(case)) =
            (self.rules.stories.get(usize::from(story)), self.cases.get_mut(slot).and_then(Option::as_deref_mut))
        else {
            return;
        };
        let scene = Scene { story, facts: &self.facts, limits: &self.limits, watermark };
        let Some(incident) = case.incident(scene, false) else { return };
        if let Some(open) = &mut case.open {
            (open.published_at, open.publish_at) = (now, None);
        }
        self.dirty.cases.insert(slot);
        let is_first = incident.revision == 1;
        self.outputs.push_back(if is_first { Output::Opened(incident) } else { Output::Updated(incident) });
    }

    /// Plans the next publication of an open incident that has something new.
    fn plan_update(&mut self, slot: usize, now: Timestamp, is_new: bool) {
        let every = self.limits.update_every;
        let Some(open) = self.cases.get_mut(slot).and_then(Option::as_deref_mut).and_then(|case| case.open.as_mut())
        else {
            return;
        };
        if !is_new || open.publish_at.is_some() {
            return;
        }
        let at = open.published_at.plus(every);
        if at <= now {
            return self.show(slot, now);
        }
        open.publish_at = Some(at);
        self.publish.insert((at, slot));
    }

    fn publish_due(&mut self, now: Timestamp) {
        while let Some((at, slot)) = self.publish.first().copied().filter(|(at, _)| *at <= now) {
            self.publish.remove(&(at, slot));
            let open = self.cases.get(slot).and_then(Option::as_deref).and_then(|case| case.open.as_ref());
            if open.is_some_and(|open| open.publish_at == Some(at)) {
                self.show(slot, now);
            }
        }
    }

    /// Sets the timer of a case; one that is set too early stays, and is set again when it fires.
    fn arm(&mut self, slot: usize) {
        let watermark = self.watermark();
        let story = self.story_of.get(slot).copied().unwrap_or_default();
        let (Some(story), Some(case)) =
            (self.rules.stories.get(usize::from(story)), self.cases.get_mut(slot).and_then(Option::as_deref_mut))
        else {
            return;
        };
        let scene = Scene { story, facts: &self.facts, limits: &self.limits, watermark };
        // Never before the watermark, so that a timer that cannot help yet waits for the watermark to move.
        let Some(due) = case.due(scene).map(|due| due.max(watermark)) else { return };
        if case.armed.is_some_and(|armed| armed <= due) {
            return;
        }
        if let Some(armed) = case.armed.replace(due) {
            self.due.remove(&(armed, slot));
        }
        self.due.insert((due, slot));
    }

    /// Runs the timers that the watermark has passed, and what is due to be published.
    fn fire(&mut self, now: Timestamp) {
        let watermark = self.watermark();
        while let Some((at, slot)) = self.due.first().copied().filter(|(at, _)| *at < watermark) {
            self.due.remove(&(at, slot));
            if let Some(case) = self.cases.get_mut(slot).and_then(Option::as_deref_mut) {
                case.armed = None;
            }
            self.touch(slot, 0, None, now);
            self.age(slot);
        }
        if self.publish.first().is_some_and(|(at, _)| *at <= now) {
            self.publish_due(now);
        }
    }

    fn age(&mut self, slot: usize) {
        let watermark = self.watermark();
        let story = self.story_of.get(slot).copied().unwrap_or_default();
        let (Some(story), Some(case)) =
            (self.rules.stories.get(usize::from(story)), self.cases.get_mut(slot).and_then(Option::as_deref_mut))
        else {
            return;
        };
        case.age(Scene { story, facts: &self.facts, limits: &self.limits, watermark });
        if case.is_blank() {
            self.remove(slot);
        }
    }

    /// What is known of a pod.
    #[must_use]
    pub fn pod(&self, uid: &PodUid) -> Option<&PodRecord> {
        self.links.pods.get(uid)
    }
}

/// The parts of an event that all its pending copies share.
struct Shared {
    identity: Arc<model::Identity>,
    summary: Arc<str>,
    event_type: Arc<str>,
}

impl Shared {
    fn pending(&self, event: &Event, hit: &StoryHit, too_late: bool) -> Pending {
        Pending {
            mark: Mark {
                time: event.time,
                event: event.id,
                phase: event.phase,
                bits: hit.bits,
                too_late,
                values: hit.values.clone(),
            },
            event_type: Arc::clone(&self.event_type),
            summary: Arc::clone(&self.summary),
            severity: event.severity,
            identity: Arc::clone(&self.identity),
            digests: event.digests.clone(),
        }
    }
}

/// How many timers are looked at to find a case that may be forgotten.
const MAX_SEARCH: usize = 64;
