//! Decides which secrets reach which workload, and in which version.

use std::process::ExitCode;

fn main() -> ExitCode {
    service::run(
        "secret-broker",
        "Syncs External Secrets manifests and tells which pod holds which version of which secret",
        secret_broker::start,
    )
}

// Ten thousand manifests are ten thousand small objects of many threads: mimalloc keeps them in half the memory of glibc's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
