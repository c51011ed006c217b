//! What an admission review meets.

use std::sync::LazyLock;

use admission_policy::{Limits, PolicySet, Request, Snapshot};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Timestamp;
use serde_json::{Value, json};

use crate::parts;

/// A policy file, which then judges a pod.
pub(crate) fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (set, _faults) = PolicySet::load([("fuzz.yaml", text)]);
    let set = set.with_limits(Limits::default());
    if let Ok(request) = Request::from_review(&REVIEW) {
        let first = set.evaluate(&request, &Snapshot::default());
        let second = set.evaluate(&request, &Snapshot::default());
        assert_eq!(first.allowed, second.allowed, "the same request is judged in two ways");
    }
}

/// A review, judged by policies of several kinds.
pub(crate) fn review(bytes: &[u8]) {
    static SET: LazyLock<PolicySet> = LazyLock::new(|| PolicySet::load([("fuzz.yaml", POLICIES)]).0);
    let Ok(review) = serde_json::from_slice::<Value>(bytes) else { return };
    let Ok(request) = Request::from_review(&review) else { return };
    let outcome = SET.evaluate(&request, &Snapshot::default());
    assert!(outcome.allowed || !outcome.message.is_empty(), "a refusal gives its reason");
}

/// What a signature of an object is said to be over: a text, or a compressed archive of some.
pub(crate) fn signed_manifest(bytes: &[u8]) {
    static SET: LazyLock<PolicySet> = LazyLock::new(|| PolicySet::load([("fuzz.yaml", SIGNED)]).0);
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"},
        "metadata": {"name": "m", "annotations": {
            "cosign.sigstore.dev/message": STANDARD.encode(bytes), "cosign.sigstore.dev/signature": "c2ln"}},
    });
    let outcome = SET.evaluate(&Request::create(object), &Snapshot::default());
    assert!(!outcome.allowed, "nobody has verified a signature");
}

/// A JMESPath query and the JSON that it is put to, with a NUL between.
pub(crate) fn jmespath(bytes: &[u8]) {
    let Some((query, input)) = parts(bytes) else { return };
    let Ok(query) = jmespath::compile(query) else { return };
    let input = serde_json::from_str(input).unwrap_or_else(|_| REVIEW.clone());
    let context = jmespath::Context::new(Timestamp::from_millis(1_700_000_000_000)).with_random_seed(7);
    // Refusing is fine, and so is any value.
    drop(query.search(&input, &context));
}

/// A CEL expression.
pub(crate) fn cel(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(program) = cel::Program::compile(text) else { return };
    let limits = cel::Limits { max_cost: 100_000 };
    let (result, cost) = program.evaluate_counted(&cel::Variables::new(), limits);
    assert!(result.is_err() || cost <= limits.max_cost, "an evaluation went over its budget");
}

static REVIEW: LazyLock<Value> = LazyLock::new(|| {
    json!({ "request": {
        "uid": "7c9a5d80-0000-4000-8000-000000000001", "operation": "CREATE", "namespace": "shop", "name": "web",
        "kind": { "group": "", "version": "v1", "kind": "Pod" }, "userInfo": { "username": "ada", "groups": ["dev"] },
        "object": {
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "web", "namespace": "shop", "labels": { "app": "web" }, "annotations": { "a/b": "c" } },
            "spec": { "containers": [
                { "name": "a", "image": "registry.example/web:1.0", "resources": { "limits": { "memory": "1Gi", "cpu": "250m" } } },
                { "name": "b", "image": "busybox", "securityContext": { "privileged": true } },
            ] },
        },
    } })
});

const POLICIES: &str = include_str!("policies.yaml");

const SIGNED: &str = "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: signed}
spec:
  rules:
  - name: by-us
    match: {any: [{resources: {kinds: [ConfigMap]}}]}
    validate:
      failureAction: Enforce
      manifests: {attestors: [{entries: [{keys: {publicKeys: key}}]}]}
";
