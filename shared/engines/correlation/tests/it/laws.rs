//! Laws: arrival order, repetition and restarts do not show.

use std::sync::Arc;

use correlation::RuleSet;
use proptest::prelude::*;

use crate::play::{SHIPPED, Step, alert, created, delivered, excepted, play, rules, scan};

/// Rules under which much can happen: the shipped ones, an ordered one, a counting one by workload and one that asks for absence.
fn many_rules() -> Arc<RuleSet> {
    rules(&format!(
        "{SHIPPED}
---
apiVersion: biotope.dev/v1
kind: IncidentRule
metadata: {{ name: ordered }}
spec:
  level: low
  selections: {{ a: {{ type: run.rule.matched, alert.rule: a }}, b: {{ type: run.rule.matched, alert.rule: b }}, gone: {{ type: start.secret.delivered }} }}
  correlation: {{ type: temporal_ordered, rules: [a, b], timespan: 1s }}
  lifecycle: {{ quiet: 3s, resolve-when: gone }}
---
apiVersion: biotope.dev/v1
kind: IncidentRule
metadata: {{ name: distinct }}
spec:
  join: workload
  selections: {{ any: {{ type: run.rule.matched }} }}
  correlation: {{ type: value_count, rules: [any], timespan: 2s, condition: {{ gte: 2, field: alert.rule }} }}
  lifecycle: {{ quiet: 4s }}
---
apiVersion: biotope.dev/v1
kind: IncidentRule
metadata: {{ name: unsecret }}
spec:
  selections: {{ s: {{ type: start.secret.delivered }}, any: {{ type: run.rule.matched, alert.rule: a }} }}
  phases: [ {{ phase: start, select: s, presence: absent, within: 2s }}, {{ phase: run, select: any }} ]
  lifecycle: {{ quiet: 2s }}
"
    ))
}

/// Random lives of three pods over half a minute.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = (0_u32..6, 0_i64..30_000, 1_u32..4, 0_usize..3);
    proptest::collection::vec(one, 5..80).prop_map(|all| {
        let mut steps: Vec<Step> = (1..4).map(|n| Step::Event(created(n, 0, n))).collect();
        steps.push(Step::Scan(scan(1, -1_000, model::Severity::High)));
        steps.push(Step::Scan(scan(2, -1_000, model::Severity::Low)));
        for (number, (kind, ms, n, which)) in all.into_iter().enumerate() {
            let id = 1_000 + u32::try_from(number).unwrap();
            let priority = ["Debug", "Notice", "Critical"][which];
            steps.push(Step::Event(match kind {
                0 => excepted(id, ms, n),
                1 => delivered(id, ms, n),
                _ => alert(id, ms, n, priority, ["a", "b", "c"][(id as usize + which) % 3]),
            }));
        }
        sort(&mut steps);
        steps
    })
}

fn time_of(step: &Step) -> i64 {
    match step {
        Step::Event(told) => told.ms,
        Step::Still(ms) => *ms,
        Step::Scan(_) | Step::Restart => i64::MIN,
    }
}

fn sort(steps: &mut [Step]) {
    steps.sort_by_key(time_of);
}

/// Delays each event by up to just under the watermark.
fn shuffle(steps: &[Step], delays: &[i64]) -> Vec<Step> {
    let mut delayed: Vec<(i64, Step)> = steps
        .iter()
        .zip(delays.iter().cycle())
        .map(|(step, delay)| (time_of(step).saturating_add(*delay), step.clone()))
        .collect();
    delayed.sort_by_key(|(arrival, _)| *arrival);
    delayed.into_iter().map(|(_, step)| step).collect()
}

/// Compares what is left at the end, and says shortly where it differs.
fn same(a: &crate::play::Stage, b: &crate::play::Stage) -> Result<(), TestCaseError> {
    let (a, b) = (a.last(), b.last());
    if a == b {
        return Ok(());
    }
    let short = |all: &[correlation::Incident]| {
        let one = |i: &correlation::Incident| {
            let events: Vec<String> =
                i.timeline.iter().map(|e| format!("{}@{}", e.summary, e.time.as_millis() % 100_000)).collect();
            format!(
                "{} {} {:?} {} {} {:?} {:?} {:?}",
                &i.id.as_str()[..6],
                i.rule,
                i.status,
                i.evidence_omitted,
                i.score,
                events,
                i.factors,
                i.identity
            )
        };
        all.iter().map(one).collect::<Vec<_>>()
    };
    let (a, b) = (short(&a), short(&b));
    let only = |x: &[String], y: &[String]| {
        x.iter().filter(|line| !y.contains(line)).cloned().collect::<Vec<_>>().join("\n  ")
    };
    Err(TestCaseError::fail(format!("\nonly straight:\n  {}\nonly changed:\n  {}", only(&a, &b), only(&b, &a))))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_shuffle_within_the_watermark_does_not_show(steps in steps(), delays in proptest::collection::vec(0_i64..4_990, 1..40)) {
        let rules = many_rules();
        let straight = play(&rules, &steps, 600_000);
        let shuffled = play(&rules, &shuffle(&steps, &delays), 600_000);
        same(&straight, &shuffled)?;
    }

    #[test]
    fn duplicates_do_not_show(steps in steps(), again in proptest::collection::vec((0_usize..80, 0_usize..80), 1..30)) {
        let rules = many_rules();
        let straight = play(&rules, &steps, 600_000);
        let mut doubled = steps.clone();
        for (from, to) in again {
            let step = steps[from % steps.len()].clone();
            let earliest = doubled.iter().position(|other| time_of(other) >= time_of(&step)).unwrap_or(0);
            let at = earliest.max(to % (doubled.len() + 1)).min(doubled.len());
            doubled.insert(at, step);
        }
        let doubled = play(&rules, &doubled, 600_000);
        same(&straight, &doubled)?;
    }

    #[test]
    fn a_restart_does_not_show(steps in steps(), at in proptest::collection::vec(0_usize..80, 1..10)) {
        let rules = many_rules();
        let straight = play(&rules, &steps, 600_000);
        let mut broken = steps.clone();
        at.iter().for_each(|at| broken.insert(at % (broken.len() + 1), Step::Restart));
        let broken = play(&rules, &broken, 600_000);
        same(&straight, &broken)?;
        prop_assert_eq!(straight.machine.stats(), broken.machine.stats());
        let mut outputs = (straight.outputs, broken.outputs);
        let key = |output: &correlation::Output| (output.incident().id.clone(), output.incident().revision);
        outputs.0.sort_by_key(key);
        outputs.1.sort_by_key(key);
        prop_assert_eq!(outputs.0, outputs.1);
    }

    #[test]
    fn no_rule_text_panics(text in "[ -~\n]{0,300}") {
        let _ = correlation::Rule::parse("x.yaml", &format!("kind: IncidentRule\n{text}"));
    }
}
