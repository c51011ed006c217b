//! Metrics in Prometheus text form.

use std::sync::{Arc, Mutex, PoisonError};

use model::FaultKind;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use crate::faults::Faults;

/// The metrics of this process.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// A registry that already has the build information and the count of set-aside input.
    #[must_use]
    pub fn new(service: &'static str, faults: Faults) -> Self {
        let mut registry = Registry::default();
        let build = Family::<Vec<(&'static str, &'static str)>, Gauge>::default();
        build.get_or_create(&vec![("service", service), ("version", env!("CARGO_PKG_VERSION"))]).set(1);
        registry.register("biotope_build", "Version of the service that answers", build);
        registry.register_collector(Box::new(SetAside(faults)));
        Self { registry: Arc::new(Mutex::new(registry)) }
    }

    /// Registers metrics. Names are `<service>_<thing>_<unit>`; counters get `_total` by themselves.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Exports the counters of a publisher.
    pub fn register_publisher(&self, publisher: &bus::Publisher) {
        self.register(|registry| registry.register_collector(Box::new(Published(publisher.clone()))));
    }

    /// The text for `/metrics`.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a String never fails.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}

#[derive(Debug)]
struct SetAside(Faults);

impl Collector for SetAside {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Items of input in force now that were set aside or warned about";
        let mut metric = encoder.encode_descriptor(
            "biotope_input_faults",
            help,
            None,
            prometheus_client::metrics::MetricType::Gauge,
        )?;
        let kinds =
            [("invalid", FaultKind::Invalid), ("unsupported", FaultKind::Unsupported), ("warning", FaultKind::Warning)];
        for (name, kind) in kinds {
            let count = i64::try_from(self.0.count(kind)).unwrap_or(i64::MAX);
            ConstGauge::new(count).encode(metric.encode_family(&[("kind", name)])?)?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Published(bus::Publisher);

impl Collector for Published {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        use prometheus_client::metrics::MetricType::{Counter, Gauge};
        let losses = self.0.losses();
        let counters = [
            ("biotope_events_accepted", "Events handed to the publisher", losses.accepted()),
            ("biotope_events_published", "Events that the stream acknowledged", losses.acknowledged()),
            ("biotope_events_retried", "Attempts to publish that were not acknowledged", losses.retried()),
        ];
        for (name, help, value) in counters {
            ConstCounter::new(value).encode(encoder.encode_descriptor(name, help, None, Counter)?)?;
        }
        let waiting = i64::try_from(losses.waiting()).unwrap_or(i64::MAX);
        let descriptor =
            encoder.encode_descriptor("biotope_events_waiting", "Events that wait to be published", None, Gauge)?;
        ConstGauge::new(waiting).encode(descriptor)?;
        let help = "1 while events cannot be written to the spool and wait in memory";
        let broken = encoder.encode_descriptor("biotope_spool_broken", help, None, Gauge)?;
        ConstGauge::new(i64::from(losses.is_spool_broken())).encode(broken)?;
        let help = "Events lost for want of room, by class";
        let mut lost = encoder.encode_descriptor("biotope_events_lost", help, None, Counter)?;
        for (class, count) in ["low", "normal", "high"].iter().zip(losses.lost()) {
            ConstCounter::new(count).encode(lost.encode_family(&[("class", *class)])?)?;
        }
        Ok(())
    }
}
