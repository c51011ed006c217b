//! Cleanup and deleting policies: when one is due, the objects of its kinds are listed, judged, and those that it is about deleted.
//!
//! When a policy ran last stands in its status, so that neither a restart nor a second replica runs it twice, and a run that was
//! missed is made up for.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use admission_policy::{CleanupOutcome, CleanupSchedule};
use kubernetes::{Cluster, ClusterError, Resource, Served};
use model::Timestamp;
use serde_json::{Value, json};
use service::Context;

use super::gather::{Gathered, Gatherer};
use super::register::MANAGER;
use super::{POLICY_KINDS, are_about, namespace_of, served};
use crate::facts::Facts;
use crate::metrics::Metrics;
use crate::policies::Policies;

/// Runs the policies that delete.
#[derive(Debug)]
pub(crate) struct Cleanup {
    pub(crate) cluster: Cluster,
    pub(crate) gatherer: Gatherer,
    pub(crate) policies: Policies,
    pub(crate) facts: Facts,
    pub(crate) metrics: Metrics,
    /// Namespaces in which nothing is deleted.
    pub(crate) excluded: Vec<String>,
}

impl Cleanup {
    /// Starts looking at the schedules.
    pub(crate) fn start(self, context: &Context) {
        let shutdown = context.shutdown.clone();
        context.spawn(async move {
            let mut plan = Plan::new();
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = self.look(&mut plan) => {}
                }
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        });
    }

    /// Runs what is due.
    async fn look(&self, plan: &mut Plan) {
        let schedules = self.policies.now().cleanup_schedules();
        plan.retain(|key, _| schedules.iter().any(|schedule| name_of(schedule) == *key));
        for schedule in &schedules {
            let key = name_of(schedule);
            let due = match plan.get(&key) {
                Some(due) => *due,
                None => self.first(schedule).await,
            };
            let now = service::now();
            let due = match due {
                Some(at) if at <= now => {
                    // Another replica may have been faster.
                    match self.first(schedule).await {
                        Some(at) if at <= now => self.run(schedule, now).await,
                        _ => {}
                    }
                    schedule.runs.next_after(service::now())
                }
                due => due,
            };
            plan.insert(key, due);
        }
    }

    /// When the policy is due, by when it ran last or else was made; one that is no object of the cluster begins now.
    async fn first(&self, schedule: &CleanupSchedule) -> Option<Timestamp> {
        let object = match self.place(schedule).await {
            Some((_, path)) => self.cluster.get(&path).await.ok().flatten(),
            None => None,
        };
        let time = |pointer: &str| object.as_ref()?.pointer(pointer)?.as_str()?.parse::<Timestamp>().ok();
        let last = time("/status/lastExecutionTime").or_else(|| time("/metadata/creationTimestamp"));
        schedule.runs.next_after(last.unwrap_or_else(service::now))
    }

    /// Where the policy itself is.
    async fn place(&self, schedule: &CleanupSchedule) -> Option<(Resource, String)> {
        let kind = schedule.policy.kind.as_str();
        let (group, _) = POLICY_KINDS.iter().find(|(_, kinds)| kinds.contains(&kind))?;
        let resource = served(&self.cluster, group, &[kind]).await.ok()?.into_iter().next()?;
        let path = resource.path(&schedule.policy.namespace, &schedule.policy.name);
        Some((resource, path))
    }

    async fn run(&self, schedule: &CleanupSchedule, now: Timestamp) {
        let (kind, name) = (&schedule.policy.kind, &schedule.policy.name);
        let kinds = match self.kinds(schedule).await {
            Ok(kinds) => kinds,
            Err(error) => {
                tracing::warn!(kind, policy = name, error = error.chain(), "the server's kinds cannot be read");
                return;
            }
        };
        let mut deleted = 0_usize;
        for one in &kinds {
            match self.of_kind(schedule, one, now).await {
                Ok(count) => deleted += count,
                Err(error) => {
                    self.metrics.written("failed");
                    let (of, error) = (&one.resource.kind, error.chain());
                    tracing::warn!(kind, policy = name, of, error, "objects cannot be listed for a cleanup");
                }
            }
        }
        tracing::info!(kind, policy = name, deleted, "a cleanup ran");
        self.remember(schedule, now).await;
    }

    /// The kinds that the policy may delete: of several versions the preferred one, where it is meant.
    async fn kinds(&self, schedule: &CleanupSchedule) -> Result<Vec<Served>, ClusterError> {
        let all = self.cluster.served(|group| schedule.targets.iter().any(|target| target.is_in_group(group))).await?;
        let is_meant = |one: &Served| {
            one.can("list")
                && one.can("delete")
                && (one.is_namespaced || schedule.policy.namespace.is_empty())
                && are_about(&schedule.targets, &one.resource)
        };
        Ok(Served::one_version_each(all.into_iter().filter(is_meant)))
    }

    /// Deletes what of one kind is to go; how many objects.
    async fn of_kind(&self, schedule: &CleanupSchedule, kind: &Served, now: Timestamp) -> Result<usize, ClusterError> {
        let (mut token, mut deleted) = (String::new(), 0);
        loop {
            let at = (schedule.policy.namespace.as_str(), "");
            let (objects, next) = self.cluster.page(&kind.resource, at, &token).await?;
            let outcome = self.judge(schedule, &objects, now).await;
            for error in &outcome.errors {
                self.metrics.written("failed");
                let (policy, kind) = (&schedule.policy.name, &kind.resource.kind);
                tracing::warn!(policy, kind, error, "an object cannot be judged for a cleanup and stays");
            }
            // What is going already need not be told again.
            let is_going = |object: &Value| object.pointer("/metadata/deletionTimestamp").is_some();
            let gone = outcome.delete.iter().filter(|object| !self.is_excluded(object) && !is_going(object));
            for object in gone {
                deleted += usize::from(self.delete(schedule, kind, object).await);
            }
            if next.is_empty() {
                return Ok(deleted);
            }
            token = next;
        }
    }

    /// Judges objects, with what the policy looks up besides.
    async fn judge(&self, schedule: &CleanupSchedule, objects: &[Value], now: Timestamp) -> CleanupOutcome {
        let policies = self.policies.now();
        let mut gathered = Gathered::default();
        for _ in 0..ROUNDS {
            let facts = gathered.add_to(&self.facts.now());
            let judged = catch_unwind(AssertUnwindSafe(|| policies.clean_up(&schedule.policy, (objects, &facts), now)));
            let Ok(outcome) = judged else {
                tracing::error!(policy = schedule.policy.name, "evaluation panicked");
                return CleanupOutcome::default();
            };
            if outcome.missing.is_empty() || !self.gatherer.gather(&outcome.missing, &mut gathered).await {
                return outcome;
            }
        }
        let errors = vec!["the policy asks for ever more facts".to_owned()];
        CleanupOutcome { errors, ..CleanupOutcome::default() }
    }

    fn is_excluded(&self, object: &Value) -> bool {
        let own = namespace_of(object);
        SYSTEM.contains(&own) || self.excluded.iter().any(|excluded| excluded == own)
    }

    async fn delete(&self, schedule: &CleanupSchedule, kind: &Served, object: &Value) -> bool {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (policy, kind_name) = (&schedule.policy.name, &kind.resource.kind);
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        match self.cluster.delete_exactly(&kind.resource, object, &schedule.propagation).await {
            Ok(true) => {
                self.metrics.written("deleted");
                tracing::info!(policy, kind = kind_name, namespace, name, "a policy deleted an object");
                true
            }
            Ok(false) => false,
            Err(error) => {
                self.metrics.written("failed");
                let error = error.chain();
                tracing::warn!(policy, kind = kind_name, namespace, name, error, "a policy could not delete an object");
                false
            }
        }
    }

    /// Writes into the policy's status when it ran.
    async fn remember(&self, schedule: &CleanupSchedule, now: Timestamp) {
        let Some((resource, _)) = self.place(schedule).await else { return };
        let (namespace, name) = (&schedule.policy.namespace, &schedule.policy.name);
        let mut metadata = json!({ "name": name });
        if !namespace.is_empty() {
            metadata["namespace"] = json!(namespace);
        }
        // Times of the API have whole seconds.
        let time = Timestamp::from_millis(now.as_millis() / 1_000 * 1_000).to_string();
        let time = time.split_once('.').map_or(time.clone(), |(seconds, _)| format!("{seconds}Z"));
        let status = json!({
            "apiVersion": resource.api_version(), "kind": resource.kind, "metadata": metadata,
            "status": { "lastExecutionTime": time },
        });
        if let Err(error) = self.cluster.apply_status(&resource, &status, MANAGER).await {
            tracing::debug!(policy = name, error = error.chain(), "when a cleanup ran is not written down");
        }
    }
}

/// When each policy is due; `None` when never.
type Plan = BTreeMap<(String, String, String, String), Option<Timestamp>>;

/// A policy with its schedule: a changed one is planned anew.
fn name_of(schedule: &CleanupSchedule) -> (String, String, String, String) {
    let policy = &schedule.policy;
    (policy.kind.clone(), policy.namespace.clone(), policy.name.clone(), schedule.schedule.clone())
}

/// Namespaces of the cluster itself.
const SYSTEM: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];
/// How often the schedules are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Most times that facts are gathered for one judgement.
const ROUNDS: usize = 6;
