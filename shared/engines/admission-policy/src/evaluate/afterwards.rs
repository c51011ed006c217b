//! What happens once a request was let in: whether a set has anything to do then, and what it sees of a deleted object.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;

use super::Evaluation;
use crate::context::Context;
use crate::outcome::PolicyRef;
use crate::policy::compiled::Body;
use crate::request::{Operation, Request};
use crate::set::PolicySet;
use crate::stage::Stage;
use crate::value::Object;

impl PolicySet {
    /// Whether some policy may make or change other objects after such a request was let in.
    #[must_use]
    pub fn acts_afterwards(&self, request: &Request) -> bool {
        let rules = self.index.of(request.indexed_kind(), Stage::Generate);
        let mut rules = rules.filter_map(|at| self.policies.get(at.policy)?.rules.get(at.rule));
        rules.any(|rule| rule.follows(request))
            || self.cel_policies.iter().any(|policy| {
                policy.acts_in(Stage::Generate)
                    && !policy.leaves_out(request)
                    && policy.specs.iter().any(|spec| spec.matches.may_include(request))
            })
    }

    /// Whether others may add fields to what a policy generates.
    #[must_use]
    pub fn shares_fields(&self, policy: &PolicyRef) -> bool {
        let plain = self.policies.iter().filter(|known| *known.reference == *policy);
        let in_cel = self.cel_policies.iter().filter(|known| *known.reference == *policy);
        plain.map(|known| known.shares_fields).chain(in_cel.map(|known| known.shares_fields)).any(|shares| shares)
    }

    /// A hash of what a generate rule says its objects are called and copied from, as it is written; `None` where there is no such
    /// rule, or a policy in CEL makes them.
    #[must_use]
    pub fn names_of(&self, policy: &PolicyRef, rule: &str) -> Option<u64> {
        let mut plain = self.policies.iter().filter(|known| *known.reference == *policy).flat_map(|known| &known.rules);
        let Body::Generate(generate) = &plain.find(|known| known.name == rule)?.body else { return None };
        let mut hasher = DefaultHasher::new();
        for item in &generate.items {
            let named =
                ["list", "apiVersion", "kind", "name", "namespace", "clone", "cloneList"].map(|key| item.raw.get(key));
            named.map(|value| value.map(Value::to_string)).hash(&mut hasher);
        }
        Some(hasher.finish())
    }

    /// Whether a rule acts on deletions, too: what it generated stays when the object goes for which it was made. The rule of a
    /// policy in CEL has no name that counts.
    #[must_use]
    pub fn acts_on_deletions(&self, policy: &PolicyRef, rule: &str) -> bool {
        let plain = self.policies.iter().filter(|known| *known.reference == *policy).flat_map(|known| &known.rules);
        let mut in_cel = self.cel_policies.iter().filter(|known| *known.reference == *policy);
        plain.filter(|known| known.name == rule).any(|rule| rule.matches.names_deletions())
            || in_cel.any(|known| known.specs.iter().any(|spec| spec.matches.names_deletions()))
    }
}

impl<'a> Evaluation<'a> {
    /// Has what is made after a deletion see the object that was there as the one of the request.
    pub(super) fn show_deleted(&self, context: &mut Context<'a>) {
        if self.request.operation == Operation::Delete && self.object.is_object() {
            context.replace_object(self.object.clone());
        }
    }

    /// Ends what [`show_deleted`](Self::show_deleted) began.
    pub(super) fn hide_deleted(&self, context: &mut Context<'a>) {
        if self.request.operation != Operation::Delete {
            return;
        }
        context.release_object();
        if let Some(object) = &self.request.object {
            context.replace_object(Object::given(object));
        }
    }
}
