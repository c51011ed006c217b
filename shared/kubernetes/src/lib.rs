//! What biotope knows of Kubernetes objects: label and annotation keys, and the facts of a pod that other phases need.
//!
//! Objects are read as JSON, field by field, so that a field that this build does not know is carried along.

#![warn(missing_docs)]

pub mod keys;
pub mod pod;
