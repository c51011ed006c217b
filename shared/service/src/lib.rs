//! What every binary has: arguments, configuration, telemetry, health, shutdown.
//!
//! ```text
//! run: crypto provider -> args -> config (exit 64) -> runtime -> telemetry -> admin server -> start(context, config)
//!      -> signal, or a vital task that ended -> readiness off -> drain -> flush the publisher -> close nats -> flush telemetry
//! ```
//!
//! Exit codes: 0 after a signal and a clean drain, 1 when something failed, 64 for a bad configuration, 130 when a second signal
//! cut the drain short.

#![warn(missing_docs)]

mod admin;
mod args;
mod config;
mod context;
mod faults;
mod metrics;
mod readiness;
mod reason;
mod responses;
mod run;
mod telemetry;

pub use args::Args;
pub use config::{Admin, ConfigFault, Configuration, LoadError, Settings, Telemetry, load, parse};
pub use context::Context;
pub use faults::Faults;
pub use metrics::Metrics;
pub use prometheus_client;
pub use readiness::{Readiness, ReadyHandle};
pub use reason::reason;
pub use responses::{Order, respond};
pub use run::{install_crypto, run, run_with};
pub use telemetry::log_to_stderr;

/// The time now, by the system clock. Engines never call this: they are handed the time.
#[must_use]
pub fn now() -> model::Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    model::Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// Writes `text` to `path` so that a reader sees all of it or nothing.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_atomically(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("tmp{}", std::process::id()));
    std::fs::write(&temporary, text)?;
    std::fs::rename(&temporary, path)
}
