//! Reads manifests and small blobs of a registry (OCI distribution), anonymously. The scanner pulls images; this reads only
//! what lies beside them.

use std::time::Duration;

use model::ImageReference;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, AUTHORIZATION, WWW_AUTHENTICATE};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::cosign::{Layer, Signed};

const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";
/// No manifest, signature or attestation that is worth reading is larger.
const MAX_BYTES: usize = 4 << 20;
/// At most this many signatures of one image are read.
const MAX_LAYERS: usize = 50;

/// Why a registry could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("the image reference is malformed")]
    Reference,
    #[error("{0}")]
    Request(#[from] reqwest::Error),
    #[error("{url} answered {status}")]
    Status { url: String, status: StatusCode },
    #[error("{url} is larger than {MAX_BYTES} bytes")]
    TooLarge { url: String },
    #[error("{url} has another digest than asked for, or is not what it should be")]
    Content { url: String },
}

/// A reader of registries. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Registry {
    client: reqwest::Client,
    /// Registries without TLS.
    insecure: Vec<String>,
}

impl Registry {
    pub(super) fn new(insecure: Vec<String>) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().connect_timeout(Duration::from_secs(3)).build()?;
        Ok(Self { client, insecure })
    }

    /// The digest that a tag stands for now.
    pub(super) async fn digest(&self, image: &ImageReference) -> Result<String, ReadError> {
        let url = self.url(image, &format!("manifests/{}", image.tag().unwrap_or("latest")));
        let bytes = self.get(&url).await?.ok_or(ReadError::Status { url, status: StatusCode::NOT_FOUND })?;
        Ok(digest_of(&bytes))
    }

    /// The documents of the artifact with this tag; none when there is no such tag.
    pub(super) async fn signed(
        &self,
        beside: &ImageReference,
        tag: &str,
        read: impl Fn(&Layer<'_>) -> Option<Signed>,
    ) -> Result<Vec<Signed>, ReadError> {
        let url = self.url(beside, &format!("manifests/{tag}"));
        let Some(bytes) = self.get(&url).await? else { return Ok(Vec::new()) };
        let content = || ReadError::Content { url: url.clone() };
        let manifest: Value = serde_json::from_slice(&bytes).map_err(|_| content())?;
        let layers = manifest.get("layers").and_then(Value::as_array).ok_or_else(content)?;
        let mut found = Vec::new();
        for layer in layers.iter().take(MAX_LAYERS) {
            let digest = layer.get("digest").and_then(Value::as_str).ok_or_else(content)?;
            let url = self.url(beside, &format!("blobs/{digest}"));
            let bytes = self.get(&url).await?.filter(|bytes| digest_of(bytes) == digest);
            let bytes = bytes.ok_or(ReadError::Content { url })?;
            let annotations = layer.get("annotations").unwrap_or(&Value::Null);
            found.extend(read(&Layer { annotations, bytes: &bytes }));
        }
        Ok(found)
    }

    /// Manifest, configuration and names of an image. Of an index, the entry for Linux on this machine's architecture, else the first.
    pub(super) async fn metadata(&self, reference: &str, image: &ImageReference) -> Result<Value, ReadError> {
        let identifier = match image.digest() {
            Some(digest) => digest.to_string(),
            None => image.tag().unwrap_or("latest").to_owned(),
        };
        let (index, digest) = self.manifest(image, &identifier).await?;
        let manifest = match entry_of(&index) {
            Some(entry) => self.manifest(image, &entry).await?.0,
            None => index.clone(),
        };
        let config = manifest.pointer("/config/digest").and_then(Value::as_str);
        let config = match config {
            Some(config) => self.json(&self.url(image, &format!("blobs/{config}"))).await?.0,
            None => Value::Null,
        };
        let mut metadata = serde_json::json!({
            "image": reference,
            "resolvedImage": format!("{}/{}@{digest}", image.registry(), image.repository()),
            "registry": image.registry(),
            "repository": image.repository(),
            "identifier": identifier,
            "manifest": manifest,
            "configData": config,
        });
        if index.get("manifests").is_some() {
            metadata["imageIndex"] = index;
        }
        Ok(metadata)
    }

    async fn manifest(&self, image: &ImageReference, identifier: &str) -> Result<(Value, String), ReadError> {
        self.json(&self.url(image, &format!("manifests/{identifier}"))).await
    }

    async fn json(&self, url: &str) -> Result<(Value, String), ReadError> {
        let missing = || ReadError::Status { url: url.to_owned(), status: StatusCode::NOT_FOUND };
        let bytes = self.get(url).await?.ok_or_else(missing)?;
        let value = serde_json::from_slice(&bytes).map_err(|_| ReadError::Content { url: url.to_owned() })?;
        Ok((value, digest_of(&bytes)))
    }

    fn url(&self, image: &ImageReference, rest: &str) -> String {
        let host = match image.registry() {
            "docker.io" => "registry-1.docker.io",
            host => host,
        };
        let scheme = if self.insecure.iter().any(|known| known == host) { "http" } else { "https" };
        format!("{scheme}://{host}/v2/{}/{rest}", image.repository())
    }

    /// A body; `None` when there is nothing at the address.
    async fn get(&self, url: &str) -> Result<Option<Vec<u8>>, ReadError> {
        let mut answer = self.client.get(url).header(ACCEPT, MANIFESTS).send().await?;
        if answer.status() == StatusCode::UNAUTHORIZED
            && let Some(token) = self.token(&answer).await?
        {
            let bearer = format!("Bearer {token}");
            answer = self.client.get(url).header(ACCEPT, MANIFESTS).header(AUTHORIZATION, bearer).send().await?;
        }
        match answer.status() {
            StatusCode::NOT_FOUND => return Ok(None),
            status if !status.is_success() => return Err(ReadError::Status { url: url.to_owned(), status }),
            _ => {}
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_BYTES {
                return Err(ReadError::TooLarge { url: url.to_owned() });
            }
        }
        Ok(Some(body))
    }

    /// An anonymous token, as the registry's challenge asks for it.
    async fn token(&self, refused: &reqwest::Response) -> Result<Option<String>, ReadError> {
        let challenge = refused.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        let Some(challenge) = challenge.and_then(|challenge| challenge.strip_prefix("Bearer ")) else {
            return Ok(None);
        };
        let part = |name: &str| {
            let (_, rest) = challenge.split_once(&format!("{name}=\""))?;
            rest.split_once('"').map(|(value, _)| value)
        };
        let Some(realm) = part("realm") else { return Ok(None) };
        let query: Vec<(&str, &str)> =
            ["service", "scope"].into_iter().filter_map(|name| Some((name, part(name)?))).collect();
        let answer: Value = self.client.get(realm).query(&query).send().await?.json().await?;
        let token = answer.get("token").or_else(|| answer.get("access_token")).and_then(Value::as_str);
        Ok(token.map(str::to_owned))
    }
}

/// The digest of an index's entry for this machine.
fn entry_of(index: &Value) -> Option<String> {
    let entries = index.get("manifests")?.as_array()?;
    let here = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let text =
        |entry: &Value, pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let fits = |entry: &&Value| text(entry, "/platform/os") == "linux" && text(entry, "/platform/architecture") == here;
    let entry = entries.iter().find(fits).or_else(|| entries.first())?;
    entry.get("digest").and_then(Value::as_str).map(str::to_owned)
}

fn digest_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
