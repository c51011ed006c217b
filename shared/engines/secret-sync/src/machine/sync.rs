//! The transitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::{SecretRef, Timestamp};

use super::state::{Gather, Source, Sync, Written, digest, marks, on_grid};
use super::{
    FetchKey, FetchProblem, Loss, Machine, NEVER, Output, Renderer, Report, ReportKind, TargetContent, WriteOrder,
};
use crate::assemble::{Assembled, assemble, check};
use crate::manifest::{ExternalSecret, StoreRef};
use crate::schedule::back_off;
use crate::value::Reading;

impl Machine {
    /// Brings the sources in line with the manifests.
    pub(super) fn connect_sources(&mut self, now: Timestamp) {
        let mut users: BTreeMap<Arc<FetchKey>, (BTreeSet<String>, Option<Duration>)> = BTreeMap::new();
        for (subject, sync) in &self.syncs {
            for key in sync.keys().iter() {
                let (users, interval) = users.entry(Arc::clone(key)).or_default();
                users.insert(subject.clone());
                *interval = [*interval, sync.interval()].into_iter().flatten().min();
            }
        }
        // A source whose answer is still on its way stays until the answer finds nobody.
        self.sources.retain(|key, source| users.contains_key(key) || source.in_flight);
        for (key, (users, interval)) in users {
            // A fixed version does not change; it is read again at the interval of its manifest.
            let is_followed = self.followed.contains(&key.store);
            let often = if is_followed { self.settings.followed_interval } else { self.settings.check_interval };
            let interval = interval.filter(|_| key.version.is_none()).map(|most| most.min(often));
            let source = self.sources.entry(key).or_insert_with(Source::new);
            (source.users, source.interval) = (users, interval);
            if source.confirmed.is_some() && !source.in_flight && source.next_check.is_none() && source.is_checkable {
                source.next_check = interval.map(|interval| on_grid(now, interval));
            }
        }
    }

    /// The clock was set, or the machine slept: what was to happen happens as long from now as it was to then, and nobody is called
    /// silent for a time that did not pass. Only versions, which cost a call for many, are looked at at once after a step ahead: who
    /// slept wants to know what happened meanwhile.
    pub(super) fn notice_jump(&mut self, now: Timestamp) {
        let Some(last) = self.last.replace(now) else { return };
        if now < last {
            self.fresh_until = None;
            let back = last.since(now);
            let earlier = |at: Timestamp| {
                Timestamp::from_nanos(at.as_nanos().saturating_sub(i64::try_from(back.as_nanos()).unwrap_or(i64::MAX)))
            };
            for source in self.sources.values_mut() {
                source.next_check = source.next_check.map(earlier);
                source.confirmed = source.confirmed.map(earlier);
            }
            for sync in self.syncs.values_mut() {
                (sync.due, sync.since) = (sync.due.map(earlier), earlier(sync.since));
            }
        } else if now.since(last) > JUMP {
            let ahead = now.since(last);
            for source in self.sources.values_mut() {
                source.confirmed = source.confirmed.map(|at| at.plus(ahead));
            }
            for sync in self.syncs.values_mut() {
                (sync.due, sync.since) = (sync.due.map(|at| at.plus(ahead)), sync.since.plus(ahead));
            }
        }
    }

    /// Somebody knows that a path changed.
    pub(super) fn hint(&mut self, store: &StoreRef, path: &str, now: Timestamp) {
        let first = FetchKey { store: store.clone(), path: path.to_owned(), version: None };
        let is_it = |key: &FetchKey| key.store == *store && key.path == path;
        let mut unchecked = BTreeSet::new();
        for (key, source) in self.sources.range_mut::<FetchKey, _>(first..).take_while(|(key, _)| is_it(key)) {
            match (source.in_flight, source.is_checkable) {
                // The answer that is on its way may be older than the change.
                (true, _) => source.is_outdated = true,
                (false, true) => source.next_check = Some(now),
                (false, false) if key.version.is_none() => unchecked.extend(source.users.iter().cloned()),
                (false, false) => {}
            }
        }
        for subject in unchecked {
            if self.syncs.get(&subject).is_some_and(|sync| sync.interval().is_some() && sync.may_refresh(now)) {
                self.gather(&subject);
            }
        }
        self.handle_timeout(now);
    }

    /// Other stores than before tell of changes by themselves. What went silent is looked at at once.
    pub(super) fn follow(&mut self, stores: BTreeSet<StoreRef>, now: Timestamp) {
        let before = std::mem::replace(&mut self.followed, stores);
        self.fresh_until = None;
        let gone: BTreeSet<&StoreRef> = before.difference(&self.followed).collect();
        for (_, source) in self.sources.iter_mut().filter(|(key, _)| gone.contains(&key.store)) {
            source.next_check = source.next_check.map(|_| now);
            // Until now its silence said that nothing changed.
            source.confirmed = source.confirmed.map(|_| now);
        }
        self.connect_sources(now);
        // A look that is due sooner for a reason of its own stays: a failure before it, or news that came meanwhile.
        let (is_new, is_regular) = (
            |key: &FetchKey| self.followed.contains(&key.store) && !before.contains(&key.store),
            |source: &Source| source.attempts == 0 && source.next_check.is_some_and(|at| at > now),
        );
        for (_, source) in self.sources.iter_mut().filter(|(key, source)| is_new(key) && is_regular(source)) {
            source.next_check = source.interval.map(|interval| on_grid(now, interval));
        }
        self.handle_timeout(now);
    }

    /// Writes a target again that somebody else removed or changed. Who changes it back each time is answered more and more rarely:
    /// two that fight over a Secret must not wear out the store and the server.
    pub(super) fn restore(&mut self, subject: &str, was: Loss, now: Timestamp) {
        let back_off_steps = self.settings.back_off;
        let is_idle = |sync: &&mut Sync| sync.is_settled() && sync.loss.is_none();
        let Some(sync) = self.syncs.get_mut(subject).filter(is_idle) else { return };
        let (times, last) = sync.restored.filter(|(_, last)| *last <= now).unwrap_or((0, now));
        let quiet = now.since(last);
        if times > 0 && quiet < back_off(times, back_off_steps, subject) {
            return;
        }
        let times = if quiet > back_off_steps.1.saturating_mul(2) { 0 } else { times };
        sync.restored = Some((times.saturating_add(1), now));
        sync.loss = Some(was);
        self.gather(subject);
    }

    /// Starts to collect all parts of a target.
    pub(super) fn gather(&mut self, subject: &str) {
        let Some(sync) = self.syncs.get_mut(subject).filter(|sync| sync.is_settled()) else { return };
        let keys = sync.keys();
        (sync.due, sync.is_behind) = (None, false);
        sync.gather = Some(Gather { missing: keys.iter().cloned().collect(), readings: BTreeMap::new() });
        for key in keys.iter() {
            self.want(key);
        }
    }

    /// Reads a path, unless its answer is on its way already.
    fn want(&mut self, key: &FetchKey) {
        let Some(source) = self.sources.get_mut(key) else { return };
        if !source.in_flight {
            source.in_flight = true;
            source.next_check = None;
            self.outputs.push_back(Output::Read(key.clone()));
        }
    }

    pub(super) fn due(&mut self, subject: &str, now: Timestamp) {
        let Some(sync) = self.syncs.get_mut(subject) else { return };
        if sync.written.is_some() && !sync.may_refresh(now) {
            sync.due = Some(now.plus(WINDOW_LOOK));
            return;
        }
        if std::mem::take(&mut sync.is_deferred) {
            return self.gather(subject);
        }
        let is_watched = |key: &Arc<FetchKey>| {
            self.sources.get(key).is_some_and(|source| source.interval.is_some() && source.is_checkable)
        };
        // Checks of versions already tell that nothing changed.
        if sync.problem.is_none() && sync.written.is_some() && sync.keys().iter().all(is_watched) {
            sync.due = sync.interval().map(|interval| now.plus(interval));
            return;
        }
        self.gather(subject);
    }

    pub(super) fn checked(&mut self, key: &FetchKey, outcome: Result<Option<String>, FetchProblem>, now: Timestamp) {
        let Some(source) = self.sources.get_mut(key) else { return };
        let users = source.users.clone();
        source.in_flight = false;
        match outcome {
            Ok(revision) => {
                source.answered(now);
                self.compare(key, &users, &revision.unwrap_or_default(), now);
            }
            Err(problem) if problem.is_check_refused => {
                (source.is_checkable, source.next_check) = (false, None);
                for subject in &users {
                    let sync = self.syncs.get_mut(subject);
                    if let Some(sync) = sync.filter(|sync| sync.due.is_none() && sync.is_settled()) {
                        sync.due = sync.interval().map(|interval| now.plus(interval));
                    }
                }
            }
            Err(problem) => {
                source.attempts = source.attempts.saturating_add(1);
                // One wait for all of a store, so that they are asked about together again.
                let wait = back_off(source.attempts, self.settings.back_off, &key.store.name);
                let step = self.settings.check_interval.min(self.settings.back_off.0);
                source.next_check = Some(on_grid(now.plus(wait), step));
                let attempts = source.attempts;
                for subject in &users {
                    self.failed(subject, problem.clone(), attempts);
                }
            }
        }
        self.read_if_wanted(key);
    }

    /// A source told its revision: manifests that were made of another one gather again, the others are confirmed.
    fn compare(&mut self, key: &FetchKey, users: &BTreeSet<String>, revision: &str, now: Timestamp) {
        for subject in users {
            let Some(sync) = self.syncs.get_mut(subject) else { continue };
            let is_same = sync.seen.get(key).is_some_and(|seen| seen == revision);
            sync.is_behind |= sync.is_overtaken(key, revision);
            if !is_same && sync.written.is_some() && !sync.may_refresh(now) {
                sync.is_deferred = true;
                sync.due = Some(now.plus(WINDOW_LOOK));
                continue;
            }
            if !is_same && sync.interval().is_some() {
                self.gather(subject);
            } else if is_same && sync.attempts == 0 && sync.is_settled() && sync.due.is_none_or(|due| due > now) {
                // What failed behind the store (the content, the write) is tried again by itself.
                self.recovered(subject);
            }
        }
    }

    /// An answer came while another was wanted of the same source.
    fn read_if_wanted(&mut self, key: &FetchKey) {
        let is_wanted = |sync: &Sync| sync.gather.as_ref().is_some_and(|gather| gather.missing.contains(key));
        let Some(source) = self.sources.get(key) else { return };
        if source.users.iter().filter_map(|subject| self.syncs.get(subject)).any(is_wanted) {
            self.want(key);
        }
    }

    pub(super) fn read(&mut self, key: &FetchKey, outcome: Result<Option<Reading>, FetchProblem>, now: Timestamp) {
        let Some(source) = self.sources.get_mut(key) else { return };
        let users = source.users.clone();
        source.in_flight = false;
        let reading = match outcome {
            Ok(reading) => reading.map(Arc::new),
            Err(problem) => {
                source.attempts = source.attempts.saturating_add(1);
                // The manifests that wait for it come back by themselves; nobody else needs to look.
                for subject in users {
                    self.gather_failed(&subject, key, &problem, now);
                }
                return;
            }
        };
        source.answered(now);
        let revision = reading.as_ref().map(|reading| reading.revision.clone()).unwrap_or_default();
        for subject in &users {
            let Some(gather) = self.syncs.get_mut(subject).and_then(|sync| sync.gather.as_mut()) else { continue };
            if gather.missing.remove(key) {
                gather.readings.insert(key.clone(), reading.clone());
            }
            if gather.missing.is_empty() {
                self.assemble(subject, now);
            }
        }
        self.compare(key, &users, &revision, now);
    }

    fn gather_failed(&mut self, subject: &str, key: &FetchKey, problem: &FetchProblem, now: Timestamp) {
        let Some(sync) = self.syncs.get_mut(subject) else { return };
        if sync.gather.take_if(|gather| gather.missing.contains(key)).is_none() {
            return;
        }
        let attempts = self.retry(subject, now);
        self.failed(subject, problem.clone(), attempts);
    }

    /// Makes what waits after a failure due at `now`, as if it had never failed.
    pub(super) fn try_again(&mut self, now: Timestamp) {
        for source in self.sources.values_mut().filter(|source| source.attempts > 0 && source.next_check.is_some()) {
            (source.attempts, source.next_check) = (0, Some(now));
        }
        for sync in self.syncs.values_mut().filter(|sync| sync.attempts > 0 && sync.due.is_some()) {
            (sync.attempts, sync.due) = (0, Some(now));
        }
    }

    /// Counts a failed attempt and decides when the next is made.
    fn retry(&mut self, subject: &str, now: Timestamp) -> u32 {
        let Some(sync) = self.syncs.get_mut(subject) else { return 0 };
        sync.attempts = sync.attempts.saturating_add(1);
        sync.due = Some(now.plus(back_off(sync.attempts, self.settings.back_off, subject)));
        sync.attempts
    }

    /// All parts are there.
    fn assemble(&mut self, subject: &str, now: Timestamp) {
        let Some(sync) = self.syncs.get_mut(subject) else { return };
        let Some(gather) = sync.gather.take() else { return };
        let seen = |key: &Arc<FetchKey>| Some((Arc::clone(key), revision(gather.readings.get(key.as_ref())?)));
        sync.seen = sync.keys().iter().filter_map(seen).collect();
        let assembled = assemble(&sync.external, &gather.readings, self.settings.transform)
            .map_err(|error| (error.to_string(), error.remedy().to_owned()))
            .and_then(|assembled| rendered(self.settings.render, &sync.external, assembled));
        let assembled = match assembled {
            Ok(assembled) => assembled,
            Err((what, remedy)) => {
                let attempts = self.retry(subject, now);
                return self.failed(subject, FetchProblem { what, remedy, is_check_refused: false }, attempts);
            }
        };
        let content = assembled;
        let key = &self.settings.hash_key;
        let data = content.iter().flat_map(|content| &content.data);
        let digests = data.map(|(name, value)| (name.clone(), digest(key, value))).collect();
        let marks = content.as_ref().map(|content| marks(key, content)).unwrap_or_default();
        let sources = sources(sync, &gather.readings);
        let fingerprint = sync.external.fingerprint.clone();
        let written = Written { digests, marks, sources, is_gone: content.is_none(), fingerprint };
        if sync.loss.is_none() && sync.written.as_ref() == Some(&written) {
            return self.settled(subject, now);
        }
        let is_change = sync.loss != Some(Loss::Removed)
            && sync.written.as_ref().is_some_and(|before| before.digests != written.digests);
        if sync.external.target.immutable && is_change {
            let problem = FetchProblem {
                what: "could not update secret, target is immutable".to_owned(),
                remedy: "remove `spec.target.immutable`, or give the target another name".to_owned(),
                is_check_refused: false,
            };
            let attempts = self.retry(subject, now);
            return self.failed(subject, problem, attempts);
        }
        sync.writing = Some(written);
        let order = WriteOrder { subject: subject.to_owned(), external: sync.external.clone(), content };
        self.outputs.push_back(Output::Write(order));
    }

    pub(super) fn written(&mut self, subject: &str, outcome: Result<(), FetchProblem>, now: Timestamp) {
        let Some(sync) = self.syncs.get_mut(subject) else { return };
        let Some(writing) = sync.writing.take() else { return };
        if let Err(problem) = outcome {
            let attempts = self.retry(subject, now);
            return self.failed(subject, problem, attempts);
        }
        let is_same = sync.written.as_ref().is_some_and(|before| {
            (&before.digests, &before.sources, before.is_gone) == (&writing.digests, &writing.sources, writing.is_gone)
        });
        let loss = sync.loss.take();
        if is_same && loss.is_none() {
            sync.written = Some(writing);
            return self.settled(subject, now);
        }
        let keys = writing.digests.clone().into_iter().collect();
        let kind = match (&sync.written, loss) {
            _ if writing.is_gone => ReportKind::Removed,
            (_, Some(was)) if is_same => ReportKind::Restored { was, keys },
            (Some(before), _) if !before.is_gone => {
                ReportKind::Rotated { keys: writing.changed_since(before), previous: before.sources.clone() }
            }
            _ => ReportKind::Synced { keys },
        };
        sync.written = Some(writing);
        let was_stale = sync.is_stale;
        (sync.problem, sync.is_stale) = (None, false);
        self.fresh_until = self.fresh_until.filter(|_| !was_stale);
        self.report(subject, kind);
        self.settled(subject, now);
        // What changed while it was written was not gathered.
        let is_behind = |sync: &Sync| sync.is_behind || sync.seen.keys().ne(sync.keys().iter());
        if self.syncs.get(subject).is_some_and(is_behind) {
            self.gather(subject);
        }
    }

    fn settled(&mut self, subject: &str, now: Timestamp) {
        self.recovered(subject);
        if let Some(sync) = self.syncs.get_mut(subject) {
            sync.attempts = 0;
            sync.due = sync.interval().map(|interval| now.plus(interval));
        }
    }

    fn recovered(&mut self, subject: &str) {
        let Some(sync) = self.syncs.get_mut(subject) else { return };
        let was_stale = std::mem::take(&mut sync.is_stale);
        let was_broken = sync.problem.take().is_some() || was_stale;
        if was_stale {
            self.fresh_until = None;
        }
        if was_broken && self.syncs.get(subject).is_some_and(|sync| sync.written.is_some()) {
            self.report(subject, ReportKind::Recovered);
        }
    }

    /// Reports a failure when it is new, then ever more rarely.
    fn failed(&mut self, subject: &str, problem: FetchProblem, attempts: u32) {
        let Some(sync) = self.syncs.get_mut(subject) else { return };
        let is_new = sync.problem.as_ref() != Some(&problem);
        sync.problem = Some(problem.clone());
        if is_new || attempts.is_power_of_two() {
            self.report(subject, ReportKind::Failed { problem, attempts });
        }
    }

    fn report(&mut self, subject: &str, kind: ReportKind) {
        let Some(sync) = self.syncs.get(subject) else { return };
        let sources = sync.written.as_ref().map(|written| written.sources.clone()).unwrap_or_default();
        let report = Report { subject: subject.to_owned(), external: sync.external.clone(), kind, sources };
        self.outputs.push_back(Output::Report(report));
    }

    /// When `sync` becomes stale if no store answers; `None` when it cannot or already is.
    pub(super) fn stale_at(&self, sync: &Sync) -> Option<Timestamp> {
        let interval = sync.interval().filter(|_| !sync.is_stale)?;
        let confirmed = |key: &Arc<FetchKey>| self.sources.get(key).and_then(|source| source.confirmed);
        let oldest = sync.keys().iter().map(confirmed).min().flatten().unwrap_or(sync.since);
        // Where versions cannot be checked, a read at every interval is all that is promised.
        let is_watched = |key: &Arc<FetchKey>| {
            self.sources.get(key).is_some_and(|source| source.is_checkable && source.interval.is_some())
        };
        let rare = |key: &Arc<FetchKey>| self.sources.get(key).and_then(|source| source.interval);
        let promise = match sync.keys().iter().all(is_watched) {
            true => sync.keys().iter().filter_map(rare).max().unwrap_or_default(),
            false => interval,
        };
        let promise = if promise < self.settings.stale_after { Duration::ZERO } else { promise };
        Some(oldest.plus(promise).plus(self.settings.stale_after))
    }

    /// When the next becomes stale.
    pub(super) fn next_stale(&self) -> Timestamp {
        self.syncs.values().filter_map(|sync| self.stale_at(sync)).min().unwrap_or(NEVER)
    }

    pub(super) fn report_stale(&mut self, now: Timestamp) {
        if self.fresh_until.is_some_and(|until| now < until) {
            return;
        }
        let is_late = |sync: &Sync| self.stale_at(sync).is_some_and(|at| at <= now);
        let late: Vec<String> =
            self.syncs.iter().filter(|(_, sync)| is_late(sync)).map(|(subject, _)| subject.clone()).collect();
        for subject in late {
            let confirmed = |key: &Arc<FetchKey>| self.sources.get(key).and_then(|source| source.confirmed);
            let Some(sync) = self.syncs.get_mut(&subject) else { continue };
            let oldest = sync.keys().iter().map(confirmed).min().flatten().unwrap_or(sync.since);
            sync.is_stale = true;
            self.report(&subject, ReportKind::Stale { age: now.since(oldest) });
        }
        self.fresh_until = Some(self.next_stale());
    }
}

/// The content as the target's template makes it.
///
/// `None` removes the target.
fn rendered(
    render: Renderer,
    external: &ExternalSecret,
    assembled: Assembled,
) -> Result<Option<TargetContent>, (String, String)> {
    let Assembled::Content(data) = assembled else { return Ok(None) };
    let Some(template) = &external.target.template else {
        return Ok(Some(TargetContent { data, ..TargetContent::default() }));
    };
    let content = render(template, &data).map_err(|problem| (problem.what, problem.remedy))?;
    check(&content.data).map_err(|error| (error.to_string(), error.remedy().to_owned()))?;
    Ok(Some(content))
}

fn revision(reading: &Option<Arc<Reading>>) -> String {
    reading.as_ref().map(|reading| reading.revision.clone()).unwrap_or_default()
}

fn sources(sync: &Sync, readings: &BTreeMap<FetchKey, Option<Arc<Reading>>>) -> Vec<SecretRef> {
    let target = format!("{}/{}", sync.external.namespace, sync.external.target.name);
    let source = |(key, reading): (&FetchKey, &Option<Arc<Reading>>)| {
        Some(SecretRef {
            store: key.store.to_string(),
            path: key.path.clone(),
            version: reading.as_ref()?.version.clone(),
            target: Some(target.clone()),
        })
    };
    readings.iter().filter_map(source).collect()
}

/// From what on a step of the clock is none that time alone makes.
const JUMP: Duration = Duration::from_secs(30);
/// How often a closed sync window is looked at.
const WINDOW_LOOK: Duration = Duration::from_secs(30);
