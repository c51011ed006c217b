//! Events of the run phase, by version.

pub mod v1;
