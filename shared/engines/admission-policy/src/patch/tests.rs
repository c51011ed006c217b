//! Patches as tables.

use serde_json::{Value, json};

use super::anchors::{Unmet, resolve};
use super::difference::difference;
use super::json_patch;
use super::strategic::merge;
use super::strict;

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
fn what_a_patch_takes_away_is_in_nothing_new() {
    let patch = json!({"metadata": {"x": null}, "spec": {
        "x": {"k": null, "z": {"q": null}, "l": [{"a": null, "b": 1}]},
        "containers": [{"name": "new", "tty": null}, {"name": "a", "resources": {"limits": {"cpu": null, "memory": "1Mi"}}}],
        "initContainers": [{"name": "first", "tty": null}, {"name": "second", "$patch": "delete"}]}});
    let merged = merge(&pod(), &patch);
    for (pointer, expected) in [
        ("/metadata", json!({"name": "p", "labels": {"a": "1"}})),
        ("/spec/x", json!({"z": {}, "l": [{"a": null, "b": 1}]})),
        ("/spec/containers/0", json!({"name": "new"})),
        ("/spec/containers/1/resources", json!({"limits": {"memory": "1Mi"}})),
        ("/spec/initContainers", json!([{"name": "first"}])),
    ] {
        assert_eq!(merged.pointer(pointer), Some(&expected), "{pointer}");
    }
}

#[test]
fn an_item_must_have_the_keys_of_the_one_that_it_changes() {
    let ports = |ports: Value| json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a", "ports": ports}]}});
    let tcp = json!({"containerPort": 80, "protocol": "TCP"});
    let named = |port: &Value| {
        let mut port = port.clone();
        port["name"] = json!("web");
        port
    };
    let bare = json!({"containerPort": 80});
    for (own, change, expected) in [
        (json!([tcp]), named(&tcp), json!([named(&tcp)])),
        (json!([bare]), named(&bare), json!([named(&bare)])),
        // Without the protocol that the port has, it finds none, and is no new one either.
        (json!([tcp]), named(&bare), json!([tcp])),
        (json!([bare]), named(&tcp), json!([named(&tcp), bare])),
        (json!([tcp]), json!({"containerPort": 81}), json!([{"containerPort": 81}, tcp])),
    ] {
        let merged = merge(&ports(own), &ports(json!([change])));
        assert_eq!(merged.pointer("/spec/containers/0/ports"), Some(&expected), "{change}");
    }
}

#[test]
fn strict_json_patches_make_nothing_on_the_way() {
    let patched = |operations: Value| {
        let mut object = pod();
        strict::apply(&mut object, operations.as_array().unwrap()).map(|()| object).map_err(|error| error.to_string())
    };
    for (operation, pointer, expected) in [
        (json!({"op": "add", "path": "/metadata/labels/b~1c", "value": "x"}), "/metadata/labels/b~1c", json!("x")),
        (json!({"op": "add", "path": "/spec/containers/-", "value": 1}), "/spec/containers/2", json!(1)),
        (
            json!({"op": "add", "path": "/spec/containers/-1/image", "value": "z"}),
            "/spec/containers/1/image",
            json!("z"),
        ),
        (json!({"op": "replace", "path": "/metadata/annotations", "value": {}}), "/metadata/annotations", json!({})),
        (json!({"op": "replace", "path": "", "value": {"a": 1}}), "/a", json!(1)),
        (json!({"op": "copy", "from": "/metadata/no", "path": "/metadata/x"}), "/metadata/x", json!(null)),
        (json!({"op": "move", "from": "/metadata/name", "path": "/metadata/x"}), "/metadata/x", json!("p")),
        (json!({"op": "test", "path": "/metadata/no", "value": null}), "/metadata/name", json!("p")),
        (json!({"op": "remove", "path": "/spec/containers/0"}), "/spec/containers/0/name", json!("b")),
    ] {
        let object = patched(json!([operation])).unwrap();
        assert_eq!(object.pointer(pointer), Some(&expected), "{operation}");
    }
    for (operation, expected) in [
        (
            json!({"op": "add", "path": "/metadata/annotations/x", "value": 1}),
            "add operation does not apply: doc is missing path: \"/metadata/annotations/x\": missing value",
        ),
        (
            json!({"op": "add", "path": "", "value": {}}),
            "add operation does not apply: doc is missing path: \"\": missing value",
        ),
        (
            json!({"op": "add", "path": "/kind/x", "value": 1}),
            "add operation does not apply: doc is missing path: \"/kind/x\": missing value",
        ),
        (
            json!({"op": "add", "path": "/spec/containers/7", "value": 1}),
            "error in add for path: '/spec/containers/7': Unable to access invalid index: 7: invalid index referenced",
        ),
        (
            json!({"op": "remove", "path": "/metadata/no"}),
            "error in remove for path: '/metadata/no': Unable to remove nonexistent key: no: missing value",
        ),
        (
            json!({"op": "remove", "path": "/no/x"}),
            "remove operation does not apply: doc is missing path: \"/no/x\": missing value",
        ),
        (
            json!({"op": "replace", "path": "/no/x", "value": 1}),
            "replace operation does not apply: doc is missing path: /no/x: missing value",
        ),
        (json!({"op": "replace", "path": "", "value": 1}), "replace operation value must be object or array"),
        (
            json!({"op": "move", "from": "/metadata/no", "path": "/x"}),
            "error in move for path: 'no': Unable to remove nonexistent key: no: missing value",
        ),
        (
            json!({"op": "copy", "from": "/no/x", "path": "/x"}),
            "copy operation does not apply: doc is missing from path: /no/x: missing value",
        ),
        (json!({"op": "jump", "path": "/x"}), "Unexpected kind: jump"),
        (json!({"op": "add", "value": 1}), "a patch operation has no path"),
        (json!({"op": "move", "path": "/x"}), "move operation has no `from`"),
    ] {
        assert_eq!(patched(json!([operation])).unwrap_err(), expected, "{operation}");
    }
    assert_eq!(
        patched(json!([{"op": "test", "path": "/kind", "value": "x"}])).unwrap_err(),
        "testing value /kind failed"
    );
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
