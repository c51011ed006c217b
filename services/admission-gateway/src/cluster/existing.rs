//! Policies that act on what is there already: when they come into force, when they change, and now and then after that.
//!
//! ```text
//! policies in force --those that are new--> objects of their kinds, page by page --judge--> generated and changed as after a request
//! ```
//!
//! What is there already was written before anybody asked, so that rules see no operation and no user. Replicas may do the same work
//! twice: what is written is the same.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use admission_policy::{Operation, PolicyRef, Request, RuleVerdict, Standing};
use kubernetes::{ClusterError, Resource, Served};
use serde_json::Value;
use service::Context;
use tokio::time::Instant;

use super::afterwards::Worker;
use super::register::is_never_asked_about;
use super::{Repeated, are_about, repeat};

/// Starts looking for policies that are new.
pub(super) fn watch(context: &Context, worker: Arc<Worker>, excluded: Vec<String>) {
    repeat(context, LOOK, Existing { worker, excluded, done: HashMap::new() });
}

struct Existing {
    worker: Arc<Worker>,
    /// Namespaces that policies are not for.
    excluded: Vec<String>,
    /// Which version of each rule was carried out, and when it is to be again.
    done: HashMap<Key, (u64, Instant)>,
}

impl Repeated for Existing {
    /// Carries out what is new, and what is so old that something may have gone past it.
    async fn look(&mut self) {
        if !self.worker.policies.are_loaded() {
            return;
        }
        let standing = self.worker.policies.now().standing();
        self.done.retain(|key, _| standing.iter().any(|one| key_of(one) == *key));
        let is_done = |one: &Standing| {
            self.done
                .get(&key_of(one))
                .is_some_and(|(version, again)| *version == one.version && Instant::now() < *again)
        };
        let due: Vec<Standing> = standing.into_iter().filter(|one| !is_done(one)).collect();
        if due.is_empty() {
            return;
        }
        let (judged, late) = self.carry_out(&due).await;
        let (now, rules) = (Instant::now(), due.len());
        tracing::info!(rules, judged, unfinished = late.len(), "policies were carried out for what was there already");
        let again = |one: &Standing| now + if late.contains(&key_of(one)) { RETRY } else { AGAIN };
        self.done.extend(due.iter().map(|one| (key_of(one), (one.version, again(one)))));
    }
}

impl Existing {
    /// Judges all objects that are meant: how many there were, and which rules miss some of theirs.
    async fn carry_out(&self, due: &[Standing]) -> (usize, HashSet<Key>) {
        let (mut judged, mut late) = (0, HashSet::new());
        let kinds = match self.kinds(due).await {
            Ok(kinds) => kinds,
            Err(error) => {
                self.worker.metrics.written("failed");
                tracing::warn!(error = error.chain(), "the server's kinds cannot be read");
                return (0, due.iter().map(key_of).collect());
            }
        };
        for (kind, meant) in kinds {
            match self.of_kind(&kind, &meant).await {
                Ok(count) => judged += count,
                Err(error) => {
                    self.worker.metrics.written("failed");
                    late.extend(meant.into_iter().map(key_of));
                    let (kind, error) = (&kind.resource.kind, error.chain());
                    tracing::warn!(kind, error, "objects cannot be listed: nothing is done for those that are there");
                }
            }
        }
        (judged, late)
    }

    /// The kinds that are meant, each with what means it: of several versions the preferred one, where it is meant.
    async fn kinds<'d>(&self, due: &'d [Standing]) -> Result<Vec<(Served, Vec<&'d Standing>)>, ClusterError> {
        let targets = || due.iter().flat_map(|one| &one.targets);
        let all = self.worker.cluster.served(|group| targets().any(|target| target.is_in_group(group))).await?;
        let meaning = |one: &Served| due.iter().filter(|standing| means(standing, one)).collect::<Vec<_>>();
        let meant = all.into_iter().filter(|one| one.can("list") && !meaning(one).is_empty());
        let with_meaning = |one: Served| {
            let by = meaning(&one);
            (one, by)
        };
        Ok(Served::one_version_each(meant).into_iter().map(with_meaning).collect())
    }

    /// Judges all objects of a kind.
    async fn of_kind(&self, kind: &Served, meant: &[&Standing]) -> Result<usize, ClusterError> {
        let (mut token, mut judged) = (String::new(), 0);
        // Policies of one namespace need no others.
        let own: BTreeSet<&str> = meant.iter().map(|one| one.policy.namespace.as_str()).collect();
        let only = own.first().filter(|_| own.len() == 1 && kind.is_namespaced).copied().unwrap_or_default();
        loop {
            let (objects, next) = self.worker.cluster.page(&kind.resource, (only, ""), &token).await?;
            for object in objects.into_iter().filter(|object| self.is_for_policies(object)) {
                judged += 1;
                self.judge(&kind.resource, meant, object).await;
            }
            if next.is_empty() {
                return Ok(judged);
            }
            token = next;
        }
    }

    /// Does for an object what each of the rules wants that mean it.
    async fn judge(&self, resource: &Resource, meant: &[&Standing], object: Value) {
        let is_asked = |operation: &Operation| meant.iter().any(|one| one.operation == *operation);
        for operation in [Operation::Create, Operation::Update].into_iter().filter(is_asked) {
            let request = Request {
                resource: resource.plural.clone(),
                received_at: Some(service::now()),
                ..Request::existing(object.clone(), operation)
            };
            let is_wanted = |verdict: &RuleVerdict| {
                let mut own = meant.iter().filter(|one| one.operation == operation && one.policy == *verdict.policy);
                own.any(|one| one.rule.is_empty() || one.rule == verdict.rule)
            };
            self.worker.carry_out(&request, &is_wanted).await;
        }
    }

    /// Whether policies are for an object that is there to stay.
    fn is_for_policies(&self, object: &Value) -> bool {
        !is_never_asked_about(object, &self.excluded) && object.pointer("/metadata/deletionTimestamp").is_none()
    }
}

/// A rule of a policy.
type Key = (PolicyRef, String);

fn key_of(one: &Standing) -> Key {
    (one.policy.clone(), one.rule.clone())
}

/// Whether a rule is about a kind.
fn means(standing: &Standing, one: &Served) -> bool {
    (one.is_namespaced || standing.policy.namespace.is_empty() || one.resource.kind == "Namespace")
        && are_about(&standing.targets, &one.resource)
}

/// How often the policies are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// After how long what is there is looked through again.
const AGAIN: Duration = Duration::from_secs(3_600);
/// After how long, where some of it could not be read.
const RETRY: Duration = Duration::from_secs(60);
