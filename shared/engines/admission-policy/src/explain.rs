//! Why a rule matched or did not, clause by clause, with the value that decided.

use std::collections::HashMap;

use serde_json::Value;

use crate::cel;
use crate::context::Context;
use crate::outcome::{PolicyRef, RuleVerdict};
use crate::pattern;
use crate::policy::compiled::{Body, Check, ForEach, Policy, Rule, Template};
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
        self.explain_some(&|_| true, request, snapshot)
    }

    /// Explains the rules of some policies, told by their keys. The set is judged once.
    pub(crate) fn explain_some(
        &self,
        is_meant: &dyn Fn(&str) -> bool,
        request: &Request,
        snapshot: &Snapshot,
    ) -> Vec<Explanation> {
        let outcome = self.evaluate(request, snapshot);
        let mut verdicts: HashMap<(&PolicyRef, &str), &RuleVerdict> = HashMap::new();
        for verdict in &outcome.verdicts {
            verdicts.entry((&*verdict.policy, &*verdict.rule)).or_insert(verdict);
        }
        let object = request.subject();
        let subject = Subject::of(request, object, snapshot.labels_of(&request.namespace));
        let mut out = Vec::new();
        for policy in self.policies.iter().filter(|policy| is_meant(&policy.key)) {
            for rule in &policy.rules {
                let verdict = verdicts.get(&(&*policy.reference, &*rule.name)).map(|&verdict| verdict.clone());
                let mut explanation = explain_rule((policy, rule), &subject, verdict);
                if let Some(conditions) = policy.conditions.as_ref().filter(|_| explanation.matched) {
                    explanation.matched =
                        cel::explain_conditions(conditions, (request, snapshot), &mut explanation.clauses);
                }
                if explanation.matched {
                    let mut context = Context::new(request, snapshot, (&self.expressions, self.limits));
                    if let Some(values) = snapshot.rule_values(&policy.reference.name, &rule.name) {
                        context.add_variables(&values.values);
                    }
                    context.declare(&rule.context);
                    explain_work(rule, object, &mut context, &mut explanation.clauses);
                }
                out.push(explanation);
            }
        }
        out.extend(cel::explain((self, is_meant), &outcome, request, snapshot));
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

/// Preconditions and the check of a validation, part by part.
fn explain_work<'r>(rule: &'r Rule, object: &Value, context: &mut Context<'r>, out: &mut Vec<ClauseExplanation>) {
    if let Some(conditions) = &rule.preconditions {
        out.extend(conditions.explain("preconditions", context));
    }
    if let Body::Validate(validate) = &rule.body {
        explain_check("validate", &validate.check, (object, 0), context, out);
    }
}

fn explain_check<'r>(
    place: &str,
    check: &'r Check,
    (object, nesting): (&Value, usize),
    context: &mut Context<'r>,
    out: &mut Vec<ClauseExplanation>,
) {
    match check {
        Check::Deny(conditions) => out.extend(conditions.explain(&format!("{place}.deny"), context)),
        Check::Pattern(template) => out.push(explain_pattern(format!("{place}.pattern"), template, object, context)),
        Check::AnyPattern(templates) => {
            let clauses = templates.iter().enumerate();
            out.extend(
                clauses
                    .map(|(index, one)| explain_pattern(format!("{place}.anyPattern[{index}]"), one, object, context)),
            );
        }
        Check::ForEach(items) => {
            for (number, item) in items.iter().enumerate() {
                explain_elements(&format!("{place}.foreach[{number}]"), item, (object, nesting), context, out);
            }
        }
        Check::PodSecurity(_) | Check::Manifests(_) | Check::Cel(_) | Check::Assert(_) => {}
    }
}

/// At most this many elements of a list are explained.
const MAX_ELEMENTS: usize = 50;

fn explain_elements<'r>(
    place: &str,
    item: &'r ForEach,
    (object, nesting): (&Value, usize),
    context: &mut Context<'r>,
    out: &mut Vec<ClauseExplanation>,
) {
    let found = context.elements(&item.list);
    let count = found.as_ref().map_or_else(ToString::to_string, |elements| format!("{} elements", elements.len()));
    out.push(ClauseExplanation {
        clause: format!("{place}.list"),
        wanted: item.list.text().to_owned(),
        found: count,
        holds: None,
    });
    let mark = context.mark();
    for (index, element) in found.iter().flat_map(|elements| elements.iter()).take(MAX_ELEMENTS).enumerate() {
        context.restore(mark);
        context.set_element(element, index, nesting);
        context.declare(&item.context);
        let place = format!("{place}[{index}]");
        if let Some(conditions) = &item.preconditions {
            out.extend(conditions.explain(&format!("{place}.preconditions"), context));
        }
        let scoped = item.element_scope.unwrap_or(element.is_object());
        explain_check(&place, &item.check, (if scoped { element } else { object }, nesting + 1), context, out);
    }
    context.restore(mark);
}

/// A pattern, with the value at the place that decided.
fn explain_pattern(
    clause: String,
    template: &Template,
    object: &Value,
    context: &mut Context<'_>,
) -> ClauseExplanation {
    let pattern = match crate::rules::validate::resolve(template, context) {
        Ok(pattern) => pattern,
        Err(error) => {
            let wanted = template.raw.to_string();
            return ClauseExplanation { clause, wanted, found: format!("({error})"), holds: None };
        }
    };
    let short = |text: String| if text.chars().count() > 200 { text.chars().take(200).collect() } else { text };
    match pattern::matches(object, &pattern) {
        Ok(()) => ClauseExplanation {
            clause,
            wanted: short(template.raw.to_string()),
            found: "as asked".to_owned(),
            holds: Some(true),
        },
        Err(mismatch) => {
            let path = mismatch.path.trim_end_matches('/');
            let found = object.pointer(path).map_or_else(|| "nothing".to_owned(), Value::to_string);
            ClauseExplanation {
                clause: if path.is_empty() { clause } else { format!("{clause} at {path}") },
                wanted: short(mismatch.message),
                found: short(if path.is_empty() { "does not apply".to_owned() } else { found }),
                holds: (!mismatch.skip).then_some(false),
            }
        }
    }
}
