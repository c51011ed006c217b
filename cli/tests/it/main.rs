//! The command as people run it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod output;
mod policy;
mod policy_cluster;
mod policy_files;
mod policy_outputs;
mod projects;
mod scan;
mod scan_forms;
