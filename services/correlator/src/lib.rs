//! The correlator: joins the events of all phases into incidents.
//!
//! ```text
//! BIOTOPE_BUILD ---> scan facts --.
//! BIOTOPE_EVENTS --> read --> Machine --> outputs --.
//!                                \--> changes ------+--> one local transaction --> outbox --> BIOTOPE_INCIDENTS
//!                                cursors -----------'                        \--> view --> HTTP API, console
//! ```
//!
//! Nothing is acknowledged at the server: the cursor is part of the local transaction, so after a crash reading goes on exactly
//! behind what the state has seen. Incident ids and message ids are deterministic, so what is published twice is dropped by the stream.

#![warn(missing_docs)]

mod api;
mod config;
mod lease;
mod metrics;
mod outbox;
mod page;
mod pipeline;
mod reader;
mod replay;
mod rules;
mod store;
mod summary;
mod view;
mod wire;

pub use config::{Config, Http};
pub use pipeline::Pipeline;
pub use replay::{Replayed, replay};
pub use rules::load as load_rules;

use std::sync::Arc;

use anyhow::Context as _;
use service::Context;

/// Starts the service: returns once its tasks run.
///
/// # Errors
/// When the bus cannot be used or the API cannot listen.
pub async fn start(context: Context, config: Config) -> anyhow::Result<()> {
    // Said before anything can be asked, so that readiness is earned from the first moment on.
    for part in ["nats", "lease", "state"] {
        context.readiness.part(part).waiting("starting");
    }
    let (set, faults) = rules::load(config.rules.as_deref());
    let names: Vec<&str> = set.rules().map(|(_, rule)| rule).collect();
    tracing::info!(rules = names.join(","), set_aside = faults.len(), "incident rules are loaded");
    context.faults.replace("rules", faults);
    let set = Arc::new(set);
    let view = view::View::default();
    let bus = context.connect_bus().await?;
    api::serve(&context, &config.http, api::Served::new(view.clone(), bus.clone()))
        .await
        .context("cannot serve the API")?;
    let publisher = context.publisher(&bus)?;
    let task = pipeline::Task { context: context.clone(), config, rules: set, bus, publisher, view };
    context.spawn_vital("correlation", task.run());
    Ok(())
}
