//! What the other phases know, kept in memory: scan results by digest, open incidents, where secrets come from, and what
//! manifests say of the cluster.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use admission_policy::{ImageTrust, Snapshot};
use arc_swap::ArcSwap;
use bus::{Bus, Cursor, From, Stored};
use model::{Digest, ImageReference, IncidentId};
use schemas::incident::v1::{Incident, ResponseRequested, Status};
use schemas::{AnyEvent, EventType, Phase};
use serde_json::{Map, Value, json};
use service::{Context, ReadyHandle};

/// The facts at hand. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    snapshot: Arc<ArcSwap<Snapshot>>,
    known: Arc<Mutex<Known>>,
}

/// The response that has a digest refused as long as its incident is open.
pub(crate) const BLOCK_DIGEST: &str = "block-digest";
/// How long it is believed who signed an image; a tag may be moved, and a signature be added.
const TRUST_HOLDS: Duration = Duration::from_secs(300);
/// More images than this are not remembered at once.
const MOST_TRUST: usize = 10_000;

/// What the snapshot is built from.
#[derive(Debug, Default)]
struct Known {
    images: BTreeMap<String, Value>,
    digests: BTreeMap<String, Digest>,
    incidents: BTreeMap<String, (String, Value)>,
    /// Digests that are refused, by the incident that asked for it.
    blocked: BTreeMap<IncidentId, Digest>,
    secrets: BTreeMap<String, Value>,
    /// Who signed images, and when that was looked at.
    trust: BTreeMap<String, (Instant, ImageTrust)>,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    config_maps: BTreeMap<String, Value>,
    global_context: BTreeMap<String, Value>,
}

impl Facts {
    /// Reads build and incident events from the last of each subject on, for as long as the service lives.
    pub(crate) fn follow(context: &Context, bus: &Bus) -> Self {
        let facts = Self { snapshot: Arc::default(), known: Arc::default() };
        let secret = |event: EventType| format!("biotope.v1.{}.{}.*.*", bus.origin().cluster, event.path());
        let sources = [
            ("scan facts", "BIOTOPE_BUILD", From::LastPerSubject, Vec::new()),
            ("incident facts", "BIOTOPE_INCIDENTS", From::Beginning, Vec::new()),
            (
                "secret facts",
                "BIOTOPE_EVENTS",
                From::Beginning,
                vec![secret(EventType::SecretSynced), secret(EventType::SecretRotated)],
            ),
        ];
        for (part, stream, from, filters) in sources {
            let cursor = bus.cursor(stream, from, filters);
            context.spawn_vital(part, facts.clone().read(context.clone(), cursor, context.readiness.part(part)));
        }
        context.spawn_vital("trust", facts.clone().forget(context.clone()));
        facts
    }

    /// The snapshot for one review.
    pub(crate) fn now(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The digest of a reference: its own, or that of the last scan of the same reference.
    pub(crate) fn digest(&self, reference: &str) -> Option<Digest> {
        let parsed: ImageReference = reference.parse().ok()?;
        let known =
            || self.known.lock().unwrap_or_else(PoisonError::into_inner).digests.get(&parsed.to_string()).cloned();
        parsed.digest().cloned().or_else(known)
    }

    /// Whether the image behind a reference was scanned.
    pub(crate) fn is_scanned(&self, reference: &str) -> bool {
        let Some(digest) = self.digest(reference) else { return false };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).images.contains_key(digest.as_str())
    }

    /// The open incident that wants an image refused.
    pub(crate) fn blocked_by(&self, digest: &Digest) -> Option<IncidentId> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.blocked.iter().find(|(_, blocked)| *blocked == digest).map(|(incident, _)| incident.clone())
    }

    /// Replaces what manifests say of namespaces and config maps.
    pub(crate) fn set_cluster(
        &self,
        namespaces: BTreeMap<String, BTreeMap<String, String>>,
        config_maps: BTreeMap<String, Value>,
    ) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        (known.namespaces, known.config_maps) = (namespaces, config_maps);
        self.snapshot.store(Arc::new(known.snapshot()));
    }

    /// Replaces what the cluster says of its namespaces.
    pub(crate) fn set_namespaces(&self, namespaces: BTreeMap<String, BTreeMap<String, String>>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.namespaces = namespaces;
        self.snapshot.store(Arc::new(known.snapshot()));
    }

    /// Replaces the entries of the global context.
    pub(crate) fn set_global_context(&self, entries: BTreeMap<String, Value>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.global_context = entries;
        self.snapshot.store(Arc::new(known.snapshot()));
    }

    /// Remembers who signed an image, for [`TRUST_HOLDS`]; what was known of other attestors stays.
    pub(crate) fn learn_trust(&self, image: &str, trust: ImageTrust) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        known.trust.retain(|_, (since, _)| now.duration_since(*since) < TRUST_HOLDS);
        if known.trust.len() >= MOST_TRUST {
            known.trust.clear();
        }
        match known.trust.get_mut(image) {
            Some((_, before)) if before.digest == trust.digest => before.learn(trust),
            _ => drop(known.trust.insert(image.to_owned(), (now, trust))),
        }
        self.snapshot.store(Arc::new(known.snapshot()));
    }

    /// Forgets who signed what once that was looked at too long ago.
    async fn forget(self, context: Context) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = context.shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(TRUST_HOLDS / 10) => {}
            }
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let (now, before) = (Instant::now(), known.trust.len());
            known.trust.retain(|_, (since, _)| now.duration_since(*since) < TRUST_HOLDS);
            if known.trust.len() != before {
                self.snapshot.store(Arc::new(known.snapshot()));
            }
        }
    }

    async fn read(self, context: Context, mut cursor: Cursor, ready: ReadyHandle) -> anyhow::Result<()> {
        let mut is_caught_up = false;
        while !context.shutdown.is_cancelled() {
            let batch = tokio::select! {
                () = context.shutdown.cancelled() => break,
                batch = cursor.next_batch(1_000, Duration::from_millis(300)) => batch,
            };
            if !batch.is_empty() {
                self.fold(&batch);
            }
            // Nothing came, or nothing more waits: what the stream had is read.
            is_caught_up |= cursor.is_open() && batch.last().is_none_or(|last| last.pending == 0);
            if is_caught_up {
                ready.ready();
            }
        }
        Ok(())
    }

    fn fold(&self, batch: &[Stored]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for stored in batch {
            match bus::decode_any(&stored.payload) {
                Ok(event) => known.fold(&event),
                Err(error) => tracing::warn!(subject = stored.subject, %error, "fact cannot be read and is left out"),
            }
        }
        self.snapshot.store(Arc::new(known.snapshot()));
    }
}

impl Known {
    fn fold(&mut self, event: &AnyEvent) {
        match event.known_type() {
            Some(EventType::ImageScanned) => {
                let Some(digest) =
                    event.data.get("digest").and_then(Value::as_str).and_then(|text| text.parse::<Digest>().ok())
                else {
                    return;
                };
                let reference = event
                    .data
                    .get("image")
                    .and_then(Value::as_str)
                    .and_then(|text| text.parse::<ImageReference>().ok());
                if let Some(reference) = reference {
                    self.digests.insert(reference.to_string(), digest.clone());
                }
                self.images.insert(digest.to_string(), scan_facts(event));
            }
            Some(EventType::FindingsChanged) => {
                let digest = event.data.get("digest").and_then(Value::as_str).unwrap_or_default();
                if let Some(image) = self.images.get_mut(digest) {
                    change_findings(image, &event.data);
                }
            }
            Some(EventType::SecretSynced | EventType::SecretRotated) => self.fold_secret(event),
            Some(EventType::ResponseRequested) => self.fold_response(event),
            Some(event_type) if event_type.phase() == Phase::Incident => self.fold_incident(event),
            _ => {}
        }
    }

    fn fold_incident(&mut self, event: &AnyEvent) {
        let Ok(incident) = serde_json::from_value::<Incident>(event.data.clone()) else { return };
        let digest = incident.identity.image_digest.as_ref().map(ToString::to_string);
        match (incident.status, digest) {
            (Status::Open, Some(digest)) => {
                let fact = json!({ "id": incident.id, "rule": incident.rule, "severity": incident.severity, "title": incident.title });
                self.incidents.insert(incident.id.to_string(), (digest, fact));
            }
            _ => drop(self.incidents.remove(incident.id.as_str())),
        }
        if incident.status == Status::Resolved {
            self.blocked.remove(&incident.id);
        }
    }

    fn fold_response(&mut self, event: &AnyEvent) {
        let Ok(request) = serde_json::from_value::<ResponseRequested>(event.data.clone()) else { return };
        if let Some(digest) = request.identity.image_digest.filter(|_| request.kind == BLOCK_DIGEST) {
            self.blocked.insert(request.incident, digest);
        }
    }

    fn fold_secret(&mut self, event: &AnyEvent) {
        let of = |key: &str| event.data.get(key).cloned().unwrap_or_default();
        let text = |key: &str| event.data.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = format!("{}/{}", text("namespace"), text("target"));
        let fact = json!({ "manifest": of("manifest"), "sources": of("sources"), "synced": event.time });
        self.secrets.insert(name, fact);
    }

    /// As policies see it: `biotope.images."<digest or reference>"`, `biotope.incidents."<digest>"`.
    fn snapshot(&self) -> Snapshot {
        let mut images: Map<String, Value> =
            self.images.iter().map(|(digest, facts)| (digest.clone(), facts.clone())).collect();
        for (reference, digest) in &self.digests {
            if let Some(facts) = self.images.get(digest.as_str()) {
                images.insert(reference.clone(), facts.clone());
            }
        }
        let mut incidents: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for (digest, fact) in self.incidents.values() {
            incidents.entry(digest).or_default().push(fact);
        }
        Snapshot {
            namespace_labels: self.namespaces.clone(),
            config_maps: self.config_maps.clone(),
            global_context: self.global_context.clone(),
            biotope: json!({ "images": images, "incidents": incidents, "secrets": self.secrets }),
            image_trust: self.trust.iter().map(|(image, (_, trust))| (image.clone(), trust.clone())).collect(),
            ..Snapshot::default()
        }
    }
}

/// A new advisory database found more, or less, in an image that was scanned before.
/// The fields that say which finding of an image it is.
const IDENTITY: [&str; 4] = ["id", "package", "installed_version", "path"];

fn change_findings(image: &mut Value, change: &Value) {
    let list = |key: &str| change.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    if let Some(counts) = change.get("counts") {
        image["counts"] = counts.clone();
    }
    let removed = list("removed");
    // What is told of a finding now takes the place of what was told before, also when it is told twice.
    let (gone, told) = (list("gone"), [list("changed"), list("added")].concat());
    let is_one_of = |finding: &Value, others: &[Value]| {
        let same = |other: &Value| IDENTITY.iter().all(|field| finding.get(field) == other.get(field));
        others.iter().any(same)
    };
    if let Some(findings) = image.get_mut("findings").and_then(Value::as_array_mut) {
        findings.retain(|finding| {
            let is_removed = finding.get("id").is_some_and(|id| removed.contains(id));
            !is_removed && !is_one_of(finding, &gone) && !is_one_of(finding, &told)
        });
        findings.extend(told);
    }
}

fn scan_facts(event: &AnyEvent) -> Value {
    let of = |key: &str| event.data.get(key).cloned().unwrap_or(Value::Null);
    json!({
        "digest": of("digest"),
        "image": of("image"),
        "scanned": event.time,
        "partial": of("partial"),
        "packages": of("packages"),
        "counts": of("counts"),
        "findings": of("findings"),
        "findings_omitted": of("findings_omitted"),
        "database": of("database"),
    })
}
