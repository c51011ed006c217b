//! Streams and buckets are created by whoever starts first.

use async_nats::jetstream::{kv, stream};
use schemas::{BUCKETS, Bucket, Discard, STREAMS, Stream};

use crate::connection::Bus;

impl Bus {
    /// Creates every stream and bucket that is not there; an existing one keeps the limits that an operator gave it.
    ///
    /// # Errors
    /// Names the stream or bucket that could not be made.
    pub async fn ensure_streams(&self) -> Result<(), StreamError> {
        for definition in STREAMS {
            self.ensure_stream(definition).await?;
        }
        for definition in BUCKETS {
            self.ensure_bucket(definition).await?;
        }
        Ok(())
    }

    async fn ensure_stream(&self, definition: &'static Stream) -> Result<(), StreamError> {
        let config = stream_config(definition, self.config.replicas);
        let mut tries = 0_u32;
        // A server that has just lost its last stream may refuse the next one once (error 10049).
        loop {
            match self.jetstream.get_or_create_stream(config.clone()).await {
                Ok(_) => return Ok(()),
                Err(source) if tries >= 5 => {
                    return Err(StreamError { name: definition.name, source: Box::new(source) });
                }
                Err(error) => tracing::debug!(stream = definition.name, %error, "creating a stream is tried again"),
            }
            tries = tries.saturating_add(1);
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
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

fn stream_config(definition: &Stream, replicas: usize) -> stream::Config {
    stream::Config {
        name: definition.name.to_owned(),
        description: Some(definition.description.to_owned()),
        subjects: definition.subjects.iter().map(|subject| (*subject).to_owned()).collect(),
        max_age: definition.max_age,
        max_bytes: definition.max_bytes,
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
