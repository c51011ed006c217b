//! Events of the deploy phase, by version.

pub mod v1;
