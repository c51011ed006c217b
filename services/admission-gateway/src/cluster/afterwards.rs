//! What follows once a request was let in: objects that policies generate, and existing objects that they change.
//!
//! Nothing here delays an answer. A request waits in a queue until it has [come into effect](super::settled), then the policies are
//! judged with what the cluster has, and what they ask for is written under the gateway's own field manager. What the gateway itself
//! [asks for](super::own) is followed up only by policies that want it, so that they cannot feed each other without end.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use admission_policy::{Outcome, Request, RuleKind, RuleVerdict, Stage, Status};
use kubernetes::{Cluster, ClusterError, Resource};
use serde_json::{Value, json};
use service::Context;
use tokio::sync::{Semaphore, mpsc};

use super::gather::{Gathered, Gatherer};
use super::origin::{Id, Origin, text};
use super::own::Own;
use super::register::MANAGER;
use super::settled::settled;
use super::targets::Wish;
use crate::facts::Facts;
use crate::metrics::Metrics;
use crate::policies::Policies;

/// Takes requests that were let in. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Afterwards {
    queue: mpsc::Sender<Arc<Request>>,
    policies: Policies,
    metrics: Metrics,
    own: Own,
}

impl Afterwards {
    /// Starts the worker. In `excluded` namespaces nothing is looked for that is there already.
    pub(crate) fn start(
        context: &Context,
        (cluster, gatherer): (Cluster, Gatherer),
        (policies, facts): (Policies, Facts),
        (metrics, excluded): (&Metrics, Vec<String>),
    ) -> Self {
        let (queue, mut requests) = mpsc::channel::<Arc<Request>>(MOST_WAITING);
        let (metrics, shutdown) = (metrics.clone(), context.shutdown.clone());
        let own = Own::learn(context, &cluster);
        let worker = Arc::new(Worker {
            cluster,
            gatherer,
            policies: policies.clone(),
            facts,
            metrics: metrics.clone(),
            written: Mutex::default(),
        });
        super::downstream::keep(context, Arc::clone(&worker));
        super::existing::watch(context, Arc::clone(&worker), excluded);
        let places = Arc::new(Semaphore::new(MOST_AT_ONCE));
        context.spawn(async move {
            loop {
                let next = async { Some((Arc::clone(&places).acquire_owned().await.ok()?, requests.recv().await?)) };
                let taken = tokio::select! {
                    () = shutdown.cancelled() => return,
                    taken = next => taken,
                };
                let Some((place, request)) = taken else { return };
                let (worker, shutdown) = (Arc::clone(&worker), shutdown.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        () = worker.follow_up(&request) => {}
                    }
                    drop(place);
                });
            }
        });
        Self { queue, policies, metrics, own }
    }

    /// Whether a request is the gateway's own.
    pub(crate) fn is_own(&self, request: &Request) -> bool {
        self.own.asks(request)
    }

    /// Hands a request over, where some policy may have more to do.
    pub(crate) fn follow_up(&self, request: &Request) {
        if request.dry_run || !self.policies.now().acts_afterwards(request) {
            return;
        }
        if self.queue.try_send(Arc::new(request.clone())).is_err() {
            self.metrics.written("dropped");
            tracing::error!(
                uid = request.uid,
                kind = request.kind.kind,
                name = request.name,
                "too many requests wait: nothing is generated for this one"
            );
        }
    }
}

/// Which verdicts lead to anything.
pub(super) type Wanted<'w> = dyn Fn(&RuleVerdict) -> bool + Send + Sync + 'w;

/// Judges what is to be made, and makes it.
pub(super) struct Worker {
    pub(super) cluster: Cluster,
    gatherer: Gatherer,
    pub(super) policies: Policies,
    facts: Facts,
    pub(super) metrics: Metrics,
    /// Objects that were generated since somebody asked, with where they come from, where they are kept in step with that.
    written: Mutex<BTreeMap<Id, Option<Origin>>>,
}

impl Worker {
    async fn follow_up(&self, request: &Request) {
        let Some(request) = settled(&self.cluster, request).await else {
            let (uid, kind, name) = (&request.uid, &request.kind.kind, &request.name);
            tracing::debug!(uid, kind, name, "did not come into effect after all");
            return;
        };
        self.carry_out(&request, &|_| true).await;
    }

    /// Does what the policies ask for, as far as it is wanted.
    pub(super) async fn carry_out(&self, request: &Request, is_wanted: &Wanted<'_>) {
        let mut stale = self.act(request, is_wanted, None).await;
        for _ in 0..AGAIN {
            if stale.is_empty() {
                return;
            }
            stale = self.act(request, is_wanted, Some(&stale)).await;
        }
        for (policy, rule, id, _) in stale {
            self.metrics.written("failed");
            let (policy, kind, name) = (policy.name, id.kind, id.name);
            tracing::warn!(
                policy,
                rule,
                kind,
                name,
                "an object was changed by others again and again, and is left alone"
            );
        }
    }

    /// Does what the policies ask for, or some of the changes only; gives those whose objects others changed meanwhile.
    async fn act(&self, request: &Request, is_wanted: &Wanted<'_>, only: Option<&BTreeSet<Wish>>) -> BTreeSet<Wish> {
        let mut stale = BTreeSet::new();
        let mut gathered = Gathered::default();
        let Some(outcome) = self.judge(request, &mut gathered).await else { return stale };
        for verdict in outcome.verdicts.iter().filter(|verdict| is_wanted(verdict)) {
            if only.is_none() {
                if verdict.status == Status::Error {
                    self.metrics.written("failed");
                    let (policy, rule) = (&verdict.policy.name, &verdict.rule);
                    tracing::warn!(policy, rule, reason = verdict.message, "a policy could not act");
                }
                let generated = verdict.generated.iter().filter(|_| verdict.kind == RuleKind::Generate);
                for object in generated {
                    self.told(self.generate((request, &gathered), verdict, object).await, verdict, object);
                }
            }
            self.change_all(verdict, only, &mut stale).await;
        }
        stale
    }

    /// What the policies make of a request that was let in; what they look up is added to `gathered`.
    pub(super) async fn judge(&self, request: &Request, gathered: &mut Gathered) -> Option<Outcome> {
        let policies = self.policies.now();
        for _ in 0..ROUNDS {
            let facts = gathered.add_to(&self.facts.now());
            let judged =
                catch_unwind(AssertUnwindSafe(|| policies.evaluate_stages(request, &facts, &[Stage::Generate])));
            let Ok(outcome) = judged else {
                tracing::error!(uid = request.uid, "evaluation panicked");
                return None;
            };
            let missing = outcome.missing_facts();
            if missing.is_empty() || !self.gatherer.gather(&missing, gathered).await {
                return Some(outcome);
            }
        }
        tracing::warn!(uid = request.uid, "policies ask for ever more facts");
        None
    }

    /// Makes an object: again and again where it is kept in step, else only where there is none. A GeneratingPolicy writes again
    /// what it made, and leaves alone what it did not.
    async fn generate(
        &self,
        (request, gathered): (&Request, &Gathered),
        verdict: &RuleVerdict,
        object: &Value,
    ) -> Result<&'static str, ClusterError> {
        let mut object = object.clone();
        let names = self.policies.now().names_of(&verdict.policy, &verdict.rule);
        mark(&mut object, (request, gathered), (verdict, names));
        let Some((resource, namespace)) = self.place(&object).await? else { return Ok("failed") };
        let mut again = verdict.synchronize;
        if !matches!(verdict.policy.kind.as_str(), "ClusterPolicy" | "Policy") {
            let path = resource.path(&namespace, &text(&object, "/metadata/name"));
            match self.cluster.get(&path).await? {
                Some(existing) if !is_made_by(&existing, verdict) => return Ok("unchanged"),
                Some(_) => again = true,
                None => {}
            }
        }
        if again {
            return Ok(if self.write(&object, verdict).await?.is_some() { "written" } else { "failed" });
        }
        match self.cluster.post(&format!("{}?fieldManager={MANAGER}", resource.path(&namespace, "")), &object).await {
            Ok(Some(_)) => Ok("written"),
            Ok(None) => Ok("failed"),
            Err(ClusterError::Conflict { .. }) => Ok("unchanged"),
            Err(error) => Err(error),
        }
    }

    /// Writes an object that is kept in step; gives it as the server has it, or `None` where the server has no such kind. What
    /// others added is taken away, unless the policy lets them.
    pub(super) async fn write(&self, object: &Value, verdict: &RuleVerdict) -> Result<Option<Value>, ClusterError> {
        let Some((resource, namespace)) = self.place(object).await? else { return Ok(None) };
        let mut applied = self.cluster.apply(&resource, object, MANAGER).await?;
        if super::own::has_foreign_fields(&applied) && !self.policies.now().shares_fields(&verdict.policy) {
            let path = resource.path(&namespace, &text(object, "/metadata/name"));
            let bare = super::own::without_foreign_fields(&applied, object);
            match self.cluster.put(&format!("{path}?fieldManager={MANAGER}"), &bare).await {
                Ok(Some(put)) => applied = put,
                Ok(None) => {}
                // Some kinds have fields that only the server may set: then what was applied has to do.
                Err(error) => {
                    tracing::warn!(path, error = error.chain(), "what others added to a generated object stays")
                }
            }
        }
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.insert(Id::of(&applied), Origin::read(&applied, MANAGER));
        Ok(Some(applied))
    }

    /// The objects that were written since the last time: one that is deleted before anybody looks is missed all the same.
    pub(super) fn take_written(&self) -> BTreeMap<Id, Option<Origin>> {
        std::mem::take(&mut *self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The kind of an object and the namespace that it goes to.
    async fn place(&self, object: &Value) -> Result<Option<(Resource, String)>, ClusterError> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("/apiVersion"), text("/kind"));
        let Some((resource, namespaced)) = self.cluster.resource_of(api_version, kind).await? else {
            tracing::warn!(api_version, kind, "a policy makes objects of a kind that the server does not have");
            return Ok(None);
        };
        let namespace = if namespaced { text("/metadata/namespace") } else { "" };
        Ok(Some((resource, namespace.to_owned())))
    }

    /// Counts and logs what came of writing an object.
    pub(super) fn told(&self, outcome: Result<&'static str, ClusterError>, verdict: &RuleVerdict, object: &Value) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (kind, namespace, name) = (text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
        let (policy, rule) = (&verdict.policy.name, &verdict.rule);
        match outcome {
            Ok(outcome) => {
                self.metrics.written(outcome);
                tracing::info!(policy, rule, kind, namespace, name, outcome, "a policy acted");
            }
            Err(error) => {
                self.metrics.written("failed");
                let error = error.chain();
                tracing::warn!(policy, rule, kind, namespace, name, error, "a policy could not act");
            }
        }
    }
}

/// Says where a generated object comes from; on one that is kept in step, in full.
pub(super) fn mark(
    object: &mut Value,
    (request, gathered): (&Request, &Gathered),
    (verdict, names): (&RuleVerdict, Option<u64>),
) {
    let origin = verdict.synchronize.then(|| Origin::of(request, (verdict, names), gathered.source_of(object)));
    label(object, request, verdict);
    if let Some(origin) = origin {
        origin.write(object);
    }
}

/// Whether an object was generated by the policy of a verdict.
fn is_made_by(object: &Value, verdict: &RuleVerdict) -> bool {
    let label = |key: &str| {
        let labels = object.pointer("/metadata/labels");
        labels.and_then(|labels| labels.get(key)).and_then(Value::as_str).unwrap_or_default()
    };
    let by_label = label("app.kubernetes.io/managed-by") == "biotope"
        && label("generate.kyverno.io/policy-name") == verdict.policy.name
        && label("generate.kyverno.io/policy-namespace") == verdict.policy.namespace;
    // A name may be too long for a label.
    by_label || Origin::read(object, MANAGER).is_some_and(|origin| origin.policy.reference() == *verdict.policy)
}

/// Says where a generated object comes from, in Kyverno's labels.
fn label(object: &mut Value, request: &Request, verdict: &RuleVerdict) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    let Some(labels) = labels.as_object_mut() else { return };
    labels.insert("app.kubernetes.io/managed-by".to_owned(), Value::from("biotope"));
    for (key, value) in [
        ("policy-name", verdict.policy.name.as_str()),
        ("policy-namespace", &verdict.policy.namespace),
        ("rule-name", &verdict.rule),
        ("trigger-kind", &request.kind.kind),
        ("trigger-namespace", &request.namespace),
        ("trigger-name", &request.name),
    ] {
        // The API takes no longer values.
        if value.len() <= 63 {
            labels.insert(format!("generate.kyverno.io/{key}"), Value::from(value));
        }
    }
}

/// Most requests that are followed up at a time: most of them wait for the server.
const MOST_AT_ONCE: usize = 32;
/// Most requests that wait.
const MOST_WAITING: usize = 10_000;
/// How often changes are tried again whose objects others changed meanwhile.
const AGAIN: usize = 3;
/// Most times that facts are gathered for one request.
const ROUNDS: usize = 6;
