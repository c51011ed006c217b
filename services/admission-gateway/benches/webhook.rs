//! The webhook as the API server meets it: HTTPS, kept connections, whole AdmissionReviews of a Deployment, the policies of
//! `BIOTOPE_POLICIES` (a folder; default the Pod Security Standards of the corpus, or one small policy without it).
//!
//! `cargo bench -p admission-gateway --bench webhook` prints reviews a second and their times for 1, 8 and 32 connections.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    reason = "a bench prints figures and stops on what it cannot measure"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::parts::{self, Process, wait_until};

const POLICY: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: tags}
spec:
  rules:
  - name: tags
    match: {any: [{resources: {kinds: [Pod]}}]}
    validate: {pattern: {spec: {containers: [{image: '*:*'}]}}}
";

fn main() {
    service::install_crypto();
    let Some(nats) = parts::nats() else { return };
    let folder = nats.folder().to_owned();
    let policies = folder.join("policies");
    std::fs::create_dir_all(&policies).expect("a folder");
    let count = copy_policies(&policies);
    let config = json!({
        "bus": {"servers": [nats.url()]}, "admin": {"address_file": folder.join("admin")},
        "service": {"policies": policies, "certificates": folder.join("certificates"),
            "address_file": folder.join("address"), "scan_unknown": false},
    });
    std::fs::write(folder.join("gateway.yaml"), config.to_string()).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_admission-gateway"));
    command.arg("--config").arg(folder.join("gateway.yaml"));
    let _process = Process::start("admission-gateway", &mut command, &folder.join("gateway.log")).expect("a gateway");
    let address = wait_until(Duration::from_secs(30), || std::fs::read_to_string(folder.join("address")).ok());
    let url = format!("https://{}/validate", address.expect("an address"));
    std::thread::sleep(Duration::from_secs(3));
    let authority = std::fs::read(folder.join("certificates/ca.crt")).expect("a certificate");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    println!("{count} policy files");
    for connections in [1, 8, 32] {
        runtime.block_on(measure(&url, &authority, connections));
    }
}

async fn measure(url: &str, authority: &[u8], connections: usize) {
    let body = review();
    let end = Instant::now() + Duration::from_secs(5);
    let mut work = Vec::new();
    for _ in 0..connections {
        let certificate = reqwest::Certificate::from_pem(authority).expect("a certificate");
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([certificate]).build().expect("a client");
        let (url, body) = (url.to_owned(), body.clone());
        work.push(tokio::spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < end {
                let start = Instant::now();
                let answer = client.post(&url).body(body.clone()).send().await.expect("an answer");
                let text = answer.text().await.expect("a body");
                assert!(text.contains("\"allowed\""), "{text}");
                times.push(start.elapsed());
            }
            times
        }));
    }
    let mut times = Vec::new();
    for one in work {
        times.extend(one.await.expect("a worker"));
    }
    times.sort_unstable();
    let at = |part: f64| times.get((times.len() as f64 * part) as usize).copied().unwrap_or_default();
    println!(
        "{connections} connections: {:.0} reviews/s, median {:?}, p99 {:?}, worst {:?}",
        times.len() as f64 / 5.0,
        at(0.5),
        at(0.99),
        times.last().copied().unwrap_or_default()
    );
}

fn review() -> String {
    let container = |name: &str| {
        json!({"name": name, "image": format!("registry.example/{name}:1.2.3"),
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}})
    };
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [container("web"), container("proxy")]}}}});
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE", "namespace": "shop", "name": "web",
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"}, "userInfo": {"username": "jane"},
        "object": object}})
    .to_string()
}

/// Policies for the gateway's folder; how many files.
fn copy_policies(target: &Path) -> usize {
    let given = std::env::var("BIOTOPE_POLICIES").ok().map(PathBuf::from);
    let corpora = std::env::var("BIOTOPE_CORPORA").ok().map(PathBuf::from);
    let corpora = corpora.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora"));
    let mut found = Vec::new();
    collect(&given.unwrap_or_else(|| corpora.join("kyverno-policies/pod-security")), &mut found);
    for (number, text) in found.iter().enumerate() {
        std::fs::write(target.join(format!("{number}.yaml")), text).expect("a file");
    }
    if found.is_empty() {
        std::fs::write(target.join("tags.yaml"), POLICY).expect("a file");
    }
    found.len().max(1)
}

fn collect(folder: &Path, found: &mut Vec<String>) {
    for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !hidden {
            collect(&path, found);
        } else if path.extension().is_some_and(|end| end == "yaml")
            && let Ok(text) = std::fs::read_to_string(&path)
            && text.contains("kind: ClusterPolicy")
        {
            found.push(text);
        }
    }
}
