//! Integration tests of the engine: one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod advice;
mod afterwards;
mod cel;
mod cel_images;
mod cel_libraries;
mod cel_mutations;
mod cel_requests;
mod changes;
mod conditions;
mod corpus;
mod documents;
mod existing;
mod files;
mod hostile;
mod laws;
mod loading;
mod manifests;
mod memory;
mod mocks;
mod parameters;
mod platform;
mod reports;
mod reviews;
mod rules;
mod scans;
mod sessions;
mod subresources;
mod words;

use admission_policy::PolicySet;

/// The policies of a text that is all right.
fn load(text: impl AsRef<str>) -> PolicySet {
    let (set, faults) = PolicySet::load([("policies.yaml", text)]);
    assert!(faults.is_empty(), "{faults:#?}");
    set
}
