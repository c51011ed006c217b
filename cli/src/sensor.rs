//! `biotope sensor`: the runtime sensor without the platform.

use std::process::ExitCode;

use runtime_sensor::standalone;

use crate::args::{Format, Sensor};

/// Runs, records or replays. The sensor has threads of its own, so it may not stand in the way of others.
pub(crate) async fn sensor(command: Sensor, format: Format) -> anyhow::Result<ExitCode> {
    let is_json = format == Format::Json;
    let done = tokio::task::spawn_blocking(move || match command {
        Sensor::Run(run) => standalone::run(&run, is_json),
        Sensor::Record(record) => standalone::record(&record),
        Sensor::Replay { recording, mut run } => {
            run.replay = Some(recording);
            standalone::run(&run, is_json)
        }
    });
    Ok(done.await?)
}
