//! Calls by path: everything that is asked about secrets goes this way, so that values land in memory that is wiped at once, and the
//! server's wish for fewer calls is heard.

use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::HeaderMap;
use secret_sync::provider::ProviderError;
use secret_sync::{FetchProblem, SecretJson};
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

use super::{Failure, VaultProvider};
use crate::connection::http;

/// A call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// `GET`, `LIST`, `SCAN`, `POST`, `PUT` or `DELETE`.
    pub(crate) method: &'static str,
    /// Path behind `/v1/`.
    pub(crate) path: String,
    /// Query, encoded already.
    pub(crate) query: String,
    /// Body.
    pub(crate) body: Option<SecretJson>,
}

impl Call {
    /// A call without a body.
    pub(super) fn new(method: &'static str, path: String) -> Self {
        Self { method, path, query: String::new(), body: None }
    }
}

/// Status and answer.
pub(super) type Answered = (u16, Option<SecretJson>);

/// Why a call has no answer.
pub(super) enum Unanswered {
    /// There is no login, or the server asked to be left alone.
    Login(Failure),
    /// The call cannot be made.
    Wrong(String),
    /// The line broke, or the server took too long.
    Line(reqwest::Error),
    /// The answer broke off, or is too long.
    Body(ProviderError),
}

impl VaultProvider {
    /// Makes a call with the login of this store; gives the whole answer, or `None` where there is nothing.
    pub(crate) async fn raw(&self, call: &Call) -> Result<Option<SecretJson>, ProviderError> {
        let answer = self.raw_status(call).with_subscriber(NoSubscriber::new()).await;
        match answer.map_err(|unanswered| self.in_short(unanswered))? {
            (200..=299, body) => Ok(body),
            (404, _) => Ok(None),
            (status, _) => Err(ProviderError::Failed(said(status, &call.path))),
        }
    }

    /// Status and answer. A token that the server does not know any more is made anew once.
    pub(super) async fn raw_status(&self, call: &Call) -> Result<Answered, Unanswered> {
        let first = self.raw_once(call).await?;
        if first.0 == 403 && self.is_login_lost().await {
            return self.raw_once(call).await;
        }
        Ok(first)
    }

    async fn raw_once(&self, call: &Call) -> Result<Answered, Unanswered> {
        let session = self.session().await.map_err(Unanswered::Login)?;
        let method = Method::from_bytes(call.method.as_bytes())
            .map_err(|_| Unanswered::Wrong(format!("`{}` is no method", call.method)))?;
        let query = if call.query.is_empty() { String::new() } else { format!("?{}", call.query) };
        let url = format!("{}/v1/{}{query}", self.store.server, escaped(&call.path));
        let mut request = session.http.request(method, url).header("X-Vault-Token", session.token.expose());
        if let Some(namespace) = &self.store.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        request = self.with_headers(request);
        if let Some(body) = &call.body {
            request = request.json(body.expose());
        }
        let answer = request.send().await;
        let is_good = answer.as_ref().is_ok_and(|answer| answer.status().is_success() || answer.status() == 404);
        self.metrics.called(name(call), is_good);
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                // Certificates of both sides are read anew with the next login.
                *self.session.lock().await = None;
                return Err(Unanswered::Line(error));
            }
        };
        self.remember_index(&answer);
        let status = answer.status().as_u16();
        self.pause(status, answer.headers());
        let body = http::body(answer).await.map_err(Unanswered::Body)?;
        let is_long = body.len() > LONGEST_TOLD;
        let body = SecretJson::parse(&zeroize::Zeroizing::new(body));
        if !is_long && let Some(id) = body.as_ref().and_then(|body| body.expose().get("request_id")?.as_str()) {
            self.feed.answered(&self.store.server, id);
        }
        Ok((status, body))
    }

    /// Heeds a server that asks for fewer calls, or that is sealed and says when to come back (RFC 9110, `Retry-After`).
    pub(in crate::provider) fn pause(&self, status: u16, headers: &HeaderMap) {
        if !matches!(status, 429 | 503) {
            return;
        }
        let said = headers.get("Retry-After").and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
        let Some(wait) = said.or((status == 429).then_some(1)) else { return };
        let until = Instant::now().checked_add(Duration::from_secs(wait).min(LONGEST_PAUSE));
        *self.paused.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = until.map(|until| (until, status));
    }

    /// The status with which the server asked to be left alone, while it wants that.
    pub(super) fn is_paused(&self) -> Option<u16> {
        let mut paused = self.paused.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        paused.take_if(|(until, _)| *until <= Instant::now());
        paused.map(|(_, status)| status)
    }

    /// The headers by which standbys keep up.
    fn with_headers(&self, mut request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        if self.store.forwards {
            request = request.header("X-Vault-Inconsistent", "forward-active-node");
        }
        let index = self.index.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        match index.filter(|_| self.store.reads_own_writes) {
            Some(index) => request.header("X-Vault-Index", index),
            None => request,
        }
    }

    fn remember_index(&self, answer: &reqwest::Response) {
        if let Some(index) = answer.headers().get("X-Vault-Index").filter(|_| self.store.reads_own_writes) {
            *self.index.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(index.clone());
        }
    }

    /// For the machine: what is wrong, with its remedy.
    pub(super) fn unanswered(&self, unanswered: Unanswered, path: &str) -> FetchProblem {
        match unanswered {
            Unanswered::Login(Failure::Problem(problem)) => problem,
            Unanswered::Login(Failure::Client(error)) => self.words(&error, path, false),
            Unanswered::Wrong(what) => self.problem(&what, "correct the store", false),
            Unanswered::Line(error) => self.line_is_down(&error),
            Unanswered::Body(error) => {
                let remedy = "let the secret be smaller, and look into the server's log";
                self.problem(&format!("the answer about `{path}` cannot be read: {error}"), remedy, false)
            }
        }
    }

    /// For the reconciler: one line.
    fn in_short(&self, unanswered: Unanswered) -> ProviderError {
        let server = &self.store.server;
        ProviderError::Failed(match unanswered {
            Unanswered::Login(Failure::Problem(problem)) => format!("{}; {}", problem.what, problem.remedy),
            Unanswered::Login(Failure::Client(error)) => self.words(&error, "", false).what,
            Unanswered::Wrong(what) => what,
            Unanswered::Line(error) => format!("{server}: {}", http::unanswered(&error)),
            Unanswered::Body(error) => format!("{server}: {error}"),
        })
    }
}

/// A path as an address may hold it: what would end it is escaped, the rest is the client library's.
fn escaped(path: &str) -> String {
    let escape = |letter: char| match letter {
        '%' | '?' | '#' | '\\' => format!("%{:02X}", u32::from(letter)),
        other => other.to_string(),
    };
    path.chars().map(escape).collect()
}

/// Names a call in metrics.
fn name(call: &Call) -> &'static str {
    match call.method {
        "GET" if call.path.contains("/metadata/") => "check",
        "GET" => "read",
        "LIST" | "SCAN" => "list",
        "DELETE" => "delete",
        _ => "write",
    }
}

fn said(status: u16, path: &str) -> String {
    match status {
        400 => format!("the server finds the request for `{path}` wrong (400)"),
        403 => format!("the login may not do that with `{path}` (403): allow it in its policy"),
        405 => format!("the server does not offer that for `{path}` (405)"),
        429 => "the server asks for fewer calls (429)".to_owned(),
        503 => "the server is sealed or not active (503): unseal it".to_owned(),
        300..=399 => format!("the server sends its callers elsewhere ({status}): name the active node in the store"),
        other => format!("the server failed ({other})"),
    }
}

/// An answer that is longer may be too long for a packet of UDP, with a hash in the place of each value: that it is not told of says
/// nothing.
const LONGEST_TOLD: usize = 8 << 10;
/// A server that says less is asked again by then.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
