//! Exceptions: resources that a policy's rules are not to judge.

use super::matching::{Match, Subject};
use super::schema;
use crate::conditions::Conditions;
use crate::context::ExpressionCache;
use crate::rules::pod_security::{Exclusion, exclusions};
use crate::value::wildcard;

/// A compiled PolicyException.
#[derive(Clone, Debug)]
pub(crate) struct Exception {
    /// `namespace/name`.
    pub(crate) key: String,
    targets: Vec<(String, Vec<String>)>,
    /// It counts for what is looked at in the background, too.
    pub(crate) background: bool,
    matches: Match,
    /// Further conditions.
    pub(crate) conditions: Option<Conditions>,
    /// Pod security controls that are excused; empty when the whole rule is.
    pub(crate) pod_security: Vec<Exclusion>,
}

impl Exception {
    /// Compiles an exception.
    ///
    /// # Errors
    /// What is wrong with its match or conditions.
    pub(crate) fn compile(metadata: &schema::Metadata, raw: &schema::ExceptionSpec) -> Result<Self, String> {
        let key = match metadata.namespace.as_deref() {
            Some(namespace) if !namespace.is_empty() => format!("{namespace}/{}", metadata.name),
            _ => metadata.name.clone(),
        };
        let target = |target: &schema::ExceptionTarget| {
            (target.policy_name.clone(), target.rule_names.clone().unwrap_or_default())
        };
        Ok(Self {
            key,
            targets: raw.exceptions.iter().flatten().map(target).collect(),
            background: raw.background.unwrap_or(true),
            matches: Match::compile(raw.matches.as_ref().unwrap_or(&schema::Match::default()))?,
            conditions: raw
                .conditions
                .as_ref()
                .map(|raw| Conditions::compile(raw, &mut ExpressionCache::default()))
                .transpose()?,
            pod_security: exclusions(raw.pod_security.as_deref().unwrap_or_default())?,
        })
    }

    /// Whether it names the rule. `policy` is `namespace/name` for namespaced policies.
    pub(crate) fn names(&self, policy: &str, rule: &str) -> bool {
        self.targets.iter().any(|(name, rules)| {
            wildcard::matches(name, policy) && rules.iter().any(|one| wildcard::matches(one, rule))
        })
    }

    /// Whether it is about the subject, conditions aside.
    pub(crate) fn includes(&self, subject: &Subject<'_>) -> bool {
        self.matches.includes(subject)
    }
}
