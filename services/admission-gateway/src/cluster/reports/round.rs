//! One look at objects: each is judged, and its report written where it says something new.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use admission_policy::PolicySet;
use kubernetes::{ClusterError, Resource, Served};
use serde_json::{Value, json};

use super::Reports;
use super::judge::Judge;
use super::kinds::ReportKinds;
use super::report::{Report, text};
use super::store::{Heads, Store, key_of};
use crate::cluster::register::is_never_asked_about;

/// What one look has at hand.
#[derive(Debug)]
pub(super) struct Round<'r> {
    reports: &'r Reports,
    store: Store<'r>,
    policies: Arc<PolicySet>,
    /// The reports that were there, without those of which the objects were seen; `None` where nobody asked for all of them.
    heads: Option<Heads>,
    /// How many objects were judged.
    pub(super) objects: u64,
    /// How many reports somebody else wrote.
    pub(super) foreign: u64,
}

impl<'r> Round<'r> {
    /// A look at single objects.
    pub(super) fn new(reports: &'r Reports, targets: &'r ReportKinds, policies: Arc<PolicySet>) -> Self {
        let store = Store { cluster: &reports.cluster, kinds: targets };
        Self { reports, store, policies, heads: None, objects: 0, foreign: 0 }
    }

    /// Whoever judges the objects.
    pub(super) fn judge(&self) -> Judge<'r> {
        Judge::new(&self.reports.means, Arc::clone(&self.policies))
    }

    /// Looks at all objects of some kinds, and takes away the reports on others.
    pub(super) async fn everything(&mut self, kinds: &[Served], served: &[Served]) -> Result<(), ClusterError> {
        self.heads = Some(self.store.heads().await?);
        let mut unknown = BTreeSet::new();
        for Served { resource, .. } in kinds {
            if let Err(error) = self.of_kind(resource).await {
                self.reports.metrics.reported("failed");
                let (kind, error) = (&resource.kind, error.chain());
                tracing::warn!(kind, error, "objects cannot be listed: the reports on them stay as they are");
                unknown.insert((resource.group.clone(), resource.kind.clone()));
            }
        }
        self.clear(served, &unknown).await;
        Ok(())
    }

    async fn of_kind(&mut self, resource: &Resource) -> Result<(), ClusterError> {
        let mut token = String::new();
        loop {
            let (objects, next) = self.reports.cluster.page(resource, ("", ""), &token).await?;
            let mut judge = self.judge();
            for object in objects {
                self.object(&mut judge, resource, object).await;
            }
            if next.is_empty() {
                return Ok(());
            }
            token = next;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Looks at one object.
    pub(super) async fn object(&mut self, judge: &mut Judge<'_>, resource: &Resource, object: Value) {
        if self.is_excluded(&object) || is_of_deployment(&object) {
            return;
        }
        let known = self.heads.as_mut().and_then(|heads| heads.remove(&key_of(&object)));
        if object.pointer("/metadata/deletionTimestamp").is_some() {
            return;
        }
        self.objects += 1;
        let head = head_of(&object);
        let Some(scan) = judge.scan(resource, object).await else {
            self.reports.metrics.reported("failed");
            return;
        };
        let report = Report::of(&head, &scan, &self.policies);
        let is_known_to_have_none = self.heads.is_some() && known.is_none();
        if report.is_none() && is_known_to_have_none {
            return;
        }
        match self.store.settle(&head, report.as_ref(), known.as_ref()).await {
            Ok(outcome) => {
                self.foreign += u64::from(outcome == "foreign");
                self.reports.metrics.reported(outcome);
            }
            Err(error) => {
                self.reports.metrics.reported("failed");
                let (namespace, name) = (text(&head, "/metadata/namespace"), text(&head, "/metadata/name"));
                tracing::warn!(
                    kind = resource.kind,
                    namespace,
                    name,
                    error = error.chain(),
                    "a report cannot be written"
                );
            }
        }
    }

    /// Takes away the reports on what is not looked at any more. Those on objects that could not be listed stay.
    async fn clear(&self, served: &[Served], unknown: &BTreeSet<(String, String)>) {
        for ((namespace, name), head) in self.heads.iter().flatten() {
            let (group, kind) = &head.about;
            let is_served = served.iter().any(|one| one.resource.group == *group && one.resource.kind == *kind);
            if !is_served || unknown.contains(&head.about) {
                continue;
            }
            match self.store.remove(namespace, name).await {
                Ok(outcome) => self.reports.metrics.reported(outcome),
                Err(error) => {
                    self.reports.metrics.reported("failed");
                    tracing::warn!(kind, namespace, name, error = error.chain(), "a report cannot be deleted");
                }
            }
        }
    }

    fn is_excluded(&self, object: &Value) -> bool {
        is_never_asked_about(object, &self.reports.excluded)
    }
}

/// Whether the object is a revision of a deployment, which says the same.
fn is_of_deployment(object: &Value) -> bool {
    object.get("kind").and_then(Value::as_str) == Some("ReplicaSet")
        && object.pointer("/metadata/ownerReferences/0/kind").and_then(Value::as_str) == Some("Deployment")
}

/// What a report says of an object itself.
fn head_of(object: &Value) -> Value {
    let mut head = json!({ "metadata": {} });
    for key in ["apiVersion", "kind"] {
        head[key] = Value::from(text(object, &format!("/{key}")));
    }
    for key in ["name", "namespace", "uid"] {
        head["metadata"][key] = Value::from(text(object, &format!("/metadata/{key}")));
    }
    head
}

/// How long the server is left alone after each page of objects.
const PAUSE: Duration = Duration::from_millis(100);
