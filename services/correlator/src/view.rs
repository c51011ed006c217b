//! What the API shows: the last state of each incident, and how the correlator is.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use model::{IncidentId, Timestamp};
use schemas::incident::v1::{Incident, Status};

/// Shared between the pipeline, which writes, and the API, which reads. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    inner: Arc<RwLock<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    incidents: BTreeMap<IncidentId, Incident>,
    by_time: BTreeMap<(Timestamp, IncidentId), ()>,
}

impl View {
    /// Takes the new state of an incident; returns an old resolved one that had to go to make room.
    pub(crate) fn put(&self, incident: Incident) -> Option<IncidentId> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let key = (incident.last_time, incident.id.clone());
        if let Some(old) = inner.incidents.insert(incident.id.clone(), incident) {
            inner.by_time.remove(&(old.last_time, old.id));
        }
        inner.by_time.insert(key, ());
        if inner.incidents.len() <= MAX_INCIDENTS {
            return None;
        }
        let (key, ()) = inner.by_time.pop_first()?;
        inner.incidents.remove(&key.1);
        Some(key.1)
    }

    /// Incidents, the latest first.
    pub(crate) fn list(&self, status: Option<Status>, limit: usize) -> Vec<Incident> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let latest = inner.by_time.keys().rev().filter_map(|(_, id)| inner.incidents.get(id));
        latest.filter(|incident| status.is_none_or(|status| incident.status == status)).take(limit).cloned().collect()
    }

    /// One incident.
    pub(crate) fn get(&self, id: &IncidentId) -> Option<Incident> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).incidents.get(id).cloned()
    }
}

/// Most incidents shown; the stream keeps them all for 400 days.
const MAX_INCIDENTS: usize = 10_000;
