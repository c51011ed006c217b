//! Logs to stderr; traces by OTLP when configured.

use std::io::IsTerminal as _;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::config::Telemetry;

/// Keeps the trace exporter until the end.
#[derive(Debug)]
pub(crate) struct Guard {
    provider: Option<SdkTracerProvider>,
}

impl Guard {
    /// Sends what is left.
    pub(crate) fn flush(self) {
        if let Some(Err(error)) = self.provider.map(|provider| provider.shutdown()) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Starts logging and, when an endpoint is given, tracing. Must run inside the runtime: the exporter needs it.
pub(crate) fn start(service: &'static str, config: &Telemetry) -> anyhow::Result<Guard> {
    let filter = EnvFilter::try_new(format!("{},rustls=error", config.log))?;
    let logs = if config.json {
        tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr).boxed()
    } else {
        tracing_subscriber::fmt::layer().with_target(false).with_ansi(colours()).with_writer(std::io::stderr).boxed()
    };
    let provider = endpoint(config).map(|endpoint| provider(service, &endpoint, config.sample_ratio)).transpose()?;
    let traces = provider.as_ref().map(|provider| {
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer(service));
        // Our own spans only: those of the exporter's transport would be exported by it for ever.
        let ours = filter_fn(move |metadata| is_ours(service, metadata.target()));
        layer.with_filter(ours.and(LevelFilter::DEBUG))
    });
    // What is logged and what is traced are two questions, so each layer has a filter of its own.
    tracing_subscriber::registry().with(logs.with_filter(filter)).with(traces).try_init()?;
    Ok(Guard { provider })
}

/// Logs to stderr for a command that is no service; `filter` is a level, or `target=level` items. A filter that cannot be read, or
/// logging that was started before, changes nothing.
pub fn log_to_stderr(filter: &str) {
    let Ok(filter) = EnvFilter::try_new(filter) else { return };
    let logs = tracing_subscriber::fmt::layer().with_target(false).with_ansi(colours()).with_writer(std::io::stderr);
    // Started before: then somebody logs already.
    let _ = tracing_subscriber::registry().with(logs.with_filter(filter)).try_init();
}

/// Colours are for a terminal, not for the log of a container, and for nobody who has set `NO_COLOR` (no-color.org).
fn colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "this is the crate where configuration enters")]
fn endpoint(config: &Telemetry) -> Option<String> {
    // The name that OpenTelemetry's own SDKs read (specification, OTLP exporter configuration).
    let endpoint = config.otlp_endpoint.clone().or_else(|| std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").ok());
    endpoint.filter(|endpoint| !endpoint.is_empty())
}

/// Whether a span comes from the service or the crates below it.
fn is_ours(service: &str, target: &str) -> bool {
    let root = target.split("::").next().unwrap_or_default();
    root == "bus" || root == "service" || root.chars().eq(service.chars().map(|c| if c == '-' { '_' } else { c }))
}

fn provider(service: &'static str, endpoint: &str, sample_ratio: f64) -> anyhow::Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    Ok(SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(sample_ratio))))
        .with_resource(Resource::builder().with_service_name(service).build())
        .with_batch_exporter(exporter)
        .build())
}
