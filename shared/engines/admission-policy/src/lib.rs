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
//! ```
//! use admission_policy::{PolicySet, Request, Snapshot};
//! use serde_json::json;
//!
//! let policy = "
//! apiVersion: kyverno.io/v1
//! kind: ClusterPolicy
//! metadata: {name: require-team}
//! spec:
//!   validationFailureAction: Enforce
//!   rules:
//!   - name: team
//!     match: {any: [{resources: {kinds: [Pod]}}]}
//!     validate:
//!       message: every pod names its team
//!       pattern: {metadata: {labels: {team: '?*'}}}
//! ";
//! let (set, faults) = PolicySet::load([("team.yaml", policy)]);
//! assert!(faults.is_empty());
//! let review = json!({"request": {"uid": "1", "operation": "CREATE", "kind": {"group": "", "version": "v1", "kind": "Pod"},
//!     "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}}});
//! let request = Request::from_review(&review)?;
//! let outcome = set.evaluate(&request, &Snapshot::default());
//! assert!(!outcome.allowed);
//! assert!(outcome.message.contains("every pod names its team"));
//! # Ok::<(), admission_policy::ReviewError>(())
//! ```
//!
//! # For a webhook
//! * The mutating webhook evaluates [`Stage::Mutate`] and [`Stage::VerifyImages`] and answers with [`Outcome::review`]; the
//!   validating one evaluates [`Stage::Validate`]. [`Stage::Generate`] and [`RuleVerdict::targets`] are for a controller that
//!   writes objects after the request went through, as are [`PolicySet::cleanup_schedules`] and [`PolicySet::clean_up`].
//! * [`PolicySet::standing`] tells which policies act on what is in a cluster already, once they come into force: each such object
//!   is judged as [`Request::existing`].
//! * What is looked at in the background ([`Request::background`]) nobody asks for: conditions on users and operations are left out.
//!   Reports ([`PolicySet::scan`]) take the operation for a creation, as Kyverno does.
//! * A rule whose fact is missing ends in [`Status::Error`]; whether that refuses depends on its `failurePolicy`. Gather
//!   [`Outcome::missing_facts`] and evaluate again, or answer at once.
//! * [`Limits`] bound lists, texts and queries of one evaluation; hostile policies and objects end in errors.
//!
//! # Facts of the platform
//! Policies ask [`Snapshot::biotope`] by functions, the same in JMESPath and CEL: `biotope.image(reference)` (scan facts),
//! `biotope.incidents(reference)` (open incidents of the image), `biotope.secret("namespace/name")` (provenance). The answer
//! for an image that nobody scanned has `known: false` and nothing else: a rule that asks it for findings ends in an error,
//! so it fails closed. The facts are also there whole, as `biotope.images`, `biotope.incidents` and `biotope.secrets`; a
//! JMESPath query on those copies them, so the functions are the quick way. A rule that refuses images under an open
//! incident:
//!
//! ```yaml
//! foreach:
//! - list: request.object.spec.containers
//!   deny:
//!     conditions:
//!       all: [{key: "{{ biotope.incidents('{{ element.image }}') | length(@) }}", operator: GreaterThan, value: 0}]
//! ```
//!
//! # Traps
//! * A condition anchor `(key)` that does not hold skips the element or the rule; it never refuses.
//! * A mismatch beside an anchored key that no element has is an error, not a violation: Kyverno cannot judge it either.
//! * Merging moves the list items that a patch names to the front, so `foreach` merges go backwards through their list.

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

mod assertion;
mod cel;
mod cleanup;
mod conditions;
mod context;
mod evaluate;
mod existing;
mod explain;
mod gzip;
mod index;
mod kinds;
mod limits;
mod outcome;
mod patch;
mod pattern;
mod platform;
mod policy;
mod projection;
pub mod report;
mod request;
mod rules;
mod scan;
mod set;
mod snapshot;
mod stage;
mod subjects;
pub mod testing;
mod value;
pub mod yaml;

pub use cel::AuthorizationKind;
pub use cleanup::{CleanupOutcome, CleanupSchedule, CleanupTarget};
pub use existing::Standing;
pub use explain::{ClauseExplanation, Explanation};
pub use go_time::Schedule;
pub use limits::Limits;
pub use outcome::{Action, ChangedTarget, Outcome, PolicyRef, RuleKind, RuleVerdict, Status};
pub use projection::Projection;
pub use request::{GroupVersionKind, Operation, Request, ReviewError, UserInfo};
pub use rules::verify_images::attestor_key;
pub use scan::Scan;
pub use set::{PolicySet, PolicySummary};
pub use snapshot::{
    Attestation, HttpAnswer, HttpCall, ImageTrust, ManifestClaim, ManifestSignature, MissingFact, RegistryAccess,
    RuleValues, Snapshot, Values,
};
pub use stage::Stage;
