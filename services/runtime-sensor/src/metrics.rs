//! The sensor's metrics.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use service::{Context, prometheus_client};

mod falco;

type Label = [(&'static str, &'static str); 1];
type FeatureLabel = [(&'static str, &'static str); 2];

/// Counters of the event path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) received: Counter,
    pub(crate) sent: Family<Label, Counter>,
    pub(crate) dropped: Family<Label, Counter>,
    pub(crate) bytes: Family<Label, Counter>,
    pub(crate) unwanted: Family<Label, Counter>,
    pub(crate) missed: Counter,
    pub(crate) foreign: Counter,
    pub(crate) rings: Counter,
    pub(crate) uring: Family<Label, Counter>,
    pub(crate) truncated: Counter,
    pub(crate) features: Family<FeatureLabel, Gauge>,
    pub(crate) undecodable: Counter,
    pub(crate) matched: Counter,
    pub(crate) limited: Counter,
    pub(crate) failed: Counter,
    pub(crate) containers_evicted: Counter,
    pub(crate) facts_late: Counter,
    pub(crate) processes: Gauge,
    pub(crate) evicted: Gauge,
    pub(crate) sockets_evicted: Gauge,
    /// The same under upstream's names.
    pub(crate) falco: falco::Falco,
}

impl Metrics {
    pub(crate) fn register(context: &Context) -> Self {
        let metrics = Self::default();
        context.metrics.register(|registry| {
            for (name, help, counter) in metrics.counters() {
                registry.register(name, help, counter.clone());
            }
            for (name, help, family) in [
                ("events_sent", "Events that the kernel put into the ring, by class", &metrics.sent),
                ("events_dropped", "Events that the ring could not take, by class", &metrics.dropped),
                (
                    "events_unwanted",
                    "Events that the kernel left out because no rule can match them, by class",
                    &metrics.unwanted,
                ),
                (
                    "io_uring_operations",
                    "What processes did through io_uring, which is not judged, by kind",
                    &metrics.uring,
                ),
                ("ring_bytes", "Bytes that the kernel put into the ring, by class", &metrics.bytes),
            ] {
                registry.register(format!("runtime_sensor_{name}"), help, family.clone());
            }
            for (name, help, gauge) in [
                ("processes", "Processes in the table", &metrics.processes),
                ("processes_evicted", "Processes dropped from the full table", &metrics.evicted),
                (
                    "sockets_evicted",
                    "Sockets forgotten for want of room: whom they talked to counts as new",
                    &metrics.sockets_evicted,
                ),
            ] {
                registry.register(format!("runtime_sensor_{name}"), help, gauge.clone());
            }
            metrics.falco.register(registry);
            let help = "1 for the state of each thing that the sensor needs of the machine";
            registry.register("runtime_sensor_feature", help, metrics.features.clone());
        });
        metrics
    }

    /// Name, help and counter.
    fn counters(&self) -> [(&'static str, &'static str, &Counter); 11] {
        [
            ("runtime_sensor_events_received", "Events taken from the ring", &self.received),
            (
                "runtime_sensor_events_missed",
                "Runs of a program that the kernel left out because it was at work already",
                &self.missed,
            ),
            ("runtime_sensor_foreign_calls", "System calls by the 32-bit tables, which are not judged", &self.foreign),
            (
                "runtime_sensor_io_uring_rings",
                "io_uring instances that processes made: what they do through them makes no system calls",
                &self.rings,
            ),
            ("runtime_sensor_events_truncated", "Events with a path or argument that was cut", &self.truncated),
            ("runtime_sensor_events_undecodable", "Events that could not be decoded", &self.undecodable),
            ("runtime_sensor_rules_matched", "Events that matched a rule", &self.matched),
            ("runtime_sensor_alerts_limited", "Alerts left out because their rule fires too often", &self.limited),
            (
                "runtime_sensor_containers_evicted",
                "Containers whose facts were forgotten for want of room",
                &self.containers_evicted,
            ),
            (
                "runtime_sensor_container_facts_late",
                "Containers whose first events were judged before the runtime told of them",
                &self.facts_late,
            ),
            ("runtime_sensor_events_failed", "Events that could not be published", &self.failed),
        ]
    }
}
