//! Decides which events of the node's processes are alerts, and says so on the bus.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use runtime_sensor::standalone;

/// Judges system calls by Falco rules.
#[derive(Parser)]
#[command(name = "runtime-sensor", version)]
struct Command {
    #[command(flatten)]
    args: service::Args,
    #[command(subcommand)]
    mode: Option<Mode>,
}

#[derive(Subcommand)]
enum Mode {
    /// Prints alerts as JSON lines to standard output, without the platform.
    Run(standalone::Run),
    /// Writes kernel events to a file, for `replay`.
    Record(standalone::Record),
}

fn main() -> ExitCode {
    let command = Command::parse();
    match command.mode {
        Some(Mode::Run(run)) => standalone::run(&run),
        Some(Mode::Record(record)) => standalone::record(&record),
        None => service::run_with("runtime-sensor", &command.args, runtime_sensor::start),
    }
}
