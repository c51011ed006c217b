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
    /// Prints alerts to standard output, without the platform.
    Run {
        #[command(flatten)]
        run: standalone::Run,
        /// How alerts are printed.
        #[arg(long, short, value_enum, default_value_t = Format::Json)]
        output: Format,
    },
    /// Writes kernel events to a file, for `replay`.
    Record(standalone::Record),
}

/// How alerts are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One object a line.
    Json,
    /// One line of text.
    Text,
}

fn main() -> ExitCode {
    let command = Command::parse();
    match command.mode {
        Some(Mode::Run { run, output }) => standalone::run(&run, output == Format::Json),
        Some(Mode::Record(record)) => standalone::record(&record),
        None => service::run_with("runtime-sensor", &command.args, runtime_sensor::start),
    }
}
