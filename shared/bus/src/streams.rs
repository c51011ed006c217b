//! Streams and buckets are created by whoever starts first.

use async_nats::jetstream::{kv, stream};
use schemas::{BUCKETS, Bucket, Discard, STREAMS, Stream};

use crate::connection::Bus;

impl Bus {
    /// Creates every stream and bucket that is not there; an existing one keeps the limits that an operator gave it. On a server that
    /// has less room than a stream asks for, the stream is made smaller, and a warning says so.
    ///
    /// # Errors
    /// Names the stream or bucket that could not be made.
    pub async fn ensure_streams(&self) -> Result<(), StreamError> {
        let mut made = Vec::new();
        let mut halvings = 0_u32;
        for definition in STREAMS {
            while let Err(error) = self.ensure_stream(definition, halvings, &mut made).await {
                let is_small = definition.max_bytes >> halvings.saturating_add(1) < LEAST_BYTES;
                if is_small || !is_full(&*error.source) {
                    return Err(error);
                }
                halvings = halvings.saturating_add(1);
                // The streams that were made just now gave nobody room to write yet.
                self.shrink(&made, halvings).await?;
            }
        }
        if halvings > 0 {
            let share = 1_u32 << halvings;
            tracing::warn!(
                share,
                "the server has less room than the streams are meant to have: each is made that many times smaller, so old messages go sooner; give JetStream more storage, and the streams with it"
            );
        }
        for definition in BUCKETS {
            self.ensure_bucket(definition).await?;
        }
        Ok(())
    }

    async fn ensure_stream(
        &self,
        definition: &'static Stream,
        halvings: u32,
        made: &mut Vec<&'static Stream>,
    ) -> Result<(), StreamError> {
        if self.jetstream.get_stream(definition.name).await.is_ok() {
            return Ok(());
        }
        let config = stream_config(definition, self.config.replicas, halvings);
        let mut tries = 0_u32;
        // A server that has just lost its last stream may refuse the next one once (error 10049).
        loop {
            match self.jetstream.get_or_create_stream(config.clone()).await {
                Ok(_) => {
                    made.push(definition);
                    return Ok(());
                }
                Err(source) if tries >= 5 || is_full(&source) => {
                    return Err(StreamError { name: definition.name, source: Box::new(source) });
                }
                Err(error) => tracing::debug!(stream = definition.name, %error, "creating a stream is tried again"),
            }
            tries = tries.saturating_add(1);
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }

    async fn shrink(&self, made: &[&'static Stream], halvings: u32) -> Result<(), StreamError> {
        for definition in made {
            let config = stream_config(definition, self.config.replicas, halvings);
            let updated = self.jetstream.update_stream(config).await;
            updated.map_err(|source| StreamError { name: definition.name, source: Box::new(source) })?;
        }
        Ok(())
    }

    async fn ensure_bucket(&self, definition: &'static Bucket) -> Result<(), StreamError> {
        if self.jetstream.get_key_value(definition.name).await.is_ok() {
            return Ok(());
        }
        let config = kv::Config {
            bucket: definition.name.to_owned(),
            description: definition.description.to_owned(),
            max_age: definition.max_age.unwrap_or_default(),
            num_replicas: self.config.replicas,
            ..Default::default()
        };
        let made = self.jetstream.create_key_value(config).await;
        // Two services may start at once: the loser finds the bucket there.
        if made.is_err() && self.jetstream.get_key_value(definition.name).await.is_ok() {
            return Ok(());
        }
        made.map(drop).map_err(|source| StreamError { name: definition.name, source: Box::new(source) })
    }
}

/// Whether the server has not enough storage (error 10047, or 10028 of an account).
fn is_full(error: &(impl std::error::Error + ?Sized)) -> bool {
    let said = error.to_string();
    ["10047", "10028"].iter().any(|code| said.contains(code))
}

/// Smaller than this no stream is made: it would lose what nobody had time to read.
const LEAST_BYTES: i64 = 16 << 20;

fn stream_config(definition: &Stream, replicas: usize, halvings: u32) -> stream::Config {
    stream::Config {
        name: definition.name.to_owned(),
        description: Some(definition.description.to_owned()),
        subjects: definition.subjects.iter().map(|subject| (*subject).to_owned()).collect(),
        max_age: definition.max_age,
        max_bytes: definition.max_bytes >> halvings,
        max_messages_per_subject: definition.max_messages_per_subject,
        discard: match definition.discard {
            Discard::Old => stream::DiscardPolicy::Old,
            Discard::New => stream::DiscardPolicy::New,
        },
        duplicate_window: definition.duplicate_window,
        num_replicas: replicas,
        subject_transform: definition.transform.map(|transform| stream::SubjectTransform {
            source: transform.source.to_owned(),
            destination: transform.destination.to_owned(),
        }),
        ..Default::default()
    }
}

/// A stream or bucket could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot create `{name}`: check the JetStream storage limits of the server and the rights of this user")]
pub struct StreamError {
    name: &'static str,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}
