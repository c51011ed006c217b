//! Vault and OpenBao.
//!
//! Everything inside a call runs without a log subscriber: the client library logs requests and errors by itself, and an error can
//! hold the body of an answer.

mod batch;
mod lists;
mod raw;
mod read;
mod rotate;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use reqwest::header::{HeaderName, HeaderValue};
use secret_sync::{
    ClientCertificate, FetchKey, FetchProblem, KvVersion, Reading, RoleId, SecretBytes, SecretJson, SecretKeySelector,
    TokenSource, VaultAuth, VaultStore,
};
use serde_json::json;
use tokio::sync::Mutex;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;
use vaultrs::api::EndpointMiddleware;
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
use vaultrs::error::ClientError;

pub(crate) use batch::Checked;
pub(crate) use raw::Call;

use super::{Made, Provider, login};
use crate::connection::http::{self, Trust, Unusable};
use crate::credentials::Vault;
use crate::feed::Feed;
use crate::metrics::Metrics;

/// One store identity: one login, renewed, shared by all reads.
pub(crate) struct VaultProvider {
    pub(super) store: VaultStore,
    credentials: Vault,
    metrics: Metrics,
    pub(super) timeout: Duration,
    look: Duration,
    session: Mutex<Option<Arc<Session>>>,
    /// Where the server was after the last write, for reads that wait for it.
    index: std::sync::Mutex<Option<HeaderValue>>,
    /// What was learned of lists with metadata.
    lists: std::sync::Mutex<lists::Lists>,
    /// Until when the server asked to be left alone, and with which status.
    paused: std::sync::Mutex<Option<(Instant, u16)>>,
    /// Until when it is not asked for revisions again.
    rests_until: std::sync::Mutex<Option<Instant>>,
    feed: Feed,
}

/// What a provider needs beside its store.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    /// Credentials for logins.
    pub(crate) credentials: Vault,
    /// Counters of calls.
    pub(crate) metrics: Metrics,
    /// What servers tell by themselves.
    pub(crate) feed: Feed,
    /// How long a server has to answer.
    pub(crate) timeout: Duration,
    /// How often it is asked for versions.
    pub(crate) look: Duration,
}

impl std::fmt::Debug for VaultProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VaultProvider").field("server", &self.store.server).finish_non_exhaustive()
    }
}

/// A login that works, with a client that carries its token.
struct Session {
    client: VaultClient,
    /// The client below it, for calls that the library does not have.
    http: reqwest::Client,
    token: SecretBytes,
    /// The credentials of the store when it was made.
    used: Vec<Option<SecretBytes>>,
    /// When it is renewed or made anew: after two thirds of its life. `None` for a token that does not end.
    renew_at: Option<Instant>,
    is_renewable: bool,
}

/// What went wrong, before it is put into words.
pub(super) enum Failure {
    Client(ClientError),
    Problem(FetchProblem),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl VaultProvider {
    pub(crate) fn new(store: VaultStore, means: Means) -> Self {
        let Means { credentials, metrics, feed, timeout, look } = means;
        Self {
            store,
            credentials,
            metrics,
            timeout,
            look,
            feed,
            session: Mutex::new(None),
            index: std::sync::Mutex::default(),
            lists: std::sync::Mutex::default(),
            paused: std::sync::Mutex::default(),
            rests_until: std::sync::Mutex::default(),
        }
    }

    /// How the server is reached.
    pub(crate) fn store(&self) -> &VaultStore {
        &self.store
    }

    /// Whether there is a login that need not be made or renewed now.
    pub(crate) async fn is_logged_in(&self) -> bool {
        let session = self.session.lock().await;
        session.as_ref().is_some_and(|session| session.renew_at.is_none_or(|at| at > Instant::now()))
    }

    /// Asks the server about the login.
    pub(crate) async fn check_login(&self) -> Result<(), FetchProblem> {
        let call = Call::new("GET", "auth/token/lookup-self".to_owned());
        match self.raw_status(&call).with_subscriber(NoSubscriber::new()).await {
            // A token that may not ask about itself is one nevertheless.
            Ok((200..=299 | 403, _)) => Ok(()),
            Ok((status, _)) => Err(self.refusal(status, &call.path, false)),
            Err(unanswered) => Err(self.unanswered(unanswered, &call.path)),
        }
    }

    /// The certificates that the server's is checked against: those of the store, or those that it names.
    pub(super) fn authorities(&self) -> Result<Option<Vec<u8>>, Failure> {
        match (&self.store.ca_bundle, &self.store.ca_provider) {
            (None, Some(provider)) => Ok(Some(self.credential(&provider.selector())?.expose().to_vec())),
            (bundle, _) => Ok(bundle.clone()),
        }
    }

    /// Makes a call with the login of this store by the client library; `None` when there is nothing at the path.
    async fn call<T, F>(&self, name: &'static str, key: &FetchKey, call: F) -> Result<Option<T>, FetchProblem>
    where
        T: Send,
        F: Fn(Arc<Session>) -> BoxFuture<'static, Result<T, ClientError>> + Send + Sync,
    {
        let mut outcome = self.attempt(name, &call).await;
        if matches!(&outcome, Err(Failure::Client(error)) if code(error) == Some(403)) && self.is_login_lost().await {
            outcome = self.attempt(name, &call).await;
        }
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(Failure::Client(error)) if is_nothing_there(&error) => Ok(None),
            Err(Failure::Client(error)) => Err(self.words(&error, &key.path, false)),
            Err(Failure::Problem(problem)) => Err(problem),
        }
    }

    async fn attempt<T, F>(&self, name: &'static str, call: &F) -> Result<T, Failure>
    where
        T: Send,
        F: Fn(Arc<Session>) -> BoxFuture<'static, Result<T, ClientError>> + Send + Sync,
    {
        let session = self.session().await?;
        let outcome = call(session).await;
        self.metrics.called(name, outcome.is_ok());
        if outcome.as_ref().is_err_and(|error| code(error).is_none()) {
            // The line may be broken for good: certificates of both sides are read anew with the next login.
            *self.session.lock().await = None;
        }
        Ok(outcome?)
    }

    /// Whether the token, not the policy, is what the server refused; then it is forgotten.
    async fn is_login_lost(&self) -> bool {
        let mut session = self.session.lock().await;
        let Some(current) = session.clone() else { return true };
        let looked_up = vaultrs::token::lookup_self(&current.client).await;
        self.metrics.called("lookup", looked_up.is_ok());
        let is_lost = looked_up.is_err_and(|error| code(&error) == Some(403));
        if is_lost {
            *session = None;
        }
        is_lost
    }

    /// The login, renewed or made anew when its time comes. Held while it is made, so that many reads make one.
    async fn session(&self) -> Result<Arc<Session>, Failure> {
        if let Some(status) = self.is_paused() {
            return Err(Failure::Problem(self.refusal(status, "", false)));
        }
        let mut session = self.session.lock().await;
        // Who gives a store another credential wants it used.
        session.take_if(|session| self.is_replaced(&session.used));
        if let Some(current) = session.as_ref() {
            if current.renew_at.is_none_or(|at| at > Instant::now()) {
                return Ok(current.clone());
            }
            if current.is_renewable
                && let Ok(renewed) = self.renew(current).await
            {
                let renewed = Arc::new(renewed);
                *session = Some(renewed.clone());
                return Ok(renewed);
            }
        }
        let made = Arc::new(self.login().await?);
        *session = Some(made.clone());
        Ok(made)
    }

    fn used(&self) -> Vec<Option<SecretBytes>> {
        self.store.selectors().iter().map(|selector| self.credentials.find(selector)).collect()
    }

    /// Whether a credential is another than before; one that is missing for a while is not.
    fn is_replaced(&self, before: &[Option<SecretBytes>]) -> bool {
        self.used().iter().zip(before).any(|(now, before)| now.is_some() && now != before)
    }

    async fn renew(&self, current: &Session) -> Result<Session, Failure> {
        let renewed = vaultrs::token::renew_self(&current.client, None).await;
        self.metrics.called("renew", renewed.is_ok());
        let renewed = renewed?;
        let token = SecretBytes::new(renewed.client_token.into_bytes());
        self.with_token(&token, current.used.clone(), Some((renewed.lease_duration, renewed.renewable)))
    }

    async fn login(&self) -> Result<Session, Failure> {
        // Noted before they are read: what is exchanged while the server answers is used by the next call.
        let used = self.used();
        let (path, body) = match &self.store.auth {
            VaultAuth::Token(selector) => {
                let token = self.credential(selector)?;
                let session = self.with_token(&token, used.clone(), None)?;
                let found = vaultrs::token::lookup_self(&session.client).await;
                self.metrics.called("login", found.is_ok());
                let found = found.map_err(|error| self.refused(error))?;
                return self.with_token(&token, used, Some((found.ttl, found.renewable.unwrap_or(false))));
            }
            VaultAuth::AppRole { mount, role, secret } => {
                let role = match role {
                    RoleId::Literal(role) => SecretBytes::from(role.as_str()),
                    RoleId::Secret(selector) => self.credential(selector)?,
                };
                let secret = self.credential(secret)?;
                (format!("{mount}/login"), json!({ "role_id": role.expose_str(), "secret_id": secret.expose_str() }))
            }
            VaultAuth::Signed { mount, role, token } => {
                let token = self.signed(token)?;
                (format!("{mount}/login"), json!({ "role": role, "jwt": token.expose_str() }))
            }
            VaultAuth::Password { mount, username, password } => {
                let password = self.credential(password)?;
                (format!("{mount}/login/{username}"), json!({ "password": password.expose_str() }))
            }
            VaultAuth::Certificate { mount, role, .. } => (format!("{mount}/login"), json!({ "name": role })),
        };
        let login = login::post(self, &path, SecretJson::new(body)).await;
        self.metrics.called("login", login.is_ok());
        let login = login?;
        self.with_token(&login.token, used, Some((login.life_s, login.is_renewable)))
    }

    /// A token that somebody signed for this side.
    fn signed(&self, source: &TokenSource) -> Result<SecretBytes, Failure> {
        match source.selector() {
            Some(selector) => self.credential(&selector),
            None => std::fs::read(OWN_TOKEN).map(|token| SecretBytes::new(token.trim_ascii().to_vec())).map_err(|_| {
                let remedy = "run the broker in a pod, or name an account or a Secret in the store";
                Failure::Problem(self.problem("the login needs the token of a pod, and this is none", remedy, false))
            }),
        }
    }

    /// Certificate and key of this side in one PEM text, where the store names them.
    pub(super) fn identity(&self, wanted: Option<&ClientCertificate>) -> Result<Option<SecretBytes>, Failure> {
        let Some(wanted) = wanted else { return Ok(None) };
        let (certificate, key) = (self.credential(&wanted.certificate)?, self.credential(&wanted.key)?);
        Ok(Some(SecretBytes::new([certificate.expose(), b"\n", key.expose(), b"\n"].concat())))
    }

    /// A session with a token that was got for the credentials `used`, with its life in seconds and whether it can be renewed.
    fn with_token(
        &self,
        token: &SecretBytes,
        used: Vec<Option<SecretBytes>>,
        life: Option<(u64, bool)>,
    ) -> Result<Session, Failure> {
        let (http, token) = (self.http()?, token.clone());
        let client = self.client(http.clone(), token.expose_str().unwrap_or_default())?;
        let (life_s, is_renewable) = life.unwrap_or_default();
        // A life of zero is that of a root token: without end.
        let life = Some(life_s).filter(|life| *life > 0).map(Duration::from_secs);
        let renew_at = life.and_then(|life| Instant::now().checked_add(life.mul_f64(2.0 / 3.0)));
        Ok(Session { client, http, token, used, renew_at, is_renewable })
    }

    /// A client with the certificates and headers that the store names.
    pub(super) fn http(&self) -> Result<reqwest::Client, Failure> {
        let wanted = match &self.store.auth {
            VaultAuth::Certificate { identity, .. } => Some(identity),
            _ => self.store.tls.as_ref(),
        };
        let remedy = "correct its name or value in the store";
        let header = |(name, value): (&String, &String)| {
            let wrong = || Failure::Problem(self.problem(&format!("header `{name}` cannot be sent"), remedy, false));
            let name: HeaderName = name.parse().map_err(|_| wrong())?;
            let mut value: HeaderValue = value.parse().map_err(|_| wrong())?;
            value.set_sensitive(true);
            Ok((name, value))
        };
        let trust = Trust {
            authorities: self.authorities()?,
            identity: self.identity(wanted)?,
            follows: true,
            headers: self.store.headers.iter().map(header).collect::<Result<_, Failure>>()?,
        };
        http::client(&trust, self.timeout).map_err(|unusable| {
            let (what, remedy) = match unusable {
                Unusable::Authorities => ("`caBundle` holds no certificate", "encode the PEM text in base64"),
                Unusable::Identity => (
                    "the client certificate cannot be used",
                    "put a certificate and its key (PEM) into the Secret that the store names",
                ),
                Unusable::Connection => {
                    ("no connection can be prepared", "correct `server` and `caBundle` in the store")
                }
            };
            Failure::Problem(self.problem(what, remedy, false))
        })
    }

    /// The client library on top of `http`, with every setting given, since it would take missing ones from the environment.
    fn client(&self, http: reqwest::Client, token: &str) -> Result<VaultClient, Failure> {
        let remedy = "correct `server` in the store";
        let address = || Failure::Problem(self.problem("the server's address cannot be used", remedy, false));
        // The library panics on an address that it cannot parse.
        self.store.server.parse::<reqwest::Url>().map_err(|_| address())?;
        let mut settings = VaultClientSettingsBuilder::default();
        settings.address(&self.store.server).token(token).verify(true).identity(None).timeout(Some(self.timeout));
        settings.ca_certs(Vec::new()).namespace(self.store.namespace.clone());
        let settings = settings.build().map_err(|_| address())?;
        let (token, namespace) = (token.to_owned(), self.store.namespace.clone());
        Ok(VaultClient {
            http: rustify::clients::reqwest::Client::new(settings.address.as_str(), http),
            middle: EndpointMiddleware { token, version: "v1".to_owned(), wrap: None, namespace },
            settings,
        })
    }

    fn credential(&self, selector: &SecretKeySelector) -> Result<SecretBytes, Failure> {
        self.credentials.find(selector).filter(|value| !value.expose().is_empty()).ok_or_else(|| {
            let (what, remedy) = match self.credentials.keys(selector) {
                Some(keys) if keys.contains(&selector.key) => {
                    (format!("the login needs {selector}, which is empty"), "give it a value")
                }
                Some(keys) => (
                    format!("the login needs {selector}, which has only these keys: {}", keys.join(", ")),
                    "correct the key in the store, or in the Secret",
                ),
                None => (
                    format!("the login needs {selector}, which is not there"),
                    "add the Secret to the manifests, or an entry to `service.credentials`",
                ),
            };
            Failure::Problem(self.problem(&what, remedy, false))
        })
    }

    fn refused(&self, error: ClientError) -> Failure {
        match code(&error) {
            Some(400 | 401 | 403) => {
                let remedy = "give the store a token, or role and secret id, that the server knows";
                Failure::Problem(self.problem("the server refused the login", remedy, false))
            }
            _ => Failure::Client(error),
        }
    }

    /// A failure in words. The text of the server is left out: nobody knows what is in it.
    fn words(&self, error: &ClientError, path: &str, is_check: bool) -> FetchProblem {
        match code(error) {
            Some(status) => self.refusal(status, path, is_check),
            None => match error {
                ClientError::RestClientError { .. } if is_untrusted(error) => self.is_untrusted(),
                ClientError::RestClientError { .. } => self.is_unreachable(),
                _ => self.not_understood(),
            },
        }
    }

    /// What a status means.
    fn refusal(&self, status: u16, path: &str, is_check: bool) -> FetchProblem {
        match status {
            403 => {
                let right = if is_check { "metadata of" } else { "value of" };
                let remedy = "allow it in the policy of the login";
                self.problem(&format!("the login may not read the {right} `{path}`"), remedy, is_check)
            }
            404 => self.problem(
                &format!("nothing is mounted for `{path}`"),
                "correct `path` in the store, or `remoteRef.key`",
                false,
            ),
            429 => self.problem(
                "the server asks for fewer calls (429)",
                "raise its rate limit, or `service.check_interval_ms`",
                false,
            ),
            503 => self.problem(
                "the server is sealed or not active (503)",
                "unseal it: `bao operator unseal`; secrets stay as they are until then",
                false,
            ),
            code @ 300..=399 => self.problem(
                &format!(
                    "the server sends its callers elsewhere ({code}), further than one step or to a line without TLS"
                ),
                "name the active node, or what stands before all nodes, in `server` of the store",
                false,
            ),
            code => {
                self.problem(&format!("the server failed ({code})"), "look into its log; the broker tries again", false)
            }
        }
    }

    fn is_unreachable(&self) -> FetchProblem {
        self.problem(
            "the server cannot be reached",
            "start it, or correct `server` and `caBundle` in the store; the broker tries again",
            false,
        )
    }

    /// What became of a request without an answer. The library's own words may hold the address with all that is in it.
    pub(super) fn line_is_down(&self, error: &reqwest::Error) -> FetchProblem {
        if error.is_timeout() {
            let what = format!("the server did not answer within {} s", self.timeout.as_secs());
            return self.problem(&what, "look into its load, or raise `service.store_timeout_s`", false);
        }
        if !error.is_connect() {
            return self.problem(
                "the connection broke off",
                "look into the server's log; the broker tries again",
                false,
            );
        }
        if is_untrusted(error) {
            return self.is_untrusted();
        }
        self.is_unreachable()
    }

    fn is_untrusted(&self) -> FetchProblem {
        let remedy =
            "give the store the authority of the server's certificate in `caBundle` or `caProvider`, or renew it";
        self.problem("the server's certificate is not trusted, or has expired", remedy, false)
    }

    fn not_understood(&self) -> FetchProblem {
        self.problem(
            "the server's answer is not understood",
            "check that `server` is a Vault or OpenBao, and `version` the store's",
            false,
        )
    }

    pub(super) fn problem(&self, what: &str, remedy: &str, is_check_refused: bool) -> FetchProblem {
        FetchProblem { what: format!("{}: {what}", self.store.server), remedy: remedy.to_owned(), is_check_refused }
    }
}

impl Provider for VaultProvider {
    fn check_many(&self, keys: Vec<FetchKey>) -> BoxFuture<'_, Checked> {
        Box::pin(self.check_all(keys))
    }

    fn read<'a>(&'a self, key: &'a FetchKey) -> BoxFuture<'a, Result<Option<Reading>, FetchProblem>> {
        Box::pin(self.read_path(key).with_subscriber(NoSubscriber::new()))
    }

    fn rotate<'a>(&'a self, key: &'a FetchKey) -> BoxFuture<'a, Result<Made, FetchProblem>> {
        Box::pin(self.rotate_path(key).with_subscriber(NoSubscriber::new()))
    }

    fn knock(&self) -> BoxFuture<'_, ()> {
        // What is wrong with the login is said by whoever needs it.
        Box::pin(async { drop(self.check_login().await) })
    }
}

/// Where the kubelet puts the token of a pod's account.
const OWN_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Mount and path of a key. The mount is the store's `path`, which a key may repeat; without one it is the key's first part, or
/// what stands before `/data/`.
pub(crate) fn kv_path(store: &VaultStore, key: &str) -> (String, String) {
    let is_v2 = store.version == KvVersion::V2;
    let key = key.trim_start_matches('/');
    match &store.mount {
        Some(mount) => {
            let mount = mount.trim_matches('/');
            let rest = key.strip_prefix(mount).and_then(|rest| rest.strip_prefix('/')).unwrap_or(key);
            let rest = if is_v2 { rest.strip_prefix("data/").unwrap_or(rest) } else { rest };
            (mount.to_owned(), rest.to_owned())
        }
        None => {
            let cut = if is_v2 { key.split_once("/data/") } else { None };
            let (mount, rest) = cut.or_else(|| key.split_once('/')).unwrap_or((key, ""));
            (mount.to_owned(), rest.to_owned())
        }
    }
}

/// Whether a connection failed for the certificate of the other side: only the words of the library for TLS tell.
fn is_untrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|cause| cause.to_string().contains("peer certificate"))
}

fn code(error: &ClientError) -> Option<u16> {
    match error {
        ClientError::APIError { code, .. } => Some(*code),
        ClientError::RestClientError { source: rustify::errors::ClientError::ServerResponseError { code, .. } } => {
            Some(*code)
        }
        _ => None,
    }
}

/// 404 without an error text is an empty path, or a version that was deleted; with one, it is an unknown mount.
fn is_nothing_there(error: &ClientError) -> bool {
    match error {
        ClientError::APIError { code: 404, errors } => errors.is_empty(),
        other => code(other) == Some(404),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_and_without_mount() {
        let cases = [
            (Some("secret"), KvVersion::V2, "db", ("secret", "db")),
            (Some("secret"), KvVersion::V2, "secret/data/db", ("secret", "db")),
            (Some("secret"), KvVersion::V2, "data/db", ("secret", "db")),
            (Some("team/kv"), KvVersion::V2, "a/b", ("team/kv", "a/b")),
            (Some("secret"), KvVersion::V1, "data/db", ("secret", "data/db")),
            (None, KvVersion::V2, "secret/a/b", ("secret", "a/b")),
            (None, KvVersion::V2, "team/kv/data/a/b", ("team/kv", "a/b")),
            (None, KvVersion::V1, "secret/a", ("secret", "a")),
        ];
        for (mount, version, key, (mount_found, path)) in cases {
            let auth = VaultAuth::Token(SecretKeySelector {
                namespace: String::new(),
                name: String::new(),
                key: String::new(),
            });
            let (server, mount) = ("http://v".to_owned(), mount.map(str::to_owned));
            let store = VaultStore {
                server,
                mount,
                version,
                namespace: None,
                login_namespace: None,
                ca_bundle: None,
                ca_provider: None,
                headers: std::collections::BTreeMap::new(),
                reads_own_writes: false,
                forwards: false,
                tls: None,
                auth,
            };
            assert_eq!(kv_path(&store, key), (mount_found.to_owned(), path.to_owned()), "{key}");
        }
    }
}
