//! What a manifest says about itself in the cluster: its condition, when it was read, and events.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kubernetes::{Cluster, Objects, Resource};
use model::Fault;
use secret_sync::{Report, ReportKind};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::set_aside;

/// Writes conditions, each only when it changed.
#[derive(Debug)]
pub(super) struct Conditions {
    kind: Resource,
    said: BTreeMap<String, String>,
    writer: Writer,
}

/// A condition, and the event that goes with it.
struct Said<'a> {
    is_ready: bool,
    reason: &'a str,
    message: String,
    event: (&'a str, &'a str),
}

impl Conditions {
    pub(super) fn new(cluster: Cluster, kind: Resource, calls: Arc<Semaphore>) -> Self {
        let writer = Writer { cluster, kind: kind.clone(), calls, waiting: Arc::default() };
        Self { kind, said: BTreeMap::new(), writer }
    }

    /// Says what a report says.
    pub(super) fn report(&mut self, report: &Report, objects: &Objects) {
        let place = format!("{}/{}", report.external.namespace, report.external.name);
        let Some(object) = objects.get(&place) else { return };
        let good = |event| Said { is_ready: true, reason: "SecretSynced", message: "secret synced".to_owned(), event };
        let said = match &report.kind {
            ReportKind::Synced { .. } => good(("Normal", "Created")),
            ReportKind::Rotated { .. } => good(("Normal", "Updated")),
            ReportKind::Recovered => good(("Normal", "Updated")),
            ReportKind::Removed => Said {
                is_ready: true,
                reason: "SecretDeleted",
                message: "secret deleted due to DeletionPolicy".to_owned(),
                event: ("Normal", "Deleted"),
            },
            // The machine's words never hold a value.
            ReportKind::Failed { problem, .. } => Said {
                is_ready: false,
                reason: "SecretSyncedError",
                message: format!("{}; {}", problem.what, problem.remedy),
                event: ("Warning", "UpdateFailed"),
            },
            ReportKind::Stale { age } => Said {
                is_ready: false,
                reason: "Stale",
                message: format!(
                    "the store has not confirmed the content for {} s; the last good one stays",
                    age.as_secs()
                ),
                event: ("Warning", "Stale"),
            },
        };
        let is_news = matches!(report.kind, ReportKind::Rotated { .. });
        self.say(object, &place, &said, is_news);
    }

    /// Says on manifests that are set aside why they are.
    pub(super) fn refused(&mut self, faults: &[Fault], objects: &Objects) {
        for (place, object) in objects {
            if let Some(fault) = set_aside(faults, &format!("ExternalSecret {place}")) {
                let message = format!("{}; {}", fault.what, fault.remedy);
                let said = Said {
                    is_ready: false,
                    reason: "SecretSyncedError",
                    message,
                    event: ("Warning", "InvalidManifest"),
                };
                self.say(object, place, &said, false);
            }
        }
    }

    fn say(&mut self, object: &Value, place: &str, said: &Said<'_>, is_news: bool) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let generation = object.pointer("/metadata/generation").and_then(Value::as_u64).unwrap_or(0);
        let line = format!("{generation} {} {} {}", said.is_ready, said.reason, said.message);
        if !is_news && self.said.get(place) == Some(&line) {
            return;
        }
        self.said.insert(place.to_owned(), line);
        let now = service::now().to_string();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let target = object.pointer("/spec/target/name").and_then(Value::as_str).unwrap_or(&name).to_owned();
        let mut status = json!({
            "conditions": [{
                "type": "Ready", "status": if said.is_ready { "True" } else { "False" },
                "reason": said.reason, "message": said.message, "lastTransitionTime": now,
            }],
        });
        if said.is_ready {
            status["refreshTime"] = json!(now);
            status["syncedResourceVersion"] = json!(format!("{generation}-{}", text("/metadata/resourceVersion")));
            status["binding"] = json!({ "name": target });
        }
        let manifest = json!({
            "apiVersion": self.kind.api_version(), "kind": self.kind.kind,
            "metadata": { "name": name, "namespace": namespace }, "status": status,
        });
        let event = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": { "generateName": format!("{name}."), "namespace": namespace },
            "involvedObject": {
                "apiVersion": self.kind.api_version(), "kind": self.kind.kind, "name": name, "namespace": namespace,
                "uid": text("/metadata/uid"),
            },
            "type": said.event.0, "reason": said.event.1, "message": said.message,
            "source": { "component": MANAGER }, "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        });
        let writer = self.writer.clone();
        let waiting = Waiting { namespace, name, status: manifest, events: vec![event] };
        if writer.queue(place, waiting) {
            tokio::spawn(writer.write(place.to_owned()));
        }
    }
}

/// What is to be written about one manifest.
#[derive(Debug)]
struct Waiting {
    namespace: String,
    name: String,
    status: Value,
    events: Vec<Value>,
}

/// Writes statuses, for each manifest one after the other and the newest last; what the server did not take is tried again.
#[derive(Clone, Debug)]
struct Writer {
    cluster: Cluster,
    kind: Resource,
    calls: Arc<Semaphore>,
    /// By manifest; an entry without content is one that is being written.
    waiting: Arc<Mutex<BTreeMap<String, Option<Waiting>>>>,
}

impl Writer {
    fn waiting(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Option<Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `new` in place of what waits; whether nobody writes about that manifest yet.
    fn queue(&self, place: &str, mut new: Waiting) -> bool {
        let mut waiting = self.waiting();
        let is_first = !waiting.contains_key(place);
        let entry = waiting.entry(place.to_owned()).or_default();
        if let Some(before) = entry.take() {
            new.events.splice(0..0, before.events);
            let surplus = new.events.len().saturating_sub(MOST_EVENTS);
            new.events.drain(..surplus);
        }
        *entry = Some(new);
        is_first
    }

    /// The next thing to write; when there is none, nobody writes about that manifest any more.
    fn next(&self, place: &str) -> Option<Waiting> {
        let mut waiting = self.waiting();
        let next = waiting.get_mut(place).and_then(Option::take);
        if next.is_none() {
            waiting.remove(place);
        }
        next
    }

    async fn write(self, place: String) {
        let mut wait = FIRST_WAIT;
        while let Some(next) = self.next(&place) {
            // The semaphore is never closed.
            let permit = self.calls.acquire().await;
            let written = self.cluster.apply_status(&self.kind, &next.status, MANAGER).await;
            if let Err(error) = written {
                drop(permit);
                if wait == FIRST_WAIT {
                    let reason = error.chain();
                    tracing::warn!(manifest = next.name, reason, "a condition cannot be written, trying again");
                }
                self.put_back(&place, next);
                tokio::time::sleep(wait).await;
                wait = wait.saturating_mul(2).min(LONGEST_WAIT);
                continue;
            }
            wait = FIRST_WAIT;
            for event in &next.events {
                let path = format!("/api/v1/namespaces/{}/events", next.namespace);
                if let Err(error) = self.cluster.post(&path, event).await {
                    tracing::debug!(manifest = next.name, reason = error.chain(), "an event cannot be written");
                }
            }
        }
    }

    /// What could not be written waits again, unless something newer does.
    fn put_back(&self, place: &str, before: Waiting) {
        let mut waiting = self.waiting();
        let entry = waiting.entry(place.to_owned()).or_default();
        match entry {
            Some(newer) => drop(newer.events.splice(0..0, before.events)),
            None => *entry = Some(before),
        }
    }
}

/// Events of one manifest that may wait while the server does not answer.
const MOST_EVENTS: usize = 10;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const MANAGER: &str = "biotope-secret-broker";
