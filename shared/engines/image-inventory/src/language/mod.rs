//! Packages of programming languages.

mod files;
mod formats;
pub(crate) mod graph;
pub(crate) mod java;
pub(crate) mod javascript;
pub(crate) mod other;
pub(crate) mod program;
pub(crate) mod python;
pub(crate) mod rust;
pub(crate) mod zip;

pub(crate) use files::{DECLARED, EITHER, HASHED, INSTALLED};
pub use formats::parse;
