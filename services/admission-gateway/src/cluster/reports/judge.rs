//! Objects judged one after the other, with what policies look up besides.

use std::collections::BTreeSet;
use std::sync::Arc;

use admission_policy::{MissingFact, PolicySet, Request, Scan, Snapshot};
use kubernetes::Resource;
use serde_json::Value;

use crate::cluster::gather::{Gathered, Gatherer};
use crate::facts::Facts;
use crate::signatures::{PullSecrets, Signatures};

/// Where facts come from.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    pub(crate) gatherer: Gatherer,
    pub(crate) signatures: Signatures,
    pub(crate) facts: Facts,
}

/// Judges some objects. What is gathered for one serves the next as well, so keep it no longer than facts may be old.
#[derive(Debug)]
pub(super) struct Judge<'m> {
    means: &'m Means,
    policies: Arc<PolicySet>,
    gathered: Gathered,
    /// The facts with what was gathered.
    snapshot: Arc<Snapshot>,
    /// What was asked for already, whatever came of it.
    asked: BTreeSet<MissingFact>,
}

impl<'m> Judge<'m> {
    pub(super) fn new(means: &'m Means, policies: Arc<PolicySet>) -> Self {
        let snapshot = means.facts.now();
        Self { means, policies, gathered: Gathered::default(), snapshot, asked: BTreeSet::new() }
    }

    /// What the policies say of an object; `None` when they cannot.
    pub(super) async fn scan(&mut self, resource: &Resource, object: Value) -> Option<Scan> {
        let request = Request {
            resource: resource.plural.clone(),
            received_at: Some(service::now()),
            ..Request::scanned(object)
        };
        let request = Arc::new(request);
        let mut scan = self.once(&request).await?;
        for _ in 0..ROUNDS {
            let is_new = |fact: &&MissingFact| !self.asked.contains(*fact);
            let missing: Vec<MissingFact> = scan.missing.iter().filter(is_new).take(MOST_FACTS).cloned().collect();
            self.asked.extend(missing.iter().cloned());
            if missing.is_empty() || !self.gather(&missing, &request).await {
                break;
            }
            scan = self.once(&request).await?;
        }
        Some(scan)
    }

    /// Not among the tasks that answer reviews: some policies take their time.
    async fn once(&self, request: &Arc<Request>) -> Option<Scan> {
        let (policies, snapshot) = (Arc::clone(&self.policies), Arc::clone(&self.snapshot));
        let judged = Arc::clone(request);
        let scan = tokio::task::spawn_blocking(move || policies.scan(&judged, &snapshot)).await;
        if scan.is_err() {
            let (kind, namespace, name) = (&request.kind.kind, &request.namespace, &request.name);
            tracing::error!(kind, namespace, name, "evaluation panicked: there is no report on this object");
        }
        scan.ok()
    }

    async fn gather(&mut self, missing: &[MissingFact], request: &Request) -> bool {
        let pulls = PullSecrets::of(request.subject());
        let (signed, found) = tokio::join!(
            self.means.signatures.gather(missing, &pulls, &self.means.facts),
            self.means.gatherer.gather_for(missing, &pulls, &mut self.gathered),
        );
        if signed || found {
            self.snapshot = Arc::new(self.gathered.add_to(&self.means.facts.now()));
        }
        signed || found
    }
}

/// Most facts that are gathered at a time.
const MOST_FACTS: usize = 50;
/// Most times that facts are gathered for one object.
const ROUNDS: usize = 6;
