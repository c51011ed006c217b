//! Stories that a user would tell, under the shipped rules and small ones of our own.

use correlation::{Output, Phase, Status};
use model::Severity;

use crate::play::{SHIPPED, Step, alert, created, delivered, excepted, play, rules, scan, story};

#[test]
fn one_attack_is_one_incident_over_four_phases() {
    let stage = play(&rules(SHIPPED), &story(1, 0), 60_000);
    let opened: Vec<_> = stage.outputs.iter().filter(|output| matches!(output, Output::Opened(_))).collect();
    assert_eq!(opened.len(), 1, "{:#?}", stage.outputs);
    let incident = &stage.last()[0];
    assert_eq!(incident.rule, "exploited-exception");
    assert_eq!(incident.severity, Severity::Critical);
    assert_eq!(incident.phases, Phase::ALL);
    assert_eq!(incident.timeline.len(), 7);
    assert!(incident.score > 90.0, "{:?}", incident.factors);
    assert_eq!(incident.identity.secrets[0].path, "db");
    assert_eq!(incident.identity.pod_name.as_deref(), Some("web-1"));
    assert_eq!(incident.identity.admission_id.as_ref().unwrap().as_str(), "adm-1");
    assert_eq!(incident.responses, ["block-digest", "quarantine", "rotate"]);
    assert_eq!(stage.machine.stats().opened, 1);
}

#[test]
fn opens_at_the_first_alert_that_completes_it() {
    let stage = play(&rules(SHIPPED), &story(1, 0)[..5], 1_000);
    assert!(
        matches!(&stage.outputs[0], Output::Opened(incident) if incident.timeline.len() == 5),
        "{:#?}",
        stage.outputs
    );
}

#[test]
fn each_missing_phase_keeps_it_closed() {
    let whole = story(1, 0);
    for (missing, name) in [(0, "scan"), (1, "exception"), (3, "secret")] {
        let mut steps = whole[..6].to_vec();
        steps.remove(missing);
        assert!(play(&rules(SHIPPED), &steps, 60_000).outputs.is_empty(), "without {name}");
    }
    let mut steps = whole[..6].to_vec();
    steps[0] = Step::Scan(scan(1, -86_400_000, Severity::Medium));
    assert!(play(&rules(SHIPPED), &steps, 60_000).outputs.is_empty(), "with a medium finding");
}

#[test]
fn a_burst_that_comes_first_becomes_the_same_incident() {
    let mut steps: Vec<Step> =
        (0..12).map(|n| Step::Event(alert(200 + n, 2_500 + i64::from(n) * 10, 1, "Notice", "noise"))).collect();
    steps.extend(story(1, 0));
    let stage = play(&rules(SHIPPED), &steps, 60_000);
    let last = stage.last();
    assert_eq!(last.len(), 1);
    assert_eq!(last[0].rule, "exploited-exception");
    assert!(matches!(&stage.outputs[0], Output::Opened(incident) if incident.rule == "runtime-alert-burst"));
    assert!(last[0].factors.iter().any(|factor| factor.name.contains("runtime-alert-burst")));
}

#[test]
fn pods_do_not_share_incidents() {
    let mut steps = story(1, 0);
    steps.extend(story(2, 50));
    assert_eq!(play(&rules(SHIPPED), &steps, 60_000).last().len(), 2);
}

#[test]
fn quiet_resolves_and_the_next_window_has_another_id() {
    let mut steps = story(1, 0);
    steps.push(Step::Event(alert(190, 3_600_000, 1, "Notice", "again")));
    let stage = play(&rules(SHIPPED), &steps, 7_200_000);
    let last = stage.last();
    assert_eq!(last.len(), 2, "{:#?}", stage.outputs);
    assert!(last.iter().all(|incident| incident.status == Status::Resolved));
    let second =
        last.iter().find(|incident| incident.timeline.iter().any(|piece| piece.summary.contains("190"))).unwrap();
    assert_eq!(second.timeline.len(), 5, "scan, deploy and start are context of the second window too: {second:#?}");
    assert_eq!(stage.machine.stats().resolved, 2);
}

#[test]
fn evidence_from_a_resolved_incident_s_own_time_is_added_to_it() {
    let mut steps = story(1, 0);
    steps.push(Step::Still(3_600_000));
    steps.push(Step::Event(alert(191, 2_150, 1, "Notice", "late")));
    let stage = play(&rules(SHIPPED), &steps, 60_000);
    let last = stage.last();
    assert_eq!((last.len(), last[0].timeline.len(), last[0].status), (1, 8, Status::Resolved));
}

#[test]
fn facts_that_come_last_complete_a_story() {
    let mut steps = story(1, 0);
    let facts = steps.remove(0);
    steps.truncate(5);
    steps.push(facts);
    let stage = play(&rules(SHIPPED), &steps, 60_000);
    assert_eq!(stage.last()[0].phases, Phase::ALL);
}

#[test]
fn a_review_waits_for_its_pod() {
    let steps = [
        Step::Scan(scan(1, 0, Severity::High)),
        Step::Event(delivered(3, 300, 1)),
        Step::Event(alert(4, 2_000, 1, "Notice", "shell")),
        Step::Event(excepted(1, 0, 1)),
        Step::Event(created(2, 100, 1)),
    ];
    let stage = play(&rules(SHIPPED), &steps, 60_000);
    assert_eq!(stage.last()[0].timeline.len(), 5);
}

#[test]
fn absence_is_known_behind_the_watermark() {
    let text = "
apiVersion: biotope.dev/v1
kind: IncidentRule
metadata: { name: never-admitted }
spec:
  level: high
  selections:
    created: { type: deploy.pod.created }
    alert: { type: run.rule.matched }
  phases:
    - { phase: deploy, select: created, presence: absent }
    - { phase: run, select: alert }
";
    let lone = [Step::Event(alert(1, 0, 1, "Notice", "shell"))];
    assert_eq!(play(&rules(text), &lone, 60_000).last().len(), 1);
    let after = [Step::Event(alert(2, 100, 1, "Notice", "shell")), Step::Event(created(1, 50, 1))];
    assert!(play(&rules(text), &after, 60_000).outputs.is_empty());
}

#[test]
fn counts_values_and_orders_as_sigma_says() {
    let rule = |correlation: &str| {
        format!(
            "apiVersion: biotope.dev/v1\nkind: IncidentRule\nmetadata: {{ name: c }}\nspec:\n  selections:\n    a: {{ type: run.rule.matched, alert.rule: a }}\n    b: {{ type: run.rule.matched, alert.rule: b }}\n    any: {{ type: run.rule.matched }}\n  correlation: {correlation}\n"
        )
    };
    let opens = |correlation: &str, events: &[(i64, &str)]| {
        let steps: Vec<Step> = events
            .iter()
            .enumerate()
            .map(|(n, (ms, name))| Step::Event(alert(n as u32, *ms, 1, "Notice", name)))
            .collect();
        !play(&rules(&rule(correlation)), &steps, 60_000).outputs.is_empty()
    };
    let count = "{ type: event_count, rules: [any], timespan: 10s, condition: { gte: 3 } }";
    assert!(opens(count, &[(0, "a"), (4_000, "a"), (10_000, "b")]));
    assert!(!opens(count, &[(0, "a"), (4_000, "a"), (10_001, "b")]));
    let more = "{ type: event_count, rules: [any], timespan: 10s, condition: { gt: 3 } }";
    assert!(!opens(more, &[(0, "a"), (1, "a"), (2, "b")]));
    let values = "{ type: value_count, rules: [any], timespan: 10s, condition: { gte: 2, field: alert.rule } }";
    assert!(opens(values, &[(0, "a"), (1, "a"), (2, "b")]));
    assert!(!opens(values, &[(0, "a"), (1, "a"), (2, "a")]));
    let temporal = "{ type: temporal, rules: [a, b], timespan: 10s }";
    assert!(opens(temporal, &[(0, "b"), (1, "a")]));
    assert!(!opens(temporal, &[(0, "b"), (20_000, "a")]));
    let ordered = "{ type: temporal_ordered, rules: [a, b], timespan: 10s }";
    assert!(opens(ordered, &[(0, "a"), (1, "b")]));
    assert!(!opens(ordered, &[(0, "b"), (1, "a")]));
    assert!(opens(ordered, &[(5, "b"), (1, "a")]), "order is by event time, not by arrival");
    let grouped = "{ type: event_count, rules: [any], group-by: [alert.rule], timespan: 10s, condition: { gte: 2 } }";
    assert!(opens(grouped, &[(0, "a"), (1, "a")]));
    assert!(!opens(grouped, &[(0, "a"), (1, "b")]));
    let aliased = "{ type: event_count, rules: [a, b], group-by: [who], aliases: { who: { a: alert.priority, b: alert.priority } }, timespan: 10s, condition: { gte: 2 } }";
    assert!(opens(aliased, &[(0, "a"), (1, "b")]));
}

#[test]
fn joins_by_workload_through_the_pod() {
    let text = "
apiVersion: biotope.dev/v1
kind: IncidentRule
metadata: { name: spread }
spec:
  join: workload
  selections: { alert: { type: run.rule.matched } }
  correlation: { type: event_count, rules: [alert], timespan: 1m, condition: { gte: 2 } }
";
    let steps = [
        Step::Event(alert(3, 200, 1, "Notice", "shell")),
        Step::Event(created(1, 0, 1)),
        Step::Event(created(2, 100, 2)),
        Step::Event(alert(4, 300, 2, "Notice", "shell")),
    ];
    assert_eq!(play(&rules(text), &steps, 60_000).last().len(), 1);
}

#[test]
fn resolve_when_ends_an_incident_behind_the_watermark() {
    let text = SHIPPED.replace("    alert: { type: run.rule.matched, alert.priority|gte: notice }\n  phases", "    alert: { type: run.rule.matched, alert.priority|gte: notice }\n    gone: { type: run.container.exited }\n  phases").replace("lifecycle: { quiet: 30m }\n  respond: [quarantine", "lifecycle: { quiet: 30m, resolve-when: gone }\n  respond: [quarantine");
    let mut steps = story(1, 0);
    let mut exit = alert(99, 4_000, 1, "Notice", "");
    exit.event_type = "run.container.exited";
    steps.push(Step::Event(exit));
    let stage = play(&rules(&text), &steps, 30_000);
    assert!(matches!(stage.outputs.last(), Some(Output::Resolved(_))), "{:#?}", stage.outputs.last());
}

#[test]
fn a_clock_from_the_future_does_not_make_the_rest_late() {
    let mut steps = story(1, 0);
    let mut stage_steps = vec![Step::Event(alert(98, 3_600_000, 9, "Notice", "wrong clock"))];
    stage_steps.append(&mut steps);
    let mut stage = crate::play::Stage::new(rules(SHIPPED));
    stage_steps.iter().for_each(|step| stage.step(step, 0));
    assert_eq!(stage.machine.stats().ahead, 1);
    assert_eq!(stage.last().len(), 1);
}
