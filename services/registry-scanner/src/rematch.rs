//! A changed database against every image that is known: no pull, no walk, only what changed is told.

use std::collections::BTreeSet;

use schemas::build::v1::{Finding, FindingsChanged, MAX_FINDINGS, SeverityCounts};

use crate::advisories::Advisories;
use crate::error::ScanError;
use crate::store::{KnownImage, Store};

/// Matches all known images again; `tell` is called for each whose findings changed, before the new findings are kept.
///
/// # Errors
/// When the store cannot be written. Images before that one are done.
pub fn rematch(
    store: &Store,
    advisories: &Advisories,
    mut tell: impl FnMut(&KnownImage, FindingsChanged),
) -> Result<Rematched, ScanError> {
    let mut rematched = Rematched::default();
    for mut image in store.images() {
        rematched.images = rematched.images.saturating_add(1);
        if image.database == advisories.name() {
            continue;
        }
        let (matches, _faults) = advisories.findings(&image.inventory);
        let findings: Vec<Finding> = matches.into_iter().map(|one| one.finding).collect();
        let change = change(&image, &findings, advisories.name());
        if let Some(change) = change {
            rematched.changed = rematched.changed.saturating_add(1);
            tell(&image, change);
        }
        image.findings = findings;
        advisories.name().clone_into(&mut image.database);
        store.keep_image(&image)?;
    }
    Ok(rematched)
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
