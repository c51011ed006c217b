//! Rules that no corpus covers: image signatures, cleanup, existing objects, copies, and explanations.

use std::collections::BTreeMap;

use admission_policy::{
    Attestation, ImageTrust, MissingFact, PolicySet, Request, Snapshot, Stage, Status, attestor_key,
};
use model::Timestamp;
use serde_json::{Value, json};

use crate::load;

fn pod(image: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": image}]}})
}

const SIGNED: &str = "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: signed}
spec:
  validationFailureAction: Enforce
  rules:
  - name: by-us
    match: {any: [{resources: {kinds: [Pod]}}]}
    verifyImages:
    - imageReferences: ['registry.example/*']
      skipImageReferences: ['registry.example/free/*']
      attestors:
      - count: 1
        entries:
        - keys: {publicKeys: KEY-A}
        - keys: {publicKeys: KEY-B}
      attestations:
      - type: https://example.com/scan
        conditions: [{all: [{key: '{{ critical }}', operator: Equals, value: 0}]}]
";

fn trust(signed: bool, critical: Option<u64>) -> Snapshot {
    let key = |name: &str| attestor_key(&json!({"keys": {"publicKeys": name}}));
    let attestation = |count| Attestation {
        predicate_type: "https://example.com/scan".to_owned(),
        predicate: json!({"critical": count}),
        signatures: BTreeMap::new(),
    };
    let facts = ImageTrust {
        digest: "sha256:aa".to_owned(),
        signatures: [(key("KEY-A"), false), (key("KEY-B"), signed)].into(),
        attestations: Some(critical.map(attestation).into_iter().collect()),
        ..ImageTrust::default()
    };
    Snapshot { image_trust: [("registry.example/app:1".to_owned(), facts)].into(), ..Snapshot::default() }
}

#[test]
fn verifies_images_from_facts() {
    let set = load(SIGNED);
    let cases = [
        (trust(true, Some(0)), Status::Pass, "verified image attestations for registry.example/app:1"),
        (trust(false, Some(0)), Status::Fail, ".attestors[0].entries[1].keys: no matching signatures"),
        (trust(true, Some(3)), Status::Fail, "attestation checks failed"),
        (trust(true, None), Status::Fail, "no matching attestation"),
        (Snapshot::default(), Status::Error, "the signatures of image registry.example/app:1 are not known"),
    ];
    for (snapshot, status, message) in cases {
        let outcome = set.evaluate(&Request::create(pod("registry.example/app:1")), &snapshot);
        let verdict = &outcome.verdicts[0];
        assert_eq!(verdict.status, status, "{}", verdict.message);
        assert!(verdict.message.contains(message), "{}", verdict.message);
        assert_eq!(outcome.allowed, status == Status::Pass);
        let image = outcome.patched.as_ref().and_then(|pod| pod.pointer("/spec/containers/0/image"));
        assert_eq!(image.is_some(), status == Status::Pass);
    }
    let outcome = set.evaluate(&Request::create(pod("registry.example/app:1")), &Snapshot::default());
    assert!(
        matches!(&outcome.missing_facts()[..], [MissingFact::ImageTrust { attestors, .. }] if attestors.len() == 2)
    );
    let outcome = set.evaluate(&Request::create(pod("registry.example/free/app:1")), &Snapshot::default());
    assert!(outcome.verdicts.is_empty());
}

#[test]
fn cleans_up_what_conditions_select() {
    let set = load(
        "
apiVersion: kyverno.io/v2
kind: ClusterCleanupPolicy
metadata: {name: old}
spec:
  schedule: '*/5 * * * *'
  match: {any: [{resources: {kinds: [Pod]}}]}
  conditions:
    all: [{key: \"{{ time_since('', '{{ target.metadata.creationTimestamp }}', '') }}\", operator: GreaterThan, value: 1h}]
",
    );
    let aged = |name: &str, created: &str| {
        let mut pod = pod("nginx");
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["creationTimestamp"] = json!(created);
        pod
    };
    let objects =
        vec![aged("old", "2026-01-01T00:00:00Z"), aged("new", "2026-01-01T09:59:00Z"), json!({"kind": "Service"})];
    let now = Timestamp::from_millis(1_767_261_600_000); // 2026-01-01T10:00:00Z
    let schedule = &set.cleanup_schedules()[0];
    let found = set.clean_up(&schedule.policy, (&objects, &Snapshot::default()), now);
    assert!(found.errors.is_empty(), "{:?}", found.errors);
    let names: Vec<_> = found.delete.iter().map(|object| object["metadata"]["name"].clone()).collect();
    assert_eq!(names, ["old"]);
}

#[test]
fn changes_existing_objects() {
    let set = load(
        "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: mark}
spec:
  rules:
  - name: mark-secrets
    match: {any: [{resources: {kinds: [ConfigMap]}}]}
    mutate:
      targets:
      - {apiVersion: v1, kind: Secret, namespace: '{{ request.object.metadata.namespace }}', name: 's*'}
      patchStrategicMerge:
        metadata: {labels: {marked: '{{ request.object.metadata.name }}-{{ target.metadata.name }}'}}
",
    );
    let secret = |name: &str, namespace: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}});
    let snapshot = Snapshot {
        objects: vec![secret("s1", "a"), secret("s2", "b"), secret("x", "a")],
        listed: [("v1".to_owned(), "Secret".to_owned(), "a".to_owned())].into(),
        ..Snapshot::default()
    };
    let trigger = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "a"}});
    let outcome = set.evaluate(&Request::create(trigger), &snapshot);
    let targets = &outcome.verdicts[0].targets;
    assert_eq!(targets.len(), 1);
    assert_eq!(targets[0].object["metadata"]["labels"]["marked"], "m-s1");
    assert!(outcome.patched.is_none());
}

#[test]
fn copies_objects() {
    let set = load(
        "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: copy}
spec:
  rules:
  - name: one
    match: {any: [{resources: {kinds: [Namespace]}}]}
    generate:
      synchronize: true
      apiVersion: v1
      kind: Secret
      name: pull
      namespace: '{{ request.object.metadata.name }}'
      clone: {namespace: base, name: pull}
  - name: many
    match: {any: [{resources: {kinds: [Namespace]}}]}
    generate:
      namespace: '{{ request.object.metadata.name }}'
      cloneList: {namespace: base, kinds: [v1/ConfigMap], selector: {matchLabels: {copy: 'yes'}}}
  - name: each
    match: {any: [{resources: {kinds: [Namespace]}}]}
    generate:
      foreach:
      - list: request.object.metadata.labels.parts | split(@, '.')
        apiVersion: v1
        kind: ConfigMap
        name: 'part-{{ element }}'
        namespace: '{{ request.object.metadata.name }}'
        data: {data: {index: '{{ elementIndex }}'}}
",
    );
    let object = |kind: &str, name: &str, labels: Value| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "base", "uid": "u", "labels": labels}});
    let objects = vec![
        object("Secret", "pull", json!({})),
        object("ConfigMap", "a", json!({"copy": "yes"})),
        object("ConfigMap", "b", json!({"copy": "no"})),
    ];
    let listed = [("v1".to_owned(), "ConfigMap".to_owned(), "base".to_owned())].into();
    let snapshot = Snapshot { objects, listed, ..Snapshot::default() };
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new", "labels": {"parts": "x.y"}}});
    let request = Request::create(namespace);
    let outcome = set.evaluate_stages(&request, &snapshot, &[Stage::Generate]);
    let made: Vec<Vec<String>> = outcome
        .verdicts
        .iter()
        .map(|verdict| {
            let name = |object: &Value| {
                format!("{}/{}", object["metadata"]["namespace"], object["metadata"]["name"]).replace('"', "")
            };
            verdict.generated.iter().map(name).collect()
        })
        .collect();
    assert_eq!(made, [vec!["new/pull"], vec!["new/a"], vec!["new/part-x", "new/part-y"]]);
    let [copied, ..] = outcome.verdicts.as_slice() else { panic!("no verdict") };
    assert!(copied.synchronize && copied.retained && !copied.source_gone);
    assert!(copied.generated[0]["metadata"].get("uid").is_none());
    assert!(!outcome.verdicts[2].synchronize && !outcome.verdicts[2].retained);
    // A source that nobody looked for is missing; one that was looked for is gone.
    let listed = |kind: &str| [("v1".to_owned(), kind.to_owned(), "base".to_owned())].into();
    for (listed, gone) in [(listed("Secret"), true), (listed("ConfigMap"), false)] {
        let snapshot = Snapshot { objects: Vec::new(), listed, ..Snapshot::default() };
        let outcome = set.evaluate_stages(&request, &snapshot, &[Stage::Generate]);
        assert_eq!((outcome.verdicts[0].status, outcome.verdicts[0].source_gone), (Status::Error, gone));
        assert_eq!(outcome.verdicts[0].missing.is_empty(), gone);
    }
}

#[test]
fn explains_each_clause_with_its_value() {
    let set = load(
        "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: p}
spec:
  background: false
  rules:
  - name: r
    match:
      all:
      - resources: {kinds: [Pod], namespaces: ['prod-*'], selector: {matchLabels: {app: web}}}
    exclude: {any: [{subjects: [{kind: User, name: admin}]}]}
    validate: {deny: {}}
",
    );
    let explanations = set.explain(&Request::create(pod("nginx")), &Snapshot::default());
    let first = &explanations[0];
    assert!(!first.matched);
    assert_eq!(first.place, ("policies.yaml".to_owned(), 8));
    let told: Vec<_> = first.clauses.iter().map(|one| (one.clause.as_str(), one.found.as_str(), one.holds)).collect();
    assert_eq!(
        told,
        [
            ("match.all[0].kinds", "v1/Pod", Some(true)),
            ("match.all[0].namespaces", "default", Some(false)),
            ("match.all[0].selector", "no labels", Some(false)),
            ("exclude.any[0].subjects", "", Some(false)),
        ]
    );
}

#[test]
fn assertion_trees_judge_the_request() {
    let policy = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: names, annotations: {policies.kyverno.io/scored: 'false'}}
spec:
  rules:
  - name: assert
    match: {any: [{resources: {kinds: [Pod]}}]}
    context: [{name: wanted, variable: {value: web}}]
    validate:
      assert:
        object:
          metadata: {name: ($wanted)}
          spec:
            ~.containers: {\"(contains(image, ':'))\": true}
";
    let (set, faults) = PolicySet::load([("p.yaml", policy)]);
    assert!(faults.is_empty(), "{faults:?}");
    for (name, image, status, message) in [
        ("web", "nginx:1", Status::Pass, "Validation rule 'assert' passed."),
        ("db", "nginx:1", Status::Fail, "object.metadata.name: Invalid value: \"db\": Expected value: \"web\""),
        (
            "web",
            "nginx",
            Status::Fail,
            "object.spec.~.containers[0].(contains(image, ':')): Invalid value: false: Expected value: true",
        ),
    ] {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"containers": [{"name": "c", "image": image}]}});
        let outcome = set.evaluate(&Request::create(pod), &Snapshot::default());
        let verdict = &outcome.verdicts[0];
        assert_eq!((verdict.status, verdict.message.as_str()), (status, message));
        assert_eq!(verdict.reported() == Status::Warn, status == Status::Fail);
    }
}

#[test]
fn an_explanation_shows_the_values_of_every_part() {
    let policy = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: p}
spec:
  rules:
  - name: deny
    match: {any: [{resources: {kinds: [Pod]}}]}
    preconditions: {all: [{key: '{{ request.object.metadata.name }}', operator: Equals, value: web}]}
    validate:
      foreach:
      - list: request.object.spec.containers
        deny: {conditions: {any: [{key: '{{ element.image }}', operator: Equals, value: 'nginx*'}]}}
  - name: pattern
    match: {any: [{resources: {kinds: [Pod]}}]}
    validate: {pattern: {spec: {containers: [{image: 'busybox*'}]}}}
";
    let (set, _) = PolicySet::load([("p.yaml", policy)]);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}});
    let explained = set.explain(&Request::create(pod), &Snapshot::default());
    let clause = |rule: &str, clause: &str| {
        let rule = explained.iter().find(|one| one.rule == rule).unwrap();
        let found = rule.clauses.iter().find(|one| one.clause == clause);
        let found = found.unwrap_or_else(|| panic!("{:#?}", rule.clauses));
        (found.wanted.clone(), found.found.clone(), found.holds)
    };
    let text = |text: &str| text.to_owned();
    assert_eq!(clause("deny", "preconditions.all[0]"), (text("Equals \"web\""), text("\"web\""), Some(true)));
    assert_eq!(
        clause("deny", "validate.foreach[0][0].deny.any[0]"),
        (text("Equals \"nginx*\""), text("\"nginx:1\""), Some(true))
    );
    let (_, found, holds) = clause("pattern", "validate.pattern at /spec/containers/0/image");
    assert_eq!((found.as_str(), holds), ("\"nginx:1\"", Some(false)));
}

#[test]
fn images_that_nobody_signs_are_verified_by_their_digest_alone() {
    let policy = |required: bool, digest: bool| {
        let entry =
            format!("imageReferences: ['*'], mutateDigest: false, required: {required}, verifyDigest: {digest}");
        format!(
            "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: p}}\nspec:\n  rules:\n  - name: r\n    match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}\n    verifyImages: [{{{entry}}}]\n"
        )
    };
    let with = format!("registry.example/app@sha256:{}", "a".repeat(64));
    for (required, digest, image, expected) in [
        (false, true, "registry.example/app:1", Some((Status::Fail, "missing digest for registry.example/app:1"))),
        (false, true, with.as_str(), Some((Status::Pass, "image verified"))),
        (true, false, "registry.example/app:1", Some((Status::Fail, "unverified image registry.example/app:1"))),
        (true, true, "registry.example/app:1", Some((Status::Fail, "missing digest for registry.example/app:1"))),
        (false, false, "registry.example/app:1", None),
    ] {
        let (set, faults) = PolicySet::load([("p.yaml", policy(required, digest))]);
        assert!(faults.is_empty(), "{faults:?}");
        let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": image}]}});
        let outcome = set.evaluate(&Request::create(object), &Snapshot::default());
        let found = outcome.verdicts.first().map(|verdict| (verdict.status, verdict.message.as_str()));
        assert_eq!(found, expected, "{required} {digest} {image}");
    }
}
