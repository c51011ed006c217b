//! `generate`: objects made from data or copied from others.

use serde_json::{Map, Value, json};

use super::Judgement;
use crate::context::{Context, EvaluationError};
use crate::outcome::Status;
use crate::policy::compiled::{Generate, GenerateItem};
use crate::policy::schema;
use crate::policy::selector::{Labels, Selector};
use crate::snapshot::MissingFact;

/// What came of a generate rule.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// The objects. They carry no ownership labels; whoever writes them adds those.
    pub(crate) objects: Vec<Value>,
    /// What is to be copied is not there.
    pub(crate) source_gone: bool,
}

/// Makes the objects of a rule.
pub(crate) fn generate<'r>(rule: &'r Generate, context: &mut Context<'r>) -> (Judgement, Made) {
    let mut made = Made::default();
    for item in &rule.items {
        let mark = context.mark();
        let result = for_each(item, &mut made, context);
        context.restore(mark);
        if let Err(error) = result {
            return (Judgement::new(Status::Error, error.message), made);
        }
    }
    if made.objects.is_empty() {
        return (Judgement::new(Status::Skip, "preconditions not met"), made);
    }
    (Judgement::new(Status::Pass, "resource generated"), made)
}

fn for_each<'r>(item: &'r GenerateItem, made: &mut Made, context: &mut Context<'r>) -> Result<(), EvaluationError> {
    let Some(list) = &item.list else { return one(item, made, context) };
    let list = context.elements(list)?;
    context.visit(list.len())?;
    let mark = context.mark();
    for (index, element) in list.iter().enumerate() {
        context.restore(mark);
        context.set_element(element, index, 0);
        one(item, made, context)?;
    }
    Ok(())
}

fn one<'r>(item: &'r GenerateItem, made: &mut Made, context: &mut Context<'r>) -> Result<(), EvaluationError> {
    context.declare(&item.context);
    if let Some(conditions) = &item.preconditions {
        let (held, _) =
            conditions.evaluate(context).map_err(|error| error.within("failed to evaluate preconditions"))?;
        if !held {
            return Ok(());
        }
    }
    let mut fields = item.raw.as_object().cloned().unwrap_or_default();
    for own in ["context", "preconditions", "list"] {
        fields.shift_remove(own);
    }
    let raw =
        context.substitute(&Value::Object(fields)).map_err(|error| error.within("variable substitution failed"))?;
    let present = |key: &str| raw.get(key).filter(|value| !value.is_null());
    if let Some(list) = present("cloneList") {
        copy_list(&raw, list, made, context)?;
    } else if let Some(source) = present("clone") {
        let copied = copy(&raw, source, (made, context))?;
        made.objects.push(copied);
    } else {
        made.objects.push(from_data(&raw, present("data").unwrap_or(&Value::Null)));
    }
    if made.objects.len() > context.limits().max_generated_objects {
        return Err(EvaluationError::new("the rule generates too many objects"));
    }
    Ok(())
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn from_data(raw: &Value, data: &Value) -> Value {
    let mut object = data.as_object().cloned().unwrap_or_default();
    name_it(&mut object, raw);
    Value::Object(object)
}

/// Gives the object its type, name and namespace, in the order of manifests.
fn name_it(object: &mut Map<String, Value>, raw: &Value) {
    let mut named = Map::new();
    for key in ["apiVersion", "kind"] {
        let own = object.shift_remove(key);
        let value = Some(text(raw, key)).filter(|value| !value.is_empty()).map(Value::from).or(own);
        named.insert(key.to_owned(), value.unwrap_or_default());
    }
    let mut metadata = match object.shift_remove("metadata") {
        Some(Value::Object(metadata)) => metadata,
        _ => Map::new(),
    };
    for key in ["name", "namespace"] {
        if !text(raw, key).is_empty() {
            metadata.insert(key.to_owned(), Value::from(text(raw, key)));
        }
    }
    named.insert("metadata".to_owned(), Value::Object(metadata));
    named.extend(std::mem::take(object));
    *object = named;
}

fn copy(raw: &Value, source: &Value, (made, context): (&mut Made, &mut Context<'_>)) -> Result<Value, EvaluationError> {
    let (api, kind) = (text(raw, "apiVersion"), text(raw, "kind"));
    let (namespace, name) = (text(source, "namespace"), text(source, "name"));
    let is_it = |object: &&Value| {
        let own = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        text(object, "kind") == kind
            && (api.is_empty() || text(object, "apiVersion") == api)
            && own("/metadata/name") == name
            && own("/metadata/namespace") == namespace
    };
    let found = context.snapshot().objects.iter().find(is_it).cloned();
    let object = found.ok_or_else(|| {
        let error = match note_unlisted(context, (api, kind), namespace) {
            Some(error) => error,
            None => {
                made.source_gone = true;
                EvaluationError::new(format!("{kind} {namespace}/{name} not found"))
            }
        };
        error.within("failed to get the source to clone")
    })?;
    Ok(cloned(object, raw))
}

/// Notes that the objects of a kind are not known, where they are not.
pub(super) fn note_unlisted(
    context: &mut Context<'_>,
    (api_version, kind): (&str, &str),
    namespace: &str,
) -> Option<EvaluationError> {
    let known = context.snapshot().has_listed((api_version, kind), namespace);
    let fact = MissingFact::Objects {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
    };
    (!known).then(|| context.note_missing(fact))
}

/// A copy without what belongs to the original alone.
fn cloned(object: Value, raw: &Value) -> Value {
    let Value::Object(mut fields) = object else { return Value::Null };
    fields.shift_remove("status");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| matches!(key.as_str(), "name" | "namespace" | "labels" | "annotations"));
    }
    name_it(&mut fields, raw);
    Value::Object(fields)
}

fn copy_list(raw: &Value, list: &Value, made: &mut Made, context: &mut Context<'_>) -> Result<(), EvaluationError> {
    let kinds: Vec<&str> =
        list.get("kinds").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let selector = match list.get("selector").filter(|selector| !selector.is_null()) {
        Some(selector) => {
            let raw: schema::Selector =
                serde_json::from_value(selector.clone()).map_err(|error| EvaluationError::new(error.to_string()))?;
            Some(Selector::compile(&raw).map_err(EvaluationError::new)?)
        }
        None => None,
    };
    for kind in &kinds {
        let (api_version, kind) = kind.rsplit_once('/').unwrap_or(("v1", kind));
        if let Some(error) = note_unlisted(context, (api_version, kind), text(list, "namespace")) {
            return Err(error.within("failed to list the sources to clone"));
        }
    }
    let is_meant = |object: &&Value| {
        let full = format!("{}/{}", text(object, "apiVersion"), text(object, "kind"));
        let own = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        let kind_fits = kinds.iter().any(|kind| *kind == full || *kind == text(object, "kind"));
        let labels = Labels::at(object, "labels");
        kind_fits && own == text(list, "namespace") && selector.as_ref().is_none_or(|selector| selector.matches(labels))
    };
    let namespace = text(raw, "namespace").to_owned();
    for object in context.snapshot().objects.iter().filter(is_meant) {
        let target =
            json!({"apiVersion": text(object, "apiVersion"), "kind": text(object, "kind"), "namespace": namespace});
        made.objects.push(cloned(object.clone(), &target));
    }
    Ok(())
}
