//! The runtime sensor: what processes do, judged by rules, with pod and image in every alert.
//!
//! ```text
//! kernel --ring--> decode -> process table -> container -> rules (engine) -> run.rule.matched
//!                                                \-> run.container.started / exited
//! drop counters -> run.events.lost
//! recorded file --replay--> decode -> ... (the same path, without a kernel)
//! ```

mod addresses;
mod arguments;
mod config;
mod container;
mod cri;
mod decode;
mod enrich;
mod facts;
mod fields;
mod filter;
mod hash;
mod held;
mod host;
pub mod hostile;
mod interest;
mod kernel;
mod metrics;
mod names;
mod out;
mod outputs;
mod packages;
mod pipeline;
mod pods;
mod probe;
mod process;
mod record;
mod rules;
mod sockets;
mod source;
pub mod standalone;
mod streams;
mod syscalls;
mod wire;

use service::Context;

pub use config::{
    Alerts, Append, AppendField, AppendMatch, Config, ContainerEngines, Cri, Drops, FileOutput, HttpOutput, Level,
    NatsOutput, OutputsQueue, ProgramOutput, RuleMatching, SourceKind, StdoutOutput, SyslogOutput,
};
pub use decode::{DecodeError, Kind, RawEvent, decode};

/// Whether the sensor ever has a value for a field. Rules that ask for others are loaded, and told of.
#[must_use]
pub fn has_values_for(field: runtime_rules::FieldId) -> bool {
    fields::is_captured(field)
}

/// Whether events of a type ever come: the system calls of this machine, and what else the sensor tells.
#[must_use]
pub fn watches(event_type: &str) -> bool {
    syscalls::is_watched(event_type)
}

/// Loads rules files, and those of folders, as the sensor does; the faults also tell what the sensor has no values or no events for.
#[must_use]
pub fn load_rules(files: &[std::path::PathBuf]) -> runtime_rules::Loaded {
    rules::load(files, &runtime_rules::LoadOptions::default())
}

/// Starts the sensor: ready once the bus is reached, rules are loaded and events flow.
///
/// # Errors
/// When the kernel refuses the programs, the recording cannot be read, or no rule could be loaded.
pub async fn start(context: Context, config: Config) -> anyhow::Result<()> {
    let metrics = metrics::Metrics::register(&context);
    let rules = rules::Rules::watch(&context, &config)?;
    let source = source::Source::open(&config, &rules.now())?;
    let bus = context.connect_bus().await?;
    let publisher = context.publisher(&bus)?;
    let pods = pods::Pods::follow(&context, &bus);
    let surroundings = outputs::Surroundings {
        runtime: tokio::runtime::Handle::current(),
        bus: Some(bus.clone()),
        dropped: metrics.falco.queue_drops.clone(),
        // A service goes on without: alerts have other ways out.
        reader_gone: tokio_util::sync::CancellationToken::new(),
    };
    let out = out::Out::new(&config, Some(publisher), &surroundings, source.hostname())?;
    let containers = config.containers(&metrics, &surroundings.runtime, &context.shutdown);
    let mut pipeline = pipeline::Pipeline::new(rules, pods, metrics, config);
    pipeline.containers = containers;
    pipeline.packages = packages::Packages::follow(&context, &bus);
    let (ready, shutdown) = (context.readiness.part("events"), context.shutdown.clone());
    // A thread of its own: it polls the ring every few milliseconds and never waits for anything else.
    let (done, ended) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("events".to_owned()).spawn(move || {
        let result = pipeline.run(source, &out, &ready, &shutdown);
        drop(out);
        // The service may be gone.
        let _ = done.send(result);
    })?;
    context.spawn_vital("events", async move {
        ended.await.unwrap_or_else(|_| Err(anyhow::anyhow!("the event thread panicked")))
    });
    Ok(())
}
