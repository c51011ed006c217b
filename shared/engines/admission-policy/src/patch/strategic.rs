//! Strategic merge: maps merge, `null` removes, lists of built-in kinds merge by key. New items come first.

use serde_json::{Map, Value};

use super::merge_keys::{self, ListMerge};

/// `object` with `patch` merged into it.
pub(crate) fn merge(object: &Value, patch: &Value) -> Value {
    let text = |key| object.get(key).or_else(|| patch.get(key)).and_then(Value::as_str).unwrap_or_default();
    let place =
        Place { kind: text("kind"), built_in: merge_keys::is_built_in(text("apiVersion")), parent: "", name: "" };
    let mut merged = object.clone();
    if let (Value::Object(own), Value::Object(change)) = (&mut merged, patch) {
        map(own, change, place);
    }
    merged
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

fn map(own: &mut Map<String, Value>, change: &Map<String, Value>, place: Place<'_>) {
    let directive = change.get("$patch").and_then(Value::as_str);
    if directive == Some("replace") {
        own.clear();
        own.extend(change.iter().filter(|(key, _)| *key != "$patch").map(|(key, value)| (key.clone(), value.clone())));
        return;
    }
    for (key, value) in change.iter().filter(|(key, _)| *key != "$patch") {
        let deleted = value.get("$patch").and_then(Value::as_str) == Some("delete");
        if value.is_null() || (deleted && value.is_object()) {
            own.shift_remove(key);
            continue;
        }
        match own.get_mut(key) {
            Some(own) => merge_into(own, value, place.below(key)),
            None => {
                own.insert(key.clone(), without_directives(value));
            }
        }
    }
}

fn merge_into(own: &mut Value, change: &Value, place: Place<'_>) {
    match (&mut *own, change) {
        (Value::Object(own), Value::Object(change)) => map(own, change, place),
        (Value::Array(own), Value::Array(change)) => *own = list(std::mem::take(own), change, place),
        _ => *own = without_directives(change),
    }
}

fn list(own: Vec<Value>, change: &[Value], place: Place<'_>) -> Vec<Value> {
    match place.list() {
        ListMerge::Replace => change.iter().map(without_directives).collect(),
        ListMerge::Set => {
            let mut new: Vec<Value> = change.iter().filter(|item| !own.contains(item)).cloned().collect();
            new.extend(own);
            new
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
fn by_keys(mut own: Vec<Value>, change: &[Value], keys: &[&str], place: Place<'_>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::with_capacity(own.len() + change.len());
    for item in change {
        let found = own.iter().position(|one| same(one, item, keys)).map(|index| own.remove(index));
        if item.get("$patch").and_then(Value::as_str) == Some("delete") {
            continue;
        }
        // A patch may name one item several times; later ones add to what the earlier made.
        if let Some(earlier) = out.iter_mut().find(|one| same(one, item, keys)) {
            merge_into(earlier, item, place);
            continue;
        }
        match found {
            Some(mut one) => {
                merge_into(&mut one, item, place);
                out.push(one);
            }
            None => out.push(without_directives(item)),
        }
    }
    out.extend(own);
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
