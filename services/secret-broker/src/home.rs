//! Where manifests and pods come from, and where targets go: folders, or a cluster.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use futures::future::BoxFuture;
use model::Fault;
use schemas::ask::{RotateHolder, RotateOutcome};
use secret_sync::{CreationPolicy, Event, FetchProblem, Report, Resolved, WriteOrder};
use service::Context;
use tokio::sync::{mpsc, watch};

use crate::cluster::{self, Leading, Standing};
use crate::config::Config;
use crate::holders::{Holder, Holders};
use crate::manifests::Manifests;
use crate::metrics::Metrics;
use crate::reconciler::{Place, Rights, Work};
use crate::target::Targets;

/// The broker's home.
#[derive(Debug)]
pub(crate) enum Home {
    /// Folders.
    Folders(Box<Folders>),
    /// A cluster.
    Cluster(Box<cluster::Home>),
}

/// The folders of a home.
#[derive(Debug)]
pub(crate) struct Folders {
    manifests: Manifests,
    from: PathBuf,
    pods: Option<PathBuf>,
    targets: Arc<Targets>,
}

impl Home {
    /// The folders that the configuration names.
    pub(crate) fn folders(config: &Config) -> anyhow::Result<Self> {
        let targets = Targets::open(&config.targets)
            .with_context(|| format!("cannot use service.targets {}", config.targets.display()))?;
        let (from, pods, targets) = (config.manifests.clone(), config.pods.clone(), Arc::new(targets));
        Ok(Self::Folders(Box::new(Folders { manifests: Manifests::default(), from, pods, targets })))
    }

    /// Stands for the lease of a cluster from now on; says whether this broker leads. Folders have one broker.
    pub(crate) fn stand(&mut self, context: &Context, metrics: &Metrics) -> Leading {
        match self {
            Self::Folders(_) => {
                metrics.leading(true);
                watch::channel(true).1
            }
            Self::Cluster(home) => home.stand(context, metrics.clone()),
        }
    }

    /// Where the reconciler reads and writes, and the version of the kinds that are served. It is told its work through `to`.
    pub(crate) fn reconciled(&mut self, to: watch::Sender<Arc<Work>>) -> (Place, Rights, String) {
        match self {
            Self::Folders(folders) => {
                let inventory = Arc::default();
                folders.manifests.tell(to, Arc::clone(&inventory));
                (Place::Folder(folders.targets.clone()), Rights::Folder(inventory), "v1".to_owned())
            }
            Self::Cluster(home) => {
                home.hand_over(to);
                let (cluster, version) = home.server();
                (Place::Cluster(cluster.clone()), Rights::Cluster(cluster), version)
            }
        }
    }

    /// The manifests, when they changed.
    pub(crate) async fn changed(&mut self) -> Option<Resolved> {
        match self {
            Self::Folders(folders) => folders.manifests.changed(&folders.from),
            Self::Cluster(home) => home.changed().await,
        }
    }

    /// Tells `holders` the pods when they changed; gives what is wrong with their manifests.
    pub(crate) fn pods(&mut self, holders: &mut Holders) -> Option<Vec<Fault>> {
        match self {
            Self::Folders(folders) => holders.changed(folders.pods.as_deref()?),
            Self::Cluster(home) => {
                let pods = home.pods()?;
                let left_out = holders.replace(pods.values().map(|pod| pod.as_ref().as_ref()));
                if left_out > 0 {
                    tracing::warn!(left_out, "pods without a spec or with a malformed uid");
                }
                Some(Vec::new())
            }
        }
    }

    /// How a target stands. A folder is this user's alone: only what is not there is noticed.
    pub(crate) fn standing(&self, namespace: &str, name: &str) -> Standing {
        match self {
            Self::Folders(folders) if folders.targets.is_there(namespace, name) => Standing::AsWritten,
            Self::Folders(_) => Standing::Lost,
            Self::Cluster(home) => home.standing(namespace, name),
        }
    }

    /// Removes targets whose manifest is not among `subjects`.
    pub(crate) fn sweep(&self, subjects: &BTreeSet<String>) {
        let owned = match self {
            Self::Folders(folders) => folders.targets.owned(),
            // A cluster removes what a manifest owns by itself.
            Self::Cluster(home) => home.owned().into_iter().filter(|(_, _, owner)| owner.is_empty()).collect(),
        };
        for (namespace, name, owner) in owned {
            if !owner.is_empty() && !subjects.contains(&owner) {
                self.remove(&namespace, &name);
            }
        }
    }

    /// Writes or removes a target: the outcome at once, or later as an event.
    pub(crate) fn write(
        &self,
        order: WriteOrder,
        events: &mpsc::Sender<Event>,
    ) -> Option<(String, Result<(), FetchProblem>)> {
        match self {
            Self::Folders(folders) => Some((order.subject.clone(), folders.write(&order))),
            Self::Cluster(home) => {
                home.write(order, events.clone());
                None
            }
        }
    }

    /// Removes the target of a manifest that is gone.
    pub(crate) fn remove(&self, namespace: &str, target: &str) {
        match self {
            Self::Folders(folders) => match folders.targets.remove(namespace, target) {
                Ok(()) => tracing::info!(namespace, target, "target of a removed manifest was removed"),
                Err(error) => tracing::error!(namespace, target, %error, "target cannot be removed"),
            },
            Self::Cluster(home) => home.remove(namespace.to_owned(), target.to_owned()),
        }
    }

    /// Restarts the pods that keep an old version, where this home can; says of each what was done.
    pub(crate) fn restart(&self, holders: Vec<Holder>) -> BoxFuture<'static, Vec<RotateHolder>> {
        match self {
            Self::Folders(_) => {
                let done = |holder: Holder| match holder.keeps() {
                    true => holder.with(RotateOutcome::Keeps, "pods of a folder are restarted by whoever runs them"),
                    false => holder.with(RotateOutcome::Follows, ""),
                };
                let all = holders.into_iter().map(done).collect();
                Box::pin(async move { all })
            }
            Self::Cluster(home) => home.restart(holders),
        }
    }

    /// Says at the manifest what came of it, where there is a place for that.
    pub(crate) fn report(&mut self, report: &Report) {
        if let Self::Cluster(home) = self {
            home.report(report);
        }
    }
}

impl Folders {
    fn write(&self, order: &WriteOrder) -> Result<(), FetchProblem> {
        let place = (order.external.namespace.as_str(), order.external.target.name.as_str());
        let owner = if order.external.target.creation == CreationPolicy::Owner { order.subject.as_str() } else { "" };
        let outcome = match &order.content {
            Some(content) => self.targets.write(place, owner, &content.data).map_err(|error| error.to_string()),
            None => self.targets.remove(place.0, place.1).map_err(|error| format!("cannot remove the target: {error}")),
        };
        let remedy = "make room in `service.targets`, and let the broker own what is in it".to_owned();
        outcome.map_err(|what| FetchProblem { what, remedy, is_check_refused: false })
    }
}
