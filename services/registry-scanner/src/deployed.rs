//! Images that the cluster meets: those of pods, and those that admission reviews. What is not known yet is scanned.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bus::{Bus, Delivery, Disposed, Disposition, Subscription};
use model::ImageReference;
use schemas::EventType;
use schemas::deploy::v1::{AdmissionReviewed, AdmittedImage, PodCreated};

use crate::queue::{Job, Priority, Queue};
use crate::store::Store;

/// Puts the images of deploy events into the queue.
#[derive(Clone)]
pub(crate) struct Deployed {
    pub(crate) queue: Arc<Queue>,
    pub(crate) store: Store,
    pub(crate) recent: Arc<Recent>,
}

/// References that were put into the queue lately: a tag is looked at again after a while, for it may have moved.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<HashMap<String, Instant>>);

impl Recent {
    /// Whether the reference was not met within `MEMORY`; it is now.
    fn is_new(&self, reference: &str, now: Instant) -> bool {
        let mut met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if met.len() >= MOST_MET {
            met.retain(|_, time| now.saturating_duration_since(*time) < MEMORY);
        }
        if met.get(reference).is_some_and(|time| now.saturating_duration_since(*time) < MEMORY) {
            return false;
        }
        if met.len() < MOST_MET {
            met.insert(reference.to_owned(), now);
        }
        true
    }
}

impl Deployed {
    /// Follows deploy events until the shutdown.
    pub(crate) async fn run(self, bus: Bus, context: service::Context) -> anyhow::Result<()> {
        let filter = |event: EventType| format!("biotope.v1.{}.{}.*.*", bus.origin().cluster, event.path());
        let subscription = Subscription {
            stream: "BIOTOPE_EVENTS",
            durable: "registry-scanner_images".to_owned(),
            filters: vec![filter(EventType::PodCreated), filter(EventType::AdmissionReviewed)],
            max_attempts: 5,
            ack_wait: Duration::from_secs(300),
        };
        let consumed = bus.consume(&subscription, &context.shutdown, |delivery| {
            let (deployed, shutdown) = (self.clone(), context.shutdown.clone());
            async move {
                tokio::select! {
                    () = shutdown.cancelled() => Err(Unfinished::Shutdown),
                    handled = deployed.handle(delivery) => handled,
                }
            }
        });
        Ok(consumed.await?)
    }

    async fn handle(&self, delivery: Delivery) -> Result<(), Unfinished> {
        let malformed = |error: serde_json::Error| Unfinished::Malformed(error.to_string());
        let event = delivery.event;
        let (images, priority) = if event.known_type() == Some(EventType::PodCreated) {
            let pod: PodCreated = serde_json::from_value(event.data).map_err(malformed)?;
            (pod.images, Priority::Deployed)
        } else {
            let review: AdmissionReviewed = serde_json::from_value(event.data).map_err(malformed)?;
            if review.dry_run || review.operation == "DELETE" {
                return Ok(());
            }
            (review.images, Priority::Admitted)
        };
        for image in &images {
            self.meet(image, priority).await;
        }
        Ok(())
    }

    async fn meet(&self, image: &AdmittedImage, priority: Priority) {
        let Some(target) = target(image) else { return };
        let (store, pinned) = (self.store.clone(), target.clone());
        let is_known = tokio::task::spawn_blocking(move || {
            let digest = pinned.parse::<ImageReference>().ok().and_then(|reference| reference.digest().cloned());
            digest.is_some_and(|digest| store.has_told(&digest))
        });
        if is_known.await.unwrap_or(false) || !self.recent.is_new(&target, Instant::now()) {
            return;
        }
        tracing::info!(image = target, ?priority, "image met for the first time");
        self.queue.submit_patiently(&Job { target, platform: None }, priority).await;
    }
}

/// What to pull: by digest where it is known, for a tag may move. What is no reference is not pulled.
fn target(image: &AdmittedImage) -> Option<String> {
    let reference: ImageReference = image.reference.parse().ok()?;
    match (&image.digest, reference.digest()) {
        (Some(digest), None) => Some(format!("{}/{}@{digest}", reference.registry(), reference.repository())),
        _ => Some(reference.to_string()),
    }
}

/// An event was not handled.
#[derive(Debug, thiserror::Error)]
enum Unfinished {
    #[error("the scanner shuts down")]
    Shutdown,
    #[error("the event is malformed: {0}")]
    Malformed(String),
}

impl Disposed for Unfinished {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Shutdown => Disposition::Retry { after: Duration::from_secs(1) },
            Self::Malformed(_) => Disposition::Park { reason: "malformed".to_owned() },
        }
    }
}

const MEMORY: Duration = Duration::from_secs(3600);
const MOST_MET: usize = 50_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_pulled_by_digest_where_it_is_known() {
        let digest = model::Digest::from_sha256(&[7; 32]);
        for (reference, known, expected) in [
            ("r.example/a/b:1", None, Some("r.example/a/b:1".to_owned())),
            ("r.example/a/b:1", Some(digest.clone()), Some(format!("r.example/a/b@{digest}"))),
            ("not a reference", None, None),
        ] {
            let image = AdmittedImage { reference: reference.to_owned(), digest: known, ..AdmittedImage::default() };
            assert_eq!(target(&image), expected, "{reference}");
        }
    }

    #[test]
    fn a_reference_is_new_once_in_a_while() {
        let (recent, start) = (Recent::default(), Instant::now());
        assert!(recent.is_new("a", start) && !recent.is_new("a", start) && recent.is_new("b", start));
        assert!(recent.is_new("a", start + MEMORY));
    }
}
