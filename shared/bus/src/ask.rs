//! Commands: request and reply.

use std::time::Duration;

use futures::StreamExt as _;
use schemas::ask::{AskError, Reply};
use schemas::wire::WireError;
use schemas::{Subject, Token};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::connection::Bus;
use crate::{codec, trace};

/// Commands that come in.
#[derive(Debug)]
pub struct Asked {
    bus: Bus,
    requests: async_nats::Subscriber,
}

/// One command, to be answered.
#[derive(Debug)]
pub struct Request {
    bus: Bus,
    payload: Vec<u8>,
    reply: Option<async_nats::Subject>,
    traceparent: Option<String>,
}

impl Bus {
    /// Listens for `ask.<this service>.<verb>`; instances of a service share the commands.
    ///
    /// # Errors
    /// When the subscription is refused.
    pub async fn asked(&self, verb: &str) -> Result<Asked, AskFailure> {
        let subject = self.ask_subject(&self.origin.service, verb);
        let queue = self.origin.service.clone();
        let requests = self.client.queue_subscribe(subject.clone(), queue).await;
        let requests = requests.map_err(|source| AskFailure::Transport { subject, source: Box::new(source) })?;
        // Until the server has the subscription, a command would find nobody.
        if let Err(error) = self.client.flush().await {
            tracing::warn!(%error, "subscription is not confirmed yet");
        }
        Ok(Asked { bus: self.clone(), requests })
    }

    /// Asks a service and waits for its answer.
    ///
    /// # Errors
    /// When nobody answers in time, or the answer is an error.
    pub async fn ask<Q: Serialize, R: DeserializeOwned>(
        &self,
        (service, verb): (&str, &str),
        request: &Q,
        limit: Duration,
    ) -> Result<R, AskFailure> {
        let subject = self.ask_subject(service, verb);
        let payload = codec::encode(request).map_err(AskFailure::Codec)?;
        let mut message = async_nats::Request::new().payload(payload.into()).timeout(Some(limit));
        if let Some(traceparent) = trace::current() {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert(TRACEPARENT, traceparent.as_str());
            message = message.headers(headers);
        }
        let answer = self.client.send_request(subject.clone(), message).await.map_err(|error| match error.kind() {
            async_nats::RequestErrorKind::NoResponders => AskFailure::NobodyThere { service: service.to_owned() },
            async_nats::RequestErrorKind::TimedOut => AskFailure::TimedOut { service: service.to_owned(), limit },
            _ => AskFailure::Transport { subject, source: Box::new(error) },
        })?;
        match codec::decode::<Reply<R>>(&answer.payload).map_err(AskFailure::Codec)? {
            Reply::Ok(answer) => Ok(answer),
            Reply::Error(error) => Err(AskFailure::Refused(error)),
        }
    }

    /// Everything that is published on subjects that match `pattern` from now on, without the streams: subject and bytes.
    ///
    /// # Errors
    /// When the subscription is refused.
    pub async fn live(
        &self,
        pattern: String,
    ) -> Result<impl futures::Stream<Item = (String, Vec<u8>)> + use<>, AskFailure> {
        let subscribed = self.client.subscribe(pattern.clone()).await;
        let messages =
            subscribed.map_err(|source| AskFailure::Transport { subject: pattern, source: Box::new(source) })?;
        Ok(messages.map(|message| (message.subject.to_string(), message.payload.to_vec())))
    }

    fn ask_subject(&self, service: &str, verb: &str) -> String {
        let cluster = self.origin.cluster.clone();
        Subject::Ask { cluster, service: Token::lossy(service), verb: Token::lossy(verb) }.to_string()
    }
}

impl Asked {
    /// The next command; `None` when the connection is closed.
    pub async fn next(&mut self) -> Option<Request> {
        let message = self.requests.next().await?;
        let traceparent = message.headers.as_ref().and_then(|headers| headers.get(TRACEPARENT));
        let traceparent = traceparent.map(|value| value.as_str().to_owned());
        Some(Request { bus: self.bus.clone(), payload: message.payload.to_vec(), reply: message.reply, traceparent })
    }
}

impl Request {
    /// A span for handling the command: a child of the asker's, when it sent its trace context.
    #[must_use]
    pub fn span(&self) -> tracing::Span {
        let span = tracing::info_span!("command");
        trace::adopt(&span, self.traceparent.as_deref());
        span
    }

    /// What is asked.
    ///
    /// # Errors
    /// When the bytes are no such command; answer with [`Request::refuse`].
    pub fn decode<Q: DeserializeOwned>(&self) -> Result<Q, WireError> {
        codec::decode(&self.payload)
    }

    /// Answers.
    pub async fn answer<R: Serialize>(self, answer: R) {
        if let Some(to) = self.reply {
            self.bus.reply(to, &Reply::Ok(answer)).await;
        }
    }

    /// Answers with an error.
    pub async fn refuse(self, error: AskError) {
        if let Some(to) = self.reply {
            self.bus.reply(to, &Reply::<()>::Error(error)).await;
        }
    }
}

/// Why a command was not answered well.
#[derive(Debug, thiserror::Error)]
pub enum AskFailure {
    /// No instance of the service listens.
    #[error("no {service} is running: start it, or look at `biotope doctor`")]
    NobodyThere {
        /// The service.
        service: String,
    },
    /// It did not answer in time.
    #[error("{service} did not answer within {} s", limit.as_secs())]
    TimedOut {
        /// The service.
        service: String,
        /// How long was waited.
        limit: Duration,
    },
    /// It answered with an error.
    #[error("{}{}{}", .0.message, if .0.remedy.is_empty() { "" } else { ": " }, .0.remedy)]
    Refused(AskError),
    /// Command or answer is malformed.
    #[error("malformed command or answer")]
    Codec(#[source] WireError),
    /// The connection failed.
    #[error("cannot reach `{subject}`")]
    Transport {
        /// The subject.
        subject: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Header of the trace context (W3C Trace Context, section 3.2).
const TRACEPARENT: &str = "traceparent";
