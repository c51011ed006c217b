//! Values that stand in the store's manifest, for trials.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use secret_sync::{FakeValue, FetchKey, FetchProblem, Reading};

use super::{Checked, Made, Provider};

/// Answers from memory.
#[derive(Debug)]
pub(super) struct FakeProvider {
    values: BTreeMap<(String, String), FakeValue>,
}

impl FakeProvider {
    pub(super) fn new(values: BTreeMap<(String, String), FakeValue>) -> Self {
        Self { values }
    }

    /// The wanted version; where none is wanted, that without one.
    fn find(&self, key: &FetchKey) -> Option<(&str, &FakeValue)> {
        let wanted = (key.path.clone(), key.version.clone().unwrap_or_default());
        self.values.get_key_value(&wanted).map(|((_, version), value)| (version.as_str(), value))
    }
}

impl Provider for FakeProvider {
    fn check_many(&self, keys: Vec<FetchKey>) -> BoxFuture<'_, Checked> {
        let revision = |key: FetchKey| {
            let found = self.find(&key).map(|(version, _)| version.to_owned());
            (key, Ok(found))
        };
        let checked = keys.into_iter().map(revision).collect();
        Box::pin(async move { checked })
    }

    fn read<'a>(&'a self, key: &'a FetchKey) -> BoxFuture<'a, Result<Option<Reading>, FetchProblem>> {
        let reading = self.find(key).map(|(version, value)| Reading {
            content: value.0.clone(),
            version: version.to_owned(),
            revision: version.to_owned(),
        });
        Box::pin(async move { Ok(reading) })
    }

    fn rotate<'a>(&'a self, _: &'a FetchKey) -> BoxFuture<'a, Result<Made, FetchProblem>> {
        let what = "unsupported: the values of the fake provider stand in its manifest".to_owned();
        let remedy = "change them there".to_owned();
        Box::pin(async move { Err(FetchProblem { what, remedy, is_check_refused: false }) })
    }
}
