//! Laws that hold for every policy and object.

use admission_policy::{Outcome, PolicySet, Request, Snapshot, Stage, Status};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

/// Names of the verdicts, with everything that people see of them.
fn told(outcome: &Outcome) -> Vec<String> {
    let one = |verdict: &admission_policy::RuleVerdict| {
        format!("{} {} {} {}", verdict.policy.name, verdict.rule, verdict.status.as_str(), verdict.message)
    };
    let mut lines: Vec<String> = outcome.verdicts.iter().map(one).collect();
    lines.sort();
    lines
}

fn policy(name: &str, kind: &str, body: &Value) -> Value {
    json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": name},
        "spec": {"rules": [{"name": "r", "match": {"any": [{"resources": {"kinds": [kind]}}]}, "context": [], "preconditions": {},
            "validate": body.get("validate").cloned().unwrap_or_default(), "mutate": body.get("mutate").cloned().unwrap_or_default()}]}})
}

fn load(policies: &[Value]) -> PolicySet {
    let texts: Vec<(String, String)> =
        policies.iter().enumerate().map(|(at, policy)| (format!("{at}.yaml"), policy.to_string())).collect();
    let (set, faults) = PolicySet::load(texts);
    assert!(faults.is_empty(), "{faults:#?}");
    set
}

fn container() -> impl Strategy<Value = Value> {
    let image = select(vec!["nginx:latest", "nginx:1.2", "busybox", "ghcr.io/a/b:c"]);
    let memory = select(vec![None, Some("64Mi"), Some("1Gi"), Some("2000m")]);
    let privileged = select(vec![None, Some(true), Some(false)]);
    (image, memory, privileged).prop_map(|(image, memory, privileged)| {
        let mut out = json!({"image": image});
        if let Some(memory) = memory {
            out["resources"] = json!({"limits": {"memory": memory}});
        }
        if let Some(privileged) = privileged {
            out["securityContext"] = json!({"privileged": privileged});
        }
        out
    })
}

fn pod_spec() -> impl Strategy<Value = Value> {
    let flags = subsequence(vec!["hostNetwork", "hostPID"], 0..=2);
    (proptest::collection::vec(container(), 1..4), flags).prop_map(|(containers, flags)| {
        let named = containers.into_iter().zip(["a", "b", "c"]).map(|(mut container, name)| {
            container["name"] = json!(name);
            container
        });
        let mut spec = json!({"containers": named.collect::<Vec<_>>()});
        for flag in flags {
            spec[flag] = json!(true);
        }
        spec
    })
}

fn pod() -> impl Strategy<Value = Value> {
    (pod_spec(), proptest::collection::hash_map(select(vec!["app", "team"]), select(vec!["x", "y"]), 0..3)).prop_map(
        |(spec, labels)| {
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n", "labels": labels}, "spec": spec})
        },
    )
}

fn pod_pattern() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"spec": {"containers": [{"image": "!*:latest"}]}}),
        json!({"spec": {"containers": [{"(image)": "*:latest", "resources": {"limits": {"memory": "<1Gi"}}}]}}),
        json!({"spec": {"=(hostNetwork)": false, "X(hostPID)": "null"}}),
        json!({"spec": {"^(containers)": [{"image": "nginx*"}]}}),
        json!({"spec": {"containers": [{"=(securityContext)": {"=(privileged)": "false"}}]}}),
        json!({"spec": {"containers": [{"name": "{{ request.object.spec.containers[0].name }} | b"}]}}),
    ])
}

fn patch() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"metadata": {"labels": {"+(app)": "z", "team": "w"}}}),
        json!({"spec": {"containers": [{"(image)": "*:latest", "imagePullPolicy": "Always"}]}}),
        json!({"spec": {"containers": [{"(name)": "*", "+(imagePullPolicy)": "Always"}]}}),
        json!({"spec": {"containers": [{"name": "side", "image": "side:1"}]}}),
        json!({"spec": {"containers": [{"name": "b", "env": [{"name": "E", "value": "1"}]}], "hostPID": null}}),
        json!({"spec": {"<(hostNetwork)": true, "dnsPolicy": "ClusterFirstWithHostNet"}}),
        json!({"metadata": {"annotations": {"a/b~c": "{{ request.object.metadata.name }}"}}}),
    ])
}

fn wrapped(inner: &Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "p", "namespace": "n"},
        "spec": {"template": {"metadata": inner["metadata"], "spec": inner["spec"]}}})
}

/// Any JSON, with the characters that the language gives meaning to.
fn any_json() -> impl Strategy<Value = Value> {
    let text = select(vec![
        "a",
        "*",
        "!a*",
        ">1Gi",
        "1-2",
        "a|b&c",
        "{{ a }}",
        "{{ request.object }}",
        "$(./../a)",
        "(",
        "",
        "é?",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f32>().prop_map(|number| json!(number)),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let key = select(vec![
            "a", "(a)", "=(a)", "X(a)", "^(a)", "<(a)", "+(a)", "metadata", "labels", "*", "name", "$patch", "{{ a }}",
        ]);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec((key, inner), 0..4).prop_map(|fields| Value::Object(
                fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>()
            )),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_policies_does_not_change_verdicts(pod in pod(), patterns in proptest::collection::vec(pod_pattern(), 1..5)) {
        let policies: Vec<Value> = patterns.iter().enumerate()
            .map(|(at, pattern)| policy(&format!("p{at}"), "Pod", &json!({"validate": {"message": "m", "pattern": pattern}})))
            .collect();
        let backwards: Vec<Value> = policies.iter().rev().cloned().collect();
        let request = Request::create(pod);
        let there = load(&policies).evaluate(&request, &Snapshot::default());
        let back = load(&backwards).evaluate(&request, &Snapshot::default());
        prop_assert_eq!(told(&there), told(&back));
        let again = load(&policies).evaluate(&request, &Snapshot::default());
        prop_assert_eq!(format!("{:?}", there.verdicts), format!("{:?}", again.verdicts));
    }

    #[test]
    fn rules_made_for_controllers_equal_rules_written_for_them(pod in pod(), pattern in pod_pattern()) {
        let text = |value: &Value| value.to_string().replace("request.object.spec", "request.object.spec.template.spec");
        let inner: Value = serde_json::from_str(&text(&pattern)).unwrap();
        let made = policy("p", "Pod", &json!({"validate": {"pattern": pattern}}));
        let by_hand = policy("p", "Deployment", &json!({"validate": {"pattern": {"spec": {"template": inner}}}}));
        let request = Request::create(wrapped(&pod));
        let made = load(&[made]).evaluate(&request, &Snapshot::default());
        let by_hand = load(&[by_hand]).evaluate(&request, &Snapshot::default());
        let plain = |outcome: &Outcome| -> Vec<String> { told(outcome).iter().map(|line| line.replace("autogen-", "")).collect() };
        prop_assert_eq!(plain(&made), plain(&by_hand));
    }

    #[test]
    fn a_merge_applied_twice_equals_once(pod in pod(), patch in patch()) {
        let set = load(&[policy("p", "Pod", &json!({"mutate": {"patchStrategicMerge": patch}}))]);
        let once = set.evaluate_stages(&Request::create(pod.clone()), &Snapshot::default(), &[Stage::Mutate]);
        prop_assert!(once.verdicts.iter().all(|verdict| verdict.status != Status::Error), "{:?}", told(&once));
        let changed = once.patched.unwrap_or(pod);
        let twice = set.evaluate_stages(&Request::create(changed.clone()), &Snapshot::default(), &[Stage::Mutate]);
        prop_assert_eq!(twice.patched.unwrap_or(changed.clone()), changed);
    }

    #[test]
    fn the_patch_makes_the_patched_object(pod in pod(), patches in proptest::collection::vec(patch(), 1..4)) {
        let policies: Vec<Value> = patches.iter().enumerate()
            .map(|(at, patch)| policy(&format!("p{at}"), "Pod", &json!({"mutate": {"patchStrategicMerge": patch}})))
            .collect();
        let outcome = load(&policies).evaluate(&Request::create(pod.clone()), &Snapshot::default());
        let operations: json_patch::Patch = serde_json::from_value(Value::Array(outcome.patch)).unwrap();
        let mut object = pod.clone();
        json_patch::patch(&mut object, &operations).unwrap();
        prop_assert_eq!(object, outcome.patched.unwrap_or(pod));
    }

    #[test]
    fn nothing_panics(pattern in any_json(), object in any_json(), conditions in any_json()) {
        let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "a": object});
        let pattern = json!({"a": pattern});
        for body in [json!({"validate": {"pattern": pattern}}), json!({"validate": {"deny": {"conditions": conditions}}}),
            json!({"mutate": {"patchStrategicMerge": pattern}}), json!({"mutate": {"patchesJson6902": conditions.to_string()}})] {
            let text = policy("p", "Pod", &body).to_string();
            let (set, _) = PolicySet::load([("p.yaml", text)]);
            let request = Request::create(object.clone());
            let _ = set.evaluate(&request, &Snapshot::default());
            let _ = set.explain(&request, &Snapshot::default());
        }
    }

    #[test]
    fn any_text_loads_or_is_told_of(text in ".{0,200}") {
        let (set, faults) = PolicySet::load([("p.yaml", text.as_str())]);
        prop_assert!(set.is_empty());
        prop_assert!(faults.iter().all(|fault| fault.line > 0 && !fault.remedy.is_empty()), "{faults:?}");
    }
}
