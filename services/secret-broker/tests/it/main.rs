//! The broker as a process, against a real OpenBao and a real bus.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod amazon;
mod bad_input;
mod calls;
mod canaries;
mod cluster;
mod cluster_world;
mod fan_out;
mod faults;
mod feed;
mod kinds;
mod lease;
mod logins;
mod outages;
mod proxy;
mod rights;
mod service;
mod stores;
mod unmodified;
mod wider;
mod world;
