//! Reading a stream by one's own cursor: nothing is acknowledged, the reader keeps the position with its state.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use model::Timestamp;

use crate::connection::Bus;

/// Where reading starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The first message that the stream has.
    Beginning,
    /// This sequence number, or the first after it.
    Sequence(u64),
    /// The last message of each subject, then what comes.
    LastPerSubject,
    /// What was stored since this time.
    Time(Timestamp),
    /// What comes from now on.
    Now,
}

/// One stored message.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its position in the stream.
    pub sequence: u64,
    /// Its stored subject.
    pub subject: String,
    /// Its bytes, as the connection received them.
    pub payload: Bytes,
    /// Messages that the server still had for this reader when it sent this one.
    pub pending: u64,
}

/// A position in a stream. It heals itself: after a lost connection it goes on behind the last message that was read.
pub struct Cursor {
    bus: Bus,
    stream: &'static str,
    filters: Vec<String>,
    from: From,
    messages: Option<pull::Stream>,
    /// Each batch is acknowledged as a whole by its last message, instead of nothing.
    acknowledges: bool,
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor").field("stream", &self.stream).field("from", &self.from).finish_non_exhaustive()
    }
}

impl Bus {
    /// A cursor over `stream`, limited to subjects that match one of `filters` (all when empty).
    #[must_use]
    pub fn cursor(&self, stream: &'static str, from: From, filters: Vec<String>) -> Cursor {
        Cursor { bus: self.clone(), stream, filters, from, messages: None, acknowledges: false }
    }

    /// The first and the last sequence number of a stream; first is last + 1 when it is empty.
    ///
    /// # Errors
    /// When the server does not answer or has no such stream.
    pub async fn stream_bounds(&self, stream: &'static str) -> Result<(u64, u64), CursorError> {
        let cannot = |source: Box<dyn std::error::Error + Send + Sync>| CursorError { stream, source };
        let stream = self.jetstream.get_stream(stream).await.map_err(|error| cannot(Box::new(error)))?;
        let state = &stream.cached_info().state;
        Ok((state.first_sequence, state.last_sequence))
    }
}

impl Cursor {
    /// Lets the server keep a position too: each batch is acknowledged by its last message. What such a consumer costs, measured.
    #[must_use]
    pub fn acknowledging(mut self) -> Self {
        self.acknowledges = true;
        self
    }

    /// Waits up to `wait` for a message, then takes what is there, at most `most`. Empty when nothing came. A failed connection is
    /// logged and tried again within `wait`.
    pub async fn next_batch(&mut self, most: usize, wait: Duration) -> Vec<Stored> {
        let deadline = tokio::time::Instant::now() + wait;
        let mut batch = Vec::new();
        while batch.is_empty() {
            let Some(messages) = self.messages.as_mut() else {
                if let Err(error) = self.open().await {
                    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    tracing::warn!(stream = self.stream, cause, "stream cannot be read, trying again");
                    tokio::time::sleep_until(deadline.min(tokio::time::Instant::now() + RETRY)).await;
                }
                if tokio::time::Instant::now() >= deadline {
                    break;
                }
                continue;
            };
            let Ok(first) = tokio::time::timeout_at(deadline, messages.next()).await else { break };
            let mut next = Some(first);
            let mut broken = false;
            let mut last_reply = None;
            while let Some(message) = next.take() {
                match message {
                    Some(Ok(message)) => {
                        if self.acknowledges {
                            last_reply.clone_from(&message.reply);
                        }
                        batch.extend(stored(message));
                    }
                    Some(Err(error)) => {
                        tracing::warn!(stream = self.stream, %error, "reading was interrupted");
                        broken = true;
                    }
                    None => broken = true,
                }
                if !broken && batch.len() < most {
                    next = messages.next().now_or_never();
                }
            }
            if let Some(reply) = last_reply
                && let Err(error) = self.bus.client.publish(reply, "+ACK".into()).await
            {
                tracing::warn!(stream = self.stream, %error, "a batch was not acknowledged");
            }
            if let Some(last) = batch.last() {
                self.from = From::Sequence(last.sequence.saturating_add(1));
            }
            if broken {
                self.messages = None;
            }
        }
        batch
    }

    /// Whether the server delivers to this cursor right now: an empty batch then means that there is nothing.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.messages.is_some()
    }

    async fn open(&mut self) -> Result<(), CursorError> {
        let cannot = |source: Box<dyn std::error::Error + Send + Sync>| CursorError { stream: self.stream, source };
        let stream = self.bus.jetstream.get_stream(self.stream).await.map_err(|error| cannot(Box::new(error)))?;
        let config = pull::Config {
            deliver_policy: deliver_policy(self.from),
            ack_policy: if self.acknowledges { AckPolicy::All } else { AckPolicy::None },
            max_ack_pending: if self.acknowledges { -1 } else { 0 },
            // The server gives the last message of each subject only under a filter.
            filter_subjects: match (self.from, self.filters.as_slice()) {
                (From::LastPerSubject, []) => vec![">".to_owned()],
                _ => self.filters.clone(),
            },
            inactive_threshold: Duration::from_secs(30),
            memory_storage: true,
            num_replicas: 1,
            ..Default::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(|error| cannot(Box::new(error)))?;
        let messages =
            consumer.stream().max_messages_per_batch(5_000).expires(Duration::from_secs(10)).heartbeat(HEARTBEAT);
        self.messages = Some(messages.messages().await.map_err(|error| cannot(Box::new(error)))?);
        Ok(())
    }
}

fn stored(message: async_nats::jetstream::Message) -> Option<Stored> {
    let (sequence, pending) = message.info().ok().map(|info| (info.stream_sequence, info.pending))?;
    let (message, _) = message.split();
    Some(Stored { sequence, subject: message.subject.to_string(), payload: message.payload, pending })
}

fn deliver_policy(from: From) -> DeliverPolicy {
    match from {
        From::Beginning => DeliverPolicy::All,
        From::Sequence(start_sequence) => DeliverPolicy::ByStartSequence { start_sequence: start_sequence.max(1) },
        From::LastPerSubject => DeliverPolicy::LastPerSubject,
        From::Time(time) => match async_nats::datetime::from_nanos(i128::from(time.as_nanos())) {
            Ok(start_time) => DeliverPolicy::ByStartTime { start_time },
            Err(_) => DeliverPolicy::All,
        },
        From::Now => DeliverPolicy::New,
    }
}

/// A stream cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read stream `{stream}`")]
pub struct CursorError {
    stream: &'static str,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

const RETRY: Duration = Duration::from_millis(500);

const HEARTBEAT: Duration = Duration::from_secs(2);
