//! Strategic merge: maps merge, `null` removes, lists of built-in kinds merge by key. New items come first.

use serde_json::{Map, Value};

use super::merge_keys::{self, ListMerge};

/// Merges `patch` into `object`.
pub(crate) fn merge(object: &Value, patch: &Value) -> Value {
    let text = |key| object.get(key).or_else(|| patch.get(key)).and_then(Value::as_str).unwrap_or_default();
    let place =
        Place { kind: text("kind"), built_in: merge_keys::is_built_in(text("apiVersion")), parent: "", name: "" };
    match (object, patch) {
        (Value::Object(own), Value::Object(change)) => Value::Object(map(own, change, place)),
        _ => object.clone(),
    }
}

#[derive(Clone, Copy)]
struct Place<'a> {
    kind: &'a str,
    built_in: bool,
    parent: &'a str,
    name: &'a str,
}

impl<'a> Place<'a> {
    fn below(self, name: &'a str) -> Self {
        Self { parent: self.name, name, ..self }
    }

    fn list(self) -> ListMerge {
        if self.built_in { merge_keys::of(self.kind, self.parent, self.name) } else { ListMerge::Replace }
    }
}

fn map(own: &Map<String, Value>, change: &Map<String, Value>, place: Place<'_>) -> Map<String, Value> {
    let directive = change.get("$patch").and_then(Value::as_str);
    if directive == Some("replace") {
        return change
            .iter()
            .filter(|(key, _)| *key != "$patch")
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
    }
    let mut out = own.clone();
    for (key, value) in change {
        if key == "$patch" {
            continue;
        }
        let deleted = value.get("$patch").and_then(Value::as_str) == Some("delete");
        if value.is_null() || (deleted && value.is_object()) {
            out.shift_remove(key);
            continue;
        }
        let merged = match out.get(key) {
            Some(own) => merge_value(own, value, place.below(key)),
            None => without_directives(value),
        };
        out.insert(key.clone(), merged);
    }
    out
}

fn merge_value(own: &Value, change: &Value, place: Place<'_>) -> Value {
    match (own, change) {
        (Value::Object(own), Value::Object(change)) => Value::Object(map(own, change, place)),
        (Value::Array(own), Value::Array(change)) => Value::Array(list(own, change, place)),
        _ => without_directives(change),
    }
}

fn list(own: &[Value], change: &[Value], place: Place<'_>) -> Vec<Value> {
    let replaced = || change.iter().map(without_directives).collect();
    match place.list() {
        ListMerge::Replace => replaced(),
        ListMerge::Set => {
            let new = change.iter().filter(|item| !own.contains(item));
            new.chain(own).cloned().collect()
        }
        ListMerge::ByKeys(keys) => {
            if change.iter().any(|item| item.get("$patch").and_then(Value::as_str) == Some("replace")) {
                return change.iter().filter(|item| item.get("$patch").is_none()).cloned().collect();
            }
            by_keys(own, change, keys, place)
        }
    }
}

/// The patch's items first, merged with those they name, then the items that the patch does not name.
fn by_keys(own: &[Value], change: &[Value], keys: &[&str], place: Place<'_>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::with_capacity(own.len() + change.len());
    let mut taken = vec![false; own.len()];
    for item in change {
        let found = own.iter().position(|one| same(one, item, keys));
        if let Some(mark) = found.and_then(|index| taken.get_mut(index)) {
            *mark = true;
        }
        if item.get("$patch").and_then(Value::as_str) == Some("delete") {
            continue;
        }
        // A patch may name one item several times; later ones add to what the earlier made.
        if let Some(earlier) = out.iter_mut().find(|one| same(one, item, keys)) {
            *earlier = merge_value(earlier, item, place);
            continue;
        }
        match found.and_then(|index| own.get(index)) {
            Some(one) => out.push(merge_value(one, item, place)),
            None => out.push(without_directives(item)),
        }
    }
    out.extend(own.iter().zip(&taken).filter(|(_, taken)| !**taken).map(|(item, _)| item.clone()));
    out
}

fn same(left: &Value, right: &Value, keys: &[&str]) -> bool {
    let Some((first, rest)) = keys.split_first() else { return false };
    let equal = |key: &&str| left.get(*key).is_some() && left.get(*key) == right.get(*key);
    let compatible = |key: &&str| match (left.get(*key), right.get(*key)) {
        (Some(left), Some(right)) => left == right,
        _ => true,
    };
    equal(first) && rest.iter().all(compatible)
}

fn without_directives(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(key, _)| *key != "$patch");
            Value::Object(kept.map(|(key, value)| (key.clone(), without_directives(value))).collect())
        }
        Value::Array(items) => items.iter().map(without_directives).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
