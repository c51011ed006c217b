//! What a manifest says about itself in the cluster: its condition, when it was read, and events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kubernetes::{Cluster, ClusterError, Objects, Resource};
use model::{Fault, FaultKind, Timestamp};
use secret_sync::reconcile::external::version;
use secret_sync::{Loss, Report, ReportKind};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::manifest::Manifest;
use super::targets::Change;

/// Writes conditions, each only when it changed.
#[derive(Debug)]
pub(super) struct Conditions {
    said: BTreeMap<String, [u8; 16]>,
    writer: Writer,
}

/// A condition, and the event that goes with it.
#[derive(Debug)]
struct Said {
    is_ready: bool,
    reason: &'static str,
    message: String,
    event: Option<Note>,
}

/// An event: its type, its reason, and its words where they are others than those of the condition.
#[derive(Clone, Copy, Debug)]
struct Note {
    kind: &'static str,
    reason: &'static str,
    message: Option<&'static str>,
}

const fn normal(reason: &'static str) -> Option<Note> {
    Some(Note { kind: "Normal", reason, message: None })
}

const fn warning(reason: &'static str) -> Option<Note> {
    Some(Note { kind: "Warning", reason, message: None })
}

/// Something that somebody else did was undone.
const fn undone(reason: &'static str, message: &'static str) -> Option<Note> {
    Some(Note { kind: "Normal", reason, message: Some(message) })
}

impl Conditions {
    pub(super) fn new(cluster: Cluster, kind: Resource, calls: Arc<Semaphore>) -> Self {
        Self { said: BTreeMap::new(), writer: Writer { cluster, kind, calls, waiting: Arc::default() } }
    }

    /// Says what a report says.
    pub(super) fn report(&mut self, (report, change): (&Report, Change), objects: &Objects<Manifest>) {
        let place = format!("{}/{}", report.external.namespace, report.external.name);
        let Some(manifest) = objects.get(&place) else { return };
        let is_news = matches!(report.kind, ReportKind::Rotated { .. } | ReportKind::Restored { .. });
        self.say(manifest, &place, (said(&report.kind, change), is_news));
    }

    /// Says on manifests that are set aside why they are.
    pub(super) fn refused(&mut self, faults: &[Fault], objects: &Objects<Manifest>) {
        self.said.retain(|place, _| objects.contains_key(place));
        let mut told = BTreeSet::new();
        for fault in faults.iter().filter(|fault| fault.kind != FaultKind::Warning) {
            let Some(place) = fault.subject.strip_prefix("ExternalSecret ") else { continue };
            let Some(manifest) = objects.get(place).filter(|_| told.insert(place)) else { continue };
            let message = format!("{}; {}", fault.what, fault.remedy);
            let event = warning("InvalidManifest");
            self.say(manifest, place, (Said { is_ready: false, reason: "SecretSyncedError", message, event }, false));
        }
    }

    fn say(&mut self, manifest: &Arc<Manifest>, place: &str, (said, is_news): (Said, bool)) {
        let line =
            digest(&format!("{} {} {} {}", manifest.head().generation, said.is_ready, said.reason, said.message));
        if !is_news && self.said.get(place) == Some(&line) {
            return;
        }
        self.said.insert(place.to_owned(), line);
        let at = service::now();
        let happened = |note: Note| Happened { at, note, message: note.message.unwrap_or(&said.message).to_owned() };
        let events = said.event.map(happened).into_iter().collect();
        let waiting = Waiting { manifest: Arc::clone(manifest), at, said, events };
        let writer = self.writer.clone();
        if writer.queue(place, waiting) {
            tokio::spawn(writer.write(place.to_owned()));
        }
    }
}

fn digest(line: &str) -> [u8; 16] {
    let whole = ring::digest::digest(&ring::digest::SHA256, line.as_bytes());
    whole.as_ref().first_chunk().copied().unwrap_or_default()
}

/// What a report says of a manifest whose target was changed like that.
fn said(kind: &ReportKind, change: Change) -> Said {
    let good = |event| Said { is_ready: true, reason: "SecretSynced", message: "secret synced".to_owned(), event };
    match kind {
        // To a broker that starts everything is new, though not to who reads the events.
        ReportKind::Synced { .. } => good(match change {
            Change::Made => normal("Created"),
            Change::Updated => normal("Updated"),
            Change::Nothing => None,
        }),
        ReportKind::Rotated { .. } | ReportKind::Recovered => good(normal("Updated")),
        ReportKind::Restored { was: Loss::Removed, .. } => good(undone("Created", REMOVED)),
        ReportKind::Restored { was: Loss::Changed, .. } => good(undone("Updated", CHANGED)),
        ReportKind::Removed => Said {
            is_ready: true,
            reason: "SecretDeleted",
            message: "secret deleted due to DeletionPolicy".to_owned(),
            event: normal("Deleted"),
        },
        // The machine's words never hold a value.
        ReportKind::Failed { problem, .. } => Said {
            is_ready: false,
            reason: "SecretSyncedError",
            message: format!("{}; {}", problem.what, problem.remedy),
            event: warning("UpdateFailed"),
        },
        ReportKind::Stale { age } => {
            let age = age.as_secs();
            let message = format!("the store has not confirmed the content for {age} s; the last good one stays");
            Said { is_ready: false, reason: "Stale", message, event: warning("Stale") }
        }
    }
}

const REMOVED: &str = "somebody else removed the Secret; it was written again";
const CHANGED: &str = "somebody else changed the Secret; it was written again as the store has it";

/// What is to be written about one manifest.
#[derive(Debug)]
struct Waiting {
    manifest: Arc<Manifest>,
    at: Timestamp,
    said: Said,
    events: Vec<Happened>,
}

/// An event that is to be written.
#[derive(Debug)]
struct Happened {
    at: Timestamp,
    note: Note,
    message: String,
}

impl Waiting {
    /// The status, as it is applied.
    fn status(&self, kind: &Resource) -> Value {
        let object = self.manifest.object();
        let head = self.manifest.head();
        let (said, now) = (&self.said, self.at.to_string());
        let mut status = json!({
            "conditions": [{
                "type": "Ready", "status": if said.is_ready { "True" } else { "False" },
                "reason": said.reason, "message": said.message, "lastTransitionTime": now,
            }],
        });
        if said.is_ready {
            let target = object.expose().pointer("/spec/target/name").and_then(Value::as_str).unwrap_or(&head.name);
            status["refreshTime"] = json!(now);
            status["syncedResourceVersion"] = json!(version(&head));
            status["binding"] = json!({ "name": target });
        }
        json!({
            "apiVersion": kind.api_version(), "kind": kind.kind,
            "metadata": { "name": head.name, "namespace": head.namespace }, "status": status,
        })
    }

    /// The events, as they are written.
    fn events<'w>(&'w self, kind: &'w Resource) -> impl Iterator<Item = Value> + 'w {
        let head = self.manifest.head();
        self.events.iter().map(move |event| {
            let now = event.at.to_string();
            json!({
                "apiVersion": "v1", "kind": "Event",
                "metadata": { "generateName": format!("{}.", head.name), "namespace": head.namespace },
                "involvedObject": {
                    "apiVersion": kind.api_version(), "kind": kind.kind, "name": head.name,
                    "namespace": head.namespace, "uid": head.uid,
                },
                "type": event.note.kind, "reason": event.note.reason, "message": event.message,
                "source": { "component": MANAGER }, "firstTimestamp": now, "lastTimestamp": now, "count": 1,
            })
        })
    }
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
            // What waits for its turn takes no room for the calls.
            if let Err(error) = Box::pin(self.write_one(&place, &next)).await {
                drop(permit);
                if wait == FIRST_WAIT {
                    let reason = error.chain();
                    tracing::warn!(manifest = place, reason, "a condition cannot be written, trying again");
                }
                self.put_back(&place, next);
                tokio::time::sleep(wait).await;
                wait = wait.saturating_mul(2).min(LONGEST_WAIT);
                continue;
            }
            wait = FIRST_WAIT;
        }
    }

    async fn write_one(&self, place: &str, next: &Waiting) -> Result<(), ClusterError> {
        self.cluster.apply_status(&self.kind, &next.status(&self.kind), MANAGER).await?;
        let namespace = place.split('/').next().unwrap_or_default();
        let path = format!("/api/v1/namespaces/{namespace}/events");
        for event in next.events(&self.kind) {
            if let Err(error) = self.cluster.post(&path, &event).await {
                tracing::debug!(manifest = place, reason = error.chain(), "an event cannot be written");
            }
        }
        Ok(())
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
