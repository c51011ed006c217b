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
mod lease;
mod manifest;
mod object;
mod reading;
mod restart;
mod status;
mod targets;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use futures::future::BoxFuture;
use kubernetes::{Cluster, Objects, Resource, Seen};
use schemas::ask::RotateHolder;
use secret_sync::{Credentials, Event, FetchProblem, ManifestSet, Report, Resolved, Store, StoreRef, WriteOrder};
use tokio::sync::{Semaphore, mpsc, watch};
use tracing::Instrument as _;

use self::lease::Candidate;
use self::manifest::Manifest;
use self::object::Held;
use self::reading::{Kind, Read};
use self::status::Conditions;
use self::targets::Written;
use crate::config::KubernetesConfig;
use crate::credentials::Vault;
use crate::holders::{self, Holder, Pod};
use crate::metrics::Metrics;
use crate::reconciler::{Work, route};

pub(crate) use lease::Leading;
pub(crate) use targets::{Standing, Target};

/// The cluster that is served.
#[derive(Debug)]
pub(crate) struct Home {
    cluster: Cluster,
    externals: watch::Receiver<Seen<Manifest>>,
    stores: [watch::Receiver<Seen<Manifest>>; 2],
    /// PushSecrets, and what fans out over namespaces; and the namespaces.
    others: [watch::Receiver<Seen<Manifest>>; 4],
    work: Option<watch::Sender<Arc<Work>>>,
    version: String,
    pods: watch::Receiver<Seen<Option<Pod>>>,
    targets: watch::Receiver<Seen<Target>>,
    /// The targets as this broker wrote them.
    written: Written,
    external_kind: Resource,
    conditions: Conditions,
    is_changed: bool,
    /// What was read of each object, so that only what changed is read again.
    read: Read,
    /// Stores as they are in force.
    in_force: BTreeMap<StoreRef, Arc<Store>>,
    leading: watch::Receiver<bool>,
    /// Stands for the lease once the service runs.
    candidate: Option<(Candidate, watch::Sender<bool>)>,
    calls: Arc<Semaphore>,
    credentials_asked: Option<tokio::time::Instant>,
    last_credentials: Option<String>,
    tokens: credentials::Tokens,
    /// Where the providers find credentials: told at once, also when no manifest changed.
    lent: Option<Vault>,
}

impl Home {
    /// Connects, finds the version of the kinds that the server has, and follows them.
    pub(crate) async fn open(config: &KubernetesConfig, identity: String) -> anyhow::Result<Self> {
        let cluster = Cluster::connect(config.kubeconfig.as_deref()).await.context("cannot use the cluster")?;
        let version = version(&cluster).await.context(
            "the cluster does not have the kinds of external-secrets.io: apply the manifests of services/secret-broker/crds",
        )?;
        let kind = |kind: &str, plural: &str| Resource::new(GROUP, &version, kind, plural);
        let external_kind = kind("ExternalSecret", "externalsecrets");
        tracing::info!(url = cluster.url(), version, "serving a cluster");
        let (leads, leading) = watch::channel(false);
        let candidate = Candidate::new(cluster.clone(), &config.lease, identity);
        let calls = Arc::new(Semaphore::new(CALLS_AT_ONCE));
        let follow = |resource: &Resource| cluster.follow_kept(resource, "", Manifest::keep);
        let alpha = |kind: &str, plural: &str| Resource::new(GROUP, "v1alpha1", kind, plural);
        Ok(Self {
            read: Read::default(),
            in_force: BTreeMap::new(),
            leading,
            candidate: Some((candidate, leads)),
            externals: follow(&external_kind),
            stores: [
                follow(&kind("SecretStore", "secretstores")),
                follow(&kind("ClusterSecretStore", "clustersecretstores")),
            ],
            others: [
                follow(&alpha("PushSecret", "pushsecrets")),
                follow(&kind("ClusterExternalSecret", "clusterexternalsecrets")),
                follow(&alpha("ClusterPushSecret", "clusterpushsecrets")),
                cluster.follow_heads(&Resource::new("", "v1", "Namespace", "namespaces"), "", Manifest::keep_labels),
            ],
            work: None,
            version: version.clone(),
            pods: cluster.follow_kept(&Resource::new("", "v1", "Pod", "pods"), "", |pod| holders::pod(&pod)),
            targets: cluster.follow_heads(&object::secrets(), object::MANAGED, |secret| Target::keep(&secret)),
            written: Written::default(),
            conditions: Conditions::new(cluster.clone(), external_kind.clone(), Arc::clone(&calls)),
            calls,
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

    /// Stands for the lease from now on.
    pub(crate) fn stand(&mut self, context: &service::Context, metrics: Metrics) -> Leading {
        if let Some((candidate, leads)) = self.candidate.take() {
            context.spawn(candidate.run(context.clone(), leads, metrics));
        }
        self.leading.clone()
    }

    /// Takes what is the reconciler's from what was read.
    fn route(&mut self, resolved: &mut Resolved) {
        let others = self.read.others(&resolved.set);
        let mut work = route(resolved, others.iter());
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
        // The reconciler looks whether its targets are there.
        let are_targets_new = self.targets.has_changed().unwrap_or(false);
        self.targets.mark_unchanged();
        if !is_read {
            return None;
        }
        let is_due = self.credentials_asked.is_none_or(|asked| asked.elapsed() >= CREDENTIALS_AGAIN);
        if !self.is_changed && are_targets_new {
            self.retarget();
        }
        if !self.is_changed && (!is_due || !self.are_credentials_new().await) {
            return None;
        }
        let mut resolved = self.read.all(&self.kinds()).resolve();
        self.route(&mut resolved);
        self.in_force.clone_from(&resolved.set.stores);
        self.credentials_asked = Some(tokio::time::Instant::now());
        let fingerprint = credentials::gather(&self.cluster, &mut self.tokens, &mut resolved).await;
        if let Some(lent) = &self.lent {
            lent.replace(resolved.credentials.clone());
        }
        self.is_changed = false;
        self.last_credentials = Some(fingerprint);
        self.conditions.refused(&resolved.faults, &self.externals.borrow().objects);
        Some(resolved)
    }

    /// Everything that is followed, stores first.
    fn kinds(&self) -> [Kind; 7] {
        let parsed = |name, seen: &watch::Receiver<Seen<Manifest>>| {
            let objects = Arc::clone(&seen.borrow().objects);
            Kind { name, is_parsed: true, objects }
        };
        let plain = |name, seen| Kind { is_parsed: false, ..parsed(name, seen) };
        let ([stores, cluster_stores], [pushes, fanned, fanned_pushes, namespaces]) = (&self.stores, &self.others);
        [
            parsed("SecretStore", stores),
            parsed("ClusterSecretStore", cluster_stores),
            parsed(reading::EXTERNAL, &self.externals),
            plain("PushSecret", pushes),
            plain("ClusterExternalSecret", fanned),
            plain("ClusterPushSecret", fanned_pushes),
            plain("Namespace", namespaces),
        ]
    }

    /// Looks at the credentials of the stores in force again, lends them, and says whether one of them is another than before.
    async fn are_credentials_new(&mut self) -> bool {
        self.credentials_asked = Some(tokio::time::Instant::now());
        let set = ManifestSet { stores: self.in_force.clone(), ..ManifestSet::default() };
        let mut resolved = Resolved { set, credentials: Credentials::default(), faults: Vec::new() };
        let fingerprint = credentials::gather(&self.cluster, &mut self.tokens, &mut resolved).await;
        if let Some(lent) = &self.lent {
            lent.replace(resolved.credentials);
        }
        self.last_credentials.as_ref() != Some(&fingerprint)
    }

    /// Tells the reconciler which targets are there.
    fn retarget(&self) {
        let Some(to) = &self.work else { return };
        let targets = self.targets.borrow();
        if targets.is_complete && !to.borrow().objects.is_empty() {
            let targets = Arc::clone(&targets.objects);
            to.send_modify(|work| *work = Arc::new(Work { targets: Some(targets), ..(**work).clone() }));
        }
    }

    /// The pods, when they changed.
    pub(crate) fn pods(&mut self) -> Option<Arc<Objects<Option<Pod>>>> {
        let is_new = self.pods.has_changed().unwrap_or(false);
        is_new.then(|| Arc::clone(&self.pods.borrow_and_update().objects))
    }

    /// How the target stands. Before the Secrets were listed once, everything is believed to be as it was written.
    pub(crate) fn standing(&self, namespace: &str, name: &str) -> Standing {
        let seen = self.targets.borrow();
        if !seen.is_complete {
            return Standing::AsWritten;
        }
        let place = format!("{namespace}/{name}");
        let target = seen.objects.get(&place).map(AsRef::as_ref);
        self.written.standing(&place, target, std::time::Instant::now())
    }

    /// Targets that are ours, as namespace, name and the manifest that they belong to.
    pub(crate) fn owned(&self) -> Vec<(String, String, String)> {
        let objects = Arc::clone(&self.targets.borrow().objects);
        objects.iter().filter_map(|(place, target)| target.owned(place)).collect()
    }

    /// Applies or removes a target; the outcome comes back as an event.
    pub(crate) fn write(&self, order: WriteOrder, events: mpsc::Sender<Event>) {
        let place = format!("{}/{}", order.external.namespace, order.external.name);
        let head = self.externals.borrow().objects.get(&place).map(|manifest| manifest.head()).unwrap_or_default();
        let (cluster, kind, written) = (self.cluster.clone(), self.external_kind.clone(), self.written.clone());
        let held = self.held(&order.external.namespace, &order.external.target.name);
        let (calls, leading) = (Arc::clone(&self.calls), self.leading.clone());
        let span = tracing::info_span!("write", manifest = order.subject);
        let write = async move {
            // The semaphore is never closed.
            let _permit = calls.acquire_owned().await;
            let outcome = if *leading.borrow() {
                // What waits for its turn takes no room for the call.
                let write = Box::pin(object::write(&cluster, (&kind, &head), (&order, held)));
                tokio::time::timeout(LONGEST_WRITE, write).await.unwrap_or_else(|_| {
                    let remedy = "see the API server; the last good content stays, and it is tried again";
                    Err(problem("could not update secret: the API server does not answer", remedy))
                })
            } else {
                Err(problem("this broker leads no more", "another one goes on; see the Lease"))
            };
            let outcome = outcome.map(|applied| written.note(&order.external, &applied));
            // A pipeline that has ended needs no answer.
            let _ = events.send(Event::Written { subject: order.subject, outcome }).await;
        };
        tokio::spawn(write.instrument(span));
    }

    /// What is known of a target without asking.
    fn held(&self, namespace: &str, name: &str) -> Held {
        let seen = self.targets.borrow();
        match (seen.is_complete, seen.objects.get(&format!("{namespace}/{name}"))) {
            (false, _) => Held::Unknown,
            (true, None) => Held::Nothing,
            (true, Some(target)) => Held::Marked(Arc::clone(target)),
        }
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
        let place = format!("{}/{}", report.external.namespace, report.external.target.name);
        self.conditions.report((report, self.written.change(&place)), &self.externals.borrow().objects);
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

const GROUP: &str = "external-secrets.io";
/// Calls of the API server at the same time, for Secrets and for conditions.
const CALLS_AT_ONCE: usize = 48;
/// How long a write may take: shorter than a lease is, so that none is on its way when another broker leads.
const LONGEST_WRITE: std::time::Duration = std::time::Duration::from_secs(8);
/// How often credentials are looked at again without any change of a manifest.
const CREDENTIALS_AGAIN: std::time::Duration = std::time::Duration::from_secs(10);
