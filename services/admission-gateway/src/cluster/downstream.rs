//! Generated objects that are kept in step with what they were made from.
//!
//! ```text
//! objects with an origin --list--> by trigger --judge again--> as the policy wants them: written where they differ
//!                                                          --> no longer wanted: deleted
//! ```
//!
//! An object goes with its trigger, with the source that it copies, when its rule is not about the trigger any more, and with its policy
//! (unless the policy says that it stays, or it is a copy). What was made for a moment, such as a deletion, or by a rule that acts on
//! deletions, too, goes with its policy alone. Whatever cannot be told for certain, a rule that ends in an error or a policy
//! that was set aside for its faults, changes nothing. Deletions name the object's uid and writes are applies, so that replicas may do
//! the same work twice.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use admission_policy::{RuleKind, RuleVerdict, Status};
use kubernetes::{ClusterError, Resource};
use serde_json::Value;
use service::Context;
use tokio::time::Instant;

use super::afterwards::Worker;
use super::gather::Gathered;
use super::origin::{Id, Origin, Policy, Trigger, text};
use super::register::MANAGER;
use super::{POLICY_KINDS, Repeated, repeat, served};

/// Starts keeping objects in step.
pub(super) fn keep(context: &Context, worker: Arc<Worker>) {
    let keeper = Keeper {
        worker,
        kinds: BTreeMap::new(),
        discovered: None,
        known: BTreeMap::new(),
        settled: BTreeMap::new(),
        last: None,
    };
    repeat(context, LOOK, keeper);
}

struct Keeper {
    worker: Arc<Worker>,
    /// The kinds of which there are generated objects, by API version and name.
    kinds: BTreeMap<(String, String), Resource>,
    discovered: Option<Instant>,
    /// The objects that were there, so that one that is gone is missed.
    known: BTreeMap<Id, Origin>,
    /// What each object was like when it was as it should be: the server's version of it, and a hash of what was asked for.
    settled: BTreeMap<Id, (String, u64)>,
    /// The trigger that was looked at last, where there are more than one look takes.
    last: Option<Trigger>,
}

/// What one look has at hand.
struct Look {
    stored: BTreeMap<Id, Value>,
    /// Policies in force, with their kind.
    policies: BTreeSet<Policy>,
    gathered: Gathered,
}

impl Repeated for Keeper {
    async fn look(&mut self) {
        if !self.worker.policies.are_loaded() {
            return;
        }
        let stored = match self.stored().await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::warn!(error = error.chain(), "generated objects cannot be listed");
                return;
            }
        };
        for (id, object) in &stored {
            self.known.extend(Origin::read(object, MANAGER).map(|origin| (id.clone(), origin)));
        }
        if self.known.is_empty() {
            return;
        }
        let mut groups: BTreeMap<Trigger, Vec<(Id, Origin)>> = BTreeMap::new();
        for (id, origin) in &self.known {
            groups.entry(origin.trigger.clone()).or_default().push((id.clone(), origin.clone()));
        }
        let mut look = Look { stored, policies: self.policies(), gathered: Gathered::default() };
        let after = self.last.take();
        let waiting = groups.iter().filter(|(trigger, _)| after.as_ref().is_none_or(|last| *trigger > last));
        for (number, (trigger, members)) in waiting.enumerate() {
            if number == MOST_AT_ONCE {
                break;
            }
            self.last = Some(trigger.clone());
            self.trigger(trigger, members, &mut look).await;
        }
        if self.last.as_ref() == groups.keys().next_back() {
            self.last = None;
        }
    }
}

impl Keeper {
    fn policies(&self) -> BTreeSet<Policy> {
        let summaries = self.worker.policies.now().summaries();
        let named = summaries.into_iter().map(|summary| {
            let (namespace, name) = summary.name.split_once('/').unwrap_or(("", &summary.name));
            Policy { kind: summary.kind.clone(), namespace: namespace.to_owned(), name: name.to_owned() }
        });
        named.collect()
    }

    /// Every object with an origin. All kinds are looked through now and then, else those that are known to have any.
    async fn stored(&mut self) -> Result<BTreeMap<Id, Value>, ClusterError> {
        let everywhere = self.discovered.is_none_or(|at| at.elapsed() >= DISCOVER);
        if everywhere {
            let all = self.worker.cluster.served(|_| true).await?;
            let fit = all.into_iter().filter(|one| one.is_preferred && one.can("list") && one.can("delete"));
            self.kinds.extend(fit.map(|one| (key(&one.resource), one.resource)));
        }
        for (id, origin) in self.worker.take_written() {
            let key = (id.api_version.clone(), id.kind.clone());
            if !self.kinds.contains_key(&key)
                && let Some((resource, _)) = self.worker.cluster.resource_of(&key.0, &key.1).await?
            {
                self.kinds.insert(key, resource);
            }
            self.known.extend(origin.map(|origin| (id, origin)));
        }
        let mut stored = BTreeMap::new();
        let mut used = BTreeMap::new();
        for (key, resource) in &self.kinds {
            let found = match self.of_kind(resource).await {
                Ok(found) => found,
                // Nothing is known of these until one is written again. Most kinds that are closed to the gateway have none.
                Err(error) => {
                    let (kind, before, error) = (&resource.kind, self.known.len(), error.chain());
                    self.known.retain(|id, _| (&id.api_version, &id.kind) != (&key.0, &key.1));
                    if self.known.len() < before {
                        tracing::warn!(kind, error, "generated objects cannot be listed, and are not kept in step");
                    }
                    continue;
                }
            };
            if !found.is_empty() || self.known.keys().any(|id| (&id.api_version, &id.kind) == (&key.0, &key.1)) {
                used.insert(key.clone(), resource.clone());
            }
            stored.extend(found);
        }
        self.kinds = used;
        if everywhere {
            self.discovered = Some(Instant::now());
        }
        Ok(stored)
    }

    async fn of_kind(&self, resource: &Resource) -> Result<BTreeMap<Id, Value>, ClusterError> {
        let (mut token, mut found) = (String::new(), BTreeMap::new());
        loop {
            let (objects, next) = self.worker.cluster.page(resource, ("", GENERATED), &token).await?;
            let own = objects.into_iter().filter(|object| Origin::read(object, MANAGER).is_some());
            found.extend(own.map(|object| (Id::of(&object), object)));
            if next.is_empty() {
                return Ok(found);
            }
            token = next;
        }
    }

    /// Puts right what was generated for one trigger.
    async fn trigger(&mut self, trigger: &Trigger, members: &[(Id, Origin)], look: &mut Look) {
        if trigger.is_momentary {
            for (id, origin) in members {
                self.without_trigger(id, origin, look).await;
            }
            return;
        }
        let object = match self.object_of(trigger).await {
            Ok(object) => object,
            Err(error) => {
                let (kind, name) = (&trigger.kind, &trigger.name);
                tracing::warn!(kind, name, error = error.chain(), "what objects were generated for cannot be read");
                return;
            }
        };
        let Some(object) = object else {
            let policies = self.worker.policies.now();
            for (id, origin) in members {
                if policies.acts_on_deletions(&origin.policy.reference(), &origin.rule) {
                    self.without_trigger(id, origin, look).await;
                } else {
                    self.remove(id, origin, look, "its trigger is gone").await;
                }
            }
            return;
        };
        let request = trigger.request(object);
        let Some(outcome) = self.worker.judge(&request, &mut look.gathered).await else { return };
        for (id, origin) in members {
            if !look.policies.contains(&origin.policy) {
                self.without_policy(id, origin, look).await;
                continue;
            }
            let mine = outcome.verdicts.iter().filter(|verdict| is_of(verdict, origin));
            let verdicts: Vec<&RuleVerdict> = mine.collect();
            let failed = verdicts.iter().any(|verdict| verdict.status == Status::Error);
            if verdicts.iter().any(|verdict| verdict.source_gone) || (failed && self.has_lost_source(id, origin).await)
            {
                self.remove(id, origin, look, "what it copies is gone").await;
            } else if !failed
                && !verdicts.iter().any(|verdict| verdict.generated.iter().any(|made| Id::of(made) == *id))
            {
                self.without_rule(id, origin, look).await;
            }
        }
        let wanted =
            outcome.verdicts.iter().filter(|verdict| verdict.kind == RuleKind::Generate && verdict.synchronize);
        for verdict in wanted.filter(|verdict| members.iter().any(|(_, origin)| is_of(verdict, origin))) {
            for made in &verdict.generated {
                let mut made = made.clone();
                let names = self.worker.policies.now().names_of(&verdict.policy, &verdict.rule);
                super::afterwards::mark(&mut made, (&request, &look.gathered), (verdict, names));
                self.settle(&made, verdict, look).await;
            }
        }
    }

    /// Whether what a policy in CEL copied is there no more.
    async fn has_lost_source(&self, id: &Id, origin: &Origin) -> bool {
        let Some(source) = &origin.source else { return false };
        let cluster = &self.worker.cluster;
        let Ok(Some((resource, namespaced))) = cluster.resource_of(&id.api_version, &id.kind).await else {
            return false;
        };
        let namespace = if namespaced { source.namespace.as_str() } else { "" };
        match cluster.get(&resource.path(namespace, &source.name)).await {
            Ok(found) => found.is_none_or(|found| text(&found, "/metadata/uid") != source.uid),
            Err(_) => false,
        }
    }

    /// An object whose trigger cannot be looked at again: it stays as long as its policy is there.
    async fn without_trigger(&mut self, id: &Id, origin: &Origin, look: &Look) {
        if !look.stored.contains_key(id) {
            self.known.remove(id);
        } else if !look.policies.contains(&origin.policy) {
            self.without_policy(id, origin, look).await;
        }
    }

    /// An object that its rule does not ask for any more. A rule that came to name others leaves it to whoever uses it.
    async fn without_rule(&mut self, id: &Id, origin: &Origin, look: &Look) {
        let now = self.worker.policies.now().names_of(&origin.policy.reference(), &origin.rule);
        match origin.names {
            Some(then) if now.is_some_and(|now| now != then) => self.release(id, origin, look).await,
            _ => self.remove(id, origin, look, "its rule does not ask for it any more").await,
        }
    }

    /// Takes from an object what says that it was generated.
    async fn release(&mut self, id: &Id, origin: &Origin, look: &Look) {
        let (policy, kind, namespace, name) = (&origin.policy.name, &id.kind, &id.namespace, &id.name);
        let resource = self.kinds.get(&(id.api_version.clone(), id.kind.clone()));
        if let (Some(object), Some(resource)) = (look.stored.get(id), resource) {
            let bare = super::origin::without(object);
            let operations = serde_json::to_value(json_patch::diff(object, &bare)).unwrap_or_default();
            let path = format!("{}?fieldManager={MANAGER}", resource.path(namespace, name));
            match self.worker.cluster.patch(&path, &operations).await {
                Ok(_) => {
                    self.worker.metrics.written("released");
                    tracing::info!(
                        policy,
                        kind,
                        namespace,
                        name,
                        "a generated object was left behind: its rule names others"
                    );
                }
                Err(error) => {
                    self.worker.metrics.written("failed");
                    let error = error.chain();
                    tracing::warn!(policy, kind, namespace, name, error, "a generated object cannot be left behind");
                    return;
                }
            }
        }
        self.known.remove(id);
        self.settled.remove(id);
    }

    /// An object whose policy is not in force.
    async fn without_policy(&mut self, id: &Id, origin: &Origin, look: &Look) {
        if !origin.retained && self.is_gone(&origin.policy).await {
            self.remove(id, origin, look, "its policy is gone").await;
        }
    }

    /// The trigger as it is now; `None` when it is gone, or going.
    async fn object_of(&self, trigger: &Trigger) -> Result<Option<Value>, ClusterError> {
        let cluster = &self.worker.cluster;
        let Some((resource, namespaced)) = cluster.resource_of(&trigger.api_version, &trigger.kind).await? else {
            return Ok(None);
        };
        let namespace = if namespaced { trigger.namespace.as_str() } else { "" };
        let found = cluster.get(&resource.path(namespace, &trigger.name)).await?;
        let is_it = |object: &Value| {
            (trigger.uid.is_empty() || text(object, "/metadata/uid") == trigger.uid)
                && object.pointer("/metadata/deletionTimestamp").is_none()
        };
        Ok(found.filter(is_it))
    }

    /// Whether a policy that is not in force is not in the cluster either: one that was set aside is there all the same.
    async fn is_gone(&self, policy: &Policy) -> bool {
        let cluster = &self.worker.cluster;
        let Some((group, _)) = POLICY_KINDS.iter().find(|(_, kinds)| kinds.contains(&policy.kind.as_str())) else {
            return false;
        };
        if self.worker.policies.is_set_aside(&policy.name) {
            return false;
        }
        match cluster.get(&format!("/apis/{group}")).await {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
        match served(cluster, group, &[&policy.kind]).await.as_deref() {
            Ok([resource, ..]) => {
                matches!(cluster.get(&resource.path(&policy.namespace, &policy.name)).await, Ok(None))
            }
            Ok([]) | Err(_) => false,
        }
    }

    async fn remove(&mut self, id: &Id, origin: &Origin, look: &Look, reason: &'static str) {
        let (policy, kind, namespace, name) = (&origin.policy.name, &id.kind, &id.namespace, &id.name);
        let resource = self.kinds.get(&(id.api_version.clone(), id.kind.clone()));
        if let (Some(object), Some(resource)) = (look.stored.get(id), resource) {
            match self.worker.cluster.delete_exactly(resource, object, "").await {
                Ok(_) => {
                    self.worker.metrics.written("deleted");
                    tracing::info!(policy, kind, namespace, name, reason, "a generated object was deleted");
                }
                Err(error) => {
                    self.worker.metrics.written("failed");
                    let error = error.chain();
                    tracing::warn!(policy, kind, namespace, name, error, "a generated object cannot be deleted");
                    return;
                }
            }
        }
        self.known.remove(id);
        self.settled.remove(id);
    }

    /// Writes an object, unless it is as it was when it was written last.
    async fn settle(&mut self, wanted: &Value, verdict: &RuleVerdict, look: &Look) {
        let id = Id::of(wanted);
        let mut hasher = DefaultHasher::new();
        wanted.to_string().hash(&mut hasher);
        let hash = hasher.finish();
        let version = look.stored.get(&id).map(|object| text(object, "/metadata/resourceVersion"));
        if version.is_some_and(|version| self.settled.get(&id) == Some(&(version, hash))) {
            return;
        }
        let applied = self.worker.write(wanted, verdict).await;
        if let Ok(Some(applied)) = &applied {
            self.settled.insert(id, (text(applied, "/metadata/resourceVersion"), hash));
        }
        let outcome = applied.map(|applied| if applied.is_some() { "written" } else { "failed" });
        self.worker.told(outcome, verdict, wanted);
    }
}

fn is_of(verdict: &RuleVerdict, origin: &Origin) -> bool {
    let policy = &verdict.policy;
    verdict.kind == RuleKind::Generate
        && verdict.rule == origin.rule
        && (policy.kind.as_str(), policy.namespace.as_str(), policy.name.as_str())
            == (&origin.policy.kind, &origin.policy.namespace, &origin.policy.name)
}

fn key(resource: &Resource) -> (String, String) {
    (resource.api_version(), resource.kind.clone())
}

/// What selects generated objects.
const GENERATED: &str = "app.kubernetes.io/managed-by=biotope";
/// How often they are looked at.
const LOOK: Duration = Duration::from_secs(3);
/// Most triggers that are looked at in one go: the others wait for the next.
const MOST_AT_ONCE: usize = 100;
/// How often every kind is looked through, for objects that another gateway generated.
const DISCOVER: Duration = Duration::from_secs(600);
