//! Reviews of parts of objects: exec, scale and the like, whose objects are of kinds that no rule names.

use admission_policy::{PolicySet, Request, Snapshot, Stage, Status};
use serde_json::{Value, json};

use crate::load;

fn refusing(kinds: &str) -> PolicySet {
    let text = format!(
        "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {{name: refuse}}
spec:
  background: false
  rules:
  - name: refuse
    match: {{any: [{{resources: {{kinds: ['{kinds}']}}}}]}}
    validate: {{failureAction: Enforce, message: refused, deny: {{}}}}
"
    );
    load(text)
}

fn review(resource: (&str, &str, &str), subresource: &str, object: &Value) -> Value {
    let (group, version, plural) = resource;
    let (own, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
    let (kind_group, kind_version) = own.split_once('/').unwrap_or(("", own));
    json!({"request": {"uid": "1", "operation": "CREATE", "name": "web", "namespace": "shop", "subResource": subresource,
        "kind": {"group": kind_group, "version": kind_version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": plural}, "object": object}})
}

fn exec() -> Value {
    review(("", "v1", "pods"), "exec", &json!({"apiVersion": "v1", "kind": "PodExecOptions", "container": "c"}))
}

fn scale() -> Value {
    let object = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"replicas": 9}});
    review(("apps", "v1", "deployments"), "scale", &object)
}

fn ephemeral() -> Value {
    review(
        ("", "v1", "pods"),
        "ephemeralcontainers",
        &json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}}),
    )
}

fn pod() -> Value {
    review(("", "v1", "pods"), "", &json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}}))
}

#[test]
fn rules_name_the_resource_and_the_part_that_they_are_about() {
    let cases = [
        ("Pod/exec", exec(), true),
        ("v1/Pod/exec", exec(), true),
        ("Pod/attach", exec(), false),
        ("Pod", exec(), false),
        ("PodExecOptions", exec(), false),
        ("Pod/*", exec(), true),
        ("Pod.exec", exec(), true),
        ("Deployment/scale", scale(), true),
        ("apps/v1/Deployment/scale", scale(), true),
        ("autoscaling/v1/Deployment/scale", scale(), false),
        ("StatefulSet/scale", scale(), false),
        ("*/scale", scale(), true),
        ("*/scale", exec(), false),
        ("*/*", scale(), true),
        ("*/*", pod(), true),
        ("*", scale(), false),
        ("Deploy*/scale", scale(), true),
        ("Deployment", scale(), false),
        // What is added to a pod later is judged as what it began with.
        ("Pod", ephemeral(), true),
        ("Pod", pod(), true),
        ("Pod/exec", pod(), false),
    ];
    for (kinds, review, refused) in cases {
        let request = Request::from_review(&review).unwrap();
        let outcome = refusing(kinds).evaluate_stages(&request, &Snapshot::default(), &[Stage::Validate]);
        assert_eq!(!outcome.allowed, refused, "{kinds} on {review}");
    }
}

/// Policies see the resource as it was asked for.
#[test]
fn the_request_tells_resource_and_kind_apart() {
    let text = "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: small}
spec:
  background: false
  rules:
  - name: replicas
    match: {any: [{resources: {kinds: [Deployment/scale]}}]}
    preconditions:
      all:
      - {key: '{{ request.resource.group }}/{{ request.resource.resource }}', operator: Equals, value: apps/deployments}
      - {key: '{{ request.kind.kind }}', operator: Equals, value: Scale}
    validate: {failureAction: Enforce, pattern: {spec: {replicas: '<9'}}}
";
    let set = load(text);
    let outcome = set.evaluate(&Request::from_review(&scale()).unwrap(), &Snapshot::default());
    assert_eq!(outcome.verdicts[0].status, Status::Fail, "{outcome:#?}");
}

/// What a part of an object was before does not excuse what it is to be: the part is never judged for itself.
#[test]
fn parts_have_no_former_violations() {
    let mut review = scale();
    review["request"]["operation"] = json!("UPDATE");
    review["request"]["oldObject"] = review["request"]["object"].clone();
    let request = Request::from_review(&review).unwrap();
    assert!(!refusing("Deployment/scale").evaluate(&request, &Snapshot::default()).allowed);

    let mut whole = pod();
    whole["request"]["operation"] = json!("UPDATE");
    whole["request"]["oldObject"] = whole["request"]["object"].clone();
    let request = Request::from_review(&whole).unwrap();
    let outcome = refusing("Pod").evaluate(&request, &Snapshot::default());
    assert_eq!(outcome.verdicts[0].status, Status::Skip, "{outcome:#?}");
}

/// Who made an object before is not known, so a rule about somebody never met it.
#[test]
fn former_violations_are_of_nobody_in_particular() {
    let text = "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: robots}
spec:
  background: false
  rules:
  - name: robots
    match: {any: [{resources: {kinds: [Pod]}, subjects: [{kind: User, name: robot}]}]}
    validate: {failureAction: Enforce, deny: {}}
";
    let set = load(text);
    let mut review = pod();
    review["request"]["operation"] = json!("UPDATE");
    review["request"]["oldObject"] = review["request"]["object"].clone();
    review["request"]["userInfo"] = json!({"username": "robot"});
    assert!(!set.evaluate(&Request::from_review(&review).unwrap(), &Snapshot::default()).allowed);
}

/// A namespace is in none, whatever its own labels are.
#[test]
fn selectors_of_namespaces_never_mean_a_namespace() {
    let text = "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: frozen}
spec:
  background: false
  rules:
  - name: frozen
    match: {any: [{resources: {kinds: ['*'], namespaceSelector: {matchLabels: {frozen: 'yes'}}}}]}
    validate: {failureAction: Enforce, deny: {}}
";
    let set = load(text);
    let labels = [("shop".to_owned(), [("frozen".to_owned(), "yes".to_owned())].into())].into();
    let snapshot = Snapshot { namespace_labels: labels, ..Snapshot::default() };
    let judge = |object: Value| set.evaluate(&Request::create(object), &snapshot).allowed;
    assert!(judge(
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"frozen": "yes"}}})
    ));
    assert!(!judge(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}})));
}
