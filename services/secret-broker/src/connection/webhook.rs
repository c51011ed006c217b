//! Webhooks over HTTP.

use std::time::Duration;

use secret_sync::provider::webhook::{self, Place, Request, Response, Settings};
use secret_sync::provider::{Keys, LocalSecret, ProviderError, Push, Reference};
use secret_sync::{ConversionStrategy, SecretBytes};
use serde_json::Value;

use super::asked::{Asked, Recorded, drive};
use super::http::{self, Trust};
use crate::reconciler::Rights;
use crate::template;

/// A store, or a generator, that is an HTTP server.
#[derive(Debug)]
pub(crate) struct Webhook {
    settings: Settings,
    client: reqwest::Client,
    rights: Rights,
    namespace: String,
    is_cluster: bool,
}

#[derive(Debug)]
enum Question {
    Send(Request),
    Secret(String, String),
}

#[derive(Clone, Debug)]
enum Answer {
    Sent(Result<Response, ProviderError>),
    Secret(Result<Option<LocalSecret>, ProviderError>),
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

impl webhook::Calls for Calls {
    fn send(&mut self, request: &Request) -> Result<Response, ProviderError> {
        // A request is made once in one pass.
        match self.0.answer(format!("send {}", request.method), Question::Send(request.clone())) {
            Some(Answer::Sent(answer)) => answer,
            _ => Err(ProviderError::Unanswered),
        }
    }

    fn secret(&mut self, namespace: &str, name: &str) -> Result<Option<LocalSecret>, ProviderError> {
        let question = Question::Secret(namespace.to_owned(), name.to_owned());
        match self.0.answer(format!("secret {namespace}/{name}"), question) {
            Some(Answer::Secret(answer)) => answer,
            _ => Err(ProviderError::Unanswered),
        }
    }
}

impl Webhook {
    /// Prepares the connection.
    pub(crate) async fn open(
        settings: &Value,
        (namespace, is_cluster): (&str, bool),
        (rights, timeout): (&Rights, Duration),
    ) -> Result<Self, ProviderError> {
        let settings = Settings::read(settings)?;
        let named = (settings.ca_bundle.as_deref(), settings.ca_provider.as_ref());
        let trust = Trust::read(named, (namespace, is_cluster), rights).await?;
        let client = http::client(&trust, settings.timeout.unwrap_or(timeout))?;
        Ok(Self { settings, client, rights: rights.clone(), namespace: namespace.to_owned(), is_cluster })
    }

    fn place(&self) -> Place<'_> {
        Place { namespace: &self.namespace, is_cluster: self.is_cluster }
    }

    async fn ask(&self, question: Question) -> Answer {
        match question {
            Question::Secret(namespace, name) => Answer::Secret(self.rights.secret(&namespace, &name).await),
            Question::Send(request) => Answer::Sent(self.send(&request).await),
        }
    }

    async fn send(&self, request: &Request) -> Result<Response, ProviderError> {
        let failed = |what: &str| ProviderError::Failed(what.to_owned());
        let method: reqwest::Method =
            request.method.parse().map_err(|_| failed("failed to create request: the method is none"))?;
        let mut builder = self.client.request(method, request.url.as_str());
        for (name, value) in &request.headers {
            let mut value = reqwest::header::HeaderValue::from_str(value)
                .map_err(|_| ProviderError::Failed(format!("the value of header {name} cannot be sent")))?;
            value.set_sensitive(true);
            builder = builder.header(name, value);
        }
        if !request.body.is_empty() {
            builder = builder.body(request.body.to_vec());
        }
        let answer = builder.send().await.map_err(|error| http::unanswered(&error))?;
        let status = answer.status().as_u16();
        Ok(Response { status, body: SecretBytes::new(http::body(answer).await?) })
    }

    pub(crate) async fn get(&self, reference: &Reference) -> Result<SecretBytes, ProviderError> {
        let run = |calls: &mut Calls| webhook::get(&self.settings, calls, (reference, self.place()), template::webhook);
        drive(&mut Calls::default(), run, |question| self.ask(question)).await
    }

    pub(crate) async fn get_map(&self, reference: Option<&Reference>) -> Result<Keys, ProviderError> {
        let run =
            |calls: &mut Calls| webhook::get_map(&self.settings, calls, (reference, self.place()), template::webhook);
        drive(&mut Calls::default(), run, |question| self.ask(question)).await
    }

    pub(crate) fn find(_: ConversionStrategy) -> Result<Keys, ProviderError> {
        let what = "a webhook cannot be searched: name what to read by `data` or `dataFrom.extract`";
        Err(ProviderError::Failed(what.to_owned()))
    }

    pub(crate) async fn push(&self, push: &Push, secret: &LocalSecret) -> Result<(), ProviderError> {
        let run =
            |calls: &mut Calls| webhook::push(&self.settings, calls, (push, secret, self.place()), template::webhook);
        drive(&mut Calls::default(), run, |question| self.ask(question)).await
    }

    pub(crate) async fn exists(&self, push: &Push) -> Result<bool, ProviderError> {
        let what = (push.remote_key.as_str(), self.place());
        let run = |calls: &mut Calls| webhook::exists(&self.settings, calls, what, template::webhook);
        drive(&mut Calls::default(), run, |question| self.ask(question)).await
    }

    pub(crate) async fn delete(&self, push: &Push) -> Result<(), ProviderError> {
        let what = (push.remote_key.as_str(), self.place());
        let run = |calls: &mut Calls| webhook::delete(&self.settings, calls, what, template::webhook);
        drive(&mut Calls::default(), run, |question| self.ask(question)).await
    }
}
