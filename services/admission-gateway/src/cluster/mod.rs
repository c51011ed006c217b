//! The gateway in a cluster: policies and exceptions from its API server, facts about it kept in memory, its own webhooks registered.
//!
//! ```text
//! policy kinds    --follow--> texts for the policies in force --status--> whether all of each is in force
//! namespaces, (cluster) role bindings, global context entries --follow--> memory
//! pods            --follow--> deploy.pod.created
//! requests let in --afterwards--> generated objects, changes of existing ones
//! policies that come into force --existing--> the same for what is there already
//! generated objects --downstream--> kept in step with what they were made from, deleted with it
//! what is there, now and then --reports--> a report on each object
//! schedules of policies that delete --cleanup--> objects deleted
//! what a policy asks besides (config maps, API calls, image data) --gather--> one review, within its deadline
//! ```

mod afterwards;
mod authority;
mod bindings;
mod cleanup;
mod context;
mod downstream;
mod existing;
mod gather;
mod lookups;
mod origin;
mod own;
mod pods;
mod reach;
mod register;
mod reports;
mod services;
mod settled;
mod status;
mod targets;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use admission_policy::{CleanupTarget, GroupVersionKind};
use anyhow::Context as _;
use bus::Publisher;
use kubernetes::{Cluster, ClusterError, Resource, Seen};
use serde_json::Value;
use service::Context;
use tokio::sync::watch;

pub(crate) use self::afterwards::Afterwards;
pub(crate) use self::authority::share as share_authority;
pub(crate) use self::bindings::Bindings;
pub use self::bindings::roles_of;
pub(crate) use self::cleanup::Cleanup;
pub(crate) use self::gather::{Gathered, Gatherer};
pub use self::lookups::LookUps;
pub(crate) use self::reach::Reach;
pub(crate) use self::register::Register;
pub(crate) use self::reports::{Changes, Means, Reports};
pub(crate) use self::status::keep as keep_status;
use crate::config::KubernetesConfig;
use crate::facts::Facts;

/// Policies of the cluster as texts: `(name for messages, JSON)`. `None` until they were read once.
pub(crate) type PolicyTexts = watch::Receiver<Option<Arc<Vec<(String, String)>>>>;

/// What the rest of the gateway uses of the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    pub(crate) cluster: Cluster,
    pub(crate) policies: PolicyTexts,
    pub(crate) bindings: Bindings,
}

/// Connects and starts following.
pub(crate) async fn start(
    context: &Context,
    config: &KubernetesConfig,
    reach: &Reach,
    (facts, publisher): (&Facts, &Publisher),
) -> anyhow::Result<Home> {
    let cluster = Cluster::connect(config.kubeconfig.as_deref()).await.context("cannot use the cluster")?;
    tracing::info!(url = cluster.url(), "serving a cluster");
    let policies = policies(context, &cluster);
    namespaces(context, &cluster, facts);
    let bindings = Bindings::follow(context, &cluster);
    context::follow(context, (&cluster, reach), facts);
    pods::follow(context, &cluster, (facts.clone(), publisher.clone()));
    Ok(Home { cluster, policies, bindings })
}

/// Groups that hold policies, with the kinds that do. Which version and which of them there are is asked of the server.
const POLICY_KINDS: [(&str, &[&str]); 2] = [
    ("kyverno.io", &["ClusterPolicy", "Policy", "PolicyException", "ClusterCleanupPolicy", "CleanupPolicy"]),
    (
        "policies.kyverno.io",
        &[
            "ValidatingPolicy",
            "MutatingPolicy",
            "ImageValidatingPolicy",
            "GeneratingPolicy",
            "DeletingPolicy",
            "PolicyException",
            "NamespacedValidatingPolicy",
            "NamespacedMutatingPolicy",
            "NamespacedImageValidatingPolicy",
            "NamespacedGeneratingPolicy",
            "NamespacedDeletingPolicy",
        ],
    ),
];

/// Follows every policy kind that the server has; kinds that are installed later are found too. Nothing is told before the server said
/// once which kinds it has: a gateway that knows of no policy lets everything in.
fn policies(context: &Context, cluster: &Cluster) -> PolicyTexts {
    let (sender, receiver) = watch::channel(None);
    let (cluster, shutdown) = (cluster.clone(), context.shutdown.clone());
    context.spawn(async move {
        let mut followed: BTreeMap<Resource, watch::Receiver<Seen>> = BTreeMap::new();
        let mut asked = tokio::time::Instant::now() - DISCOVER;
        let mut has_answered = false;
        while !shutdown.is_cancelled() {
            if asked.elapsed() >= DISCOVER {
                asked = tokio::time::Instant::now();
                has_answered |= discover(&cluster, &mut followed).await;
            }
            let is_complete = has_answered && followed.values().all(|seen| seen.borrow().is_complete);
            if is_complete {
                let texts = Some(Arc::new(texts(&followed)));
                sender.send_if_modified(|before| {
                    let is_new = *before != texts;
                    before.clone_from(&texts);
                    is_new
                });
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
            }
        }
    });
    receiver
}

/// Follows kinds that are not followed yet; whether the server could be asked about each group.
async fn discover(cluster: &Cluster, followed: &mut BTreeMap<Resource, watch::Receiver<Seen>>) -> bool {
    let mut has_answered = true;
    for (group, kinds) in POLICY_KINDS {
        match served(cluster, group, kinds).await {
            Ok(found) => {
                for resource in found {
                    followed.entry(resource.clone()).or_insert_with(|| cluster.follow(&resource));
                }
            }
            Err(error) => {
                has_answered = false;
                tracing::warn!(group, error = error.chain(), "the server's kinds of policies cannot be read");
            }
        }
    }
    has_answered
}

fn texts(followed: &BTreeMap<Resource, watch::Receiver<Seen>>) -> Vec<(String, String)> {
    let of = |(resource, seen): (&Resource, &watch::Receiver<Seen>)| {
        let objects = Arc::clone(&seen.borrow().objects);
        let kind = resource.kind.clone();
        objects.iter().map(|(name, object)| (file_of(&kind, name), text(object))).collect::<Vec<_>>()
    };
    followed.iter().flat_map(of).collect()
}

/// By what messages name a policy of the cluster, whose key is `namespace/name`.
fn file_of(kind: &str, key: &str) -> String {
    format!("cluster:{kind}/{}", key.trim_start_matches('/'))
}

/// The object as its author wrote it: what the server adds is no part of a policy.
fn text(object: &Value) -> String {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        // A new status is no new policy.
        for field in ["resourceVersion", "generation", "managedFields", "uid"] {
            metadata.remove(field);
        }
    }
    object.to_string()
}

/// Whether some of the targets mean a kind.
pub fn are_about(targets: &[CleanupTarget], resource: &Resource) -> bool {
    let Resource { group, version, kind, plural } = resource;
    let kind = GroupVersionKind { group: group.clone(), version: version.clone(), kind: kind.clone() };
    targets.iter().any(|target| target.is_about(&kind, plural))
}

/// The namespace that an object lies in, or is.
fn namespace_of(object: &Value) -> &str {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if text("/kind") == "Namespace" { text("/metadata/name") } else { text("/metadata/namespace") }
}

/// The kinds of a group that the server has, in the version that it prefers; an error when it does not answer.
async fn served(cluster: &Cluster, group: &str, kinds: &[&str]) -> Result<Vec<Resource>, ClusterError> {
    let Some(about) = cluster.get(&format!("/apis/{group}")).await? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let preferred = about.pointer("/preferredVersion/version").and_then(Value::as_str);
    let versions = about.get("versions").and_then(Value::as_array).into_iter().flatten();
    let others = versions.filter_map(|version| version.get("version").and_then(Value::as_str));
    for version in preferred.into_iter().chain(others) {
        let Some(list) = cluster.get(&format!("/apis/{group}/{version}")).await? else { continue };
        for resource in list.get("resources").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default();
            let is_new = !found.iter().any(|known: &Resource| known.kind == text("kind"));
            if kinds.contains(&text("kind")) && !text("name").contains('/') && is_new {
                found.push(Resource::new(group, version, text("kind"), text("name")));
            }
        }
    }
    Ok(found)
}

fn namespaces(context: &Context, cluster: &Cluster, facts: &Facts) {
    let mut seen = cluster.follow(&Resource::new("", "v1", "Namespace", "namespaces"));
    let (facts, shutdown, ready) = (facts.clone(), context.shutdown.clone(), context.readiness.part("namespaces"));
    context.spawn(async move {
        while changed(&mut seen, &shutdown).await {
            let now = seen.borrow().clone();
            let labels = |object: &Value| {
                let labels = object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
                labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
            };
            let name = |key: &String| key.trim_start_matches('/').to_owned();
            facts.set_namespaces(now.objects.iter().map(|(key, object)| (name(key), labels(object))).collect());
            if now.is_complete {
                ready.ready();
            }
        }
    });
}

/// What is done again and again, for as long as the gateway runs.
trait Repeated: Send + 'static {
    /// Does it once.
    fn look(&mut self) -> impl Future<Output = ()> + Send;
}

/// Does something again and again, with a pause before each time; the end cuts it short.
fn repeat(context: &Context, pause: Duration, mut one: impl Repeated) {
    let shutdown = context.shutdown.clone();
    context.spawn(async move {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = one.look() => {}
            }
        }
    });
}

/// Waits for news; false at the end.
pub(super) async fn changed(seen: &mut watch::Receiver<Seen>, shutdown: &tokio_util::sync::CancellationToken) -> bool {
    tokio::select! {
        () = shutdown.cancelled() => false,
        changed = seen.changed() => changed.is_ok(),
    }
}

/// How often the server is asked whether it has more policy kinds.
const DISCOVER: Duration = Duration::from_secs(5);
