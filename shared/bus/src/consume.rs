//! Durable consumption: one handler, one mapping from its result to what the server is told.

use std::future::Future;
use std::time::Duration;

use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use futures::StreamExt as _;
use schemas::AnyEvent;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::connection::Bus;
use crate::{codec, trace};

/// One event in the hands of a handler.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The event.
    pub event: AnyEvent,
    /// Position in the stream.
    pub sequence: u64,
    /// How often it was delivered, from 1. Handlers are idempotent by the event's id.
    pub attempt: i64,
}

/// What becomes of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Done.
    Ack,
    /// Again, later.
    Retry {
        /// How much later.
        after: Duration,
    },
    /// Never again: to the dead letters.
    Park {
        /// Why, in one token.
        reason: String,
    },
}

/// An error that knows what becomes of its delivery.
pub trait Disposed: std::fmt::Display {
    /// The disposition.
    fn disposition(&self) -> Disposition;
}

/// What to consume.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Stream.
    pub stream: &'static str,
    /// Name under which the server keeps the position.
    pub durable: String,
    /// Subjects; all of the stream when empty.
    pub filters: Vec<String>,
    /// Deliveries after which a message that still fails is parked.
    pub max_attempts: i64,
    /// Time after which a delivery that was not answered is made again.
    pub ack_wait: Duration,
}

impl Bus {
    /// Hands every event of a subscription to `handle`, one after the other, until `shutdown`. Undecodable messages are parked at once.
    ///
    /// # Errors
    /// When the consumer cannot be made. Interruptions later are logged and healed.
    pub async fn consume<H, F, E>(
        &self,
        subscription: &Subscription,
        shutdown: &CancellationToken,
        mut handle: H,
    ) -> Result<(), ConsumeError>
    where
        H: FnMut(Delivery) -> F,
        F: Future<Output = Result<(), E>>,
        E: Disposed,
    {
        let cannot = |source: Box<dyn std::error::Error + Send + Sync>| ConsumeError {
            durable: subscription.durable.clone(),
            source,
        };
        let stream = self.jetstream.get_stream(subscription.stream).await.map_err(|error| cannot(Box::new(error)))?;
        let config = pull::Config {
            durable_name: Some(subscription.durable.clone()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: subscription.ack_wait,
            filter_subjects: subscription.filters.clone(),
            ..Default::default()
        };
        let consumer = stream.get_or_create_consumer(&subscription.durable, config);
        let consumer = consumer.await.map_err(|error| cannot(Box::new(error)))?;
        while !shutdown.is_cancelled() {
            let messages =
                consumer.stream().max_messages_per_batch(100).expires(Duration::from_secs(10)).messages().await;
            let mut messages = match messages {
                Ok(messages) => messages,
                Err(error) => {
                    tracing::warn!(durable = subscription.durable, %error, "cannot pull, trying again");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    continue;
                }
            };
            loop {
                let message = tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    message = messages.next() => message,
                };
                match message {
                    Some(Ok(message)) => self.deliver(subscription, message, &mut handle).await,
                    Some(Err(error)) => {
                        tracing::warn!(durable = subscription.durable, %error, "pulling was interrupted")
                    }
                    None => break,
                }
            }
        }
        Ok(())
    }

    async fn deliver<H, F, E>(
        &self,
        subscription: &Subscription,
        message: async_nats::jetstream::Message,
        handle: &mut H,
    ) where
        H: FnMut(Delivery) -> F,
        F: Future<Output = Result<(), E>>,
        E: Disposed,
    {
        let (sequence, attempt) = message.info().map_or((0, 1), |info| (info.stream_sequence, info.delivered));
        let (disposition, detail) = match codec::decode_any(&message.payload) {
            Err(error) => (Disposition::Park { reason: error.reason().to_owned() }, error.to_string()),
            Ok(event) => {
                let span = tracing::info_span!("consume", subject = %message.subject, id = %event.id, attempt);
                trace::adopt(&span, event.traceparent.as_deref());
                match handle(Delivery { event, sequence, attempt }).instrument(span).await {
                    Ok(()) => (Disposition::Ack, String::new()),
                    Err(error) => (disposition(&error, attempt, subscription.max_attempts), error.to_string()),
                }
            }
        };
        let answer = match &disposition {
            Disposition::Ack => AckKind::Ack,
            Disposition::Retry { after } => AckKind::Nak(Some(*after)),
            Disposition::Park { reason } => {
                match self.park(&message.subject, reason, &detail, &message.payload).await {
                    Ok(()) => AckKind::Term,
                    Err(error) => {
                        tracing::error!(%error, "dead letter was not stored, the message comes again");
                        AckKind::Nak(Some(Duration::from_secs(5)))
                    }
                }
            }
        };
        if !detail.is_empty() {
            tracing::warn!(subject = %message.subject, attempt, ?disposition, detail, "event was not handled");
        }
        if let Err(error) = message.ack_with(answer).await {
            tracing::warn!(%error, "answer to a delivery was not sent: it comes again");
        }
    }
}

/// The one mapping from a handler's error to a disposition: what fails for too long is parked.
fn disposition<E: Disposed>(error: &E, attempt: i64, max_attempts: i64) -> Disposition {
    match error.disposition() {
        Disposition::Retry { .. } if attempt >= max_attempts => {
            Disposition::Park { reason: "attempts-exhausted".to_owned() }
        }
        other => other,
    }
}

/// A consumer could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot consume as `{durable}`")]
pub struct ConsumeError {
    durable: String,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}
