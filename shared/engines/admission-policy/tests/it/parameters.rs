//! `validate.cel` rules: parameters from the cluster, and what the cluster says somebody may do.

use admission_policy::{MissingFact, Outcome, PolicySet, Request, Snapshot, Status};
use model::FaultKind;
use serde_json::{Value, json};

use crate::load;

fn rule(cel: &str) -> String {
    format!(
        "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {{name: limits}}
spec:
  background: false
  rules:
  - name: limits
    match: {{any: [{{resources: {{kinds: [Deployment]}}}}]}}
    validate:
      failureAction: Enforce
      cel:
{}
",
        cel.lines().map(|line| format!("        {line}\n")).collect::<String>()
    )
}

fn judge(cel: &str, objects: &[Value], listed: bool) -> Outcome {
    let set = load(rule(cel));
    let mut snapshot = Snapshot { objects: objects.to_vec(), ..Snapshot::default() };
    if listed {
        snapshot.listed.insert(("example.com/v1".to_owned(), "Limit".to_owned(), String::new()));
    }
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"replicas": 5}});
    set.evaluate(&Request::create(object), &snapshot)
}

fn limit(name: &str, namespace: &str, most: u64) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Limit", "most": most,
        "metadata": {"name": name, "namespace": namespace, "labels": {"of": namespace}}})
}

const NAMED: &str = "paramKind: {apiVersion: example.com/v1, kind: Limit}
paramRef: {name: small, parameterNotFoundAction: Deny}
expressions: [{expression: object.spec.replicas <= params.most, messageExpression: \"'at most ' + string(params.most)\"}]";

#[test]
fn rules_take_their_limits_from_objects() {
    let small = [limit("small", "shop", 3), limit("small", "other", 9), limit("large", "shop", 9)];
    let outcome = judge(NAMED, &small, false);
    assert_eq!(outcome.verdicts[0].message, "at most 3");
    assert!(!outcome.allowed);
    assert!(judge(NAMED, &[limit("small", "shop", 5)], false).allowed);
    let elsewhere = NAMED.replace("name: small", "name: small, namespace: other");
    assert!(judge(&elsewhere, &small, false).allowed);
    // Every object that a selector finds counts.
    let selected = NAMED.replace("name: small", "selector: {matchLabels: {of: shop}}");
    assert!(!judge(&selected, &small, true).allowed);
    assert!(judge(&selected, &small[2..], true).allowed);
}

#[test]
fn a_rule_without_its_parameters_ends_as_it_says() {
    let outcome = judge(NAMED, &[], false);
    let fact = MissingFact::Objects {
        api_version: "example.com/v1".to_owned(),
        kind: "Limit".to_owned(),
        namespace: "shop".to_owned(),
    };
    assert_eq!(outcome.missing_facts(), [fact]);
    assert_eq!((outcome.verdicts[0].status, outcome.allowed), (Status::Error, false));
    let outcome = judge(NAMED, &[], true);
    assert_eq!((outcome.verdicts[0].status, outcome.missing_facts().len()), (Status::Error, 0), "{outcome:#?}");
    assert!(judge(&NAMED.replace("Deny", "Allow"), &[], true).allowed);
}

#[test]
fn tells_what_a_reference_lacks() {
    for (cel, part) in [
        ("paramKind: {apiVersion: v1, kind: ConfigMap}\nexpressions: [{expression: 'true'}]", "needs a `paramRef`"),
        (&*NAMED.replace("parameterNotFoundAction: Deny", ""), "has to be Allow or Deny"),
        (&*NAMED.replace("name: small, ", ""), "either a `name` or a `selector`"),
        (&*NAMED.replace(", kind: Limit", ""), "needs an `apiVersion` and a `kind`"),
    ] {
        let (_, faults) = PolicySet::load([("limits.yaml", rule(cel))]);
        assert!(
            faults.iter().any(|fault| fault.kind == FaultKind::Invalid && fault.what.contains(part)),
            "{part}: {faults:#?}"
        );
    }
}

#[test]
fn the_cluster_says_what_somebody_may_do() {
    let text = rule(
        "expressions:
- expression: authorizer.serviceAccount('ci', 'deployer').group('apps').resource('deployments').namespace('shop').check('delete').allowed()
  message: the deployer may not delete",
    );
    let set = load(text);
    let object =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}});
    let request = Request::create(object);
    let missing = set.evaluate(&request, &Snapshot::default()).missing_facts();
    let [MissingFact::ApiCall { call, body }] = missing.as_slice() else { panic!("{missing:?}") };
    assert_eq!(call, "POST /apis/authorization.k8s.io/v1/subjectaccessreviews");
    let asked: Value = serde_json::from_str(body).unwrap();
    assert_eq!(asked["spec"]["user"], "system:serviceaccount:ci:deployer");
    assert_eq!(
        asked["spec"]["resourceAttributes"],
        json!({"group": "apps", "version": "*", "resource": "deployments", "namespace": "shop", "verb": "delete"})
    );
    for allowed in [true, false] {
        let answer = json!({"status": {"allowed": allowed}});
        let api_calls = [(format!("{call} {body}"), answer)].into();
        let outcome = set.evaluate(&request, &Snapshot { api_calls, ..Snapshot::default() });
        assert_eq!(outcome.allowed, allowed, "{outcome:#?}");
    }
}

/// Without a receiver of its own, it is about who asks and what for.
#[test]
fn who_asks_is_asked_about() {
    let text = rule(
        "expressions:
- expression: authorizer.requestResource.check('custom').allowed() || authorizer.path('/healthz').check('get').allowed()",
    );
    let set = load(text);
    let review = json!({"request": {"uid": "1", "operation": "CREATE", "name": "web", "namespace": "shop",
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "userInfo": {"username": "jane", "groups": ["dev"]},
        "object": {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}}}});
    let missing = set.evaluate(&Request::from_review(&review).unwrap(), &Snapshot::default()).missing_facts();
    let bodies: Vec<Value> = missing
        .iter()
        .map(|fact| match fact {
            MissingFact::ApiCall { body, .. } => serde_json::from_str(body).unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    let about = json!({"group": "apps", "version": "v1", "resource": "deployments", "namespace": "shop", "name": "web", "verb": "custom"});
    assert!(bodies.iter().any(|body| body["spec"]["resourceAttributes"] == about), "{bodies:#?}");
    let path = json!({"path": "/healthz", "verb": "get"});
    assert!(bodies.iter().any(|body| body["spec"]["nonResourceAttributes"] == path), "{bodies:#?}");
    assert!(bodies.iter().all(|body| body["spec"]["user"] == "jane" && body["spec"]["groups"] == json!(["dev"])));
}
