//! What policies in CEL see of a request: its objects, where the policies are Kyverno's, and the deleted object.

use admission_policy::{Operation, Request, Snapshot, Status};
use serde_json::{Value, json};

use crate::load;

fn object(kind: &str, name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop", "labels": labels}})
}

const MUTATING: &str = "
apiVersion: policies.kyverno.io/v1
kind: MutatingPolicy
metadata: {name: copy}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [secrets]}]
  matchConditions:
  - {name: named, expression: \"has(request.object.metadata.labels.from) && request.oldObject == null\"}
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: \"Object{metadata: Object.metadata{labels: Object.metadata.labels{copied: request.object.metadata.labels['from']}}}\"
";

#[test]
fn the_request_has_its_objects() {
    let outcome =
        load(MUTATING).evaluate(&Request::create(object("Secret", "s", json!({"from": "a"}))), &Snapshot::default());
    assert_eq!(outcome.patched.expect("changed")["metadata"]["labels"]["copied"], "a", "{:?}", outcome.verdicts);
    let validating = "
kind: KIND
metadata: {name: bare}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [secrets]}]
  validations: [{expression: \"has(request.object)\"}]
";
    let status = |head: &str, kind: &str| {
        let text = format!("apiVersion: {head}{}", validating.replace("KIND", kind));
        let request = Request::create(object("Secret", "s", json!({})));
        load(&text).evaluate(&request, &Snapshot::default()).verdicts[0].status
    };
    assert_eq!(status("policies.kyverno.io/v1", "ValidatingPolicy"), Status::Pass);
    // A policy of Kubernetes itself sees what the API server would show it.
    assert_eq!(status("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"), Status::Fail);
}

#[test]
fn targets_of_a_deletion_are_found_from_what_was_deleted() {
    let policy = "
apiVersion: policies.kyverno.io/v1
kind: MutatingPolicy
metadata: {name: mark}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [DELETE], resources: [secrets]}]
  matchConditions: [{name: meant, expression: \"object.metadata.name == 'gone'\"}]
  evaluation: {mutateExisting: {enabled: true}}
  targetMatchConstraints: {expression: 'resource.get(\"v1\", \"configmaps\", object.metadata.namespace, \"all\")'}
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: \"Object{metadata: Object.metadata{labels: {'last': request.oldObject.metadata.name, 'own': object.metadata.name}}}\"
";
    let mut request = Request::create(object("Secret", "gone", json!({})));
    request.operation = Operation::Delete;
    request.old_object = request.object.take();
    let snapshot = Snapshot { objects: vec![object("ConfigMap", "all", json!({}))], ..Snapshot::default() };
    let outcome = load(policy).evaluate(&request, &snapshot);
    let labels = &outcome.verdicts[0].targets[0].object["metadata"]["labels"];
    assert_eq!(*labels, json!({"last": "gone", "own": "all"}), "{:?}", outcome.verdicts);
}

#[test]
fn a_mutation_that_an_object_still_lacks_fails_in_the_background() {
    let text = |head: &str, kind: &str| {
        format!(
            "apiVersion: {head}
kind: {kind}
metadata: {{name: mark}}
spec:
  matchConstraints:
    resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}}]
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: {{expression: \"Object{{metadata: Object.metadata{{labels: {{'seen': 'yes'}}}}}}\"}}
"
        )
    };
    for (head, kind, rule, done) in [
        ("policies.kyverno.io/v1", "MutatingPolicy", "", "success"),
        ("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy", "mark", "mutation is successfully applied"),
    ] {
        let set = load(text(head, kind));
        let run = |labels: Value, background: bool| {
            let mut request = Request::create(object("ConfigMap", "m", labels));
            request.background = background;
            let outcome = set.evaluate(&request, &Snapshot::default());
            let verdict = &outcome.verdicts[0];
            (verdict.rule.clone(), verdict.status, verdict.message.clone(), !outcome.patch.is_empty())
        };
        let (rule, done) = (rule.to_owned(), done.to_owned());
        assert_eq!(run(json!({}), false), (rule.clone(), Status::Pass, done.clone(), true), "{kind}");
        let lacking = "mutation is not applied".to_owned();
        assert_eq!(run(json!({}), true), (rule.clone(), Status::Fail, lacking, false), "{kind}");
        assert_eq!(run(json!({"seen": "yes"}), true), (rule, Status::Pass, done, false), "{kind}");
    }
}
