//! JSON documents, templates of resources, and the fields of test files that only some policies need.

use std::collections::BTreeMap;

use admission_policy::testing::{CheckVerdict, Files, ReadError, TestReport, run};
use admission_policy::{MissingFact, PolicySet, Request, Snapshot, Status};
use serde_json::{Value, json};

use crate::load;

struct Texts(BTreeMap<&'static str, &'static str>);

impl Files for Texts {
    fn read(&self, path: &str) -> Result<String, ReadError> {
        self.0.get(path).map(|text| (*text).to_owned()).ok_or(ReadError::Absent)
    }

    fn list(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

/// Runs the test in `t/kyverno-test.yaml`.
pub(crate) fn report(files: &[(&'static str, &'static str)]) -> TestReport {
    let mut reports = run("t/kyverno-test.yaml", &Texts(files.iter().copied().collect()));
    assert_eq!(reports.len(), 1);
    reports.swap_remove(0)
}

/// What each row came to.
fn verdicts(report: &TestReport) -> Vec<CheckVerdict> {
    assert_eq!(report.error, None);
    report.rows.iter().map(admission_policy::testing::Row::verdict).collect()
}

const DOCUMENTS: &str = "
apiVersion: policies.kyverno.io/v1
kind: MutatingPolicy
metadata: {name: wrap}
spec:
  evaluation: {mode: JSON}
  mutations:
  - patchType: JSONPatch
    jsonPatch: {expression: '[JSONPatch{op: \"replace\", path: \"\", value: [object, 9007199254740993]}]'}
---
apiVersion: policies.kyverno.io/v1
kind: MutatingPolicy
metadata: {name: to-null}
spec:
  evaluation: {mode: JSON}
  mutations:
  - patchType: JSONPatch
    jsonPatch: {expression: '[JSONPatch{op: \"replace\", path: \"\", value: null}]'}
---
apiVersion: policies.kyverno.io/v1
kind: MutatingPolicy
metadata: {name: undone}
spec:
  evaluation: {mode: JSON}
  mutations:
  - jsonPatch: {expression: '[JSONPatch{op: \"add\", path: \"/extra\", value: true}]'}
  - jsonPatch: {expression: '[JSONPatch{op: \"test\", path: \"/id\", value: 0}]'}
---
apiVersion: policies.kyverno.io/v1
kind: MutatingPolicy
metadata: {name: broken}
spec:
  evaluation: {mode: JSON}
  mutations:
  - jsonPatch: {expression: '[JSONPatch{op: \"replace\", path: \"/absent/x\", value: true}]'}
---
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: cluster-only}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  validations: [{expression: 'false'}]
";

#[test]
fn documents_are_known_by_their_files_and_change_step_by_step() {
    let rows = "
apiVersion: cli.kyverno.io/v1alpha1
kind: Test
metadata: {name: documents}
policies: [policy.yaml]
jsonPayloads: [in.json, deep/in.json]
results:
- {policy: undone, isMutatingPolicy: true, resources: [in.json], result: skip}
- {policy: broken, isMutatingPolicy: true, resources: [in.json], result: error}
- {policy: wrap, isMutatingPolicy: true, resources: [in.json], patchedResources: wrapped.json, result: pass}
- {policy: wrap, isMutatingPolicy: true, resources: [deep/in.json], patchedResources: wrapped.json, result: pass}
- {policy: to-null, isMutatingPolicy: true, patchedResources: nothing.json, result: pass}
- {policy: cluster-only, isValidatingPolicy: true, resources: [in.json], result: fail}
";
    // The policies that leave the document as it is come first.
    let (changing, staying) = DOCUMENTS.split_at(
        DOCUMENTS
            .find("---\napiVersion: policies.kyverno.io/v1\nkind: MutatingPolicy\nmetadata: {name: undone}")
            .unwrap(),
    );
    let policy: &'static str = format!("{}\n---{changing}", staying.trim_start_matches("---")).leak();
    let report = report(&[
        ("t/kyverno-test.yaml", rows),
        ("t/policy.yaml", policy),
        ("t/in.json", r#"{"id": 1}"#),
        ("t/deep/in.json", r#"{"id": 2, "kind": "Pod", "apiVersion": "v1"}"#),
        ("t/wrapped.json", r#"[{"id": 1}, 9007199254740993]"#),
        ("t/nothing.json", "null\n"),
    ]);
    let (pass, fail, vacuous) = (CheckVerdict::Pass, CheckVerdict::Fail, CheckVerdict::Vacuous);
    // The second document is another one than the file expects; a policy for the cluster says nothing about documents.
    assert_eq!(verdicts(&report), [pass, pass, pass, fail, pass, vacuous], "{:#?}", report.rows);
}

#[test]
fn a_failing_test_of_a_patch_leaves_an_object_alone_and_the_rest_goes_on() {
    let set = load(
        "
apiVersion: policies.kyverno.io/v1
kind: MutatingPolicy
metadata: {name: careful}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  mutations:
  - jsonPatch:
      expression: '[JSONPatch{op: \"test\", path: \"/data/a\", value: \"no\"}, JSONPatch{op: \"add\", path: \"/data/b\", value: \"1\"}]'
  - jsonPatch: {expression: '[JSONPatch{op: \"add\", path: \"/data/c\", value: \"2\"}]'}
",
    );
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "yes"}});
    let outcome = set.evaluate(&Request::create(object), &Snapshot::default());
    assert_eq!(outcome.patched.unwrap()["data"], json!({"a": "yes", "c": "2"}));
}

#[test]
fn an_update_is_compared_with_the_resource_before_it() {
    let policy = "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: keep-label}
spec:
  rules:
  - name: same
    match: {any: [{resources: {kinds: [Pod], operations: [UPDATE]}}]}
    validate:
      message: the label stays
      deny:
        conditions:
          all: [{key: '{{ request.object.metadata.labels.a }}', operator: NotEquals, value: '{{ request.oldObject.metadata.labels.a }}'}]
";
    let rows = "
metadata: {name: update}
policies: [policy.yaml]
resources: [new.yaml]
oldResources: [old.yaml]
results:
- {policy: keep-label, rule: same, kind: Pod, resources: [p], resourceOperation: UPDATE, result: fail}
- {policy: keep-label, rule: same, kind: Pod, resources: [q], operation: UPDATE, result: pass}
";
    let report = report(&[
        ("t/kyverno-test.yaml", rows),
        ("t/policy.yaml", policy),
        (
            "t/new.yaml",
            "{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {a: '2'}}}\n---\n{apiVersion: v1, kind: Pod, metadata: {name: q, labels: {a: '2'}}}",
        ),
        ("t/old.yaml", "{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {a: '1'}}}"),
    ]);
    assert_eq!(verdicts(&report), [CheckVerdict::Pass, CheckVerdict::Pass], "{:#?}", report.rows);
}

fn namespace(name: &str) -> Request {
    Request::create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
}

fn template(interpolate: &str, value: &str) -> String {
    let indented: String = value.lines().map(|line| format!("        {line}\n")).collect();
    format!(
        "
apiVersion: policies.kyverno.io/v1
kind: GeneratingPolicy
metadata: {{name: made}}
spec:
  matchConstraints:
    resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [namespaces]}}]
  variables:
  - {{name: labels, expression: '{{\"team\": \"a\", \"tier\": object.metadata.name}}'}}
  generate:
  - template:
      interpolate: {interpolate}
      value: |
{indented}"
    )
}

#[test]
fn resources_are_made_from_templates() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: (( object.metadata.name ))-map\n  namespace: (( object.metadata.name ))\n  labels: (( variables.labels ))\ndata:\n  plain: a,b\n  many: x(( 1 + 1 ))y(( true ))\n  kept: \\((not this))\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: other}";
    let outcome = load(template("cel", text)).evaluate(&namespace("shop"), &Snapshot::default());
    let expected = json!([
        {"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "shop-map", "namespace": "shop", "labels": {"team": "a", "tier": "shop"}},
            "data": {"plain": "a,b", "many": "x2ytrue", "kept": "((not this))"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "other"}},
    ]);
    assert_eq!(Value::Array(outcome.verdicts[0].generated.clone()), expected);
    let literal = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '(( kept ))'}";
    let outcome = load(template("none", literal)).evaluate(&namespace("shop"), &Snapshot::default());
    assert_eq!(outcome.verdicts[0].generated[0]["data"]["x"], "(( kept ))");
}

#[test]
fn a_broken_template_is_told_with_its_line() {
    for (text, expected) in [
        ("a: (( object. ))", "syntax"),
        ("a: (( object", "no closing"),
        ("- 1", "must be a map"),
        ("(( a )): 1", "in the key"),
        ("a: (( nothing.at.all ))", "undeclared"),
    ] {
        let policy = template("cel", text);
        let (set, faults) = PolicySet::load([("policy.yaml", policy.as_str())]);
        assert!(set.is_empty(), "{text}");
        let said = faults[0].to_string();
        assert!(said.to_lowercase().contains(expected) && said.contains("policy.yaml:"), "{text}: {said}");
    }
    let mixed = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: 'a(( variables.labels ))'}";
    let outcome = load(template("cel", mixed)).evaluate(&namespace("shop"), &Snapshot::default());
    assert_eq!(outcome.verdicts[0].status, Status::Error);
    assert!(outcome.verdicts[0].message.contains("must give a scalar"), "{}", outcome.verdicts[0].message);
}

#[test]
fn a_policy_in_a_namespace_stays_there() {
    let policy = |expression: &str| {
        load(format!(
            "
apiVersion: policies.kyverno.io/v1
kind: NamespacedGeneratingPolicy
metadata: {{name: inside, namespace: shop}}
spec:
  matchConstraints:
    resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}}]
  generate:
  - expression: {}
",
            json!(expression)
        ))
    };
    let object = |name: &str, namespace: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}});
    let snapshot =
        Snapshot { objects: vec![object("source", "shop"), object("source", "bank")], ..Snapshot::default() };
    let request = Request::create(object("m", "shop"));
    let generated = |expression: &str| {
        let verdict = policy(expression).evaluate(&request, &snapshot).verdicts.swap_remove(0);
        (verdict.status, verdict.message, verdict.generated)
    };
    let (status, _, made) = generated("generator.Apply('shop', [resource.Get('v1', 'configmaps', 'source')])");
    assert_eq!((status, made[0]["metadata"]["namespace"].as_str()), (Status::Pass, Some("shop")));
    let (status, message, made) = generated("generator.Apply('bank', [resource.Get('v1', 'configmaps', 'source')])");
    assert_eq!((status, made.len()), (Status::Error, 0));
    assert!(message.contains("cross-namespace generation denied"), "{message}");
    let (status, _, made) =
        generated("generator.Apply('shop', [resource.Get(resource.ToGVR('v1', 'ConfigMap'), 'source')])");
    assert_eq!((status, made.len()), (Status::Pass, 1));
    let (status, _, made) = generated("generator.apply([resource.get('v1', 'configmaps', 'source')])");
    assert_eq!((status, made[0]["metadata"]["namespace"].as_str()), (Status::Pass, Some("shop")));
    let (_, _, made) = generated("generator.Apply('shop', [resource.List('v1', 'configmaps')])");
    assert_eq!(made.len(), 1, "only those of the policy's namespace: {made:?}");
}

#[test]
fn what_a_list_of_the_api_names_once_each_of_its_items_has() {
    let item = |name: &str| json!({"metadata": {"name": name, "namespace": "base"}});
    let list = json!({"apiVersion": "v1", "kind": "SecretList", "metadata": {}, "items": [item("a"), item("b")]});
    let api_calls = [("GET /api/v1/namespaces/base/secrets".to_owned(), list)].into();
    let snapshot = Snapshot { api_calls, ..Snapshot::default() };
    let policy = "
apiVersion: policies.kyverno.io/v1
kind: GeneratingPolicy
metadata: {name: copy}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [namespaces]}]
  generate:
  - expression: \"generator.apply(object.metadata.name, [resource.list('v1', 'secrets', 'base')])\"
";
    let verdict = load(policy).evaluate(&namespace("shop"), &snapshot).verdicts.swap_remove(0);
    let told: Vec<_> =
        verdict.generated.iter().map(|made| (&made["apiVersion"], &made["kind"], &made["metadata"]["name"])).collect();
    let (version, kind) = (json!("v1"), json!("Secret"));
    assert_eq!(told, [(&version, &kind, &json!("a")), (&version, &kind, &json!("b"))], "{}", verdict.message);
}

#[test]
fn what_to_copy_or_change_is_asked_for_and_then_done() {
    let set = load(
        "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: after}
spec:
  rules:
  - name: copy
    match: {any: [{resources: {kinds: [Namespace]}}]}
    generate: {apiVersion: v1, kind: Secret, name: pull, namespace: '{{ request.object.metadata.name }}', clone: {name: pull, namespace: base}}
  - name: mark
    match: {any: [{resources: {kinds: [Namespace]}}]}
    mutate:
      targets: [{apiVersion: v1, kind: ConfigMap, namespace: base, name: all}]
      patchStrategicMerge: {data: {last: '{{ request.object.metadata.name }}'}}
",
    );
    let request = namespace("shop");
    assert!(set.acts_afterwards(&request));
    let objects = |kind: &str| MissingFact::Objects {
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: "base".to_owned(),
    };
    let outcome = set.evaluate(&request, &Snapshot::default());
    assert_eq!(outcome.missing_facts(), [objects("ConfigMap"), objects("Secret")]);
    let key = |kind: &str| ("v1".to_owned(), kind.to_owned(), "base".to_owned());
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "all", "namespace": "base"}});
    let snapshot =
        Snapshot { listed: [key("ConfigMap"), key("Secret")].into(), objects: vec![map], ..Snapshot::default() };
    let outcome = set.evaluate(&request, &snapshot);
    assert!(outcome.missing_facts().is_empty());
    assert!(outcome.verdicts[0].message.contains("Secret base/pull not found"), "{}", outcome.verdicts[0].message);
    assert_eq!(outcome.verdicts[1].targets[0].object["data"]["last"], "shop");
}

#[test]
fn operations_do_not_count_where_objects_are_deleted_on_a_schedule() {
    let policy = "
apiVersion: policies.kyverno.io/v1beta1
kind: DeletingPolicy
metadata: {name: tidy}
spec:
  schedule: '@daily'
  conditions: [{name: all, expression: 'true'}]
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [UPDATE], resources: [configmaps]}]
    excludeResourceRules:
    - {apiGroups: [''], apiVersions: [v1], operations: [DELETE], resources: [configmaps], resourceNames: [kept]}
";
    let resources = "
apiVersion: v1
kind: ConfigMap
metadata: {name: gone}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kept}
";
    let test = "
apiVersion: cli.kyverno.io/v1alpha1
kind: Test
metadata: {name: tidy}
policies: [policy.yaml]
resources: [resources.yaml]
results:
- {isDeletingPolicy: true, kind: ConfigMap, policy: tidy, resources: [gone], result: pass}
- {isDeletingPolicy: true, kind: ConfigMap, policy: tidy, resources: [kept], result: skip}
- {isDeletingPolicy: true, kind: ConfigMap, policy: tidy, resources: [kept], result: pass}
";
    let files = [("t/kyverno-test.yaml", test), ("t/policy.yaml", policy), ("t/resources.yaml", resources)];
    assert_eq!(verdicts(&report(&files)), [CheckVerdict::Pass, CheckVerdict::Pass, CheckVerdict::Vacuous]);
}

#[test]
fn what_the_elements_of_a_list_need_is_asked_for_at_once() {
    let policy = "
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: many}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [namespaces]}]
  variables:
  - name: kept
    expression: \"['a', 'b', 'c'].filter(name, resource.get('v1', 'secrets', 'base', name).type == 'x')\"
  - name: types
    expression: \"['a', 'd'].map(name, resource.get('v1', 'secrets', 'base', name).type)\"
  validations:
  - expression: >-
      EXPRESSION
";
    let asked = |expression: &str, known: &[&str]| {
        let secret = |name: &&str| {
            let found = json!({"apiVersion": "v1", "kind": "Secret", "type": "x"});
            (format!("GET /api/v1/namespaces/base/secrets/{name}"), found)
        };
        let snapshot = Snapshot { api_calls: known.iter().map(secret).collect(), ..Snapshot::default() };
        let outcome = load(policy.replace("EXPRESSION", expression)).evaluate(&namespace("shop"), &snapshot);
        (outcome.missing_facts().len(), outcome.verdicts[0].status)
    };
    assert_eq!(asked("size(variables.kept) == 3", &[]), (3, Status::Error));
    assert_eq!(asked("size(variables.kept) == 3", &["b"]), (2, Status::Error));
    assert_eq!(asked("size(variables.kept) == 3", &["a", "b", "c"]), (0, Status::Pass));
    assert_eq!(asked("size(variables.types) == 2", &[]), (2, Status::Error));
    // What fails otherwise ends a loop at once.
    assert_eq!(
        asked("[1, 0, 2].map(n, 1 / n).size() == resource.get('v1', 'secrets', 'base', 'a').size()", &[]),
        (0, Status::Error)
    );
}
