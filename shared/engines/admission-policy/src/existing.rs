//! Policies that act on what is in a cluster already, once they come into force: `generateExisting`,
//! `mutateExistingOnPolicyUpdate`, and their likes of policies in CEL.
//!
//! Whoever has a cluster at hand asks which there are ([`PolicySet::standing`]), lists the objects of their kinds, and judges each
//! ([`Request::existing`]) at [`Stage::Generate`](crate::Stage::Generate).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;

use crate::cel::{CelKind, CelPolicy};
use crate::cleanup::CleanupTarget;
use crate::outcome::PolicyRef;
use crate::policy::compiled::{Body, Policy};
use crate::policy::schema::PolicySpec;
use crate::request::{Operation, Request};
use crate::set::PolicySet;

/// A rule, or a whole policy in CEL, that acts on what is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The policy.
    pub policy: PolicyRef,
    /// The rule of it that acts; empty for a policy in CEL, all of which does.
    pub rule: String,
    /// Another policy of this name has another version. The same text has the same one.
    pub version: u64,
    /// As what an object is to be judged.
    pub operation: Operation,
    /// The kinds of objects to judge.
    pub targets: Vec<CleanupTarget>,
}

impl PolicySet {
    /// The rules and policies that act on what is there already.
    #[must_use]
    pub fn standing(&self) -> Vec<Standing> {
        let plain = self.policies.iter().flat_map(of_policy);
        plain.chain(self.cel_policies.iter().filter_map(in_cel)).collect()
    }
}

impl Request {
    /// An object that is there already, and nobody asks for, as [`Standing::operation`] wants it.
    #[must_use]
    pub fn existing(object: Value, operation: Operation) -> Self {
        Self { background: true, operation, ..Self::create(object) }
    }
}

fn of_policy(policy: &Policy) -> impl Iterator<Item = Standing> {
    let rules = policy.standing.into_iter().flat_map(|version| policy.rules.iter().map(move |rule| (version, rule)));
    rules.filter(|(_, rule)| rule.acts_on_existing).map(|(version, rule)| Standing {
        policy: policy.reference.as_ref().clone(),
        rule: rule.name.clone(),
        version,
        operation: Operation::Create,
        targets: rule.matches.targets(),
    })
}

fn in_cel(policy: &CelPolicy) -> Option<Standing> {
    let own = &policy.specs.first()?.matches;
    let changes = policy.kind == CelKind::Mutate;
    let targets = match policy.meant_targets() {
        Some(targets) if changes => targets.wholes(),
        _ => own.targets(),
    };
    Some(Standing {
        policy: policy.reference.as_ref().clone(),
        rule: String::new(),
        version: policy.standing?,
        operation: if changes { Operation::Update } else { Operation::Create },
        targets,
    })
}

/// Whether a rule is to act on what is there already: it says so itself, or else its policy does.
pub(crate) fn is_asked_for(body: &Body, rule: &Value, spec: &PolicySpec) -> bool {
    let own = |pointer: &str| rule.pointer(pointer).and_then(Value::as_bool);
    let asked = match body {
        Body::Generate(_) => own("/generate/generateExisting").or(spec.generate_existing),
        Body::Mutate(mutate) if !mutate.targets.is_empty() => {
            own("/mutate/mutateExistingOnPolicyUpdate").or(spec.mutate_existing_on_policy_update)
        }
        Body::Mutate(_) | Body::Validate(_) | Body::VerifyImages(_) => None,
    };
    asked.unwrap_or(false)
}

/// A hash of a policy as it is written, apart from what others note on it.
pub(crate) fn version(document: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    document.get("spec").map(Value::to_string).hash(&mut hasher);
    hasher.finish()
}
