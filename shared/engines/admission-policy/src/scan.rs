//! What is in a cluster already, judged for reports: as if it were created now by nobody, as far as policies look at what is there.
//!
//! Whoever has a cluster at hand asks which kinds there are to look at ([`PolicySet::scan_targets`]), lists their objects, and judges
//! each ([`Request::scanned`], [`PolicySet::scan`]).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cel::{CelKind, CelPolicy, EvaluationMode};
use crate::cleanup::CleanupTarget;
use crate::outcome::{RuleKind, RuleVerdict, Status};
use crate::request::Request;
use crate::set::PolicySet;
use crate::snapshot::{MissingFact, Snapshot};
use crate::stage::Stage;

/// What the policies say of one object.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// Every verdict that a report has.
    pub verdicts: Vec<RuleVerdict>,
    /// What policies add to their verdicts (`auditAnnotations`), by policy and key.
    pub annotations: BTreeMap<(String, String), String>,
    /// Facts that were missing. Gather them and judge again.
    pub missing: Vec<MissingFact>,
}

impl Request {
    /// An object that is there already, as reports judge it.
    #[must_use]
    pub fn scanned(object: Value) -> Self {
        Self { background: true, creating: true, ..Self::create(object) }
    }
}

impl PolicySet {
    /// The kinds that reports may be about.
    #[must_use]
    pub fn scan_targets(&self) -> Vec<CleanupTarget> {
        let plain = self.policies.iter().filter(|policy| policy.background && !self.is_hidden(&policy.reference));
        let rules = plain.flat_map(|policy| &policy.rules);
        let rules = rules.filter(|rule| matches!(Stage::of(&rule.body), Stage::Validate | Stage::VerifyImages));
        let is_wanted = |policy: &&CelPolicy| looks_at_stored(policy) && !self.is_hidden(&policy.reference);
        let in_cel = self.cel_policies.iter().filter(is_wanted);
        let specs = in_cel.flat_map(|policy| &policy.specs);
        let mut targets: Vec<_> = rules.flat_map(|rule| rule.matches.targets()).collect();
        targets.extend(specs.flat_map(|spec| spec.matches.targets()));
        targets.sort();
        targets.dedup();
        targets
    }

    /// Judges an object ([`Request::scanned`]) for its report. Images are looked at on the object as it is, and so is what a
    /// mutation would still change.
    #[must_use]
    pub fn scan(&self, request: &Request, snapshot: &Snapshot) -> Scan {
        let mut scan = Scan::default();
        let changes = self.cel_policies.iter().any(|policy| policy.kind == CelKind::Mutate && looks_at_stored(policy));
        for stage in [Stage::Validate, Stage::VerifyImages].into_iter().chain(changes.then_some(Stage::Mutate)) {
            let outcome = self.evaluate_stages(request, snapshot, &[stage]);
            scan.missing.extend(outcome.missing_facts());
            let is_shown = |verdict: &RuleVerdict| is_reported(verdict) && !self.is_hidden(&verdict.policy);
            scan.verdicts.extend(outcome.verdicts.into_iter().filter(is_shown));
            scan.annotations.extend(outcome.audit_annotations);
        }
        scan.missing.sort();
        scan.missing.dedup();
        scan
    }
}

/// Whether a policy in CEL says something of stored objects. Those of Kubernetes itself are the API server's.
fn looks_at_stored(policy: &CelPolicy) -> bool {
    policy.background
        && policy.mode == EvaluationMode::Kubernetes
        && !policy.is_native
        && [Stage::Mutate, Stage::VerifyImages, Stage::Validate].into_iter().any(|stage| policy.acts_in(stage))
}

/// Whether a report has the verdict. A policy in CEL whose conditions leave an object out is not about it.
fn is_reported(verdict: &RuleVerdict) -> bool {
    let is_changing = verdict.policy.is_in_cel() && verdict.targets.is_empty();
    let is_left_out = verdict.policy.is_in_cel()
        && verdict.status == Status::Skip
        && verdict.rule.is_empty()
        && verdict.exceptions.is_empty();
    match verdict.kind {
        RuleKind::Validate | RuleKind::VerifyImages => !is_left_out && !verdict.policy.is_native(),
        RuleKind::Mutate => is_changing && !is_left_out,
        RuleKind::Generate | RuleKind::Cleanup => false,
    }
}
