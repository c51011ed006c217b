//! What rules say of variables that have no value, in Kyverno's words: people search for them.

use admission_policy::{Request, Snapshot, Status};
use serde_json::{Value, json};

use crate::load;

/// What a rule says whose condition asks for `key` of a pod with these containers.
fn said(key: &str, containers: &Value) -> (Status, String) {
    let set = load(format!(
        "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: p}}\nspec:\n  rules:\n  - name: r\n    match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}\n    validate:\n      message: refused\n      deny: {{conditions: {{all: [{{key: \"{{{{ {key} }}}}\", operator: AnyIn, value: [docker.io, 7]}}]}}}}\n"
    ));
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "shop"}, "spec": {"containers": containers}});
    let verdict = set.evaluate(&Request::create(pod), &Snapshot::default()).verdicts.remove(0);
    (verdict.status, verdict.message)
}

#[test]
fn queries_that_fail_are_told_with_their_cause() {
    let containers = json!([{"name": "c", "image": "nginx"}]);
    for (key, cause) in [
        ("request.object.spec.no", "Unknown key \"no\" in path"),
        (
            "to_upper(request.object.spec)",
            "Invalid type for: map[containers:[map[image:nginx name:c]]], expected: []jmespath.JpType{\"string\"}",
        ),
        ("keys(request.object.spec.no || 'x')", "Invalid type for: x, expected: []jmespath.JpType{\"object\"}"),
        ("length(`3.5`)", "Invalid type for: 3.5, expected: []jmespath.JpType{\"string\", \"array\", \"object\"}"),
        (
            "contains(request.object.spec.no || `null`, 'a')",
            "Invalid type for: <nil>, expected: []jmespath.JpType{\"array\", \"string\"}",
        ),
        (
            "sort(['a', `1`])",
            "Invalid type for: [a 1], expected: []jmespath.JpType{\"array[string]\", \"array[number]\"}",
        ),
        ("length('a', 'b')", "incorrect number of args"),
        ("add(`1`, 'x')", "JMESPath function 'add': invalid operand"),
    ] {
        let expected = format!(
            "failed to check deny conditions: failed to substitute variables in condition key: failed to resolve {key} at path : JMESPath query failed: {cause}"
        );
        assert_eq!(said(key, &containers), (Status::Error, expected));
    }
}

#[test]
fn an_image_that_is_none_leaves_no_images_to_ask_for() {
    let key = "images.containers.*.registry";
    let bad = |image: &str, whole: &str, why: &str| {
        format!(
            "invalid image '{image}' (bad image: {whole}, defaultRegistry: docker.io, enableDefaultRegistryMutation: true: {why})"
        )
    };
    let (format, case) = ("invalid reference format", "repository name must be lowercase");
    let image = |text: &str| json!([{"name": "good", "image": "ghcr.io/a/b:1"}, {"name": "bad", "image": text}]);
    for (containers, cause) in [
        (image("Nginx"), bad("Nginx", "docker.io/Nginx", case)),
        (image("nginx:-x"), bad("nginx:-x", "docker.io/nginx:-x", format)),
        (image("nginx@sha256:00"), bad("nginx@sha256:00", "docker.io/nginx@sha256:00", format)),
        (image("https://ghcr.io/a/b"), bad("https://ghcr.io/a/b", "https://ghcr.io/a/b", format)),
        (json!(["nginx"]), "invalid image config".to_owned()),
        (json!([{"image": "nginx"}]), "invalid key".to_owned()),
        (json!("nginx"), "invalid type".to_owned()),
    ] {
        let expected = format!(
            "failed to check deny conditions: failed to substitute variables in condition key: failed to resolve {key} at path : {cause}"
        );
        assert_eq!(said(key, &containers), (Status::Error, expected), "{containers}");
    }
    // What else there is in the object is asked for as ever.
    assert_eq!(said("request.object.spec.containers[].image", &image("Nginx")).0, Status::Pass);
    assert_eq!(said(key, &json!([{"name": "c", "image": "nginx"}, {"name": "none"}])).0, Status::Fail);
}
