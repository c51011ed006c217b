//! Load on the real correlator, with planted incidents whose ids are known beforehand; and on the real secret broker.
//!
//! ```text
//! loadtest latency    --rate 5000 --seconds 20    open loop: latency from the time at which an event was due
//! loadtest throughput --events 1000000            stored events, as a ratio to reading them and doing nothing
//! loadtest kernel     --rate 5000 --seconds 20    real system calls, a real sensor: latency from the call to the incident (root)
//! loadtest soak       --seconds 180               programs and opens without a pause: the sensor's memory, tables, descriptors (root)
//! loadtest secrets    --secrets 10000             a real OpenBao and API server: first sync, steady state, rotation to the Secret
//! ```
//!
//! It starts a nats-server and a correlator of its own, in a folder of its own, and ends them. A figure without recall 1 is void:
//! the program then exits with 1.
#![allow(clippy::print_stdout, reason = "what it prints is its purpose")]

mod kernel;
mod latency;
mod platform;
mod secrets;
mod soak;
mod story;
mod throughput;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(version, about)]
struct Command {
    /// The correlator's binary. Default: beside this program.
    #[arg(long, global = true)]
    correlator: Option<PathBuf>,
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, clap::Subcommand)]
enum Mode {
    /// Sends events on a schedule and measures from the due time to the incident.
    Latency(latency::Options),
    /// Stores events, then measures how fast they are correlated.
    Throughput(throughput::Options),
    /// Makes system calls in the cgroups of pods and measures from the call to the incident.
    Kernel(kernel::Options),
    /// Starts programs and opens files without a pause, and looks whether the sensor grows.
    Soak(soak::Options),
    /// Syncs many ExternalSecrets and rotates some of them.
    Secrets(secrets::Options),
    /// Makes that load: a process that `soak` starts.
    #[command(hide = true)]
    Churner(soak::Churner),
    /// Makes the system calls: a process that `kernel` starts.
    #[command(hide = true)]
    Actor(kernel::Actor),
}

fn main() -> anyhow::Result<ExitCode> {
    service::install_crypto();
    let command = Command::parse();
    if let Mode::Actor(actor) = &command.mode {
        kernel::act(actor)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Mode::Churner(churner) = &command.mode {
        soak::churn(churner)?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let is_right = runtime.block_on(async {
        let platform = platform::Platform::start(command.correlator.as_deref()).await?;
        match &command.mode {
            Mode::Latency(options) => latency::run(platform, options).await,
            Mode::Throughput(options) => throughput::run(platform, options).await,
            Mode::Kernel(options) => kernel::run(platform, options).await,
            Mode::Soak(options) => soak::run(platform, options).await,
            Mode::Secrets(options) => secrets::run(platform, options).await,
            Mode::Actor(_) | Mode::Churner(_) => Ok(true),
        }
    })?;
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

// As in the correlator, so that the ratio between the two says nothing about allocators.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
