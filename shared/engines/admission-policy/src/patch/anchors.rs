//! A strategic merge patch with anchors becomes a plain one for the object at hand: conditions are judged, `+()` keys kept or
//! dropped, list items with conditions repeated for each item that meets them.

use serde_json::{Map, Value};

use crate::pattern::anchor::{self, Anchor};
use crate::pattern::{self, compile};

/// Why a patch does not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unmet {
    /// A condition does not hold: this element is not meant.
    Condition(String),
    /// A global condition does not hold: the whole patch is not meant.
    Global(String),
    /// The patch and the object do not fit together.
    Broken(String),
}

impl Unmet {
    /// The reason.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Condition(reason) | Self::Global(reason) | Self::Broken(reason) => reason,
        }
    }
}

/// Whether `patch` has something to resolve: an anchor, or a list that must meet a list.
pub(crate) fn has_any(patch: &Value) -> bool {
    match patch {
        Value::Object(fields) => fields.iter().any(|(key, value)| anchor::parse(key).is_some() || has_any(value)),
        Value::Array(items) => items.first().is_some_and(Value::is_object) || items.iter().any(has_any),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Resolves the anchors of `patch` for `object`; the result has none left.
pub(crate) fn resolve(patch: &Value, object: &Value) -> Result<Value, Unmet> {
    let mut patch = patch.clone();
    prepare(&mut patch, Some(object))?;
    if let Some(fields) = patch.as_object_mut() {
        fields.retain(|key, value| {
            let conditional = anchor::parse(key).is_some_and(|(anchor, _)| is_condition(anchor));
            !strip(value, conditional)
        });
        let own = std::mem::take(fields);
        *fields = own.into_iter().map(|(key, value)| (unwrapped(key), value)).collect();
    }
    Ok(patch)
}

fn is_condition(anchor: Anchor) -> bool {
    matches!(anchor, Anchor::Condition | Anchor::Global)
}

fn unwrapped(key: String) -> String {
    match anchor::parse(&key) {
        Some((anchor, bare)) if is_condition(anchor) => bare.to_owned(),
        _ => key,
    }
}

fn prepare(patch: &mut Value, object: Option<&Value>) -> Result<(), Unmet> {
    match patch {
        Value::Object(fields) => prepare_map(fields, object),
        Value::Array(items) if items.first().is_some_and(Value::is_object) => prepare_list(items, object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Ok(()),
    }
}

fn prepare_map(fields: &mut Map<String, Value>, object: Option<&Value>) -> Result<(), Unmet> {
    add_if_absent(fields, object);
    conditions(fields, object, Anchor::Global)
        .map_err(|reason| Unmet::Global(format!("global condition failed: {reason}")))?;
    conditions(fields, object, Anchor::Condition)
        .map_err(|reason| Unmet::Condition(format!("condition failed: {reason}")))?;
    for (key, value) in fields.iter_mut() {
        let marked =
            anchor::parse(key).is_some_and(|(anchor, _)| is_condition(anchor) || anchor == Anchor::AddIfAbsent);
        if !marked {
            prepare(value, object.and_then(|object| object.get(key)))?;
        }
    }
    Ok(())
}

/// `+(key)` goes when the object has the key, and becomes `key` when it has not. How many there were.
fn add_if_absent(fields: &mut Map<String, Value>, object: Option<&Value>) -> usize {
    let is_add = |key: &str| matches!(anchor::parse(key), Some((Anchor::AddIfAbsent, _)));
    let count = fields.keys().filter(|key| is_add(key)).count();
    if count == 0 {
        return 0;
    }
    for (key, value) in std::mem::take(fields) {
        match anchor::parse(&key) {
            Some((Anchor::AddIfAbsent, bare)) => {
                if object.and_then(|object| object.get(bare)).is_none() {
                    fields.insert(bare.to_owned(), value);
                }
            }
            _ => {
                fields.insert(key, value);
            }
        }
    }
    count
}

fn conditions(fields: &mut Map<String, Value>, object: Option<&Value>, wanted: Anchor) -> Result<(), String> {
    for (key, value) in fields.iter_mut() {
        let Some((found, bare)) = anchor::parse(key) else { continue };
        if found != wanted {
            continue;
        }
        let Some(own) = object.and_then(|object| object.get(bare)) else {
            return Err(format!("could not found \"{bare}\" key in the resource"));
        };
        let added = value.as_object_mut().map_or(0, |fields| add_if_absent(fields, Some(own)));
        if added == 0 {
            pattern::matches(&as_text(own), &compile(&as_text(value))).map_err(|mismatch| mismatch.message)?;
        }
    }
    Ok(())
}

/// Scalars are compared as the texts that they are in YAML.
fn as_text(value: &Value) -> Value {
    match value {
        Value::Null => Value::from("null"),
        Value::Bool(flag) => Value::from(flag.to_string()),
        Value::Number(number) => Value::from(number.to_string()),
        Value::String(_) | Value::Array(_) | Value::Object(_) => value.clone(),
    }
}

fn prepare_list(items: &mut Vec<Value>, object: Option<&Value>) -> Result<(), Unmet> {
    let elements = match object {
        None | Some(Value::Null) => &[][..],
        Some(Value::Array(elements)) => elements.as_slice(),
        Some(_) => return Err(Unmet::Broken("the patch has a list where the object has none".to_owned())),
    };
    let mut repeated = Vec::new();
    for item in items.iter() {
        if !has_anchor(item, |anchor| is_condition(anchor) || anchor == Anchor::AddIfAbsent) {
            continue;
        }
        let global = has_anchor(item, |anchor| anchor == Anchor::Global);
        let (mut passed, mut unmet) = (false, None);
        for element in elements {
            let mut copy = item.clone();
            match prepare(&mut copy, Some(element)) {
                Ok(()) if global => passed = true,
                Ok(()) => repeated.extend(named_like(copy, element)),
                Err(Unmet::Condition(_)) => {}
                Err(error @ Unmet::Global(_)) => unmet = Some(error),
                Err(error) => return Err(error),
            }
        }
        if object.is_none() {
            match prepare(&mut item.clone(), None) {
                Ok(()) => passed |= global,
                Err(Unmet::Condition(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(unmet) = unmet.filter(|_| !passed) {
            return Err(unmet);
        }
    }
    items.extend(repeated);
    Ok(())
}

/// The item for one element that meets its conditions, tied to it by name.
fn named_like(mut item: Value, element: &Value) -> Option<Value> {
    let name = element.get("name").filter(|name| name.as_str().is_some_and(|name| !name.is_empty()))?;
    if strip(&mut item, true) {
        return None;
    }
    item.as_object_mut()?.insert("name".to_owned(), name.clone());
    Some(item)
}

fn has_anchor(value: &Value, wanted: impl Fn(Anchor) -> bool + Copy) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(key, value)| {
            anchor::parse(key).is_some_and(|(anchor, _)| wanted(anchor)) || has_anchor(value, wanted)
        }),
        Value::Array(items) => items.iter().any(|item| has_anchor(item, wanted)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Takes conditions out of what stays in the patch; whether nothing of the value is left.
fn strip(value: &mut Value, scalar_goes: bool) -> bool {
    match value {
        Value::Object(fields) => strip_map(fields),
        Value::Array(items) => {
            let before = items.len();
            items.retain_mut(|item| {
                let anchored = has_anchor(item, |anchor| is_condition(anchor) || anchor == Anchor::AddIfAbsent);
                !anchored && !strip(item, false)
            });
            items.is_empty() && before > 0
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => scalar_goes,
    }
}

fn strip_map(fields: &mut Map<String, Value>) -> bool {
    if fields.is_empty() {
        return false;
    }
    let conditional = |key: &str| anchor::parse(key).is_some_and(|(anchor, _)| is_condition(anchor));
    fields.retain(|key, value| !(conditional(key) && strip(value, true)));
    let own = std::mem::take(fields);
    *fields = own.into_iter().map(|(key, value)| (unwrapped(key), value)).collect();
    fields.retain(|_, value| !strip(value, false));
    fields.is_empty()
}
