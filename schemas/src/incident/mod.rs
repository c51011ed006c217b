//! Events about incidents, by version.

pub mod v1;
