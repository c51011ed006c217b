//! `mutate`: changes of the object in the request, and of existing objects.

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::Value;

use super::Judgement;
use super::generate::note_unlisted;
use super::validate::add_foreach_values;
use crate::context::{Context, EvaluationError, ValueTemplate};
use crate::outcome::Status;
use crate::patch::layers::Layer;
use crate::patch::{anchors, json_patch, strategic};
use crate::policy::compiled::{Change, ForEachMutation, Merge, Mutate, Target};
use crate::policy::schema;
use crate::policy::selector::{Labels, Selector};
use crate::value::{path, wildcard};

/// One mutation at work.
pub(crate) struct Mutation<'r> {
    pub(crate) rule: &'r str,
    pub(crate) policy: &'r str,
    pub(crate) mutate: &'r Mutate,
}

/// What a change did: it is repeated on `request.object`.
enum Edit<'r> {
    Merge(Cow<'r, Value>),
    Layers(&'r Layer, Vec<Value>),
    Operations(Cow<'r, [Value]>),
}

impl<'r> Mutation<'r> {
    /// Changes `object`, and `request.object` with it. An object whose change fails stays as it was.
    pub(crate) fn apply(&self, object: &mut Value, context: &mut Context<'r>) -> Judgement {
        let result = match &self.mutate.change {
            Change::ForEach(items) => self.for_each_on_request(items, object, context),
            change => self.change(change, object, 0, context).map(|edits| repeat_on_request(&edits, context)),
        };
        match result {
            Ok(true) => Judgement::new(Status::Pass, success(object)),
            Ok(false) => Judgement::new(Status::Skip, self.nothing()),
            Err(error) => Judgement::new(Status::Error, error.message),
        }
    }

    fn nothing(&self) -> &'static str {
        match &self.mutate.change {
            Change::ForEach(_) => "0 elements processed",
            Change::StrategicMerge(_) | Change::JsonPatch(_) | Change::JsonPatchText(_) => "no patches applied",
        }
    }

    /// Changes the existing objects that the rule's targets name, each with the variable `target`.
    pub(crate) fn apply_to_targets(&self, context: &mut Context<'r>) -> (Judgement, Vec<Value>) {
        let mut patched = Vec::new();
        let mut skipped = None;
        for target in &self.mutate.targets {
            let found = match find_targets(target, context) {
                Ok(found) => found,
                Err(error) => return (Judgement::error("failed to load targets", &error), patched),
            };
            for mut object in found {
                let mark = context.mark();
                context.set("target", object.clone());
                let judgement = self.apply_to_target(target, &mut object, context);
                context.restore(mark);
                match judgement.status {
                    Status::Pass => patched.push(object),
                    Status::Error => return (judgement, patched),
                    Status::Fail | Status::Skip | Status::Warn => skipped = Some(judgement),
                }
            }
        }
        match (patched.first(), skipped) {
            (Some(object), _) => (Judgement::new(Status::Pass, success(object)), patched),
            (None, Some(judgement)) => (judgement, patched),
            (None, None) => (Judgement::new(Status::Skip, "no patches applied"), patched),
        }
    }

    fn apply_to_target(&self, target: &'r Target, object: &mut Value, context: &mut Context<'r>) -> Judgement {
        context.declare(&target.context);
        if let Some(conditions) = &target.preconditions {
            match conditions.evaluate(context) {
                Err(error) => return Judgement::error("failed to evaluate preconditions", &error),
                Ok((false, _)) => return Judgement::new(Status::Skip, "target preconditions not met"),
                Ok((true, _)) => {}
            }
        }
        match self.change(&self.mutate.change, object, 0, context) {
            Ok(edits) if edits.is_empty() => Judgement::new(Status::Skip, self.nothing()),
            Ok(_) => Judgement::new(Status::Pass, success(object)),
            Err(error) => Judgement::new(Status::Error, error.message),
        }
    }

    /// Makes one change; what was done comes back, or nothing when the object stays as it is.
    fn change(
        &self,
        change: &'r Change,
        object: &mut Value,
        nesting: usize,
        context: &mut Context<'r>,
    ) -> Result<Vec<Edit<'r>>, EvaluationError> {
        let substituted = |error: EvaluationError| error.within("variable substitution failed");
        let operations = match change {
            Change::StrategicMerge(Merge { patch, has_anchors, layers }) => {
                if let Some(layers) = layers {
                    let values = context.fill_texts(patch).map_err(substituted)?;
                    if let Some(changed) = layers.merge_into(object, &values) {
                        return Ok(if changed { vec![Edit::Layers(layers, values)] } else { Vec::new() });
                    }
                }
                if let ValueTemplate::Constant(patch) = patch {
                    return merge(object, Cow::Borrowed(patch), *has_anchors);
                }
                let patch = context.fill(patch).map_err(substituted)?;
                let has_anchors = anchors::has_any(&patch);
                return merge(object, Cow::Owned(patch), has_anchors);
            }
            Change::ForEach(items) => return self.for_each(items, object, nesting, context),
            Change::JsonPatch(operations) => Cow::Borrowed(operations.as_slice()),
            Change::JsonPatchText(text) => Cow::Owned(text.operations(context).map_err(substituted)?.map_err(failed)?),
        };
        let changed = json_patch::apply(object, &operations).map_err(|error| failed(error.to_string()))?;
        Ok(if changed { vec![Edit::Operations(operations)] } else { Vec::new() })
    }

    /// `foreach` on the object of the request: each entry sees what the one before made.
    fn for_each_on_request(
        &self,
        items: &'r [ForEachMutation],
        object: &mut Value,
        context: &mut Context<'r>,
    ) -> Result<bool, EvaluationError> {
        // A single entry that fails has changed the variables in nothing yet: they tell what was before.
        let before = (items.len() > 1).then(|| object.clone());
        let mut changed = false;
        for item in items {
            match self.for_each(std::slice::from_ref(item), object, 0, context) {
                Ok(edits) => changed |= repeat_on_request(&edits, context),
                Err(error) => {
                    match before {
                        Some(before) => {
                            context.replace_object(&before);
                            *object = before;
                        }
                        None => {
                            if let Some(own) = context.request_object().filter(|own| own.is_object()) {
                                object.clone_from(own);
                            }
                        }
                    }
                    return Err(error);
                }
            }
        }
        Ok(changed)
    }

    fn for_each(
        &self,
        items: &'r [ForEachMutation],
        object: &mut Value,
        nesting: usize,
        context: &mut Context<'r>,
    ) -> Result<Vec<Edit<'r>>, EvaluationError> {
        let mut edits = Vec::new();
        for item in items {
            let list = context
                .elements(&item.list)
                .map_err(|error| error.within(&format!("failed to evaluate list {}", item.list.text())))?;
            context.visit(list.len())?;
            let mark = context.mark();
            let result = self.elements(item, &list, object, (nesting, context));
            context.restore(mark);
            edits.extend(result.map_err(|error| error.within("failed to mutate elements"))?);
        }
        Ok(edits)
    }

    /// Changes the object once for each element.
    fn elements(
        &self,
        item: &'r ForEachMutation,
        list: &[Rc<Value>],
        object: &mut Value,
        (nesting, context): (usize, &mut Context<'r>),
    ) -> Result<Vec<Edit<'r>>, EvaluationError> {
        let mark = context.mark();
        let mut edits = Vec::new();
        for at in 0..list.len() {
            let index = if item.descending { list.len() - 1 - at } else { at };
            let Some(element) = list.get(index) else { break };
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
            edits.extend(self.change(&item.change, object, nesting + 1, context)?);
        }
        Ok(edits)
    }
}

/// Makes the same changes to `request.object`, which was as the object before them; whether there were any.
fn repeat_on_request(edits: &[Edit<'_>], context: &mut Context<'_>) -> bool {
    if !edits.is_empty() {
        context.edit_object(|own| edits.iter().for_each(|edit| repeat(edit, own)));
    }
    !edits.is_empty()
}

fn repeat(edit: &Edit<'_>, object: &mut Value) {
    match edit {
        Edit::Merge(patch) => {
            strategic::merge_into(object, patch);
        }
        Edit::Layers(layers, values) => {
            layers.merge_into(object, values);
        }
        // What went well on an equal object goes well again.
        Edit::Operations(operations) => json_patch::repeat(object, operations),
    }
}

fn merge<'r>(object: &mut Value, patch: Cow<'r, Value>, has_anchors: bool) -> Result<Vec<Edit<'r>>, EvaluationError> {
    let resolved = if has_anchors { anchors::resolve(&patch, object).map(Cow::Owned) } else { Ok(patch) };
    match resolved {
        Ok(patch) if strategic::merge_into(object, &patch) => Ok(vec![Edit::Merge(patch)]),
        Ok(_) | Err(anchors::Unmet::Condition(_) | anchors::Unmet::Global(_)) => Ok(Vec::new()),
        Err(broken @ anchors::Unmet::Broken(_)) => {
            Err(failed(format!("failed to preProcess rule: {}", broken.reason())))
        }
    }
}

fn failed(what: String) -> EvaluationError {
    EvaluationError::new(format!("failed to patch resource: {what}"))
}

fn success(object: &Value) -> String {
    let text = |path: &[&str]| path::text(object, path);
    let (kind, name, namespace) = (text(&["kind"]), text(&["metadata", "name"]), text(&["metadata", "namespace"]));
    let mut message = String::with_capacity(32 + kind.len() + name.len() + namespace.len());
    for part in ["mutated ", kind, "/", name] {
        message.push_str(part);
    }
    if !namespace.is_empty() {
        message.push_str(" in namespace ");
        message.push_str(namespace);
    }
    message
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
    let place = if wildcard::is_wildcard(text("namespace")) { "" } else { text("namespace") };
    if let Some(error) = note_unlisted(context, (text("apiVersion"), text("kind")), place) {
        return Err(error);
    }
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
