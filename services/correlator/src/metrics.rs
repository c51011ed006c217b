//! Metrics of the correlator.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use correlation::Stats;
use service::Metrics;
use service::prometheus_client::metrics::counter::Counter;
use service::prometheus_client::metrics::gauge::Gauge;
use service::prometheus_client::metrics::histogram::Histogram;

/// Counters and gauges; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) received: Counter,
    pub(crate) parked: Counter,
    pub(crate) missing: Counter,
    opened: Gauge,
    resolved: Gauge,
    late: Gauge,
    too_late: Gauge,
    duplicates: Gauge,
    unjoined: Gauge,
    evicted: Gauge,
    cases: Gauge,
    lag: Gauge,
    watermark_delay: Gauge<f64, AtomicU64>,
    commit: Histogram,
}

impl Measured {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let buckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0];
        let measured = Self {
            received: Counter::default(),
            parked: Counter::default(),
            missing: Counter::default(),
            opened: Gauge::default(),
            resolved: Gauge::default(),
            late: Gauge::default(),
            too_late: Gauge::default(),
            duplicates: Gauge::default(),
            unjoined: Gauge::default(),
            evicted: Gauge::default(),
            cases: Gauge::default(),
            lag: Gauge::default(),
            watermark_delay: Gauge::default(),
            commit: Histogram::new(buckets),
        };
        let m = measured.clone();
        metrics.register(|registry| {
            registry.register("correlator_events_received", "Events read from the streams", m.received);
            registry.register("correlator_events_parked", "Messages put into the dead-letter stream", m.parked);
            registry.register(
                "correlator_events_missing",
                "Events that the stream had dropped before they were read",
                m.missing,
            );
            registry.register(
                "correlator_incidents_opened",
                "Incidents opened since the state was first made",
                m.opened,
            );
            registry.register(
                "correlator_incidents_resolved",
                "Incidents resolved since the state was first made",
                m.resolved,
            );
            registry.register(
                "correlator_events_late",
                "Events behind the watermark, within the allowed lateness",
                m.late,
            );
            registry.register("correlator_events_too_late", "Events later than the allowed lateness", m.too_late);
            registry.register("correlator_events_duplicate", "Events that came again", m.duplicates);
            registry.register(
                "correlator_events_unjoined",
                "Selected events without an identity to join by",
                m.unjoined,
            );
            registry.register(
                "correlator_state_evicted",
                "Cases, pods, images and waiting events forgotten for want of room",
                m.evicted,
            );
            registry.register("correlator_state_cases", "Cases in memory", m.cases);
            registry.register("correlator_lag_events", "Events of the stream that were not read yet", m.lag);
            registry.register(
                "correlator_watermark_delay_seconds",
                "How far the watermark is behind the clock",
                m.watermark_delay,
            );
            registry.register("correlator_commit_seconds", "Time of one local transaction", m.commit);
        });
        measured
    }

    pub(crate) fn show(&self, stats: &Stats, cases: usize, watermark_delay: Duration) {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.opened.set(number(stats.opened));
        self.resolved.set(number(stats.resolved));
        self.late.set(number(stats.late));
        self.too_late.set(number(stats.too_late));
        self.duplicates.set(number(stats.duplicates));
        self.unjoined.set(number(stats.unjoined));
        self.evicted
            .set(number(stats.evicted_cases + stats.evicted_pods + stats.evicted_images + stats.evicted_waiting));
        self.cases.set(i64::try_from(cases).unwrap_or(i64::MAX));
        self.watermark_delay.set(watermark_delay.as_secs_f64());
    }

    pub(crate) fn lag(&self, pending: u64) {
        self.lag.set(i64::try_from(pending).unwrap_or(i64::MAX));
    }

    pub(crate) fn committed(&self, took: Duration) {
        self.commit.observe(took.as_secs_f64());
    }
}
