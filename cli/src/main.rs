//! The `biotope` command: the platform in the hands of a person.
//!
//! Exit codes: 0 done; 1 failed, or the answer is "no" (a policy test failed, a rule was set aside); 2 wrong usage; 3 a scan that is not
//! complete (`--exit-on-partial`). Findings have the code that `--exit-code` names.

mod args;
mod database;
mod demo;
mod docker;
mod doctor;
mod events;
mod incidents;
mod platform;
mod policy;
mod print;
mod rules;
mod scan;
mod secrets;
mod sensor;
mod up;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::Completion { shell } = cli.command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "biotope", &mut script);
        print::text(&String::from_utf8_lossy(&script));
        return ExitCode::SUCCESS;
    }
    service::install_crypto();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Command::Scan(scan) = &cli.command {
        return scan::scan(scan, &cli.output).await;
    }
    let format = cli.output.format()?;
    let output = format.plain();
    match cli.command {
        Command::Up(up) => up::up(&up).await,
        Command::Demo(demo) => demo::demo(&demo).await,
        Command::Db { command } => database::database(&command, output).await,
        Command::Incidents { command, connection } => incidents::incidents(&command, &connection, output).await,
        Command::Events { connection, seconds } => events::tail(&connection, seconds, output).await,
        Command::Policy { command } => policy::policy(&command, format).await,
        Command::Rules { command } => rules::rules(&command, output),
        Command::Secrets { command } => secrets::secrets(&command, output).await,
        Command::Sensor { command } => sensor::sensor(command, format).await,
        Command::Replay { rules, since, connection } => {
            incidents::replay(&rules, since.as_deref(), &connection, output).await
        }
        Command::Doctor { connection } => doctor::doctor(&connection, output).await,
        Command::Scan(_) | Command::Completion { .. } => Ok(ExitCode::SUCCESS),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    print::note(format_args!("biotope: {}", service::reason(error)));
    ExitCode::FAILURE
}
