//! What biotope knows of Kubernetes: label and annotation keys, the facts of a pod that other phases need, and the one door to a
//! cluster's API server.
//!
//! Objects are read as JSON, field by field, so that a field that this build does not know is carried along.

#![warn(missing_docs)]

mod client;
mod discovery;
pub mod keys;
pub mod manifests;
pub mod pod;
mod watch;

pub use client::{Cluster, ClusterError, Resource};
pub use discovery::Served;
pub use watch::{Kept, Objects, Seen};
