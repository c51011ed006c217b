//! The sensor's metrics.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use service::{Context, prometheus_client};

type Label = [(&'static str, &'static str); 1];

/// Counters of the event path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) received: Family<Label, Counter>,
    pub(crate) dropped: Family<Label, Counter>,
    pub(crate) undecodable: Counter,
    pub(crate) matched: Counter,
    pub(crate) limited: Counter,
    pub(crate) failed: Counter,
    pub(crate) processes: Gauge,
    pub(crate) evicted: Gauge,
}

impl Metrics {
    pub(crate) fn register(context: &Context) -> Self {
        let metrics = Self::default();
        context.metrics.register(|registry| {
            registry.register(
                "runtime_sensor_events_received",
                "Events taken from the kernel, by kind",
                metrics.received.clone(),
            );
            registry.register(
                "runtime_sensor_events_dropped",
                "Events that the ring could not take, by kind",
                metrics.dropped.clone(),
            );
            registry.register(
                "runtime_sensor_events_undecodable",
                "Events that could not be decoded",
                metrics.undecodable.clone(),
            );
            registry.register("runtime_sensor_rules_matched", "Events that matched a rule", metrics.matched.clone());
            registry.register(
                "runtime_sensor_alerts_limited",
                "Alerts left out because their rule fires too often",
                metrics.limited.clone(),
            );
            registry.register(
                "runtime_sensor_events_failed",
                "Events that could not be published",
                metrics.failed.clone(),
            );
            registry.register("runtime_sensor_processes", "Processes in the table", metrics.processes.clone());
            registry.register(
                "runtime_sensor_processes_evicted",
                "Processes dropped from the full table",
                metrics.evicted.clone(),
            );
        });
        metrics
    }
}
