//! The broker's metrics.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use service::Context;
use service::prometheus_client;

/// Counters of calls and outcomes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    calls: Family<[(&'static str, &'static str); 2], Counter>,
    outcomes: Family<[(&'static str, &'static str); 1], Counter>,
    manifests: Family<[(&'static str, &'static str); 1], Gauge>,
    delivered: Counter,
    leading: Gauge,
    telling: Gauge,
}

impl Metrics {
    pub(crate) fn register(context: &Context) -> Self {
        let metrics = Self::default();
        context.metrics.register(|registry| {
            registry.register("secret_broker_store_calls", "Calls to stores", metrics.calls.clone());
            registry.register("secret_broker_syncs", "Outcomes of syncs", metrics.outcomes.clone());
            registry.register("secret_broker_external_secrets", "External secrets by state", metrics.manifests.clone());
            registry.register(
                "secret_broker_leading",
                "Whether this broker leads (1) or waits (0)",
                metrics.leading.clone(),
            );
            registry.register("secret_broker_stores_telling", "Vaults that tell of changes", metrics.telling.clone());
            registry.register("secret_broker_deliveries", "Secrets handed to pods", metrics.delivered.clone());
        });
        metrics
    }

    pub(crate) fn called(&self, call: &'static str, is_good: bool) {
        self.calls.get_or_create(&[("call", call), ("outcome", if is_good { "ok" } else { "error" })]).inc();
    }

    pub(crate) fn outcome(&self, outcome: &'static str) {
        self.outcomes.get_or_create(&[("outcome", outcome)]).inc();
    }

    pub(crate) fn delivered(&self) {
        self.delivered.inc();
    }

    pub(crate) fn leading(&self, is_leading: bool) {
        self.leading.set(i64::from(is_leading));
    }

    pub(crate) fn telling(&self, servers: usize) {
        self.telling.set(i64::try_from(servers).unwrap_or(i64::MAX));
    }

    /// `states` are those of the machine: written, failing, stale.
    pub(crate) fn states<'a>(&self, states: impl Iterator<Item = (&'a str, [bool; 3])>) {
        let mut counts = [0_i64; 3];
        for (_, flags) in states {
            for (count, flag) in counts.iter_mut().zip(flags) {
                *count += i64::from(flag);
            }
        }
        for (state, count) in ["written", "failing", "stale"].into_iter().zip(counts) {
            self.manifests.get_or_create(&[("state", state)]).set(count);
        }
    }
}
