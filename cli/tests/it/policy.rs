//! `biotope policy`: exit codes, and images that are looked up in a real registry.

use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Client;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testkit::parts;

pub(crate) fn biotope(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_biotope")).current_dir(folder).arg("policy").args(arguments).output().unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

pub(crate) const LABELED: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: labeled}
spec:
  rules:
  - name: team
    match: {any: [{resources: {kinds: [ConfigMap]}}]}
    validate: {message: set the label team, failureAction: Enforce, pattern: {metadata: {labels: {team: '?*'}}}}
";

#[test]
fn half_a_set_of_policies_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, labels: {team: a}}\n");
    write("other.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n");
    std::fs::create_dir(folder.path().join("policies")).unwrap();
    write("policies/labeled.yaml", LABELED);
    let apply = |more: &[&str]| biotope(folder.path(), &[&["apply", "policies", "--resource"], more].concat());
    assert_eq!(apply(&["map.yaml"]).status.code(), Some(0));
    assert_eq!(apply(&["other.yaml"]).status.code(), Some(1));
    // One policy is broken: the other passes, and that is not enough.
    write("policies/broken.yaml", &LABELED.replace("labeled", "broken").replace("pattern:", "patern:"));
    let output = apply(&["map.yaml"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("broken.yaml:6"), "{}", said(&output));
    let last = said(&output).lines().last().unwrap_or_default().to_owned();
    assert!(last.contains("1 policies, rules, files or resources were set aside"), "{last}");
    let output = apply(&["map.yaml", "-o", "json"]);
    let all: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        all.iter().any(|one| one["result"] == "pass") && all.iter().any(|one| one["fault"]["line"] == 6),
        "{all:?}"
    );
    // No policy at all is a mistake too, and so is a switch that does nothing.
    let output = biotope(folder.path(), &["apply", "map.yaml", "--resource", "map.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("none of the given files holds a policy"), "{}", said(&output));
    let output = apply(&["map.yaml", "--insecure-registry", "localhost:1"]);
    assert!(said(&output).contains("`--insecure-registry` needs `--registry`"), "{}", said(&output));
}

/// Writes images and their signatures into a registry.
struct Shelf {
    client: Client,
    address: String,
}

impl Shelf {
    async fn blob(&self, bytes: &[u8]) -> Value {
        let digest = format!("sha256:{}", hex(bytes));
        let start = self.client.post(format!("http://{}/v2/app/blobs/uploads/", self.address)).send().await.unwrap();
        let mut place = start.headers()["location"].to_str().unwrap().to_owned();
        if place.starts_with('/') {
            place = format!("http://{}{place}", self.address);
        }
        let separator = if place.contains('?') { '&' } else { '?' };
        let put = self.client.put(format!("{place}{separator}digest={digest}")).body(bytes.to_vec()).send().await;
        assert!(put.unwrap().status().is_success());
        json!({"mediaType": "application/octet-stream", "size": bytes.len(), "digest": digest})
    }

    async fn push(&self, tag: &str, config: &Value, (layer, annotations): (&[u8], Value)) -> String {
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let mut config = self.blob(config.to_string().as_bytes()).await;
        config["mediaType"] = json!("application/vnd.oci.image.config.v1+json");
        let mut layer = self.blob(layer).await;
        layer["annotations"] = annotations;
        let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]}).to_string();
        let digest = format!("sha256:{}", hex(manifest.as_bytes()));
        let put = self.client.put(format!("http://{}/v2/app/manifests/{tag}", self.address));
        assert!(put.header("Content-Type", kind).body(manifest).send().await.unwrap().status().is_success());
        digest
    }

    async fn sign(&self, image: &str, key: &EcdsaKeyPair) {
        let payload = json!({"critical": {"identity": {"docker-reference": "app"},
            "image": {"docker-manifest-digest": image}, "type": "cosign container image signature"}, "optional": null})
        .to_string();
        let signature = STANDARD.encode(key.sign(&SystemRandom::new(), payload.as_bytes()).unwrap().as_ref());
        let annotations = json!({"dev.cosignproject.cosign/signature": signature});
        self.push(&format!("{}.sig", image.replace(':', "-")), &json!({}), (payload.as_bytes(), annotations)).await;
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn key() -> (EcdsaKeyPair, String) {
    const PREFIX: &[u8] = &[
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).unwrap();
    let der = STANDARD.encode([PREFIX, key.public_key().as_ref()].concat());
    (key, format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----"))
}

fn policies(address: &str, pem: &str) -> String {
    let pem = pem.replace('\n', "\n              ");
    format!(
        "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {{name: signed}}
spec:
  rules:
  - name: by-us
    match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}
    verifyImages:
    - imageReferences: ['{address}/app:*']
      failureAction: Enforce
      mutateDigest: false
      verifyDigest: false
      attestors:
      - entries:
        - keys:
            rekor: {{ignoreTlog: true}}
            publicKeys: |-
              {pem}
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {{name: rootless}}
spec:
  rules:
  - name: user
    match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}
    context:
    - {{name: user, imageRegistry: {{reference: '{{{{ images.containers.*.reference | [0] }}}}', jmesPath: configData.config.User}}}}
    validate:
      message: runs as root
      failureAction: Enforce
      deny: {{conditions: {{any: [{{key: '{{{{ user }}}}', operator: Equals, value: root}}]}}}}
"
    )
}

const TEST: &str = "apiVersion: cli.kyverno.io/v1alpha1
kind: Test
metadata: {name: registry}
policies: [policies.yaml]
resources: [pods.yaml]
results:
- {policy: signed, rule: by-us, kind: Pod, resources: [good], result: pass}
- {policy: signed, rule: by-us, kind: Pod, resources: [bad], result: fail}
- {policy: rootless, rule: user, kind: Pod, resources: [good], result: pass}
- {policy: rootless, rule: user, kind: Pod, resources: [bad], result: fail}
";

#[tokio::test(flavor = "multi_thread")]
async fn images_are_looked_up_in_a_registry_where_that_is_asked_for() {
    service::install_crypto();
    let Some(registry) = parts::registry() else { return };
    let shelf = Shelf { client: Client::builder().no_proxy().build().unwrap(), address: registry.address.clone() };
    let (ours, pem) = key();
    let user = |name: &str| json!({"architecture": "amd64", "os": "linux", "config": {"User": name}});
    let good = shelf.push("good", &user("nobody"), (b"good", json!({}))).await;
    shelf.sign(&good, &ours).await;
    let bad = shelf.push("bad", &user("root"), (b"bad", json!({}))).await;
    shelf.sign(&bad, &key().0).await;

    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let pod = |name: &str| {
        let image = format!("{}/app:{name}", registry.address);
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: c, image: '{image}'}}]}}\n"
        )
    };
    write("policies.yaml", &policies(&registry.address, &pem));
    write("pods.yaml", &format!("{}---\n{}", pod("good"), pod("bad")));
    write("kyverno-test.yaml", TEST);
    let output = biotope(folder.path(), &["test", ".", "--registry", "--insecure-registry", &registry.address]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("4 checks passed, 0 failed, 0 matched nothing"), "{}", said(&output));
    let apply = ["apply", "policies.yaml", "--resource", "pods.yaml"];
    let address = registry.address.clone();
    let asked = [&apply[..], &["--registry", "--insecure-registry", &address]].concat();
    let output = biotope(folder.path(), &asked);
    assert!(said(&output).contains("pass: 2, fail: 2, warn: 0, error: 0"), "{}", said(&output));

    // Without leave nobody is called, and the rows say what they lack.
    let output = biotope(folder.path(), &["test", ".", "-o", "json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("it asks about images; give --registry"), "{}", said(&output));
    // A registry that does not answer is named.
    drop(registry);
    let output = biotope(folder.path(), &asked);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("app:good are not known: "), "{}", said(&output));
}

/// User `robot` with the password `secret`.
const USERS: &str = "robot:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

#[tokio::test(flavor = "multi_thread")]
async fn registries_are_asked_with_the_logins_of_docker() {
    service::install_crypto();
    let Some(registry) = parts::registry_for_users(USERS) else { return };
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("authorization", "Basic cm9ib3Q6c2VjcmV0".parse().unwrap());
    let client = Client::builder().no_proxy().default_headers(headers).build().unwrap();
    let shelf = Shelf { client, address: registry.address.clone() };
    let (ours, pem) = key();
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"User": "nobody"}});
    let good = shelf.push("good", &config, (b"good", json!({}))).await;
    shelf.sign(&good, &ours).await;

    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let image = format!("{}/app:good", registry.address);
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: good}\nspec: {containers: [{name: c, image: 'IMAGE'}]}\n";
    write("pods.yaml", &pod.replace("IMAGE", &image));
    write("policies.yaml", &policies(&registry.address, &pem));
    std::fs::create_dir(folder.path().join("docker")).unwrap();
    let asked = ["apply", "policies.yaml", "--resource", "pods.yaml", "--registry", "--docker-config", "docker"];
    let asked = [&asked[..], &["--insecure-registry", &registry.address]].concat();
    for (password, counts) in
        [("hunter2", "pass: 0, fail: 0, warn: 0, error: 2"), ("secret", "pass: 2, fail: 0, warn: 0, error: 0")]
    {
        let login = json!({"auths": {&registry.address: {"username": "robot", "password": password}}});
        write("docker/config.json", &login.to_string());
        let output = biotope(folder.path(), &asked);
        assert!(said(&output).contains(counts) && !said(&output).contains("hunter2"), "{}", said(&output));
    }
}
