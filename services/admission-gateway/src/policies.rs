//! The policies in force: loaded from a folder, swapped whole, never half.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use admission_policy::PolicySet;
use arc_swap::{ArcSwap, ArcSwapOption};
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
    /// What is wrong with those that were set aside; `None` until they were loaded.
    faults: Arc<ArcSwapOption<Vec<Fault>>>,
}

impl Policies {
    /// Loads the folder, and what the cluster has, and follows their changes.
    pub(crate) fn watch(
        context: &Context,
        (folder, cluster): (&Path, Option<PolicyTexts>),
        publisher: Publisher,
    ) -> Self {
        let set = Arc::new(ArcSwap::from_pointee(PolicySet::default()));
        let policies = Self { set, faults: Arc::default() };
        let watcher = Watcher {
            policies: policies.clone(),
            folder: folder.to_owned(),
            cluster,
            publisher,
            ready: context.readiness.part("policies"),
            context: context.clone(),
        };
        context.spawn_vital("policies", watcher.run());
        policies
    }

    /// Whether they were read once.
    pub(crate) fn are_loaded(&self) -> bool {
        self.faults.load().is_some()
    }

    /// Whether a policy of this name may have been set aside for its faults. A file that cannot be read may hold any policy.
    pub(crate) fn is_set_aside(&self, name: &str) -> bool {
        let named =
            |fault: &Fault| fault.subject.is_empty() || fault.subject.split([' ', ',']).any(|word| word == name);
        self.faults.load().as_ref().is_none_or(|faults| faults.iter().any(named))
    }

    /// The set that is in force now, and what is wrong with the policies; `None` until they were loaded.
    pub(crate) fn loaded(&self) -> Option<(Arc<PolicySet>, Arc<Vec<Fault>>)> {
        let faults = self.faults.load_full()?;
        Some((self.now(), faults))
    }

    /// The set that is in force now.
    pub(crate) fn now(&self) -> Arc<PolicySet> {
        self.set.load_full()
    }
}

struct Watcher {
    policies: Policies,
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
        self.policies.set.store(Arc::new(set));
        self.policies.faults.store(Some(Arc::new(faults.clone())));
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
