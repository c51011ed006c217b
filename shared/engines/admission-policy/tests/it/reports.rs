//! Verdicts as policy reports.

use admission_policy::report::{ReportForm, reference, report, sort};
use admission_policy::{Request, Snapshot};
use model::Timestamp;
use serde_json::{Value, json};

const POLICIES: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata:
  name: labels
  annotations: {policies.kyverno.io/category: Ownership, policies.kyverno.io/severity: high}
spec:
  rules:
  - name: team
    match: {any: [{resources: {kinds: [ConfigMap]}}]}
    validate: {message: set the label team, pattern: {metadata: {labels: {team: '?*'}}}}
  - name: area
    match: {any: [{resources: {kinds: [ConfigMap]}}]}
    validate: {message: set the label area, pattern: {metadata: {labels: {area: '?*'}}}}
---
apiVersion: kyverno.io/v1
kind: Policy
metadata:
  name: tier
  namespace: shop
  annotations: {policies.kyverno.io/scored: 'false', policies.kyverno.io/severity: dreadful}
spec:
  background: false
  rules:
  - name: tier
    match: {any: [{resources: {kinds: [ConfigMap]}}]}
    validate: {message: set the label tier, pattern: {metadata: {labels: {tier: '?*'}}}}
---
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: data}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], resources: [configmaps], operations: [CREATE]}]}
  validations: [{expression: has(object.data), message: it holds nothing}]
---
apiVersion: kyverno.io/v2
kind: PolicyException
metadata: {name: free, namespace: shop}
spec:
  exceptions: [{policyName: labels, ruleNames: [area]}]
  match: {any: [{resources: {kinds: [ConfigMap]}}]}
";

fn object() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"},
        "metadata": {"name": "m", "namespace": "shop", "uid": "u-1", "resourceVersion": "7", "labels": {"area": "a"}}})
}

#[test]
fn verdicts_become_results_and_are_counted() {
    let set = super::load(POLICIES);
    let object = object();
    let outcome = set.evaluate(&Request::create(object.clone()), &Snapshot::default());
    let at = Timestamp::from_millis(1_700_000_000_999);
    let mut results: Vec<_> =
        outcome.verdicts.iter().map(|verdict| set.report_result(verdict, Some(&object), at)).collect();
    results.reverse();
    sort(&mut results);
    let subject = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "m", "namespace": "shop", "uid": "u-1",
        "resourceVersion": "7"});
    assert_eq!(reference(&object), subject);
    let of = |policy: &str, rule: &str, more: Value| {
        let mut result = json!({"policy": policy, "resources": [subject],
            "timestamp": {"seconds": 1_700_000_000, "nanos": 0}});
        if !rule.is_empty() {
            result["rule"] = json!(rule);
        }
        result.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        result
    };
    let made = report(ReportForm::PolicyReport, &json!({"name": "r", "namespace": "shop"}), None, &results);
    let results = made["results"].as_array().unwrap();
    let message = |index: usize| results[index]["message"].clone();
    assert_eq!(
        *results,
        [
            of(
                "data",
                "",
                json!({"source": "KyvernoValidatingPolicy", "result": "pass", "scored": true, "message": message(0),
                "properties": {"process": "background scan"}})
            ),
            of(
                "labels",
                "area",
                json!({"source": "kyverno", "result": "skip", "scored": true, "message": message(1), "category": "Ownership",
                "severity": "high", "properties": {"process": "background scan", "exceptions": "free"}})
            ),
            of(
                "labels",
                "team",
                json!({"source": "kyverno", "result": "fail", "scored": true, "message": message(2), "category": "Ownership",
                "severity": "high", "properties": {"process": "background scan"}})
            ),
            of(
                "shop/tier",
                "tier",
                json!({"source": "kyverno", "result": "warn", "message": message(3),
                "properties": {"process": "admission review"}})
            ),
        ]
    );
    assert!(message(2).as_str().unwrap().contains("set the label team"));
    assert_eq!(made["summary"], json!({"pass": 1, "fail": 1, "warn": 1, "error": 0, "skip": 1}));
    assert_eq!((&made["apiVersion"], &made["kind"]), (&json!("wgpolicyk8s.io/v1alpha2"), &json!("PolicyReport")));
}

#[test]
fn a_report_is_of_a_namespace_or_of_the_cluster() {
    let scope = reference(&object());
    for (form, metadata, expected) in [
        (ReportForm::PolicyReport, json!({"name": "r"}), ["wgpolicyk8s.io/v1alpha2", "ClusterPolicyReport"]),
        (ReportForm::OpenReports, json!({"name": "r"}), ["openreports.io/v1alpha1", "ClusterReport"]),
        (ReportForm::OpenReports, json!({"name": "r", "namespace": "shop"}), ["openreports.io/v1alpha1", "Report"]),
    ] {
        let made = report(form, &metadata, Some(&scope), &[]);
        assert_eq!([&made["apiVersion"], &made["kind"]].map(|text| text.as_str().unwrap()), expected);
        assert_eq!((&made["metadata"], &made["scope"], &made["results"]), (&metadata, &scope, &json!([])));
    }
}
