//! Existing objects that policies change once a request was let in.

use std::collections::BTreeSet;

use admission_policy::{ChangedTarget, PolicyRef, RuleVerdict};
use kubernetes::ClusterError;
use serde_json::{Value, json};

use super::afterwards::Worker;
use super::origin::{Id, text};
use super::register::MANAGER;

/// A change that a rule wants: the policy, the rule, the object and the part of it.
pub(super) type Wish = (PolicyRef, String, Id, String);

impl Worker {
    /// Makes the changes of a rule, or some of them; notes those whose objects others changed meanwhile.
    pub(super) async fn change_all(
        &self,
        verdict: &RuleVerdict,
        only: Option<&BTreeSet<Wish>>,
        stale: &mut BTreeSet<Wish>,
    ) {
        for target in &verdict.targets {
            let (policy, part) = (PolicyRef::clone(&verdict.policy), target.subresource.clone());
            let wish = (policy, verdict.rule.clone(), Id::of(&target.object), part);
            if only.is_some_and(|only| !only.contains(&wish)) {
                continue;
            }
            match self.change(target).await {
                Ok(Change::Stale) => drop(stale.insert(wish)),
                Ok(Change::Done(outcome)) => self.told(Ok(outcome), verdict, &target.object),
                Err(error) => self.told(Err(error), verdict, &target.object),
            }
        }
    }

    /// Changes an existing object, unless it is no longer as the policy saw it.
    async fn change(&self, target: &ChangedTarget) -> Result<Change, ClusterError> {
        let object = &target.object;
        let found = self.cluster.resource_of(&text(object, "/apiVersion"), &text(object, "/kind")).await?;
        let Some((resource, namespaced)) = found else { return Ok(Change::Done("failed")) };
        let namespace = if namespaced { text(object, "/metadata/namespace") } else { String::new() };
        let path = resource.path(&namespace, &text(object, "/metadata/name"));
        // What is gone needs no change any more.
        let Some(stored) = self.cluster.get(&path).await? else { return Ok(Change::Done("unchanged")) };
        let version = text(object, "/metadata/resourceVersion");
        let is_stale = |stored: &Value| !version.is_empty() && text(stored, "/metadata/resourceVersion") != version;
        if is_stale(&stored) {
            return Ok(Change::Stale);
        }
        let mut operations = serde_json::to_value(json_patch::diff(&stored, object)).unwrap_or_default();
        let Some(list) = operations.as_array_mut().filter(|list| !list.is_empty()) else {
            return Ok(Change::Done("unchanged"));
        };
        if !version.is_empty() {
            list.insert(0, json!({ "op": "test", "path": "/metadata/resourceVersion", "value": version }));
        }
        let part = if target.subresource.is_empty() { String::new() } else { format!("/{}", target.subresource) };
        let written = self.cluster.patch(&format!("{path}{part}?fieldManager={MANAGER}"), &operations).await;
        match written {
            Ok(Some(_)) => Ok(Change::Done("written")),
            Ok(None) => Ok(Change::Done("unchanged")),
            Err(error) => match self.cluster.get(&path).await {
                Ok(Some(stored)) if is_stale(&stored) => Ok(Change::Stale),
                Ok(None) => Ok(Change::Done("unchanged")),
                Ok(Some(_)) | Err(_) => Err(error),
            },
        }
    }
}

/// What came of a change.
enum Change {
    Done(&'static str),
    /// Another changed the object meanwhile.
    Stale,
}
