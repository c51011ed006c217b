//! How long one event takes: one that no rule selects, one that a quiet pod's case takes in.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::sync::Arc;

use correlation::{Event, Limits, Machine, Phase, Rule, RuleSet};
use criterion::{Criterion, criterion_group, criterion_main};
use model::{Severity, Timestamp};
use serde_json::json;

const SHIPPED: &str = include_str!("../../../../services/correlator/rules/pod-compromise.yaml");

fn event(rules: &RuleSet, number: u32, priority: &str) -> Event {
    let pod = format!("{:08x}-0000-4000-8000-000000000000", number % 2_000);
    let whole = json!({ "data": { "alert": { "priority": priority, "rule": "r", "tags": ["shell"] } } });
    Event {
        id: format!("01900000-0000-7000-8000-{number:012x}").parse().unwrap(),
        position: u64::from(number),
        event_type: "run.rule.matched".to_owned(),
        phase: Phase::Run,
        time: Timestamp::from_millis(1_700_000_000_000 + i64::from(number)),
        node: None,
        identity: serde_json::from_value(json!({ "pod_uid": pod })).unwrap(),
        digests: Vec::new(),
        severity: Severity::Low,
        fields: rules.fields("run.rule.matched").read(&whole),
        summary: "a shell was spawned".to_owned(),
    }
}

fn correlate(c: &mut Criterion) {
    let (rules, _) = Rule::parse("shipped.yaml", SHIPPED);
    let rules = Arc::new(RuleSet::compile(rules).0);
    for (name, priority) in [("event_not_selected", "Debug"), ("event_selected_2k_pods", "Notice")] {
        let mut machine = Machine::new(Arc::clone(&rules), Limits::default());
        let mut number = 0;
        c.bench_function(name, |b| {
            b.iter_batched(
                || {
                    number += 1;
                    event(&rules, number, priority)
                },
                |event| machine.handle_event(black_box(&event), event.time),
                criterion::BatchSize::SmallInput,
            );
        });
    }
}

criterion_group!(benches, correlate);
criterion_main!(benches);
