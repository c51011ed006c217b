//! When to look, what to fetch, what to write, what to report.
//!
//! Four kinds of calls: [`Machine::handle_event`] says what happened, [`Machine::handle_timeout`] that time passed,
//! [`Machine::poll_output`] what to do now (call until `None`), [`Machine::poll_timeout`] when to come back. Every
//! [`Output::Check`], [`Output::Read`] and [`Output::Write`] is answered by its event.

mod state;
mod sync;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use model::{SecretRef, Timestamp};
use zeroize::Zeroizing;

use crate::manifest::{ExternalSecret, RemoteRef, Store, StoreRef, TargetTemplate};
use crate::set::ManifestSet;
use crate::value::{Reading, SecretBytes};
use state::{Source, Sync};

/// Later than everything that happens.
const NEVER: Timestamp = Timestamp::from_nanos(i64::MAX);

/// How long nobody need call.
const LONGEST_SILENCE: Duration = Duration::from_secs(20);

/// One thing to read: reads of equal keys are made once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FetchKey {
    /// Store.
    pub store: StoreRef,
    /// Path.
    pub path: String,
    /// Version; the newest when `None`.
    pub version: Option<String>,
}

impl FetchKey {
    /// What `remote` reads at `store`.
    #[must_use]
    pub fn new(store: &StoreRef, remote: &RemoteRef) -> Self {
        Self { store: store.clone(), path: remote.path.clone(), version: remote.version.clone() }
    }
}

/// Settings of the machine.
pub struct Settings {
    /// Key of the hashes by which values are compared and named in events.
    pub hash_key: Zeroizing<Vec<u8>>,
    /// How often the version of a secret is looked at, where the store can tell it without the value.
    pub check_interval: Duration,
    /// The same for stores that tell of changes by themselves: a look that finds what was missed.
    pub followed_interval: Duration,
    /// After how long without a word from its store a secret counts as stale.
    pub stale_after: Duration,
    /// First and longest wait after failures.
    pub back_off: (Duration, Duration),
    /// What renders templates.
    pub render: Renderer,
    /// What renders the template of a `rewrite` step.
    pub transform: crate::Transformer,
}

/// Renders a target's templates with the data that was fetched: pure, and bounded.
pub type Renderer = fn(&TargetTemplate, &BTreeMap<String, SecretBytes>) -> Result<TargetContent, RenderProblem>;

/// What a target gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetContent {
    /// Its keys.
    pub data: BTreeMap<String, SecretBytes>,
    /// Labels that a template makes; they may be made of what was fetched.
    pub labels: BTreeMap<String, SecretBytes>,
    /// Annotations that a template makes.
    pub annotations: BTreeMap<String, SecretBytes>,
}

/// Templates cannot be rendered. Never holds a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderProblem {
    /// What went wrong, in one line.
    pub what: String,
    /// What can be done about it.
    pub remedy: String,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("check_interval", &self.check_interval).finish_non_exhaustive()
    }
}

/// Why a store did not answer. Never holds a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchProblem {
    /// What went wrong, in one line.
    pub what: String,
    /// What can be done about it.
    pub remedy: String,
    /// Whether the store will not tell versions to this login, so that only reading helps.
    pub is_check_refused: bool,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// These manifests are in force now.
    Manifests(ManifestSet),
    /// A store told the revision of a path; `None` when it has none.
    Checked {
        /// Which.
        key: FetchKey,
        /// Its answer.
        outcome: Result<Option<String>, FetchProblem>,
    },
    /// A store told the content of a path; `None` when it has none.
    Read {
        /// Which.
        key: FetchKey,
        /// Its answer.
        outcome: Result<Option<Reading>, FetchProblem>,
    },
    /// A target was written or removed, or not.
    Written {
        /// Of which manifest.
        subject: String,
        /// Why not.
        outcome: Result<(), FetchProblem>,
    },
    /// Somebody else removed or changed a target. May be told again and again: a target that is being restored, or was just now,
    /// waits.
    TargetLost {
        /// Of which manifest.
        subject: String,
        /// What was done to it.
        was: Loss,
    },
    /// Look at a path at once: somebody knows that it changed.
    Changed {
        /// Store.
        store: StoreRef,
        /// Path.
        path: String,
    },
    /// The credentials of stores are others now: what failed is tried again at once.
    Credentials,
    /// These stores tell of every change by themselves now, and no others do: they are looked at only now and then.
    Followed(BTreeSet<StoreRef>),
}

/// What somebody else did to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It is not there any more.
    Removed,
    /// It is another than the one that was written.
    Changed,
}

/// What to do.
#[derive(Debug)]
pub enum Output {
    /// Ask the store for the revision of a path, without its value.
    Check(FetchKey),
    /// Read a path.
    Read(FetchKey),
    /// Write a target, or remove it.
    Write(WriteOrder),
    /// Remove the target of a manifest that is gone. Needs no answer.
    Remove {
        /// Namespace.
        namespace: String,
        /// Name.
        target: String,
    },
    /// Tell the world.
    Report(Report),
}

/// A target to write.
#[derive(Debug)]
pub struct WriteOrder {
    /// The manifest.
    pub subject: String,
    /// The manifest in full.
    pub external: Arc<ExternalSecret>,
    /// The content; `None` removes the target.
    pub content: Option<TargetContent>,
}

/// Something worth an event.
#[derive(Clone, Debug)]
pub struct Report {
    /// The manifest.
    pub subject: String,
    /// The manifest in full.
    pub external: Arc<ExternalSecret>,
    /// What it is.
    pub kind: ReportKind,
    /// Where the content of the target comes from, with versions; empty when it was never written.
    pub sources: Vec<SecretRef>,
}

/// What a report says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportKind {
    /// Written for the first time.
    Synced {
        /// Keys with the keyed hash of their value.
        keys: Vec<(String, String)>,
    },
    /// Written with another version.
    Rotated {
        /// Keys whose value changed, with the keyed hash of the new value; a removed key has an empty one.
        keys: Vec<(String, String)>,
        /// Sources before.
        previous: Vec<SecretRef>,
    },
    /// Written again as it was, since somebody else removed or changed it.
    Restored {
        /// What was done to it.
        was: Loss,
        /// Keys with the keyed hash of their value.
        keys: Vec<(String, String)>,
    },
    /// Removed, since the store has it no more.
    Removed,
    /// Not synced; the last good content stays.
    Failed {
        /// What went wrong.
        problem: FetchProblem,
        /// Attempts in a row.
        attempts: u32,
    },
    /// Not confirmed for too long.
    Stale {
        /// Since when.
        age: Duration,
    },
    /// Works again after a failure; the content is the same.
    Recovered,
}

/// The machine. Holds no value for longer than it takes to gather all parts of a target.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    stores: BTreeMap<StoreRef, Arc<Store>>,
    sources: BTreeMap<Arc<FetchKey>, Source>,
    syncs: BTreeMap<String, Sync>,
    /// Manifests by the namespace and name of their target.
    by_target: BTreeMap<(String, String), String>,
    /// Stores that tell of changes by themselves.
    followed: BTreeSet<StoreRef>,
    /// When something happened last.
    last: Option<Timestamp>,
    /// Until when nothing becomes stale; `None` where that has to be looked at anew. Answers only put it off, and it takes a look at
    /// everything.
    fresh_until: Option<Timestamp>,
    outputs: VecDeque<Output>,
}

impl Machine {
    /// A machine without manifests.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            stores: BTreeMap::new(),
            sources: BTreeMap::new(),
            syncs: BTreeMap::new(),
            by_target: BTreeMap::new(),
            followed: BTreeSet::new(),
            last: None,
            fresh_until: None,
            outputs: VecDeque::new(),
        }
    }

    /// Takes in what happened at `now`.
    pub fn handle_event(&mut self, event: Event, now: Timestamp) {
        self.notice_jump(now);
        match event {
            Event::Manifests(set) => self.replace(set, now),
            Event::Checked { key, outcome } => self.checked(&key, outcome, now),
            Event::Read { key, outcome } => self.read(&key, outcome, now),
            Event::Written { subject, outcome } => self.written(&subject, outcome, now),
            Event::TargetLost { subject, was } => self.restore(&subject, was, now),
            Event::Changed { store, path } => self.hint(&store, &path, now),
            Event::Credentials => self.try_again(now),
            Event::Followed(stores) => self.follow(stores, now),
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.notice_jump(now);
        for (key, source) in &mut self.sources {
            if !source.in_flight && source.next_check.is_some_and(|due| due <= now) {
                source.in_flight = true;
                source.next_check = None;
                self.outputs.push_back(Output::Check(FetchKey::clone(key)));
            }
        }
        let is_due = |(_, sync): &(&String, &Sync)| sync.gather.is_none() && sync.due.is_some_and(|due| due <= now);
        let due: Vec<String> = self.syncs.iter().filter(is_due).map(|(subject, _)| subject.clone()).collect();
        for subject in due {
            self.due(&subject, now);
        }
        self.report_stale(now);
    }

    /// What is read, and where.
    pub fn sources(&self) -> impl Iterator<Item = &FetchKey> {
        self.sources.keys().map(Arc::as_ref)
    }

    /// When to call [`Machine::handle_timeout`] next: when it has something to do, but before long in any case, since a longer silence
    /// counts as a step of the clock.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let checks = self.sources.values().filter(|source| !source.in_flight).filter_map(|source| source.next_check);
        let dues = self.syncs.values().filter(|sync| sync.gather.is_none()).filter_map(|sync| sync.due);
        let stale = self.fresh_until.unwrap_or_else(|| self.next_stale());
        let next = checks.chain(dues).chain((stale != NEVER).then_some(stale)).min()?;
        Some(self.last.map_or(next, |last| next.min(last.plus(LONGEST_SILENCE))))
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Where the content of target `namespace/name` comes from, with versions; `None` when it is not written.
    #[must_use]
    pub fn sources_of(&self, namespace: &str, target: &str) -> Option<Vec<SecretRef>> {
        let subject = self.by_target.get(&(namespace.to_owned(), target.to_owned()))?;
        Some(self.syncs.get(subject)?.written.as_ref()?.sources.clone())
    }

    /// The manifests in force with the state of each: written, failing, stale.
    pub fn states(&self) -> impl Iterator<Item = (&str, [bool; 3])> {
        self.syncs
            .iter()
            .map(|(subject, sync)| (subject.as_str(), [sync.written.is_some(), sync.problem.is_some(), sync.is_stale]))
    }

    /// Targets that are written, as manifest, namespace and name.
    pub fn targets(&self) -> impl Iterator<Item = (&str, (&str, &str))> {
        let is_written =
            |sync: &Sync| sync.is_settled() && sync.written.as_ref().is_some_and(|written| !written.is_gone);
        self.syncs.iter().filter(move |(_, sync)| is_written(sync)).map(|(subject, sync)| {
            let place = (sync.external.namespace.as_str(), sync.external.target.name.as_str());
            (subject.as_str(), place)
        })
    }

    fn replace(&mut self, set: ManifestSet, now: Timestamp) {
        let mut before = std::mem::take(&mut self.syncs);
        let mut changed = BTreeSet::new();
        let former = std::mem::replace(&mut self.stores, set.stores);
        let is_moved =
            |store: &StoreRef| former.get(store).is_some_and(|before| self.stores.get(store) != Some(before));
        let moved: BTreeSet<StoreRef> = former.keys().filter(|store| is_moved(store)).cloned().collect();
        for (_, source) in self.sources.iter_mut().filter(|(key, _)| moved.contains(&key.store)) {
            source.is_checkable = true;
        }
        for (subject, external) in set.external_secrets {
            let mut sync = before.remove(&subject).unwrap_or_else(|| Sync::new(external.clone(), now));
            let is_new = sync.written.is_none() && sync.problem.is_none() && sync.gather.is_none();
            let is_elsewhere = external.store_refs().any(|store| moved.contains(store));
            if is_new || is_elsewhere || sync.external.fingerprint != external.fingerprint {
                self.renamed(&sync, &external);
                changed.insert(subject.clone());
                sync.restart();
            }
            if !Arc::ptr_eq(&sync.external, &external) {
                sync.take(external);
            }
            self.syncs.insert(subject, sync);
        }
        let target = |sync: &Sync| (sync.external.namespace.clone(), sync.external.target.name.clone());
        self.fresh_until = None;
        self.by_target = self.syncs.iter().map(|(subject, sync)| (target(sync), subject.clone())).collect();
        for sync in before.into_values() {
            self.remove_target(&sync.external);
        }
        self.connect_sources(now);
        for subject in changed {
            self.gather(&subject);
        }
    }

    fn renamed(&mut self, sync: &Sync, after: &ExternalSecret) {
        if sync.external.target.name != after.target.name {
            self.remove_target(&sync.external.clone());
        }
    }

    fn remove_target(&mut self, external: &ExternalSecret) {
        if external.target.creation == crate::CreationPolicy::Owner {
            let (namespace, target) = (external.namespace.clone(), external.target.name.clone());
            self.outputs.push_back(Output::Remove { namespace, target });
        }
    }
}
