//! Policies in CEL beside their verdict: audit annotations, packed texts, calls of services.

use admission_policy::{HttpAnswer, MissingFact, Outcome, PolicySet, Request, Snapshot};
use serde_json::json;

use crate::load;

/// A policy that lets pods in for which the expression is true.
fn asking(expression: &str) -> String {
    format!(
        "apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {{name: asking}}
spec:
  validationActions: [Deny]
  matchConstraints:
    resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}}]
  validations: [{{expression: \"{expression}\"}}]"
    )
}

/// What a policy says about a pod of team `a`.
fn judged(policy: &str, snapshot: &Snapshot) -> Outcome {
    let set = load(policy);
    let object =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"team": "a"}}, "spec": {}});
    set.evaluate(&Request::create(object), snapshot)
}

#[test]
fn audit_annotations_are_told_with_the_policy_and_fail_it_when_they_fail() {
    let policy = |value: &str, check: &str| {
        format!(
            "{}
  auditAnnotations:
  - {{key: team, valueExpression: \"{value}\"}}
  - {{key: none, valueExpression: 'null'}}
  - {{key: empty, valueExpression: \"''\"}}
",
            asking(check)
        )
    };
    let judge = |value: &str, check: &str| judged(&policy(value, check), &Snapshot::default());
    for (check, allowed) in [("true", true), ("false", false)] {
        let outcome = judge("'of ' + object.metadata.labels.team", check);
        assert_eq!(outcome.allowed, allowed);
        let found: Vec<_> =
            outcome.audit_annotations.iter().map(|(key, value)| format!("{}/{}={value}", key.0, key.1)).collect();
        assert_eq!(found, ["asking/team=of a"]);
        let answer = outcome.review("u", |_| String::new());
        assert_eq!(answer["response"]["auditAnnotations"], json!({"asking.team": "of a"}));
    }
    for (value, expected) in [("object.spec.missing", "failed to evaluate auditAnnotation 'team'"), ("1", "it is int")]
    {
        let outcome = judge(value, "true");
        assert!(!outcome.allowed && outcome.audit_annotations.is_empty());
        assert!(outcome.verdicts[0].message.contains(expected), "{}", outcome.verdicts[0].message);
    }
    let twice = policy("'a'", "true").replace("key: none", "key: team");
    let (_, faults) = PolicySet::load([("p.yaml", twice.as_str())]);
    assert!(faults[0].what.contains("`team` is there twice"), "{faults:#?}");
}

#[test]
fn gzip_is_bounded_and_services_are_called_with_headers_and_tell_their_status() {
    let judge = |expression: &str, snapshot: &Snapshot| judged(&asking(expression), snapshot);
    let none = Snapshot::default();
    assert!(judge("gzip.decompress(gzip.compress('kyverno')) == 'kyverno'", &none).allowed);
    assert!(
        judge("gzip.decompress(base64.decode('H4sIADP4umkAA8uuLEstyssHAOgPnDMHAAAA')) == 'kyverno'", &none).allowed
    );
    let broken = judge("gzip.decompress(b'x') == ''", &none);
    assert!(broken.verdicts[0].message.contains("gzip: invalid header"), "{}", broken.verdicts[0].message);

    let asks = "http.client('').get('https://a.example', {'x-key': 'k'}).statusCode == 404 && http.get('https://a.example', {'x-key': 'k'}).why == 'none'";
    let outcome = judge(asks, &none);
    let [MissingFact::Http(call)] = &outcome.missing_facts()[..] else { panic!("{:?}", outcome.missing_facts()) };
    assert_eq!((call.method.as_str(), call.headers["x-key"].as_str()), ("GET", "k"));
    assert!(!format!("{call:?}").contains("x-key"), "headers may hold secrets");
    let answer = HttpAnswer { status: 404, body: json!({"why": "none"}) };
    let known = Snapshot { http_calls: [(call.clone(), answer)].into(), ..Snapshot::default() };
    assert!(judge(asks, &known).allowed, "{}", judge(asks, &known).message);
    // What is no map stands beside the status.
    let text = "http.post('https://a.example', {'a': 1}).body == null && http.post('https://a.example', {'a': 1}).statusCode == 500";
    let missing = judge(text, &none).missing_facts();
    let [MissingFact::Http(call)] = &missing[..] else { panic!("{missing:?}") };
    assert_eq!(call.body, r#"{"a":1}"#);
    let known = Snapshot {
        http_calls: [(call.clone(), HttpAnswer { status: 500, ..HttpAnswer::default() })].into(),
        ..Snapshot::default()
    };
    assert!(judge(text, &known).allowed);
    let outcome = judge("http.client('no pem').get('https://a.example') == null", &none);
    assert!(outcome.verdicts[0].message.contains("failed to parse PEM CA bundle"), "{}", outcome.verdicts[0].message);
}
