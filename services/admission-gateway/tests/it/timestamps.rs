//! Signatures of cosign's older form with a timestamp in the place of a transparency log, and keys that lie in Secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{ExtendedKeyUsagePurpose, KeyPair, SigningKey as _};
use reqwest::Client;
use serde_json::{Value, json};
use testkit::parts;

use crate::keyless::{BUILDER, Flaw, ISSUER, World};
use crate::logins::{loaded, pod};
use crate::signatures::{Key, Shelf, rule_by_key};
use crate::sigstore::Clock;
use crate::{start_with, write};

/// Signs an image keyless, with a timestamp instead of an entry in a log.
async fn sign(shelf: &Shelf, world: &World, tag: &str, timestamp: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let image = shelf.image(tag).await;
    let key = KeyPair::generate().unwrap();
    let payload = json!({
        "critical": {"identity": {"docker-reference": "app"}, "image": {"docker-manifest-digest": image},
            "type": "cosign container image signature"},
        "optional": null,
    })
    .to_string();
    let signature = key.sign(payload.as_bytes()).unwrap();
    let mut annotations = json!({
        "dev.cosignproject.cosign/signature": STANDARD.encode(&signature),
        "dev.sigstore.cosign/certificate": world.certify(&key, BUILDER, Flaw::Nothing),
    });
    if let Some(timestamp) = timestamp(&signature) {
        let given = json!({ "SignedRFC3161Timestamp": STANDARD.encode(timestamp) }).to_string();
        annotations["dev.sigstore.cosign/rfc3161timestamp"] = Value::from(given);
    }
    shelf.push(&format!("{}.sig", image.replace(':', "-")), &[(payload.as_bytes(), annotations)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timestamps_tell_when_a_signature_was_made() {
    service::install_crypto();
    let (Some(nats), Some(registry)) = (parts::nats(), parts::registry()) else { return };
    let shelf = Shelf { client: Client::builder().no_proxy().build().unwrap(), address: registry.address.clone() };
    let (world, clock) = (World::new(), Clock::new(ExtendedKeyUsagePurpose::TimeStamping));
    let (other, server) =
        (Clock::new(ExtendedKeyUsagePurpose::TimeStamping), Clock::new(ExtendedKeyUsagePurpose::ServerAuth));
    let gateway = start_with(&nats, &json!({ "insecure_registries": [registry.address] }));
    let then = "20231114221320.123Z";
    sign(&shelf, &world, "timed", |signature| Some(clock.saw(signature, then))).await;
    sign(&shelf, &world, "late", |signature| Some(clock.saw(signature, "20231120221320Z"))).await;
    sign(&shelf, &world, "untimed", |_| None).await;
    sign(&shelf, &world, "elsewhere", |signature| Some(other.saw(signature, then))).await;
    sign(&shelf, &world, "foreign", |_| Some(clock.saw(b"another signature", then))).await;
    sign(&shelf, &world, "purpose", |signature| Some(server.saw(signature, then))).await;
    sign(&shelf, &world, "broken", |_| Some(vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff])).await;
    let cases = [
        ("timed", &clock, true),
        ("late", &clock, false),
        ("untimed", &clock, false),
        ("elsewhere", &clock, false),
        ("foreign", &clock, false),
        ("purpose", &server, false),
        ("broken", &clock, false),
    ];
    for (tag, clock, _) in cases {
        let keyless = json!({
            "subject": BUILDER, "issuer": ISSUER, "roots": format!("{}{}", world.root.pem(), world.between.pem()),
            "rekor": {"ignoreTlog": true}, "ctlog": {"ignoreSCT": true, "tsaCertChain": clock.chain()},
        });
        let rule = json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": tag}, "spec": {"rules": [{
            "name": "signed", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]},
            "verifyImages": [{"imageReferences": [format!("{}/app:{tag}", registry.address)], "failureAction": "Enforce",
                "attestors": [{"entries": [{"keyless": keyless}]}]}],
        }]}});
        write(nats.folder(), &format!("{tag}.yaml"), &rule.to_string());
    }
    loaded(&gateway, nats.folder()).await;
    for (tag, _, allowed) in cases {
        let image = format!("{}/app:{tag}", registry.address);
        let answer = gateway.review("validate", pod(&image, &[])).await["response"].clone();
        assert_eq!(answer["allowed"], json!(allowed), "{tag}: {answer}\n{}", gateway.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_read_from_secrets() {
    service::install_crypto();
    let parts = (parts::nats(), parts::registry(), parts::kube_apiserver());
    let (Some(nats), Some(registry), Some(server)) = parts else { return };
    let shelf = Shelf { client: Client::builder().no_proxy().build().unwrap(), address: registry.address.clone() };
    let (key, other) = (Key::ecdsa(), Key::ecdsa());
    let secret = |name: &str, field: &str, text: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {field: text}})
            .to_string()
    };
    let secrets = [
        secret("cosign", "cosign.pub", &key.pem()),
        secret("foreign", "cosign.pub", &other.pem()),
        secret("else", "password", "hunter2"),
    ];
    server.apply(&secrets.join("\n---\n")).unwrap();
    let gateway = start_with(
        &nats,
        &json!({"insecure_registries": [registry.address], "kubernetes": {"kubeconfig": server.kubeconfig}}),
    );
    let named = |name: &str| json!({"secret": {"name": name, "namespace": "default"}});
    let cases = [
        ("named", named("cosign"), Ok(())),
        ("reference", json!({"publicKeys": "k8s://default/cosign"}), Ok(())),
        ("foreign", named("foreign"), Err("no matching signatures")),
        ("absent", named("absent"), Err("the key in Secret default/absent cannot be read: it is not there")),
        ("else", named("else"), Err("the key in Secret default/else cannot be read: it has no `cosign.pub`")),
        ("kms", json!({"kms": "awskms:///alias/x"}), Err("keys from a key management service are not verified")),
    ];
    for (tag, keys, _) in &cases {
        let image = shelf.image(tag).await;
        shelf.sign(&image, &image, &key, None).await;
        let mut rule = rule_by_key(tag, &format!("{}/app:{tag}", registry.address), &key);
        let place = &mut rule["spec"]["rules"][0]["verifyImages"][0]["attestors"][0]["entries"][0]["keys"];
        *place = keys.clone();
        place["rekor"] = json!({"ignoreTlog": true});
        write(nats.folder(), &format!("{tag}.yaml"), &rule.to_string());
    }
    loaded(&gateway, nats.folder()).await;
    for (tag, _, expected) in &cases {
        let image = format!("{}/app:{tag}", registry.address);
        let answer = gateway.review("validate", pod(&image, &[])).await["response"].clone();
        assert_eq!(answer["allowed"], json!(expected.is_ok()), "{tag}: {answer}\n{}", gateway.log());
        let said = answer["status"]["message"].as_str().unwrap_or_default();
        assert!(expected.err().is_none_or(|words| said.contains(words)), "{tag}: {answer}");
        assert!(!said.contains("hunter2"));
    }
    assert!(!gateway.log().contains("hunter2"));
}
