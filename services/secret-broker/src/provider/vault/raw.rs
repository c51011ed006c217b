//! Calls by path, for what has no call of its own in the client library.

use reqwest::Method;
use secret_sync::SecretJson;
use secret_sync::provider::ProviderError;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

use super::{Failure, VaultProvider};

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

impl VaultProvider {
    /// Makes a call with the login of this store; gives the whole answer, or `None` where there is nothing.
    pub(crate) async fn raw(&self, call: &Call) -> Result<Option<SecretJson>, ProviderError> {
        let answer = self.raw_status(call).with_subscriber(NoSubscriber::new()).await?;
        match answer {
            (200..=299, body) => Ok(body),
            (404, _) => Ok(None),
            (status, _) => Err(ProviderError::Failed(said(status, &call.path))),
        }
    }

    /// Status and answer. A token that the server does not know any more is made anew once.
    pub(crate) async fn raw_status(&self, call: &Call) -> Result<(u16, Option<SecretJson>), ProviderError> {
        let first = self.raw_once(call).await?;
        if first.0 == 403 && self.is_login_lost().await {
            return self.raw_once(call).await;
        }
        Ok(first)
    }

    async fn raw_once(&self, call: &Call) -> Result<(u16, Option<SecretJson>), ProviderError> {
        let session = self.session().await.map_err(|failure| ProviderError::Failed(self.in_words(failure)))?;
        let method = Method::from_bytes(call.method.as_bytes())
            .map_err(|_| ProviderError::Failed(format!("`{}` is no method", call.method)))?;
        let query = if call.query.is_empty() { String::new() } else { format!("?{}", call.query) };
        let url = format!("{}/v1/{}{query}", self.store.server, call.path);
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
                return Err(crate::connection::http::unanswered(&error).within_server(&self.store.server));
            }
        };
        self.remember_index(&answer);
        let status = answer.status().as_u16();
        let body = crate::connection::http::body(answer).await?;
        Ok((status, SecretJson::parse(&body)))
    }

    /// The headers of the store, and those by which standbys keep up.
    fn with_headers(&self, mut request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        for (name, value) in &self.store.headers {
            request = request.header(name, value);
        }
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

    fn in_words(&self, failure: Failure) -> String {
        match failure {
            Failure::Problem(problem) => format!("{}; {}", problem.what, problem.remedy),
            Failure::Client(error) => self.words(&error, "", false).what,
        }
    }
}

/// Names a call in metrics.
fn name(call: &Call) -> &'static str {
    match call.method {
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
        other => format!("the server failed ({other})"),
    }
}

/// Says which server a failure is about.
trait WithinServer {
    fn within_server(self, server: &str) -> ProviderError;
}

impl WithinServer for ProviderError {
    fn within_server(self, server: &str) -> ProviderError {
        ProviderError::Failed(format!("{server}: {self}"))
    }
}
