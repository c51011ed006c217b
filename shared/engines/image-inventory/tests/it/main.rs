//! Tests of the inventory from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod corpora;
mod helpers;
mod hostile;
mod jars;
mod layers;
mod maven;
mod mutated;
mod outside;
mod real;
mod repositories;
mod roots;
mod rpm;
mod syft;
