//! Why a policy in CEL is about a request or not: constraints and conditions, each with what it found.

use super::judge::{Input, Views};
use super::policy::CelPolicy;
use super::scope::Scope;
use crate::explain::{ClauseExplanation, Explanation};
use crate::outcome::{Outcome, PolicyRef};
use crate::request::Request;
use crate::set::PolicySet;
use crate::snapshot::Snapshot;

/// Explains every form of every policy in CEL.
pub(crate) fn explain(set: &PolicySet, outcome: &Outcome, request: &Request, snapshot: &Snapshot) -> Vec<Explanation> {
    let views = Views::default();
    let input = Input::new(request, snapshot, None, &views);
    set.cel_policies.iter().flat_map(|policy| forms(policy, &input, outcome)).collect()
}

fn forms(policy: &CelPolicy, input: &Input<'_>, outcome: &Outcome) -> Vec<Explanation> {
    let mut verdicts = outcome.verdicts.iter().filter(|verdict| verdict.policy == policy.reference);
    let mut out = Vec::new();
    for (number, spec) in policy.specs.iter().enumerate() {
        let labels = input.snapshot().labels_of(&input.request().namespace);
        let mut clauses = spec.matches.clauses(input.request(), labels);
        let mut matched = spec.matches.include(input.request(), labels);
        if matched {
            let scope = Scope::new(input.given(&serde_json::Value::Null), &spec.rule);
            for (name, condition) in &spec.rule.conditions {
                let held = scope.truth(condition);
                matched &= matches!(held, Ok(true));
                clauses.push(ClauseExplanation {
                    clause: format!("matchConditions.{name}"),
                    wanted: condition.text().trim().to_owned(),
                    found: held.as_ref().map_or_else(ToString::to_string, ToString::to_string),
                    holds: Some(matches!(held, Ok(true))),
                });
            }
        }
        let rule = if number == 0 { String::new() } else { "autogen".to_owned() };
        let verdict = if matched { verdicts.next().cloned() } else { None };
        let place = policy.place.clone();
        out.push(Explanation { policy: PolicyRef::clone(&policy.reference), rule, place, matched, clauses, verdict });
    }
    out
}
