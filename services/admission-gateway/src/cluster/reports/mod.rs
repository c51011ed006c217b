//! Reports on what is in the cluster: how each object stands to the policies that look at what is there already.
//!
//! ```text
//! start, other policies, every interval --> kinds that are meant --page by page--> objects --judge--> a report on each, if it says something new
//! objects that were let in ----------------------------------------one by one-----> the same
//! reports on what is not looked at any more, or of which there is nothing to say --> deleted
//! ```
//!
//! Everything is judged at each scan, for what policies look up may have changed; what a report says decides whether it is written.
//! Replicas may scan at the same time: they write the same.

mod judge;
mod kinds;
mod report;
mod round;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use admission_policy::{Operation, PolicySet, Request};
use arc_swap::ArcSwap;
use kubernetes::{Cluster, ClusterError, Resource};
use service::{Context, Readiness};
use tokio::sync::mpsc;
use tokio::time::Instant;

pub(crate) use self::judge::Means;
use self::kinds::{ReportKinds, meant};
use self::report::text;
use self::round::Round;
use super::{Repeated, repeat};
use crate::metrics::Metrics;
use crate::policies::Policies;

/// Writes reports.
#[derive(Debug)]
pub(crate) struct Reports {
    pub(crate) cluster: Cluster,
    pub(crate) means: Means,
    pub(crate) policies: Policies,
    pub(crate) metrics: Metrics,
    /// Namespaces of whose objects there are no reports.
    pub(crate) excluded: Vec<String>,
    /// How often everything is looked at.
    pub(crate) interval: Duration,
}

/// Takes word of objects that were let in. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Changes {
    queue: mpsc::Sender<Place>,
    /// The kinds that there are reports on.
    kinds: Arc<ArcSwap<Vec<Resource>>>,
}

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    resource: Resource,
    namespace: String,
    name: String,
}

impl Changes {
    /// Notes that an object may be another from now on. What cannot be noted is found by the next scan.
    pub(crate) fn note(&self, request: &Request) {
        let is_whole = request.subresource.is_empty() && !request.dry_run;
        if !is_whole || !matches!(request.operation, Operation::Create | Operation::Update) {
            return;
        }
        let kinds = self.kinds.load();
        let is_it = |kind: &&Resource| kind.plural == request.resource && kind.group == request.kind.group;
        let Some(resource) = kinds.iter().find(is_it) else { return };
        let name = text(request.subject(), "/metadata/name");
        if !name.is_empty() {
            let place = Place { resource: resource.clone(), namespace: request.namespace.clone(), name };
            let _ = self.queue.try_send(place);
        }
    }
}

impl Reports {
    /// Starts scanning.
    pub(crate) fn start(self, context: &Context) -> Changes {
        let (queue, noted) = mpsc::channel(MOST_NOTED);
        let kinds: Arc<ArcSwap<Vec<Resource>>> = Arc::default();
        let changes = Changes { queue, kinds: Arc::clone(&kinds) };
        let scanner = Scanner {
            reports: self,
            readiness: context.readiness.clone(),
            kinds,
            noted,
            waiting: BTreeMap::new(),
            scanned: None,
            seen: None,
            not_before: None,
            is_told: false,
            targets: None,
        };
        repeat(context, LOOK, scanner);
        changes
    }
}

struct Scanner {
    reports: Reports,
    readiness: Readiness,
    kinds: Arc<ArcSwap<Vec<Resource>>>,
    noted: mpsc::Receiver<Place>,
    /// Objects that changed, and since when that is known.
    waiting: BTreeMap<Place, Instant>,
    /// The policies of the last scan, and when it was.
    scanned: Option<(Arc<PolicySet>, Instant)>,
    /// The policies that are in force, and since when.
    seen: Option<(Arc<PolicySet>, Instant)>,
    /// A scan could not run: when the next is tried.
    not_before: Option<Instant>,
    /// It was said that the server has no kinds of reports.
    is_told: bool,
    /// The kinds of reports that it has.
    targets: Option<ReportKinds>,
}

impl Repeated for Scanner {
    async fn look(&mut self) {
        while self.waiting.len() < MOST_NOTED
            && let Ok(place) = self.noted.try_recv()
        {
            self.waiting.entry(place).or_insert_with(Instant::now);
        }
        // Without the facts about namespaces and images first verdicts would be wrong.
        if self.scanned.is_none() && !self.readiness.waiting().is_empty() {
            return;
        }
        if self.is_due() {
            self.scan().await;
        } else {
            self.changed().await;
        }
    }
}

impl Scanner {
    /// Whether everything is to be looked at: other policies are in force, and no more come at the moment, or it is long ago.
    fn is_due(&mut self) -> bool {
        let policies = self.reports.policies.now();
        let seen = self.seen.take().filter(|(seen, _)| Arc::ptr_eq(seen, &policies));
        let since = seen.map_or_else(Instant::now, |(_, since)| since);
        self.seen = Some((Arc::clone(&policies), since));
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        match &self.scanned {
            Some((scanned, at)) if Arc::ptr_eq(scanned, &policies) => at.elapsed() >= self.reports.interval,
            _ => since.elapsed() >= QUIET,
        }
    }

    async fn scan(&mut self) {
        let (policies, began) = (self.reports.policies.now(), Instant::now());
        self.not_before = Some(began + AGAIN);
        match self.everything(Arc::clone(&policies)).await {
            Ok(Some(objects)) => {
                self.reports.metrics.scanned(objects, began.elapsed());
                tracing::info!(objects, took = ?began.elapsed(), "a background scan ran");
                (self.scanned, self.not_before) = (Some((policies, began)), None);
            }
            Ok(None) => {}
            Err(error) => {
                self.reports.metrics.reported("failed");
                tracing::warn!(error = error.chain(), "a background scan could not run, trying again");
            }
        }
    }

    /// Asks which kinds of reports there are. That there are none is said once.
    async fn find_targets(&mut self) -> Result<Option<ReportKinds>, ClusterError> {
        self.targets = ReportKinds::find(&self.reports.cluster).await?;
        let is_missing = self.targets.is_none();
        if is_missing && !self.is_told {
            tracing::warn!(
                "the server has no kinds of reports, so nothing is scanned: apply PolicyReport and ClusterPolicyReport \
                 (wgpolicyk8s.io/v1alpha2, in the chart's folder `crds`), or set `background_scan_interval_s` to 0"
            );
        }
        self.is_told = is_missing;
        Ok(self.targets.clone())
    }

    /// Looks at all objects; how many there were, or `None` where no report can be written.
    async fn everything(&mut self, policies: Arc<PolicySet>) -> Result<Option<u64>, ClusterError> {
        let Some(targets) = self.find_targets().await? else { return Ok(None) };
        let served = self.reports.cluster.served(|_| true).await?;
        let kinds = meant(&served, &policies.scan_targets());
        self.kinds.store(Arc::new(kinds.iter().map(|kind| kind.resource.clone()).collect()));
        let mut round = Round::new(&self.reports, &targets, policies);
        round.everything(&kinds, &served).await?;
        if round.foreign > 0 {
            tracing::warn!(
                reports = round.foreign,
                "reports of somebody else stand where the gateway's would be, and stay: where nobody keeps them up to date, delete them \
                 (kubectl delete policyreports,clusterpolicyreports -A -l app.kubernetes.io/managed-by=kyverno)"
            );
        }
        Ok(Some(round.objects))
    }

    /// Looks at objects that changed.
    async fn changed(&mut self) {
        let is_due = |since: &Instant| since.elapsed() >= SETTLES;
        let due = self.waiting.iter().filter(|(_, since)| is_due(since)).map(|(place, _)| place.clone());
        let places: Vec<Place> = due.take(MOST_AT_ONCE).collect();
        self.waiting.retain(|place, _| !places.contains(place));
        let Some(targets) = self.targets.as_ref().filter(|_| !places.is_empty()) else { return };
        let mut round = Round::new(&self.reports, targets, self.reports.policies.now());
        let mut judge = round.judge();
        for Place { resource, namespace, name } in &places {
            match self.reports.cluster.get(&resource.path(namespace, name)).await {
                Ok(Some(object)) => round.object(&mut judge, resource, object).await,
                Ok(None) => {}
                Err(error) => {
                    let (kind, error) = (&resource.kind, error.chain());
                    tracing::warn!(kind, namespace, name, error, "a changed object cannot be read for its report");
                }
            }
        }
    }
}

/// How often it is looked whether there is something to do.
const LOOK: Duration = Duration::from_secs(1);
/// How long policies have to stay as they are before everything is looked at: many of them may come one by one.
const QUIET: Duration = Duration::from_secs(2);
/// After how long a scan is tried again that could not run.
const AGAIN: Duration = Duration::from_secs(30);
/// What changes often is looked at this long after it was let in, once for all changes until then.
const SETTLES: Duration = Duration::from_secs(1);
/// Most changed objects that wait for a look.
const MOST_NOTED: usize = 10_000;
/// Most of them that are looked at in one go.
const MOST_AT_ONCE: usize = 200;
