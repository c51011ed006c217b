//! Decides which objects may enter the cluster, and says so on the bus.

use std::process::ExitCode;

fn main() -> ExitCode {
    service::run(
        "admission-gateway",
        "Judges admission reviews by Kyverno policies and what the platform knows",
        admission_gateway::start,
    )
}

// A review is thousands of small allocations, most of them copies of parts of its object.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
