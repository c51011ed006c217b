//! Events of the build phase, by version.

pub mod v1;
