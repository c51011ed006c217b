//! `validate`: patterns, deny conditions and `foreach`.

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::Value;

use super::Judgement;
use crate::context::{Context, EvaluationError, text_is_dynamic};
use crate::outcome::Status;
use crate::pattern::{self, Mismatch, Pattern};
use crate::policy::compiled::{Check, ForEach, Form, Template, Validate};
use crate::value::go_text;

/// One validation at work.
pub(crate) struct Validation<'r, 'o> {
    pub(crate) rule: &'r str,
    pub(crate) policy: &'r str,
    pub(crate) validate: &'r Validate,
    /// The object judged; `None` for a deletion, where patterns do not apply.
    pub(crate) object: Option<&'o Value>,
}

impl<'r> Validation<'r, '_> {
    /// Judges; `None` when the rule has nothing to say (a pattern on a deletion).
    pub(crate) fn judge(&self, context: &mut Context<'r>) -> Option<Judgement> {
        self.check(&self.validate.check, self.object, 0, context)
    }

    fn check(
        &self,
        check: &'r Check,
        judged: Option<&Value>,
        nesting: usize,
        context: &mut Context<'r>,
    ) -> Option<Judgement> {
        match check {
            Check::Deny(conditions) => Some(match conditions.evaluate(context) {
                Err(error) => Judgement::error("failed to check deny conditions", &error),
                Ok((false, _)) => Judgement::new(Status::Pass, self.passed()),
                Ok((true, message)) => Judgement::new(Status::Fail, self.denied(&message, context)),
            }),
            Check::Pattern(template) => self.pattern(template, judged, context),
            Check::AnyPattern(templates) => self.any_pattern(templates, judged, context),
            Check::ForEach(items) => self.for_each(items, nesting, context),
            Check::PodSecurity(_) | Check::Manifests(_) | Check::Cel(_) | Check::Assert(_) => None,
        }
    }

    fn passed(&self) -> String {
        ["validation rule '", self.rule, "' passed."].concat()
    }

    fn denied(&self, message: &str, context: &mut Context<'r>) -> String {
        let own = self.validate.message.trim();
        let text = match (own.is_empty(), message.is_empty()) {
            (true, true) => return ["validation error: rule ", self.rule, " failed"].concat(),
            (true, false) => message.to_owned(),
            (false, true) => own.to_owned(),
            (false, false) => [own, "; ", message].concat(),
        };
        if !text_is_dynamic(&text) {
            return text;
        }
        match context.substitute(&Value::String(text.clone())) {
            Ok(Value::String(text)) => text,
            Ok(_) => "the produced message didn't resolve to a string, check your policy definition.".to_owned(),
            Err(_) if message.is_empty() => text,
            Err(_) => message.to_owned(),
        }
    }

    fn pattern(&self, template: &Template, judged: Option<&Value>, context: &mut Context<'r>) -> Option<Judgement> {
        let judged = judged?;
        let pattern = match resolve(template, context) {
            Ok(pattern) => pattern,
            Err(error) => return Some(Judgement::error("variable substitution failed", &error)),
        };
        Some(match pattern::matches(judged, &pattern) {
            Ok(()) => Judgement::new(Status::Pass, self.passed()),
            Err(mismatch) if mismatch.skip => Judgement::new(Status::Skip, mismatch.message),
            Err(mismatch) => {
                let status = if mismatch.path.is_empty() { Status::Error } else { Status::Fail };
                Judgement::new(status, self.mismatch_message(&mismatch, context))
            }
        })
    }

    fn mismatch_message(&self, mismatch: &Mismatch, context: &mut Context<'r>) -> String {
        let rule = self.rule;
        let tail = if mismatch.path.is_empty() {
            [" execution error: ", &mismatch.message]
        } else {
            [" failed at path ", &mismatch.path]
        }
        .concat();
        let own = &self.validate.message;
        if own.is_empty() {
            return ["validation error: rule ", rule, &tail].concat();
        }
        let message = match text_is_dynamic(own) {
            true => context
                .substitute(&Value::String(own.clone()))
                .map(|message| Cow::Owned(go_text::sprint(&message).into_owned())),
            false => Ok(Cow::Borrowed(own.as_str())),
        };
        match message {
            Ok(message) => {
                let stop = if message.ends_with('.') { "" } else { "." };
                ["validation error: ", &message, stop, " rule ", rule, &tail].concat()
            }
            Err(_) => format!(
                "validation error: variables substitution error in rule {rule} execution error: {}",
                mismatch.message
            ),
        }
    }

    fn any_pattern(
        &self,
        templates: &[Template],
        judged: Option<&Value>,
        context: &mut Context<'r>,
    ) -> Option<Judgement> {
        let object = judged?;
        let (mut skipped, mut failed) = (Vec::new(), Vec::new());
        let mut patterns = Vec::with_capacity(templates.len());
        for template in templates {
            match resolve(template, context) {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => return Some(Judgement::error("variable substitution failed", &error)),
            }
        }
        let rule = self.rule;
        let part =
            |index: usize, what: &str, why: &str| ["rule ", rule, "[", &index.to_string(), "]", what, why].concat();
        for (index, pattern) in patterns.iter().enumerate() {
            match pattern::matches(object, pattern) {
                Ok(()) => {
                    let message =
                        ["validation rule '", rule, "' anyPattern[", &index.to_string(), "] passed."].concat();
                    return Some(Judgement::new(Status::Pass, message));
                }
                Err(mismatch) if mismatch.skip => {
                    skipped.push(part(index, " skipped: ", &mismatch.message));
                }
                Err(mismatch) if mismatch.path.is_empty() => {
                    failed.push(part(index, " failed: ", &mismatch.message));
                }
                Err(mismatch) => failed.push(part(index, " failed at path ", &mismatch.path)),
            }
        }
        if failed.is_empty() && !skipped.is_empty() {
            return Some(Judgement::new(Status::Skip, skipped.join(" ")));
        }
        if failed.is_empty() {
            return Some(Judgement::new(Status::Pass, self.validate.message.clone()));
        }
        Some(Judgement::new(Status::Fail, self.any_pattern_message(&failed.join(" "), context)))
    }

    fn any_pattern_message(&self, failures: &str, context: &mut Context<'r>) -> String {
        let own = &self.validate.message;
        if own.is_empty() {
            return format!("validation error: {failures}");
        }
        let filled = text_is_dynamic(own).then(|| context.substitute(&Value::String(own.clone())));
        let own = match filled {
            Some(Ok(Value::String(text))) => Cow::Owned(text),
            _ => Cow::Borrowed(own),
        };
        let stop = if own.ends_with('.') { "" } else { "." };
        ["validation error: ", &own, stop, " ", failures].concat()
    }

    fn for_each(&self, items: &'r [ForEach], nesting: usize, context: &mut Context<'r>) -> Option<Judgement> {
        let (mut applied, mut failure) = (0, None);
        for item in items {
            let elements = match context.elements(&item.list) {
                Ok(elements) => elements,
                // A list that is not there has no elements.
                Err(error) if error.not_found => continue,
                Err(error) => {
                    failure = Some(error);
                    continue;
                }
            };
            if let Err(error) = context.visit(elements.len()) {
                return Some(Judgement::error("failed to process foreach", &error));
            }
            let mark = context.mark();
            let result = self.elements(item, &elements, nesting, context);
            context.restore(mark);
            match result {
                Ok(count) => applied += count,
                Err(judgement) => return Some(judgement),
            }
        }
        match failure.filter(|_| applied == 0) {
            Some(error) => Some(Judgement::error("failed to evaluate list", &error)),
            None => (applied > 0).then(|| Judgement::new(Status::Pass, "rule passed")),
        }
    }

    /// How many elements were judged, or the first judgement that ends the rule.
    fn elements(
        &self,
        item: &'r ForEach,
        elements: &[Rc<Value>],
        nesting: usize,
        context: &mut Context<'r>,
    ) -> Result<usize, Judgement> {
        let mark = context.mark();
        let mut applied = 0;
        for (index, element) in elements.iter().enumerate() {
            if element.is_null() {
                continue;
            }
            context.restore(mark);
            if item.element_scope == Some(true) && !element.is_object() {
                let found = go_text::type_name(element);
                let cause = format!(
                    "cannot use elementScope=true foreach rules for elements that are not maps, expected type=map got type={found}"
                );
                return Err(Judgement::error("failed to process foreach", &cause));
            }
            let scoped = item.element_scope.unwrap_or(element.is_object());
            context.set_element(element, index, nesting);
            add_foreach_values(context, self.policy, self.rule, index);
            let judged = if scoped { Some(&**element) } else { self.object };
            let Some(judgement) = self.element(item, judged, nesting, context) else { continue };
            match judgement.status {
                Status::Pass => applied += 1,
                Status::Skip => {}
                Status::Error if is_undecided(&judgement) && !context.has_visited_all() => {}
                status => {
                    return Err(Judgement::new(status, ["validation failure: ", &judgement.message].concat()));
                }
            }
        }
        Ok(applied)
    }

    fn element(
        &self,
        item: &'r ForEach,
        judged: Option<&Value>,
        nesting: usize,
        context: &mut Context<'r>,
    ) -> Option<Judgement> {
        context.declare(&item.context);
        if let Some(conditions) = &item.preconditions {
            match conditions.evaluate(context) {
                Err(error) => return Some(Judgement::error(UNDECIDED, &error)),
                Ok((false, _)) => return Some(Judgement::new(Status::Skip, "preconditions not met")),
                Ok((true, _)) => {}
            }
        }
        self.check(&item.check, judged, nesting + 1, context)
    }
}

/// Whether it is not known if an element is meant: it is left out, the others count. As in Kyverno, the message tells, so that
/// of an element that is a list itself one that is not known is enough.
fn is_undecided(judgement: &Judgement) -> bool {
    judgement.message.contains(UNDECIDED)
}

const UNDECIDED: &str = "failed to evaluate preconditions";

/// Values that stand for variables of one element (a values file).
pub(crate) fn add_foreach_values(context: &mut Context<'_>, policy: &str, rule: &str, index: usize) {
    let Some(values) = context.snapshot().rule_values(policy, rule) else { return };
    for (name, values) in &values.foreach_values {
        if let Some(value) = values.get(index) {
            context.add_variable(name, value.clone());
        }
    }
}

/// The pattern with its variables replaced.
pub(crate) fn resolve<'t>(
    template: &'t Template,
    context: &mut Context<'_>,
) -> Result<Cow<'t, Pattern>, EvaluationError> {
    match &template.form {
        Form::Compiled(pattern) => Ok(Cow::Borrowed(pattern)),
        Form::Dynamic(template) => Ok(Cow::Owned(pattern::compile(&context.fill(template)?))),
    }
}
