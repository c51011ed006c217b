//! Registries (OCI distribution specification), by oci-client. Only this file knows it.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use model::{Digest, ImageReference};
use oci_client::Reference;
use oci_client::client::{BlobResponse, Client, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use tokio::sync::mpsc;

use crate::auth;
use crate::config::Pull;
use crate::error::ScanError;
use crate::layer::{Layer, Place};
use crate::limits::Limits;
use crate::manifest::{Document, Platform, choose, configuration, layers, parse};
use crate::source::Image;
use crate::source::layout::{sha256, verify};

pub(crate) struct Registry {
    image: ImageReference,
    client: Client,
    auth: Arc<tokio::sync::OnceCell<RegistryAuth>>,
    pull: Pull,
    limits: Limits,
}

impl Registry {
    pub(crate) fn new(image: ImageReference, pull: &Pull, limits: &Limits) -> Self {
        let mut plain = pull.plain_http_registries.clone();
        if is_loopback(image.registry()) {
            plain.push(image.registry().to_owned());
        }
        let config = ClientConfig {
            protocol: ClientProtocol::HttpsExcept(plain),
            connect_timeout: Some(Duration::from_secs(10)),
            read_timeout: Some(Duration::from_secs(60)),
            ..ClientConfig::default()
        };
        let (pull, limits) = (pull.clone(), limits.clone());
        Self { image, client: Client::new(config), auth: Arc::default(), pull, limits }
    }

    pub(crate) fn image(&self) -> &ImageReference {
        &self.image
    }

    pub(crate) async fn resolve(&self, platform: &Platform) -> Result<Image, ScanError> {
        let subject = self.image.to_string();
        let (bytes, digest) = self.manifest(self.image.digest()).await?;
        let (manifest, digest, index_digest) = match parse(&subject, &bytes)? {
            Document::Index(entries) => {
                let chosen = choose(&subject, &entries, platform)?;
                let (bytes, chosen) = self.manifest(Some(&chosen.digest)).await?;
                (parse(&subject, &bytes)?, chosen, Some(digest))
            }
            manifest @ Document::Manifest { .. } => (manifest, digest, None),
        };
        let Document::Manifest { config, layers: described } = manifest else {
            let what = "its index points to another index".to_owned();
            return Err(ScanError::Manifest { subject, what });
        };
        let config_bytes = self.small_blob(&config.digest, config.size).await?;
        let (configuration, diff_ids) = configuration(&subject, &config_bytes)?;
        let layers = layers(&subject, &described, &diff_ids, &self.limits)?;
        Ok(Image { digest, index_digest, image_id: config.digest, config: configuration, layers })
    }

    /// Digest of what the reference stands for now: of an index, where it is one.
    pub(crate) async fn digest(&self) -> Result<Digest, ScanError> {
        Ok(self.manifest(self.image.digest()).await?.1)
    }

    /// The tags of the repository, at most `most`.
    pub(crate) async fn tags(&self, most: usize) -> Result<Vec<String>, ScanError> {
        let (reference, auth) = (self.reference(None), self.auth().await);
        let mut tags: Vec<String> = Vec::new();
        loop {
            let last = tags.last().cloned();
            let ask = || self.client.list_tags(&reference, auth, Some(TAG_PAGE), last.as_deref());
            let page = self.retried(ask).await?.tags;
            let is_last = page.len() < TAG_PAGE || page.last() == tags.last();
            tags.extend(page);
            if is_last || tags.len() >= most {
                tags.truncate(most);
                return Ok(tags);
            }
        }
    }

    /// The one layer of an artifact that has a media type.
    pub(crate) async fn artifact(&self, media_type: &str) -> Result<Layer, ScanError> {
        let subject = self.image.to_string();
        let (bytes, _) = self.manifest(self.image.digest()).await?;
        let found = match parse(&subject, &bytes)? {
            Document::Manifest { layers, .. } => layers.into_iter().find(|layer| layer.media_type == media_type),
            Document::Index(_) => None,
        };
        let what = || format!("it has no layer of the type {media_type}");
        let Some(layer) = found else { return Err(ScanError::Manifest { subject, what: what() }) };
        Ok(Layer { diff_id: layer.digest.clone(), digest: Some(layer.digest), size: layer.size, place: Place::Digest })
    }

    /// Small blobs that are attached to a manifest: those of its referrers, and those under cosign's tag for attestations. What is too
    /// long to be one is passed over.
    pub(crate) async fn attachments(&self, digest: &Digest) -> Result<Vec<(String, Vec<u8>)>, ScanError> {
        let (reference, auth) = (self.reference(Some(digest)), self.auth().await);
        self.client.store_auth_if_needed(self.image.registry(), auth).await;
        let listed = self.retried(|| self.client.pull_referrers(&reference, None)).await?;
        let mut manifests = Vec::new();
        for entry in listed.manifests.iter().take(MOST_REFERRERS) {
            let Ok(digest) = entry.digest.parse::<Digest>() else { continue };
            manifests.push(self.manifest(Some(&digest)).await?.0);
        }
        let tag = format!("{}-{}.att", digest.algorithm(), digest.hex());
        match self.tagged(tag).await {
            Ok(bytes) => manifests.push(bytes),
            Err(ScanError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let mut blobs = Vec::new();
        for bytes in manifests {
            let Ok(Document::Manifest { layers, .. }) = parse(&self.image.to_string(), &bytes) else { continue };
            for layer in layers.iter().filter(|layer| layer.size <= self.limits.max_manifest_bytes).take(MOST_REFERRERS)
            {
                blobs.push((layer.digest.to_string(), self.small_blob(&layer.digest, layer.size).await?));
            }
        }
        Ok(blobs)
    }

    /// The manifest under a tag of the repository.
    async fn tagged(&self, tag: String) -> Result<Vec<u8>, ScanError> {
        let (registry, repository) = (self.image.registry().to_owned(), self.image.repository().to_owned());
        let (reference, auth) = (Reference::with_tag(registry, repository, tag), self.auth().await);
        let (bytes, _) = self.retried(|| self.client.pull_manifest_raw(&reference, auth, ACCEPTED)).await?;
        Ok(bytes.to_vec())
    }

    pub(crate) async fn open(&self, layer: &Layer) -> Result<Box<dyn Read + Send>, ScanError> {
        let Some(digest) = layer.digest.clone() else {
            return Err(self.fault("a layer has no digest".to_owned()));
        };
        let (sender, receiver) = mpsc::channel(CHUNKS);
        let download = Download {
            client: self.client.clone(),
            reference: self.reference(Some(&digest)),
            digest: digest.to_string(),
            retries: self.pull.retries,
        };
        tokio::spawn(download.run(sender));
        Ok(Box::new(Chunks { receiver, current: Bytes::new() }))
    }

    /// A manifest by digest, or by the tag of the image: its bytes and digest, verified.
    async fn manifest(&self, digest: Option<&Digest>) -> Result<(Vec<u8>, Digest), ScanError> {
        let reference = self.reference(digest);
        let auth = self.auth().await;
        let (bytes, _) = self.retried(|| self.client.pull_manifest_raw(&reference, auth, ACCEPTED)).await?;
        if bytes.len() as u64 > self.limits.max_manifest_bytes {
            let what = format!("it is longer than the limit of {} bytes", self.limits.max_manifest_bytes);
            return Err(ScanError::Manifest { subject: self.image.to_string(), what });
        }
        if let Some(digest) = digest {
            verify(digest, &bytes)?;
        }
        let digest = digest.filter(|one| one.algorithm() != "sha256").cloned().unwrap_or_else(|| sha256(&bytes));
        Ok((bytes.to_vec(), digest))
    }

    /// A blob that is held in memory: an image configuration.
    async fn small_blob(&self, digest: &Digest, size: u64) -> Result<Vec<u8>, ScanError> {
        let limit = self.limits.max_manifest_bytes;
        let too_long = || self.fault(format!("{digest} is longer than the limit of {limit} bytes"));
        if size > limit {
            return Err(too_long());
        }
        let reference = self.reference(Some(digest));
        let mut attempt = 0;
        let bytes = loop {
            let opened = self.retried(|| self.client.pull_blob_stream(&reference, digest.as_str())).await?;
            match collected(opened.stream, limit).await {
                Ok(Some(bytes)) => break bytes,
                Ok(None) => return Err(too_long()),
                Err(_) if attempt < self.pull.retries => pause(attempt).await,
                Err(error) => return Err(self.fault(format!("{digest}: {error}"))),
            }
            attempt = attempt.saturating_add(1);
        };
        verify(digest, &bytes).map(|()| bytes)
    }

    /// Asks again, later and later, while the registry fails in a way that may pass.
    async fn retried<T, F>(&self, ask: impl Fn() -> F) -> Result<T, ScanError>
    where
        F: Future<Output = Result<T, OciDistributionError>>,
    {
        let mut attempt = 0;
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) if attempt < self.pull.retries && is_transient(&error) => {
                    tracing::info!(image = %self.image, %error, attempt, "registry failed, trying again");
                    pause(attempt).await;
                    attempt = attempt.saturating_add(1);
                }
                Err(error) => return Err(self.explain(&error)),
            }
        }
    }

    /// Credentials are looked up once for each scan; a helper may take its time.
    async fn auth(&self) -> &RegistryAuth {
        let (pull, image) = (self.pull.clone(), self.image.clone());
        let look_up = || async move {
            let found = tokio::task::spawn_blocking(move || auth::credentials(&pull, &image)).await;
            found.unwrap_or(RegistryAuth::Anonymous)
        };
        self.auth.get_or_init(look_up).await
    }

    fn reference(&self, digest: Option<&Digest>) -> Reference {
        let (registry, repository) = (self.image.registry().to_owned(), self.image.repository().to_owned());
        match digest {
            Some(digest) => Reference::with_digest(registry, repository, digest.to_string()),
            None => Reference::with_tag(registry, repository, self.image.tag().unwrap_or("latest").to_owned()),
        }
    }

    fn fault(&self, what: String) -> ScanError {
        ScanError::Registry { image: self.image.to_string(), what }
    }

    fn explain(&self, error: &OciDistributionError) -> ScanError {
        let image = self.image.to_string();
        match error {
            OciDistributionError::AuthenticationFailure(what) => ScanError::Denied { image, what: what.clone() },
            OciDistributionError::UnauthorizedError { .. } => ScanError::Denied { image, what: "401".to_owned() },
            OciDistributionError::ImageManifestNotFoundError(_) => ScanError::NotFound { image },
            OciDistributionError::RegistryError { envelope, .. } => {
                let is = |code: &OciErrorCode| envelope.errors.iter().any(|error| error.code == *code);
                if is(&OciErrorCode::Unauthorized) || is(&OciErrorCode::Denied) {
                    ScanError::Denied { image, what: envelope.to_string() }
                } else if [OciErrorCode::ManifestUnknown, OciErrorCode::NameUnknown, OciErrorCode::NotFound]
                    .iter()
                    .any(is)
                {
                    ScanError::NotFound { image }
                } else {
                    ScanError::Registry { image, what: envelope.to_string() }
                }
            }
            OciDistributionError::ServerError { code: 404, .. } => ScanError::NotFound { image },
            OciDistributionError::ServerError { code: code @ (401 | 403), message, .. } => {
                ScanError::Denied { image, what: answered(*code, message) }
            }
            OciDistributionError::ServerError { code: 429, .. } => {
                ScanError::Registry { image, what: "429: it has too many requests of ours".to_owned() }
            }
            other => ScanError::Registry { image, what: cause(other) },
        }
    }
}

/// One blob on its way; a broken connection is taken up again where it stopped.
struct Download {
    client: Client,
    reference: Reference,
    digest: String,
    retries: u32,
}

impl Download {
    async fn run(self, sender: mpsc::Sender<io::Result<Bytes>>) {
        let (mut offset, mut attempt) = (0_u64, 0_u32);
        loop {
            let Err(error) = self.stream(&mut offset, &sender).await else { return };
            if sender.is_closed() {
                return;
            }
            if attempt >= self.retries || error.is_final {
                let error = error.what;
                let what = format!("the download of {} broke at byte {offset}: {error}", self.digest);
                // A reader that went away needs no error.
                let _ = sender.send(Err(io::Error::other(what))).await;
                return;
            }
            tracing::info!(
                blob = self.digest,
                offset,
                error = error.what,
                attempt,
                "download broke, going on from there"
            );
            pause(attempt).await;
            attempt = attempt.saturating_add(1);
        }
    }

    async fn stream(&self, offset: &mut u64, sender: &mpsc::Sender<io::Result<Bytes>>) -> Result<(), Broken> {
        // A range also for the whole: then the digest is computed once, by the reader of the layer.
        let answer = self.client.pull_blob_stream_partial(&self.reference, self.digest.as_str(), *offset, None).await;
        let (mut stream, mut skip) =
            match answer.map_err(|error| Broken { is_final: !is_transient(&error), what: cause(&error) })? {
                BlobResponse::Full(full) => (full.stream, *offset),
                BlobResponse::Partial(part) => (part.stream, 0),
            };
        while let Some(chunk) = stream.next().await {
            let mut chunk = chunk.map_err(|error| Broken { what: error.to_string(), is_final: false })?;
            let known = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
            skip = skip.saturating_sub(known as u64);
            let new = chunk.split_off(known);
            *offset = offset.saturating_add(new.len() as u64);
            if !new.is_empty() && sender.send(Ok(new)).await.is_err() {
                return Err(Broken { what: "nobody reads".to_owned(), is_final: true });
            }
        }
        Ok(())
    }
}

/// Why a download broke, and whether trying again is in vain.
struct Broken {
    what: String,
    is_final: bool,
}

/// All of a stream; `None` when it is longer than `limit`.
async fn collected(
    mut stream: impl futures::Stream<Item = io::Result<Bytes>> + Unpin,
    limit: u64,
) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk?);
        if bytes.len() as u64 > limit {
            return Ok(None);
        }
    }
    Ok(Some(bytes))
}

/// Chunks as a reader for a blocking thread. A slow reader holds the download back.
struct Chunks {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(Ok(chunk)) => self.current = chunk,
                Some(Err(error)) => return Err(error),
                None => return Ok(0),
            }
        }
        let count = self.current.len().min(buffer.len());
        let part = self.current.split_to(count);
        if let Some(target) = buffer.get_mut(..count) {
            target.copy_from_slice(&part);
        }
        Ok(count)
    }
}

/// What went wrong, in one line; of a request the cause ("connection refused"), which is at the end of the chain.
fn cause(error: &OciDistributionError) -> String {
    let request = match error {
        OciDistributionError::RequestError(request) => request,
        OciDistributionError::ServerError { code, message, .. } => return answered(*code, message),
        other => return other.to_string().chars().take(MOST_SAID).collect(),
    };
    let mut cause: &dyn std::error::Error = request;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// What a registry answered, with the beginning of its words if it has any.
fn answered(code: u16, message: &str) -> String {
    match message.trim() {
        "" => format!("it answers {code}"),
        said => format!("it answers {code}: {}", said.chars().take(MOST_SAID).collect::<String>()),
    }
}

fn is_transient(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::ServerError { code, .. } => *code == 429 || *code >= 500,
        OciDistributionError::RequestError(error) => !error.is_redirect() && !error.is_builder(),
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.iter().any(|error| error.code == OciErrorCode::Toomanyrequests)
        }
        _ => false,
    }
}

/// 0.25 s, 0.5 s, 1 s, ... at most 8 s.
async fn pause(attempt: u32) {
    tokio::time::sleep(Duration::from_millis(250_u64.saturating_mul(1 << attempt.min(5)))).await;
}

/// Registries on this machine speak plain HTTP, as docker assumes, too.
fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost" || host == "[::1]" || host.starts_with("127.")
}

/// Chunks between download and reader: a few hundred KiB.
const CHUNKS: usize = 16;

/// Characters of a registry's own words that are passed on.
const MOST_SAID: usize = 300;

/// Attachments of an image that are looked at.
const MOST_REFERRERS: usize = 100;

/// Tags that are asked for at a time.
const TAG_PAGE: usize = 500;

const ACCEPTED: &[&str] = &[
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
