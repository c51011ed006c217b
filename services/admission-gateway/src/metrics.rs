//! The gateway's metrics.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use service::Context;
use service::prometheus_client;

/// Counters of reviews.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) received: Counter,
    pub(crate) faults: Counter,
    decided: Family<DecisionLabel, Counter>,
    latency: Histogram,
    written: Family<DecisionLabel, Counter>,
    reported: Family<DecisionLabel, Counter>,
    scanned: Gauge<u64, AtomicU64>,
    scan_took: Gauge<f64, AtomicU64>,
}

type DecisionLabel = [(&'static str, &'static str); 1];

impl Metrics {
    pub(crate) fn register(context: &Context) -> Self {
        let metrics = Self {
            received: Counter::default(),
            faults: Counter::default(),
            decided: Family::default(),
            latency: Histogram::new(exponential_buckets(0.000_02, 2.0, 16)),
            written: Family::default(),
            reported: Family::default(),
            scanned: Gauge::default(),
            scan_took: Gauge::default(),
        };
        context.metrics.register(|registry| {
            registry.register("admission_gateway_reviews_received", "Reviews received", metrics.received.clone());
            registry.register("admission_gateway_reviews_decided", "Reviews decided", metrics.decided.clone());
            registry.register(
                "admission_gateway_reviews_failed",
                "Reviews that met a fault of the gateway",
                metrics.faults.clone(),
            );
            registry.register(
                "admission_gateway_objects",
                "Objects that policies make or change after a request, by what came of it",
                metrics.written.clone(),
            );
            registry.register(
                "admission_gateway_reports",
                "Reports on what is in the cluster, by what came of each look at an object",
                metrics.reported.clone(),
            );
            registry.register(
                "admission_gateway_scan_objects",
                "Objects that the last background scan judged",
                metrics.scanned.clone(),
            );
            registry.register(
                "admission_gateway_scan_seconds",
                "Time that the last background scan took",
                metrics.scan_took.clone(),
            );
            registry.register("admission_gateway_decision_seconds", "Time to decide", metrics.latency.clone());
        });
        metrics
    }

    /// Counts an object that a policy makes, changes or deletes: `written`, `unchanged`, `deleted`, `failed`, or a request that was `dropped`.
    pub(crate) fn written(&self, outcome: &'static str) {
        self.written.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Counts what came of a look at an object: its report was `written`, `unchanged`, `deleted`, is `foreign`, or that `failed`.
    pub(crate) fn reported(&self, outcome: &'static str) {
        self.reported.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Notes a background scan.
    pub(crate) fn scanned(&self, objects: u64, took: Duration) {
        self.scanned.set(objects);
        self.scan_took.set(took.as_secs_f64());
    }

    pub(crate) fn decided(&self, decision: &'static str, took: Duration) {
        self.decided.get_or_create(&[("decision", decision)]).inc();
        self.latency.observe(took.as_secs_f64());
    }
}
