//! The broker in a cluster: manifests, credentials and pods from its API server, Secrets applied to it, conditions on the manifests.
//!
//! ```text
//! ExternalSecrets, (Cluster)SecretStores --follow--> Documents
//! Secrets that stores name --get--> Credentials, in memory that is wiped
//! Secrets that are ours --follow, without their data--> which targets are there
//! pods --follow--> who holds what
//! Write, Remove --apply, delete--> Secrets; Report --apply--> conditions, events
//! ```

mod credentials;
mod object;
mod restart;
mod status;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use futures::future::BoxFuture;
use kubernetes::{Cluster, Resource, Seen};
use model::Fault;
use schemas::ask::RotateHolder;
use secret_sync::{Documents, Event, FetchProblem, Report, Resolved, SecretJson, WriteOrder, parse};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use zeroize::Zeroizing;

use self::status::Conditions;
use crate::credentials::Vault;
use crate::holders::Holder;
use crate::reconciler::{Work, route};

/// The cluster that is served.
#[derive(Debug)]
pub(crate) struct Home {
    cluster: Cluster,
    externals: watch::Receiver<Seen>,
    stores: [watch::Receiver<Seen>; 2],
    /// PushSecrets, and what fans out over namespaces; and the namespaces.
    others: [watch::Receiver<Seen>; 4],
    work: Option<watch::Sender<Arc<Work>>>,
    version: String,
    pods: watch::Receiver<Seen>,
    targets: watch::Receiver<Seen>,
    external_kind: Resource,
    conditions: Conditions,
    is_changed: bool,
    credentials_asked: Option<tokio::time::Instant>,
    last_credentials: Option<String>,
    tokens: credentials::Tokens,
    /// Where the providers find credentials: told at once, also when no manifest changed.
    lent: Option<Vault>,
}

impl Home {
    /// Connects, finds the version of the kinds that the server has, and follows them.
    pub(crate) async fn open(kubeconfig: Option<&Path>) -> anyhow::Result<Self> {
        let cluster = Cluster::connect(kubeconfig).await.context("cannot use the cluster")?;
        let version = version(&cluster).await.context(
            "the cluster does not have the kinds of external-secrets.io: apply the manifests of services/secret-broker/crds",
        )?;
        let kind = |kind: &str, plural: &str| Resource::new(GROUP, &version, kind, plural);
        let external_kind = kind("ExternalSecret", "externalsecrets");
        tracing::info!(url = cluster.url(), version, "serving a cluster");
        Ok(Self {
            externals: cluster.follow_some(&external_kind, "", &["status"]),
            stores: [
                cluster.follow_some(&kind("SecretStore", "secretstores"), "", &["status"]),
                cluster.follow_some(&kind("ClusterSecretStore", "clustersecretstores"), "", &["status"]),
            ],
            others: [
                cluster.follow_some(&Resource::new(GROUP, "v1alpha1", "PushSecret", "pushsecrets"), "", &["status"]),
                cluster.follow_some(&kind("ClusterExternalSecret", "clusterexternalsecrets"), "", &["status"]),
                cluster.follow_some(
                    &Resource::new(GROUP, "v1alpha1", "ClusterPushSecret", "clusterpushsecrets"),
                    "",
                    &["status"],
                ),
                cluster.follow_some(&Resource::new("", "v1", "Namespace", "namespaces"), "", &["status", "spec"]),
            ],
            work: None,
            version: version.clone(),
            pods: cluster.follow_some(&Resource::new("", "v1", "Pod", "pods"), "", &["status"]),
            targets: cluster.follow_some(&object::secrets(), object::MANAGED, &["data", "stringData"]),
            conditions: Conditions::new(cluster.clone(), external_kind.clone()),
            external_kind,
            cluster,
            is_changed: true,
            credentials_asked: None,
            last_credentials: None,
            tokens: credentials::Tokens::default(),
            lent: None,
        })
    }

    /// Tells credentials to `to` from now on.
    pub(crate) fn lend(&mut self, to: Vault) {
        self.lent = Some(to);
    }

    /// The API server, and the version of the kinds that it serves.
    pub(crate) fn server(&self) -> (Cluster, String) {
        (self.cluster.clone(), self.version.clone())
    }

    /// Tells what the machine does not serve to `to` from now on.
    pub(crate) fn hand_over(&mut self, to: watch::Sender<Arc<Work>>) {
        self.work = Some(to);
    }

    /// Takes what is the reconciler's from what was read.
    fn route(&self, resolved: &mut Resolved) {
        let watched = [&self.stores[0], &self.stores[1], &self.externals].into_iter().chain(&self.others);
        let objects: Vec<Arc<SecretJson>> = watched
            .flat_map(|seen| {
                seen.borrow().objects.values().cloned().map(SecretJson::new).map(Arc::new).collect::<Vec<_>>()
            })
            .collect();
        let mut work = route(resolved, objects.iter());
        let targets = self.targets.borrow();
        work.targets = targets.is_complete.then(|| Arc::clone(&targets.objects));
        if let Some(to) = &self.work {
            to.send_replace(Arc::new(work));
        }
    }

    /// The manifests with the credentials of their stores, when something of them changed since the last time. `None` before
    /// everything was read once.
    pub(crate) async fn changed(&mut self) -> Option<Resolved> {
        let is_read = [&self.externals, &self.stores[0], &self.stores[1]].iter().all(|seen| seen.borrow().is_complete);
        for seen in [&mut self.externals].into_iter().chain(&mut self.stores).chain(&mut self.others) {
            self.is_changed |= seen.has_changed().unwrap_or(false);
            seen.mark_unchanged();
        }
        if !is_read {
            return None;
        }
        let is_due = self.credentials_asked.is_none_or(|asked| asked.elapsed() >= CREDENTIALS_AGAIN);
        if !self.is_changed && !is_due {
            return None;
        }
        let mut documents = Documents::default();
        for seen in [&self.stores[0], &self.stores[1], &self.externals] {
            let objects = Arc::clone(&seen.borrow().objects);
            for (name, object) in objects.iter() {
                let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
                let text = Zeroizing::new(object.to_string());
                parse(&format!("cluster:{kind}/{}", name.trim_start_matches('/')), &text, &mut documents);
            }
        }
        let mut resolved = documents.resolve();
        self.route(&mut resolved);
        self.credentials_asked = Some(tokio::time::Instant::now());
        let fingerprint = credentials::gather(&self.cluster, &mut self.tokens, &mut resolved).await;
        if let Some(lent) = &self.lent {
            lent.replace(resolved.credentials.clone());
        }
        let are_credentials_new = self.last_credentials.as_ref() != Some(&fingerprint);
        if !std::mem::take(&mut self.is_changed) && !are_credentials_new {
            return None;
        }
        self.last_credentials = Some(fingerprint);
        self.conditions.refused(&resolved.faults, &self.externals.borrow().objects);
        Some(resolved)
    }

    /// The pods, when they changed.
    pub(crate) fn pods(&mut self) -> Option<Arc<BTreeMap<String, Value>>> {
        let is_new = self.pods.has_changed().unwrap_or(false);
        is_new.then(|| Arc::clone(&self.pods.borrow_and_update().objects))
    }

    /// Whether the target is there. Before the Secrets were listed once, everything is believed to be.
    pub(crate) fn is_there(&self, namespace: &str, name: &str) -> bool {
        let seen = self.targets.borrow();
        !seen.is_complete || seen.objects.contains_key(&format!("{namespace}/{name}"))
    }

    /// Targets that are ours, as namespace, name and the manifest that they belong to.
    pub(crate) fn owned(&self) -> Vec<(String, String, String)> {
        let objects = Arc::clone(&self.targets.borrow().objects);
        objects.values().filter_map(object::owner).collect()
    }

    /// Applies or removes a target; the outcome comes back as an event.
    pub(crate) fn write(&self, order: WriteOrder, events: mpsc::Sender<Event>) {
        let place = format!("{}/{}", order.external.namespace, order.external.name);
        let manifest = self.externals.borrow().objects.get(&place).cloned().unwrap_or_default();
        let (cluster, kind) = (self.cluster.clone(), self.external_kind.clone());
        tokio::spawn(async move {
            let outcome = object::write(&cluster, (&kind, &manifest), &order).await;
            // A pipeline that has ended needs no answer.
            let _ = events.send(Event::Written { subject: order.subject, outcome }).await;
        });
    }

    /// Removes the target of a manifest that is gone, unless it is somebody else's.
    pub(crate) fn remove(&self, namespace: String, name: String) {
        let cluster = self.cluster.clone();
        tokio::spawn(async move {
            if let Err(problem) = object::remove(&cluster, &namespace, &name).await {
                tracing::error!(namespace, target = name, reason = problem.what, "target cannot be removed");
            }
        });
    }

    /// Evicts the pods that keep an old version, so that what controls them makes new ones; budgets for disruption hold.
    pub(crate) fn restart(&self, holders: Vec<Holder>) -> BoxFuture<'static, Vec<RotateHolder>> {
        restart::all(self.cluster.clone(), holders)
    }

    /// Says on the manifest what came of it.
    pub(crate) fn report(&mut self, report: &Report) {
        self.conditions.report(report, &self.externals.borrow().objects);
    }
}

/// The newest version of the kinds that the server serves.
async fn version(cluster: &Cluster) -> Option<String> {
    let about = cluster.get(&format!("/apis/{GROUP}")).await.ok()??;
    let versions = about.get("versions")?.as_array()?;
    let names: Vec<&str> = versions.iter().filter_map(|version| version.get("version")?.as_str()).collect();
    ["v1", "v1beta1"].into_iter().find(|version| names.contains(version)).map(str::to_owned)
}

/// A problem with the cluster itself.
pub(crate) fn problem(what: impl Into<String>, remedy: &str) -> FetchProblem {
    FetchProblem { what: what.into(), remedy: remedy.to_owned(), is_check_refused: false }
}

/// What faults say about a manifest: those that set it aside.
pub(crate) fn set_aside<'f>(faults: &'f [Fault], subject: &str) -> Option<&'f Fault> {
    faults.iter().find(|fault| fault.subject == subject && fault.kind != model::FaultKind::Warning)
}

const GROUP: &str = "external-secrets.io";
/// How often credentials are looked at again without any change of a manifest.
const CREDENTIALS_AGAIN: std::time::Duration = std::time::Duration::from_secs(10);
