//! MutatingPolicy: apply configurations and JSON patches, on the object of the request and on existing ones.

use admission_policy::{Request, Snapshot, Status};
use serde_json::json;

use crate::cel::{deployment, judge, pod, statuses};
use crate::load;

#[test]
fn mutates_by_apply_configurations_and_json_patches() {
    let text = "
apiVersion: policies.kyverno.io/v1alpha1
kind: MutatingPolicy
metadata: {name: harden}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: >-
        Object{spec: Object.spec{containers: object.spec.containers.map(c, Object.spec.containers{
          name: c.name, securityContext: Object.spec.containers.securityContext{privileged: false}})}}
  - patchType: JSONPatch
    jsonPatch:
      expression: >-
        object.spec.containers.exists(c, has(c.securityContext))
          ? [JSONPatch{op: 'add', path: '/metadata/labels', value: {'hardened': 'yes'}}] : []
";
    let containers = json!([{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]);
    let outcome = judge(text, &pod(&containers));
    let patched = outcome.patched.expect("the pod changes");
    assert_eq!(
        patched["spec"]["containers"][1],
        json!({"name": "b", "image": "y", "securityContext": {"privileged": false}})
    );
    assert_eq!(patched["metadata"]["labels"], json!({"hardened": "yes"}));
    let only_apply = text.split("  - patchType: JSONPatch").next().unwrap();
    let outcome = judge(only_apply, &deployment(&containers));
    let patched = outcome.patched.expect("the deployment changes");
    assert_eq!(patched["spec"]["template"]["spec"]["containers"][0]["securityContext"], json!({"privileged": false}));
}

#[test]
fn json_patches_of_mutating_policies_make_nothing_on_the_way() {
    let text = "
apiVersion: policies.kyverno.io/v1
kind: MutatingPolicy
metadata: {name: p}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  mutations:
  - patchType: JSONPatch
    jsonPatch: {expression: \"[JSONPatch{op: 'add', path: '/spec/nodeSelector/zone', value: 'a'}]\"}
";
    let mut object = pod(&json!([{"image": "a"}]));
    let why = "failed to evaluate policy: JSON Patch: add operation does not apply: doc is missing path: \"/spec/nodeSelector/zone\": missing value";
    let refused = judge(text, &object);
    assert_eq!(statuses(&refused), [(Status::Error, why)]);
    // The object is not what the policy makes of it.
    assert!(!refused.allowed, "an error refuses the request");
    assert_eq!(refused.message, format!("Policy p error: {why}"));
    let ignoring = text.replace("spec:\n", "spec:\n  failurePolicy: Ignore\n");
    let ignored = judge(&ignoring, &object);
    assert!(ignored.allowed && ignored.patched.is_none());
    assert_eq!(statuses(&ignored), [(Status::Error, why)]);
    object["spec"]["nodeSelector"] = json!({});
    assert_eq!(statuses(&judge(text, &object)), [(Status::Pass, "success")]);
}

#[test]
fn existing_objects_are_changed_by_target() {
    let by = |targets: &str| {
        format!(
            "
apiVersion: policies.kyverno.io/v1beta1
kind: MutatingPolicy
metadata: {{name: mark}}
spec:
  matchConstraints:
    resourceRules:
    - {{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [secrets]}}
  evaluation: {{mutateExisting: {{enabled: true}}}}
  targetMatchConstraints: {targets}
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: \"Object{{metadata: Object.metadata{{labels: {{'seen': object.metadata.name}}}}}}\"
"
        )
    };
    let map =
        |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}});
    let snapshot = Snapshot { objects: vec![map("a"), map("b")], ..Snapshot::default() };
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}});
    for (targets, expected) in [
        (
            "{resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [configmaps]}]}",
            vec!["a", "b"],
        ),
        ("{expression: 'resource.get(\"v1\", \"configmaps\", object.metadata.namespace, \"b\")'}", vec!["b"]),
        (
            "{resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [configmaps]}]}\n  \
             targetMatchConditions: [{name: meant, expression: 'object.metadata.name == \"a\"'}]",
            vec!["a"],
        ),
    ] {
        let outcome = load(by(targets)).evaluate(&Request::create(secret.clone()), &snapshot);
        assert_eq!(outcome.patched, None);
        let seen: Vec<_> =
            outcome.verdicts[0].targets.iter().map(|one| one.object["metadata"]["labels"]["seen"].clone()).collect();
        assert_eq!(seen, expected, "{targets}");
    }
}
