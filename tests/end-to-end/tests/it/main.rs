//! The story, and what a person sees who gives the programs bad input.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod bad_input;
mod chart;
mod deployed;
mod platform;
mod sensor;
mod story;
mod subscriber;
mod traces;

use std::path::PathBuf;
use std::process::Output;

use testkit::require;

/// A built program, beside this test; `None`, loudly, when it was not built.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().unwrap();
    let path = own.ancestors().nth(2).unwrap().join(name);
    if !path.exists() {
        require::skip("binaries", &format!("{} is not built: run `make build`", path.display()));
        return None;
    }
    Some(path)
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}
