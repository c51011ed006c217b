//! Decides which secrets reach which workload, and in which version.

use std::process::ExitCode;

fn main() -> ExitCode {
    service::run(
        "secret-broker",
        "Syncs External Secrets manifests and tells which pod holds which version of which secret",
        secret_broker::start,
    )
}

// Thousands of manifests are many small objects that come and go on several threads: glibc's allocator keeps the gaps between them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
