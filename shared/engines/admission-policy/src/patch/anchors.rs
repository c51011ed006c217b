//! A strategic merge patch with anchors becomes a plain one for the object at hand: conditions are judged, `+()` keys kept or
//! dropped, list items with conditions repeated for each item that meets them.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::nodes;
use super::view::Resolved;
use crate::pattern::anchor::{self, Anchor};
use crate::pattern::{self, compile};
use crate::value::path::at;

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
pub(crate) fn resolve<'p>(patch: &'p Value, object: &Value) -> Result<Resolved<'p>, Unmet> {
    let mut patch = prepared(patch, Some(object))?;
    if let Resolved::Map(fields) = &mut patch {
        fields.retain_mut(|(key, value)| {
            let conditional = anchor::parse(key).is_some_and(|(anchor, _)| is_condition(anchor));
            !strip(value, conditional)
        });
        unwrap_keys(fields);
    }
    Ok(patch)
}

fn is_condition(anchor: Anchor) -> bool {
    matches!(anchor, Anchor::Condition | Anchor::Global)
}

/// Takes the marks of conditions off the keys. Of two fields that then have one key, the later counts, in the place of the
/// earlier.
fn unwrap_keys(fields: &mut Parts<'_>) {
    let mut at = 0;
    while let Some((key, _)) = fields.get_mut(at) {
        if let Some((anchor, bare)) = anchor::parse(key)
            && is_condition(anchor)
        {
            *key = bare;
        }
        at += 1;
    }
    let mut at = 1;
    while let Some((key, _)) = fields.get(at) {
        match fields.iter().take(at).position(|(known, _)| known == key) {
            Some(earlier) => {
                let (_, value) = fields.remove(at);
                if let Some((_, known)) = fields.get_mut(earlier) {
                    *known = value;
                }
            }
            None => at += 1,
        }
    }
}

/// The patch with its conditions judged, `+()` keys kept or dropped, and list items repeated. Nothing of it is copied before
/// its conditions hold.
fn prepared<'p>(patch: &'p Value, object: Option<&Value>) -> Result<Resolved<'p>, Unmet> {
    match patch {
        Value::Object(fields) => prepared_map(fields, object).map(Resolved::Map),
        Value::Array(items) if items.first().is_some_and(Value::is_object) => {
            prepared_list(items, object).map(Resolved::List)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Ok(Resolved::Part(patch))
        }
    }
}

type Parts<'p> = Vec<(&'p str, Resolved<'p>)>;

/// A key of a patch, with its anchor if it has one.
#[derive(Clone, Copy)]
struct Field<'p> {
    /// As written, or without its mark where it is one to be added.
    key: &'p str,
    anchor: Option<(Anchor, &'p str)>,
    value: &'p Value,
}

/// The fields that count for the object: `+(key)` goes when the object has the key, and becomes `key` when it has not. Also
/// how many of those there were.
fn counting<'p>(fields: &'p Map<String, Value>, object: Option<&Value>) -> (Vec<Field<'p>>, usize) {
    let mut counting: Vec<Field<'p>> = Vec::with_capacity(fields.len());
    let mut added = 0;
    for (key, value) in fields {
        let mut field = Field { key, anchor: anchor::parse(key), value };
        if let Some((Anchor::AddIfAbsent, bare)) = field.anchor {
            added += 1;
            if below(object, bare).is_some() {
                continue;
            }
            field = Field { key: bare, anchor: anchor::parse(bare), value };
        }
        match counting.iter_mut().find(|known| added > 0 && known.key == field.key) {
            Some(known) => *known = field,
            None => counting.push(field),
        }
    }
    (counting, added)
}

fn prepared_map<'p>(fields: &'p Map<String, Value>, object: Option<&Value>) -> Result<Parts<'p>, Unmet> {
    let (fields, _) = counting(fields, object);
    conditions(&fields, object, Anchor::Global)
        .map_err(|reason| Unmet::Global(["global condition failed: ", &reason].concat()))?;
    conditions(&fields, object, Anchor::Condition)
        .map_err(|reason| Unmet::Condition(["condition failed: ", &reason].concat()))?;
    let settle = |Field { key, anchor, value }| {
        let value = match anchor {
            Some((anchor, bare)) if is_condition(anchor) => settled(value, below(object, bare)),
            Some((Anchor::AddIfAbsent, _)) => Resolved::Part(value),
            _ => prepared(value, below(object, key))?,
        };
        Ok((key, value))
    };
    fields.into_iter().map(settle).collect()
}

/// What the object has below a key.
fn below<'v>(object: Option<&'v Value>, key: &str) -> Option<&'v Value> {
    at(object?, &[key])
}

/// The value of a condition: of what stands below it, only `+()` keys are settled.
fn settled<'p>(value: &'p Value, own: Option<&Value>) -> Resolved<'p> {
    match value {
        Value::Object(below) => {
            let fields = counting(below, own).0;
            Resolved::Map(fields.into_iter().map(|field| (field.key, Resolved::Part(field.value))).collect())
        }
        other => Resolved::Part(other),
    }
}

fn conditions(fields: &[Field<'_>], object: Option<&Value>, wanted: Anchor) -> Result<(), String> {
    for Field { anchor, value, .. } in fields {
        let Some(bare) = anchor.filter(|(anchor, _)| *anchor == wanted).map(|(_, bare)| bare) else { continue };
        let Some(own) = below(object, bare) else {
            return Err(["could not found \"", bare, "\" key in the resource"].concat());
        };
        let adds = |key: &String| matches!(anchor::parse(key), Some((Anchor::AddIfAbsent, _)));
        // A text matches itself, whatever it means as a pattern.
        let is_same = value.is_string() && own == *value;
        if !is_same && !value.as_object().is_some_and(|below| below.keys().any(adds)) {
            pattern::matches(&as_text(own), &compile(&as_text(value))).map_err(|mismatch| mismatch.message)?;
        }
    }
    Ok(())
}

/// Scalars are compared as the texts that they are in YAML.
fn as_text(value: &Value) -> Cow<'_, Value> {
    match value {
        Value::Null => Cow::Owned(Value::from("null")),
        Value::Bool(flag) => Cow::Owned(Value::from(flag.to_string())),
        Value::Number(number) => Cow::Owned(Value::from(number.to_string())),
        Value::String(_) | Value::Array(_) | Value::Object(_) => Cow::Borrowed(value),
    }
}

fn prepared_list<'p>(items: &'p [Value], object: Option<&Value>) -> Result<Vec<Resolved<'p>>, Unmet> {
    let elements = match object {
        None | Some(Value::Null) => &[][..],
        Some(Value::Array(elements)) => elements.as_slice(),
        Some(other) => return Err(Unmet::Broken(nodes::wrong_kind("SequenceNode", other))),
    };
    let (mut kept, mut repeated) = (Vec::with_capacity(items.len()), Vec::new());
    for item in items {
        if !has_anchor(item, stands_for_others) {
            kept.push(Resolved::Part(item));
            continue;
        }
        let global = has_anchor(item, |anchor| anchor == Anchor::Global);
        let (mut passed, mut unmet) = (false, None);
        for element in elements {
            match prepared(item, Some(element)) {
                Ok(_) if global => passed = true,
                Ok(copy) => repeated.extend(named_like(copy, element)),
                Err(Unmet::Condition(_)) => {}
                Err(error @ Unmet::Global(_)) => unmet = Some(error),
                Err(error) => return Err(error),
            }
        }
        if object.is_none() {
            match prepared(item, None) {
                Ok(_) => passed |= global,
                Err(Unmet::Condition(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(unmet) = unmet.filter(|_| !passed) {
            return Err(unmet);
        }
    }
    if kept.is_empty() && repeated.is_empty() {
        // A list that loses all its items goes, other than one that never had any: one item is left to be taken out.
        kept.extend(items.first().map(Resolved::Part));
    }
    kept.append(&mut repeated);
    Ok(kept)
}

/// Whether an item with the anchor stands for the elements that it is about, and is none itself.
fn stands_for_others(anchor: Anchor) -> bool {
    is_condition(anchor) || anchor == Anchor::AddIfAbsent
}

fn is_anchored(item: &Resolved<'_>) -> bool {
    match item {
        Resolved::Map(fields) => fields.iter().any(|(key, value)| {
            anchor::parse(key).is_some_and(|(anchor, _)| stands_for_others(anchor)) || is_anchored(value)
        }),
        Resolved::List(items) => items.iter().any(is_anchored),
        Resolved::Part(value) => has_anchor(value, stands_for_others),
        Resolved::Own(_) => false,
    }
}

/// The item for one element that meets its conditions, tied to it by name.
fn named_like<'p>(mut item: Resolved<'p>, element: &Value) -> Option<Resolved<'p>> {
    let name = at(element, &["name"]).filter(|name| name.as_str().is_some_and(|name| !name.is_empty()))?;
    if strip(&mut item, true) {
        return None;
    }
    let Resolved::Map(fields) = &mut item else { return None };
    let own = Resolved::Own(name.clone());
    match fields.iter_mut().find(|(key, _)| *key == "name") {
        Some((_, known)) => *known = own,
        None => fields.push(("name", own)),
    }
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
fn strip(value: &mut Resolved<'_>, scalar_goes: bool) -> bool {
    if let Resolved::Part(part) = value {
        let part: &Value = part;
        match part {
            // Where there is no anchor, nothing is taken out.
            Value::Object(_) | Value::Array(_) if !has_anchor(part, |_| true) => return false,
            Value::Object(fields) => {
                *value =
                    Resolved::Map(fields.iter().map(|(key, value)| (key.as_str(), Resolved::Part(value))).collect());
            }
            Value::Array(items) => *value = Resolved::List(items.iter().map(Resolved::Part).collect()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    match value {
        Resolved::Map(fields) => strip_map(fields),
        Resolved::List(items) => {
            let before = items.len();
            items.retain_mut(|item| !is_anchored(item) && !strip(item, false));
            items.is_empty() && before > 0
        }
        Resolved::Part(_) | Resolved::Own(_) => scalar_goes,
    }
}

fn strip_map(fields: &mut Parts<'_>) -> bool {
    if fields.is_empty() {
        return false;
    }
    let conditional = |key: &str| anchor::parse(key).is_some_and(|(anchor, _)| is_condition(anchor));
    fields.retain_mut(|(key, value)| !(conditional(key) && strip(value, true)));
    unwrap_keys(fields);
    fields.retain_mut(|(_, value)| !strip(value, false));
    fields.is_empty()
}
