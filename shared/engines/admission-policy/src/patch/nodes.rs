//! Whether the kinds of node of a patch fit those of the object: a map cannot be merged into a text. As Kyverno's, the
//! merge is refused then, and the object stays as it was.

use serde_json::{Map, Value};

use super::strategic::{Place, directive};
use super::view::{Fields, Items, View};

/// Looks for what does not fit, in the order of the keys.
///
/// # Errors
/// `wrong node kind: expected MappingNode but got ScalarNode: node contents: ...`
pub(super) fn fits(own: &Value, change: View<'_>, place: Place<'_>) -> Result<(), String> {
    match (own, change) {
        (Value::Null, _) | (_, View::Scalar(Value::Null)) => Ok(()),
        (Value::Object(own), View::Map(change)) => fields(own, change, place),
        (Value::Array(own), View::List(change)) => items(own, change, place),
        (Value::Bool(_) | Value::Number(_) | Value::String(_), View::Scalar(_)) => Ok(()),
        (own, change) => Err(wrong_kind(node_kind(own), &change.to_value(""))),
    }
}

fn fields(own: &Map<String, Value>, change: Fields<'_>, place: Place<'_>) -> Result<(), String> {
    if change.get("$patch").and_then(View::as_str) == Some("replace") {
        return Ok(());
    }
    let unfit = change.iter().filter(|(_, value)| directive(*value) != Some("delete")).filter_map(|(key, value)| {
        let known = jmespath::field(own, key)?;
        fits(known, value, place.below(key)).err().map(|error| (key, error))
    });
    unfit.min_by_key(|(key, _)| *key).map_or(Ok(()), |(_, error)| Err(error))
}

/// Lists that are merged by keys hold maps.
fn items(own: &[Value], change: Items<'_>, place: Place<'_>) -> Result<(), String> {
    if !place.merges_by_keys() {
        return Ok(());
    }
    let changes = change.iter().filter(|item| !matches!(item, View::Map(_))).map(|item| item.to_value(""));
    let unfit = own.iter().filter(|item| !item.is_object()).cloned().chain(changes).find(|item| !item.is_null());
    if let Some(item) = unfit {
        return Err(wrong_kind("MappingNode", &item));
    }
    change.iter().try_for_each(|item| match own.iter().find(|one| place.is_same(one, item)) {
        Some(known) if directive(item) != Some("delete") => fits(known, item, place),
        _ => Ok(()),
    })
}

/// What YAML calls the kind of the value.
pub(super) fn node_kind(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "MappingNode",
        Value::Array(_) => "SequenceNode",
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => "ScalarNode",
    }
}

/// The complaint about a value of another kind than `expected`.
pub(super) fn wrong_kind(expected: &str, found: &Value) -> String {
    let mut contents = String::new();
    flow(found, &mut contents);
    format!("wrong node kind: expected {expected} but got {}: node contents:\n{contents}\n", node_kind(found))
}

/// Writes a value as YAML in one line.
fn flow(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (at, (key, value)) in fields.into_iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push_str(": ");
                flow(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                flow(item, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}
