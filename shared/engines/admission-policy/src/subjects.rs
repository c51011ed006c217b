//! What there is to judge in a cluster: the kinds of objects that policies can be about.

use crate::cel::EvaluationMode;
use crate::cleanup::CleanupTarget;
use crate::set::PolicySet;

impl PolicySet {
    /// The kinds of whole objects that some policy can be about. Parts of objects, such as `Pod/exec`, are none of them.
    #[must_use]
    pub fn subjects(&self) -> Vec<CleanupTarget> {
        let rules = self.policies.iter().flat_map(|policy| &policy.rules);
        let is_about_objects = |mode| matches!(mode, EvaluationMode::Kubernetes | EvaluationMode::Json);
        let in_cel = self.cel_policies.iter().filter(|policy| is_about_objects(policy.mode));
        let mut subjects: Vec<_> = rules.flat_map(|rule| rule.matches.subjects()).collect();
        subjects.extend(self.cleanup.iter().flat_map(|policy| policy.matches.subjects()));
        subjects.extend(in_cel.flat_map(|policy| &policy.specs).flat_map(|spec| spec.matches.targets()));
        subjects.sort();
        subjects.dedup();
        subjects
    }
}
