//! The policies in force: loaded from a folder, swapped whole, never half.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use admission_policy::PolicySet;
use arc_swap::ArcSwap;
use bus::{Class, Outgoing, Publisher};
use kubernetes::manifests::{self, Listing};
use model::{Fault, FaultKind, Identity};
use schemas::Token;
use schemas::deploy::v1::PolicyChanged;
use service::{Context, ReadyHandle};

use crate::cluster::PolicyTexts;

/// The policies in force. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Policies {
    set: Arc<ArcSwap<PolicySet>>,
}

impl Policies {
    /// Loads the folder, and what the cluster has, and follows their changes.
    pub(crate) fn watch(
        context: &Context,
        (folder, cluster): (&Path, Option<PolicyTexts>),
        publisher: Publisher,
    ) -> Self {
        let policies = Self { set: Arc::new(ArcSwap::from_pointee(PolicySet::default())) };
        let watcher = Watcher {
            set: policies.set.clone(),
            folder: folder.to_owned(),
            cluster,
            publisher,
            ready: context.readiness.part("policies"),
            context: context.clone(),
        };
        context.spawn_vital("policies", watcher.run());
        policies
    }

    /// The set that is in force now.
    pub(crate) fn now(&self) -> Arc<PolicySet> {
        self.set.load_full()
    }
}

struct Watcher {
    set: Arc<ArcSwap<PolicySet>>,
    folder: PathBuf,
    cluster: Option<PolicyTexts>,
    publisher: Publisher,
    ready: ReadyHandle,
    context: Context,
}

impl Watcher {
    async fn run(self) -> anyhow::Result<()> {
        let mut before: Option<(Listing, Texts)> = None;
        loop {
            let of_cluster = self.cluster.as_ref().map(|texts| texts.borrow().clone());
            match (manifests::list(&self.folder), of_cluster) {
                // Without the cluster's own policies nothing is judged yet.
                (_, Some(None)) => self.ready.waiting("the cluster's policies are not read yet"),
                (Ok(listing), of_cluster) => {
                    let now = (listing, of_cluster.flatten().unwrap_or_default());
                    if before.as_ref() != Some(&now) {
                        self.load(&now.0, &now.1).await;
                        before = Some(now);
                        self.ready.ready();
                    }
                }
                // The policies that are loaded stay in force.
                (Err(error), _) => tracing::warn!(folder = %self.folder.display(), %error, "policies cannot be listed"),
            }
            tokio::select! {
                () = self.context.shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn load(&self, listing: &Listing, of_cluster: &Texts) {
        let (texts, unreadable) = listing.read();
        let all = texts.iter().chain(of_cluster.iter());
        let files: Vec<(&str, &str)> = all.map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let (set, mut faults) = PolicySet::load(files);
        let cannot = |(name, error): (String, std::io::Error)| {
            Fault::new(FaultKind::Invalid, &name, format!("unreadable: {error}"))
        };
        faults.extend(unreadable.into_iter().map(cannot));
        let data = changed(&set, &faults);
        tracing::info!(policies = data.policies.len(), set_aside = faults.len(), "policies loaded");
        self.set.store(Arc::new(set));
        self.context.faults.replace("policies", faults);
        let outgoing = Outgoing {
            time: service::now(),
            key: Token::lossy("cluster"),
            identity: Identity::default(),
            class: Class::Normal,
            id: None,
            data,
        };
        if let Err(error) = self.publisher.publish(outgoing).await {
            tracing::error!(%error, "policy change was not published");
        }
    }
}

type Texts = Arc<Vec<(String, String)>>;

const LOOK: Duration = Duration::from_millis(500);

fn changed(set: &PolicySet, faults: &[Fault]) -> PolicyChanged {
    PolicyChanged {
        policies: set.summaries().into_iter().map(|summary| summary.name).collect(),
        exceptions: set.exceptions(),
        faults: faults.iter().take(100).cloned().collect(),
    }
}
