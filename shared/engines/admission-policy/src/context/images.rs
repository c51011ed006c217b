//! Images of a workload, as the `images` variable shows them.

use serde_json::{Map, Value};

/// One image reference of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageInfo {
    /// `containers`, `initContainers`, `ephemeralContainers`, or the extractor's name.
    pub(crate) group: String,
    /// Name of the container.
    pub(crate) container: String,
    pub(crate) registry: String,
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) tag: String,
    pub(crate) digest: String,
    /// JSON pointer of the text in the object.
    pub(crate) pointer: String,
}

impl ImageInfo {
    /// Parses an image text: the default registry is `docker.io`, the default tag `latest`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (rest, digest) = text.split_once('@').map_or((text, ""), |(rest, digest)| (rest, digest));
        let (registry, rest) = match rest.split_once('/') {
            Some((host, path)) if is_host(host) => (host, path),
            _ => ("docker.io", rest),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, tag),
            _ => (rest, ""),
        };
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '/' | '.' | '_' | '-');
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_tag =
            tag.starts_with(is_word) && tag.len() <= 128 && tag.chars().all(|c| is_word(c) || c == '.' || c == '-');
        let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let has_port = registry.split_once(':').is_none_or(|(_, port)| is_port(port));
        if !has_port || path.split('/').any(str::is_empty) || !path.chars().all(valid) || !(tag.is_empty() || is_tag) {
            return None;
        }
        let tag = if tag.is_empty() && digest.is_empty() { "latest" } else { tag };
        let name = path.rsplit('/').next().unwrap_or(path);
        Some(Self {
            group: String::new(),
            container: String::new(),
            registry: registry.to_owned(),
            path: path.to_owned(),
            name: name.to_owned(),
            tag: tag.to_owned(),
            digest: digest.to_owned(),
            pointer: String::new(),
        })
    }

    /// `registry/path:tag`, or with the digest if there is one.
    pub(crate) fn reference(&self) -> String {
        if self.digest.is_empty() {
            return self.reference_with_tag();
        }
        [&self.registry, "/", &self.path, "@", &self.digest].concat()
    }

    /// `registry/path:tag`.
    pub(crate) fn reference_with_tag(&self) -> String {
        [&self.registry, "/", &self.path, ":", &self.tag].concat()
    }

    fn to_json(&self) -> Value {
        let mut out = Map::with_capacity(8);
        let mut put = |key: &str, value: String| out.insert(key.to_owned(), Value::String(value));
        put("registry", self.registry.clone());
        put("name", self.name.clone());
        put("path", self.path.clone());
        put("reference", self.reference());
        put("referenceWithTag", self.reference_with_tag());
        put("jsonPath", self.pointer.clone());
        for (key, value) in [("tag", &self.tag), ("digest", &self.digest)] {
            if !value.is_empty() {
                out.insert(key.to_owned(), Value::from(value.as_str()));
            }
        }
        Value::Object(out)
    }
}

/// Whether what stands before the first slash of an image text is a registry.
fn is_host(text: &str) -> bool {
    text.contains(['.', ':']) || text == "localhost" || text.chars().any(char::is_uppercase)
}

/// JSON pointer of the pod spec in a workload of `kind`.
pub(crate) fn pod_spec_pointer(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Pod" => "/spec",
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job" => {
            "/spec/template/spec"
        }
        "CronJob" => "/spec/jobTemplate/spec/template/spec",
        _ => return None,
    })
}

/// The images of a workload.
pub(crate) fn extract(object: &Value, kind: &str) -> Vec<ImageInfo> {
    let Some(pointer) = pod_spec_pointer(kind) else { return Vec::new() };
    let Some(spec) = object.pointer(pointer) else { return Vec::new() };
    let mut images = Vec::new();
    for group in ["initContainers", "containers", "ephemeralContainers"] {
        let containers = spec.get(group).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for (index, container) in containers.iter().enumerate() {
            let text = |key: &str| container.get(key).and_then(Value::as_str).unwrap_or_default();
            if let Some(mut image) = ImageInfo::parse(text("image")) {
                image.group = group.to_owned();
                image.container = text("name").to_owned();
                image.pointer = format!("{pointer}/{group}/{index}/image");
                images.push(image);
            }
        }
    }
    images
}

/// Why Kyverno has no `images` variable for a workload: the first container that is none, has no name, or whose image is no
/// reference.
pub(crate) fn fault(object: &Value, kind: &str) -> Option<String> {
    let spec = object.pointer(pod_spec_pointer(kind)?)?;
    if spec.is_null() {
        return None;
    }
    let Some(spec) = spec.as_object() else { return Some("invalid image config".to_owned()) };
    let lists = ["initContainers", "containers", "ephemeralContainers"].into_iter().filter_map(|group| spec.get(group));
    lists.filter(|list| !list.is_null()).find_map(|list| match list.as_array() {
        Some(containers) => containers.iter().find_map(fault_of),
        None if list.is_object() => None,
        None => Some("invalid type".to_owned()),
    })
}

fn fault_of(container: &Value) -> Option<String> {
    if container.is_null() {
        return None;
    }
    let Some(container) = container.as_object() else { return Some("invalid image config".to_owned()) };
    if !container.get("name").is_some_and(Value::is_string) {
        return Some("invalid key".to_owned());
    }
    let image = container.get("image").and_then(Value::as_str).filter(|image| !image.trim().is_empty())?;
    let is_digest = |digest: &str| {
        let hex = digest.split_once(':').map_or("", |(_, hex)| hex);
        hex.len() >= 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let is_reference =
        |image: &str| ImageInfo::parse(image).is_some_and(|image| image.digest.is_empty() || is_digest(&image.digest));
    if is_reference(image) {
        return None;
    }
    let has_host = image.split_once('/').is_some_and(|(host, _)| is_host(host));
    let whole = if has_host { image.to_owned() } else { format!("docker.io/{image}") };
    let lower = is_reference(&image.to_lowercase());
    let why = if lower { "repository name must be lowercase" } else { "invalid reference format" };
    let settings = "defaultRegistry: docker.io, enableDefaultRegistryMutation: true";
    Some(format!("invalid image '{image}' (bad image: {whole}, {settings}: {why})"))
}

/// Images as the `images` variable.
pub(crate) fn to_variable(images: &[ImageInfo]) -> Value {
    let mut groups: Map<String, Value> = Map::new();
    for image in images {
        let group = groups.entry(image.group.clone()).or_insert_with(|| Value::Object(Map::new()));
        if let Some(group) = group.as_object_mut() {
            group.insert(image.container.clone(), image.to_json());
        }
    }
    Value::Object(groups)
}

#[cfg(test)]
mod tests {
    use super::ImageInfo;

    #[test]
    fn reads_references() {
        let cases = [
            ("nginx", "docker.io/nginx:latest"),
            ("nginx:1.2", "docker.io/nginx:1.2"),
            ("ghcr.io/a/b:c", "ghcr.io/a/b:c"),
            ("localhost:5000/x", "localhost:5000/x:latest"),
            ("a/b@sha256:00", "docker.io/a/b@sha256:00"),
        ];
        for (text, expected) in cases {
            assert_eq!(ImageInfo::parse(text).unwrap().reference(), expected, "{text}");
        }
        assert!(ImageInfo::parse("Bad Image").is_none());
    }
}
