//! What a runtime says of a container, in the form that rules and events want.

use std::collections::BTreeMap;

use model::{ContainerId, Digest, Identity};
use serde_json::Value;

use super::messages::{ContainerStatusResponse, Image, Mount, PodSandboxStatus, PodSandboxStatusResponse};
use crate::pods::Pod;

/// Everything that is known of a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ContainerFacts {
    /// What it has in common with announced pods: names, labels of the pod, image.
    pub(crate) pod: Pod,
    /// `containerd`, `cri-o`
    pub(crate) runtime: String,
    /// Whether it is the one that holds a pod's namespaces.
    pub(crate) is_sandbox: bool,
    /// Digest of the image's configuration, without `sha256:`.
    pub(crate) image_id: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) is_privileged: Option<bool>,
    pub(crate) mounts: Vec<MountFacts>,
    /// Nanoseconds since 1970.
    pub(crate) started_ns: i64,
    pub(crate) sandbox_id: String,
    pub(crate) ip: String,
    pub(crate) cni_json: String,
    pub(crate) has_host_network: bool,
    pub(crate) has_host_pid: bool,
    pub(crate) has_host_ipc: bool,
}

/// What is mounted into a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MountFacts {
    pub(crate) source: String,
    pub(crate) destination: String,
    pub(crate) is_writable: bool,
    pub(crate) propagation: &'static str,
}

impl ContainerFacts {
    /// A container, its sandbox where that was found, its image where that was asked for.
    pub(super) fn of_container(
        answer: &ContainerStatusResponse,
        sandbox: Option<&PodSandboxStatusResponse>,
        image: Option<&Image>,
        runtime: &str,
    ) -> Option<Self> {
        let status = answer.status.as_ref()?;
        let mut facts = sandbox.and_then(|sandbox| Self::of_sandbox(sandbox, runtime)).unwrap_or_default();
        facts.is_sandbox = false;
        runtime.clone_into(&mut facts.runtime);
        facts.labels.clone_from(&status.labels);
        facts.mounts = status.mounts.iter().map(MountFacts::of).collect();
        facts.started_ns = if status.started_at > 0 { status.started_at } else { status.created_at };
        let info: Value = answer.info.get("info").and_then(|info| serde_json::from_str(info).ok()).unwrap_or_default();
        facts.is_privileged = privileged(&info);
        let digests = image.map(|image| image.repo_digests.as_slice()).unwrap_or_default();
        let candidates = digests.iter().map(String::as_str).chain([status.image_ref.as_str()]);
        let identity = &mut facts.pod.identity;
        identity.image_digest = candidates.filter_map(|text| text.rsplit_once('@')?.1.parse::<Digest>().ok()).next();
        identity.container_id = status.id.parse::<ContainerId>().ok();
        identity.container_name =
            status.metadata.as_ref().map(|metadata| metadata.name.clone()).filter(|name| !name.is_empty());
        let reference = reference(status, image);
        identity.image = Some(reference.clone()).filter(|image| !image.is_empty());
        facts.pod.container_name.clone_from(&identity.container_name);
        facts.pod.image.clone_from(&identity.image);
        let id = [&status.image_id, &status.image_ref].into_iter().chain(image.map(|image| &image.id));
        facts.image_id = id.filter_map(|id| id.strip_prefix("sha256:")).next().unwrap_or_default().to_owned();
        Some(facts)
    }

    /// A sandbox by itself.
    pub(super) fn of_sandbox(answer: &PodSandboxStatusResponse, runtime: &str) -> Option<Self> {
        let status = answer.status.as_ref()?;
        let metadata = status.metadata.clone().unwrap_or_default();
        let options = status.linux.as_ref().and_then(|linux| linux.namespaces.as_ref()?.options.clone());
        let options = options.unwrap_or_default();
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Some(Self {
            pod: Pod {
                identity: Identity {
                    pod_uid: metadata.uid.parse().ok(),
                    pod_name: text(&metadata.name),
                    namespace: text(&metadata.namespace),
                    container_id: status.id.parse().ok(),
                    ..Identity::default()
                },
                labels: status.labels.clone(),
                container_name: text(&metadata.name),
                ..Pod::default()
            },
            runtime: runtime.to_owned(),
            is_sandbox: true,
            labels: status.labels.clone(),
            is_privileged: Some(false),
            started_ns: status.created_at,
            sandbox_id: status.id.clone(),
            ip: status.network.as_ref().map(|network| network.ip.clone()).unwrap_or_default(),
            cni_json: interfaces(status, answer).unwrap_or_default(),
            has_host_network: options.network == NODE,
            has_host_pid: options.pid == NODE,
            has_host_ipc: options.ipc == NODE,
            ..Self::default()
        })
    }

    /// The mount of a number, or the first whose path, as `by` gives it, is that of the argument (which may be a pattern).
    pub(crate) fn mount(&self, argument: &str, by: impl Fn(&MountFacts) -> &str) -> Option<&MountFacts> {
        match argument.parse::<usize>() {
            Ok(place) => self.mounts.get(place),
            Err(_) => self.mounts.iter().find(|mount| is_like(argument.as_bytes(), by(mount).as_bytes())),
        }
    }
}

impl MountFacts {
    fn of(mount: &Mount) -> Self {
        Self {
            source: mount.host_path.clone(),
            destination: mount.container_path.clone(),
            is_writable: !mount.readonly,
            propagation: match mount.propagation {
                0 => "private",
                1 => "rslave",
                2 => "rshared",
                _ => "unknown",
            },
        }
    }
}

impl std::fmt::Display for MountFacts {
    /// `source:destination:mode:writable:propagation`; runtimes of this interface say no mode.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}::{}:{}", self.source, self.destination, self.is_writable, self.propagation)
    }
}

/// The image as the pod asks for it. Runtimes name it by its id where that was how it was found; then by its tag.
fn reference(status: &super::messages::ContainerStatus, image: Option<&Image>) -> String {
    let spec = status.image.clone().unwrap_or_default();
    let named = [spec.user_specified_image, spec.image];
    let tags = image.map(|image| image.repo_tags.clone()).unwrap_or_default();
    let is_name = |name: &String| !name.is_empty() && !name.starts_with("sha256:");
    named.into_iter().chain(tags).find(is_name).unwrap_or_else(|| status.image_ref.clone())
}

/// Whether a container is privileged: containerd tells its configuration, CRI-O the answer.
fn privileged(info: &Value) -> Option<bool> {
    let configured = info.pointer("/config/linux/security_context/privileged");
    configured.or_else(|| info.get("privileged")).and_then(Value::as_bool).or_else(|| {
        // What is not set is left out.
        info.pointer("/config/linux/security_context").map(|_| false)
    })
}

/// The pod's network interfaces as the network plugin tells them, without those that every pod has.
fn interfaces(status: &PodSandboxStatus, answer: &PodSandboxStatusResponse) -> Option<String> {
    let result = match answer.info.get("info").and_then(|info| serde_json::from_str::<Value>(info).ok()) {
        Some(mut info) if info.get("cniResult").is_some() => info.get_mut("cniResult")?.get_mut("Interfaces")?.take(),
        _ => serde_json::from_str(status.annotations.get("io.kubernetes.cri-o.CNIResult")?).ok()?,
    };
    match result {
        Value::Object(mut found) => {
            found.retain(|name, _| name != "lo" && !name.starts_with("veth"));
            (!found.is_empty()).then(|| Value::Object(found).to_string())
        }
        other => Some(other.to_string()),
    }
}

/// Whether a text is like a pattern, in which `*` is any characters and `?` is one.
fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut place) = (0, 0);
    // Where to go on when what came after the last star does not fit: one character further.
    let mut again = None;
    while place < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                again = Some((at, place));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || text.get(place) == Some(wanted) => (at, place) = (at + 1, place + 1),
            _ => {
                let Some((star, from)) = again else { return false };
                again = Some((star, from + 1));
                (at, place) = (star + 1, from + 1);
            }
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|rest| *rest == b'*')
}

/// `NamespaceMode`
const NODE: i32 = 2;

#[cfg(test)]
mod tests {
    use super::super::messages::{ContainerMetadata, ContainerStatus, ImageSpec, PodSandboxMetadata};
    use super::*;

    fn container(image: &str, image_ref: &str) -> ContainerStatusResponse {
        ContainerStatusResponse {
            status: Some(ContainerStatus {
                id: "ab".repeat(32),
                metadata: Some(ContainerMetadata { name: "app".to_owned() }),
                image: Some(ImageSpec { image: image.to_owned(), user_specified_image: String::new() }),
                image_ref: image_ref.to_owned(),
                mounts: vec![Mount {
                    container_path: "/data".to_owned(),
                    host_path: "/var/lib/x".to_owned(),
                    readonly: true,
                    propagation: 1,
                }],
                ..ContainerStatus::default()
            }),
            info: BTreeMap::from([(
                "info".to_owned(),
                r#"{"config":{"linux":{"security_context":{"privileged":true}}}}"#.to_owned(),
            )]),
        }
    }

    #[test]
    fn names_digests_and_ids_are_found_where_each_runtime_puts_them() {
        let digest = format!("sha256:{}", "1".repeat(64));
        let id = format!("sha256:{}", "2".repeat(64));
        let tagged =
            Image { id: id.clone(), repo_tags: vec!["docker.io/library/web:1".to_owned()], repo_digests: vec![] };
        let pinned = format!("docker.io/library/web@{digest}");
        let digested = Image { repo_digests: vec![pinned.clone()], ..tagged.clone() };
        for (image, image_ref, asked, name, has_digest) in [
            ("docker.io/library/web:1", pinned.as_str(), None, "docker.io/library/web:1", true),
            (id.as_str(), id.as_str(), Some(&tagged), "docker.io/library/web:1", false),
            (id.as_str(), id.as_str(), Some(&digested), "docker.io/library/web:1", true),
            ("web:1", id.as_str(), None, "web:1", false),
        ] {
            let facts = ContainerFacts::of_container(&container(image, image_ref), None, asked, "containerd").unwrap();
            assert_eq!(facts.pod.image.as_deref(), Some(name));
            let found = facts.pod.identity.image_digest.map(|digest| digest.to_string());
            assert_eq!(found, has_digest.then(|| digest.clone()), "{image} {image_ref}");
            assert_eq!((facts.is_privileged, facts.pod.container_name.as_deref()), (Some(true), Some("app")));
        }
    }

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, text, expected) in [
            ("/var/*", "/var/lib/x", true),
            ("/var/?ib/*", "/var/lib/x", true),
            ("*x*b", "axbxab", true),
            ("/var", "/var/lib", false),
            ("*a", "ab", false),
            ("", "", true),
            ("*", "", true),
            ("?", "", false),
        ] {
            assert_eq!(is_like(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn mounts_are_found_by_number_source_and_pattern() {
        let facts = ContainerFacts::of_container(&container("x", "x"), None, None, "containerd").unwrap();
        let by = |argument: &str| facts.mount(argument, |mount| &mount.source).map(ToString::to_string);
        let expected = Some("/var/lib/x:/data::false:rslave".to_owned());
        assert_eq!(by("0"), expected);
        assert_eq!(by("/var/lib/x"), expected);
        assert_eq!(by("/var/*"), expected);
        assert_eq!((by("1"), by("/etc")), (None, None));
    }

    #[test]
    fn a_sandbox_tells_its_pod_and_its_network() {
        let info = r#"{"cniResult":{"Interfaces":{"lo":{},"veth1":{},"eth0":{"IPConfigs":[{"IP":"10.0.0.9"}]}}}}"#;
        let answer = PodSandboxStatusResponse {
            status: Some(PodSandboxStatus {
                id: "cd".repeat(32),
                metadata: Some(PodSandboxMetadata {
                    name: "web-0".to_owned(),
                    uid: "0b1f9c6e-2d8f-4a5e-9d27-0c7a3c1f2b3a".to_owned(),
                    namespace: "shop".to_owned(),
                }),
                ..PodSandboxStatus::default()
            }),
            info: BTreeMap::from([("info".to_owned(), info.to_owned())]),
        };
        let facts = ContainerFacts::of_container(&container("x", "x"), Some(&answer), None, "containerd").unwrap();
        assert_eq!(facts.cni_json, r#"{"eth0":{"IPConfigs":[{"IP":"10.0.0.9"}]}}"#);
        let identity = &facts.pod.identity;
        assert_eq!((identity.pod_name.as_deref(), identity.namespace.as_deref()), (Some("web-0"), Some("shop")));
        assert!(!facts.is_sandbox && ContainerFacts::of_sandbox(&answer, "containerd").unwrap().is_sandbox);
    }
}
