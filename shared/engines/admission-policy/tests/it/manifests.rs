//! `validate.manifests`: the engine finds what was signed and compares it; who signed is a fact.

use std::collections::BTreeMap;

use admission_policy::{ManifestClaim, MissingFact, Outcome, PolicySet, Request, Snapshot, Status};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const POLICY: &str = "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: signed}
spec:
  failurePolicy: Fail
  rules:
  - name: by-us
    match: {any: [{resources: {kinds: [Service]}}]}
    validate:
      failureAction: Enforce
      manifests:
        attestors:
        - COUNT
          entries:
          - keys: {publicKeys: KEY-A}
          - keys: {publicKeys: KEY-B}
        MORE
";

const MANIFEST: &str = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}], selector: {app: web}}
";

fn load(count: &str, more: &str) -> PolicySet {
    let policy = POLICY.replace("COUNT", count).replace("MORE", more);
    let (set, faults) = PolicySet::load([("policy.yaml", policy.as_str())]);
    assert!(faults.is_empty(), "{faults:#?}");
    set
}

fn service(annotations: &[(&str, &str)]) -> Value {
    let annotations: BTreeMap<_, _> = annotations.iter().copied().collect();
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop", "annotations": annotations},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "web"}, "clusterIP": "10.0.0.1", "type": "ClusterIP"}})
}

/// Answers every question about a signature: by KEY-A it is good, by others not.
fn judged(set: &PolicySet, object: Value, dry_run: bool) -> Outcome {
    let mut request = Request::create(object);
    request.dry_run = dry_run;
    let mut snapshot = Snapshot::default();
    let outcome = set.evaluate(&request, &snapshot);
    let claims: Vec<ManifestClaim> = outcome
        .missing_facts()
        .into_iter()
        .map(|fact| match fact {
            MissingFact::ManifestSignature(claim) => claim,
            other => panic!("{other}"),
        })
        .collect();
    for claim in claims {
        assert_eq!(claim.message, MANIFEST.as_bytes());
        let by_us = claim.attestor.contains("KEY-A") || claim.signatures.len() == 2;
        let verified = if by_us { Ok(String::new()) } else { Err("not theirs".to_owned()) };
        snapshot.manifest_signatures.insert(claim, verified);
    }
    set.evaluate(&request, &snapshot)
}

fn check(set: &PolicySet, object: Value, expected: (Status, &str)) {
    let outcome = judged(set, object, false);
    let [verdict] = &outcome.verdicts[..] else { panic!("{outcome:#?}") };
    assert_eq!(verdict.status, expected.0, "{}", verdict.message);
    assert!(verdict.message.contains(expected.1), "{}", verdict.message);
    assert_eq!(outcome.allowed, expected.0 == Status::Pass);
}

#[test]
fn the_signed_manifest_is_compared_with_the_object() {
    let (message, other) = (STANDARD.encode(MANIFEST), STANDARD.encode(MANIFEST.replace("Service", "Pod")));
    let at = |domain: &str, name: &str| format!("{domain}/{name}");
    let ours = |name: &str| at("cosign.sigstore.dev", name);
    let (message_at, signature_at, second_at) = (ours("message"), ours("signature"), ours("signature_1"));
    let signed = [(message_at.as_str(), message.as_str()), (signature_at.as_str(), "c2ln")];
    let set = load("count: 1", "");
    check(
        &set,
        service(&signed),
        (
            Status::Pass,
            "verified manifest signatures; manifest verification succeeded; verifiedCount 1; requiredCount 1; message singed by a valid signer: ",
        ),
    );
    check(
        &set,
        service(&[]),
        (
            Status::Fail,
            "verifiedCount 0; requiredCount 1; message .attestors[0].entries[0].keys: YAML manifest not found for this resource: message not found,.attestors[0].entries[1].keys",
        ),
    );
    check(&set, service(&signed[..1]), (Status::Fail, "failed to verify signature: signature not found"));
    check(&set, service(&[(message_at.as_str(), "%"), signed[1]]), (Status::Error, "failed to decode base64 message"));
    check(
        &set,
        service(&[(message_at.as_str(), other.as_str()), signed[1]]),
        (Status::Fail, "failed to find a YAML manifest"),
    );

    // With two signatures both keys are good: what is left is the difference.
    let twice = [signed[0], signed[1], (second_at.as_str(), "c2lo")];
    let mut changed = service(&twice);
    changed["spec"]["ports"][0]["port"] = json!(81);
    let difference = r#"diff found; {"items":[{"key":"spec.ports.0.port","values":{"after":81,"before":80}}]}"#;
    check(&set, changed.clone(), (Status::Fail, difference));
    let ignoring = load("count: 1", "ignoreFields: [{fields: [spec.ports.*.port], objects: [{kind: Service}]}]");
    check(&ignoring, changed.clone(), (Status::Pass, "succeeded"));
    let ignoring_elsewhere = load("count: 1", "ignoreFields: [{fields: [spec.ports.*.port], objects: [{kind: Pod}]}]");
    check(&ignoring_elsewhere, changed.clone(), (Status::Fail, difference));
    assert!(judged(&set, changed, true).allowed, "a rehearsal stores nothing");

    // All have to sign: one signature is not enough, two are.
    let all = load("count: 2", "");
    check(
        &all,
        service(&signed),
        (Status::Error, ".attestors[0].entries[1].keys: failed to verify signature: not theirs"),
    );
    check(&all, service(&twice), (Status::Pass, "verifiedCount 2; requiredCount 2"));
}

#[test]
fn annotations_have_the_domain_of_the_policy() {
    let message = STANDARD.encode(MANIFEST);
    let set = load("count: 1", "annotationDomain: sign.example");
    let signed = [("sign.example/message", message.as_str()), ("sign.example/signature", "c2ln")];
    check(&set, service(&signed), (Status::Pass, "succeeded"));
    let elsewhere = [("cosign.sigstore.dev/message", message.as_str()), ("cosign.sigstore.dev/signature", "c2ln")];
    check(&set, service(&elsewhere), (Status::Fail, "message not found"));
}

#[test]
fn what_is_not_verified_is_refused_with_its_reason() {
    let bundle = load("count: 1", "repository: registry.example/bundle");
    check(&bundle, service(&[]), (Status::Error, "put the message and its signature into annotations"));
    let named = service(&[("cosign.sigstore.dev/resourceBundleRef", "registry.example/bundle")]);
    check(&load("count: 1", ""), named, (Status::Error, "OCI bundle"));
    let policy = POLICY.replace("COUNT", "count: 1").replace("MORE", "ignoreFields: [{fields: ['spec[']}]");
    let (_, faults) = PolicySet::load([("policy.yaml", policy.as_str())]);
    assert!(faults[0].what.contains("`spec[`, which is no pattern"), "{faults:#?}");
}
