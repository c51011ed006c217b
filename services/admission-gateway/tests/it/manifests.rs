//! Manifests signed here: the gateway verifies the signatures in their annotations.

use std::io::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use rcgen::{KeyPair, SigningKey as _};
use serde_json::{Value, json};
use testkit::parts;

use crate::keyless::{BUILDER, Flaw, ISSUER, THEN, World};
use crate::signatures::{Key, hex, logged};
use crate::{Gateway, start, write};

const MANIFEST: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {level: info}
";

fn policy(keys: [&Key; 2], count: usize) -> String {
    let entry = |key: &Key| {
        let pem = key.pem().replace('\n', "\n                ");
        format!("          - keys:\n              publicKeys: |-\n                {pem}\n")
    };
    format!(
        "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {{name: signed-{count}}}
spec:
  rules:
  - name: signed
    match: {{any: [{{resources: {{kinds: [ConfigMap], names: ['settings-{count}*', settings]}}}}]}}
    validate:
      failureAction: Enforce
      manifests:
        attestors:
        - count: {count}
          entries:
{}{}",
        entry(keys[0]),
        entry(keys[1])
    )
}

fn packed(text: &str) -> String {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(text.as_bytes()).unwrap();
    STANDARD.encode(packer.finish().unwrap())
}

/// The annotations that signing adds.
fn signed(keys: &[&Key]) -> Value {
    let mut annotations = json!({"cosign.sigstore.dev/message": packed(MANIFEST)});
    for (index, key) in keys.iter().enumerate() {
        let suffix = if index == 0 { String::new() } else { format!("_{index}") };
        annotations[format!("cosign.sigstore.dev/signature{suffix}")] =
            json!(STANDARD.encode(key.sign(MANIFEST.as_bytes())));
    }
    annotations
}

async fn ask(gateway: &Gateway, level: &str, annotations: Value) -> Value {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"level": level},
        "metadata": {"name": "settings", "namespace": "shop", "annotations": annotations},
    });
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "operation": "CREATE", "namespace": "shop", "name": "settings", "object": object,
            "kind": {"group": "", "version": "v1", "kind": "ConfigMap"}, "userInfo": {"username": "jane"},
        },
    });
    let sent = gateway.client.post(format!("https://{}/validate", gateway.address)).json(&review).send().await;
    sent.unwrap().json::<Value>().await.unwrap()["response"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_are_what_was_signed_with_the_keys_of_the_policy() {
    let Some(nats) = parts::nats() else { return };
    let (mine, yours, foreign) = (Key::ecdsa(), Key::edwards(), Key::ecdsa());
    let gateway = start(&nats);
    write(nats.folder(), "signed.yaml", &policy([&mine, &yours], 1));
    let mut answer = Value::Null;
    for _ in 0..200 {
        answer = ask(&gateway, "info", json!({})).await;
        if answer["allowed"] == json!(false) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let message = answer["status"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("YAML manifest not found for this resource: message not found"), "{answer}");
    assert_eq!(gateway.faults().await, "[]");
    for (level, keys, allowed, reason) in [
        ("info", &[&mine][..], true, ""),
        ("info", &[&yours][..], true, ""),
        ("info", &[&foreign, &yours][..], true, ""),
        ("info", &[&foreign][..], false, "was not made by the attestor"),
        ("debug", &[&mine, &yours][..], false, "diff found"),
    ] {
        let answer = ask(&gateway, level, signed(keys)).await;
        assert_eq!(answer["allowed"], json!(allowed), "{answer}");
        let message = answer["status"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(reason), "{message}");
    }
    // Both have to sign.
    write(nats.folder(), "signed.yaml", &policy([&mine, &yours], 2));
    let mut answer = Value::Null;
    for _ in 0..200 {
        answer = ask(&gateway, "info", signed(&[&mine])).await;
        if answer["allowed"] == json!(false) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(answer["allowed"], json!(false), "{answer}");
    assert_eq!(ask(&gateway, "info", signed(&[&mine, &yours])).await["allowed"], json!(true));
}

/// The annotations that signing without a key of one's own adds.
fn signed_keyless(world: &World, subject: &str, in_log: bool) -> Value {
    let key = KeyPair::generate().unwrap();
    let certificate = world.certify(&key, subject, Flaw::Timestamp);
    let signature = STANDARD.encode(key.sign(MANIFEST.as_bytes()).unwrap());
    let entry = json!({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
        "data": {"hash": {"algorithm": "sha256", "value": hex(MANIFEST.as_bytes())}},
        "signature": {"content": signature, "publicKey": {"content": STANDARD.encode(&certificate)}},
    }});
    let mut annotations = json!({
        "cosign.sigstore.dev/message": packed(MANIFEST), "cosign.sigstore.dev/signature": signature,
        "cosign.sigstore.dev/certificate": packed(&certificate),
    });
    if in_log {
        let bundle = logged(&entry, THEN, |text| world.log.sign(text).unwrap());
        annotations["cosign.sigstore.dev/bundle"] = json!(packed(&bundle));
    }
    annotations
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_are_signed_by_identities_too() {
    let Some(nats) = parts::nats() else { return };
    let (world, elsewhere) = (World::new(), World::new());
    let gateway = start(&nats);
    let keyless = json!({
        "subject": BUILDER, "issuer": ISSUER, "roots": format!("{}{}", world.root.pem(), world.between.pem()),
        "rekor": {"pubkey": world.log.public_key_pem()},
    });
    let rule = json!({"name": "signed", "match": {"any": [{"resources": {"kinds": ["ConfigMap"]}}]},
        "validate": {"failureAction": "Enforce", "manifests": {"attestors": [{"entries": [{"keyless": keyless}]}]}}});
    let policy = json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "builder"},
        "spec": {"rules": [rule]}});
    write(nats.folder(), "builder.yaml", &policy.to_string());
    for _ in 0..200 {
        if ask(&gateway, "info", json!({})).await["allowed"] == json!(false) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(gateway.faults().await, "[]");
    for (annotations, allowed, reason) in [
        (signed_keyless(&world, BUILDER, true), true, ""),
        (signed_keyless(&world, "https://ci.example/mallory/app", true), false, "for another identity"),
        (signed_keyless(&world, BUILDER, false), false, "no trusted transparency log"),
        (signed_keyless(&elsewhere, BUILDER, true), false, "no trusted transparency log"),
    ] {
        let answer = ask(&gateway, "info", annotations).await;
        assert_eq!(answer["allowed"], json!(allowed), "{answer}");
        let message = answer["status"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(reason), "{message}");
    }
}
