//! Input that is meant to hurt: a clear error or verdict, within bounds.

use admission_policy::{Limits, PolicySet, Request, Snapshot, Status};
use serde_json::{Value, json};

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}})
}

fn rule(body: &str) -> String {
    format!(
        "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: p}}\nspec:\n  validationFailureAction: Enforce\n  rules:\n  - name: r\n    match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}\n{body}"
    )
}

fn verdict(policy: &str, object: Value) -> (Status, String) {
    let (set, faults) = PolicySet::load([("p.yaml", policy)]);
    assert!(!set.is_empty(), "{faults:?}");
    let outcome = set.evaluate(&Request::create(object), &Snapshot::default());
    outcome.verdicts.first().map(|one| (one.status, one.message.clone())).expect("a verdict")
}

#[test]
fn yaml_that_grows_is_set_aside_with_its_line() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let list = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", list.trim_end_matches(", ")));
    }
    let good = rule("    validate: {pattern: {metadata: {name: '?*'}}}\n");
    let deep = format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000));
    for bad in [bomb.as_str(), &deep, "a: *nobody", "\u{0}\u{1}", "&a [*a]"] {
        let (set, faults) = PolicySet::load([("bad.yaml", bad), ("good.yaml", &good)]);
        assert_eq!(set.len(), 1);
        assert!(faults.iter().all(|fault| fault.file == "bad.yaml"), "{faults:?}");
    }
    let (_, faults) = PolicySet::load([("bomb.yaml", &bomb)]);
    assert_eq!(faults.len(), 1, "{faults:?}");
}

#[test]
fn variables_that_produce_each_other_end_in_an_error() {
    for context in [
        "[{name: a, variable: {value: '{{ b }}'}}, {name: b, variable: {value: '{{ a }}'}}]",
        "[{name: a, variable: {value: '{{ a }}'}}]",
        "[{name: a, variable: {value: 'x'}}]",
    ] {
        let key = if context.contains("'x'") { "{{ nobody }}" } else { "{{ a }}" };
        let body = format!(
            "    context: {context}\n    validate: {{deny: {{conditions: {{all: [{{key: '{key}', operator: Equals, value: x}}]}}}}}}\n"
        );
        let (status, message) = verdict(&rule(&body), pod());
        assert_eq!(status, Status::Error, "{message}");
        assert!(message.contains("substitute"), "{message}");
    }
    // A label whose text is a variable is substituted again and again, as Kyverno does; it cannot go on for ever.
    let body = "    validate: {deny: {conditions: {all: [{key: 'x{{ request.object.metadata.labels.a }}', operator: Equals, value: x}]}}}\n";
    let mut object = pod();
    object["metadata"]["labels"] = json!({"a": "y{{ request.object.metadata.labels.a }}"});
    assert_eq!(verdict(&rule(body), object).0, Status::Error);
}

#[test]
fn variables_that_multiply_meet_their_limit() {
    let entries = |first: &str, next: &dyn Fn(usize) -> String| {
        let next: Vec<String> =
            (1..14).map(|at| format!("{{name: a{at}, variable: {{jmesPath: \"{}\"}}}}", next(at - 1))).collect();
        format!("[{{name: a0, variable: {{value: {first}}}}}, {}]", next.join(", "))
    };
    let ten = |name: usize| vec![format!("a{name}"); 10].join(", ");
    for context in [
        entries("[1, 2, 3]", &|name| format!("[{}]", ten(name))),
        entries("[1, 2, 3]", &|name| format!("{{x: [{}]}}", ten(name))),
        entries(&"x".repeat(64), &|name| format!("join('', [{}])", ten(name))),
        entries("[1, 2, 3]", &|name| format!("[a{name}, a{name}] | [@, @] | [@, @] | [@, @] | [@, @] | [@, @]")),
    ] {
        let body = format!(
            "    context: {context}\n    validate: {{deny: {{conditions: {{all: [{{key: '{{{{ length(a13) }}}}', operator: Equals, value: 1}}]}}}}}}\n"
        );
        let (status, message) = verdict(&rule(&body), pod());
        assert_eq!(status, Status::Error, "{message}");
        assert!(message.contains("limit") || message.contains("hold more than"), "{message}");
    }
}

#[test]
fn lists_within_lists_are_visited_up_to_a_limit() {
    let list = "foreach: [{list: request.object.spec.items, ";
    let innermost = "deny: {conditions: {all: [{key: '{{ element }}', operator: Equals, value: x}]}}";
    let body = format!("    validate: {{{list}{list}{list}{innermost}}}]}}]}}]}}\n");
    let mut object = pod();
    object["spec"]["items"] = (0..1_000).collect();
    let (status, message) = verdict(&rule(&body), object.clone());
    assert_eq!(status, Status::Error);
    assert!(message.contains("more than 100000 elements in all"), "{message}");
    object["spec"]["items"] = (0..40).collect();
    assert_eq!(verdict(&rule(&body), object).0, Status::Pass);
}

#[test]
fn patterns_of_catastrophic_shape_are_linear() {
    let text = "a".repeat(50_000);
    let bodies = [
        "    validate: {pattern: {metadata: {name: '*a*a*a*a*a*a*a*a*b'}}}\n",
        "    validate: {deny: {conditions: {all: [{key: \"{{ regex_match('(a+)+$b', request.object.metadata.name) }}\", operator: Equals, value: true}]}}}\n",
    ];
    for body in bodies {
        let mut object = pod();
        object["metadata"]["name"] = json!(text);
        verdict(&rule(body), object);
    }
    let big = "    validate: {deny: {conditions: {all: [{key: \"{{ regex_match('(((a{1000}){1000}){1000})', 'a') }}\", operator: Equals, value: true}]}}}\n";
    assert_eq!(verdict(&rule(big), pod()).0, Status::Error);
}

#[test]
fn expressions_that_never_end_meet_their_budget() {
    let million = "[0,1,2,3,4,5,6,7,8,9]".to_owned();
    let nested = format!(
        "{million}.all(a, {million}.all(b, {million}.all(c, {million}.all(d, {million}.all(e, {million}.all(f, {million}.all(g, a + b + c + d + e + f + g >= 0)))))))"
    );
    let policy = format!(
        "apiVersion: policies.kyverno.io/v1\nkind: ValidatingPolicy\nmetadata: {{name: p}}\nspec:\n  matchConstraints: {{resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}}]}}\n  validations: [{{expression: \"{nested}\"}}]\n"
    );
    let (status, message) = verdict(&policy, pod());
    assert_eq!(status, Status::Error);
    assert!(message.contains("cost"), "{message}");
}

#[test]
fn a_mutation_of_its_own_match_happens_once() {
    let policy = rule(
        "    mutate: {patchStrategicMerge: {metadata: {labels: {seen: 'x{{ request.object.metadata.labels.seen || '''' }}'}}}}\n",
    );
    let (set, _) = PolicySet::load([("p.yaml", &policy)]);
    let outcome = set.evaluate(&Request::create(pod()), &Snapshot::default());
    assert_eq!(outcome.patched.unwrap()["metadata"]["labels"]["seen"], json!("x"));
}

#[test]
fn ten_thousand_policies_touch_only_their_kinds() {
    let policy = |number: usize| {
        rule("    validate: {pattern: {metadata: {name: '?*'}}}\n")
            .replace("name: p}", &format!("name: p{number}}}"))
            .replace("kinds: [Pod]", if number.is_multiple_of(1_000) { "kinds: [Pod]" } else { "kinds: [Secret]" })
    };
    let (set, faults) = PolicySet::load((0..10_000).map(|number| (format!("{number}.yaml"), policy(number))));
    assert!(faults.is_empty());
    assert_eq!(set.len(), 10_000);
    assert_eq!(set.evaluate(&Request::create(pod()), &Snapshot::default()).verdicts.len(), 10);
}

#[test]
fn large_objects_and_lists_stay_within_the_limits() {
    let body = "    validate: {foreach: [{list: request.object.spec.containers, pattern: {image: '*:*'}}]}\n";
    let mut object = pod();
    object["spec"]["containers"] = (0..20_000).map(|_| json!({"name": "c", "image": "nginx:1"})).collect();
    let (status, message) = verdict(&rule(body), object.clone());
    assert_eq!(status, Status::Error);
    assert!(message.contains("20000 elements"), "{message}");
    let policy = rule("    validate: {pattern: {spec: {containers: [{image: '*:*'}]}}}\n");
    assert_eq!(verdict(&policy, object.clone()).0, Status::Pass);
    let (set, _) = PolicySet::load([("p.yaml", rule(body))]);
    let set = set.with_limits(Limits { max_foreach_elements: 100_000, ..Limits::default() });
    assert!(set.evaluate(&Request::create(object), &Snapshot::default()).allowed);
    let mut deep = json!("x");
    for _ in 0..100 {
        deep = json!({"a": deep});
    }
    let mut object = pod();
    object["spec"]["deep"] = deep;
    assert_eq!(verdict(&policy, object).0, Status::Pass);
}

#[test]
fn odd_texts_and_quantities_are_compared_as_kubernetes_does() {
    let cases = [
        ("'<=64Mi'", json!("0.0625Gi"), Status::Pass),
        ("'<=64Mi'", json!("67108865"), Status::Fail),
        ("'>1'", json!("1e3"), Status::Pass),
        ("'100m-2'", json!("1500m"), Status::Pass),
        ("'100m-2'", json!("99m"), Status::Fail),
        ("'<1'", json!("999999999999999999999999999"), Status::Fail),
        ("'?\u{e4}*'", json!("\u{1f980}\u{e4}\u{301}"), Status::Pass),
        ("'\u{202e}*'", json!("abc"), Status::Fail),
    ];
    for (pattern, value, expected) in cases {
        let policy = rule(&format!("    validate: {{pattern: {{spec: {{odd: {pattern}}}}}}}\n"));
        let mut object = pod();
        object["spec"]["odd"] = value.clone();
        let (status, message) = verdict(&policy, object);
        assert_eq!(status, expected, "{pattern} on {value}: {message}");
    }
}

#[test]
fn unknown_kinds_and_fields_are_said_or_passed_over() {
    let text = "apiVersion: kyverno.io/v9\nkind: Nonsense\nmetadata: {name: a}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n---\nkind: ClusterPolicy\n---\napiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: c}\nspec: {rules: 7}\n---\napiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: d}\nspec: {rules: [{name: r, match: {any: [{resources: {kinds: [Pod]}}]}, validate: {}}]}\n";
    let (set, faults) = PolicySet::load([("p.yaml", text)]);
    assert!(set.is_empty());
    let lines: Vec<u32> = faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines.first(), Some(&1), "{faults:#?}");
    assert!(faults.len() >= 3 && faults.iter().all(|fault| !fault.remedy.is_empty()), "{faults:#?}");
}
