//! What policies do once a request was let in: on deletions, on connections, to parts of objects, and for whom.

use admission_policy::testing::CheckVerdict;
use admission_policy::{
    ChangedTarget, MissingFact, Operation, Outcome, PolicyRef, PolicySet, Request, Snapshot, Stage, Status,
};
use serde_json::{Value, json};

use crate::load;

fn object(kind: &str, name: &str, fields: Value) -> Value {
    let mut object =
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop", "uid": name}});
    object.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    object
}

fn deletion(object: Value) -> Request {
    let mut request = Request::create(object);
    request.operation = Operation::Delete;
    request.old_object = request.object.replace(Value::Null);
    request
}

fn listed(objects: Vec<Value>) -> Snapshot {
    let listed = ["ConfigMap", "Secret", "Node"].map(|kind| ("v1".to_owned(), kind.to_owned(), String::new()));
    Snapshot { objects, listed: listed.into(), ..Snapshot::default() }
}

fn judged(policies: &str, request: &Request, snapshot: &Snapshot) -> Outcome {
    let set = load(policies);
    let outcome = set.evaluate_stages(request, snapshot, &[Stage::Generate]);
    assert!(outcome.verdicts.is_empty() || set.acts_afterwards(request), "{:?}", outcome.verdicts);
    outcome
}

fn rule(matches: &str, more: &str) -> String {
    format!(
        "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {{name: after}}
spec:
  rules:
  - name: one
    match: {{any: [{{resources: {{{matches}}}}}]}}
{more}
"
    )
}

const TELL: &str = "    mutate:
      targets: [{apiVersion: v1, kind: Secret, namespace: shop, name: listener}]
      patchStrategicMerge:
        metadata: {labels: {last: '{{ request.object.metadata.name }}', old: '{{ request.oldObject.metadata.name }}'}}";
const MAKE: &str = "    generate:
      apiVersion: v1
      kind: ConfigMap
      name: 'after-{{ request.object.metadata.name }}'
      namespace: '{{ request.oldObject.metadata.namespace }}'
      data: {data: {how: '{{ request.operation }}'}}";

#[test]
fn a_deletion_is_followed_by_rules_that_name_it_with_the_object_that_was_there() {
    let gone = deletion(object("ConfigMap", "gone", json!({})));
    let there = listed(vec![object("Secret", "listener", json!({}))]);
    for operations in ["operations: [DELETE]", "operations: [CREATE, DELETE]"] {
        let told = judged(&rule(&format!("kinds: [ConfigMap], {operations}"), TELL), &gone, &there);
        let labels = &told.verdicts[0].targets[0].object["metadata"]["labels"];
        assert_eq!(*labels, json!({"last": "gone", "old": "gone"}), "{:?}", told.verdicts);
        let made = judged(&rule(&format!("kinds: [ConfigMap], {operations}"), MAKE), &gone, &there);
        let made = &made.verdicts[0].generated[0];
        assert_eq!((&made["metadata"]["name"], &made["data"]["how"]), (&json!("after-gone"), &json!("DELETE")));
    }
    for operations in ["", "operations: [CREATE, UPDATE]"] {
        for what in [TELL, MAKE] {
            let policy = rule(&format!("kinds: [ConfigMap], {operations}"), what);
            assert!(judged(&policy, &gone, &there).verdicts.is_empty(), "{operations}");
            assert!(!load(&policy).acts_afterwards(&gone));
        }
    }
}

#[test]
fn preconditions_of_changes_see_a_deletion_as_it_is_asked_for_and_those_of_generation_the_object() {
    let gone = deletion(object("ConfigMap", "gone", json!({})));
    let there = listed(vec![object("Secret", "listener", json!({}))]);
    // What a variable of the rule asks is taken as it stands; what stands in braces means the object that was there.
    let rule_of = |name: &str, key: &str, what: &str| {
        let preconditions = format!(
            "    context: [{{name: own, variable: {{jmesPath: request.object.metadata.name, default: none}}}}]
    preconditions: {{all: [{{key: '{key}', operator: Equals, value: gone}}]}}\n{what}"
        );
        rule("kinds: [ConfigMap], operations: [DELETE]", &preconditions).replace("name: after", name)
    };
    let when = |key: &str, what: &str| judged(&rule_of("name: a", key, what), &gone, &there).verdicts[0].status;
    for what in [TELL, MAKE] {
        assert_eq!(when("{{ request.oldObject.metadata.name }}", what), Status::Pass);
        assert_eq!(when("{{ request.object.metadata.name }}", what), Status::Pass);
    }
    assert_eq!((when("{{ own }}", TELL), when("{{ own }}", MAKE)), (Status::Skip, Status::Pass));
    // One rule leaves nothing behind for the next.
    let both = [rule_of("name: a", "{{ own }}", MAKE), rule_of("name: b", "{{ own }}", TELL)].join("---\n");
    let found: Vec<_> = judged(&both, &gone, &there).verdicts.iter().map(|verdict| verdict.status).collect();
    assert_eq!(found, [Status::Pass, Status::Skip]);
}

#[test]
fn bindings_and_connections_are_followed_by_rules_about_them() {
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "web", "namespace": "shop"},
        "target": {"kind": "Node", "name": "node-1"}});
    let bound = Request {
        resource: "pods".to_owned(),
        subresource: "binding".to_owned(),
        name: "web".to_owned(),
        namespace: "shop".to_owned(),
        ..Request::create(binding)
    };
    let what = "    mutate:
      targets: [{apiVersion: v1, kind: Secret, namespace: '{{ request.namespace }}', name: listener}]
      patchStrategicMerge: {metadata: {labels: {node: '{{ request.object.target.name }}'}}}";
    let there = listed(vec![object("Secret", "listener", json!({}))]);
    let outcome = judged(&rule("kinds: [Pod/binding], names: [web]", what), &bound, &there);
    assert_eq!(outcome.verdicts[0].targets[0].object["metadata"]["labels"]["node"], "node-1");
    assert!(judged(&rule("kinds: [Pod]", what), &bound, &there).verdicts.is_empty());

    let options = json!({"apiVersion": "v1", "kind": "PodExecOptions", "command": ["sh"]});
    let exec = Request {
        operation: Operation::Connect,
        resource: "pods".to_owned(),
        subresource: "exec".to_owned(),
        name: "web".to_owned(),
        namespace: "shop".to_owned(),
        ..Request::create(options)
    };
    let what = "    generate:
      apiVersion: v1
      kind: ConfigMap
      name: 'exec-{{ request.name }}'
      namespace: '{{ request.namespace }}'
      data: {data: {command: '{{ request.object.command[0] }}'}}";
    let outcome = judged(&rule("kinds: [Pod/exec]", what), &exec, &there);
    assert_eq!(outcome.verdicts[0].generated[0]["data"]["command"], "sh", "{:?}", outcome.verdicts);
}

#[test]
fn a_target_may_be_a_part_of_an_object() {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}});
    let what = "    mutate:
      targets: [{apiVersion: v1, kind: Node/status, name: node-1}]
      patchStrategicMerge: {status: {capacity: {example.com/dongle: '4'}}}";
    let trigger = Request::create(object("ConfigMap", "a", json!({})));
    let outcome = judged(&rule("kinds: [ConfigMap]", what), &trigger, &listed(vec![node]));
    let ChangedTarget { object, subresource } = &outcome.verdicts[0].targets[0];
    assert_eq!((subresource.as_str(), &object["status"]["capacity"]["example.com/dongle"]), ("status", &json!("4")));
}

#[test]
fn requests_of_the_controller_are_left_out_unless_a_policy_wants_them() {
    let mut own = Request::create(object("ConfigMap", "a", json!({})));
    own.by_controller = true;
    let asking = |more: &str| judged(&rule("kinds: [ConfigMap]", &format!("{more}{TELL2}")), &own, &two());
    assert!(asking("").verdicts.is_empty());
    assert!(asking("    skipBackgroundRequests: true\n").verdicts.is_empty());
    assert_eq!(asking("    skipBackgroundRequests: false\n").verdicts.len(), 1);
    let in_cel = |evaluation: &str| judged(&mutating(evaluation, ""), &own, &two());
    assert!(in_cel("{mutateExisting: {enabled: true}}").verdicts.is_empty());
    assert_eq!(in_cel("{mutateExisting: {enabled: true}, skipBackgroundRequests: false}").verdicts.len(), 1);
    // What is changed on the way in is left out as well.
    let set = load(mutating("{}", ""));
    assert!(set.evaluate_stages(&own, &two(), &[Stage::Mutate]).patched.is_none());
    own.by_controller = false;
    assert!(set.evaluate_stages(&own, &two(), &[Stage::Mutate]).patched.is_some());
}

const TELL2: &str = "    mutate:
      targets: [{apiVersion: v1, kind: Secret, namespace: shop, name: listener}]
      patchStrategicMerge: {metadata: {labels: {heard: 'yes'}}}";

fn two() -> Snapshot {
    listed(vec![object("ConfigMap", "a", json!({})), object("ConfigMap", "b", json!({}))])
}

fn mutating(evaluation: &str, more: &str) -> String {
    format!(
        "apiVersion: policies.kyverno.io/v1
kind: MutatingPolicy
metadata: {{name: after}}
spec:
  evaluation: {evaluation}
  matchConstraints:
    resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}}]
{more}
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: {{expression: 'Object{{metadata: Object.metadata{{labels: {{\"seen\": \"yes\"}}}}}}'}}
"
    )
}

fn names(outcome: &Outcome) -> Vec<String> {
    let targets = outcome.verdicts.iter().flat_map(|verdict| &verdict.targets);
    targets.map(|target| target.object["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn without_targets_a_mutating_policy_changes_all_that_it_matches() {
    let trigger = Request::create(object("ConfigMap", "a", json!({})));
    let policy = mutating("{mutateExisting: {enabled: true}}", "");
    assert_eq!(names(&judged(&policy, &trigger, &two())), ["a", "b"]);
    // The object of the request is changed on its way in, too.
    assert!(load(&policy).evaluate_stages(&trigger, &two(), &[Stage::Mutate]).patched.is_some());
    assert!(judged(&mutating("{}", ""), &trigger, &two()).verdicts.is_empty());
    // Of what is not known yet, the list is asked for.
    let outcome = judged(&policy, &trigger, &Snapshot::default());
    let call = MissingFact::ApiCall { call: "GET /api/v1/configmaps".to_owned(), body: String::new() };
    assert_eq!(outcome.missing_facts(), [call], "{:?}", outcome.verdicts);
    let list = json!({"apiVersion": "v1", "kind": "ConfigMapList", "items": [
        {"metadata": {"name": "c", "namespace": "shop"}}, 7, {"metadata": "broken"}]});
    let answered = Snapshot { api_calls: [("GET /api/v1/configmaps".to_owned(), list)].into(), ..Snapshot::default() };
    let outcome = judged(&policy, &trigger, &answered);
    assert_eq!(outcome.verdicts[0].targets[0].object["kind"], "ConfigMap");
    // A policy in a namespace looks there only.
    let own = policy.replace("kind: MutatingPolicy", "kind: NamespacedMutatingPolicy");
    let own = own.replace("{name: after}", "{name: after, namespace: shop}");
    let outcome = judged(&own, &trigger, &Snapshot::default());
    assert_eq!(
        outcome.missing_facts()[0].to_string(),
        "the answer to `GET /api/v1/namespaces/shop/configmaps` is not known"
    );
}

#[test]
fn targets_are_changed_where_the_operation_of_the_trigger_is_theirs_too() {
    let targets = |operations: &str| {
        format!(
            "  targetMatchConstraints:
    resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [{operations}], resources: [configmaps]}}]"
        )
    };
    let mut trigger = Request::create(object("ConfigMap", "a", json!({})));
    trigger.operation = Operation::Update;
    trigger.old_object.clone_from(&trigger.object);
    let on = "{mutateExisting: {enabled: true}}";
    assert_eq!(names(&judged(&mutating(on, &targets("CREATE, UPDATE")), &trigger, &two())).len(), 2);
    assert!(names(&judged(&mutating(on, &targets("CREATE")), &trigger, &two())).is_empty());
    // Switched off, such a policy does nothing at all.
    let (idle, faults) = PolicySet::load([("idle.yaml", mutating("{}", &targets("UPDATE")))]);
    assert_eq!((faults[0].line, faults[0].remedy.as_str()), (8, "set `evaluation.mutateExisting.enabled` to true"));
    assert!(idle.evaluate(&trigger, &two()).verdicts.is_empty());

    let resize = "  targetMatchConstraints:
    expression: resource.get('v1', 'pods', 'shop', 'web')
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [UPDATE], resources: [pods/resize]}]";
    let outcome = judged(&mutating(on, resize), &trigger, &listed(vec![object("Pod", "web", json!({}))]));
    assert_eq!(outcome.verdicts[0].targets[0].subresource, "resize", "{:?}", outcome.verdicts);
    let gone =
        judged(&mutating(on, resize), &trigger, &Snapshot { values: Some(Default::default()), ..listed(vec![]) });
    assert_eq!(gone.verdicts[0].status, Status::Error);
}

#[test]
fn a_generating_policy_follows_deletions_that_it_matches() {
    let policy = |operations: &str| {
        format!(
            "apiVersion: policies.kyverno.io/v1
kind: GeneratingPolicy
metadata: {{name: after}}
spec:
  evaluation: {{synchronize: {{enabled: true}}}}
  matchConstraints:
    resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [{operations}], resources: [configmaps]}}]
  generate:
  - expression: >-
      generator.Apply('shop', [{{'apiVersion': dyn('v1'), 'kind': dyn('ConfigMap'),
      'metadata': dyn({{'name': 'after-' + oldObject.metadata.name}})}}])
"
        )
    };
    let gone = deletion(object("ConfigMap", "gone", json!({})));
    let outcome = judged(&policy("CREATE, DELETE"), &gone, &Snapshot::default());
    assert_eq!(outcome.verdicts[0].generated[0]["metadata"]["name"], "after-gone", "{:?}", outcome.verdicts);
    assert!(judged(&policy("CREATE"), &gone, &Snapshot::default()).verdicts.is_empty());
    let named = |kind: &str| PolicyRef { kind: kind.to_owned(), namespace: String::new(), name: "after".to_owned() };
    assert!(load(policy("DELETE")).acts_on_deletions(&named("GeneratingPolicy"), ""));
    assert!(!load(policy("CREATE")).acts_on_deletions(&named("GeneratingPolicy"), ""));
    let plain = load(rule("kinds: [ConfigMap], operations: [DELETE]", MAKE));
    assert!(plain.acts_on_deletions(&named("ClusterPolicy"), "one"));
    assert!(!plain.acts_on_deletions(&named("ClusterPolicy"), "other"));
    assert!(!plain.acts_on_deletions(&named("Policy"), "one"));
}

#[test]
fn a_test_of_a_policy_that_changes_all_it_matches_is_about_the_object_itself() {
    let policy: &'static str = mutating("{mutateExisting: {enabled: true}}", "").leak();
    let files = [
        (
            "t/kyverno-test.yaml",
            "apiVersion: cli.kyverno.io/v1alpha1
kind: Test
metadata: {name: t}
policies: [policy.yaml]
resources: [map.yaml]
results:
- {isMutatingPolicy: true, policy: after, kind: ConfigMap, resources: [shop/a], patchedResources: after.yaml, result: pass}
",
        ),
        ("t/policy.yaml", policy),
        ("t/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}\n"),
        ("t/after.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop, labels: {seen: 'yes'}}\n"),
    ];
    let report = crate::documents::report(&files);
    let checks: Vec<_> = report.rows.iter().flat_map(|row| &row.checks).map(|one| (one.verdict, &one.reason)).collect();
    assert!(matches!(checks[..], [(CheckVerdict::Pass, _)]), "{checks:?}");
}
