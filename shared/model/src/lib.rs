//! Newtypes that all sides share.
//!
//! Every identity by which one phase knows another (design: build, deploy, start, run) is a type of its own here, checked
//! once when it enters. The crate has no I/O, no clock and no async; a [`Timestamp`] is always passed in.

#![warn(missing_docs)]

mod digest;
mod fault;
mod identity;
mod ids;
mod image;
pub mod license;
mod purl;
mod severity;
mod timestamp;
mod workload;

pub use digest::{Digest, DigestError};
pub use fault::{Fault, FaultKind};
pub use identity::{Identity, SecretRef};
pub use ids::{AdmissionId, ClusterName, ContainerId, EventId, IdError, IncidentId, NodeName, PodUid};
pub use image::{ImageReference, ImageReferenceError};
pub use purl::{PackageUrl, PackageUrlError};
pub use severity::{Severity, SeverityError};
pub use timestamp::{Timestamp, TimestampError};
pub use workload::WorkloadRef;
