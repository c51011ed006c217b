//! `mutate`: changes of the object in the request, and of existing objects.

use serde_json::Value;

use super::Judgement;
use super::validate::{add_foreach_values, elements};
use crate::context::{Context, EvaluationError};
use crate::outcome::Status;
use crate::patch::{anchors, json_patch, strategic};
use crate::policy::compiled::{Change, ForEachMutation, Mutate, Target};
use crate::policy::schema;
use crate::policy::selector::{Labels, Selector};
use crate::value::wildcard;

/// Elements that one `foreach` may visit.
const MAX_ELEMENTS: usize = 10_000;

/// One mutation at work.
pub(crate) struct Mutation<'r> {
    pub(crate) rule: &'r str,
    pub(crate) policy: &'r str,
    pub(crate) mutate: &'r Mutate,
}

enum Changed {
    Yes(Value),
    No(String),
}

impl<'r> Mutation<'r> {
    /// Changes `object`; the changed object comes with the judgement when it passed.
    pub(crate) fn apply(&self, object: &Value, context: &mut Context<'r>) -> (Judgement, Option<Value>) {
        match self.change(&self.mutate.change, object, 0, context) {
            Ok(Changed::Yes(object)) => (Judgement::new(Status::Pass, success(&object)), Some(object)),
            Ok(Changed::No(why)) => (Judgement::new(Status::Skip, why), None),
            Err(error) => (Judgement::new(Status::Error, error.message), None),
        }
    }

    /// Changes the existing objects that the rule's targets name, each with the variable `target`.
    pub(crate) fn apply_to_targets(&self, context: &mut Context<'r>) -> (Judgement, Vec<Value>) {
        let mut patched = Vec::new();
        let mut skipped = None;
        for target in &self.mutate.targets {
            let found = match find_targets(target, context) {
                Ok(found) => found,
                Err(error) => {
                    return (Judgement::error("failed to load targets", &error), patched);
                }
            };
            for object in found {
                let mark = context.mark();
                context.set("target", object.clone());
                let outcome = self.apply_to_target(target, &object, context);
                context.restore(mark);
                match outcome {
                    (judgement, Some(object)) if judgement.status == Status::Pass => patched.push(object),
                    (judgement, _) if judgement.status == Status::Error => return (judgement, patched),
                    (judgement, _) => skipped = Some(judgement),
                }
            }
        }
        match (patched.first(), skipped) {
            (Some(object), _) => (Judgement::new(Status::Pass, success(object)), patched),
            (None, Some(judgement)) => (judgement, patched),
            (None, None) => (Judgement::new(Status::Skip, "no patches applied"), patched),
        }
    }

    fn apply_to_target(
        &self,
        target: &'r Target,
        object: &Value,
        context: &mut Context<'r>,
    ) -> (Judgement, Option<Value>) {
        context.declare(&target.context);
        if let Some(conditions) = &target.preconditions {
            match conditions.evaluate(context) {
                Err(error) => return (Judgement::error("failed to evaluate preconditions", &error), None),
                Ok((false, _)) => return (Judgement::new(Status::Skip, "target preconditions not met"), None),
                Ok((true, _)) => {}
            }
        }
        self.apply(object, context)
    }

    fn change(
        &self,
        change: &'r Change,
        object: &Value,
        nesting: usize,
        context: &mut Context<'r>,
    ) -> Result<Changed, EvaluationError> {
        let substituted = |error: EvaluationError| error.within("variable substitution failed");
        let patched = match change {
            Change::StrategicMerge(patch) => merge(object, &context.substitute(patch).map_err(substituted)?)?,
            Change::JsonPatch { parsed: Some(operations), .. } => {
                json_patch::apply(object, operations).map_err(failed)?
            }
            Change::JsonPatch { text, parsed: None } => {
                let text = context.substitute_text(text).map_err(substituted)?;
                let operations = json_patch::parse(&text);
                operations.and_then(|operations| json_patch::apply(object, &operations)).map_err(failed)?
            }
            Change::ForEach(items) => return self.for_each(items, object, nesting, context),
        };
        Ok(if patched == *object { Changed::No("no patches applied".to_owned()) } else { Changed::Yes(patched) })
    }

    fn for_each(
        &self,
        items: &'r [ForEachMutation],
        object: &Value,
        nesting: usize,
        context: &mut Context<'r>,
    ) -> Result<Changed, EvaluationError> {
        let mut object = object.clone();
        let mut applied = 0;
        for item in items {
            let list = elements(&item.list, context)
                .map_err(|error| error.within(&format!("failed to evaluate list {}", item.list)))?;
            let mark = context.mark();
            let result = self.elements(item, &list, &mut object, (nesting, context));
            context.restore(mark);
            if result.map_err(|error| error.within("failed to mutate elements"))? {
                applied += 1;
            }
        }
        if applied == 0 {
            return Ok(Changed::No(format!("{applied} elements processed")));
        }
        Ok(Changed::Yes(object))
    }

    /// Changes the object once for each element; whether any element was worked on.
    fn elements(
        &self,
        item: &'r ForEachMutation,
        list: &[Value],
        object: &mut Value,
        (nesting, context): (usize, &mut Context<'r>),
    ) -> Result<bool, EvaluationError> {
        let mut order: Vec<(usize, &Value)> = list.iter().enumerate().take(MAX_ELEMENTS).collect();
        if item.descending {
            order.reverse();
        }
        let mark = context.mark();
        let mut worked = false;
        for (index, element) in order {
            if element.is_null() {
                continue;
            }
            context.restore(mark);
            context.set_element(element, index, nesting);
            add_foreach_values(context, self.policy, self.rule, index);
            context.declare(&item.context);
            if let Some(conditions) = &item.preconditions {
                let step = format!("failed to evaluate mutate.foreach[{index}].preconditions");
                if !conditions.evaluate(context).map_err(|error| error.within(&step))?.0 {
                    continue;
                }
            }
            if let Changed::Yes(changed) = self.change(&item.change, object, nesting + 1, context)? {
                *object = changed;
                worked = true;
            }
        }
        Ok(worked)
    }
}

fn merge(object: &Value, patch: &Value) -> Result<Value, EvaluationError> {
    match anchors::resolve(patch, object) {
        Ok(patch) => Ok(strategic::merge(object, &patch)),
        Err(anchors::Unmet::Condition(_) | anchors::Unmet::Global(_)) => Ok(object.clone()),
        Err(broken @ anchors::Unmet::Broken(_)) => {
            Err(failed(format!("failed to preProcess rule: {}", broken.reason())))
        }
    }
}

fn failed(what: String) -> EvaluationError {
    EvaluationError::new(format!("failed to patch resource: {what}"))
}

fn success(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (kind, name, namespace) = (text("/kind"), text("/metadata/name"), text("/metadata/namespace"));
    if namespace.is_empty() {
        format!("mutated {kind}/{name}")
    } else {
        format!("mutated {kind}/{name} in namespace {namespace}")
    }
}

/// The existing objects that a target selects.
fn find_targets(target: &Target, context: &mut Context<'_>) -> Result<Vec<Value>, EvaluationError> {
    let mut fields = serde_json::Map::new();
    for key in ["apiVersion", "kind", "name", "namespace", "selector"] {
        if let Some(value) = target.selector.get(key) {
            fields.insert(key.to_owned(), value.clone());
        }
    }
    let wanted = context.substitute(&Value::Object(fields))?;
    let text = |key: &str| wanted.get(key).and_then(Value::as_str).unwrap_or_default();
    let selector = match wanted.get("selector").filter(|selector| !selector.is_null()) {
        Some(selector) => {
            let raw: schema::Selector =
                serde_json::from_value(selector.clone()).map_err(|error| EvaluationError::new(error.to_string()))?;
            Some(Selector::compile(&raw).map_err(EvaluationError::new)?)
        }
        None => None,
    };
    let fits = |pattern: &str, value: &str| pattern.is_empty() || wildcard::matches(pattern, value);
    let is_meant = |object: &&Value| {
        let own = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        fits(text("apiVersion"), own("/apiVersion"))
            && fits(text("kind"), own("/kind"))
            && fits(text("name"), own("/metadata/name"))
            && fits(text("namespace"), own("/metadata/namespace"))
            && selector.as_ref().is_none_or(|selector| selector.matches(Labels::at(object, "labels")))
    };
    Ok(context.snapshot().objects.iter().filter(is_meant).cloned().collect())
}
