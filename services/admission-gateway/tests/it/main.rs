//! The gateway over HTTPS, against a real bus.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod after_effects;
mod bundles;
mod cleanup;
mod cluster;
mod cluster_words;
mod downstream;
mod existing;
mod facts;
mod hostile;
mod keyless;
mod logins;
mod lookups;
mod manifests;
mod reports;
mod signatures;
mod sigstore;
mod status;
mod timestamps;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::parts::{self, Nats, Part, Process, wait_until};

/// A running gateway with the folder that it reads.
struct Gateway {
    _process: Process,
    address: String,
    admin: String,
    client: reqwest::Client,
}

const POLICY: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: team-label }
spec:
  validationFailureAction: Enforce
  rules:
    - name: has-team
      match: { any: [{ resources: { kinds: [Pod] } }] }
      validate:
        message: set the label team
        pattern: { metadata: { labels: { team: \"?*\" } } }
";

fn start(nats: &Part<Nats>) -> Gateway {
    start_with(nats, &json!({}))
}

/// A gateway with more settings than the usual ones.
fn start_with(nats: &Part<Nats>, more: &Value) -> Gateway {
    service::install_crypto();
    let folder = nats.folder();
    fs::create_dir_all(folder.join("policies")).unwrap();
    let mut config = json!({
        "bus": { "servers": [nats.url()] },
        "admin": { "address_file": folder.join("admin") },
        "service": {
            "policies": folder.join("policies"), "certificates": folder.join("certificates"),
            "address_file": folder.join("address"), "scan_unknown": false,
        },
    });
    for (name, value) in more.as_object().unwrap() {
        config["service"][name] = value.clone();
    }
    fs::write(folder.join("gateway.yaml"), config.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_admission-gateway"));
    command.arg("--config").arg(folder.join("gateway.yaml"));
    let process = Process::start("admission-gateway", &mut command, &folder.join("gateway.log")).unwrap();
    let address = wait_until(Duration::from_secs(30), || fs::read_to_string(folder.join("address")).ok());
    let address = address.unwrap_or_else(|| panic!("{}", process.last_lines(10)));
    let authority = reqwest::Certificate::from_pem(&fs::read(folder.join("certificates/ca.crt")).unwrap()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([authority]).build().unwrap();
    Gateway { _process: process, address, admin: fs::read_to_string(folder.join("admin")).unwrap(), client }
}

impl Gateway {
    fn log(&self) -> String {
        self._process.last_lines(30)
    }

    async fn review(&self, path: &str, pod: Value) -> Value {
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE", "namespace": "shop", "name": "web", "object": pod,
                "kind": { "group": "", "version": "v1", "kind": "Pod" }, "userInfo": { "username": "jane" },
            },
        });
        let answer = self.client.post(format!("https://{}/{path}", self.address)).json(&review).send().await.unwrap();
        answer.json().await.unwrap()
    }

    async fn faults(&self) -> String {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.get(format!("http://{}/faults", self.admin)).send().await.unwrap().text().await.unwrap()
    }
}

fn pod(labels: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web", "namespace": "shop", "labels": labels },
        "spec": { "containers": [{ "name": "web", "image": "registry.example/web:1" }] },
    })
}

/// Waits until a review is answered as expected: policies are looked at once a second.
async fn until(gateway: &Gateway, labels: Value, allowed: bool) -> Value {
    for _ in 0..100 {
        let answer = gateway.review("validate", pod(labels.clone())).await;
        if answer["response"]["allowed"] == json!(allowed) {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never answered with allowed = {allowed}")
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join("policies").join(name), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn judges_by_the_folder_and_sets_broken_policies_aside() {
    let Some(nats) = parts::nats() else { return };
    let gateway = start(&nats);
    until(&gateway, json!({}), true).await;
    write(nats.folder(), "team.yaml", POLICY);
    let refused = until(&gateway, json!({}), false).await;
    assert_eq!(refused["response"]["status"]["code"], 403);
    assert!(refused["response"]["status"]["message"].as_str().unwrap().contains("set the label team"), "{refused}");
    until(&gateway, json!({ "team": "a" }), true).await;
    // A file that is broken on its seventh line is set aside; the other policy stays in force.
    write(
        nats.folder(),
        "broken.yaml",
        "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata:\n  name: x\nspec:\n  rules:\n  - name: [\n",
    );
    let said = async {
        loop {
            let faults = gateway.faults().await;
            if faults.contains("broken.yaml") {
                return faults;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let faults: Value =
        serde_json::from_str(&tokio::time::timeout(Duration::from_secs(20), said).await.unwrap()).unwrap();
    assert!((7..=8).contains(&faults[0]["line"].as_u64().unwrap()), "{faults}");
    until(&gateway, json!({}), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_the_admission_id_and_refuses_what_is_no_review() {
    let Some(nats) = parts::nats() else { return };
    let gateway = start(&nats);
    let answer = gateway.review("mutate", pod(json!({}))).await;
    let patch = answer["response"]["patch"].as_str().unwrap();
    let patch =
        String::from_utf8(base64::Engine::decode(&base64::engine::general_purpose::STANDARD, patch).unwrap()).unwrap();
    assert!(
        patch.contains("biotope.dev/admission-id") && patch.contains("705ab4f5-6393-11e8-b7cc-42010a800002"),
        "{patch}"
    );
    for body in ["", "[]", "{\"kind\":\"AdmissionReview\"}", &"x".repeat(8 * 1024 * 1024)] {
        let sent =
            gateway.client.post(format!("https://{}/validate", gateway.address)).body(body.to_owned()).send().await;
        assert!(sent.is_ok_and(|answer| answer.status().is_client_error()), "{}", &body[..body.len().min(40)]);
    }
    let after = gateway.review("mutate", pod(json!({}))).await;
    assert_eq!(after["response"]["allowed"], true, "{after}");
}
