//! Objects of one kind, kept in memory: listed, watched, listed again when the server has forgotten where we were.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;
use tokio::sync::watch;

use crate::client::{Cluster, Resource};

/// All objects of a kind by `namespace/name` (`/name` for those of the cluster).
pub type Objects = BTreeMap<String, Value>;

/// What a watch knows.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The objects.
    pub objects: std::sync::Arc<Objects>,
    /// Whether the whole list was read since the start. What was known stays when the server does not answer.
    pub is_complete: bool,
}

impl Cluster {
    /// Follows all objects of a kind for as long as the returned receiver lives. A kind that the server does not have is tried
    /// again, more and more rarely; so is a server that does not answer. Heartbeats (`managedFields`) are left out.
    #[must_use]
    pub fn follow(&self, resource: &Resource) -> watch::Receiver<Seen> {
        self.follow_some(resource, "", &[])
    }

    /// As [`Self::follow`], only objects with these labels (`key=value`), and without these fields of each: what is not kept in
    /// memory cannot leak.
    #[must_use]
    pub fn follow_some(
        &self,
        resource: &Resource,
        labels: &str,
        without: &'static [&'static str],
    ) -> watch::Receiver<Seen> {
        let (sender, receiver) = watch::channel(Seen::default());
        let (api, resource) = (self.objects(resource, ""), resource.clone());
        let config =
            if labels.is_empty() { watcher::Config::default() } else { watcher::Config::default().labels(labels) };
        let (kind, version) = (resource.kind.clone(), resource.api_version());
        let put = move |objects: &mut Objects, object: &kube::api::DynamicObject| {
            put(objects, object, (&version, &kind), without);
        };
        tokio::spawn(async move {
            let mut events = pin!(watcher(api, config).default_backoff());
            let mut objects = Objects::new();
            let mut listing = Objects::new();
            let (mut said, mut is_complete) = (false, false);
            // Changes are told together: each telling copies the list.
            let mut due: Option<tokio::time::Instant> = None;
            loop {
                let event = tokio::select! {
                    () = sender.closed() => return,
                    event = events.next() => event,
                    () = tokio::time::sleep_until(due.unwrap_or_else(tokio::time::Instant::now)), if due.is_some() => {
                        due = None;
                        sender.send_replace(Seen { objects: std::sync::Arc::new(objects.clone()), is_complete });
                        continue;
                    }
                };
                is_complete |= match event {
                    Some(Ok(Event::Init)) => {
                        listing.clear();
                        continue;
                    }
                    Some(Ok(Event::InitApply(object))) => {
                        put(&mut listing, &object);
                        continue;
                    }
                    Some(Ok(Event::InitDone)) => {
                        objects = std::mem::take(&mut listing);
                        true
                    }
                    Some(Ok(Event::Apply(object))) => {
                        if !without.is_empty() && !is_news(&objects, &object, &put) {
                            continue;
                        }
                        put(&mut objects, &object);
                        true
                    }
                    Some(Ok(Event::Delete(object))) => {
                        objects.remove(&key(&object));
                        true
                    }
                    Some(Err(error)) => {
                        if !std::mem::replace(&mut said, true) {
                            tracing::warn!(kind = resource.kind, %error, "objects cannot be watched, trying again");
                        }
                        continue;
                    }
                    None => return,
                };
                said = false;
                let wait = Duration::from_millis(10)
                    .saturating_add(PER_OBJECT.saturating_mul(u32::try_from(objects.len()).unwrap_or(u32::MAX)));
                due.get_or_insert_with(|| tokio::time::Instant::now() + wait.min(LONGEST_WAIT));
            }
        });
        receiver
    }
}

/// How long a change may wait for others, for each object that is known.
const PER_OBJECT: Duration = Duration::from_micros(10);
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// Whether an object, put as objects are kept, differs from what is known of it in more than its version: of what is left out, nobody
/// here wants to hear.
fn is_news(
    objects: &Objects,
    object: &kube::api::DynamicObject,
    put: &impl Fn(&mut Objects, &kube::api::DynamicObject),
) -> bool {
    let Some(known) = objects.get(&key(object)) else { return true };
    let mut one = Objects::new();
    put(&mut one, object);
    let same = |value: &Value| {
        let mut value = value.clone();
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("resourceVersion");
        }
        value
    };
    one.values().next().map(same) != Some(same(known))
}

fn key(object: &kube::api::DynamicObject) -> String {
    let metadata = &object.metadata;
    format!("{}/{}", metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
}

/// An object as it is read by itself: in a list, the server leaves out what kind each is.
fn put(objects: &mut Objects, object: &kube::api::DynamicObject, (version, kind): (&str, &str), without: &[&str]) {
    if let Ok(mut value) = serde_json::to_value(object) {
        if let Some(fields) = value.as_object_mut() {
            if !kind.is_empty() && !fields.contains_key("kind") {
                fields.insert("apiVersion".to_owned(), version.into());
                fields.insert("kind".to_owned(), kind.into());
            }
            without.iter().for_each(|field| drop(fields.remove(*field)));
        }
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        objects.insert(key(object), value);
    }
}
