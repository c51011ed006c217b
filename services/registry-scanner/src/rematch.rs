//! A changed database against every image that is known: no pull, no walk, only what changed is told.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use schemas::build::v1::{Finding, FindingsChanged, MAX_FINDINGS, SeverityCounts};

use crate::advisories::Advisories;
use crate::error::ScanError;
use crate::store::{KnownImage, Store};

/// Matches all known images again, on all cores; `tell` is called for each whose findings changed, before the new findings are kept.
/// What is kept of the others stays as it is: only that all were matched with this database is written down, once.
///
/// # Errors
/// When the store cannot be written. Some images are done then, others are not: the next call matches all of them again.
pub fn rematch(
    store: &Store,
    advisories: &Advisories,
    tell: impl FnMut(&KnownImage, FindingsChanged) + Send,
) -> Result<Rematched, ScanError> {
    let files = store.image_files();
    let done = store.matched_with(advisories.name());
    let next = AtomicUsize::new(0);
    let state = Mutex::new((tell, Rematched::default(), None));
    let work = || {
        while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = if done.as_ref().is_some_and(|done| done.covers(path)) {
                Ok(false)
            } else {
                let Some(image) = Store::image_of(path) else { continue };
                rematch_one(store, advisories, image, |image, change| {
                    (state.lock().unwrap_or_else(PoisonError::into_inner).0)(image, change);
                })
            };
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok(has_changed) => {
                    state.1.images = state.1.images.saturating_add(1);
                    state.1.changed = state.1.changed.saturating_add(u64::from(has_changed));
                }
                Err(error) => {
                    next.store(files.len(), Ordering::Relaxed);
                    state.2 = Some(error);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(files.len());
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let (_, rematched, failure) = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(failure) = failure {
        return Err(failure);
    }
    store.keep_matched_with(advisories.name())?;
    Ok(rematched)
}

/// Whether the findings of an image changed.
fn rematch_one(
    store: &Store,
    advisories: &Advisories,
    mut image: KnownImage,
    tell: impl FnOnce(&KnownImage, FindingsChanged),
) -> Result<bool, ScanError> {
    if image.database == advisories.name() {
        return Ok(false);
    }
    advisories.identify(&mut image.inventory);
    let (matches, _faults) = advisories.findings(&image.inventory);
    let findings: Vec<Finding> = matches.into_iter().map(|one| one.finding).collect();
    if findings == image.findings {
        return Ok(false);
    }
    let change = change(&image, &findings, advisories.name());
    let has_changed = change.is_some();
    if let Some(change) = change {
        tell(&image, change);
    }
    image.findings = findings;
    advisories.name().clone_into(&mut image.database);
    store.keep_image(&image)?;
    Ok(has_changed)
}

/// What came of matching again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rematched {
    /// Images that are known.
    pub images: u64,
    /// Those with other findings than before.
    pub changed: u64,
}

fn change(image: &KnownImage, findings: &[Finding], database: &str) -> Option<FindingsChanged> {
    fn key(finding: &Finding) -> (&str, &str, &str, &str) {
        (&finding.id, &finding.package, &finding.installed_version, &finding.path)
    }
    let before: BTreeSet<_> = image.findings.iter().map(key).collect();
    let now: BTreeSet<_> = findings.iter().map(key).collect();
    let ids_now: BTreeSet<&str> = findings.iter().map(|finding| finding.id.as_str()).collect();
    let gone: BTreeSet<&str> = before.difference(&now).map(|(id, ..)| *id).filter(|id| !ids_now.contains(id)).collect();
    let added: Vec<Finding> =
        findings.iter().filter(|finding| !before.contains(&key(finding))).take(MAX_FINDINGS).cloned().collect();
    (!added.is_empty() || !gone.is_empty()).then(|| FindingsChanged {
        digest: image.digest.clone(),
        added,
        removed: gone.into_iter().map(str::to_owned).collect(),
        counts: SeverityCounts::of(findings),
        database: database.to_owned(),
    })
}
