//! Manifests, indexes and image configurations, of OCI and of Docker.

use model::Digest;
use serde::Deserialize;

use crate::error::ScanError;
use crate::layer::{Layer, Place};
use crate::limits::Limits;

/// `os/arch[/variant]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Operating system, as Go names it.
    pub os: String,
    /// Architecture, as Go names it.
    pub architecture: String,
    /// Variant, such as `v8`; any when empty.
    pub variant: String,
}

impl Default for Platform {
    /// Linux on the architecture of this program.
    fn default() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: String::new() }
    }
}

impl std::str::FromStr for Platform {
    type Err = ScanError;

    fn from_str(text: &str) -> Result<Self, ScanError> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts.as_slice() {
            [os, architecture] => (os, architecture, &""),
            [os, architecture, variant] => (os, architecture, variant),
            _ => return Err(ScanError::Platform { text: text.to_owned() }),
        };
        if os.is_empty() || architecture.is_empty() {
            return Err(ScanError::Platform { text: text.to_owned() });
        }
        Ok(Self { os: (*os).to_owned(), architecture: (*architecture).to_owned(), variant: (*variant).to_owned() })
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

/// A reference to a blob.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    #[serde(default)]
    pub(crate) size: u64,
    #[serde(default)]
    pub(crate) platform: Option<DescribedPlatform>,
    #[serde(default)]
    pub(crate) annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DescribedPlatform {
    pub(crate) os: String,
    pub(crate) architecture: String,
    pub(crate) variant: String,
}

/// A manifest or an index.
#[derive(Debug)]
pub(crate) enum Document {
    Manifest { config: Descriptor, layers: Vec<Descriptor> },
    Index(Vec<Descriptor>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDocument {
    #[serde(default)]
    schema_version: u64,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
}

pub(crate) fn parse(subject: &str, bytes: &[u8]) -> Result<Document, ScanError> {
    let fault = |what: String| ScanError::Manifest { subject: subject.to_owned(), what };
    let raw: RawDocument = serde_json::from_slice(bytes).map_err(|error| fault(error.to_string()))?;
    match (raw.schema_version, raw.manifests, raw.config) {
        (1, _, _) => {
            Err(fault("schema version 1 is no longer in use: push the image again with a current tool".to_owned()))
        }
        (_, Some(manifests), _) => Ok(Document::Index(manifests)),
        (_, None, Some(config)) => Ok(Document::Manifest { config, layers: raw.layers }),
        (_, None, None) => Err(fault("it has neither `config` nor `manifests`".to_owned())),
    }
}

/// The manifest for a platform in an index. An index of one is taken as it is when it names no platform.
pub(crate) fn choose<'a>(
    subject: &str,
    index: &'a [Descriptor],
    wanted: &Platform,
) -> Result<&'a Descriptor, ScanError> {
    let is_attestation = |one: &&Descriptor| {
        one.annotations.get("vnd.docker.reference.type").is_some_and(|kind| kind == "attestation-manifest")
    };
    let images: Vec<&Descriptor> = index.iter().filter(|one| !is_attestation(one)).collect();
    let fits = |one: &&&Descriptor| {
        one.platform.as_ref().is_some_and(|platform| {
            platform.os == wanted.os
                && platform.architecture == wanted.architecture
                && (wanted.variant.is_empty() || platform.variant.is_empty() || platform.variant == wanted.variant)
        })
    };
    let lone = match images.as_slice() {
        [one] if one.platform.is_none() => Some(*one),
        _ => None,
    };
    images.iter().find(fits).copied().or(lone).ok_or_else(|| {
        let known: Vec<String> = images
            .iter()
            .filter_map(|one| one.platform.as_ref())
            .map(|platform| format!("{}/{}", platform.os, platform.architecture))
            .collect();
        ScanError::NoPlatform { subject: subject.to_owned(), wanted: wanted.to_string(), known: known.join(", ") }
    })
}

#[derive(Deserialize)]
struct RawConfig {
    #[serde(default)]
    rootfs: RootFs,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

/// An image configuration and its diff ids, the lowest layer first.
pub(crate) fn configuration(subject: &str, config: &[u8]) -> Result<(serde_json::Value, Vec<Digest>), ScanError> {
    let fault = |error: serde_json::Error| ScanError::Manifest { subject: subject.to_owned(), what: error.to_string() };
    let raw: RawConfig = serde_json::from_slice(config).map_err(fault)?;
    Ok((serde_json::from_slice(config).map_err(fault)?, raw.rootfs.diff_ids))
}

/// Layers of a manifest with their diff ids.
pub(crate) fn layers(
    subject: &str,
    described: &[Descriptor],
    diff_ids: &[Digest],
    limits: &Limits,
) -> Result<Vec<Layer>, ScanError> {
    let fault = |what: String| ScanError::Manifest { subject: subject.to_owned(), what };
    if described.len() > limits.max_layers {
        return Err(fault(format!("it has {} layers, more than the limit of {}", described.len(), limits.max_layers)));
    }
    if let Some(other) = described.iter().find(|one| !is_layer(&one.media_type)) {
        return Err(fault(format!(
            "`{}` is no layer of a container image: this artifact holds something else",
            other.media_type
        )));
    }
    if described.len() != diff_ids.len() {
        return Err(fault(format!(
            "it has {} layers, but its configuration names {}",
            described.len(),
            diff_ids.len()
        )));
    }
    let layer = |(one, diff_id): (&Descriptor, &Digest)| Layer {
        digest: Some(one.digest.clone()),
        diff_id: diff_id.clone(),
        size: one.size,
        place: Place::Digest,
    };
    Ok(described.iter().zip(diff_ids).map(layer).collect())
}

fn is_layer(media_type: &str) -> bool {
    media_type.is_empty()
        || media_type.starts_with("application/vnd.oci.image.layer.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(number: u8, platform: Option<(&str, &str)>) -> Descriptor {
        Descriptor {
            media_type: String::new(),
            digest: Digest::from_sha256(&[number; 32]),
            size: 1,
            platform: platform.map(|(os, architecture)| DescribedPlatform {
                os: os.to_owned(),
                architecture: architecture.to_owned(),
                variant: String::new(),
            }),
            annotations: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn an_index_is_chosen_from_by_platform() {
        let index = [described(1, Some(("linux", "arm64"))), described(2, Some(("linux", "amd64")))];
        let wanted: Platform = "linux/amd64".parse().unwrap();
        assert_eq!(choose("i", &index, &wanted).unwrap().digest, Digest::from_sha256(&[2; 32]));
        let error = choose("i", &index, &"windows/amd64".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("linux/arm64, linux/amd64"), "{error}");
        assert!(choose("i", &[described(3, None)], &wanted).is_ok());
        assert!("linux".parse::<Platform>().is_err());
    }

    #[test]
    fn documents_are_told_apart() {
        assert!(parse("m", b"{\"schemaVersion\":1}").unwrap_err().to_string().contains("schema version 1"));
        assert!(parse("m", b"{}").is_err());
        assert!(parse("m", b"[").is_err());
        assert!(matches!(parse("m", br#"{"schemaVersion":2,"manifests":[]}"#), Ok(Document::Index(_))));
    }
}
