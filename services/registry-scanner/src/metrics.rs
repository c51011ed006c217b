//! Metrics of the scanner.

use service::Metrics as Registry;
use service::prometheus_client::metrics::counter::Counter;
use service::prometheus_client::metrics::family::Family;
use service::prometheus_client::metrics::gauge::Gauge;
use service::prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// What is counted.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) received: Counter,
    pub(crate) scanned: Family<[(&'static str, &'static str); 1], Counter>,
    pub(crate) failed: Counter,
    pub(crate) layers: Family<[(&'static str, &'static str); 1], Counter>,
    pub(crate) changed: Counter,
    pub(crate) advisories_loaded: Gauge,
    pub(crate) databases: Family<[(&'static str, &'static str); 1], Counter>,
    pub(crate) waiting: Gauge,
    pub(crate) seconds: Histogram,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let metrics = Self {
            received: Counter::default(),
            scanned: Family::default(),
            failed: Counter::default(),
            layers: Family::default(),
            changed: Counter::default(),
            advisories_loaded: Gauge::default(),
            databases: Family::default(),
            waiting: Gauge::default(),
            seconds: Histogram::new(exponential_buckets(0.01, 2.0, 16)),
        };
        let one = metrics.clone();
        registry.register(|registry| {
            registry.register("registry_scanner_requests", "Scans that were asked for", one.received);
            registry.register("registry_scanner_scanned", "Images scanned, by whether all could be read", one.scanned);
            registry.register("registry_scanner_failed", "Scans that failed as a whole", one.failed);
            registry.register("registry_scanner_layers", "Layers, by whether their inventory was known", one.layers);
            registry.register(
                "registry_scanner_changed",
                "Images whose findings changed with the database",
                one.changed,
            );
            registry.register("registry_scanner_loads", "How often the advisories were loaded", one.advisories_loaded);
            registry.register("registry_scanner_databases", "Databases that were pulled, by outcome", one.databases);
            registry.register("registry_scanner_waiting", "Scans that wait for their turn", one.waiting);
            registry.register("registry_scanner_scan_seconds", "Time of a scan", one.seconds);
        });
        metrics
    }
}
