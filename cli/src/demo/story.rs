//! The steps of the story, each done by the real part.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use parts::Tool;
use schemas::ask::{ScanReply, ScanRequest};
use serde_json::{Value, json};

use super::{image, say};
use crate::events;
use crate::platform::{Addresses, Platform};
use crate::print;

/// What the story plants, for the check at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Planted {
    pub(crate) digest: String,
    pub(crate) admission_id: String,
    pub(crate) pod_uid: String,
    pub(crate) container_id: String,
    pub(crate) secret_path: String,
    pub(crate) secret_version: String,
    pub(crate) connection: String,
}

/// The story in progress.
#[derive(Debug)]
pub(crate) struct Story {
    folder: PathBuf,
    addresses: Addresses,
    reference: String,
    pod: Value,
    planted: Planted,
    token: String,
    is_replay: bool,
}

/// `None` when this machine can watch its own kernel; else the recording that stands for it.
pub(crate) fn recording(folder: &Path, is_wanted: bool) -> anyhow::Result<Option<PathBuf>> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .unwrap_or(0);
    let can_bpf = effective & (1 << 21) != 0 || effective & (3 << 38) == 3 << 38;
    if !is_wanted && can_bpf && Path::new("/sys/kernel/btf/vmlinux").exists() && parts::find(Tool::Runc).is_ok() {
        return Ok(None);
    }
    let why = if is_wanted { "as asked" } else { "no rights for eBPF, or no runc, here" };
    print::line(format!("{why}: the run phase is played from a recording of such a container"));
    fs::create_dir_all(folder)?;
    let path = folder.join("demo.recording");
    fs::write(&path, RECORDING)?;
    Ok(Some(path))
}

/// Puts policies and advisories where the services look.
pub(crate) fn write_inputs(folder: &Path) -> anyhow::Result<()> {
    for (name, text) in INPUTS {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, text)?;
    }
    Ok(())
}

impl Story {
    pub(crate) fn new(platform: &Platform, is_replay: bool) -> anyhow::Result<Self> {
        let reference = format!("{}/shop/web:1.0", platform.addresses.registry);
        let pod = serde_json::from_str(&POD.replace("@IMAGE@", &reference))?;
        Ok(Self {
            folder: platform.folder.clone(),
            addresses: platform.addresses.clone(),
            reference,
            pod,
            planted: Planted { connection: CONNECTION.to_owned(), ..Planted::default() },
            token: platform.openbao.token.clone(),
            is_replay,
        })
    }

    pub(crate) fn planted(&self) -> &Planted {
        &self.planted
    }

    /// Build: the image is built, pushed and scanned.
    pub(crate) async fn scan(&mut self) -> anyhow::Result<()> {
        say(2, "build: an image of busybox and two old Python packages is pushed and scanned");
        let root = image::root_filesystem(&self.folder)?;
        self.planted.digest = image::push(&root, &self.reference).await.context("the image was not pushed")?;
        let bus = events::connect(&self.addresses).await?;
        let request = ScanRequest { target: self.reference.clone(), platform: None };
        let reply: ScanReply = bus
            .ask(("registry-scanner", "scan"), &request, Duration::from_secs(60))
            .await
            .context("the scan failed")?;
        print::line(format!(
            "      {} packages, {} findings ({} high or critical)",
            reply.packages,
            reply.counts.total(),
            reply.counts.high + reply.counts.critical
        ));
        anyhow::ensure!(
            reply.digest.to_string() == self.planted.digest,
            "the scanner saw {} instead of {}",
            reply.digest,
            self.planted.digest
        );
        Ok(())
    }

    /// Deploy: a pod without an exception is refused, ours is let in by one.
    pub(crate) async fn admit(&mut self) -> anyhow::Result<()> {
        say(3, "deploy: the pod is reviewed over HTTPS; a policy would refuse it, an exception lets it in");
        let mut other = self.pod.clone();
        other["metadata"]["name"] = "other".into();
        let refused = self.review("validate", &uuid()?, &other).await?;
        anyhow::ensure!(
            refused.pointer("/response/allowed") == Some(&Value::Bool(false)),
            "a pod without an exception was let in"
        );
        let uid = uuid()?;
        let mutated = self.review("mutate", &uid, &self.pod).await?;
        anyhow::ensure!(
            mutated.pointer("/response/allowed") == Some(&Value::Bool(true)),
            "the mutation was refused: {mutated}"
        );
        apply_patch(&mut self.pod, &mutated)?;
        let id = self.pod.pointer("/metadata/annotations/biotope.dev~1admission-id").and_then(Value::as_str);
        anyhow::ensure!(id == Some(&uid), "the webhook did not write the admission id: {mutated}");
        let admitted = self.review("validate", &uid, &self.pod).await?;
        anyhow::ensure!(
            admitted.pointer("/response/allowed") == Some(&Value::Bool(true)),
            "the pod was refused: {admitted}"
        );
        self.planted.admission_id = uid;
        Ok(())
    }

    async fn review(&self, path: &str, uid: &str, pod: &Value) -> anyhow::Result<Value> {
        let authority = fs::read(self.folder.join("run/certificates/ca.crt"))?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(&authority)?])
            .build()?;
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": uid, "operation": "CREATE", "namespace": "shop", "name": pod["metadata"]["name"], "object": pod,
                "kind": { "group": "", "version": "v1", "kind": "Pod" },
                "resource": { "group": "", "version": "v1", "resource": "pods" },
                "userInfo": { "username": "system:serviceaccount:kube-system:replicaset-controller" },
            },
        });
        let url = format!("https://{}/{path}", self.addresses.webhook);
        let answer = client.post(url).json(&review).send().await.context("the webhook does not answer")?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Start: the secret is in its third version at the vault; it is synced and handed to the pod.
    pub(crate) async fn deliver(&mut self) -> anyhow::Result<()> {
        say(4, "start: the pod's secret is synced from OpenBao and handed to it");
        let client = reqwest::Client::builder().no_proxy().build()?;
        for version in 1..=3 {
            let url = format!("{}/v1/secret/data/shop/db", self.addresses.openbao);
            let body = json!({ "data": { "password": format!("demo-{version}-{}", uuid()?) } });
            client.post(url).header("X-Vault-Token", &self.token).json(&body).send().await?.error_for_status()?;
        }
        (self.planted.secret_path, self.planted.secret_version) = ("shop/db".to_owned(), "3".to_owned());
        let manifest = MANIFEST.replace("@OPENBAO@", &self.addresses.openbao).replace("@TOKEN@", &self.token);
        let path = self.folder.join("secrets/db.yaml");
        fs::write(&path, manifest)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let written = self.folder.join("secrets-out/shop/db/password");
        anyhow::ensure!(
            until(Duration::from_secs(30), || written.exists()).await,
            "the secret was not written to {}",
            written.display()
        );
        self.planted.pod_uid = if self.is_replay { RECORDED_POD.to_owned() } else { uuid()? };
        self.pod["metadata"]["uid"] = self.planted.pod_uid.clone().into();
        service::write_atomically(&self.folder.join("manifests/web.json"), &serde_json::to_string_pretty(&self.pod)?)?;
        // The pod is announced by the gateway and the broker before its container starts, as on a node.
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(())
    }

    /// Run: the container reads what it should not, starts a shell and connects out.
    pub(crate) async fn run(&mut self, platform: &mut Platform) -> anyhow::Result<()> {
        if self.is_replay {
            say(5, "run: the recorded container reads /etc/shadow, starts a shell and connects out");
            self.planted.container_id = RECORDED_CONTAINER.to_owned();
            platform.start_service("runtime-sensor", Some(&self.folder.join("demo.recording")))?;
            return platform.await_service("runtime-sensor");
        }
        say(5, "run: the container reads /etc/shadow, starts a shell and connects out; eBPF sees it");
        self.planted.container_id = format!("{}{}", uuid()?.replace('-', ""), uuid()?.replace('-', ""));
        let cgroup = format!("/{}/{}", pod_cgroup(&self.planted.pod_uid), self.planted.container_id);
        let config = json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false, "user": { "uid": 0, "gid": 0 }, "cwd": "/", "env": ["PATH=/bin"], "noNewPrivileges": true,
                "args": ["/bin/sh", "-c", "/bin/sh -c 'cat /etc/shadow > /dev/null; nc -w 1 192.0.2.1 443; true'; sleep 1"],
                "capabilities": { "bounding": [], "effective": [], "permitted": [] },
            },
            "root": { "path": "rootfs", "readonly": false },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
            ],
            // A network of its own without a way out: the connection is refused inside, and is an event all the same.
            "linux": { "cgroupsPath": cgroup, "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "network" }, { "type": "ipc" }] },
        });
        fs::write(self.folder.join("config.json"), serde_json::to_string(&config)?)?;
        let (program, folder, id) = (parts::find(Tool::Runc)?, self.folder.clone(), self.planted.container_id.clone());
        let state = self.folder.join("runc");
        let output = tokio::task::spawn_blocking(move || {
            Command::new(program).arg("--root").arg(state).args(["run", "--bundle"]).arg(&folder).arg(id).output()
        })
        .await??;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        remove_pod_cgroups(&self.planted.pod_uid);
        anyhow::ensure!(output.status.success(), "the container failed: {said}");
        Ok(())
    }
}

/// The pod's cgroup, without its hierarchy. Below a folder of the demo's own: a kubelet on the same machine ends every process that
/// it finds in a pod's cgroup below `/kubepods` and whose pod it does not know (its `cleanupOrphanedPodCgroups`).
fn pod_cgroup(pod_uid: &str) -> String {
    format!("{CGROUP}/kubepods/burstable/pod{pod_uid}")
}

/// runc removes the container's cgroups, the pod's above them are ours.
fn remove_pod_cgroups(pod_uid: &str) {
    let (root, pod) = (Path::new("/sys/fs/cgroup"), pod_cgroup(pod_uid));
    // One hierarchy at the root (cgroup v2), or one in each folder (v1).
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    for hierarchy in hierarchies.chain([root.to_owned()]) {
        for folder in Path::new(&pod).ancestors().filter(|folder| folder.starts_with(CGROUP)) {
            // Not every hierarchy has it, and another demo may be at work in it.
            let _ = fs::remove_dir(hierarchy.join(folder));
        }
    }
}

/// Waits for a condition.
async fn until(limit: Duration, holds: impl Fn() -> bool) -> bool {
    let deadline = tokio::time::Instant::now() + limit;
    while !holds() {
        if tokio::time::Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    true
}

/// Changes the object as the mutating webhook says, as the API server would.
fn apply_patch(object: &mut Value, review: &Value) -> anyhow::Result<()> {
    let patch = review.pointer("/response/patch").and_then(Value::as_str).context("the webhook sent no patch")?;
    let patch = base64::engine::general_purpose::STANDARD.decode(patch)?;
    let patch: json_patch::Patch = serde_json::from_slice(&patch)?;
    json_patch::patch(object, &patch).context("the webhook's patch does not fit the pod")
}

/// A random UUID from the kernel.
fn uuid() -> anyhow::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned())
}

const POD: &str = include_str!("../../assets/pod.json");

const MANIFEST: &str = include_str!("../../assets/secrets/db.yaml");

const RECORDING: &[u8] = include_bytes!("../../assets/demo.recording");

/// Pod and container of the recording.
const RECORDED_POD: &str = "0b1f9c6e-2d8f-4a5e-9d27-0c7a3c1f2b3a";
const RECORDED_CONTAINER: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";

/// The folder of the demo's cgroups.
const CGROUP: &str = "biotope-demo";

/// An address for documentation (RFC 5737): nobody is there.
const CONNECTION: &str = "192.0.2.1:443";

const INPUTS: [(&str, &str); 3] = [
    ("policies/run-as-non-root.yaml", include_str!("../../assets/policies/run-as-non-root.yaml")),
    ("advisories/CVE-2021-33503.json", include_str!("../../assets/advisories/CVE-2021-33503.json")),
    ("advisories/CVE-2018-18074.json", include_str!("../../assets/advisories/CVE-2018-18074.json")),
];
