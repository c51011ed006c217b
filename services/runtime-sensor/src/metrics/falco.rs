//! Upstream's metrics, for dashboards and alerting rules that ask for them.

use std::collections::BTreeMap;

use model::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use runtime_rules::{LostEvents, Rule};
use service::prometheus_client;

use crate::decode::Class;

type Labels = Vec<(String, String)>;
type DropLabels = [(&'static str, &'static str); 2];

/// What upstream counts, as far as it exists here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Falco {
    matches: Family<Labels, Counter>,
    pub(crate) queue_drops: Counter,
    info: Family<Labels, Gauge>,
    kernel: Family<Labels, Gauge>,
    hostname: Family<Labels, Gauge>,
    engine: Family<Labels, Gauge>,
    events: Counter,
    drops: Counter,
    buffer_drops: Family<DropLabels, Counter>,
    start: Gauge,
    reload: Gauge,
    rules_files: Family<Labels, Gauge>,
}

impl Falco {
    pub(super) fn register(&self, registry: &mut Registry) {
        let mut put = |name: &str, help: &str, family: &Family<Labels, Gauge>| {
            registry.register(format!("falcosecurity_{name}"), help, family.clone());
        };
        put("falco_version_info", "Version of the sensor", &self.info);
        put("falco_kernel_release_info", "Release of the kernel", &self.kernel);
        put("evt_hostname_info", "Name of the machine", &self.hostname);
        put("scap_engine_name_info", "Where events come from", &self.engine);
        put("falco_sha256_rules_files_info", "SHA-256 of the rules files in force", &self.rules_files);
        for (name, help, counter) in [
            ("falco_outputs_queue_num_drops", "Alerts that an output's queue had no room for", &self.queue_drops),
            ("scap_n_evts", "Events that the kernel made, those that were dropped among them", &self.events),
            ("scap_n_drops", "Events that were dropped", &self.drops),
        ] {
            registry.register(format!("falcosecurity_{name}"), help, counter.clone());
        }
        let help = "Events that the ring could not take, by kind";
        registry.register("falcosecurity_scap_n_drops_buffer", help, self.buffer_drops.clone());
        registry.register("falcosecurity_falco_rules_matches", "Matches of each rule", self.matches.clone());
        let help = "When the sensor started, nanoseconds since 1970";
        registry.register("falcosecurity_falco_start_timestamp_nanoseconds", help, self.start.clone());
        let help = "When rules were loaded for the last time, nanoseconds since 1970";
        registry.register("falcosecurity_falco_reload_timestamp_nanoseconds", help, self.reload.clone());
    }

    /// The sensor starts on a machine.
    pub(crate) fn started(&self, hostname: &str) {
        let one = |family: &Family<Labels, Gauge>, label: &str, value: &str| {
            family.get_or_create(&vec![(label.to_owned(), value.to_owned())]).set(1);
        };
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        one(&self.info, "version", env!("CARGO_PKG_VERSION"));
        one(&self.kernel, "kernel_release", kernel.trim());
        one(&self.hostname, "hostname", hostname);
        one(&self.engine, "engine_name", "modern_bpf");
        self.start.set(service::now().as_nanos());
    }

    /// Rules were loaded from files with these hashes.
    pub(crate) fn reloaded(&self, time: Timestamp, hashes: &[(String, String)]) {
        self.reload.set(time.as_nanos());
        self.rules_files.clear();
        for (name, hash) in hashes {
            let labels = vec![("file_name".to_owned(), name.clone()), ("sha256".to_owned(), hash.clone())];
            self.rules_files.get_or_create(&labels).set(1);
        }
    }

    /// A rule matched, whether or not that becomes an alert.
    pub(crate) fn matched(&self, rule: &Rule) {
        let mut labels = vec![
            ("priority".to_owned(), (rule.priority as u32).to_string()),
            ("rule_name".to_owned(), rule.name.clone()),
            ("source".to_owned(), "syscall".to_owned()),
        ];
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name = |tag: &String| tag.replace(|c| !is_word(c), "_");
        labels.extend(rule.tags.iter().map(|tag| (format!("tag_{}", name(tag)), "true".to_owned())));
        labels.dedup_by(|one, other| one.0 == other.0);
        self.matches.get_or_create(&labels).inc();
    }

    /// The kernel's counters moved.
    pub(crate) fn counted(&self, kept: u64, lost: &BTreeMap<String, u64>, missed: u64) {
        let dropped = lost.values().sum::<u64>().saturating_add(missed);
        self.events.inc_by(kept.saturating_add(dropped));
        self.drops.inc_by(dropped);
        for class in Class::ALL {
            if let Some(count) = lost.get(class.as_str()) {
                self.buffer_drops.get_or_create(&[("dir", "exit"), ("drop", class.cause())]).inc_by(*count);
            }
        }
        for cause in LostEvents::CAUSES {
            self.buffer_drops.get_or_create(&[("dir", "exit"), ("drop", *cause)]).inc_by(0);
        }
    }
}
