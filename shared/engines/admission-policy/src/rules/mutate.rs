//! `mutate`: changes of the object in the request, and of existing objects.

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::Value;

use super::Judgement;
use super::generate::note_unlisted;
use super::validate::add_foreach_values;
use crate::context::{Context, EvaluationError, Place, ValueTemplate};
use crate::outcome::{ChangedTarget, Status};
use crate::patch::layers::Layer;
use crate::patch::view::View;
use crate::patch::{anchors, json_patch, strategic};
use crate::policy::compiled::{Change, ForEachMutation, Merge, Mutate, Target};
use crate::policy::schema;
use crate::policy::selector::{Labels, Selector};
use crate::value::{Object, path, wildcard};

/// One mutation at work.
pub(crate) struct Mutation<'r> {
    pub(crate) rule: &'r str,
    pub(crate) policy: &'r str,
    pub(crate) mutate: &'r Mutate,
}

/// A change, with its variables replaced.
struct Edit<'r> {
    what: Filled<'r>,
    /// How many `foreach` it stands in.
    nesting: usize,
}

enum Filled<'r> {
    Merge(Cow<'r, Value>, bool),
    Layers(&'r Layer, Vec<Value>),
    Operations(Cow<'r, [Value]>),
}

impl<'r> Mutation<'r> {
    /// Changes `object`, and `request.object` with it. An object whose change fails stays as it was.
    pub(crate) fn apply(&self, object: &mut Object<'r>, context: &mut Context<'r>) -> Judgement {
        let result = match &self.mutate.change {
            Change::ForEach(items) => self.for_each_on_request(items, object, context),
            change => self.once(change, object, context),
        };
        match result {
            Ok(true) => Judgement::new(Status::Pass, success(object)),
            Ok(false) => Judgement::new(Status::Skip, self.nothing()),
            Err(error) => Judgement::new(Status::Error, error.message),
        }
    }

    /// One change of the object of the request.
    fn once(
        &self,
        change: &'r Change,
        object: &mut Object<'r>,
        context: &mut Context<'r>,
    ) -> Result<bool, EvaluationError> {
        let mut edits = Vec::new();
        let read = self.read(change, 0, context, &mut edits);
        make_on_request(edits, read, object, context)
    }

    fn nothing(&self) -> &'static str {
        match &self.mutate.change {
            Change::ForEach(_) => "0 elements processed",
            Change::StrategicMerge(_) | Change::JsonPatch(_) | Change::JsonPatchText(_) => "no patches applied",
        }
    }

    /// Changes the existing objects that the rule's targets name, each with the variable `target`.
    pub(crate) fn apply_to_targets(&self, context: &mut Context<'r>) -> (Judgement, Vec<ChangedTarget>) {
        let mut patched = Vec::new();
        let mut skipped = None;
        for target in &self.mutate.targets {
            let found = match find_targets(target, context) {
                Ok(found) => found,
                Err(error) => return (Judgement::error("failed to load targets", &error), patched),
            };
            for ChangedTarget { object, subresource } in found {
                let mark = context.mark();
                context.set("target", object.clone());
                let mut object = Object::from(object);
                let judgement = self.apply_to_target(target, &mut object, context);
                context.restore(mark);
                match judgement.status {
                    Status::Pass => patched.push(ChangedTarget { object: object.into_value(), subresource }),
                    Status::Error => return (judgement, patched),
                    Status::Fail | Status::Skip | Status::Warn => skipped = Some(judgement),
                }
            }
        }
        match (patched.first(), skipped) {
            (Some(changed), _) => (Judgement::new(Status::Pass, success(&changed.object)), patched),
            (None, Some(judgement)) => (judgement, patched),
            (None, None) => (Judgement::new(Status::Skip, "no patches applied"), patched),
        }
    }

    fn apply_to_target(&self, target: &'r Target, object: &mut Object<'r>, context: &mut Context<'r>) -> Judgement {
        context.declare(&target.context);
        if let Some(conditions) = &target.preconditions {
            match conditions.evaluate(context) {
                Err(error) => return Judgement::error("failed to evaluate preconditions", &error),
                Ok((false, _)) => return Judgement::new(Status::Skip, "target preconditions not met"),
                Ok((true, _)) => {}
            }
        }
        let mut edits = Vec::new();
        let read = self.read(&self.mutate.change, 0, context, &mut edits);
        match make(edits, read, object) {
            Ok(false) => Judgement::new(Status::Skip, self.nothing()),
            Ok(true) => Judgement::new(Status::Pass, success(object)),
            Err(error) => Judgement::new(Status::Error, error.message),
        }
    }

    /// `foreach` on the object of the request: each entry sees what the one before made.
    fn for_each_on_request(
        &self,
        items: &'r [ForEachMutation],
        object: &mut Object<'r>,
        context: &mut Context<'r>,
    ) -> Result<bool, EvaluationError> {
        let before = (items.len() > 1).then(|| object.clone());
        let mut changed = false;
        for item in items {
            let mut edits = Vec::new();
            let read = self.read_each(std::slice::from_ref(item), 0, context, &mut edits);
            match make_on_request(edits, read, object, context) {
                Ok(one) => changed |= one,
                Err(error) => {
                    if let Some(before) = before.filter(|_| changed) {
                        context.replace_object(before.clone());
                        *object = before;
                    }
                    return Err(error);
                }
            }
        }
        Ok(changed)
    }

    /// Reads a change with the variables as they are now. What was read before something went wrong is told too.
    fn read(
        &self,
        change: &'r Change,
        nesting: usize,
        context: &mut Context<'r>,
        edits: &mut Vec<Edit<'r>>,
    ) -> Result<(), EvaluationError> {
        match change {
            Change::ForEach(items) => self.read_each(items, nesting, context, edits)?,
            change => edits.extend(read_one(change, nesting > 0, context)?.map(|what| Edit { what, nesting })),
        }
        Ok(())
    }

    fn read_each(
        &self,
        items: &'r [ForEachMutation],
        nesting: usize,
        context: &mut Context<'r>,
        edits: &mut Vec<Edit<'r>>,
    ) -> Result<(), EvaluationError> {
        for item in items {
            let list = context
                .elements(&item.list)
                // Kyverno tells the cause twice.
                .map_err(|error| {
                    EvaluationError::new(format!("failed to evaluate list {}: {error}: {error}", item.list.text()))
                })?;
            context.visit(list.len())?;
            let mark = context.mark();
            let result = self.read_elements(item, &list, (nesting, context), edits);
            context.restore(mark);
            result.map_err(|error| error.within("failed to mutate elements"))?;
        }
        Ok(())
    }

    /// Reads the changes for each element.
    fn read_elements(
        &self,
        item: &'r ForEachMutation,
        list: &[Rc<Value>],
        (nesting, context): (usize, &mut Context<'r>),
        edits: &mut Vec<Edit<'r>>,
    ) -> Result<(), EvaluationError> {
        let mark = context.mark();
        for at in 0..list.len() {
            let index = if item.descending { list.len() - 1 - at } else { at };
            let Some(element) = list.get(index).filter(|element| !element.is_null()) else { continue };
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
            self.read(&item.change, nesting + 1, context, edits)?;
        }
        Ok(())
    }
}

/// Makes changes of the object of the request, and of `request.object` with it.
fn make_on_request<'r>(
    edits: Vec<Edit<'r>>,
    read: Result<(), EvaluationError>,
    object: &mut Object<'r>,
    context: &mut Context<'r>,
) -> Result<bool, EvaluationError> {
    if edits.is_empty() {
        return read.map(|()| false);
    }
    let has_object = context.release_object();
    let result = make(edits, read, object);
    match result {
        _ if !has_object => {}
        Ok(true) => context.replace_object(object.clone()),
        Ok(false) | Err(_) => context.give_back_object(object.clone()),
    }
    result
}

/// Makes changes, unless one of them could not be read; whether that changed anything. Where one fails, the object is as it
/// was.
fn make(
    edits: Vec<Edit<'_>>,
    read: Result<(), EvaluationError>,
    object: &mut Object<'_>,
) -> Result<bool, EvaluationError> {
    // A change alone undoes what it did, and the plain ones cannot fail.
    let may_fail = |edit: &Edit<'_>| !matches!(edit.what, Filled::Layers(..) | Filled::Merge(_, false));
    let before = (read.is_err() || edits.iter().skip(1).any(may_fail)).then(|| object.clone());
    let mut changed = false;
    let made = edits.into_iter().try_for_each(|edit| {
        let wrapped = |error| {
            (0..edit.nesting).fold(error, |error: EvaluationError, _| error.within("failed to mutate elements"))
        };
        changed |= edit.what.make(object).map_err(wrapped)?;
        Ok(())
    });
    match (made.and(read), before) {
        (Ok(()), _) => Ok(changed),
        (Err(error), before) => {
            if let Some(before) = before {
                *object = before;
            }
            Err(error)
        }
    }
}

/// Reads a change that is not one of elements.
fn read_one<'r>(
    change: &'r Change,
    of_element: bool,
    context: &mut Context<'r>,
) -> Result<Option<Filled<'r>>, EvaluationError> {
    let root = |whole, part| Place::root(if of_element { part } else { whole });
    let substituted = |error: EvaluationError| error.within("variable substitution failed");
    Ok(Some(match change {
        Change::StrategicMerge(Merge { patch: ValueTemplate::Constant(patch), has_anchors, layers: None }) => {
            Filled::Merge(Cow::Borrowed(patch), *has_anchors)
        }
        Change::StrategicMerge(Merge { patch, layers, .. }) => {
            let merge = root("mutate/patchStrategicMerge", "patchStrategicMerge");
            if let Some(layers) = layers {
                let values = context.fill_texts(&merge, patch).map_err(substituted)?;
                if Layer::takes(&values) {
                    return Ok(Some(Filled::Layers(layers, values)));
                }
            }
            let patch = context.fill_below(&merge, patch).map_err(substituted)?;
            let has_anchors = anchors::has_any(&patch);
            Filled::Merge(Cow::Owned(patch), has_anchors)
        }
        Change::JsonPatch(operations) => Filled::Operations(Cow::Borrowed(operations.as_slice())),
        Change::JsonPatchText(text) => Filled::Operations(Cow::Owned(
            text.operations(&root("mutate/patchesJson6902", "patchesJson6902"), context)
                .map_err(substituted)?
                .map_err(failed)?,
        )),
        Change::ForEach(_) => return Ok(None),
    }))
}

impl Filled<'_> {
    /// Changes the object; whether that changed anything. Where it fails, the object is as it was.
    fn make(&self, object: &mut Object<'_>) -> Result<bool, EvaluationError> {
        match self {
            Self::Layers(layers, values) => layers.merge_into(object.make_mut(), values).map_err(failed),
            Self::Operations(operations) => {
                json_patch::apply(object.make_mut(), operations).map_err(|error| failed(error.to_string()))
            }
            Self::Merge(patch, false) => strategic::merge_into(object.make_mut(), View::from(&**patch)).map_err(failed),
            Self::Merge(patch, true) => match anchors::resolve(patch, object) {
                Ok(patch) => strategic::merge_into(object.make_mut(), patch.view()).map_err(failed),
                Err(anchors::Unmet::Condition(_) | anchors::Unmet::Global(_)) => Ok(false),
                Err(broken @ anchors::Unmet::Broken(_)) => {
                    Err(failed(format!("failed to preProcess rule: {}", broken.reason())))
                }
            },
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

/// The existing objects that a target selects, each with the part of it that its kind (`Node/status`) is about.
fn find_targets(target: &Target, context: &mut Context<'_>) -> Result<Vec<ChangedTarget>, EvaluationError> {
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
    let (kind, subresource) = text("kind").split_once('/').unwrap_or((text("kind"), ""));
    if let Some(error) = note_unlisted(context, (text("apiVersion"), kind), place) {
        return Err(error);
    }
    let fits = |pattern: &str, value: &str| pattern.is_empty() || wildcard::matches(pattern, value);
    let is_meant = |object: &&Value| {
        let own = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        fits(text("apiVersion"), own("/apiVersion"))
            && fits(kind, own("/kind"))
            && fits(text("name"), own("/metadata/name"))
            && fits(text("namespace"), own("/metadata/namespace"))
            && selector.as_ref().is_none_or(|selector| selector.matches(Labels::at(object, "labels")))
    };
    let changed = |object: &Value| ChangedTarget { object: object.clone(), subresource: subresource.to_owned() };
    Ok(context.snapshot().objects.iter().filter(is_meant).map(changed).collect())
}
