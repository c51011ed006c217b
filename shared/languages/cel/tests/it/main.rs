//! Integration tests of the language.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod extensions;
mod grammar;
mod host;
mod laws;
mod vectors;
