//! The Kyverno language as a pure engine.
//!
//! ```text
//! (file, YAML) pairs --PolicySet::load--> PolicySet + Faults      once, when policies change
//! AdmissionReview --Request::from_review--> Request               per review
//! PolicySet::evaluate(&Request, &Snapshot) -> Outcome             never fails, never waits
//! Outcome::review(uid) --> AdmissionReview                        the answer
//! ```
//!
//! The set is immutable; load a new one and swap it. Everything that policies may look up is in the [`Snapshot`]; what an
//! evaluation needed and did not find is in [`Outcome::missing_facts`], so the caller gathers it and evaluates again.
//!
//! # Facts of the platform
//! Policies see [`Snapshot::biotope`] as the variable `biotope`: `biotope.images."<digest or reference>"` (scan facts),
//! `biotope.incidents."<digest>"` (open incidents), `biotope.secrets."<namespace/name>"` (provenance).

#![warn(missing_docs)]
#![deny(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "tests fail by panicking"
    )
)]

mod cel;
mod cleanup;
mod conditions;
mod context;
mod evaluate;
mod explain;
mod limits;
mod outcome;
mod patch;
mod pattern;
mod policy;
mod request;
mod rules;
mod set;
mod snapshot;
pub mod testing;
mod value;
pub mod yaml;

pub use cleanup::{CleanupOutcome, CleanupSchedule};
pub use evaluate::Stage;
pub use explain::{ClauseExplanation, Explanation};
pub use limits::Limits;
pub use outcome::{Action, Outcome, PolicyRef, RuleKind, RuleVerdict, Status};
pub use request::{GroupVersionKind, Operation, Request, ReviewError, UserInfo};
pub use rules::verify_images::attestor_key;
pub use set::{PolicySet, PolicySummary};
pub use snapshot::{Attestation, ImageTrust, MissingFact, RuleValues, Snapshot, Values};
