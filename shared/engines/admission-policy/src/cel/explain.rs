//! Why a policy in CEL is about a request or not: constraints and conditions, each with what it found.

use std::collections::HashMap;

use super::judge::{Input, Views};
use super::policy::{CelBody, CelPolicy, CelRule};
use super::scope::Scope;
use crate::explain::{ClauseExplanation, Explanation};
use crate::outcome::{Outcome, PolicyRef, RuleVerdict};
use crate::request::Request;
use crate::set::PolicySet;
use crate::snapshot::Snapshot;

/// Explains every form of the policies in CEL that are meant.
pub(crate) fn explain(
    (set, is_meant): (&PolicySet, &dyn Fn(&str) -> bool),
    outcome: &Outcome,
    request: &Request,
    snapshot: &Snapshot,
) -> Vec<Explanation> {
    let views = Views::default();
    let input = Input::new(request, snapshot, None, &views);
    let mut verdicts: HashMap<&PolicyRef, Vec<&RuleVerdict>> = HashMap::new();
    for verdict in &outcome.verdicts {
        verdicts.entry(&*verdict.policy).or_default().push(verdict);
    }
    let of = |policy: &CelPolicy| verdicts.get(&*policy.reference).map(Vec::as_slice).unwrap_or_default();
    let meant = set.cel_policies.iter().filter(|policy| is_meant(&policy.key));
    meant.flat_map(|policy| forms(policy, &input, of(policy))).collect()
}

fn forms(policy: &CelPolicy, input: &Input<'_>, verdicts: &[&RuleVerdict]) -> Vec<Explanation> {
    let mut verdicts = verdicts.iter();
    let mut out = Vec::new();
    for (number, spec) in policy.specs.iter().enumerate() {
        let labels = input.snapshot().labels_of(&input.request().namespace);
        let mut clauses = spec.matches.clauses(input.request(), labels);
        let mut matched = spec.matches.include(input.request(), labels);
        if matched {
            let scope = Scope::new(input.given(&serde_json::Value::Null), &spec.rule);
            matched &= conditions(&scope, &spec.rule, &mut clauses);
            if matched {
                work(&scope, &spec.rule, &mut clauses);
            }
        }
        let rule = if number == 0 { String::new() } else { "autogen".to_owned() };
        let verdict = if matched { verdicts.next().map(|&verdict| verdict.clone()) } else { None };
        let place = policy.place.clone();
        out.push(Explanation { policy: PolicyRef::clone(&policy.reference), rule, place, matched, clauses, verdict });
    }
    out
}

/// The conditions of a policy's webhook, each with its value; whether all hold.
pub(crate) fn explain_conditions(
    rule: &CelRule,
    (request, snapshot): (&Request, &Snapshot),
    out: &mut Vec<ClauseExplanation>,
) -> bool {
    let views = Views::default();
    let input = Input::new(request, snapshot, None, &views);
    conditions(&Scope::new(input.given(&serde_json::Value::Null), rule), rule, out)
}

fn conditions<'a>(scope: &Scope<'a>, rule: &'a CelRule, out: &mut Vec<ClauseExplanation>) -> bool {
    let mut all = true;
    for (name, condition) in &rule.conditions {
        let held = scope.truth(condition);
        all &= matches!(held, Ok(true));
        out.push(ClauseExplanation {
            clause: format!("matchConditions.{name}"),
            wanted: condition.text().trim().to_owned(),
            found: held.as_ref().map_or_else(ToString::to_string, ToString::to_string),
            holds: Some(matches!(held, Ok(true))),
        });
    }
    all
}

/// The variables and validations, each with its value.
fn work<'a>(scope: &Scope<'a>, rule: &'a CelRule, out: &mut Vec<ClauseExplanation>) {
    let show = |program: &'a cel::Program| match scope.evaluate(program) {
        Ok(value) => {
            let text = value.to_json().map_or_else(|_| value.type_name().to_owned(), |value| value.to_string());
            (if text.chars().count() > 200 { text.chars().take(200).collect() } else { text }, value.as_bool())
        }
        Err(error) => (format!("({error})"), None),
    };
    for (name, program) in &rule.variables {
        let (clause, wanted) = (format!("variables.{name}"), program.text().trim().to_owned());
        out.push(ClauseExplanation { clause, wanted, found: show(program).0, holds: None });
    }
    if let CelBody::Validations(validations) = &rule.body {
        for (index, validation) in validations.iter().enumerate() {
            let (found, holds) = show(&validation.expression);
            let wanted = validation.expression.text().trim().to_owned();
            out.push(ClauseExplanation { clause: format!("validations[{index}]"), wanted, found, holds });
        }
    }
}
