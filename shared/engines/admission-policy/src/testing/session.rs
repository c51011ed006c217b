//! Policies that are loaded once and judge what comes: the resources that are given, or the objects of a cluster one by one.

use std::collections::BTreeMap;

use model::Timestamp;
use serde_json::Value;

use super::given::Answer;
use super::grade::Response;
use super::run::{Judged, Loaded, Runner};
use super::values::apply_user;
use crate::cleanup::CleanupTarget;
use crate::outcome::RuleVerdict;
use crate::report::ReportResult;
use crate::request::Request;
use crate::snapshot::Snapshot;

/// What is known of a cluster before its objects are judged.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Manifests that count beside the given ones, each with what faults call it: exceptions, and bindings of admission policies,
    /// which count for those that no given file binds.
    pub manifests: Vec<(String, Value)>,
    /// Labels of namespaces, by name.
    pub namespace_labels: BTreeMap<String, BTreeMap<String, String>>,
}

/// Loaded policies with everything around them.
pub struct Session<'f> {
    runner: Runner<'f>,
    loaded: Loaded,
    operation: String,
    /// The facts as they were when nothing had been asked for; only beside a cluster, where what one object asks for is no answer
    /// for the next one.
    facts: Option<Snapshot>,
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("set", &self.loaded.set).finish_non_exhaustive()
    }
}

impl<'f> Session<'f> {
    pub(super) fn new(
        runner: Runner<'f>,
        (mut loaded, cluster): (Loaded, Option<&Surroundings>),
        operation: &str,
    ) -> Self {
        let mut facts = None;
        if let Some(cluster) = cluster {
            for (namespace, labels) in &cluster.namespace_labels {
                loaded.snapshot.namespace_labels.entry(namespace.clone()).or_insert_with(|| labels.clone());
            }
            loaded.snapshot.values = loaded.snapshot.values.take().filter(|_| !loaded.values.is_empty());
            if let Some(values) = &mut loaded.snapshot.values {
                values.beside_a_cluster = true;
            }
            facts = Some(loaded.snapshot.clone());
        }
        Self { runner, loaded, operation: operation.to_owned(), facts }
    }

    /// The kinds of objects that the policies can be about.
    #[must_use]
    pub fn subjects(&self) -> Vec<CleanupTarget> {
        self.loaded.set.subjects()
    }

    /// A request by who asks, where that is given.
    #[must_use]
    pub fn asker(&self) -> Option<Request> {
        let mut request = Request::default();
        apply_user(self.loaded.user.as_ref()?, &mut request);
        Some(request)
    }

    /// Gives who asks roles, `namespace:name`, and cluster roles besides those that are given.
    pub fn grant(&mut self, roles: impl IntoIterator<Item = String>, cluster_roles: impl IntoIterator<Item = String>) {
        self.loaded.granted = (roles.into_iter().collect(), cluster_roles.into_iter().collect());
    }

    /// How many exceptions there are.
    #[must_use]
    pub fn exceptions(&self) -> usize {
        self.loaded.set.exceptions().len()
    }

    /// Judges everything that is given, by every policy, in the order of the stages.
    ///
    /// # Errors
    /// A payload that cannot be read.
    pub fn judge_given(&mut self) -> Result<Vec<Answer>, String> {
        let mut responses = Vec::new();
        for resource in std::mem::take(&mut self.loaded.resources) {
            self.runner.resource(&mut self.loaded, &resource, (&self.operation, &mut responses));
        }
        self.runner.authorize(&self.loaded, &mut responses)?;
        Ok(responses.into_iter().map(answer).collect())
    }

    /// Judges an object of a cluster; `plural` is the name of its resource (`pods`). Policies that have nothing to say about it give
    /// no answer.
    pub fn judge(&mut self, object: Value, plural: &str) -> Vec<Answer> {
        plural.clone_into(&mut self.loaded.plural);
        let mut responses = Vec::new();
        let judged = Judged { object, payload: None };
        self.runner.resource(&mut self.loaded, &judged, (&self.operation, &mut responses));
        if let Some(facts) = self.facts.as_ref().filter(|_| self.loaded.has_learned) {
            self.loaded.snapshot.clone_from(facts);
            self.loaded.has_learned = false;
        }
        responses.into_iter().filter(|response| !response.verdicts.is_empty()).map(answer).collect()
    }

    /// A verdict as a result of a policy report; see [`PolicySet::report_result`](crate::PolicySet::report_result).
    #[must_use]
    pub fn report_result(&self, verdict: &RuleVerdict, subject: Option<&Value>, at: Timestamp) -> ReportResult {
        self.loaded.set.report_result(verdict, subject, at)
    }
}

fn answer(response: Response) -> Answer {
    Answer {
        policy: response.policy,
        payload: response.payload,
        resource: response.resource,
        patched: response.patched,
        verdicts: response.verdicts,
    }
}
