//! Decides which events of all phases belong together, and tells what they come to as incidents.

use std::process::ExitCode;

fn main() -> ExitCode {
    let about = "joins the events of all phases into incidents, and serves them over HTTP";
    service::run::<correlator::Config, _, _>("correlator", about, correlator::start)
}

// Every event is a handful of small allocations that another thread frees: measured, a quarter of the time went there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
