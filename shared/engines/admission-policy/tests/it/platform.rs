//! Policies over the platform's own facts: the two that the documentation shows.

use admission_policy::{PolicySet, Request, Snapshot};
use model::Timestamp;
use serde_json::json;

const POLICIES: &str = r#"
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: stale-critical-findings}
spec:
  validationFailureAction: Enforce
  rules:
  - name: fixable-for-a-week
    match: {any: [{resources: {kinds: [Pod]}}]}
    validate:
      message: "{{ element.image }} has critical findings that could have been fixed for a week"
      foreach:
      - list: request.object.spec.containers
        deny:
          conditions:
            all:
            - key: "{{ biotope.images.\"{{ element.image }}\".findings[?severity == 'critical' && fixed_version && time_after('{{ time_now_utc() }}', time_add(found_at, '168h'))] | length(@) }}"
              operator: GreaterThan
              value: 0
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: open-incidents}
spec:
  validationFailureAction: Enforce
  rules:
  - name: no-open-incident
    match: {any: [{resources: {kinds: [Pod]}}]}
    validate:
      message: "{{ element.image }} is under an open incident"
      foreach:
      - list: request.object.spec.containers
        context:
        - name: digest
          variable: {jmesPath: "biotope.images.\"{{ element.image }}\".digest", default: ""}
        deny:
          conditions:
            all:
            - {key: "{{ digest }}", operator: AnyIn, value: "{{ biotope.incidents.keys(@) }}"}
"#;

#[test]
fn scan_results_and_incidents_decide() {
    let (set, faults) = PolicySet::load([("platform.yaml", POLICIES)]);
    assert!(faults.is_empty(), "{faults:#?}");
    let finding = |found_at: &str, fixed: Option<&str>| json!({"severity": "critical", "found_at": found_at, "fixed_version": fixed});
    let image = |finding| json!({"digest": "sha256:aa", "findings": [finding]});
    let cases = [
        (image(finding("2026-01-01T00:00:00Z", Some("2"))), json!({}), false),
        (image(finding("2026-01-01T00:00:00Z", None)), json!({}), true),
        (image(finding("2026-01-09T00:00:00Z", Some("2"))), json!({}), true),
        (image(finding("2026-01-09T00:00:00Z", None)), json!({"sha256:aa": [{"id": "i-1"}]}), false),
        (json!(null), json!({}), false),
    ];
    for (facts, incidents, allowed) in cases {
        let biotope = json!({"images": {"app:1": facts}, "incidents": incidents});
        let snapshot = Snapshot { biotope: biotope.clone(), ..Snapshot::default() };
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "c", "image": "app:1"}]}});
        let mut request = Request::create(pod);
        request.received_at = Some(Timestamp::from_millis(1_768_003_200_000)); // 2026-01-10T00:00:00Z
        let outcome = set.evaluate(&request, &snapshot);
        let told: Vec<_> = outcome.verdicts.iter().map(|verdict| (verdict.status, &verdict.message)).collect();
        assert_eq!(outcome.allowed, allowed, "{biotope}: {told:?}");
    }
}
