//! Admission reviews in, decisions out.

use admission_policy::{Action, PolicySet, Request, Snapshot, Status};
use serde_json::{Value, json};

use crate::load;

const POLICIES: &str = "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: disallow-latest-tag}
spec:
  validationFailureAction: Audit
  rules:
  - name: validate-image-tag
    match: {any: [{resources: {kinds: [Pod]}}]}
    validate:
      failureAction: Enforce
      failureActionOverrides:
      - {action: Audit, namespaces: ['dev-*']}
      message: Using a mutable image tag e.g. 'latest' is not allowed
      pattern:
        spec: {containers: [{image: '!*:latest'}]}
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: block-incidents}
spec:
  validationFailureAction: Enforce
  rules:
  - name: open-incident
    match: {any: [{resources: {kinds: [Pod], operations: [CREATE]}}]}
    preconditions:
      all: [{key: \"{{ request.object.metadata.labels.check || 'yes' }}\", operator: NotEquals, value: 'no'}]
    validate:
      message: 'image {{ element.image }} is under an open incident'
      foreach:
      - list: request.object.spec.containers
        deny:
          conditions:
            any: [{key: '{{ element.image }}', operator: AnyIn, value: '{{ biotope.incidents.keys(@) }}'}]
---
apiVersion: kyverno.io/v2
kind: PolicyException
metadata: {name: legacy, namespace: ops}
spec:
  exceptions: [{policyName: disallow-latest-tag, ruleNames: ['*']}]
  match: {any: [{resources: {kinds: [Pod], names: ['legacy-*']}}]}
";

fn review(name: &str, namespace: &str, image: &str) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u-1", "operation": "CREATE", "namespace": namespace, "name": name,
        "kind": {"group": "", "version": "v1", "kind": "Pod"}, "resource": {"group": "", "version": "v1", "resource": "pods"},
        "userInfo": {"username": "jane", "groups": ["system:authenticated"]},
        "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace},
            "spec": {"containers": [{"name": "c", "image": image}]}}}})
}

/// The platform is known, and no incident is open.
fn quiet() -> Snapshot {
    Snapshot { biotope: json!({"incidents": {}}), ..Snapshot::default() }
}

fn set() -> PolicySet {
    load(POLICIES)
}

#[test]
fn refuses_with_the_words_people_know() {
    let outcome = set().evaluate(&Request::from_review(&review("web", "default", "nginx:latest")).unwrap(), &quiet());
    assert!(!outcome.allowed);
    let reason = "validation error: Using a mutable image tag e.g. 'latest' is not allowed. rule validate-image-tag failed at path \
                  /spec/containers/0/image/";
    assert_eq!(outcome.verdicts[0].message, reason);
    let quoted = reason.replace('\'', "''");
    let expected = format!(
        "\n\nresource Pod/default/web was blocked due to the following policies \n\ndisallow-latest-tag:\n  validate-image-tag: '{quoted}'\n"
    );
    assert_eq!(outcome.message, expected);
    let answer = outcome.review("u-1", |_| String::new());
    assert_eq!(answer["response"]["allowed"], json!(false));
}

#[test]
fn applies_overrides_and_exceptions() {
    let judge = |name: &str, namespace: &str| {
        let request = Request::from_review(&review(name, namespace, "nginx:latest")).unwrap();
        set().evaluate(&request, &quiet())
    };
    let audited = judge("web", "dev-1");
    assert!(audited.allowed);
    assert_eq!((audited.verdicts[0].status, audited.verdicts[0].action), (Status::Fail, Action::Audit));
    let excepted = judge("legacy-1", "default");
    assert_eq!(excepted.verdicts[0].status, Status::Skip);
    assert_eq!(excepted.verdicts[0].exceptions, ["ops/legacy"]);
}

#[test]
fn uses_the_facts_of_the_platform() {
    let request = Request::from_review(&review("web", "default", "evil:1")).unwrap();
    let snapshot = Snapshot { biotope: json!({"incidents": {"evil:1": [{"id": "i-1"}]}}), ..Snapshot::default() };
    let outcome = set().evaluate(&request, &snapshot);
    assert!(!outcome.allowed);
    assert_eq!(outcome.verdicts[1].message, "validation failure: image evil:1 is under an open incident");
}

#[test]
fn an_unknown_fact_is_an_error_and_fails_closed() {
    let request = Request::from_review(&review("web", "default", "nginx:1")).unwrap();
    let outcome = set().evaluate(&request, &Snapshot::default());
    assert!(!outcome.allowed);
    assert_eq!(outcome.verdicts[1].status, Status::Error);
    assert!(outcome.message.contains("Unknown key \"biotope\""), "{}", outcome.message);
}

#[test]
fn an_update_may_keep_a_violation_that_was_there() {
    let update = |old: &str, new: &str| {
        let mut review = review("web", "default", new);
        review["request"]["operation"] = json!("UPDATE");
        review["request"]["oldObject"] = review["request"]["object"].clone();
        review["request"]["oldObject"]["spec"]["containers"][0]["image"] = json!(old);
        set().evaluate(&Request::from_review(&review).unwrap(), &quiet())
    };
    assert!(update("a:latest", "b:latest").allowed);
    assert!(!update("a:1", "b:latest").allowed);
}

#[test]
fn a_list_that_is_too_long_is_an_error_not_a_pass() {
    let limits = admission_policy::Limits { max_foreach_elements: 0, ..admission_policy::Limits::default() };
    let request = Request::from_review(&review("web", "default", "nginx:1")).unwrap();
    let outcome = set().with_limits(limits).evaluate(&request, &quiet());
    assert_eq!(outcome.verdicts[1].status, Status::Error);
    assert!(!outcome.allowed);
}

#[test]
fn an_exception_may_excuse_single_pod_security_controls() {
    let text = "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: baseline}
spec:
  validationFailureAction: Enforce
  rules:
  - name: baseline
    match: {any: [{resources: {kinds: [Pod]}}]}
    validate: {podSecurity: {level: baseline, version: latest}}
---
apiVersion: kyverno.io/v2
kind: PolicyException
metadata: {name: ports, namespace: ops}
spec:
  exceptions: [{policyName: baseline, ruleNames: [baseline]}]
  match: {any: [{resources: {kinds: [Pod]}}]}
  podSecurity: [{controlName: Host Ports, images: ['nginx*']}]
";
    let set = load(text);
    let judge = |container: Value| {
        let mut review = review("web", "default", "nginx:1");
        review["request"]["object"]["spec"]["containers"][0] = container;
        set.evaluate(&Request::from_review(&review).unwrap(), &quiet())
    };
    let excused = judge(json!({"name": "c", "image": "nginx:1", "ports": [{"hostPort": 80}]}));
    assert_eq!((excused.verdicts[0].status, excused.allowed), (Status::Skip, true));
    assert_eq!(excused.verdicts[0].exceptions, ["ops/ports"]);
    let refused = judge(
        json!({"name": "c", "image": "nginx:1", "ports": [{"hostPort": 80}], "securityContext": {"privileged": true}}),
    );
    assert_eq!(refused.verdicts[0].status, Status::Fail);
    assert!(!refused.verdicts[0].message.contains("hostPort"), "{}", refused.verdicts[0].message);
}

/// An object that a rule could not change is not let in as it is, unless the policy says so; that violations are only
/// reported is another matter.
#[test]
fn an_object_that_could_not_be_changed_is_refused() {
    let policy = |failure: &str, rule: &str| {
        let text = format!(
            "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {{name: team}}
spec:
  validationFailureAction: Audit
  failurePolicy: {failure}
  rules:
  - name: team
    match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}
    {rule}
"
        );
        let set = load(text);
        set.evaluate(&Request::from_review(&review("web", "default", "nginx:1")).unwrap(), &Snapshot::default())
    };
    let variable = "{{ request.object.metadata.labels.team }}";
    let mutate = format!("mutate: {{patchStrategicMerge: {{metadata: {{annotations: {{team: '{variable}'}}}}}}}}");
    let verify = "context: [{name: keys, configMap: {name: keys, namespace: ops}}]\n    verifyImages: [{imageReferences: ['*'], mutateDigest: false, attestors: [{entries: [{keys: {publicKeys: '{{ keys.data.a }}'}}]}]}]";
    let validate = format!("validate: {{pattern: {{metadata: {{name: '{variable}'}}}}}}");
    for (rule, failure, allowed) in [
        (mutate.as_str(), "Fail", false),
        (mutate.as_str(), "Ignore", true),
        (verify, "Fail", false),
        (verify, "Ignore", true),
        (validate.as_str(), "Fail", true),
    ] {
        let outcome = policy(failure, rule);
        assert_eq!(outcome.verdicts[0].status, Status::Error, "{rule} {outcome:#?}");
        assert_eq!(outcome.allowed, allowed, "{failure} {rule}");
    }
}
