//! One look at one object: the engine decides, what it asks for is fetched, what it says is done.

use std::collections::BTreeMap;

use model::SecretRef;
use secret_sync::api::{ExternalSecretSpec, PushSecretSpec};
use secret_sync::reconcile::external::{self, External, Outcome};
use secret_sync::reconcile::push::{self, PushOutcome, PushStatus};
use secret_sync::reconcile::{Again, Head, Note, Status, TargetSecret, Unanswered, World, generic};
use secret_sync::{SecretJson, StoreRef};
use serde_json::Value;

use super::target::{PlaceError, resource};
use super::world::{Answers, Engine, View, Wanted};
use super::{Place, Reconciler, status};
use crate::template;

/// What came of a look.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) status: Value,
    pub(super) notes: Vec<Note>,
    pub(super) again: Again,
    /// What the target holds now, when it was written.
    pub(super) delivered: Option<(String, Vec<SecretRef>)>,
    pub(super) is_new: bool,
    pub(super) problem: Option<String>,
    /// Whether a deletion is done with, so that the object may go.
    pub(super) is_released: bool,
}

impl Looked {
    /// A look that came to no end: what was known of the object stays, and its condition says why.
    pub(super) fn failed(kind: &str, known: Option<&Value>, what: &str) -> Self {
        let mut status = known.and_then(|known| known.get("status")).cloned().unwrap_or_else(|| serde_json::json!({}));
        let reason = if kind.ends_with("PushSecret") { "Errored" } else { "SecretSyncedError" };
        let message = format!("{what}; it is tried again");
        let ready = |condition: &Value| condition.get("type").and_then(Value::as_str) == Some("Ready");
        let before = status.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
        let same =
            |condition: &&Value| ready(condition) && condition.get("status").and_then(Value::as_str) == Some("False");
        let since = before.iter().find(same).and_then(|condition| condition.get("lastTransitionTime")).cloned();
        let since = since.unwrap_or_else(|| status::seconds(service::now()).into());
        let failed = serde_json::json!({
            "type": "Ready", "status": "False", "reason": reason, "message": message, "lastTransitionTime": since,
        });
        let others = before.into_iter().filter(|condition| !ready(condition));
        if let Some(fields) = status.as_object_mut() {
            fields.insert("conditions".to_owned(), others.chain([failed]).collect());
        }
        Self {
            status,
            notes: vec![Note { is_warning: true, reason: "UpdateFailed", message }],
            again: Again::BackOff,
            delivered: None,
            is_new: false,
            problem: Some(what.to_owned()),
            is_released: false,
        }
    }
}

/// The view of an object's namespace, filled as the engine asks.
struct Scene<'a> {
    reconciler: &'a Reconciler,
    namespace: String,
    view: View,
    answers: Answers,
    versions: BTreeMap<String, String>,
    label: Option<&'static str>,
}

impl<'a> Scene<'a> {
    fn new(reconciler: &'a Reconciler, namespace: &str, label: Option<&'static str>) -> Self {
        let work = reconciler.work();
        let view = View {
            stores: work.stores.clone(),
            namespace_labels: work.namespaces.get(namespace).cloned().unwrap_or_default(),
            ..View::default()
        };
        let (answers, versions) = (Answers::default(), BTreeMap::new());
        Self { reconciler, namespace: namespace.to_owned(), view, answers, versions, label }
    }

    /// Calls `decide` until it has everything that it asks for.
    async fn settle<T: Send>(
        &mut self,
        mut decide: impl FnMut(&mut World<'_>) -> Result<T, Unanswered> + Send,
    ) -> Result<T, PlaceError> {
        for _ in 0..MOST_ROUNDS {
            let outcome = {
                let mut world = World {
                    objects: &self.view,
                    stores: &mut self.answers,
                    templates: &Engine,
                    transform: template::transform,
                };
                decide(&mut world)
            };
            let wanted = self.view.take_wanted();
            if !wanted.is_empty() {
                // What the engine saw was not the whole: what it asked of stores meanwhile does not count.
                self.answers.take();
                for what in wanted {
                    self.fetch(what).await?;
                }
                continue;
            }
            match (outcome, self.answers.take()) {
                (Ok(outcome), _) => return Ok(outcome),
                (Err(Unanswered), Some((name, question))) => {
                    let stores = &self.view.stores;
                    let spec = |store: &StoreRef| stores.get(store).and_then(|object| object.get("spec").cloned());
                    let answer = self.reconciler.connector.ask(question, &self.namespace, spec).await;
                    self.answers.keep(name, answer);
                }
                (Err(Unanswered), None) => break,
            }
        }
        Err(PlaceError { what: "it takes too many calls of stores".to_owned(), is_conflict: false })
    }

    async fn fetch(&mut self, what: Wanted) -> Result<(), PlaceError> {
        let rights = &self.reconciler.connector.rights;
        let failed =
            |error: secret_sync::provider::ProviderError| PlaceError { what: error.to_string(), is_conflict: false };
        match what {
            Wanted::Secret(name) => {
                let found = self.secret(&name).await?;
                self.view.secrets.insert(name, found);
            }
            Wanted::Secrets => {
                self.view.all_secrets = Some(self.reconciler.place.list(&self.namespace, self.label).await?);
            }
            Wanted::ConfigMap(name) => {
                let found = rights.config_map(&self.namespace, &name).await.map_err(failed)?;
                self.view.config_maps.insert(name, found);
            }
            Wanted::Generator(kind, name) => {
                let reference = secret_sync::api::GeneratorReference {
                    kind: Some(kind.clone()),
                    name: Some(name.clone()),
                    ..secret_sync::api::GeneratorReference::default()
                };
                let found = rights.generator(&self.namespace, &reference).await.map_err(failed)?;
                let class = |object: &SecretJson| {
                    let class = object.expose().pointer("/spec/controller").and_then(Value::as_str);
                    class.unwrap_or_default().to_owned()
                };
                self.view.generators.insert((kind, name), found.map(|object| class(&object)));
            }
        }
        Ok(())
    }

    /// A Secret of the namespace; in a folder a manifest, else a target.
    async fn secret(&mut self, name: &str) -> Result<Option<TargetSecret>, PlaceError> {
        if let Some((secret, version)) = self.reconciler.place.read(&self.namespace, name).await? {
            self.versions.insert(name.to_owned(), version);
            return Ok(Some(secret));
        }
        let Place::Folder(_) = &self.reconciler.place else { return Ok(None) };
        let held = self.reconciler.connector.rights.secret(&self.namespace, name).await;
        let held = held.map_err(|error| PlaceError { what: error.to_string(), is_conflict: false })?;
        Ok(held.map(|held| TargetSecret {
            namespace: self.namespace.clone(),
            name: name.to_owned(),
            kind: held.kind,
            data: held.data,
            labels: held.labels,
            annotations: held.annotations,
            ..TargetSecret::default()
        }))
    }

    /// The sources of a target: what was read, with a keyed digest in place of a version.
    fn sources(&self, target: &str) -> Vec<SecretRef> {
        let source = |((store, path), content): (&(String, String), &Vec<u8>)| SecretRef {
            store: store.clone(),
            path: path.clone(),
            version: self.reconciler.digest(content),
            target: Some(format!("{}/{target}", self.namespace)),
        };
        self.answers.read.iter().map(source).collect()
    }
}

/// Looks at an ExternalSecret.
pub(super) async fn external(
    reconciler: &Reconciler,
    object: &Value,
    known: Option<&Value>,
) -> Result<Looked, PlaceError> {
    let head = head(object);
    let spec: ExternalSecretSpec = spec(object)?;
    let before: Status = status::of_external(known.unwrap_or(object));
    let mut scene = Scene::new(reconciler, &head.namespace, Some("reconcile.external-secrets.io/created-by"));
    let name = generic::name(spec.target.as_ref(), &head.name).to_owned();
    let existing = scene.secret(&name).await?.filter(|_| !generic::is_generic(&spec));
    let manifest = existing_manifest(reconciler, (&head, &spec), &name).await?;
    let now = service::now();
    let outcome = scene
        .settle(|world| {
            let external = External {
                head: &head,
                spec: &spec,
                status: &before,
                existing: existing.as_ref(),
                manifest: manifest.as_ref(),
            };
            external::reconcile(&external, world, &reconciler.policy, now)
        })
        .await?;
    let version = scene.versions.get(&name).map(String::as_str);
    let outcome = explained(written(reconciler, &head, (outcome, version), &before).await);
    let is_synced = !outcome.is_error && outcome.status.refreshed == Some(now);
    let problem = outcome.is_error.then(|| {
        outcome.notes.iter().find(|note| note.is_warning).map(|note| note.message.clone()).unwrap_or_default()
    });
    Ok(Looked {
        status: status::external(&outcome.status),
        delivered: is_synced.then(|| (name.clone(), scene.sources(&name))),
        is_new: existing.is_none(),
        notes: outcome.notes,
        again: outcome.again,
        problem,
        is_released: head.is_deleting,
    })
}

async fn existing_manifest(
    reconciler: &Reconciler,
    (head, spec): (&Head, &ExternalSecretSpec),
    name: &str,
) -> Result<Option<Value>, PlaceError> {
    let (Place::Cluster(cluster), true) = (&reconciler.place, generic::is_generic(spec)) else { return Ok(None) };
    if !reconciler.policy.allows_manifests {
        return Ok(None);
    }
    let generic::ObjectKind { group, version, kind } = generic::kind(spec);
    let api = if group.is_empty() { version.clone() } else { format!("{group}/{version}") };
    let kind = resource(cluster, &serde_json::json!({ "apiVersion": api, "kind": kind })).await?;
    let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    Ok(cluster.get(&format!("{root}/namespaces/{}/{}/{name}", head.namespace, kind.plural)).await?)
}

async fn written(
    reconciler: &Reconciler,
    head: &Head,
    (outcome, version): (Outcome, Option<&str>),
    before: &Status,
) -> Outcome {
    for write in &outcome.writes {
        let place = (head.namespace.as_str(), head.name.as_str());
        if let Err(error) = reconciler.place.write(place, write, version).await {
            let why = error.what.clone();
            let mut failed = outcome.write_failed(before, error.is_conflict, service::now());
            if let Some(note) = failed.notes.last_mut().filter(|note| note.is_warning) {
                note.message = format!("could not update secret: {why}");
            }
            return failed;
        }
    }
    outcome
}

/// Upstream's condition says only what kind of thing failed; the cause stands in an event. Here the condition says it as well.
fn explained(mut outcome: Outcome) -> Outcome {
    let cause = outcome.notes.iter().rfind(|note| note.is_warning).map(|note| note.message.clone());
    if let Some(cause) = cause.filter(|_| outcome.is_error) {
        let ready =
            outcome.status.conditions.iter_mut().filter(|condition| condition.kind == "Ready" && !condition.holds);
        ready.for_each(|condition| condition.message.clone_from(&cause));
    }
    outcome
}

/// Looks at a PushSecret.
pub(super) async fn push(reconciler: &Reconciler, object: &Value, known: Option<&Value>) -> Result<Looked, PlaceError> {
    let head = head(object);
    let spec: PushSecretSpec = spec(object)?;
    let before: PushStatus = status::of_push(known.unwrap_or(object));
    let mut scene = Scene::new(reconciler, &head.namespace, None);
    let now = service::now();
    let decide = |world: &mut World<'_>| push::reconcile((&head, &spec, &before), world, &reconciler.policy, now);
    let PushOutcome { status, notes, again } = scene.settle(decide).await?;
    let problem = notes.iter().find(|note| note.is_warning).map(|note| note.message.clone());
    let is_released = head.is_deleting && problem.is_none();
    Ok(Looked { status: status::push(&status), delivered: None, is_new: false, notes, again, problem, is_released })
}

fn head(object: &Value) -> Head {
    let mut head = status::head(object);
    if head.namespace.is_empty() {
        head.namespace = "default".to_owned();
    }
    head
}

fn spec<S: serde::de::DeserializeOwned>(object: &Value) -> Result<S, PlaceError> {
    let spec = object.get("spec").cloned().unwrap_or_default();
    // The library's words may quote the object.
    serde_json::from_value(spec).map_err(|_| PlaceError {
        what: "the spec has a field of another type than the API gives it".to_owned(),
        is_conflict: false,
    })
}

/// Rounds of asking: each answers one question.
const MOST_ROUNDS: usize = 5_000;
