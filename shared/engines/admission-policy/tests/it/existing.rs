//! Policies that act on what is there already: which there are, and what they make of an object that nobody asks for.

use admission_policy::{Operation, Outcome, Request, Snapshot, Stage, Status};
use serde_json::{Value, json};

use crate::load;

const PLAIN: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: quota}
spec:
  background: false
  SPEC
  rules:
  - name: make
    match: {any: [{resources: {kinds: [Namespace], operations: [CREATE]}, subjects: [{kind: User, name: ann}]}]}
    generate:
      apiVersion: v1
      kind: ConfigMap
      name: made
      namespace: '{{ request.object.metadata.name }}'
      GENERATE
      data: {data: {asked: \"{{ request.operation || 'never' }}\"}}
  - name: tell
    match: {any: [{resources: {kinds: [apps/v1/Deployment, Pod/exec]}}]}
    mutate:
      MUTATE
      targets: [{apiVersion: v1, kind: Secret, namespace: shop, name: listener}]
      patchStrategicMerge: {metadata: {labels: {last: '{{ request.object.metadata.name }}'}}}
";

fn plain(spec: &str, generate: &str, mutate: &str) -> String {
    PLAIN.replace("SPEC", spec).replace("GENERATE", generate).replace("MUTATE", mutate)
}

fn standing(policies: &str) -> Vec<String> {
    let found = load(policies).standing();
    found.iter().map(|one| format!("{}/{} {}", one.policy.name, one.rule, one.operation.as_str())).collect()
}

#[test]
fn a_rule_says_itself_whether_it_acts_on_what_is_there_or_its_policy_does() {
    assert!(standing(&plain("", "", "")).is_empty());
    let both = "generateExisting: true\n  mutateExistingOnPolicyUpdate: true";
    assert_eq!(standing(&plain(both, "", "")), ["quota/make CREATE", "quota/tell CREATE"]);
    let (make, tell) = ("generateExisting: true", "mutateExistingOnPolicyUpdate: true");
    assert_eq!(standing(&plain("", make, "")), ["quota/make CREATE"]);
    assert_eq!(standing(&plain("", "", tell)), ["quota/tell CREATE"]);
    assert_eq!(standing(&plain(both, "generateExisting: false", "")), ["quota/tell CREATE"]);
    let found = load(plain(both, "", "")).standing();
    let kinds: Vec<_> = found.iter().map(|one| (one.targets.len(), one.targets[0].kind.as_str())).collect();
    assert_eq!(kinds, [(1, "Namespace"), (1, "Deployment")], "parts of objects are nothing that is there");
}

#[test]
fn another_text_is_another_version_and_other_notes_are_none() {
    let version = |text: &str| load(text).standing()[0].version;
    let one = plain("generateExisting: true", "", "");
    assert_eq!(version(&one), version(&one.replace("name: quota", "name: quota, annotations: {a: b}")));
    assert_ne!(version(&one), version(&one.replace("name: made", "name: other")));
}

fn judged(policies: &str, request: &Request, objects: Vec<Value>) -> Outcome {
    let listed = ["ConfigMap", "Secret", "Node"].map(|kind| ("v1".to_owned(), kind.to_owned(), String::new()));
    let snapshot = Snapshot { objects, listed: listed.into(), ..Snapshot::default() };
    load(policies).evaluate_stages(request, &snapshot, &[Stage::Generate])
}

fn object(kind: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop"}})
}

#[test]
fn what_is_there_is_judged_whoever_asked_for_it_and_whatever_is_reported() {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    let outcome =
        judged(&plain("generateExisting: true", "", ""), &Request::existing(namespace, Operation::Create), Vec::new());
    let made = &outcome.verdicts[0].generated[0];
    assert_eq!((&made["metadata"]["namespace"], &made["data"]["asked"]), (&json!("shop"), &json!("never")));
}

const CHANGING: &str = "apiVersion: policies.kyverno.io/v1
kind: MutatingPolicy
metadata: {name: label}
spec:
  evaluation: {mutateExisting: {enabled: true}, background: {enabled: false}}
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [DELETE], resources: [configmaps]}]
  matchConditions: [{name: never, expression: 'false'}]
  TARGETS
  targetMatchConditions: [{name: named, expression: \"object.metadata.name.startsWith('a')\"}]
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: {expression: 'Object{metadata: Object.metadata{labels: {\"on\": request.operation}}}'}
";

#[test]
fn a_mutating_policy_that_comes_into_force_changes_each_object_that_it_means_for_itself() {
    let targets = "targetMatchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [UPDATE], resources: [secrets, nodes/status]}]";
    let policy = CHANGING.replace("TARGETS", targets);
    let found = load(&policy).standing();
    assert_eq!((found[0].rule.as_str(), found[0].operation), ("", Operation::Update));
    let kinds: Vec<&str> = found[0].targets.iter().map(|target| target.resource.as_str()).collect();
    assert_eq!(kinds, ["secrets", "nodes"]);
    let others = vec![object("Secret", "a-2"), object("ConfigMap", "a-3")];
    let changed = |object: Value| {
        let outcome = judged(&policy, &Request::existing(object, Operation::Update), others.clone());
        let targets = outcome.verdicts.iter().flat_map(|verdict| &verdict.targets);
        let told = targets.map(|target| (target.object["metadata"]["labels"].clone(), target.subresource.clone()));
        told.collect::<Vec<_>>()
    };
    let on = json!({"on": "UPDATE"});
    assert_eq!(changed(object("Secret", "a-1")), [(on.clone(), String::new())], "itself, and no other");
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a-node"}});
    assert_eq!(changed(node), [(on, "status".to_owned())]);
    assert!(changed(object("Secret", "b-1")).is_empty(), "not under the conditions");
    assert!(changed(object("ConfigMap", "a-3")).is_empty(), "what starts the policy is no target");
}

#[test]
fn targets_that_an_expression_names_are_found_from_what_starts_the_policy() {
    let targets =
        "targetMatchConstraints: {expression: \"resource.Get('v1', 'secrets', 'shop', object.metadata.name)\"}";
    let policy = CHANGING.replace("TARGETS", targets).replace("expression: 'false'", "expression: 'true'");
    let found = load(&policy).standing();
    assert_eq!(found[0].targets[0].resource, "configmaps");
    let request = Request::existing(object("ConfigMap", "a-1"), Operation::Update);
    let outcome = judged(&policy, &request, vec![object("Secret", "a-1"), object("Secret", "a-2")]);
    let names: Vec<_> =
        outcome.verdicts[0].targets.iter().map(|target| target.object["metadata"]["name"].clone()).collect();
    assert_eq!((names, outcome.verdicts[0].status), (vec![json!("a-1")], Status::Pass), "{:?}", outcome.verdicts);
}

#[test]
fn a_generating_policy_acts_on_what_is_there_where_it_says_so() {
    let policy = "apiVersion: policies.kyverno.io/v1
kind: NamespacedGeneratingPolicy
metadata: {name: beside, namespace: shop}
spec:
  evaluation: {generateExisting: {enabled: true}}
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [UPDATE], resources: [configmaps]}]
  generate:
  - expression: >-
      generator.Apply('shop', [{'apiVersion': dyn('v1'), 'kind': dyn('Secret'),
      'metadata': dyn({'name': request.operation.lowerAscii() + '-' + object.metadata.name})}])
";
    assert_eq!(standing(policy), ["beside/ CREATE"]);
    assert!(standing(&policy.replace("enabled: true", "enabled: false")).is_empty());
    let outcome = judged(policy, &Request::existing(object("ConfigMap", "a"), Operation::Create), Vec::new());
    assert_eq!(outcome.verdicts[0].generated[0]["metadata"]["name"], json!("create-a"));
}
