//! A changed database against every image that is known: no pull, no walk, only what changed is told.
//!
//! ```text
//! each image, on all cores: does what its findings rest on hold still? -> nothing to do
//!                           else its inventory -> match -> compare with what was told -> tell the difference
//! some of them told: wait once until the bus has them -> keep what was told of each
//! ```
//!
//! What one image asked of the database is remembered for the others. A difference is told before it is kept: who is killed in between
//! tells it again.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use model::Digest;
use schemas::build::v1::{Finding, FindingsChanged, MAX_FINDINGS, MAX_REMOVED, SeverityCounts};

use crate::advisories::{Advisories, Judged, Matcher};
use crate::basis::{Basis, stamp};
use crate::error::ScanError;
use crate::matches::Found;
use crate::store::{KnownImage, Store};
use crate::told::{Difference, Told};
use crate::trivy::now_s;

/// Matches all known images again, on all cores, that ask for something which changed; `tell` is called for each whose findings changed,
/// and says whether it was told. Only what was told is kept. What is kept of images that ask for nothing which changed stays as it is.
///
/// # Errors
/// When the store cannot be written. Some images are done then, others are not: the next call matches all of them again.
pub fn rematch(
    store: &Store,
    advisories: &Advisories,
    tell: impl Fn(&KnownImage, FindingsChanged) -> bool + Sync,
) -> Result<Rematched, ScanError> {
    rematch_in_groups(store, advisories, tell, || true)
}

/// As [`rematch`], for a listener that takes a while: `tell` only hands a change over, and `has_all`, asked once for a group of
/// images (at most [`TOLD_TOGETHER`] on each core), says whether all that was handed over before has arrived.
///
/// # Errors
/// As [`rematch`].
pub(crate) fn rematch_in_groups(
    store: &Store,
    advisories: &Advisories,
    tell: impl Fn(&KnownImage, FindingsChanged) -> bool + Sync,
    has_all: impl Fn() -> bool + Sync,
) -> Result<Rematched, ScanError> {
    let files = store.image_files();
    let matcher = advisories.matcher();
    let next = AtomicUsize::new(0);
    let state = Mutex::new((Rematched::default(), None));
    let note = |outcome: Result<Rematched, ScanError>| {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(done) => state.0.add(done),
            Err(error) => state.1 = Some(error),
        }
        if state.0.untold > 0 || state.1.is_some() {
            // Nobody listens, or nothing can be kept: the rest waits for the next call, too.
            next.store(files.len(), Ordering::Relaxed);
        }
    };
    let work = || {
        let mut group = Group::default();
        while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            // Taken before it is read: who replaces it meanwhile has it matched once more.
            let (kept, now_s) = (stamp(path), now_s());
            let holds = || store.basis_of(path).is_some_and(|basis| basis.holds(advisories, kept, now_s));
            let outcome = if holds() {
                Ok(Outcome::Untouched)
            } else {
                let Some(image) = Store::image_of(path) else { continue };
                rematch_one(store, (advisories, &matcher), (image, kept, now_s), &tell)
            };
            note(outcome.map(|outcome| group.take(outcome)));
            if group.0.len() >= TOLD_TOGETHER {
                note(std::mem::take(&mut group).settle(store, &has_all));
            }
        }
        note(group.settle(store, &has_all));
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(files.len());
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let (rematched, failure) = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    failure.map_or(Ok(rematched), Err)
}

/// Images that one core hands over before it waits for the listener: whoever is killed meanwhile tells them again.
pub const TOLD_TOGETHER: usize = 16;

/// What was handed over of some images, and is to be kept when it has arrived.
#[derive(Default)]
struct Group(Vec<(Digest, Told, Option<Basis>)>);

impl Group {
    /// Counts what came of an image, except what waits in here.
    fn take(&mut self, outcome: Outcome) -> Rematched {
        let one = Rematched { images: 1, matched: 1, ..Rematched::default() };
        match outcome {
            Outcome::Untouched => Rematched { matched: 0, ..one },
            Outcome::Same => one,
            Outcome::Told(digest, told, basis) => {
                self.0.push((digest, told, basis));
                one
            }
            Outcome::Untold => Rematched { untold: 1, ..one },
        }
    }

    fn settle(self, store: &Store, has_all: impl Fn() -> bool) -> Result<Rematched, ScanError> {
        let images = self.0.len() as u64;
        if images > 0 && !has_all() {
            return Ok(Rematched { untold: images, ..Rematched::default() });
        }
        self.0.iter().try_for_each(|(digest, told, basis)| store.keep_told(digest, told, basis.as_ref()))?;
        Ok(Rematched { changed: images, ..Rematched::default() })
    }
}

/// What came of one image.
enum Outcome {
    /// It was not matched: nothing changed that it asks.
    Untouched,
    Same,
    /// Its difference is on its way; this is to be kept then.
    Told(Digest, Told, Option<Basis>),
    Untold,
}

fn rematch_one(
    store: &Store,
    (advisories, matcher): (&Advisories, &Matcher<'_>),
    (mut image, kept, now_s): (KnownImage, u64, i64),
    tell: impl Fn(&KnownImage, FindingsChanged) -> bool,
) -> Result<Outcome, ScanError> {
    let before = store.told(&image.digest);
    advisories.identify(&mut image.inventory);
    let Judged { found, is_partial, mut basis, .. } = matcher.judge(&image.inventory, now_s);
    if let Some(basis) = &mut basis {
        basis.inventory = kept;
    }
    // What the database says of it cannot all be read: what is missing now may well stand.
    let difference =
        before.as_ref().unwrap_or(&Told::default()).then(advisories.name(), found.iter().map(Found::line), is_partial);
    let Some((now, difference)) = difference else {
        // Of an image without findings it is to be known that there are none. Else only what they rest on is new.
        let none = || Told::of(advisories.name(), std::iter::empty());
        return match before {
            Some(_) if basis.is_none() => Ok(Outcome::Same),
            before => {
                store.keep_told(&image.digest, &before.unwrap_or_else(none), basis.as_ref()).map(|()| Outcome::Same)
            }
        };
    };
    if !tell(&image, change(&image, &found, difference, advisories.name())) {
        return Ok(Outcome::Untold);
    }
    Ok(Outcome::Told(image.digest, now, basis))
}

/// What came of matching again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rematched {
    /// Images that are known.
    pub images: u64,
    /// Those that were matched: of the others nothing changed that they ask the database.
    pub matched: u64,
    /// Those with other findings than before, which were told.
    pub changed: u64,
    /// Those with other findings than before, which could not be told; the next call tells them.
    pub untold: u64,
}

impl Rematched {
    fn add(&mut self, more: Self) {
        self.images = self.images.saturating_add(more.images);
        self.matched = self.matched.saturating_add(more.matched);
        self.changed = self.changed.saturating_add(more.changed);
        self.untold = self.untold.saturating_add(more.untold);
    }
}

fn change(image: &KnownImage, found: &[Found<'_>], difference: Difference, database: &str) -> FindingsChanged {
    let mut counts = SeverityCounts::default();
    found.iter().for_each(|one| counts.add(one.severity, !one.fixed_version.is_empty()));
    let ids: BTreeSet<&str> = found.iter().map(|one| one.id.as_str()).collect();
    let gone: BTreeSet<&str> = difference.gone.iter().map(|gone| gone.id.as_str()).collect();
    let mut removed: Vec<String> = gone.into_iter().filter(|id| !ids.contains(id)).map(str::to_owned).collect();
    let removed_omitted = removed.len().saturating_sub(MAX_REMOVED) as u64;
    removed.truncate(MAX_REMOVED);
    let Difference { mut added, mut changed, mut gone } = difference;
    // Findings lie in the order of their severity: the worst first.
    added.sort_unstable();
    changed.sort_unstable();
    let all = added.len().saturating_add(changed.len());
    added.truncate(MAX_FINDINGS);
    changed.truncate(MAX_FINDINGS.saturating_sub(added.len()));
    gone.truncate(MAX_FINDINGS);
    let omitted = all.saturating_sub(added.len()).saturating_sub(changed.len());
    let whole = |places: Vec<usize>| -> Vec<Finding> {
        places.into_iter().filter_map(|place| found.get(place)).map(Found::finding).collect()
    };
    FindingsChanged {
        digest: image.digest.clone(),
        added: whole(added),
        changed: whole(changed),
        omitted: omitted as u64,
        removed,
        removed_omitted,
        gone,
        counts,
        database: database.to_owned(),
    }
}
