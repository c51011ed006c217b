//! Watched repositories: new and moved tags are scanned.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use model::{Digest, ImageReference};
use vulnerability_matching::glob;

use crate::config::{Config, Watched};
use crate::error::ScanError;
use crate::queue::{Job, Priority, Queue};
use crate::source::registry::Registry;

/// Looks at watched repositories.
pub(crate) struct Repositories {
    pub(crate) config: Arc<Config>,
    pub(crate) queue: Arc<Queue>,
}

impl Repositories {
    /// Looks at one repository again and again until the shutdown. What fails is said, and tried again the next time.
    pub(crate) async fn watch(self, watched: Watched, context: service::Context) -> anyhow::Result<()> {
        let mut known: HashMap<String, Digest> = HashMap::new();
        let mut tick = tokio::time::interval(Duration::from_secs(watched.every_s));
        loop {
            tokio::select! {
                () = context.shutdown.cancelled() => return Ok(()),
                _ = tick.tick() => {}
            }
            tokio::select! {
                () = context.shutdown.cancelled() => return Ok(()),
                looked = self.look(&watched, &mut known) => if let Err(error) = looked {
                    tracing::warn!(repository = watched.repository, %error, "repository cannot be looked at");
                }
            }
        }
    }

    async fn look(&self, watched: &Watched, known: &mut HashMap<String, Digest>) -> Result<(), ScanError> {
        let reference = |text: &str| {
            let what = |error: model::ImageReferenceError| ScanError::Target {
                target: text.to_owned(),
                what: format!("{error}"),
            };
            text.parse::<ImageReference>().map_err(what)
        };
        let registry = Registry::new(reference(&watched.repository)?, &self.config.pull, &self.config.limits);
        let tags = registry.tags(MOST_TAGS).await?;
        let wanted: Vec<String> =
            tags.into_iter().filter(|tag| watched.tags.iter().any(|pattern| glob::matches(pattern, tag))).collect();
        known.retain(|tag, _| wanted.contains(tag));
        for tag in wanted {
            let target = format!("{}:{tag}", watched.repository);
            let registry = Registry::new(reference(&target)?, &self.config.pull, &self.config.limits);
            let digest = match registry.digest().await {
                Ok(digest) => digest,
                Err(error) => {
                    tracing::warn!(image = target, %error, "tag cannot be looked at");
                    continue;
                }
            };
            if known.get(&tag) != Some(&digest) {
                self.queue.submit_patiently(&Job { target, platform: None }, Priority::Watched).await;
                known.insert(tag, digest);
            }
        }
        Ok(())
    }
}

/// Tags of a repository that are looked at.
const MOST_TAGS: usize = 10_000;
