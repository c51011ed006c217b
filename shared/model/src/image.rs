//! Image references as container tools write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// An image reference in normal form: registry, repository, and a tag or a digest or both.
///
/// The short forms of the field are completed as docker and containerd do (`nginx` is `docker.io/library/nginx:latest`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct ImageReference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ImageReference {
    /// Registry host with its port, `docker.io` when none was given.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Repository path, without the registry.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Tag; `latest` when neither tag nor digest was given.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Digest, when the reference is pinned.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same repository, pinned to `digest`.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }
}

impl FromStr for ImageReference {
    type Err = ImageReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = |what| ImageReferenceError { text: text.chars().take(256).collect(), what };
        if text.is_empty() || text.len() > 1024 {
            return Err(fault("the length must be from 1 to 1024 bytes"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(digest.parse().map_err(|_| fault("the digest after `@` is malformed"))?))
            }
            None => (text, None),
        };
        let (registry, rest) = split_registry(rest);
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        if !is_repository(repository) {
            return Err(fault("a repository is lower-case letters, digits, `.`, `_`, `-` and `/`"));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(fault("a tag is up to 128 letters, digits, `.`, `_` and `-`"));
        }
        let repository = if registry == DOCKER && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository.to_owned()
        };
        let tag = tag.map(str::to_owned).or_else(|| digest.is_none().then(|| "latest".to_owned()));
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for ImageReference {
    type Error = ImageReferenceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ImageReference> for String {
    fn from(image: ImageReference) -> Self {
        image.to_string()
    }
}

/// A text is no image reference.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not an image reference: {what}")]
pub struct ImageReferenceError {
    text: String,
    what: &'static str,
}

/// The first component is a registry when it looks like a host: it has a dot or a port, or is `localhost`.
fn split_registry(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
            (if host == "index.docker.io" { DOCKER } else { host }, rest)
        }
        _ => (DOCKER, text),
    }
}

fn is_repository(text: &str) -> bool {
    let is_component = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
            && part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    text.len() <= 255 && text.split('/').all(is_component)
}

fn is_tag(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && !text.starts_with(['.', '-'])
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

const DOCKER: &str = "docker.io";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completes_short_forms() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (input, expected) in [
            ("nginx", "docker.io/library/nginx:latest".to_owned()),
            ("bitnami/redis:7", "docker.io/bitnami/redis:7".to_owned()),
            ("localhost/a", "localhost/a:latest".to_owned()),
            ("127.0.0.1:5000/team/app:1.0", "127.0.0.1:5000/team/app:1.0".to_owned()),
            (&format!("r.example/a@{digest}"), format!("r.example/a@{digest}")),
        ] {
            assert_eq!(input.parse::<ImageReference>().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn rejects_malformed() {
        for input in ["", "UPPER/case", "a:b:c", "a@sha256:12", "a//b", "-a", "r.example/a:"] {
            assert!(input.parse::<ImageReference>().is_err(), "{input}");
        }
    }
}
