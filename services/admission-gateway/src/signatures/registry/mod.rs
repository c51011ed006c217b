//! Reads manifests and small blobs of a registry (OCI distribution), as whoever there is a login for. The scanner pulls images; this
//! reads only what lies beside them.

mod challenge;
mod referrers;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use admission_policy::RegistryAccess;
use model::ImageReference;
use registry_logins::Login;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use self::challenge::Challenge;
use super::cosign::{Layer, Signed};
use super::logins::{Logins, PullSecrets};
use super::secrets::Secrets;

const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";
/// No manifest, signature or attestation that is worth reading is larger.
const MAX_BYTES: usize = 4 << 20;
/// At most this many signatures of one image are read.
const MAX_LAYERS: usize = 50;
/// At most this much is read of one repository for one image.
const MAX_IN_ALL: usize = 32 << 20;
/// At most this many requests go to one repository for one image.
const MAX_REQUESTS: usize = 200;

/// Why a registry could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("the image reference is malformed")]
    Reference,
    #[error("{0}")]
    Request(#[from] reqwest::Error),
    #[error("{url} answered {status}")]
    Status { url: String, status: StatusCode },
    #[error("{url} answered {status} {login}")]
    Denied { url: String, status: StatusCode, login: String },
    #[error("{url} is larger than {most} bytes")]
    TooLarge { url: String, most: usize },
    #[error("{url}: more than {MAX_REQUESTS} requests or {MAX_IN_ALL} bytes for one image")]
    TooMuch { url: String },
    #[error("{url} has another digest than asked for, or is not what it should be")]
    Content { url: String },
    #[error("too many bundles refer to {image} to look at")]
    Referrers { image: String },
    #[error("the registry names an authority for its tokens that is none, or is asked without TLS")]
    Realm,
}

/// A reader of registries. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Registry {
    client: reqwest::Client,
    /// For tokens: what is sent then goes to no other address.
    strict: reqwest::Client,
    /// Registries without TLS.
    insecure: Vec<String>,
    logins: Logins,
}

impl Registry {
    pub(super) fn new(insecure: Vec<String>, logins: Logins) -> Result<Self, reqwest::Error> {
        let client = |redirections| {
            reqwest::Client::builder().connect_timeout(Duration::from_secs(3)).redirect(redirections).build()
        };
        Ok(Self { client: client(Policy::limited(3))?, strict: client(Policy::none())?, insecure, logins })
    }

    /// The same, where Secrets are read.
    pub(super) fn with(self, secrets: Secrets) -> Self {
        let logins = self.logins.with(secrets);
        Self { logins, ..self }
    }

    /// The repository of an image, to be read as a policy says.
    pub(super) async fn repository(
        &self,
        image: &ImageReference,
        (access, pulls): (&RegistryAccess, &PullSecrets),
    ) -> Repository<'_> {
        let host = match image.registry() {
            "docker.io" => "registry-1.docker.io",
            host => host,
        };
        let is_listed = self.insecure.iter().any(|known| known == host);
        let scheme =
            if is_listed || (access.allow_insecure_registry && !self.has_tls(host).await) { "http" } else { "https" };
        Repository {
            registry: self,
            base: format!("{scheme}://{host}/v2/{}", image.repository()),
            login: self.logins.find(image, (access, pulls)).await,
            image: image.clone(),
            unasked: unasked(access),
            authorization: Mutex::default(),
            requests: AtomicUsize::default(),
            bytes: AtomicUsize::default(),
        }
    }

    /// Whether a registry that may be read without TLS has it all the same.
    async fn has_tls(&self, host: &str) -> bool {
        self.client.get(format!("https://{host}/v2/")).send().await.is_ok()
    }
}

/// One repository, within bounds for one image.
#[derive(Debug)]
pub(super) struct Repository<'r> {
    registry: &'r Registry,
    base: String,
    image: ImageReference,
    login: Option<Login>,
    /// Who has logins as the policy says, and is not asked.
    unasked: String,
    /// What the registry wanted last.
    authorization: Mutex<Option<HeaderValue>>,
    requests: AtomicUsize,
    bytes: AtomicUsize,
}

impl Repository<'_> {
    /// The digest that the tag of the image stands for now.
    pub(super) async fn digest(&self) -> Result<String, ReadError> {
        let url = self.url(&format!("manifests/{}", self.image.tag().unwrap_or("latest")));
        let bytes = self.get(&url).await?.ok_or(ReadError::Status { url, status: StatusCode::NOT_FOUND })?;
        Ok(digest_of(&bytes))
    }

    /// The documents of the artifact with this tag; none when there is no such tag.
    pub(super) async fn signed(
        &self,
        tag: &str,
        read: impl Fn(&Layer<'_>) -> Option<Signed>,
    ) -> Result<Vec<Signed>, ReadError> {
        let url = self.url(&format!("manifests/{tag}"));
        let Some(bytes) = self.get(&url).await? else { return Ok(Vec::new()) };
        let content = || ReadError::Content { url: url.clone() };
        let manifest: Value = serde_json::from_slice(&bytes).map_err(|_| content())?;
        let layers = manifest.get("layers").and_then(Value::as_array).ok_or_else(content)?;
        let mut found = Vec::new();
        for layer in layers.iter().take(MAX_LAYERS) {
            let digest = layer.get("digest").and_then(Value::as_str).ok_or_else(content)?;
            let bytes = self.blob(digest).await?;
            let annotations = layer.get("annotations").unwrap_or(&Value::Null);
            found.extend(read(&Layer { annotations, bytes: &bytes }));
        }
        Ok(found)
    }

    /// Manifest, configuration and names of the image, called `reference`. Of an index, the entry for Linux on this machine's
    /// architecture, else the first.
    pub(super) async fn metadata(&self, reference: &str) -> Result<Value, ReadError> {
        let image = &self.image;
        let identifier = match image.digest() {
            Some(digest) => digest.to_string(),
            None => image.tag().unwrap_or("latest").to_owned(),
        };
        let (index, digest) = self.manifest(&identifier).await?;
        let manifest = match entry_of(&index) {
            Some(entry) => self.manifest(&entry).await?.0,
            None => index.clone(),
        };
        let config = match manifest.pointer("/config/digest").and_then(Value::as_str) {
            Some(digest) => {
                let content = || ReadError::Content { url: self.url(&format!("blobs/{digest}")) };
                serde_json::from_slice(&self.blob(digest).await?).map_err(|_| content())?
            }
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

    /// A manifest by tag or digest, and its digest, which is as asked for.
    async fn manifest(&self, identifier: &str) -> Result<(Value, String), ReadError> {
        let url = self.url(&format!("manifests/{identifier}"));
        let missing = || ReadError::Status { url: url.clone(), status: StatusCode::NOT_FOUND };
        let bytes = self.get(&url).await?.ok_or_else(missing)?;
        let digest = digest_of(&bytes);
        let is_it = !identifier.starts_with("sha256:") || digest == identifier;
        let value = serde_json::from_slice(&bytes).ok().filter(|_| is_it);
        Ok((value.ok_or(ReadError::Content { url })?, digest))
    }

    /// The manifest of an image as it is; `None` when it is gone.
    async fn bytes_of_manifest(&self, digest: &str) -> Result<Option<Vec<u8>>, ReadError> {
        let bytes = self.get(&self.url(&format!("manifests/{digest}"))).await?;
        Ok(bytes.filter(|bytes| digest_of(bytes) == digest))
    }

    /// A blob, which has the digest that it is asked for by.
    async fn blob(&self, digest: &str) -> Result<Vec<u8>, ReadError> {
        let url = self.url(&format!("blobs/{digest}"));
        let bytes = self.get(&url).await?.filter(|bytes| digest_of(bytes) == digest);
        bytes.ok_or(ReadError::Content { url })
    }

    fn url(&self, rest: &str) -> String {
        format!("{}/{rest}", self.base)
    }

    /// A body; `None` when there is nothing at the address.
    async fn get(&self, url: &str) -> Result<Option<Vec<u8>>, ReadError> {
        let known = || self.authorization.lock().unwrap_or_else(PoisonError::into_inner);
        let mut header = known().clone();
        let mut answer = self.ask(url, header.clone()).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            header = self.authorize(&answer).await?;
            if header.is_some() {
                known().clone_from(&header);
                answer = self.ask(url, header.clone()).await?;
            }
        }
        let status = answer.status();
        match status {
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let login = match (&self.login, header.is_some()) {
                    (Some(_), true) => "to the login that there is for it".to_owned(),
                    _ => format!("to nobody in particular: no login is known for it{}", self.unasked),
                };
                return Err(ReadError::Denied { url: url.to_owned(), status, login });
            }
            _ if !status.is_success() => return Err(ReadError::Status { url: url.to_owned(), status }),
            _ => {}
        }
        let body = body_of(answer, url, MAX_BYTES).await?;
        let before = self.bytes.fetch_add(body.len(), Ordering::Relaxed);
        if before.saturating_add(body.len()) > MAX_IN_ALL {
            return Err(ReadError::TooMuch { url: url.to_owned() });
        }
        Ok(Some(body))
    }

    async fn ask(&self, url: &str, authorization: Option<HeaderValue>) -> Result<Response, ReadError> {
        if self.requests.fetch_add(1, Ordering::Relaxed) >= MAX_REQUESTS {
            return Err(ReadError::TooMuch { url: url.to_owned() });
        }
        let request = self.registry.client.get(url).header(ACCEPT, MANIFESTS);
        let request = authorization.into_iter().fold(request, |request, header| request.header(AUTHORIZATION, header));
        Ok(request.send().await?)
    }

    /// What a refused request needs besides; `None` when there is nothing to answer the challenge with.
    async fn authorize(&self, refused: &Response) -> Result<Option<HeaderValue>, ReadError> {
        let challenge = Challenge::of(refused.headers());
        let (realm, service, scope) = match (challenge, &self.login) {
            (_, Some(Login::Bearer(token))) => return Ok(challenge::bearer(token.expose_secret())),
            (Some(Challenge::Basic), Some(Login::Basic { user, password })) => {
                return Ok(challenge::basic(user, password.expose_secret()));
            }
            (Some(Challenge::Bearer { realm, service, scope }), _) => (realm, service, scope),
            _ => return Ok(None),
        };
        // A password that goes to the registry by TLS goes to its authority no other way.
        if self.base.starts_with("https://") && !realm.starts_with("https://") {
            return Err(ReadError::Realm);
        }
        let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", self.image.repository()));
        let mut pairs = vec![("scope", scope.as_str())];
        pairs.extend(service.as_deref().map(|service| ("service", service)));
        challenge::token(&self.registry.strict, (&realm, &pairs), self.login.as_ref()).await
    }
}

/// Says which providers of a policy are not asked for logins.
fn unasked(access: &RegistryAccess) -> String {
    let others: Vec<&str> = access.providers.iter().map(String::as_str).filter(|one| *one != "default").collect();
    match others.is_empty() {
        true => String::new(),
        false => format!(", and the provider {} is not asked: name a Secret", others.join(", ")),
    }
}

/// The body of an answer, within bounds.
async fn body_of(mut answer: Response, url: &str, most: usize) -> Result<Vec<u8>, ReadError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > most {
            return Err(ReadError::TooLarge { url: url.to_owned(), most });
        }
    }
    Ok(body)
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

pub(super) fn digest_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod referrers_tests;
#[cfg(test)]
mod tests;
