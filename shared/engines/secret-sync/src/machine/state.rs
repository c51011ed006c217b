//! What the machine remembers of each source and each manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, Mac as _};
use model::{SecretRef, Timestamp};
use sha2::Sha256;

use super::{FetchKey, FetchProblem, Loss, TargetContent};
use crate::manifest::{ExternalSecret, RefreshPolicy};
use crate::value::{Reading, SecretBytes};

/// One path at one store.
#[derive(Debug)]
pub(super) struct Source {
    /// Manifests that need it.
    pub(super) users: BTreeSet<String>,
    /// Whether a check or a read is on its way.
    pub(super) in_flight: bool,
    /// Whether it changed since that was sent.
    pub(super) is_outdated: bool,
    /// When to look at its revision again.
    pub(super) next_check: Option<Timestamp>,
    /// How often to look; `None` when no user wants to know, or the store does not tell.
    pub(super) interval: Option<Duration>,
    /// Whether the store tells revisions to this login.
    pub(super) is_checkable: bool,
    /// Failures in a row.
    pub(super) attempts: u32,
    /// When the store last answered for it.
    pub(super) confirmed: Option<Timestamp>,
}

impl Source {
    pub(super) fn new() -> Self {
        Self {
            users: BTreeSet::new(),
            in_flight: false,
            is_outdated: false,
            next_check: None,
            interval: None,
            is_checkable: true,
            attempts: 0,
            confirmed: None,
        }
    }

    /// The store answered.
    pub(super) fn answered(&mut self, now: Timestamp) {
        (self.in_flight, self.attempts, self.confirmed) = (false, 0, Some(now));
        let again = self.interval.filter(|_| self.is_checkable);
        let is_outdated = std::mem::take(&mut self.is_outdated);
        self.next_check = again.map(|interval| if is_outdated { now } else { on_grid(now, interval) });
    }
}

/// The next multiple of `interval`: sources of the same interval are due together, so that one call may answer for many.
pub(super) fn on_grid(now: Timestamp, interval: Duration) -> Timestamp {
    let step = i64::try_from(interval.as_nanos()).unwrap_or(i64::MAX).max(1);
    let left = step.saturating_sub(now.as_nanos().rem_euclid(step));
    now.plus(Duration::from_nanos(u64::try_from(left).unwrap_or(0)))
}

/// What a manifest reads, sorted; each key is there once, however many hold it.
pub(super) type Keys = Arc<[Arc<FetchKey>]>;

/// One manifest.
#[derive(Debug)]
pub(super) struct Sync {
    pub(super) external: Arc<ExternalSecret>,
    /// What it reads: made once for each text of the manifest, since every look asks for it.
    keys: Keys,
    /// Parts that are being collected.
    pub(super) gather: Option<Gather>,
    /// What is being written.
    pub(super) writing: Option<Written>,
    /// What was written.
    pub(super) written: Option<Written>,
    /// Revisions that the last attempt was made of.
    pub(super) seen: BTreeMap<Arc<FetchKey>, String>,
    /// When to try again.
    pub(super) due: Option<Timestamp>,
    pub(super) attempts: u32,
    pub(super) problem: Option<FetchProblem>,
    pub(super) is_stale: bool,
    /// A change waits for a sync window.
    pub(super) is_deferred: bool,
    /// Something changed while it was gathered or written.
    pub(super) is_behind: bool,
    pub(super) since: Timestamp,
    /// What somebody else did to the target, until it is written again.
    pub(super) loss: Option<Loss>,
    /// How often in a row it was restored, and when that was last begun.
    pub(super) restored: Option<(u32, Timestamp)>,
}

impl Sync {
    pub(super) fn new(external: Arc<ExternalSecret>, now: Timestamp) -> Self {
        Self {
            keys: keys(&external),
            external,
            gather: None,
            writing: None,
            written: None,
            seen: BTreeMap::new(),
            due: None,
            attempts: 0,
            problem: None,
            is_stale: false,
            is_deferred: false,
            is_behind: false,
            since: now,
            loss: None,
            restored: None,
        }
    }

    /// Forgets what the former text of the manifest led to, but not what was written.
    pub(super) fn restart(&mut self) {
        (self.gather, self.problem, self.attempts, self.due) = (None, None, 0, None);
        self.seen.clear();
    }

    /// Whether what is on its way was made of another revision of `key` than `revision`.
    pub(super) fn is_overtaken(&self, key: &FetchKey, revision: &str) -> bool {
        let read = self.gather.as_ref().and_then(|gather| gather.readings.get(key));
        let is_other =
            |reading: &Option<Arc<Reading>>| reading.as_ref().map_or("", |reading| &reading.revision) != revision;
        let is_written = self.writing.is_some() && self.seen.get(key).is_some_and(|seen| seen != revision);
        read.is_some_and(is_other) || is_written
    }

    pub(super) fn is_settled(&self) -> bool {
        self.gather.is_none() && self.writing.is_none()
    }

    /// Whether its sync windows let it be fetched again.
    pub(super) fn may_refresh(&self, now: Timestamp) -> bool {
        self.external.windows.as_ref().is_none_or(|windows| windows.allows(now))
    }

    /// How often it wants to know of changes; `None` when never by itself.
    pub(super) fn interval(&self) -> Option<Duration> {
        match self.external.refresh {
            RefreshPolicy::Periodic(interval) if !interval.is_zero() => Some(interval),
            RefreshPolicy::Periodic(_) | RefreshPolicy::CreatedOnce | RefreshPolicy::OnChange => None,
        }
    }

    pub(super) fn keys(&self) -> Keys {
        Arc::clone(&self.keys)
    }

    /// Takes another text of its manifest.
    pub(super) fn take(&mut self, external: Arc<ExternalSecret>) {
        (self.keys, self.external) = (keys(&external), external);
    }
}

fn keys(external: &ExternalSecret) -> Keys {
    let data = external.data.iter().map(|item| FetchKey::new(&item.store, &item.remote));
    let extracts = external.extracts.iter().map(|extract| FetchKey::new(&extract.store, &extract.remote));
    let keys: BTreeSet<FetchKey> = data.chain(extracts).collect();
    keys.into_iter().map(Arc::new).collect()
}

/// Parts of a target on their way.
#[derive(Debug, Default)]
pub(super) struct Gather {
    pub(super) missing: BTreeSet<Arc<FetchKey>>,
    pub(super) readings: BTreeMap<FetchKey, Option<Arc<Reading>>>,
}

/// What stands in a target, without values.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// Keyed hash by key.
    pub(super) digests: BTreeMap<String, String>,
    /// Keyed hash of the labels and annotations that templates made.
    pub(super) marks: String,
    pub(super) sources: Vec<SecretRef>,
    /// Whether the target was removed instead.
    pub(super) is_gone: bool,
    /// The manifest that it was written for: another one may want other marks on the same content.
    pub(super) fingerprint: String,
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written")
            .field("keys", &self.digests.keys())
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}

impl Written {
    /// Keys whose hash differs from `before`; a removed key has an empty hash.
    pub(super) fn changed_since(&self, before: &Self) -> Vec<(String, String)> {
        let is_changed = |(key, digest): &(&String, &String)| before.digests.get(*key) != Some(*digest);
        let pair = |(key, digest): (&String, &String)| (key.clone(), digest.clone());
        let removed = before.digests.keys().filter(|key| !self.digests.contains_key(*key));
        let changed = self.digests.iter().filter(is_changed).map(pair);
        changed.chain(removed.map(|key| (key.clone(), String::new()))).collect()
    }
}

/// The keyed hash of labels and annotations, in hex.
pub(super) fn marks(key: &[u8], content: &TargetContent) -> String {
    let mut all = Vec::new();
    for (at, marks) in [(0_u8, &content.labels), (1, &content.annotations)] {
        for (name, value) in marks {
            // Lengths keep what stands together apart.
            let lengths = [name.len(), value.expose().len()].map(usize::to_le_bytes).concat();
            all.extend([&[at], lengths.as_slice(), name.as_bytes(), value.expose()].concat());
        }
    }
    digest(key, &SecretBytes::new(all))
}

/// The keyed hash of a value, in hex.
pub(super) fn digest(key: &[u8], value: &SecretBytes) -> String {
    // A key of any length is taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(value.expose());
    hex::encode(mac.finalize().into_bytes())
}
