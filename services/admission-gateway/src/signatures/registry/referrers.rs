//! What refers to an image (OCI 1.1): listed by the registry, or, where it knows no such list, in an index under a tag made of the digest.

use reqwest::StatusCode;
use serde_json::Value;

use super::super::bundle;
use super::super::cosign::{self, Signed};
use super::{ReadError, Repository};

impl Repository<'_> {
    /// Whether any bundle of Sigstore refers to an image, as far as that can be told.
    pub(in super::super) async fn has_bundles(&self, digest: &str) -> bool {
        let kind = |entry: &Value| entry.get("artifactType").and_then(Value::as_str).map(str::to_owned);
        let listed = self.referrers(digest).await.unwrap_or_default();
        listed.iter().filter_map(kind).any(|kind| kind.starts_with(bundle::MEDIA_TYPE))
    }

    /// The bundles of Sigstore that refer to an image. What is none is passed over.
    pub(in super::super) async fn bundles(&self, digest: &str) -> Result<Vec<Signed>, ReadError> {
        let is_bundle = |entry: &&Value| {
            let kind = entry.get("artifactType").and_then(Value::as_str).unwrap_or_default();
            kind.is_empty() || kind == EMPTY || kind.starts_with(bundle::MEDIA_TYPE)
        };
        let listed = self.referrers(digest).await?;
        let attached: Vec<&str> = listed.iter().filter(is_bundle).filter_map(digest_in).collect();
        if attached.len() > MOST {
            return Err(ReadError::Referrers { image: digest.to_owned() });
        }
        let (mut found, mut manifest) = (Vec::new(), None);
        for attached in attached {
            let Some(bytes) = self.bundle(attached).await? else { continue };
            if manifest.is_none() && (contains(&bytes, b"messageSignature") || contains(&bytes, b"message_signature")) {
                manifest = self.bytes_of_manifest(digest).await?;
            }
            match bundle::read(&bytes, manifest.as_deref()) {
                Ok(signed) => found.push(signed),
                Err(why) => tracing::info!(bundle = attached, why, "a bundle cannot be used"),
            }
        }
        Ok(found)
    }

    /// The signatures of cosign's older form that refer to an image: those of the last such artifact, as cosign takes it.
    pub(in super::super) async fn referring(&self, digest: &str) -> Result<Vec<Signed>, ReadError> {
        let listed = self.referrers(digest).await?;
        let is_it = |entry: &&Value| entry.get("artifactType").and_then(Value::as_str) == Some(SIGNATURE);
        match listed.iter().filter(is_it).filter_map(digest_in).next_back() {
            Some(last) => self.signed(last, cosign::signature).await,
            None => Ok(Vec::new()),
        }
    }

    /// The bytes of a bundle, the only layer of its artifact; `None` for an artifact of another kind.
    async fn bundle(&self, artifact: &str) -> Result<Option<Vec<u8>>, ReadError> {
        let (manifest, _) = self.manifest(artifact).await?;
        let layers = manifest.get("layers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let [layer] = layers else { return Ok(None) };
        let kind = layer.get("mediaType").and_then(Value::as_str).unwrap_or_default();
        match digest_in(layer).filter(|_| kind.starts_with(bundle::MEDIA_TYPE)) {
            Some(blob) => self.blob(blob).await.map(Some),
            None => Ok(None),
        }
    }

    /// What refers to an image, as entries of an index.
    async fn referrers(&self, digest: &str) -> Result<Vec<Value>, ReadError> {
        let (mut url, mut listed) = (self.url(&format!("referrers/{digest}")), self.list(digest).await?);
        if listed.is_none() {
            url = self.url(&format!("manifests/{}", digest.replace(':', "-")));
            listed = self.get(&url).await?;
        }
        let Some(bytes) = listed else { return Ok(Vec::new()) };
        let index: Value = serde_json::from_slice(&bytes).map_err(|_| ReadError::Content { url: url.clone() })?;
        let entries = index.get("manifests").and_then(Value::as_array).cloned();
        entries.ok_or(ReadError::Content { url })
    }

    /// The registry's list; `None` where it knows no such list.
    async fn list(&self, digest: &str) -> Result<Option<Vec<u8>>, ReadError> {
        let unknown = [StatusCode::BAD_REQUEST, StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_ACCEPTABLE];
        match self.get(&self.url(&format!("referrers/{digest}"))).await {
            Err(ReadError::Status { status, .. }) if unknown.contains(&status) => Ok(None),
            answer => answer,
        }
    }
}

fn digest_in(entry: &Value) -> Option<&str> {
    entry.get("digest").and_then(Value::as_str)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// At most this many bundles of one image are looked at: upstream's bound.
const MOST: usize = 50;
/// Stands for no type.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Cosign's signatures of the older form as artifacts.
const SIGNATURE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
