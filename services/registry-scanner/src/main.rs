//! Decides what is in an image and what of it is vulnerable, and says so on the bus.

use std::process::ExitCode;

fn main() -> ExitCode {
    service::run(
        registry_scanner::NAME,
        "Scans images of registries and folders for packages with known vulnerabilities",
        registry_scanner::start,
    )
}

// Matching makes many small texts for each finding: in a profile of matching again a third of the samples were in the allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
