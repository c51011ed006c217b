//! The one place that makes HTTP clients for stores.
//!
//! No client resumes a TLS session: a server shows no certificate then, so that one which has expired or was exchanged would not be
//! noticed.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::HeaderMap;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use secret_sync::SecretBytes;
use secret_sync::provider::ProviderError;
use serde_json::Value;

use crate::reconciler::Rights;

/// Whom a client trusts, and what it shows.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    /// Certificates (PEM) that are trusted in place of the system's.
    pub(crate) authorities: Option<Vec<u8>>,
    /// Certificate and key (PEM) of this side.
    pub(crate) identity: Option<SecretBytes>,
    /// Whether it goes one step to where the server sends it: a node of several may name another.
    pub(crate) follows: bool,
    /// What every request bears.
    pub(crate) headers: HeaderMap,
}

/// No client can be made of what a store says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// The bundle of authorities holds no certificate, or one that is none.
    #[error("failed to append cabundle")]
    Authorities,
    /// Certificate and key of this side do not fit, or are none.
    #[error("the client certificate cannot be used")]
    Identity,
    /// For another reason.
    #[error("no connection can be prepared")]
    Connection,
}

impl From<Unusable> for ProviderError {
    fn from(unusable: Unusable) -> Self {
        Self::Failed(unusable.to_string())
    }
}

impl Trust {
    /// What `caBundle` or `caProvider` of a store say.
    pub(crate) async fn read(
        named: (Option<&str>, Option<&Value>),
        scope: (&str, bool),
        rights: &Rights,
    ) -> Result<Self, ProviderError> {
        Ok(Self { authorities: authorities(named, scope, rights).await?, ..Self::default() })
    }
}

/// A client that gives up after `timeout`. No proxy is taken from the environment, and redirects are followed only where the store is
/// known to send them.
pub(crate) fn client(trust: &Trust, timeout: Duration) -> Result<reqwest::Client, Unusable> {
    let builder = reqwest::Client::builder().timeout(timeout).no_proxy().default_headers(trust.headers.clone());
    let follow =
        if trust.follows { reqwest::redirect::Policy::custom(follow) } else { reqwest::redirect::Policy::none() };
    let builder = builder.redirect(follow);
    builder.tls_backend_preconfigured(tls(trust)?).build().map_err(|_| Unusable::Connection)
}

/// A standby may name the node that is active, which is another host and gets the token: one step, as Vault's own client goes, and never
/// from TLS to a line without. What goes further is an answer like any other.
fn follow(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let is_plain = attempt.url().scheme() != "https";
    let is_downgrade = is_plain && attempt.previous().iter().any(|url| url.scheme() == "https");
    let is_step = matches!(attempt.status().as_u16(), 301 | 302 | 307);
    match attempt.previous() {
        [_] if is_step && !is_downgrade => attempt.follow(),
        _ => attempt.stop(),
    }
}

fn tls(trust: &Trust) -> Result<ClientConfig, Unusable> {
    let builder = ClientConfig::builder();
    let builder = match &trust.authorities {
        Some(bundle) => builder.with_root_certificates(roots(bundle).ok_or(Unusable::Authorities)?),
        // A machine that has no authorities trusts nobody: only connections without TLS work then.
        None => builder
            .with_platform_verifier()
            .unwrap_or_else(|_| ClientConfig::builder().with_root_certificates(RootCertStore::empty())),
    };
    let mut config = match &trust.identity {
        Some(pem) => {
            let chain = CertificateDer::pem_slice_iter(pem.expose()).collect::<Result<Vec<_>, _>>();
            let chain = chain.map_err(|_| Unusable::Identity)?;
            let key = PrivateKeyDer::from_pem_slice(pem.expose()).map_err(|_| Unusable::Identity)?;
            builder.with_client_auth_cert(chain, key).map_err(|_| Unusable::Identity)?
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The authorities of a bundle; `None` when it holds none, or one that is no certificate.
fn roots(bundle: &[u8]) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle) {
        roots.add(certificate.ok()?).ok()?;
    }
    (!roots.is_empty()).then_some(roots)
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
