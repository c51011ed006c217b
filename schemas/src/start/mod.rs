//! Events of the start phase, by version.

pub mod v1;
