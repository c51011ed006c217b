//! Mutations one after the other: what each sees of the ones before, and what is left of one that fails.

use admission_policy::{Operation, Outcome, Request, Snapshot, Status};
use serde_json::{Value, json};

use crate::load;

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": [{"name": "a", "image": "x", "tty": true}, {"name": "b", "image": "y"}]}})
}

/// A policy that changes pods, with these rules.
fn evaluate(rules: &str) -> Outcome {
    judge(rules, &Request::create(pod()))
}

fn judge(rules: &str, request: &Request) -> Outcome {
    let head = |name: &str| {
        format!(
            "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: {name}}}\nspec:\n  failurePolicy: Ignore\n  rules:"
        )
    };
    let rules = rules.replace("MATCH", "match: {any: [{resources: {kinds: [Pod]}}]}").replace("HEAD", &head("q"));
    let set = load(format!("{}{rules}", head("p")));
    set.evaluate(request, &Snapshot::default())
}

fn at(outcome: &Outcome, pointer: &str) -> Value {
    let object = outcome.patched.as_ref();
    object.and_then(|object| object.pointer(pointer)).cloned().unwrap_or_default()
}

fn statuses(outcome: &Outcome) -> Vec<Status> {
    outcome.verdicts.iter().map(|verdict| verdict.status).collect()
}

/// Marks each container that has no mark yet.
const MARK: &str = "
  - name: NAME
    MATCH
    mutate:
      foreach:
      - list: request.object.spec.containers
        patchStrategicMerge: {spec: {containers: [{(name): '{{ element.name }}', +(workingDir): '/{{ elementIndex }}'}]}}";

#[test]
fn a_foreach_goes_through_what_the_rules_before_it_left() {
    let add = "
  - name: add
    MATCH
    mutate: {patchesJson6902: '[{op: add, path: /spec/containers/-, value: {name: c, image: z}}]'}";
    let nothing = "
  - name: nothing
    MATCH
    mutate: {patchesJson6902: '[{op: replace, path: /metadata/name, value: web}]'}";
    let rules = [MARK, nothing, add, MARK].concat().replacen("NAME", "first", 1).replace("NAME", "second");
    let outcome = evaluate(&rules);
    assert_eq!(statuses(&outcome), [Status::Pass, Status::Skip, Status::Pass, Status::Pass]);
    for (index, name) in ["a", "b", "c"].into_iter().enumerate() {
        let containers = at(&outcome, "/spec/containers");
        let own = containers.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
        assert_eq!(own["workingDir"], format!("/{index}"), "{containers}");
    }
}

#[test]
fn variables_of_a_foreach_tell_what_was_before_it() {
    let outcome = evaluate(
        "
  - name: count
    MATCH
    mutate:
      foreach:
      - list: request.object.spec.containers
        patchesJson6902: '[{op: add, path: /spec/containers/-, value: {name: \"n{{ request.object.spec.containers | length(@) }}\"}}]'
      - list: request.object.spec.containers[:1]
        patchesJson6902: '[{op: add, path: /metadata/labels, value: {seen: \"{{ request.object.spec.containers | length(@) }}\"}}]'",
    );
    assert_eq!(statuses(&outcome), [Status::Pass]);
    let names: Vec<Value> =
        at(&outcome, "/spec/containers").as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["a", "b", "n2", "n2"]);
    assert_eq!(at(&outcome, "/metadata/labels/seen"), "4");
}

#[test]
fn of_a_foreach_that_fails_nothing_is_left() {
    let first = "
      - list: request.object.spec.containers
        patchStrategicMerge: {metadata: {labels: {'{{ element.name }}': seen}}}";
    let later = "
      - list: request.object.spec.containers
        patchesJson6902: '[{op: replace, path: \"/spec/containers/{{ elementIndex }}/image\", value: new}, {op: test, path: \"/spec/containers/{{ elementIndex }}/name\", value: a}]'";
    let unresolved = "
      - list: request.object.spec.containers
        patchesJson6902: '[{op: add, path: /metadata/labels, value: {x: \"{{ element.tty }}\"}}]'";
    for (items, cause) in [(later, "failed to patch resource"), (unresolved, "variable substitution failed")] {
        for items in [items.to_owned(), [first, items].concat()] {
            // Its policy ends there; another sees the object as it was.
            let outcome = evaluate(&format!(
                "\n  - name: r\n    MATCH\n    mutate:\n      foreach:{items}{}\n---\nHEAD{}",
                MARK.replace("NAME", "never"),
                MARK.replace("NAME", "after")
            ));
            assert_eq!(statuses(&outcome), [Status::Error, Status::Pass], "{items}");
            assert_eq!(outcome.verdicts[1].rule, "after");
            let message = &outcome.verdicts[0].message;
            assert!(message.starts_with(&format!("failed to mutate elements: {cause}")), "{message}");
            assert_eq!(at(&outcome, "/metadata"), json!({"name": "web", "namespace": "shop"}));
            assert_eq!(
                at(&outcome, "/spec/containers/0"),
                json!({"name": "a", "image": "x", "tty": true, "workingDir": "/0"})
            );
        }
    }
}

#[test]
fn a_merge_of_unlike_kinds_is_refused() {
    let labels =
        "failed to patch resource: wrong node kind: expected MappingNode but got ScalarNode: node contents:\n\"x\"\n";
    let image = "failed to patch resource: wrong node kind: expected ScalarNode but got MappingNode: node contents:\n{\"a\": [1, true], \"b\": null}\n";
    let list = "failed to patch resource: failed to preProcess rule: wrong node kind: expected SequenceNode but got MappingNode: node contents:\n{\"name\": \"web\", \"namespace\": \"shop\"}\n";
    for (patch, expected) in [
        ("{metadata: x}", labels),
        ("{spec: {containers: [{(name): a, image: {b: null, a: [1, true]}}]}}", image),
        ("{metadata: [{(name): x, a: b}]}", list),
    ] {
        let outcome = evaluate(&format!("\n  - name: r\n    MATCH\n    mutate: {{patchStrategicMerge: {patch}}}"));
        assert_eq!(statuses(&outcome), [Status::Error], "{patch}");
        assert_eq!(outcome.verdicts[0].message, expected);
        assert!(outcome.patched.is_none());
    }
}

#[test]
fn tells_which_part_of_a_change_has_an_unknown_variable() {
    let unknown = "JMESPath query failed: Unknown key \"no\" in path";
    for (mutate, path) in [
        (
            "patchStrategicMerge: {metadata: {labels: {a: '{{ request.no }}'}}}",
            "/mutate/patchStrategicMerge/metadata/labels/a",
        ),
        (
            "patchStrategicMerge: {spec: {containers: [{(name): '*', image: '{{ request.no }}'}]}}",
            "/mutate/patchStrategicMerge/spec/containers/0/image",
        ),
        ("patchesJson6902: '[{op: add, path: /a, value: \"{{ request.no }}\"}]'", "/mutate/patchesJson6902"),
        (
            "foreach: [{list: request.object.spec.containers, patchStrategicMerge: {a: '{{ request.no }}'}}]",
            "/patchStrategicMerge/a",
        ),
        (
            "foreach: [{list: request.object.spec.containers, patchesJson6902: '[{op: add, path: /a, value: \"{{ request.no }}\"}]'}]",
            "/patchesJson6902",
        ),
    ] {
        let outcome = evaluate(&format!("\n  - name: r\n    MATCH\n    mutate:\n      {mutate}"));
        let message = &outcome.verdicts[0].message;
        let expected = format!("variable substitution failed: failed to resolve request.no at path {path}: {unknown}");
        assert!(message.ends_with(&expected), "{message}");
    }
    let outcome =
        evaluate("\n  - name: r\n    MATCH\n    mutate: {foreach: [{list: request.no, patchStrategicMerge: {a: b}}]}");
    assert_eq!(outcome.verdicts[0].message, format!("failed to evaluate list request.no: {unknown}: {unknown}"));
}

#[test]
fn a_change_makes_no_variable_that_was_not_there() {
    let rules = "
  - name: change
    MATCH
    mutate: {patchStrategicMerge: {metadata: {name: NAME}}}
  - name: no-object
    MATCH
    validate: {deny: {conditions: {all: [{key: \"{{ contains(keys(request), 'object') }}\", operator: Equals, value: true}]}}}";
    // Looked at in the background, what is gone is judged by what it was.
    let request = Request {
        operation: Operation::Delete,
        background: true,
        object: None,
        old_object: Some(pod()),
        ..Request::create(pod())
    };
    for (name, expected) in [("web", Status::Skip), ("other", Status::Pass)] {
        assert_eq!(statuses(&judge(&rules.replace("NAME", name), &request)), [expected, Status::Pass], "{name}");
    }
}

#[test]
fn the_current_value_is_what_the_object_has_at_the_place_of_a_patch() {
    let rules = "
  - name: loud
    MATCH
    mutate: {patchStrategicMerge: {metadata: {name: \"{{ to_upper('{{@}}') }}\", labels: {+(a.b/c): 'in-{{ @ }}'}}}}";
    // An anchor is part of the place, so that such a label is looked for under a name that no label has.
    assert_eq!(statuses(&evaluate(rules)), [Status::Error]);
    let outcome = evaluate(&rules.replace("+(a.b/c): 'in-{{ @ }}'", "x: y"));
    assert_eq!(at(&outcome, "/metadata/name"), "WEB", "{:?}", outcome.verdicts);
    let pattern = "
  - name: same
    MATCH
    validate: {message: \"{{@}}\", pattern: {spec: {x: {kind: '{{@}}'}}}}";
    let outcome = evaluate(pattern);
    assert_eq!(outcome.verdicts[0].status, Status::Fail);
    assert!(outcome.verdicts[0].message.contains("name:web"), "{}", outcome.verdicts[0].message);
}

#[test]
fn a_policy_may_warn_of_what_it_changes() {
    let policy = |more: &str| {
        let text = format!(
            "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {{name: add-labels}}
spec:
  emitWarning: true
  {more}
  rules:
  - name: add
    match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}
    mutate: {{patchStrategicMerge: {{metadata: {{labels: {{foo: bar}}}}}}}}
  - name: nothing
    match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}
    mutate: {{patchStrategicMerge: {{metadata: {{labels: {{foo: bar}}}}}}}}
"
        );
        load(text).evaluate(&Request::create(pod()), &Snapshot::default()).warnings
    };
    let said = ["policy add-labels.add: mutated Pod/web in namespace shop"];
    assert_eq!(policy(""), said);
    assert_eq!(policy("validationFailureAction: Enforce"), said);
    assert!(
        policy("").len() == 1
            && evaluate(
                "
  - name: quiet
    MATCH
    mutate: {patchStrategicMerge: {metadata: {labels: {foo: bar}}}}"
            )
            .warnings
            .is_empty()
    );
}
