//! Patches as tables.

use serde_json::{Value, json};

use super::anchors::{Unmet, resolve};
use super::difference::difference;
use super::json_patch;
use super::strategic::merge;

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"a": "1"}},
        "spec": {"containers": [{"name": "a", "image": "x:latest"}, {"name": "b", "image": "y:1", "imagePullPolicy": "Never"}]}})
}

#[test]
fn merges_with_anchors() {
    let containers = |value: Value| json!({"spec": {"containers": value}});
    let cases = [
        (json!({"metadata": {"labels": {"+(a)": "2", "+(b)": "3"}}}), "/metadata/labels", json!({"a": "1", "b": "3"})),
        (
            containers(json!([{"(image)": "*:latest", "imagePullPolicy": "Always"}])),
            "/spec/containers/0/imagePullPolicy",
            json!("Always"),
        ),
        (
            containers(json!([{"(image)": "*:latest", "imagePullPolicy": "Always"}])),
            "/spec/containers/1/imagePullPolicy",
            json!("Never"),
        ),
        (
            containers(json!([{"(name)": "*", "+(imagePullPolicy)": "Always"}])),
            "/spec/containers/1/imagePullPolicy",
            json!("Never"),
        ),
        (
            containers(json!([{"(name)": "*", "+(imagePullPolicy)": "Always"}])),
            "/spec/containers/0/imagePullPolicy",
            json!("Always"),
        ),
        (containers(json!([{"name": "c"}])), "/spec/containers/0/name", json!("c")),
        (containers(json!([{"name": "b", "image": "z"}])), "/spec/containers/0/image", json!("z")),
        (json!({"metadata": {"labels": {"a": null}}}), "/metadata/labels", json!({})),
        (json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}), "/spec/volumes/0/emptyDir", json!({})),
        (json!({"(kind)": "Pod", "x": {"(y)": 1}}), "/x", json!(null)),
    ];
    for (patch, pointer, expected) in cases {
        let resolved = resolve(&patch, &pod()).map_or_else(|_| json!({}), |resolved| resolved.view().to_value(""));
        let merged = merge(&pod(), &resolved);
        assert_eq!(merged.pointer(pointer).cloned().unwrap_or_default(), expected, "{patch}: {merged}");
    }
}

#[test]
fn tells_which_conditions_are_unmet() {
    let patch = json!({"spec": {"containers": [{"<(image)": "z", "a": 1}], "b": 2}});
    assert!(matches!(resolve(&patch, &pod()), Err(Unmet::Global(_))));
    let patch = json!({"spec": {"(hostNetwork)": true, "b": 2}});
    assert!(matches!(resolve(&patch, &pod()), Err(Unmet::Condition(_))));
}

#[test]
fn applies_json_patches() {
    let cases = [
        ("- {op: add, path: /spec/volumes/-, value: 1}", "/spec/volumes", json!([1])),
        ("- {op: add, path: /metadata/annotations/a~1b, value: x}", "/metadata/annotations/a~1b", json!("x")),
        ("- {op: remove, path: /spec/absent/x}", "/spec/absent", json!(null)),
        ("- {op: remove, path: /spec/containers/-1}", "/spec/containers/1", json!(null)),
        ("[{\"op\": \"replace\", \"path\": \"/metadata/name\", \"value\": \"q\"}]", "/metadata/name", json!("q")),
        ("- {op: move, from: /metadata/name, path: /metadata/other}", "/metadata/other", json!("p")),
        ("- {op: copy, from: /metadata/name, path: /x}", "/x", json!("p")),
    ];
    for (text, pointer, expected) in cases {
        let mut patched = pod();
        json_patch::apply(&mut patched, &json_patch::parse(text).unwrap()).unwrap();
        assert_eq!(patched.pointer(pointer).cloned().unwrap_or_default(), expected, "{text}");
    }
    for text in
        ["- {op: replace, path: /absent, value: 1}", "- {op: test, path: /kind, value: x}", "- {op: jump, path: /a}"]
    {
        assert!(json_patch::apply(&mut pod(), &json_patch::parse(text).unwrap()).is_err(), "{text}");
    }
}

#[test]
fn the_difference_leads_from_one_to_the_other() {
    let after = merge(
        &pod(),
        &json!({"metadata": {"labels": {"a": null, "b/c": "d"}}, "spec": {"containers": [{"name": "c"}]}}),
    );
    let operations = difference(&pod(), &after);
    let mut patched = pod();
    assert!(json_patch::apply(&mut patched, &operations).unwrap());
    assert_eq!(patched, after);
}
