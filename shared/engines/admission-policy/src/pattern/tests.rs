//! Patterns against resources, as a table.

use serde_json::{Value, json};

use super::{compile, matches};

/// `ok`, `skip`, or the path of the mismatch (`undecided` when there is none).
fn verdict(resource: &Value, pattern: &Value) -> String {
    match matches(resource, &compile(pattern)) {
        Ok(()) => "ok".to_owned(),
        Err(mismatch) if mismatch.skip => "skip".to_owned(),
        Err(mismatch) if mismatch.path.is_empty() => "undecided".to_owned(),
        Err(mismatch) => mismatch.path,
    }
}

#[test]
fn judges_anchors() {
    let pod = json!({"metadata": {"labels": {"app.kubernetes.io/name": "web"}},
        "spec": {"hostNetwork": true, "containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:latest"}]}});
    let cases = [
        (json!({"spec": {"containers": [{"image": "*:*"}]}}), "ok"),
        (json!({"spec": {"containers": [{"image": "!*:latest"}]}}), "/spec/containers/1/image/"),
        (
            json!({"spec": {"containers": [{"(image)": "*:latest", "imagePullPolicy": "Always"}]}}),
            "/spec/containers/1/imagePullPolicy/",
        ),
        (json!({"spec": {"containers": [{"(image)": "z", "imagePullPolicy": "Always"}]}}), "skip"),
        (json!({"spec": {"=(hostNetwork)": false}}), "/spec/hostNetwork/"),
        (json!({"spec": {"=(hostPID)": false}}), "ok"),
        (json!({"spec": {"X(hostNetwork)": "null"}}), "/spec/hostNetwork/"),
        (json!({"spec": {"X(hostPID)": "null", "hostIPC": true}}), "/spec/hostIPC/"),
        (json!({"spec": {"^(volumes)": [{"name": "v"}], "hostIPC": true}}), "undecided"),
        (json!({"spec": {"^(containers)": [{"name": "b"}]}}), "ok"),
        (json!({"spec": {"^(containers)": [{"name": "c"}]}}), "/spec/containers/"),
        (json!({"spec": {"<(hostNetwork)": false, "x": 1}}), "skip"),
        (json!({"spec": {"<(absent)": false, "hostNetwork": true}}), "ok"),
        (json!({"metadata": {"labels": {"app.kubernetes.io/*": "?*"}}}), "ok"),
        (json!({"metadata": {"=(labels)": {"app.kubernetes.io/*": "w*", "other": true, "more": {"a": 1}}}}), "ok"),
        (json!({"metadata": {"=(labels)": {"other": "true"}}}), "/metadata/labels/other/"),
        (json!({"metadata": {"labels": {"other/*": "?*"}}}), "/metadata/labels/other/*/"),
        (json!({"spec": {"containers": "*"}}), "ok"),
        (json!({"spec": {"volumes": "*"}}), "/spec/"),
        (json!({"spec": {"hostNetwork": {}}}), "/spec/hostNetwork/"),
        (json!({"spec": {"volumes": null}}), "ok"),
    ];
    for (pattern, expected) in cases {
        assert_eq!(verdict(&pod, &pattern), expected, "{pattern}");
    }
}

/// What is not meant below one key says nothing about its neighbours; a condition in the map itself does.
#[test]
fn judges_each_anchored_key_for_itself() {
    let pod = |main: bool, init: bool| {
        json!({"containers": [{"image": "shop/web:1", "stdin": main}, {"image": "mesh/proxy:1"}],
            "initContainers": [{"image": "shop/init:1", "stdin": init}], "hostPID": true})
    };
    let each = json!([{"(image)": "shop/*", "stdin": false}]);
    let none = json!([{"(image)": "other/*", "stdin": false}]);
    let cases = [
        (pod(false, false), json!({"=(containers)": each, "=(initContainers)": each}), "ok"),
        (pod(false, true), json!({"=(containers)": none, "=(initContainers)": each}), "/initContainers/0/stdin/"),
        (pod(true, false), json!({"=(containers)": each, "=(initContainers)": none}), "/containers/0/stdin/"),
        (pod(false, false), json!({"=(containers)": none, "=(initContainers)": each}), "ok"),
        (pod(true, true), json!({"=(containers)": none, "=(initContainers)": none}), "skip"),
        (pod(true, true), json!({"=(containers)": none, "=(absent)": none}), "ok"),
        (pod(true, true), json!({"=(containers)": none, "=(absent)": none, "hostPID": false}), "/hostPID/"),
        (pod(true, true), json!({"(hostPID)": false, "=(initContainers)": each}), "skip"),
        (pod(true, true), json!({"(hostPID)": true, "=(initContainers)": each}), "/initContainers/0/stdin/"),
    ];
    for (spec, pattern, expected) in cases {
        let (resource, pattern) = (json!({"spec": spec}), json!({"spec": pattern}));
        let expected = if expected.starts_with('/') { format!("/spec{expected}") } else { expected.to_owned() };
        assert_eq!(verdict(&resource, &pattern), expected, "{pattern}");
    }
    let pattern = json!({"spec": {"=(containers)": none, "=(initContainers)": none}});
    let skipped = matches(&json!({"spec": pod(true, true)}), &compile(&pattern)).unwrap_err();
    assert!(skipped.message.contains("/spec/containers/0/image/") && skipped.message.contains("; "), "{skipped:?}");
    assert!(skipped.message.ends_with("/spec/initContainers/0/image/"), "{skipped:?}");
}

#[test]
fn judges_scalars() {
    let cases = [
        (json!("100Mi"), json!("<1Gi"), true),
        (json!("2Gi"), json!("<1Gi"), false),
        (json!(80), json!("1-1024"), true),
        (json!(80), json!("1!-1024"), false),
        (json!("30s"), json!("<= 1m"), true),
        (json!("b"), json!("a | b"), true),
        (json!("ab"), json!("a* & !ac"), true),
        (json!(true), json!("true"), true),
        (json!("5"), json!(5), true),
        (json!(5.0), json!(5), true),
        (json!(""), json!(null), true),
        (json!([1, 2]), json!(">0"), true),
        (json!([1, 0]), json!(">0"), false),
        (json!(null), json!("?*"), false),
        (json!(null), json!("!x"), false),
        (json!("0"), json!("0"), true),
        (json!("Mi"), json!(">1"), false),
    ];
    for (value, pattern, expected) in cases {
        assert_eq!(verdict(&value, &pattern) == "ok", expected, "{value} against {pattern}");
    }
}
