//! Reports of the machine as events.

use bus::{Class, Outgoing, PublishError, Publisher};
use model::{Identity, PodUid, SecretRef, Timestamp};
use schemas::start::v1::{KeyDigest, SecretDelivered, SecretRotated, SecretStale, SecretSyncFailed, SecretSynced};
use schemas::{EventData, Token};
use secret_sync::{Report, ReportKind};

use crate::reconciler::Told;

/// Publishes what a report says. A recovery says again that the target is in sync; a removal is no event of its own.
pub(crate) async fn publish(publisher: &Publisher, report: Report, now: Timestamp) -> Result<(), PublishError> {
    let (manifest, sources) = (report.subject, report.sources);
    let (namespace, target) = (report.external.namespace.clone(), report.external.target.name.clone());
    let sender = Sender { publisher, namespace: namespace.clone(), sources: sources.clone(), now };
    match report.kind {
        ReportKind::Synced { keys } | ReportKind::Restored { keys, .. } => {
            sender.send(Class::Normal, SecretSynced { manifest, namespace, target, sources, keys: digests(keys) }).await
        }
        ReportKind::Rotated { keys, previous } => {
            let keys = digests(keys);
            sender.send(Class::Normal, SecretRotated { manifest, namespace, target, sources, previous, keys }).await
        }
        ReportKind::Failed { problem, attempts } => {
            let (reason, remedy, attempts) = (problem.what, problem.remedy, u64::from(attempts));
            sender.send(Class::High, SecretSyncFailed { manifest, namespace, target, reason, remedy, attempts }).await
        }
        ReportKind::Stale { age } => {
            sender.send(Class::High, SecretStale { manifest, namespace, target, age_s: age.as_secs() }).await
        }
        ReportKind::Recovered => {
            let keys = Vec::new();
            sender.send(Class::Normal, SecretSynced { manifest, namespace, target, sources, keys }).await
        }
        ReportKind::Removed => Ok(()),
    }
}

/// Publishes what the reconciler tells.
pub(crate) async fn publish_told(publisher: &Publisher, told: Told, now: Timestamp) -> Result<(), PublishError> {
    match told {
        Told::Written { manifest, namespace, target, sources, previous, is_new } => {
            let sender = Sender { publisher, namespace: namespace.clone(), sources: sources.clone(), now };
            let keys = Vec::new();
            if is_new {
                sender.send(Class::Normal, SecretSynced { manifest, namespace, target, sources, keys }).await
            } else {
                let rotated = SecretRotated { manifest, namespace, target, sources, previous, keys };
                sender.send(Class::Normal, rotated).await
            }
        }
        Told::Failed { manifest, namespace, target, reason, attempts } => {
            let sender = Sender { publisher, namespace: namespace.clone(), sources: Vec::new(), now };
            let remedy = "see the status of the object; it is tried again".to_owned();
            let attempts = u64::from(attempts);
            sender.send(Class::High, SecretSyncFailed { manifest, namespace, target, reason, remedy, attempts }).await
        }
    }
}

/// Publishes that a pod was handed a secret.
pub(crate) async fn publish_delivered(
    publisher: &Publisher,
    (uid, identity): (&PodUid, Identity),
    data: SecretDelivered,
    now: Timestamp,
) -> Result<(), PublishError> {
    let outgoing = Outgoing { time: now, key: Token::from(uid), identity, class: Class::Normal, id: None, data };
    publisher.publish(outgoing).await.map(drop)
}

struct Sender<'a> {
    publisher: &'a Publisher,
    namespace: String,
    sources: Vec<SecretRef>,
    now: Timestamp,
}

impl Sender<'_> {
    async fn send<D: EventData>(self, class: Class, data: D) -> Result<(), PublishError> {
        let key = Token::lossy(&self.namespace);
        let identity = Identity { namespace: Some(self.namespace), secrets: self.sources, ..Identity::default() };
        let outgoing = Outgoing { time: self.now, key, identity, class, id: None, data };
        self.publisher.publish(outgoing).await.map(drop)
    }
}

fn digests(keys: Vec<(String, String)>) -> Vec<KeyDigest> {
    keys.into_iter().map(|(key, hmac)| KeyDigest { key, hmac }).collect()
}
