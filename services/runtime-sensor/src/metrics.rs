//! The sensor's metrics.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use service::{Context, prometheus_client};

type Label = [(&'static str, &'static str); 1];
type FeatureLabel = [(&'static str, &'static str); 2];

/// Counters of the event path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) received: Counter,
    pub(crate) sent: Family<Label, Counter>,
    pub(crate) dropped: Family<Label, Counter>,
    pub(crate) bytes: Family<Label, Counter>,
    pub(crate) missed: Counter,
    pub(crate) foreign: Counter,
    pub(crate) rings: Counter,
    pub(crate) truncated: Counter,
    pub(crate) features: Family<FeatureLabel, Gauge>,
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
            let mut put = |name: &str, help: &str, metric: Counter| registry.register(name, help, metric);
            put("runtime_sensor_events_received", "Events taken from the ring", metrics.received.clone());
            put(
                "runtime_sensor_events_missed",
                "Runs of a program that the kernel left out because it was at work already",
                metrics.missed.clone(),
            );
            put(
                "runtime_sensor_foreign_calls",
                "System calls by the 32-bit tables, which are not judged",
                metrics.foreign.clone(),
            );
            put(
                "runtime_sensor_io_uring_rings",
                "io_uring instances that processes made: what they do through them makes no system calls",
                metrics.rings.clone(),
            );
            put(
                "runtime_sensor_events_truncated",
                "Events with a path or argument that was cut",
                metrics.truncated.clone(),
            );
            let mut put =
                |name: &str, help: &str, metric: Family<Label, Counter>| registry.register(name, help, metric);
            put(
                "runtime_sensor_events_sent",
                "Events that the kernel put into the ring, by class",
                metrics.sent.clone(),
            );
            put(
                "runtime_sensor_events_dropped",
                "Events that the ring could not take, by class",
                metrics.dropped.clone(),
            );
            put(
                "runtime_sensor_ring_bytes",
                "Bytes that the kernel put into the ring, by class",
                metrics.bytes.clone(),
            );
            registry.register(
                "runtime_sensor_feature",
                "1 for the state of each thing that the sensor needs of the machine",
                metrics.features.clone(),
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
