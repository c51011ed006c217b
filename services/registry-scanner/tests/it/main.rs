//! The scanner against real registries, folders and archives.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod database;
mod files;
mod folders;
mod hostile;
mod hostile_registry;
mod images;
mod killed;
mod misc;
mod misc_layers;
mod misc_sbom;
mod misc_vex;
mod registry;
mod rematch;
mod service;
mod updates;
