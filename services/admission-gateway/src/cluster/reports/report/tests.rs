use admission_policy::{PolicySet, Request, Snapshot};

use super::*;

const POLICIES: &str = "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: labels, annotations: { policies.kyverno.io/severity: high, policies.kyverno.io/category: Labels } }
spec:
  rules:
  - name: team
    match: { any: [{ resources: { kinds: [ConfigMap] } }] }
    validate: { message: set the label team, pattern: { metadata: { labels: { team: '?*' } } } }
---
apiVersion: kyverno.io/v1
kind: Policy
metadata: { name: own, namespace: shop, annotations: { policies.kyverno.io/scored: 'false' } }
spec:
  rules:
  - name: never
    match: { any: [{ resources: { kinds: [ConfigMap] } }] }
    validate: { message: never, deny: {} }
  - name: excused
    match: { any: [{ resources: { kinds: [ConfigMap] } }] }
    validate: { message: excused, deny: {} }
---
apiVersion: kyverno.io/v2
kind: PolicyException
metadata: { name: legacy, namespace: shop }
spec:
  exceptions: [{ policyName: shop/own, ruleNames: [excused] }]
  match: { any: [{ resources: { kinds: [ConfigMap] } }] }
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: hidden, labels: { reports.kyverno.io/disabled: 'true' } }
spec:
  rules:
  - name: never
    match: { any: [{ resources: { kinds: [ConfigMap] } }] }
    validate: { message: never, deny: {} }
---
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: { name: in-cel }
spec:
  matchConstraints:
    resourceRules: [{ apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps] }]
  validations: [{ expression: 'true', message: never }]
  auditAnnotations: [{ key: name, valueExpression: object.metadata.name }]
";

fn config_map(namespace: &str, labels: Value) -> Value {
    let metadata = json!({ "name": "c", "namespace": namespace, "uid": "1-2", "labels": labels });
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata })
}

fn report(object: &Value) -> Option<Report> {
    let (set, faults) = PolicySet::load([("policies.yaml", POLICIES)]);
    assert!(faults.is_empty(), "{faults:?}");
    let scan = set.scan(&Request::scanned(object.clone()), &Snapshot::default());
    Report::of(object, &scan, &set)
}

#[test]
fn a_report_has_the_form_of_kyverno() {
    let written = report(&config_map("shop", json!({}))).unwrap();
    let mut manifest = written.manifest(ReportForm::PolicyReport, None, Timestamp::from_millis(7_900));
    let message = manifest["results"][1]["message"].take();
    assert!(message.as_str().unwrap().contains("set the label team"), "{message}");
    let time = json!({ "seconds": 7, "nanos": 0 });
    let expected = json!({
        "apiVersion": "wgpolicyk8s.io/v1alpha2",
        "kind": "PolicyReport",
        "metadata": {
            "name": "1-2", "namespace": "shop",
            "labels": { "app.kubernetes.io/managed-by": "biotope" },
            "annotations": { "biotope.dev/report": written.hash },
            "ownerReferences": [{ "apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "1-2" }],
        },
        "scope": { "apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "1-2", "namespace": "shop" },
        "summary": { "pass": 1, "fail": 1, "warn": 1, "error": 0, "skip": 1 },
        "results": [
            { "source": "KyvernoValidatingPolicy", "policy": "in-cel", "message": "success", "result": "pass", "scored": true,
              "properties": { "name": "c", "process": "background scan" }, "timestamp": time },
            { "source": "kyverno", "policy": "labels", "rule": "team", "message": null, "result": "fail",
              "category": "Labels", "severity": "high", "scored": true,
              "properties": { "process": "background scan" }, "timestamp": time },
            { "source": "kyverno", "policy": "shop/own", "rule": "excused", "result": "skip",
              "message": "rule is skipped due to policy exception: shop/legacy",
              "properties": { "process": "background scan", "exceptions": "legacy" }, "timestamp": time },
            { "source": "kyverno", "policy": "shop/own", "rule": "never", "message": "never", "result": "warn",
              "properties": { "process": "background scan" }, "timestamp": time },
        ],
    });
    assert_eq!(manifest, expected);
}

#[test]
fn results_keep_the_time_when_they_were_found_first() {
    let bad = report(&config_map("shop", json!({}))).unwrap();
    let good = report(&config_map("shop", json!({ "team": "a" }))).unwrap();
    assert_ne!(bad.hash, good.hash);
    let before = bad.manifest(ReportForm::PolicyReport, None, Timestamp::from_millis(7_000));
    let after = good.manifest(ReportForm::PolicyReport, Some(&before), Timestamp::from_millis(9_000));
    let seconds = |index: usize| after["results"][index]["timestamp"]["seconds"].as_u64().unwrap();
    // Only the rule about labels says something else.
    assert_eq!([seconds(0), seconds(1), seconds(2), seconds(3)], [7, 9, 7, 7]);
    assert!(is_own(&after) && !is_own(&json!({ "metadata": {} })));
    assert_eq!(hash_of(&after), good.hash);
}

#[test]
fn an_object_that_nothing_is_said_of_has_no_report() {
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "uid": "3" } });
    assert_eq!(report(&pod), None);
    // Policies of a namespace say nothing of others.
    let other = report(&config_map("else", json!({}))).unwrap();
    assert_eq!(other.results.len(), 2);
}

#[test]
fn the_same_is_said_with_the_same_hash() {
    let object = config_map("shop", json!({}));
    assert_eq!(report(&object), report(&object));
    let mut other = object.clone();
    other["metadata"]["uid"] = json!("9");
    assert_ne!(report(&object).unwrap().hash, report(&other).unwrap().hash);
}

#[test]
fn long_texts_are_cut_between_characters() {
    assert_eq!(shortened("short"), "short");
    let long = "ä".repeat(3_000);
    let cut = shortened(&long);
    assert!(cut.ends_with("...") && cut.chars().count() == 2_003);
}

#[test]
fn the_successor_of_policy_reports_names_who_writes_them() {
    let written = report(&config_map("shop", json!({}))).unwrap();
    let manifest = written.manifest(ReportForm::OpenReports, None, Timestamp::from_millis(0));
    assert_eq!(manifest["source"], "biotope");
    assert_eq!(manifest["kind"], "Report");
}
