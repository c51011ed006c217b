//! What was set aside: shown in the log, in a metric, at `/faults` and so in `biotope doctor`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::{Fault, FaultKind};

/// The faults in force, by where they come from.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    by_source: Arc<Mutex<BTreeMap<String, Vec<Fault>>>>,
}

impl Faults {
    /// Replaces the faults of `source` (a folder, a file, a database) and logs those that are new, one line each.
    pub fn replace(&self, source: &str, faults: Vec<Fault>) {
        let mut by_source = self.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        let before = by_source.remove(source).unwrap_or_default();
        for fault in faults.iter().filter(|fault| !before.contains(fault)) {
            match fault.kind {
                FaultKind::Warning => tracing::warn!(%fault, "input warning"),
                FaultKind::Invalid | FaultKind::Unsupported => tracing::error!(%fault, "input set aside"),
            }
        }
        if !faults.is_empty() {
            by_source.insert(source.to_owned(), faults);
        }
    }

    /// All faults in force.
    #[must_use]
    pub fn all(&self) -> Vec<Fault> {
        self.by_source.lock().unwrap_or_else(PoisonError::into_inner).values().flatten().cloned().collect()
    }

    /// How many there are of a kind.
    #[must_use]
    pub fn count(&self, kind: FaultKind) -> usize {
        let by_source = self.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        by_source.values().flatten().filter(|fault| fault.kind == kind).count()
    }
}
