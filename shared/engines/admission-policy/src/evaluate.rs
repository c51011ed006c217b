//! One request against the set: mutate, verify images, validate, generate.

use serde_json::Value;

use crate::context::Context;
use crate::outcome::{Action, Outcome, RuleKind, RuleVerdict, Status};
use crate::policy::compiled::{ActionRule, Body, Policy, Rule};
use crate::policy::matching::Subject;
use crate::policy::selector::Labels;
use crate::request::{Operation, Request};
use crate::rules::Judgement;
use crate::rules::validate::Validation;
use crate::set::PolicySet;
use crate::snapshot::Snapshot;
use crate::value::wildcard;

impl PolicySet {
    /// Judges one request with the facts at hand. Never fails and never waits: what goes wrong is a verdict.
    #[must_use]
    pub fn evaluate(&self, request: &Request, snapshot: &Snapshot) -> Outcome {
        Evaluation::new(self, request, snapshot).run()
    }
}

struct Evaluation<'a> {
    set: &'a PolicySet,
    request: &'a Request,
    snapshot: &'a Snapshot,
    /// Made when the first rule needs variables.
    context: Option<Context<'a>>,
    /// The object as mutations left it.
    object: Option<Value>,
    outcome: Outcome,
}

/// What a rule is to be judged on, and for whom.
struct Work<'a> {
    policy: &'a Policy,
    rule: &'a Rule,
    kind: RuleKind,
}

impl<'a> Evaluation<'a> {
    fn new(set: &'a PolicySet, request: &'a Request, snapshot: &'a Snapshot) -> Self {
        Self { set, request, snapshot, context: None, object: None, outcome: Outcome::default() }
    }

    fn run(mut self) -> Outcome {
        let policies: Vec<&Policy> = self.set.about(&self.request.kind.kind).collect();
        for policy in policies {
            let active = if self.request.background { policy.background } else { policy.admission };
            if active {
                self.policy(policy);
            }
        }
        self.outcome.decide(self.request);
        self.outcome
    }

    fn policy(&mut self, policy: &'a Policy) {
        for rule in &policy.rules {
            let kind = match &rule.body {
                Body::Validate(_) => RuleKind::Validate,
                Body::Mutate(_) | Body::Generate(_) | Body::VerifyImages(_) => continue,
            };
            let applied = self.rule(&Work { policy, rule, kind });
            if applied && policy.apply_one {
                break;
            }
        }
    }

    /// Judges one rule; whether it applied.
    fn rule(&mut self, work: &Work<'a>) -> bool {
        if !self.is_meant(work) {
            return false;
        }
        let mut context = self.take_context();
        let mark = context.mark();
        if let Some(values) = self.snapshot.rule_values(&work.policy.reference.name, &work.rule.name) {
            context.add_variables(&values.values);
        }
        context.declare(&work.rule.context);
        let (judgement, exceptions) = self.judge(work, &mut context);
        let missing = context.take_missing();
        context.restore(mark);
        self.context = Some(context);
        let Some(judgement) = judgement else { return false };
        let applied = matches!(judgement.status, Status::Pass | Status::Fail);
        let verdict = RuleVerdict {
            policy: work.policy.reference.clone(),
            rule: work.rule.name.clone(),
            kind: work.kind,
            status: judgement.status,
            message: judgement.message,
            exceptions,
            action: self.action(work),
            fails_closed: work.policy.fails_closed,
            patched: None,
            generated: Vec::new(),
            targets: Vec::new(),
            missing,
        };
        self.outcome.verdicts.push(verdict);
        applied
    }

    /// Whether the rule's match and exclude are about the request.
    fn is_meant(&self, work: &Work<'_>) -> bool {
        let object = self.subject();
        if !object.is_object() {
            return false;
        }
        let namespace = &work.policy.reference.namespace;
        let own = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        if !namespace.is_empty() && namespace != own {
            return false;
        }
        let subject = Subject::of(self.request, object, self.namespace_labels());
        work.rule.matches.includes(&subject) && !work.rule.exclude.excludes(&subject)
    }

    fn subject(&self) -> &Value {
        self.object.as_ref().unwrap_or_else(|| self.request.subject())
    }

    fn namespace_labels(&self) -> Option<&'a std::collections::BTreeMap<String, String>> {
        self.snapshot.labels_of(&self.request.namespace)
    }

    fn take_context(&mut self) -> Context<'a> {
        let made = self.context.take();
        made.unwrap_or_else(|| Context::new(self.request, self.snapshot, &self.set.expressions))
    }

    /// Preconditions, exceptions, then the rule's own work.
    fn judge(&self, work: &Work<'a>, context: &mut Context<'a>) -> (Option<Judgement>, Vec<String>) {
        if let Some(conditions) = &work.rule.preconditions {
            match conditions.evaluate(context) {
                Err(error) => return (Some(Judgement::error("failed to evaluate preconditions", &error)), Vec::new()),
                Ok((false, message)) => {
                    let separator = if message.is_empty() { "" } else { "; " };
                    let text = format!("preconditions not met{separator}{message}");
                    return (Some(Judgement::new(Status::Skip, text)), Vec::new());
                }
                Ok((true, _)) => {}
            }
        }
        match self.exceptions(work, context) {
            Err(judgement) => return (Some(judgement), Vec::new()),
            Ok(keys) if !keys.is_empty() => {
                let message = format!("rule is skipped due to policy exception: {}", keys.join(", "));
                return (Some(Judgement::new(Status::Skip, message)), keys);
            }
            Ok(_) => {}
        }
        match &work.rule.body {
            Body::Validate(validate) => {
                let validation = Validation {
                    rule: &work.rule.name,
                    policy: &work.policy.reference.name,
                    validate,
                    object: self.pattern_object(),
                };
                (validation.judge(context), Vec::new())
            }
            Body::Mutate(_) | Body::Generate(_) | Body::VerifyImages(_) => (None, Vec::new()),
        }
    }

    /// Keys of the exceptions that cover the rule here.
    fn exceptions(&self, work: &Work<'_>, context: &mut Context<'a>) -> Result<Vec<String>, Judgement> {
        let mut keys = Vec::new();
        for exception in &self.set.exceptions {
            if !exception.names(&work.policy.key, &work.rule.name) {
                continue;
            }
            let subject = Subject::of(self.request, self.subject(), self.namespace_labels());
            if !exception.includes(&subject) {
                continue;
            }
            if let Some(conditions) = &exception.conditions {
                match conditions.evaluate(context) {
                    Ok((true, _)) => {}
                    Ok((false, _)) => continue,
                    Err(error) => {
                        return Err(Judgement::error("failed to evaluate the conditions of a policy exception", &error));
                    }
                }
            }
            keys.push(exception.key.clone());
        }
        Ok(keys)
    }

    /// What patterns apply to: nothing on a deletion.
    fn pattern_object(&self) -> Option<&Value> {
        let deleting = self.request.operation == Operation::Delete && !self.request.background;
        (!deleting).then(|| self.subject()).filter(|object| object.is_object())
    }

    /// What a violation of the rule leads to here.
    fn action(&self, work: &Work<'_>) -> Action {
        let own = match &work.rule.body {
            Body::Validate(validate) => Some(&validate.action),
            Body::Mutate(_) | Body::Generate(_) | Body::VerifyImages(_) => None,
        };
        let action = own
            .filter(|own| own.action.is_some() || !own.overrides.is_empty())
            .map_or_else(|| self.resolve_action(&work.policy.action), |own| self.resolve_action(own));
        if action == Action::Audit && work.policy.emit_warning { Action::Warn } else { action }
    }

    fn resolve_action(&self, rule: &ActionRule) -> Action {
        let namespace = &self.request.namespace;
        let labels = Labels::Plain(self.namespace_labels());
        let over = rule.overrides.iter().find(|over| {
            let named = over.namespaces.iter().any(|pattern| wildcard::matches(pattern, namespace));
            let selected = over.selector.as_ref().is_some_and(|selector| selector.matches(labels));
            named && over.selector.as_ref().is_none_or(|_| selected) || (over.namespaces.is_empty() && selected)
        });
        over.map_or_else(|| rule.action.unwrap_or_default(), |over| over.action)
    }
}
