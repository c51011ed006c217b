//! What a manifest says about itself in the cluster: its condition, when it was read, and events.

use std::collections::BTreeMap;

use kubernetes::{Cluster, Objects, Resource};
use model::Fault;
use secret_sync::{Report, ReportKind};
use serde_json::{Value, json};

use super::set_aside;

/// Writes conditions, each only when it changed.
#[derive(Debug)]
pub(super) struct Conditions {
    cluster: Cluster,
    kind: Resource,
    said: BTreeMap<String, String>,
}

/// A condition, and the event that goes with it.
struct Said<'a> {
    is_ready: bool,
    reason: &'a str,
    message: String,
    event: (&'a str, &'a str),
}

impl Conditions {
    pub(super) fn new(cluster: Cluster, kind: Resource) -> Self {
        Self { cluster, kind, said: BTreeMap::new() }
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
        let (cluster, kind) = (self.cluster.clone(), self.kind.clone());
        tokio::spawn(async move {
            if let Err(error) = cluster.apply_status(&kind, &manifest, MANAGER).await {
                tracing::warn!(manifest = name, reason = error.chain(), "a condition cannot be written");
            }
            if let Err(error) = cluster.post(&format!("/api/v1/namespaces/{namespace}/events"), &event).await {
                tracing::debug!(manifest = name, reason = error.chain(), "an event cannot be written");
            }
        });
    }
}

const MANAGER: &str = "biotope-secret-broker";
