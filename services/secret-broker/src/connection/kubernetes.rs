//! Secrets of another cluster, or of another namespace of this one, over its API.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secret_sync::provider::kubernetes::{self, RemoteSecret};
use secret_sync::provider::{Keys, LocalSecret, ProviderError, Push, Reference, Search};
use secret_sync::{ConversionStrategy, SecretBytes, SecretJson};
use serde_json::{Map, Value, json};

use super::asked::{Asked, Recorded, drive};
use super::http::{self, Trust};
use crate::reconciler::Rights;

/// A namespace of a cluster.
#[derive(Debug)]
pub(crate) struct Remote {
    client: reqwest::Client,
    server: String,
    namespace: String,
    token: Option<SecretBytes>,
    kind: &'static str,
}

#[derive(Debug)]
enum Question {
    Get(String),
    List(BTreeMap<String, String>),
    Create(RemoteSecret),
    Update(RemoteSecret),
    Delete(String),
}

#[derive(Clone, Debug)]
enum Answer {
    One(Result<Option<RemoteSecret>, ProviderError>),
    Many(Result<Vec<RemoteSecret>, ProviderError>),
    Done(Result<(), ProviderError>),
}

#[derive(Debug, Default)]
struct Calls(Asked<Question, Answer>);

impl Recorded for Calls {
    type Question = Question;
    type Answer = Answer;

    fn asked(&mut self) -> &mut Asked<Question, Answer> {
        &mut self.0
    }
}

impl Calls {
    fn done(&mut self, name: String, question: Question) -> Result<(), ProviderError> {
        match self.0.answer(name, question) {
            Some(Answer::Done(done)) => done,
            _ => Err(ProviderError::Unanswered),
        }
    }
}

impl kubernetes::Calls for Calls {
    fn get(&mut self, name: &str) -> Result<Option<RemoteSecret>, ProviderError> {
        match self.0.answer(format!("get {name}"), Question::Get(name.to_owned())) {
            Some(Answer::One(found)) => found,
            _ => Err(ProviderError::Unanswered),
        }
    }

    fn list(&mut self, labels: &BTreeMap<String, String>) -> Result<Vec<RemoteSecret>, ProviderError> {
        match self.0.answer(format!("list {labels:?}"), Question::List(labels.clone())) {
            Some(Answer::Many(found)) => found,
            _ => Err(ProviderError::Unanswered),
        }
    }

    fn create(&mut self, secret: RemoteSecret) -> Result<(), ProviderError> {
        self.done(format!("create {}", secret.name), Question::Create(secret))
    }

    fn update(&mut self, secret: RemoteSecret) -> Result<(), ProviderError> {
        self.done(format!("update {}", secret.name), Question::Update(secret))
    }

    fn delete(&mut self, name: &str) -> Result<(), ProviderError> {
        self.done(format!("delete {name}"), Question::Delete(name.to_owned()))
    }
}

impl Remote {
    /// Logs in.
    pub(crate) async fn open(
        settings: &Value,
        (namespace, is_cluster): (&str, bool),
        (rights, timeout): (&Rights, Duration),
    ) -> Result<Self, ProviderError> {
        let kind = if is_cluster { "ClusterSecretStore" } else { "SecretStore" };
        kubernetes::check(kind, namespace, settings).1?;
        let at = |pointer: &str| settings.pointer(pointer).filter(|value| !value.is_null());
        if at("/authRef").is_some() {
            let what = "kubernetes: `authRef` is not supported: use `server` with `auth`";
            return Err(ProviderError::Failed(what.to_owned()));
        }
        let scope = (namespace, is_cluster);
        let named = (at("/server/caBundle").and_then(Value::as_str), at("/server/caProvider"));
        let mut trust = Trust::read(named, scope, rights).await?;
        let mut token = None;
        if let Some(bearer) = at("/auth/token/bearerToken") {
            token = Some(rights.credential(bearer, scope).await?);
        } else if let Some(certificate) = at("/auth/cert") {
            let of = |name: &str| certificate.get(name).cloned().unwrap_or_default();
            let first = rights.credential(&of("clientCert"), scope).await?;
            let second = rights.credential(&of("clientKey"), scope).await?;
            trust.identity = Some(SecretBytes::new([first.expose(), b"\n", second.expose(), b"\n"].concat()));
        } else if let Some(account) = at("/auth/serviceAccount") {
            token = Some(rights.account_token(account, scope).await?);
        } else {
            let what = "no credentials: add `auth.token`, `auth.cert` or `auth.serviceAccount`";
            return Err(ProviderError::Failed(what.to_owned()));
        }
        let server = at("/server/url").and_then(Value::as_str).unwrap_or("https://kubernetes.default");
        let server = if server.contains("://") { server.to_owned() } else { format!("https://{server}") };
        Ok(Self {
            client: http::client(&trust, timeout)?,
            server: server.trim_end_matches('/').to_owned(),
            namespace: at("/remoteNamespace").and_then(Value::as_str).unwrap_or("default").to_owned(),
            token: token.map(|token| SecretBytes::new(token.expose().trim_ascii().to_vec())),
            kind,
        })
    }

    /// The same cluster, in the namespace that a push names.
    fn path(&self, name: &str) -> String {
        let end = if name.is_empty() { String::new() } else { format!("/{name}") };
        format!("{}/api/v1/namespaces/{}/secrets{end}", self.server, self.namespace)
    }

    async fn call(
        &self,
        method: reqwest::Method,
        url: &str,
        body: Option<&SecretJson>,
    ) -> Result<Option<SecretJson>, ProviderError> {
        let mut request = self.client.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_str().unwrap_or_default());
        }
        if let Some(body) = body {
            request = request.json(body.expose());
        }
        let answer = request.send().await.map_err(|error| http::unanswered(&error))?;
        let failed = |what: String| Err(ProviderError::Failed(what));
        match answer.status().as_u16() {
            200..=299 => Ok(SecretJson::parse(&http::body(answer).await?)),
            404 => Ok(None),
            401 => failed("the API server does not know the login (401)".to_owned()),
            403 => failed("the login may not do that with Secrets there (403): give it a Role".to_owned()),
            409 => failed("somebody else changed the Secret at the same time (409)".to_owned()),
            other => failed(format!("the API server refuses ({other})")),
        }
    }

    async fn ask(&self, question: Question) -> Answer {
        match question {
            Question::Get(name) => {
                let found = self.call(reqwest::Method::GET, &self.path(&name), None).await;
                Answer::One(found.map(|found| found.map(|object| remote(object.expose()))))
            }
            Question::List(labels) => {
                let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
                let query: String = url_escaped(&labels.join(","));
                let url = format!("{}?labelSelector={query}", self.path(""));
                let found = self.call(reqwest::Method::GET, &url, None).await;
                let items = |list: SecretJson| {
                    let items = list.expose().get("items").and_then(Value::as_array);
                    items.into_iter().flatten().map(remote).collect()
                };
                Answer::Many(found.map(|found| found.map(items).unwrap_or_default()))
            }
            Question::Create(secret) => {
                let object = object(&secret, &self.namespace);
                Answer::Done(self.call(reqwest::Method::POST, &self.path(""), Some(&object)).await.map(drop))
            }
            Question::Update(secret) => {
                let object = object(&secret, &self.namespace);
                Answer::Done(self.call(reqwest::Method::PUT, &self.path(&secret.name), Some(&object)).await.map(drop))
            }
            Question::Delete(name) => {
                Answer::Done(self.call(reqwest::Method::DELETE, &self.path(&name), None).await.map(drop))
            }
        }
    }

    pub(crate) async fn get(&self, reference: &Reference) -> Result<SecretBytes, ProviderError> {
        drive(&mut Calls::default(), |calls| kubernetes::get(calls, reference), |question| self.ask(question)).await
    }

    pub(crate) async fn get_map(&self, reference: &Reference) -> Result<Keys, ProviderError> {
        drive(&mut Calls::default(), |calls| kubernetes::get_map(calls, reference), |question| self.ask(question)).await
    }

    pub(crate) async fn find(&self, search: &Search, strategy: ConversionStrategy) -> Result<Keys, ProviderError> {
        let run = |calls: &mut Calls| kubernetes::find(calls, search, strategy);
        drive(&mut Calls::default(), run, |question| self.ask(question)).await
    }

    pub(crate) async fn push(&self, push: &Push, secret: &LocalSecret) -> Result<(), ProviderError> {
        let run = |calls: &mut Calls| kubernetes::push(calls, self.kind, push, secret);
        drive(&mut Calls::default(), run, |question| self.ask(question)).await
    }

    pub(crate) async fn exists(&self, push: &Push) -> Result<bool, ProviderError> {
        let run = |calls: &mut Calls| kubernetes::exists(calls, &push.remote_key, &push.property);
        drive(&mut Calls::default(), run, |question| self.ask(question)).await
    }

    pub(crate) async fn delete(&self, push: &Push) -> Result<(), ProviderError> {
        let run = |calls: &mut Calls| kubernetes::delete(calls, &push.remote_key, &push.property);
        drive(&mut Calls::default(), run, |question| self.ask(question)).await
    }
}

fn url_escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// A Secret as the API has it.
pub(crate) fn remote(object: &Value) -> RemoteSecret {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    RemoteSecret { name: text("/metadata/name"), secret: local(object) }
}

/// What a Secret of the API holds: `data` in base64, and `stringData` over it where it comes from a file.
pub(crate) fn local(object: &Value) -> LocalSecret {
    let texts = |pointer: &str| {
        let fields = object.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
        fields.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect::<BTreeMap<_, _>>()
    };
    let mut data: Keys = texts("/data")
        .into_iter()
        .filter_map(|(key, value)| Some((key, SecretBytes::new(BASE64_STANDARD.decode(value.trim()).ok()?))))
        .collect();
    data.extend(texts("/stringData").into_iter().map(|(key, value)| (key, SecretBytes::new(value.into_bytes()))));
    LocalSecret {
        data,
        kind: object.get("type").and_then(Value::as_str).unwrap_or_default().to_owned(),
        labels: texts("/metadata/labels"),
        annotations: texts("/metadata/annotations"),
    }
}

fn object(remote: &RemoteSecret, namespace: &str) -> SecretJson {
    let secret = &remote.secret;
    let data: Map<String, Value> =
        secret.data.iter().map(|(key, value)| (key.clone(), BASE64_STANDARD.encode(value.expose()).into())).collect();
    let kind = if secret.kind.is_empty() { "Opaque" } else { &secret.kind };
    SecretJson::new(json!({
        "apiVersion": "v1", "kind": "Secret", "type": kind, "data": data,
        "metadata": {
            "name": remote.name, "namespace": namespace, "labels": secret.labels, "annotations": secret.annotations,
        },
    }))
}
