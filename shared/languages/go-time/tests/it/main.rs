//! Go's conventions of time.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod durations;
mod moments;
mod schedules;
