//! Why a rule matched or did not, clause by clause, with the value that decided.

use serde_json::Value;

use crate::cel;
use crate::outcome::{PolicyRef, RuleVerdict};
use crate::policy::compiled::{Policy, Rule};
use crate::policy::matching::{Clause, Match, Mode, Subject};
use crate::request::Request;
use crate::set::PolicySet;
use crate::snapshot::Snapshot;

/// Why one rule matched a request, or did not.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The policy.
    pub policy: PolicyRef,
    /// The rule.
    pub rule: String,
    /// File and line of the rule.
    pub place: (String, u32),
    /// Whether the rule is about the request.
    pub matched: bool,
    /// Every clause of its match and exclude.
    pub clauses: Vec<ClauseExplanation>,
    /// What came of the rule when it matched.
    pub verdict: Option<RuleVerdict>,
}

/// One clause of a match or exclude.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClauseExplanation {
    /// Where it is: `match.any[0].kinds`.
    pub clause: String,
    /// What it asks for.
    pub wanted: String,
    /// What the request has.
    pub found: String,
    /// Whether it holds; `None` when it does not apply.
    pub holds: Option<bool>,
}

impl PolicySet {
    /// Explains every rule of the set for one request.
    #[must_use]
    pub fn explain(&self, request: &Request, snapshot: &Snapshot) -> Vec<Explanation> {
        let outcome = self.evaluate(request, snapshot);
        let object = request.subject();
        let subject = Subject::of(request, object, snapshot.labels_of(&request.namespace));
        let mut out = Vec::new();
        for policy in &self.policies {
            for rule in &policy.rules {
                let is_it = |verdict: &&RuleVerdict| verdict.policy == policy.reference && verdict.rule == rule.name;
                let verdict = outcome.verdicts.iter().find(is_it).cloned();
                out.push(explain_rule((policy, rule), &subject, verdict));
            }
        }
        out.extend(cel::explain(self, &outcome, request, snapshot));
        out
    }
}

fn explain_rule((policy, rule): (&Policy, &Rule), subject: &Subject<'_>, verdict: Option<RuleVerdict>) -> Explanation {
    let mut clauses = Vec::new();
    let namespace = &policy.reference.namespace;
    let own = subject.object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    if !namespace.is_empty() {
        clauses.push(ClauseExplanation {
            clause: "namespace of the policy".to_owned(),
            wanted: namespace.clone(),
            found: own.to_owned(),
            holds: Some(namespace == own),
        });
    }
    explain_block("match", &rule.matches, subject, &mut clauses);
    explain_block("exclude", &rule.exclude, subject, &mut clauses);
    let here = namespace.is_empty() || namespace == own;
    let matched = here && rule.matches.includes(subject) && !rule.exclude.excludes(subject);
    Explanation {
        policy: PolicyRef::clone(&policy.reference),
        rule: rule.name.clone(),
        place: rule.place.clone(),
        matched,
        clauses,
        verdict,
    }
}

fn explain_block(name: &str, block: &Match, subject: &Subject<'_>, out: &mut Vec<ClauseExplanation>) {
    for (index, filter) in block.filters.iter().enumerate() {
        let place = match block.mode {
            Mode::Any => format!("{name}.any[{index}]"),
            Mode::All => format!("{name}.all[{index}]"),
            Mode::Plain => name.to_owned(),
        };
        for clause in Clause::ALL.into_iter().filter(|clause| filter.has(*clause)) {
            let (wanted, found) = filter.describe(clause, subject);
            let left_out = name == "match" && !subject.has_user && clause.is_about_users();
            let holds = if left_out { None } else { filter.judge(clause, subject) };
            out.push(ClauseExplanation { clause: format!("{place}.{}", clause.name()), wanted, found, holds });
        }
    }
}
