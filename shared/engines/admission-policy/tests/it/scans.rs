//! What reports say of objects that are there already.

use admission_policy::{GroupVersionKind, PolicySet, Request, Scan, Snapshot};
use serde_json::{Value, json};

use crate::load;

const POLICIES: &str = "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: plain }
spec:
  rules:
  - name: team
    match: { any: [{ resources: { kinds: [Pod] } }] }
    validate: { message: set the label team, pattern: { metadata: { labels: { team: '?*' } } } }
  - name: when-created
    match: { any: [{ resources: { kinds: [Pod], operations: [CREATE] } }] }
    preconditions: { all: [{ key: '{{ request.operation }}', operator: Equals, value: CREATE }] }
    validate: { message: not created, deny: {} }
  - name: when-deleted
    match: { any: [{ resources: { kinds: [Pod], operations: [DELETE] } }] }
    validate: { message: stays, deny: {} }
  - name: change
    match: { any: [{ resources: { kinds: [Pod] } }] }
    mutate: { patchStrategicMerge: { metadata: { labels: { team: a } } } }
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: of-requests }
spec:
  background: false
  rules:
  - name: never
    match: { any: [{ resources: { kinds: [Secret, Pod] } }] }
    validate: { message: never, deny: {} }
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: hidden, labels: { reports.kyverno.io/disabled: 'true' } }
spec:
  rules:
  - name: never
    match: { any: [{ resources: { kinds: [Service] } }] }
    validate: { message: never, deny: {} }
---
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: { name: in-cel }
spec:
  matchConstraints:
    resourceRules: [{ apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps] }]
  matchConditions: [{ name: judged, expression: \"object.metadata.name != 'left-out'\" }]
  validations: [{ expression: \"'a' in object.data\", message: say a }]
  auditAnnotations: [{ key: name, valueExpression: object.metadata.name }]
---
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: { name: of-updates }
spec:
  matchConstraints:
    resourceRules: [{ apiGroups: [''], apiVersions: [v1], operations: [UPDATE], resources: [configmaps] }]
  validations: [{ expression: 'false', message: never }]
---
apiVersion: policies.kyverno.io/v1
kind: MutatingPolicy
metadata: { name: labels }
spec:
  matchConstraints:
    resourceRules: [{ apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [services] }]
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: { expression: 'Object{metadata: Object.metadata{labels: {\"seen\": \"yes\"}}}' }
";

fn told(set: &PolicySet, object: Value) -> (Scan, String) {
    let scan = set.scan(&Request::scanned(object), &Snapshot::default());
    let lines = scan.verdicts.iter().map(|verdict| {
        let (policy, rule) = (&verdict.policy.name, &verdict.rule);
        format!("{policy}/{rule} {} {}", verdict.reported().as_str(), verdict.message)
    });
    let told = lines.collect::<Vec<_>>().join("\n");
    (scan, told)
}

fn object(kind: &str, metadata: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": kind, "metadata": metadata, "data": {} })
}

#[test]
fn objects_are_judged_as_if_they_were_created_now() {
    let set = load(POLICIES);
    let (_, pod) = told(&set, object("Pod", json!({ "name": "p", "namespace": "shop" })));
    assert!(pod.contains("plain/team fail validation error: set the label team"), "{pod}");
    assert!(pod.contains("plain/when-created fail not created"), "{pod}");
    assert_eq!(pod.lines().count(), 2, "{pod}");
    let (_, good) = told(&set, object("Pod", json!({ "name": "p", "namespace": "shop", "labels": { "team": "a" } })));
    assert!(good.contains("plain/team pass"), "{good}");
    assert_eq!(told(&set, object("Secret", json!({ "name": "s", "namespace": "shop" }))).1, "");
}

#[test]
fn policies_in_cel_say_nothing_of_what_their_conditions_leave_out() {
    let set = load(POLICIES);
    let (scan, bad) = told(&set, object("ConfigMap", json!({ "name": "c", "namespace": "shop" })));
    assert_eq!(bad, "in-cel/ fail say a");
    assert_eq!(scan.annotations[&("in-cel".to_owned(), "name".to_owned())], "c");
    assert_eq!(told(&set, object("ConfigMap", json!({ "name": "left-out", "namespace": "shop" }))).1, "");
    let service =
        |labels: Value| told(&set, object("Service", json!({ "name": "s", "namespace": "shop", "labels": labels }))).1;
    // The policy with the label is in no report.
    assert_eq!(service(json!({})), "labels/ fail mutation is not applied");
    assert!(service(json!({ "seen": "yes" })).starts_with("labels/ pass"), "{}", service(json!({ "seen": "yes" })));
}

#[test]
fn the_kinds_to_look_at_are_those_of_policies_that_look_at_what_is_there() {
    let targets = load(POLICIES).scan_targets();
    let is_about = |kind: &str, plural: &str| {
        let kind = GroupVersionKind { group: String::new(), version: "v1".to_owned(), kind: kind.to_owned() };
        targets.iter().any(|target| target.is_about(&kind, plural))
    };
    for (kind, plural, expected) in [
        ("Pod", "pods", true),
        ("ConfigMap", "configmaps", true),
        ("Service", "services", true),
        ("Secret", "secrets", false),
        ("Namespace", "namespaces", false),
    ] {
        assert_eq!(is_about(kind, plural), expected, "{kind}");
    }
}

#[test]
fn exceptions_for_requests_alone_do_not_count() {
    let exception = |background: &str| {
        format!(
            "{POLICIES}---
apiVersion: kyverno.io/v2
kind: PolicyException
metadata: {{ name: excused, namespace: shop }}
spec:
  {background}
  exceptions: [{{ policyName: plain, ruleNames: [team] }}]
  match: {{ any: [{{ resources: {{ kinds: [Pod] }} }}] }}
"
        )
    };
    for (background, expected) in [("background: true", "plain/team skip"), ("background: false", "plain/team fail")] {
        let (_, pod) = told(&load(exception(background)), object("Pod", json!({ "name": "p", "namespace": "shop" })));
        assert!(pod.contains(expected), "{background}: {pod}");
    }
}
