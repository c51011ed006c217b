//! Images signed here, in a real registry: the gateway verifies them with the keys of the policies.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Client;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testkit::parts;

use crate::{Gateway, start_with, write};

/// A key of either kind that cosign makes.
pub(crate) enum Key {
    Ecdsa(EcdsaKeyPair),
    Edwards(Ed25519KeyPair),
}

impl Key {
    pub(crate) fn ecdsa() -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        Self::Ecdsa(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).unwrap())
    }

    pub(crate) fn edwards() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Edwards(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        const P256: &[u8] = &[
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
            0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
        ];
        const EDWARDS: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        let (prefix, key) = match self {
            Self::Ecdsa(key) => (P256, key.public_key().as_ref()),
            Self::Edwards(key) => (EDWARDS, key.public_key().as_ref()),
        };
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode([prefix, key].concat()))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ecdsa(key) => key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Edwards(key) => key.sign(message).as_ref().to_vec(),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// The promise of a log to take up an entry, as it lies beside a signature.
pub(crate) fn logged(entry: &Value, time: u64, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let body = STANDARD.encode(entry.to_string());
    let signed = format!("{{\"body\":\"{body}\",\"integratedTime\":{time},\"logID\":\"l\",\"logIndex\":7}}");
    let stamp = STANDARD.encode(sign(signed.as_bytes()));
    let payload = json!({"body": body, "integratedTime": time, "logID": "l", "logIndex": 7});
    json!({"SignedEntryTimestamp": stamp, "Payload": payload}).to_string()
}

/// Writes into a registry what cosign would.
pub(crate) struct Shelf {
    pub(crate) client: Client,
    pub(crate) address: String,
}

impl Shelf {
    pub(crate) async fn blob(&self, bytes: &[u8]) -> String {
        let digest = format!("sha256:{}", hex(bytes));
        let start = self.client.post(format!("http://{}/v2/app/blobs/uploads/", self.address)).send().await.unwrap();
        let mut place = start.headers()["location"].to_str().unwrap().to_owned();
        if place.starts_with('/') {
            place = format!("http://{}{place}", self.address);
        }
        let separator = if place.contains('?') { '&' } else { '?' };
        let put = self.client.put(format!("{place}{separator}digest={digest}")).body(bytes.to_vec());
        assert!(put.send().await.unwrap().status().is_success());
        digest
    }

    /// An image of one layer, or an artifact beside one; its digest.
    pub(crate) async fn push(&self, tag: &str, layers: &[(&[u8], Value)]) -> String {
        let config = b"{}";
        let mut described = Vec::new();
        for (bytes, annotations) in layers {
            let digest = self.blob(bytes).await;
            described.push(json!({
                "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "size": bytes.len(), "digest": digest,
                "annotations": annotations,
            }));
        }
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": kind, "layers": described,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json", "size": config.len(),
                "digest": self.blob(config).await,
            },
        });
        let bytes = manifest.to_string();
        let digest = format!("sha256:{}", hex(bytes.as_bytes()));
        let put = self.client.put(format!("http://{}/v2/app/manifests/{tag}", self.address));
        let answer = put.header("Content-Type", kind).body(bytes).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        digest
    }

    pub(crate) async fn image(&self, tag: &str) -> String {
        self.push(tag, &[(tag.as_bytes(), json!({}))]).await
    }

    /// Signs `about` and puts it beside `beside`, with a log's entry if there is a log.
    pub(crate) async fn sign(&self, beside: &str, about: &str, key: &Key, log: Option<&Key>) {
        let payload = json!({
            "critical": {"identity": {"docker-reference": "app"}, "image": {"docker-manifest-digest": about},
                "type": "cosign container image signature"},
            "optional": {"team": "a"},
        })
        .to_string();
        let signature = STANDARD.encode(key.sign(payload.as_bytes()));
        let mut annotations = json!({"dev.cosignproject.cosign/signature": signature});
        if let Some(log) = log {
            let entry = json!({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": hex(payload.as_bytes())}},
                "signature": {"content": signature},
            }});
            annotations["dev.sigstore.cosign/bundle"] = json!(logged(&entry, 1_700_000_000, |text| log.sign(text)));
        }
        self.push(&format!("{}.sig", beside.replace(':', "-")), &[(payload.as_bytes(), annotations)]).await;
    }

    async fn attest(&self, image: &str, key: &Key, passed: bool) {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://example.dev/test/v1",
            "subject": [{"name": "app", "digest": {"sha256": image.trim_start_matches("sha256:")}}],
            "predicate": {"passed": passed},
        })
        .to_string();
        let kind = "application/vnd.in-toto+json";
        let encoded = format!("DSSEv1 {} {kind} {} {statement}", kind.len(), statement.len());
        let envelope = json!({
            "payloadType": kind, "payload": STANDARD.encode(&statement),
            "signatures": [{"sig": STANDARD.encode(key.sign(encoded.as_bytes()))}],
        })
        .to_string();
        self.push(&format!("{}.att", image.replace(':', "-")), &[(envelope.as_bytes(), json!({}))]).await;
    }
}

/// A rule about images like the pattern, which the holder of the key signed, whether any log has it or not.
pub(crate) fn rule_by_key(name: &str, pattern: &str, key: &Key) -> Value {
    let keys = json!({"publicKeys": key.pem(), "rekor": {"ignoreTlog": true}});
    json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": name}, "spec": {"rules": [{
        "name": "signed", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]},
        "verifyImages": [{"imageReferences": [pattern], "failureAction": "Enforce",
            "attestors": [{"entries": [{"keys": keys}]}]}],
    }]}})
}

fn policy(name: &str, pattern: &str, key: &Key, rekor: &str) -> String {
    let pem = key.pem().replace('\n', "\n                ");
    format!(
        "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {{name: {name}}}
spec:
  rules:
  - name: signed
    match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}
    verifyImages:
    - imageReferences: ['{pattern}']
      failureAction: Enforce
      attestors:
      - entries:
        - keys:
            rekor: {{{rekor}}}
            publicKeys: |-
                {pem}
"
    )
}

fn attested(pattern: &str, key: &Key) -> String {
    let pem = key.pem().replace('\n', "\n                  ");
    format!(
        "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {{name: attested}}
spec:
  rules:
  - name: attested
    match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}
    verifyImages:
    - imageReferences: ['{pattern}']
      failureAction: Enforce
      attestations:
      - type: https://example.dev/test/v1
        conditions: [{{all: [{{key: '{{{{ passed }}}}', operator: Equals, value: true}}]}}]
        attestors:
        - entries:
          - keys:
              rekor: {{ignoreTlog: true}}
              publicKeys: |-
                  {pem}
"
    )
}

pub(crate) async fn ask(gateway: &Gateway, phase: &str, image: &str) -> Value {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": [{"name": "web", "image": image}]},
    });
    gateway.review(phase, pod).await["response"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_verified_by_key_log_and_attestation() {
    service::install_crypto();
    let (Some(nats), Some(registry)) = (parts::nats(), parts::registry()) else { return };
    let shelf = Shelf { client: Client::builder().no_proxy().build().unwrap(), address: registry.address.clone() };
    let (mine, other, log, edwards) = (Key::ecdsa(), Key::ecdsa(), Key::ecdsa(), Key::edwards());
    std::fs::write(nats.folder().join("log.pem"), log.pem()).unwrap();
    let gateway = start_with(
        &nats,
        &json!({"insecure_registries": [registry.address], "transparency_log_keys": [nats.folder().join("log.pem")]}),
    );
    let address = registry.address.clone();
    let at = |tag: &str| format!("{address}/app:{tag}");

    let good = shelf.image("good").await;
    shelf.sign(&good, &good, &mine, None).await;
    shelf.image("unsigned").await;
    let foreign = shelf.image("foreign").await;
    shelf.sign(&foreign, &foreign, &other, None).await;
    let moved = shelf.image("moved").await;
    shelf.sign(&moved, &good, &mine, None).await;
    let curve = shelf.image("edwards").await;
    shelf.sign(&curve, &curve, &edwards, None).await;
    let logged = shelf.image("logged").await;
    shelf.sign(&logged, &logged, &mine, Some(&log)).await;
    let forged = shelf.image("logged-by-nobody").await;
    shelf.sign(&forged, &forged, &mine, Some(&other)).await;
    let silent = shelf.image("logged-not").await;
    shelf.sign(&silent, &silent, &mine, None).await;
    for (tag, passed, key) in
        [("attested", true, &mine), ("attested-bad", false, &mine), ("attested-by-other", true, &other)]
    {
        let image = shelf.image(tag).await;
        shelf.attest(&image, key, passed).await;
    }

    let pattern = |tag: &str| format!("{address}/app:{tag}*");
    let ignore = "ignoreTlog: true";
    for tag in ["good", "unsigned", "foreign", "moved"] {
        write(nats.folder(), &format!("{tag}.yaml"), &policy(tag, &pattern(tag), &mine, ignore));
    }
    write(nats.folder(), "edwards.yaml", &policy("edwards", &pattern("edwards"), &edwards, ignore));
    write(nats.folder(), "logged.yaml", &policy("logged", &pattern("logged"), &mine, "url: https://log.example"));
    let attested = attested(&pattern("attested"), &mine);
    write(nats.folder(), "attested.yaml", &attested);

    // The policies are loaded once the last of them refuses.
    for _ in 0..100 {
        if ask(&gateway, "validate", &at("attested-bad")).await["allowed"] == json!(false)
            && ask(&gateway, "validate", &at("unsigned")).await["allowed"] == json!(false)
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(gateway.faults().await, "[]");
    for (tag, allowed) in [
        ("good", true),
        ("unsigned", false),
        ("foreign", false),
        ("moved", false),
        ("edwards", true),
        ("logged", true),
        ("logged-by-nobody", false),
        ("logged-not", false),
        ("attested", true),
        ("attested-bad", false),
        ("attested-by-other", false),
    ] {
        let answer = ask(&gateway, "validate", &at(tag)).await;
        assert_eq!(answer["allowed"], json!(allowed), "{tag}: {answer}");
    }
    let answer = ask(&gateway, "mutate", &at("good")).await;
    let patch = String::from_utf8(STANDARD.decode(answer["patch"].as_str().unwrap()).unwrap()).unwrap();
    assert!(patch.contains(&format!("app:good@{good}")), "{patch}");
    // The registry is gone; what was verified is still known, and what was not is refused within the deadline.
    drop(registry);
    assert_eq!(ask(&gateway, "validate", &at("good")).await["allowed"], json!(true));
    let answer =
        tokio::time::timeout(Duration::from_secs(8), ask(&gateway, "validate", &at("good-later"))).await.unwrap();
    assert_eq!(answer["allowed"], json!(false), "{answer}");
}
