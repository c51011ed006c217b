//! Policies beside a cluster: which objects there are to judge, what is asked of it, and what of it counts.

use std::cell::RefCell;
use std::collections::BTreeMap;

use admission_policy::testing::{Answer, Files, Given, ReadError, Surroundings};
use admission_policy::{GroupVersionKind, MissingFact, Snapshot, Status};
use serde_json::{Value, json};

use crate::load;

/// Files, and a cluster that has a config map.
#[derive(Default)]
struct World {
    files: BTreeMap<String, String>,
    asked: RefCell<Vec<String>>,
}

impl Files for World {
    fn read(&self, path: &str) -> Result<String, ReadError> {
        self.files.get(path).cloned().ok_or(ReadError::Absent)
    }

    fn list(&self, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn gather(&self, missing: &[MissingFact], facts: &mut Snapshot) -> bool {
        let mut is_new = false;
        for fact in missing {
            self.asked.borrow_mut().push(fact.to_string());
            match fact {
                MissingFact::ConfigMap(name) => {
                    facts.config_maps.insert(name.clone(), json!({"data": {"most": "2"}}));
                    is_new = true;
                }
                MissingFact::Objects { api_version, kind, namespace } => {
                    let limits = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"most": "1"},
                        "metadata": {"name": "limits", "namespace": "shop"}});
                    facts.objects.push(limits);
                    facts.listed.insert((api_version.clone(), kind.clone(), namespace.clone()));
                    is_new = true;
                }
                _ => {}
            }
        }
        is_new
    }
}

impl World {
    fn of(policies: &str) -> (Self, Given) {
        let files = [("policies.yaml".to_owned(), policies.to_owned())].into();
        let given = Given { policies: vec!["policies.yaml".to_owned()], ..Given::default() };
        (Self { files, ..Self::default() }, given)
    }
}

fn pod(name: &str, namespace: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": {"containers": []}})
}

fn statuses(answers: &[Answer]) -> Vec<Status> {
    answers.iter().flat_map(|answer| &answer.verdicts).map(|verdict| verdict.status).collect()
}

#[test]
fn the_kinds_are_those_that_some_policy_can_be_about() {
    let rule = |matches: &str| {
        format!(
            "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: p, annotations: {{pod-policies.kyverno.io/autogen-controllers: none}}}}\n\
             spec: {{background: false, rules: [{{name: r, match: {matches}, validate: {{message: m, deny: {{}}}}}}]}}\n"
        )
    };
    let in_cel = |resources: &str| {
        format!(
            "apiVersion: policies.kyverno.io/v1\nkind: ValidatingPolicy\nmetadata: {{name: p}}\nspec:\n  autogen: {{podControllers: {{controllers: []}}}}\n  \
             matchConstraints: {{resourceRules: [{{apiGroups: [apps], apiVersions: [v1], resources: [{resources}], operations: [CREATE]}}]}}\n  \
             validations: [{{expression: 'true'}}]\n"
        )
    };
    let kinds = [("", "v1", "Pod", "pods"), ("apps", "v1", "Deployment", "deployments"), ("", "v1", "Node", "nodes")];
    for (policy, expected) in [
        (rule("{any: [{resources: {kinds: [Pod]}}]}"), "pods"),
        (rule("{any: [{resources: {kinds: [apps/v1/Deploy*, v1/Node]}}]}"), "deployments nodes"),
        (rule("{any: [{resources: {kinds: [Pod/exec]}}]}"), ""),
        (rule("{any: [{resources: {kinds: ['*']}}]}"), "pods deployments nodes"),
        (rule("{any: [{resources: {kinds: [Pod]}}, {resources: {names: [a]}}]}"), "pods deployments nodes"),
        (rule("{all: [{resources: {kinds: [Pod]}}, {resources: {names: [a]}}]}"), "pods"),
        (in_cel("deployments, pods/exec"), "deployments"),
        (in_cel("deployments/*"), "deployments"),
        (in_cel("deployments/scale"), ""),
        (in_cel("'*'"), "deployments"),
    ] {
        let subjects = load(&policy).subjects();
        let is_meant = |(group, version, kind, plural): &&(&str, &str, &str, &str)| {
            let [group, version, kind] = [*group, *version, *kind].map(str::to_owned);
            let kind = GroupVersionKind { group, version, kind };
            subjects.iter().any(|subject| subject.is_about(&kind, plural))
        };
        let found: Vec<&str> = kinds.iter().filter(is_meant).map(|(.., plural)| *plural).collect();
        assert_eq!(found.join(" "), expected, "{policy}");
    }
}

const LOOKS_UP: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: looks-up}
spec:
  rules:
  - name: few
    match: {any: [{resources: {kinds: [Pod]}}]}
    context:
    - {name: limits, configMap: {name: limits, namespace: '{{ request.namespace }}'}}
    - {name: count, apiCall: {urlPath: /api/v1/pods, jmesPath: items | length(@)}}
    validate:
      message: too many
      deny: {conditions: {any: [{key: '{{ count }}', operator: GreaterThan, value: '{{ limits.data.most }}'}]}}
";

#[test]
fn a_cluster_is_asked_for_what_nobody_gives() {
    let (world, mut given) = World::of(LOOKS_UP);
    let cluster = Surroundings::default();
    given.variables = vec![("count".to_owned(), json!("3"))];
    let (mut session, faults) = given.begin(&world, Some(&cluster)).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(statuses(&session.judge(pod("a", "shop"), "pods")), [Status::Fail]);
    assert_eq!(statuses(&session.judge(pod("b", "bank"), "pods")), [Status::Fail]);
    // What was found for one object is asked for again for the next: it may be another answer.
    let asked = world.asked.take();
    assert_eq!(asked, ["configmap shop/limits is not known", "configmap bank/limits is not known"]);
    // Without a value the call is asked for too; that nobody tells is an error, not an empty answer.
    given.variables.clear();
    let (mut session, _) = given.begin(&world, Some(&cluster)).unwrap();
    assert_eq!(statuses(&session.judge(pod("a", "shop"), "pods")), [Status::Error]);
    assert!(world.asked.take().contains(&"the answer to `GET /api/v1/pods` is not known".to_owned()));
    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}});
    assert!(session.judge(other, "configmaps").is_empty());
}

const BOUND: &str = "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: few}
spec:
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
  validations: [{expression: 'size(object.spec.containers) < int(params.data.most)', message: too many}]
";

fn binding(policy: &str, namespace: &str) -> Value {
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": policy}, "spec": {"policyName": policy, "validationActions": ["Deny"],
        "paramRef": {"name": "limits", "namespace": "shop", "parameterNotFoundAction": "Deny"},
        "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}}})
}

#[test]
fn bindings_of_the_cluster_count_where_no_file_binds_the_policy() {
    let labels = |name: &str| (name.to_owned(), [("kubernetes.io/metadata.name".to_owned(), name.to_owned())].into());
    let cluster = Surroundings {
        manifests: vec![("a".to_owned(), binding("few", "bank")), ("b".to_owned(), binding("other", "bank"))],
        namespace_labels: [labels("shop"), labels("bank")].into(),
    };
    let judged = |policies: &str| {
        let (world, given) = World::of(policies);
        let (mut session, faults) = given.begin(&world, Some(&cluster)).unwrap();
        assert!(faults.is_empty(), "{faults:?}");
        ["shop", "bank"].map(|namespace| statuses(&session.judge(pod("a", namespace), "pods")))
    };
    // The parameter is looked up in the cluster as well.
    assert_eq!(judged(BOUND), [vec![], vec![Status::Pass]]);
    assert_eq!(judged(&format!("{BOUND}---\n{}\n", binding("few", "shop"))), [vec![Status::Pass], vec![]]);
}

#[test]
fn exceptions_of_the_cluster_count() {
    let policy = "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: never}\nspec: {rules: [{name: r, \
        match: {any: [{resources: {kinds: [Pod]}}]}, validate: {message: m, deny: {}}}]}\n";
    let exception = json!({"apiVersion": "kyverno.io/v2", "kind": "PolicyException", "metadata": {"name": "free", "namespace": "ops"},
        "spec": {"exceptions": [{"policyName": "never", "ruleNames": ["r"]}],
            "match": {"any": [{"resources": {"kinds": ["Pod"], "namespaces": ["shop"]}}]}}});
    let cluster = Surroundings { manifests: vec![("x".to_owned(), exception)], ..Surroundings::default() };
    let (world, given) = World::of(policy);
    let (mut session, _) = given.begin(&world, Some(&cluster)).unwrap();
    assert_eq!(session.exceptions(), 1);
    assert_eq!(statuses(&session.judge(pod("a", "shop"), "pods")), [Status::Skip]);
    assert_eq!(statuses(&session.judge(pod("a", "bank"), "pods")), [Status::Fail]);
}

#[test]
fn cleanups_say_what_would_go() {
    let policy = "apiVersion: kyverno.io/v2\nkind: ClusterCleanupPolicy\nmetadata: {name: old}\nspec:\n  schedule: '@daily'\n  \
        match: {any: [{resources: {kinds: [Pod]}}]}\n  \
        conditions: {any: [{key: '{{ target.metadata.namespace }}', operator: Equals, value: shop}]}\n";
    let (world, given) = World::of(policy);
    let cluster = Surroundings::default();
    let (mut session, faults) = given.begin(&world, Some(&cluster)).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(session.subjects().len(), 1);
    let judged = ["shop", "bank"].map(|namespace| session.judge(pod("a", namespace), "pods"));
    let said = judged.map(|answers| answers[0].verdicts[0].message.clone());
    assert_eq!(said, ["resource a is to be deleted", "the object does not meet the conditions"]);
}
