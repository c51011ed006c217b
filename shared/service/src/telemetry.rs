//! Logs to stderr; traces by OTLP when configured.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
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
        tracing_subscriber::fmt::layer().with_target(false).with_writer(std::io::stderr).boxed()
    };
    let provider =
        config.otlp_endpoint.as_deref().map(|endpoint| provider(service, endpoint, config.sample_ratio)).transpose()?;
    let traces = provider.as_ref().map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer(service)));
    tracing_subscriber::registry().with(filter).with(logs).with(traces).try_init()?;
    Ok(Guard { provider })
}

fn provider(service: &'static str, endpoint: &str, sample_ratio: f64) -> anyhow::Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    Ok(SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(sample_ratio))))
        .with_resource(Resource::builder().with_service_name(service).build())
        .with_batch_exporter(exporter)
        .build())
}
