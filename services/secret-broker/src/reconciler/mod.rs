//! What the machine does not serve: everything else that External Secrets' objects ask for, looked at as upstream's controllers do.
//!
//! ```text
//! Work (objects, stores, namespaces) -> due? -> engine's reconcile, asked again until every store and Secret it names is there
//!   -> Secrets written, stores pushed to, children made -> status, events of the object, events on the bus
//! ```

mod fan_out;
mod pass;
mod rights;
mod status;
mod stores;
mod target;
mod work;
mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt as _;
use kubernetes::Resource;
use model::SecretRef;
use ring::hmac;
use secret_sync::SecretJson;
use secret_sync::reconcile::{Again, Note, Policy};
use serde_json::{Value, json};
use service::Context;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use zeroize::Zeroizing;

pub(crate) use rights::{Inventory, Rights};
pub(crate) use status::head;
pub(crate) use target::Place;
pub(crate) use work::{Work, place as place_of, route};

use crate::cluster::Leading;
use crate::config::Config;
use crate::connection::Connector;
use crate::provider::Pool;

type Key = (String, String, String);

/// What is known of an object between two looks.
#[derive(Debug, Default)]
struct Known {
    fingerprint: String,
    due: Option<Instant>,
    failures: u32,
    status: Option<Value>,
    said: String,
    target: Option<String>,
    /// The version of that when it was looked at last.
    target_version: Option<String>,
    /// When it was made, until the watch tells of it: one that is deleted at once may never be seen.
    unseen_since: Option<Instant>,
}

/// Something worth an event on the bus.
#[derive(Debug)]
pub(crate) enum Told {
    /// A target was written.
    Written {
        manifest: String,
        namespace: String,
        target: String,
        sources: Vec<SecretRef>,
        previous: Vec<SecretRef>,
        is_new: bool,
    },
    /// An object failed.
    Failed { manifest: String, namespace: String, target: String, reason: String, attempts: u32 },
}

/// Targets that the reconciler wrote, by namespace and name, with their sources.
pub(crate) type Delivered = Arc<RwLock<BTreeMap<(String, String), Vec<SecretRef>>>>;

/// Looks after objects, each when its time comes.
#[derive(Debug)]
pub(crate) struct Reconciler {
    place: Place,
    connector: Connector,
    policy: Policy,
    hash_key: hmac::Key,
    work: watch::Receiver<Arc<Work>>,
    known: Mutex<BTreeMap<Key, Known>>,
    delivered: Delivered,
    told: mpsc::Sender<Told>,
    version: String,
}

impl Reconciler {
    pub(crate) fn new(
        (place, rights): (Place, Rights),
        (config, hash_key, pool): (&Config, &Zeroizing<Vec<u8>>, Pool),
        (work, delivered, told): (watch::Receiver<Arc<Work>>, Delivered, mpsc::Sender<Told>),
        version: &str,
    ) -> Self {
        let policy = Policy { allows_manifests: config.allow_generic_targets, ..Policy::default() };
        Self {
            place,
            connector: Connector::new(rights, config, pool),
            policy,
            hash_key: hmac::Key::new(hmac::HMAC_SHA256, hash_key),
            work,
            known: Mutex::default(),
            delivered,
            told,
            version: version.to_owned(),
        }
    }

    fn work(&self) -> Arc<Work> {
        self.work.borrow().clone()
    }

    /// What stands for a version where a store has none: changes with the content, and says nothing about it.
    fn digest(&self, content: &[u8]) -> String {
        let tag = hmac::sign(&self.hash_key, content);
        hex::encode(tag.as_ref().get(..6).unwrap_or_default())
    }

    /// Runs until the service ends.
    pub(crate) async fn run(self, context: Context, leading: Leading) -> anyhow::Result<()> {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                () = context.shutdown.cancelled() => return Ok(()),
                _ = tick.tick() => {}
            }
            if !*leading.borrow() {
                continue;
            }
            let due = self.due();
            let looks = futures::stream::iter(due).map(|(key, object)| self.look(key, object));
            let mut looks = looks.buffer_unordered(LOOKS_AT_ONCE);
            loop {
                tokio::select! {
                    () = context.shutdown.cancelled() => return Ok(()),
                    looked = looks.next() => if looked.is_none() || !*leading.borrow() { break },
                }
            }
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Objects whose time has come: changed, their store changed, their target went or was touched, or by the clock.
    fn due(&self) -> Vec<(Key, Arc<SecretJson>)> {
        let work = self.work();
        let mut known = self.locked();
        let gone: Vec<Key> = known.keys().filter(|key| !work.objects.contains_key(*key)).cloned().collect();
        for key in gone {
            let target = known.remove(&key).and_then(|known| known.target);
            self.forget(&key, target);
        }
        let stores: String =
            work.stores.values().map(|store| format!("{}", store.get("spec").unwrap_or(&Value::Null))).collect();
        let stores = self.digest(stores.as_bytes());
        let namespaces = self.digest(format!("{:?}", work.namespaces).as_bytes());
        let mut due = Vec::new();
        for (key, object) in &work.objects {
            let known = known.entry(key.clone()).or_default();
            let text = |pointer: &str| object.expose().pointer(pointer).unwrap_or(&Value::Null).to_string();
            let head = ["/spec", "/metadata/labels", "/metadata/annotations", "/metadata/deletionTimestamp"]
                .map(text)
                .concat();
            let is_store = key.0.ends_with("SecretStore");
            if is_store && !self.speaks_of(object.expose()) {
                continue;
            }
            let around = match key.0.as_str() {
                _ if is_store => "",
                kind if kind.starts_with("Cluster") => &namespaces,
                _ => &stores,
            };
            let fingerprint = format!("{} {around}", self.digest(head.as_bytes()));
            let is_changed = known.fingerprint != fingerprint;
            let is_due = known.due.is_some_and(|due| due <= Instant::now());
            if is_changed || is_due || is_target_other(&work, key, known) {
                (known.fingerprint, known.due) = (fingerprint, None);
                due.push((key.clone(), object.clone()));
            }
        }
        due
    }

    /// Whether a store gets a status from this broker: folders have no place for one.
    fn speaks_of(&self, store: &Value) -> bool {
        matches!(self.place, Place::Cluster(_)) && !stores::is_foreign(store, &self.policy.controller_class)
    }

    /// An object went. A cluster removes what it owned by itself; a folder does not.
    fn forget(&self, key: &Key, target: Option<String>) {
        let Some(target) = target else { return };
        self.delivered.write().unwrap_or_else(PoisonError::into_inner).remove(&(key.1.clone(), target.clone()));
        let Place::Folder(targets) = &self.place else { return };
        let subject = format!("{} {}/{}", key.0, key.1, key.2);
        let is_owned = targets.owned().contains(&(key.1.clone(), target.clone(), subject));
        if is_owned && let Err(error) = targets.remove(&key.1, &target) {
            tracing::error!(namespace = key.1, target, %error, "target cannot be removed");
        }
    }

    #[tracing::instrument(skip_all, fields(kind = key.0, namespace = key.1, name = key.2))]
    async fn look(&self, key: Key, object: Arc<SecretJson>) {
        let status = self.locked().get(&key).and_then(|known| known.status.clone());
        let status = match status {
            Some(status) => Some(json!({ "status": status })),
            None => self.stored(&key).await,
        };
        let looked = match key.0.as_str() {
            "ExternalSecret" => pass::external(self, object.expose(), status.as_ref()).await,
            "PushSecret" => pass::push(self, object.expose(), status.as_ref()).await,
            "SecretStore" | "ClusterSecretStore" => {
                Ok(stores::look(self, &key, object.expose(), status.as_ref()).await)
            }
            _ => fan_out::look(self, object.expose(), status.as_ref()).await,
        };
        match looked {
            Ok(looked) => self.settle(&key, object.expose(), looked).await,
            Err(error) => {
                let looked = pass::Looked::failed(&key.0, status.as_ref(), &error.what);
                self.settle(&key, object.expose(), looked).await;
            }
        }
    }

    /// The status that the cluster has of an object that was not looked at yet.
    async fn stored(&self, key: &Key) -> Option<Value> {
        let Place::Cluster(cluster) = &self.place else { return None };
        let kind = self.kind(key);
        let root = format!("/apis/{}", kind.api_version());
        let path = match key.1.as_str() {
            "" => format!("{root}/{}/{}", kind.plural, key.2),
            namespace => format!("{root}/namespaces/{namespace}/{}/{}", kind.plural, key.2),
        };
        cluster.get(&path).await.ok()?
    }

    fn kind(&self, (kind, ..): &Key) -> Resource {
        let version = if kind.ends_with("PushSecret") { "v1alpha1" } else { self.version.as_str() };
        Resource::new("external-secrets.io", version, kind, &format!("{}s", kind.to_lowercase()))
    }

    async fn settle(&self, key: &Key, object: &Value, looked: pass::Looked) {
        let failures = self.wait(key, looked.again);
        let subject = format!("{} {}/{}", key.0, key.1, key.2);
        if let Some(known) = self.locked().get_mut(key) {
            known.status = Some(looked.status.clone());
        }
        self.say(key, object, &looked).await;
        if let Some((target, sources)) = looked.delivered {
            let previous = {
                let mut delivered = self.delivered.write().unwrap_or_else(PoisonError::into_inner);
                delivered.insert((key.1.clone(), target.clone()), sources.clone())
            };
            // Of objects that are no Secrets nobody tells.
            let is_secret = object.pointer("/spec/target/manifest").is_none();
            if let Some(known) = self.locked().get_mut(key).filter(|_| is_secret) {
                known.target = Some(target.clone());
                if looked.is_new {
                    known.unseen_since = Some(Instant::now());
                }
            }
            let is_same = previous.as_ref() == Some(&sources);
            if !is_same {
                let (namespace, previous) = (key.1.clone(), previous.unwrap_or_default());
                let is_new = looked.is_new || previous.is_empty();
                let told = Told::Written { manifest: subject, namespace, target, sources, previous, is_new };
                // A pipeline that has ended tells nobody.
                let _ = self.told.send(told).await;
            }
        }
        if let Some(problem) = &looked.problem {
            self.tell(key, key.2.clone(), problem, failures).await;
        }
    }

    /// Notes when to look again; gives the failures in a row.
    fn wait(&self, key: &Key, again: Again) -> u32 {
        let mut known = self.locked();
        let Some(known) = known.get_mut(key) else { return 0 };
        let after = match again {
            Again::OnChange => None,
            Again::After(wait) => Some(wait),
            Again::BackOff => {
                let steps = known.failures.min(8);
                Some(FIRST_WAIT.saturating_mul(1 << steps).min(LONGEST_WAIT))
            }
        };
        known.failures = if again == Again::BackOff { known.failures.saturating_add(1) } else { 0 };
        known.due = after.and_then(|wait| Instant::now().checked_add(wait));
        known.failures
    }

    async fn tell(&self, key: &Key, target: String, reason: &str, attempts: u32) {
        let manifest = format!("{} {}/{}", key.0, key.1, key.2);
        if attempts <= 1 {
            tracing::error!(manifest, reason, "object was not reconciled, its last good content stays");
        }
        let told = Told::Failed { manifest, namespace: key.1.clone(), target, reason: reason.to_owned(), attempts };
        let _ = self.told.send(told).await;
    }

    /// Writes the status and the events of an object, when they are news.
    async fn say(&self, key: &Key, object: &Value, looked: &pass::Looked) {
        let line = looked.status.to_string();
        let is_news =
            self.locked().get_mut(key).is_some_and(|known| std::mem::replace(&mut known.said, line.clone()) != line);
        let Place::Cluster(cluster) = &self.place else { return };
        let kind = self.kind(key);
        let mut metadata = json!({ "name": key.2, "namespace": key.1 });
        if key.1.is_empty() {
            metadata = json!({ "name": key.2 });
        }
        // Who leaves an object to somebody else says nothing.
        let conditions = looked.status.get("conditions").and_then(Value::as_array);
        let is_silent = conditions.is_none_or(Vec::is_empty);
        if is_news && !is_silent && !looked.is_released {
            let manifest = json!({
                "apiVersion": kind.api_version(), "kind": kind.kind, "metadata": metadata, "status": looked.status,
            });
            if let Err(error) = cluster.apply_status(&kind, &manifest, MANAGER).await {
                tracing::warn!(object = key.2, reason = error.chain(), "a status cannot be written, trying again");
                if let Some(known) = self.locked().get_mut(key) {
                    known.said.clear();
                    known.due = Instant::now().checked_add(STATUS_AGAIN);
                }
            }
            for note in &looked.notes {
                self.note(cluster, (&kind, key, object), note).await;
            }
        }
        self.hold(cluster, (&kind, key, object), looked.is_released).await;
    }

    async fn note(&self, cluster: &kubernetes::Cluster, (kind, key, object): (&Resource, &Key, &Value), note: &Note) {
        let now = service::now().to_string();
        let uid = object.pointer("/metadata/uid").cloned().unwrap_or_default();
        let namespace = if key.1.is_empty() { "default" } else { key.1.as_str() };
        let event = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": { "generateName": format!("{}.", key.2), "namespace": namespace },
            "involvedObject": {
                "apiVersion": kind.api_version(), "kind": kind.kind, "name": key.2, "namespace": key.1, "uid": uid,
            },
            "type": if note.is_warning { "Warning" } else { "Normal" }, "reason": note.reason, "message": note.message,
            "source": { "component": MANAGER }, "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        });
        if let Err(error) = cluster.post(&format!("/api/v1/namespaces/{namespace}/events"), &event).await {
            tracing::debug!(object = key.2, reason = error.chain(), "an event cannot be written");
        }
    }

    /// Keeps an object from going before what it put elsewhere is gone, and lets it go then.
    async fn hold(
        &self,
        cluster: &kubernetes::Cluster,
        (kind, key, object): (&Resource, &Key, &Value),
        is_released: bool,
    ) {
        let deletes = object.pointer("/spec/deletionPolicy").and_then(Value::as_str) == Some("Delete");
        if key.0 != "PushSecret" || !deletes {
            return;
        }
        let held = object.pointer("/metadata/finalizers").and_then(Value::as_array).into_iter().flatten();
        let is_held = held.into_iter().any(|name| name == FINALIZER);
        if is_held != is_released {
            return;
        }
        let finalizers: &[&str] = if is_released { &[] } else { &[FINALIZER] };
        let patch = json!({
            "apiVersion": kind.api_version(), "kind": kind.kind,
            "metadata": { "name": key.2, "namespace": key.1, "finalizers": finalizers },
        });
        if let Err(error) = cluster.apply(kind, &patch, FINALIZER_MANAGER).await {
            tracing::warn!(object = key.2, reason = error.chain(), "a finalizer cannot be set or removed");
        }
    }
}

/// Whether a target is another than when it was looked at last, or is not there any more: then it is looked at again. After a write of
/// our own that look finds it as it has to be.
fn is_target_other(work: &Work, key: &Key, known: &mut Known) -> bool {
    let Some((targets, target)) = work.targets.as_ref().zip(known.target.as_ref()) else { return false };
    let now = targets.get(&format!("{}/{target}", key.1)).map(|target| target.version.clone());
    let is_missing = now.is_none() && known.unseen_since.is_some_and(|since| since.elapsed() >= PATIENCE);
    if now.is_some() || is_missing {
        known.unseen_since = None;
    }
    let is_other = now != known.target_version || is_missing;
    known.target_version = now;
    is_other
}

/// How long the watch may take to tell of a target that was made.
const PATIENCE: Duration = Duration::from_secs(10);

const TICK: Duration = Duration::from_millis(500);
/// After how long an object is looked at again whose status the server did not take.
const STATUS_AGAIN: Duration = Duration::from_secs(5);
const LOOKS_AT_ONCE: usize = 16;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const MANAGER: &str = "biotope-secret-broker";
const FINALIZER_MANAGER: &str = "biotope-secret-broker-finalizer";
const FINALIZER: &str = "pushsecret.externalsecrets.io/finalizer";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Target;

    #[tokio::test(start_paused = true)]
    async fn a_target_that_went_before_the_watch_told_of_it_is_missed() {
        let key: Key = ("ExternalSecret".to_owned(), "shop".to_owned(), "made".to_owned());
        let with = |version: Option<&str>| {
            let target = |version: &str| {
                let mut target = Target::default();
                version.clone_into(&mut target.version);
                Arc::new(target)
            };
            let targets = version.map(|version| ("shop/made".to_owned(), target(version)));
            Work { targets: Some(Arc::new(targets.into_iter().collect())), ..Work::default() }
        };
        let made = || Known { target: Some("made".to_owned()), unseen_since: Some(Instant::now()), ..Known::default() };
        // Told of late, it is looked at once more, for it may be another's by now.
        let mut known = made();
        assert!(!is_target_other(&with(None), &key, &mut known));
        assert!(is_target_other(&with(Some("1")), &key, &mut known));
        assert!(!is_target_other(&with(Some("1")), &key, &mut known));
        tokio::time::advance(PATIENCE).await;
        assert!(!is_target_other(&with(Some("1")), &key, &mut known));
        assert!(is_target_other(&with(None), &key, &mut known));
        // Never told of, it is missed once.
        let mut known = made();
        assert!(!is_target_other(&with(None), &key, &mut known));
        tokio::time::advance(PATIENCE).await;
        assert!(is_target_other(&with(None), &key, &mut known));
        assert!(!is_target_other(&with(None), &key, &mut known));
        tokio::time::advance(PATIENCE).await;
        assert!(!is_target_other(&with(None), &key, &mut known));
    }
}
