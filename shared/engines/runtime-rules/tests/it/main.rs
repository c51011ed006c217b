//! The language, against the peers' texts and by its laws.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod alerts;
mod compiled;
mod corpus;
mod engine;
mod hostile;
mod laws;
mod recorded;
