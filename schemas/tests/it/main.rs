//! The contract is current, its old bytes decode, and hostile bytes are refused by name.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod documents;
mod golden;
mod samples;
mod wire;
