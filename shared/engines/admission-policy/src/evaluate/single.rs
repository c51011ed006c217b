//! One policy of a set alone, as tests and the command line ask for it.

use super::Evaluation;
use crate::cel::{self, CelKind, CelPolicy, EvaluationMode};
use crate::outcome::Outcome;
use crate::policy::compiled::Policy;
use crate::request::Request;
use crate::set::PolicySet;
use crate::snapshot::Snapshot;
use crate::stage::Stage;

/// One policy of a set.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Acting {
    /// A policy with rules, by its place in the set.
    Plain(usize),
    /// A policy in CEL, by its place.
    InCel(usize),
    /// A cleanup policy, by its place.
    Cleanup(usize),
}

impl PolicySet {
    /// The policies that do something in a stage, in the order of evaluation, and whether they are about Kubernetes objects or
    /// JSON payloads, whichever is asked for.
    pub(crate) fn acting_in(&self, stage: Stage, on_payload: bool) -> Vec<(Acting, bool)> {
        let acts = |policy: &Policy| policy.rules.iter().any(|rule| Stage::of(&rule.body) == stage);
        let mine = self.policies.iter().enumerate().filter(|(_, policy)| acts(policy));
        let is_meant = |policy: &CelPolicy| match policy.mode {
            EvaluationMode::Http | EvaluationMode::Envoy => false,
            EvaluationMode::Kubernetes => !on_payload || policy.kind == CelKind::Delete,
            // Checks of JSON judge objects too; changes of JSON are for documents alone.
            EvaluationMode::Json => on_payload || policy.kind != CelKind::Mutate,
        };
        // A deletion is judged where a test asks for it: with the validations. What changes the object that is given needs not
        // change it again.
        let acts = |policy: &CelPolicy| match (policy.kind, stage) {
            (CelKind::Delete, Stage::Validate) => true,
            (CelKind::Mutate, Stage::Generate) => policy.existing && policy.targets.is_some(),
            _ => policy.acts_in(stage),
        };
        let in_cel = self.cel_policies.iter().enumerate().filter(|(_, policy)| {
            let authorizes = matches!(policy.mode, EvaluationMode::Http | EvaluationMode::Envoy);
            !authorizes && acts(policy)
        });
        let mine = mine.map(|(at, _)| (Acting::Plain(at), true));
        // Cleanups are judged with the validations, as deletions are.
        let cleanups = self.cleanup.iter().enumerate().filter(|_| stage == Stage::Validate);
        let cleanups = cleanups.map(|(at, _)| (Acting::Cleanup(at), !on_payload));
        mine.chain(in_cel.map(|(at, policy)| (Acting::InCel(at), is_meant(policy)))).chain(cleanups).collect()
    }

    /// `namespace/name` of a policy, or its name alone.
    pub(crate) fn key_of(&self, policy: Acting) -> &str {
        let key = match policy {
            Acting::Plain(at) => self.policies.get(at).map(|policy| &policy.key),
            Acting::InCel(at) => self.cel_policies.get(at).map(|policy| &policy.key),
            Acting::Cleanup(at) => self.cleanup.get(at).map(|policy| &policy.key),
        };
        key.map_or("", String::as_str)
    }

    /// Judges one request by one policy and stage, as the test runner does.
    pub(crate) fn evaluate_policy(
        &self,
        request: &Request,
        snapshot: &Snapshot,
        (policy, stage): (Acting, Stage),
    ) -> Outcome {
        let mut evaluation = Evaluation::new(self, request, snapshot);
        match policy {
            Acting::Cleanup(at) => {
                let verdict = self.cleanup.get(at).and_then(|policy| self.cleanup_verdict(policy, request, snapshot));
                return Outcome { verdicts: verdict.into_iter().collect(), allowed: true, ..Outcome::default() };
            }
            Acting::Plain(at) => self.policies.get(at).into_iter().for_each(|policy| evaluation.policy(policy, stage)),
            Acting::InCel(at) => self.cel_policies.get(at).into_iter().for_each(|policy| match policy.kind {
                CelKind::Delete if stage == Stage::Validate => evaluation.cel_deletion(policy),
                _ => evaluation.cel_policy(policy, stage),
            }),
        }
        if evaluation.required.is_open() {
            evaluation.ask_others_about_images();
        }
        evaluation.finish()
    }
}

impl Evaluation<'_> {
    /// Finds out which images the policies verify, where one of them alone is judged: what counts is any of the request.
    fn ask_others_about_images(&mut self) {
        for policy in self.set.cel_policies.iter().filter(|policy| policy.kind == CelKind::VerifyImages) {
            let input = cel::Input::new(self.request, self.snapshot, self.changed_object(), &self.views);
            for answer in cel::judge(policy, &input, (&self.set.cel_exceptions, &[])) {
                self.required.note(answer.checked, None);
            }
        }
    }
}
