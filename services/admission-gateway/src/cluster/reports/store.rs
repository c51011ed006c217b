//! The reports that are there: read, written again when they say something else, taken away when there is nothing to say.

use std::collections::BTreeMap;

use kubernetes::{Cluster, ClusterError};
use serde_json::Value;

use super::kinds::ReportKinds;
use super::report::{OWN, Report, hash_of, is_own, text};
use crate::cluster::register::MANAGER;

/// A report that is there, without what it says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Head {
    hash: String,
    /// Group and kind of the object that it is about.
    pub(super) about: (String, String),
}

/// Reports by namespace and name.
pub(super) type Heads = BTreeMap<(String, String), Head>;

/// Reads and writes reports.
#[derive(Debug)]
pub(super) struct Store<'s> {
    pub(super) cluster: &'s Cluster,
    pub(super) kinds: &'s ReportKinds,
}

impl Store<'_> {
    /// The reports of the gateway.
    pub(super) async fn heads(&self) -> Result<Heads, ClusterError> {
        let mut heads = Heads::new();
        for resource in [&self.kinds.namespaced, &self.kinds.cluster_wide] {
            let mut token = String::new();
            loop {
                let (found, next) = self.cluster.page_of_heads(resource, ("", OWN), &token).await?;
                heads.extend(found.iter().map(head));
                if next.is_empty() {
                    break;
                }
                token = next;
            }
        }
        Ok(heads)
    }

    /// Sees to it that a report says what is to be said of an object; what was done. `known` is what was there a while ago.
    pub(super) async fn settle(
        &self,
        object: &Value,
        report: Option<&Report>,
        known: Option<&Head>,
    ) -> Result<&'static str, ClusterError> {
        let (namespace, name) = key_of(object);
        let Some(report) = report else { return self.remove(&namespace, &name).await };
        if known.is_some_and(|known| known.hash == report.hash) {
            return Ok("unchanged");
        }
        let resource = self.kinds.of(&namespace);
        let before = self.cluster.get(&resource.path(&namespace, &name)).await?;
        if before.as_ref().is_some_and(|before| !is_own(before)) {
            return Ok("foreign");
        }
        if before.as_ref().is_some_and(|before| hash_of(before) == report.hash) {
            return Ok("unchanged");
        }
        let manifest = report.manifest(self.kinds.form, before.as_ref(), service::now());
        self.cluster.apply_quietly(resource, &manifest, MANAGER).await?;
        Ok("written")
    }

    /// Takes a report away, if it is the gateway's.
    pub(super) async fn remove(&self, namespace: &str, name: &str) -> Result<&'static str, ClusterError> {
        let resource = self.kinds.of(namespace);
        match self.cluster.get(&resource.path(namespace, name)).await? {
            Some(report) if is_own(&report) => {
                self.cluster.delete_exactly(resource, &report, "").await?;
                Ok("deleted")
            }
            _ => Ok("unchanged"),
        }
    }
}

/// Where the report on an object is.
pub(super) fn key_of(object: &Value) -> (String, String) {
    (text(object, "/metadata/namespace"), text(object, "/metadata/uid"))
}

fn head(report: &Value) -> ((String, String), Head) {
    let api_version = text(report, "/metadata/ownerReferences/0/apiVersion");
    let group = api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
    let about = (group, text(report, "/metadata/ownerReferences/0/kind"));
    let key = (text(report, "/metadata/namespace"), text(report, "/metadata/name"));
    (key, Head { hash: hash_of(report), about })
}
