//! Readiness is earned: each adapter holds a handle until it has really worked once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What the service still waits for.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    parts: Arc<Mutex<BTreeMap<&'static str, Option<String>>>>,
}

/// One part of the service on its way to being ready.
#[derive(Clone, Debug)]
pub struct ReadyHandle {
    readiness: Readiness,
    part: &'static str,
}

impl Readiness {
    /// A part that must work before the service is ready. It waits until [`ReadyHandle::ready`].
    #[must_use]
    pub fn part(&self, part: &'static str) -> ReadyHandle {
        self.set(part, Some("starting".to_owned()));
        ReadyHandle { readiness: self.clone(), part }
    }

    /// The parts that are not ready, with what they wait for. Empty when the service is ready.
    #[must_use]
    pub fn waiting(&self) -> Vec<(&'static str, String)> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().filter_map(|(part, why)| why.clone().map(|why| (*part, why))).collect()
    }

    fn set(&self, part: &'static str, why: Option<String>) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(part, why);
    }
}

impl ReadyHandle {
    /// The part works.
    pub fn ready(&self) {
        self.readiness.set(self.part, None);
    }

    /// The part does not work any more, or not yet, and why.
    pub fn waiting(&self, why: impl Into<String>) {
        self.readiness.set(self.part, Some(why.into()));
    }
}
