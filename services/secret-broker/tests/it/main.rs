//! The broker as a process, against a real OpenBao and a real bus.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod calls;
mod cluster;
mod fan_out;
mod faults;
mod service;
mod wider;
mod world;
