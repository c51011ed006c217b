//! Conditions of a policy's webhook: which requests a policy sees at all.

use admission_policy::{PolicySet, Request, Snapshot, Status};
use model::FaultKind;
use serde_json::{Value, json};

fn policy(conditions: &str, more: &str) -> String {
    format!(
        "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: p}}\nspec:\n  {more}\n  webhookConfiguration:\n    matchConditions:\n{conditions}  rules:\n  - name: r\n    match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}\n    validate: {{failureAction: Enforce, message: refused, deny: {{}}}}\n"
    )
}

fn request(operation: &str, user: &str, labels: Value) -> Request {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop", "labels": labels},
        "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}});
    let (object, old) = if operation == "DELETE" { (Value::Null, pod) } else { (pod, Value::Null) };
    let review = json!({"request": {"uid": "u", "operation": operation, "namespace": "shop", "name": "web",
        "kind": {"group": "", "version": "v1", "kind": "Pod"}, "userInfo": {"username": user}, "object": object, "oldObject": old}});
    Request::from_review(&review).expect("the review is complete")
}

#[test]
fn a_policy_sees_only_requests_that_meet_its_conditions() {
    let not_nodes = "    - {name: not-nodes, expression: \"!request.userInfo.username.startsWith('system:node:')\"}\n";
    let labelled = "    - {name: labelled, expression: \"object.metadata.labels.tier == 'web'\"}\n";
    let both = format!("{not_nodes}{labelled}");
    let old = "    - {name: old, expression: \"oldObject != null && object == null\"}\n";
    let broken = "    - {name: broken, expression: \"object.spec.nobody == 1\"}\n";
    let decided = format!("{broken}{not_nodes}");
    let (web, none) = (json!({"tier": "web"}), json!({}));
    let cases = [
        (not_nodes, "CREATE", "jane", &none, Some(Status::Fail)),
        (not_nodes, "CREATE", "system:node:a", &none, None),
        (&both, "CREATE", "jane", &web, Some(Status::Fail)),
        (&both, "CREATE", "system:node:a", &web, None),
        (labelled, "CREATE", "jane", &json!({"tier": "db"}), None),
        (old, "DELETE", "jane", &none, Some(Status::Fail)),
        (old, "CREATE", "jane", &none, None),
        // What fails leads to the failure policy, unless another condition is false.
        (labelled, "CREATE", "jane", &none, Some(Status::Error)),
        (broken, "CREATE", "jane", &none, Some(Status::Error)),
        (&decided, "CREATE", "system:node:a", &none, None),
    ];
    for (conditions, operation, user, labels, expected) in cases {
        let (set, faults) = PolicySet::load([("p.yaml", policy(conditions, "failurePolicy: Fail"))]);
        assert!(faults.is_empty(), "{faults:?}");
        let request = request(operation, user, labels.clone());
        let outcome = set.evaluate(&request, &Snapshot::default());
        let status = outcome.verdicts.first().map(|verdict| verdict.status);
        assert_eq!(status, expected, "{conditions} {operation} {user}: {:?}", outcome.verdicts);
        assert_eq!(outcome.allowed, expected.is_none());
    }
}

#[test]
fn a_condition_that_fails_is_passed_over_where_failures_are_ignored() {
    let broken = "    - {name: broken, expression: \"object.spec.nobody == 1\"}\n";
    let (set, _) = PolicySet::load([("p.yaml", policy(broken, "failurePolicy: Ignore"))]);
    let outcome = set.evaluate(&request("CREATE", "jane", json!({})), &Snapshot::default());
    assert!(outcome.allowed && outcome.verdicts.is_empty(), "{:?}", outcome.verdicts);
}

#[test]
fn explanations_show_each_condition() {
    let nodes = "    - {name: nodes, expression: \"request.userInfo.username.startsWith('system:node:')\"}\n";
    let (set, _) = PolicySet::load([("p.yaml", policy(nodes, ""))]);
    let explanations = set.explain(&request("CREATE", "jane", json!({})), &Snapshot::default());
    let one = explanations.first().expect("a rule");
    assert!(!one.matched);
    let clause = one.clauses.iter().find(|clause| clause.clause == "matchConditions.nodes").expect("a clause");
    assert_eq!((clause.holds, clause.found.as_str()), (Some(false), "false"));
}

#[test]
fn a_broken_condition_sets_the_policy_aside_with_its_line() {
    let bad = "    - {name: fine, expression: 'true'}\n    - {name: bad, expression: 'object.('}\n";
    let (set, faults) = PolicySet::load([("p.yaml", policy(bad, ""))]);
    assert!(set.is_empty());
    let fault = faults.first().expect("a fault");
    assert_eq!((fault.kind, fault.line), (FaultKind::Invalid, 9), "{fault:?}");
}
