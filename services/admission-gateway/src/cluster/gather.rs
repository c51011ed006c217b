//! What a policy asks about beyond memory: config maps, API calls, image data. Gathered for one review, within its deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use admission_policy::{HttpAnswer, HttpCall, ManifestClaim, MissingFact, Snapshot};
use futures::future::join_all;
use kubernetes::Cluster;
use serde_json::Value;

use super::reach::Reach;
use super::services;
use crate::signatures::{PullSecrets, Signatures};

/// Gathers for reviews. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Gatherer {
    cluster: Option<Cluster>,
    registries: Signatures,
    /// What services may be called.
    reach: Reach,
    within: Duration,
}

/// What was found for one review.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    config_maps: BTreeMap<String, Value>,
    api_calls: BTreeMap<String, Value>,
    images: BTreeMap<String, Value>,
    objects: Vec<Value>,
    listed: BTreeSet<(String, String, String)>,
    manifests: BTreeMap<ManifestClaim, Result<String, String>>,
    services: BTreeMap<HttpCall, HttpAnswer>,
}

impl Gathered {
    /// The facts with what was found.
    pub(crate) fn add_to(&self, facts: &Snapshot) -> Snapshot {
        let mut facts = facts.clone();
        facts.config_maps.extend(self.config_maps.clone());
        facts.api_calls.extend(self.api_calls.clone());
        facts.image_metadata.extend(self.images.clone());
        facts.objects.extend(self.objects.iter().cloned());
        facts.listed.extend(self.listed.iter().cloned());
        facts.manifest_signatures.extend(self.manifests.clone());
        facts.http_calls.extend(self.services.clone());
        facts
    }
}

impl Gathered {
    /// The object that another is a copy of, as policies in CEL make it from what they look up: of the same type, name and
    /// content, in another namespace.
    pub(super) fn source_of(&self, copy: &Value) -> Option<&Value> {
        let own = |object: &Value, pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let content = |object: &Value| {
            let fields = object.as_object().into_iter().flatten();
            let fields = fields.filter(|(key, _)| !matches!(key.as_str(), "metadata" | "status"));
            fields.map(|(key, value)| (key.clone(), value.clone())).collect::<BTreeMap<_, _>>()
        };
        let items = |answer: &'_ Value| answer.get("items").and_then(Value::as_array).map_or(0, Vec::len);
        let objects = self.api_calls.values().flat_map(|answer| {
            let list = answer.get("items").and_then(Value::as_array).into_iter().flatten();
            list.chain((items(answer) == 0).then_some(answer))
        });
        let mut objects = objects.chain(&self.objects).filter(|object| own(object, "/metadata/uid").is_some());
        objects.find(|object| {
            own(object, "/metadata/name") == own(copy, "/metadata/name")
                && own(object, "/metadata/namespace") != own(copy, "/metadata/namespace")
                && content(object) == content(copy)
        })
    }
}

/// What was found out.
enum Answer {
    Value(Value),
    Service(HttpAnswer),
}

impl Gatherer {
    pub(crate) fn new(cluster: Option<Cluster>, (registries, reach): (Signatures, Reach), within: Duration) -> Self {
        Self { cluster, registries, reach, within }
    }

    /// Looks for what an evaluation missed; whether something was found. What fails stays missing: the policy's `failurePolicy`
    /// decides.
    pub(crate) async fn gather(&self, missing: &[MissingFact], found: &mut Gathered) -> bool {
        self.gather_for(missing, &PullSecrets::default(), found).await
    }

    /// The same for a review, with the pull secrets of its pod.
    pub(crate) async fn gather_for(&self, missing: &[MissingFact], pulls: &PullSecrets, found: &mut Gathered) -> bool {
        // What arrives in time counts, whatever else does not.
        let deadline = tokio::time::Instant::now() + self.within;
        let one = |fact| async move {
            tokio::time::timeout_at(deadline, self.one(fact, pulls)).await.unwrap_or_else(|_| {
                tracing::warn!(%fact, after = ?self.within, "a fact was not gathered in time");
                None
            })
        };
        let answers = join_all(missing.iter().take(MOST).map(one)).await;
        let mut is_new = self.verify_manifests(missing, found);
        for (fact, answer) in missing.iter().zip(answers) {
            let Some(answer) = answer else { continue };
            is_new = true;
            let answer = match (fact, answer) {
                (MissingFact::Http(call), Answer::Service(answer)) => {
                    found.services.insert(call.clone(), answer);
                    continue;
                }
                (_, Answer::Service(_)) => continue,
                (_, Answer::Value(answer)) => answer,
            };
            match fact {
                MissingFact::ConfigMap(name) => drop(found.config_maps.insert(name.clone(), answer)),
                MissingFact::ApiCall { call, body } if body.is_empty() => {
                    drop(found.api_calls.insert(call.clone(), answer))
                }
                MissingFact::ApiCall { call, body } => drop(found.api_calls.insert(format!("{call} {body}"), answer)),
                MissingFact::ImageMetadata { image, .. } => drop(found.images.insert(image.clone(), answer)),
                MissingFact::Objects { api_version, kind, namespace } => {
                    if let Value::Array(items) = answer {
                        found.objects.extend(items);
                    }
                    found.listed.insert((api_version.clone(), kind.clone(), namespace.clone()));
                }
                _ => {}
            }
        }
        is_new
    }

    /// Verifies signatures of manifests: nothing is read for that, so no deadline is needed.
    fn verify_manifests(&self, missing: &[MissingFact], found: &mut Gathered) -> bool {
        let claims = missing.iter().filter_map(|fact| match fact {
            MissingFact::ManifestSignature(claim) => Some(claim),
            _ => None,
        });
        let before = found.manifests.len();
        found.manifests.extend(claims.take(MOST).map(|claim| (claim.clone(), self.registries.manifest(claim))));
        found.manifests.len() != before
    }

    async fn one(&self, fact: &MissingFact, pulls: &PullSecrets) -> Option<Answer> {
        let said = |error: String| tracing::warn!(%fact, error, "a fact cannot be gathered");
        if let MissingFact::Http(call) = fact {
            return services::call(call, &self.reach).await.map_err(said).ok().map(Answer::Service);
        }
        self.value(fact, pulls).await.map(Answer::Value)
    }

    async fn value(&self, fact: &MissingFact, pulls: &PullSecrets) -> Option<Value> {
        let said = |error: String| tracing::warn!(%fact, error, "a fact cannot be gathered");
        match fact {
            MissingFact::ConfigMap(name) => {
                let (namespace, name) = name.split_once('/')?;
                let path = format!("/api/v1/namespaces/{namespace}/configmaps/{name}");
                call(self.cluster.as_ref(), &format!("GET {path}"), "").await.map_err(said).ok()
            }
            MissingFact::ApiCall { call: what, body } => {
                call(self.cluster.as_ref(), what, body).await.map_err(said).ok()
            }
            MissingFact::Objects { api_version, kind, namespace } => {
                list(self.cluster.as_ref()?, (api_version, kind), namespace).await.map_err(said).ok()
            }
            MissingFact::ImageMetadata { image, access } => {
                self.registries.metadata_for(image, (access, pulls)).await.map_err(said).ok()
            }
            _ => None,
        }
    }
}

/// The objects of a kind, each with its API version and kind, which lists leave out.
pub(super) async fn list(
    cluster: &Cluster,
    (api_version, kind): (&str, &str),
    namespace: &str,
) -> Result<Value, String> {
    let found = cluster.resource_of(api_version, kind).await.map_err(|error| error.chain())?;
    let (resource, namespaced) = found.ok_or_else(|| format!("the server has no kind {kind} in {api_version}"))?;
    let path = resource.path(if namespaced { namespace } else { "" }, "");
    let list = cluster.get(&path).await.map_err(|error| error.chain())?.unwrap_or_default();
    let mut items = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    for fields in items.iter_mut().filter_map(Value::as_object_mut) {
        fields.insert("apiVersion".to_owned(), Value::from(api_version));
        fields.insert("kind".to_owned(), Value::from(kind));
    }
    Ok(Value::Array(items))
}

/// Makes a call of the cluster's API as policies write it: `GET /path`.
pub(super) async fn call(cluster: Option<&Cluster>, what: &str, body: &str) -> Result<Value, String> {
    let (method, target) = what.split_once(' ').ok_or("no method")?;
    let cluster = cluster.ok_or("no cluster is configured: set `service.kubernetes`")?;
    let answer = match method {
        "POST" => cluster.post(target, &serde_json::from_str(body).unwrap_or_default()).await,
        _ => cluster.get(target).await,
    };
    answer.map_err(|error| error.chain())?.ok_or_else(|| "the server has no such thing".to_owned())
}

/// Most facts that are gathered for one review at a time.
const MOST: usize = 50;
