//! Plays events into a machine.

use std::sync::Arc;

use correlation::{Event, Incident, Limits, Machine, Output, Phase, Record, Rule, RuleSet, ScanFacts, ScannedFinding};
use model::{Severity, Timestamp};
use serde_json::{Value, json};

pub(crate) const SHIPPED: &str = include_str!("../../../../../services/correlator/rules/pod-compromise.yaml");

pub(crate) fn rules(text: &str) -> Arc<RuleSet> {
    let (rules, faults) = Rule::parse("rules.yaml", text);
    assert!(faults.is_empty(), "{faults:?}");
    let (set, faults) = RuleSet::compile(rules);
    assert!(faults.is_empty(), "{faults:?}");
    Arc::new(set)
}

/// Milliseconds after the start of the play.
pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + ms)
}

pub(crate) fn pod(n: u32) -> String {
    format!("{n:08x}-0000-4000-8000-000000000000")
}

pub(crate) fn digest(n: u32) -> String {
    format!("sha256:{n:064x}")
}

/// An event as it would be on the wire, as JSON: number, time, type, identity, data.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) id: u32,
    pub(crate) ms: i64,
    pub(crate) event_type: &'static str,
    pub(crate) identity: Value,
    pub(crate) data: Value,
}

impl Told {
    pub(crate) fn event(&self, rules: &RuleSet) -> Event {
        let whole = json!({ "type": self.event_type, "identity": self.identity, "data": self.data, "node": "node-1" });
        let priority = self.data.pointer("/alert/priority").and_then(Value::as_str).unwrap_or_default();
        Event {
            id: format!("01900000-0000-7000-8000-{:012x}", self.id).parse().unwrap(),
            position: 0,
            event_type: self.event_type.to_owned(),
            phase: Phase::of_type(self.event_type).unwrap(),
            time: at(self.ms),
            node: Some("node-1".parse().unwrap()),
            identity: serde_json::from_value(self.identity.clone()).unwrap(),
            digests: Vec::new(),
            severity: if priority.eq_ignore_ascii_case("critical") { Severity::Critical } else { Severity::Low },
            fields: rules.fields(self.event_type).read(&whole),
            summary: format!("event {}", self.id),
        }
    }
}

pub(crate) fn excepted(id: u32, ms: i64, n: u32) -> Told {
    let identity = json!({ "admission_id": format!("adm-{n}"), "namespace": "default" });
    let results = json!([{ "policy": "p", "rule": "r", "verdict": "skip", "exception": "default/let-it-in" }]);
    Told {
        id,
        ms,
        event_type: "deploy.admission.reviewed",
        identity,
        data: json!({ "decision": "allow", "results": results }),
    }
}

pub(crate) fn created(id: u32, ms: i64, n: u32) -> Told {
    let identity = json!({
        "admission_id": format!("adm-{n}"), "pod_uid": pod(n), "pod_name": format!("web-{n}"), "namespace": "default",
        "image_digest": digest(n), "workload": { "kind": "Deployment", "namespace": "default", "name": "web" },
    });
    Told { id, ms, event_type: "deploy.pod.created", identity, data: json!({}) }
}

pub(crate) fn delivered(id: u32, ms: i64, n: u32) -> Told {
    let secrets = json!([{ "store": "SecretStore default/vault", "path": "db", "version": "3" }]);
    let identity = json!({ "pod_uid": pod(n), "namespace": "default", "secrets": secrets });
    Told {
        id,
        ms,
        event_type: "start.secret.delivered",
        identity,
        data: json!({ "namespace": "default", "target": "db" }),
    }
}

pub(crate) fn alert(id: u32, ms: i64, n: u32, priority: &str, rule: &str) -> Told {
    let identity = json!({ "pod_uid": pod(n), "container_id": format!("c{n}"), "image_digest": digest(n) });
    let data = json!({ "alert": { "priority": priority, "rule": rule, "output": "", "tags": ["shell"], "output_fields": { "proc.name": rule } } });
    Told { id, ms, event_type: "run.rule.matched", identity, data }
}

pub(crate) fn scan(n: u32, ms: i64, severity: Severity) -> ScanFacts {
    ScanFacts {
        digest: digest(n).parse().unwrap(),
        index_digest: None,
        event: format!("01900000-0000-7000-8000-{:012x}", 0xffff_0000_u32 + n).parse().unwrap(),
        time: at(ms),
        event_type: "build.image.scanned".to_owned(),
        reference: format!("registry.example/web:{n}"),
        packages: 3,
        partial: false,
        total: 1,
        findings: vec![ScannedFinding {
            advisories: vec!["CVE-2021-33503".to_owned()],
            package: "urllib3".to_owned(),
            severity,
            fixable: true,
        }],
        summary: format!("scan of web:{n}"),
    }
}

/// A step of a play.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Event(Told),
    Scan(ScanFacts),
    /// The stream is still and this is the time.
    Still(i64),
    /// Save everything, make a new machine, restore.
    Restart,
}

/// A machine with its saved state beside it.
pub(crate) struct Stage {
    pub(crate) rules: Arc<RuleSet>,
    pub(crate) machine: Machine,
    pub(crate) saved: std::collections::BTreeMap<String, Record>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) limits: Limits,
}

impl Stage {
    pub(crate) fn new(rules: Arc<RuleSet>) -> Self {
        let limits = Limits::default();
        Self {
            machine: Machine::new(Arc::clone(&rules), limits),
            rules,
            saved: Default::default(),
            outputs: Vec::new(),
            limits,
        }
    }

    pub(crate) fn step(&mut self, step: &Step, now: i64) {
        match step {
            Step::Event(told) => self.machine.handle_event(&told.event(&self.rules), at(now)),
            Step::Scan(facts) => self.machine.handle_scan(facts.clone(), at(now)),
            Step::Still(ms) => self.machine.handle_timeout(at(*ms)),
            Step::Restart => self.restart(),
        }
        while let Some(output) = self.machine.poll_output() {
            self.outputs.push(output);
        }
    }

    fn restart(&mut self) {
        for change in self.machine.take_changes() {
            match change.record {
                Some(record) => drop(self.saved.insert(change.key, record)),
                None => drop(self.saved.remove(&change.key)),
            }
        }
        let text = serde_json::to_string(&self.saved).unwrap();
        let pieces: std::collections::BTreeMap<String, Record> = serde_json::from_str(&text).unwrap();
        self.machine = Machine::new(Arc::clone(&self.rules), self.limits);
        let restored = self.machine.restore(pieces);
        assert!(restored.orphaned.is_empty(), "{restored:?}");
    }

    /// The last state of each incident, by id, without what depends on when it was published.
    pub(crate) fn last(&self) -> Vec<Incident> {
        let mut last = std::collections::BTreeMap::new();
        for output in &self.outputs {
            let mut incident = output.incident().clone();
            incident.revision = 0;
            last.insert(incident.id.clone(), incident);
        }
        last.into_values().collect()
    }
}

/// Plays all steps, each at the newest event time so far, then lets the stream be still for `still_ms` more.
pub(crate) fn play(rules: &Arc<RuleSet>, steps: &[Step], still_ms: i64) -> Stage {
    let mut stage = Stage::new(Arc::clone(rules));
    let mut now = 0;
    for step in steps {
        now = match step {
            Step::Event(told) => now.max(told.ms),
            Step::Still(ms) => now.max(*ms),
            Step::Scan(_) | Step::Restart => now,
        };
        stage.step(step, now);
    }
    for ms in [6_000, 12_000, 20_000, still_ms] {
        stage.step(&Step::Still(now + ms), now + ms);
    }
    stage
}

/// The whole story of pod `n`: scan, exception, creation, secret, three alerts.
pub(crate) fn story(n: u32, ms: i64) -> Vec<Step> {
    let id = n * 100;
    vec![
        Step::Scan(scan(n, ms - 86_400_000, Severity::Critical)),
        Step::Event(excepted(id + 1, ms, n)),
        Step::Event(created(id + 2, ms + 100, n)),
        Step::Event(delivered(id + 3, ms + 300, n)),
        Step::Event(alert(id + 4, ms + 2_000, n, "Notice", "Terminal shell in container")),
        Step::Event(alert(id + 5, ms + 2_100, n, "Warning", "Read sensitive file")),
        Step::Event(alert(id + 6, ms + 2_200, n, "Critical", "Outbound connection")),
    ]
}
