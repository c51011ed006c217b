//! Objects of one kind, kept in memory: listed, watched, listed again when the server has forgotten where we were.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use kube::api::{Api, DynamicObject, ObjectMeta};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::{Cluster, Resource};

/// All objects of a kind by `namespace/name` (`/name` for those of the cluster): of each, what is kept. An object that did not change
/// stays the same one in memory.
pub type Objects<T = Value> = BTreeMap<String, Arc<T>>;

/// What a watch knows.
#[derive(Debug)]
pub struct Seen<T = Value> {
    /// The objects.
    pub objects: Arc<Objects<T>>,
    /// Whether the whole list was read since the start. What was known stays when the server does not answer.
    pub is_complete: bool,
}

impl<T> Clone for Seen<T> {
    fn clone(&self) -> Self {
        Self { objects: Arc::clone(&self.objects), is_complete: self.is_complete }
    }
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self { objects: Arc::default(), is_complete: false }
    }
}

impl Cluster {
    /// Follows all objects of a kind for as long as the returned receiver lives. A kind that the server does not have is tried
    /// again, more and more rarely; so is a server that does not answer. Heartbeats (`managedFields`) are left out.
    #[must_use]
    pub fn follow(&self, resource: &Resource) -> watch::Receiver<Seen> {
        self.follow_kept(resource, "", |object| object)
    }

    /// As [`Self::follow`], only objects with these labels (`key=value`), and of each only what `keep` makes of it: what is not kept
    /// in memory costs none and cannot leak. Where it makes the same of an object as before, nobody is told.
    #[must_use]
    pub fn follow_kept<T: Kept>(
        &self,
        resource: &Resource,
        labels: &str,
        keep: fn(Value) -> T,
    ) -> watch::Receiver<Seen<T>> {
        let (sender, receiver) = watch::channel(Seen::default());
        let events = watcher(self.objects(resource, ""), selecting(labels)).default_backoff();
        let (kind, resource) = (resource.kind.clone(), resource.clone());
        let read = move |object: &DynamicObject| {
            let value = serde_json::to_value(object).unwrap_or_default();
            (key(&object.metadata), keep(whole(value, &resource)))
        };
        tokio::spawn(run(kind, events, read, sender));
        receiver
    }

    /// As [`Self::follow_kept`], but the server sends only `metadata` of each: contents, such as those of Secrets, never come here.
    #[must_use]
    pub fn follow_heads<T: Kept>(
        &self,
        resource: &Resource,
        labels: &str,
        keep: fn(Value) -> T,
    ) -> watch::Receiver<Seen<T>> {
        let (sender, receiver) = watch::channel(Seen::default());
        // For objects of this type the client asks for heads alone.
        let heads = Api::<PartialObjectMeta<DynamicObject>>::all_with(self.client.clone(), &resource.api());
        let events = watcher(heads, selecting(labels)).default_backoff();
        let (kind, resource) = (resource.kind.clone(), resource.clone());
        let read = move |object: &PartialObjectMeta<DynamicObject>| {
            let value = serde_json::json!({ "metadata": serde_json::to_value(&object.metadata).unwrap_or_default() });
            (key(&object.metadata), keep(whole(value, &resource)))
        };
        tokio::spawn(run(kind, events, read, sender));
        receiver
    }
}

/// What may be kept of an object.
pub trait Kept: PartialEq + Send + Sync + 'static {}

impl<T: PartialEq + Send + Sync + 'static> Kept for T {}

fn selecting(labels: &str) -> watcher::Config {
    if labels.is_empty() { watcher::Config::default() } else { watcher::Config::default().labels(labels) }
}

/// Follows events until nobody listens any more.
async fn run<O, T: Kept>(
    kind: String,
    events: impl Stream<Item = Result<Event<O>, watcher::Error>>,
    read: impl Fn(&O) -> (String, T),
    sender: watch::Sender<Seen<T>>,
) {
    let mut events = pin!(events);
    let mut known = Known { objects: Objects::new(), listing: Objects::new(), is_complete: false };
    let mut said = false;
    // Changes are told together: each telling copies the list, though not the objects.
    let mut due: Option<Instant> = None;
    loop {
        let event = tokio::select! {
            () = sender.closed() => return,
            event = events.next() => event,
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                due = None;
                sender.send_replace(Seen { objects: Arc::new(known.objects.clone()), is_complete: known.is_complete });
                continue;
            }
        };
        let is_news = match event {
            Some(Ok(event)) => known.take(event, &read),
            Some(Err(error)) => {
                if !std::mem::replace(&mut said, true) {
                    tracing::warn!(kind, %error, "objects cannot be watched, trying again");
                }
                continue;
            }
            None => return,
        };
        if is_news {
            said = false;
            let count = u32::try_from(known.objects.len()).unwrap_or(u32::MAX);
            let wait = Duration::from_millis(10).saturating_add(PER_OBJECT.saturating_mul(count));
            due.get_or_insert_with(|| Instant::now() + wait.min(LONGEST_WAIT));
        }
    }
}

/// What is known of a kind.
struct Known<T> {
    objects: Objects<T>,
    /// A list that is being read.
    listing: Objects<T>,
    is_complete: bool,
}

impl<T: Kept> Known<T> {
    /// Takes in what happened; whether somebody has to hear of it.
    fn take<O>(&mut self, event: Event<O>, read: &impl Fn(&O) -> (String, T)) -> bool {
        match event {
            Event::Init => self.listing.clear(),
            Event::InitApply(object) => {
                let (key, kept) = read(&object);
                let same = self.objects.get(&key).filter(|known| ***known == kept).cloned();
                self.listing.insert(key, same.unwrap_or_else(|| Arc::new(kept)));
            }
            Event::InitDone => {
                (self.objects, self.is_complete) = (std::mem::take(&mut self.listing), true);
                return true;
            }
            Event::Apply(object) => {
                let (key, kept) = read(&object);
                if self.objects.get(&key).is_some_and(|known| **known == kept) {
                    return false;
                }
                self.objects.insert(key, Arc::new(kept));
                return true;
            }
            Event::Delete(object) => {
                self.objects.remove(&read(&object).0);
                return true;
            }
        }
        false
    }
}

/// How long a change may wait for others, for each object that is known.
const PER_OBJECT: Duration = Duration::from_micros(10);
const LONGEST_WAIT: Duration = Duration::from_millis(500);

fn key(metadata: &ObjectMeta) -> String {
    format!("{}/{}", metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
}

/// An object as it is read by itself: in a list, the server leaves out what kind each is.
fn whole(mut value: Value, resource: &Resource) -> Value {
    if let Some(fields) = value.as_object_mut()
        && !resource.kind.is_empty()
        && !fields.contains_key("kind")
    {
        fields.insert("apiVersion".to_owned(), resource.api_version().into());
        fields.insert("kind".to_owned(), resource.kind.as_str().into());
    }
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_change_stays_as_it_is_and_is_not_told() {
        let read = |object: &(&str, u32)| (object.0.to_owned(), object.1);
        let mut known = Known { objects: Objects::new(), listing: Objects::new(), is_complete: false };
        for event in [Event::Init, Event::InitApply(("a", 1)), Event::InitApply(("b", 1))] {
            assert!(!known.take(event, &read));
        }
        assert!(!known.is_complete && known.objects.is_empty());
        assert!(known.take(Event::InitDone, &read) && known.is_complete);
        assert!(!known.take(Event::Apply(("a", 1)), &read));
        assert!(known.take(Event::Apply(("b", 2)), &read));
        let before = Arc::clone(&known.objects["a"]);
        for event in [Event::Init, Event::InitApply(("a", 1)), Event::InitDone] {
            known.take(event, &read);
        }
        assert!(Arc::ptr_eq(&before, &known.objects["a"]) && known.objects.len() == 1);
        assert!(known.take(Event::Delete(("a", 1)), &read) && known.objects.is_empty());
    }
}
