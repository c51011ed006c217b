//! Integration tests of the language.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod functions;
mod grammar;
mod laws;
mod scalars;
mod scopes;
mod x509;
