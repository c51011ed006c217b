//! The engine from the outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod amazon;
mod clouds;
mod controllers;
mod corpus;
mod doubles;
mod generators;
mod machine;
mod manifests;
mod providers;
mod pushes;
mod utilities;
mod webhooks;
mod world;
