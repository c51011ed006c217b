//! The one place that makes HTTP clients for stores.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secret_sync::provider::ProviderError;
use serde_json::Value;

use crate::reconciler::Rights;

/// Whom a client trusts, and what it shows.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    /// Certificates (PEM) that are trusted in place of the system's.
    pub(crate) authorities: Option<Vec<u8>>,
    /// Certificate and key (PEM) of this side.
    pub(crate) identity: Option<secret_sync::SecretBytes>,
}

impl Trust {
    /// What `caBundle` or `caProvider` of a store say.
    pub(crate) async fn read(
        named: (Option<&str>, Option<&Value>),
        scope: (&str, bool),
        rights: &Rights,
    ) -> Result<Self, ProviderError> {
        Ok(Self { authorities: authorities(named, scope, rights).await?, identity: None })
    }
}

/// A client that gives up after `timeout`. No proxy is taken from the environment, and redirects are not followed: a store says where it is.
pub(crate) fn client(trust: &Trust, timeout: Duration) -> Result<reqwest::Client, ProviderError> {
    let failed = |what: &str| ProviderError::Failed(what.to_owned());
    let policy = reqwest::redirect::Policy::none();
    let mut builder = reqwest::Client::builder().timeout(timeout).no_proxy().redirect(policy);
    if let Some(bundle) = &trust.authorities {
        let authorities = reqwest::Certificate::from_pem_bundle(bundle);
        let authorities = authorities.ok().filter(|list| !list.is_empty());
        builder = builder.tls_certs_only(authorities.ok_or_else(|| failed("failed to append cabundle"))?);
    }
    if let Some(identity) = &trust.identity {
        let identity = reqwest::Identity::from_pem(identity.expose());
        builder = builder.identity(identity.map_err(|_| failed("the client certificate cannot be used"))?);
    }
    builder.build().map_err(|_| failed("no connection can be prepared"))
}

/// The certificates that `caBundle` holds or `caProvider` names; `None` when a store names neither.
async fn authorities(
    (bundle, provider): (Option<&str>, Option<&Value>),
    (namespace, is_cluster): (&str, bool),
    rights: &Rights,
) -> Result<Option<Vec<u8>>, ProviderError> {
    let failed = |what: String| Err(ProviderError::Failed(what));
    if let Some(bundle) = bundle {
        return match BASE64_STANDARD.decode(bundle.trim()) {
            Ok(bundle) => Ok(Some(bundle)),
            // Some write the certificates themselves.
            Err(_) if bundle.contains("-----BEGIN") => Ok(Some(bundle.as_bytes().to_vec())),
            Err(_) => failed("failed to decode ca bundle: it is not base64".to_owned()),
        };
    }
    let Some(provider) = provider else { return Ok(None) };
    let text = |name: &str| provider.get(name).and_then(Value::as_str).unwrap_or_default();
    let (name, key) = (text("name"), text("key"));
    let namespace = match (is_cluster, text("namespace")) {
        (true, "") => return failed("CAProvider.namespace must not be empty with ClusterSecretStore".to_owned()),
        (true, given) => given,
        (false, _) => namespace,
    };
    let found = match text("type") {
        "ConfigMap" => {
            rights.config_map(namespace, name).await?.and_then(|mut texts| texts.remove(key)).map(String::into_bytes)
        }
        "" | "Secret" => {
            let secret = rights.secret(namespace, name).await?;
            secret.and_then(|secret| secret.data.get(key).map(|value| value.expose().to_vec()))
        }
        other => return failed(format!("unknown caProvider type: {other}")),
    };
    match found {
        Some(found) => Ok(Some(found)),
        None => failed(format!("failed to get caprovider {namespace}/{name} -> {key}: it is not there")),
    }
}

/// Why a request has no answer. The address may hold a secret, so it is left out.
pub(crate) fn unanswered(error: &reqwest::Error) -> ProviderError {
    let what = if error.is_timeout() {
        "context deadline exceeded: the server did not answer in time"
    } else if error.is_connect() {
        "the server cannot be reached, or its certificate is not trusted"
    } else if error.is_builder() {
        "the address is none"
    } else {
        "the answer broke off"
    };
    ProviderError::Failed(what.to_owned())
}

/// The body of an answer, if it is not longer than a store may answer.
pub(crate) async fn body(mut answer: reqwest::Response) -> Result<Vec<u8>, ProviderError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| unanswered(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err(ProviderError::Failed(format!("the answer is longer than {MAX_ANSWER} bytes")));
        }
    }
    Ok(body)
}

/// Longest answer of a store: no Secret may be larger than 1 MiB, and a page of a search holds many.
const MAX_ANSWER: usize = 16 << 20;
