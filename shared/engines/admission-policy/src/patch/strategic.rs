//! Strategic merge: maps merge, `null` removes, lists of built-in kinds merge by key. New items come first.

use serde_json::{Map, Value};

use super::merge_keys::{self, ListMerge};
use crate::value::path::at;

/// `object` with `patch` merged into it.
#[cfg(test)]
pub(crate) fn merge(object: &Value, patch: &Value) -> Value {
    let mut merged = object.clone();
    merge_into(&mut merged, patch);
    merged
}

/// Merges `patch` into `object`; whether that changed anything.
pub(crate) fn merge_into(object: &mut Value, patch: &Value) -> bool {
    let text =
        |key| at(object, &[key]).or_else(|| at(patch, &[key])).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, api_version) = (text("kind"), text("apiVersion"));
    match (object, patch) {
        (Value::Object(own), Value::Object(change)) => map(own, change, Place::top(&kind, &api_version)),
        _ => false,
    }
}

/// Where in an object a change is made.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    kind: &'a str,
    built_in: bool,
    parent: &'a str,
    name: &'a str,
}

impl<'a> Place<'a> {
    pub(super) fn top(kind: &'a str, api_version: &str) -> Self {
        Place { kind, built_in: merge_keys::is_built_in(api_version), parent: "", name: "" }
    }

    pub(super) fn below(self, name: &'a str) -> Self {
        Self { parent: self.name, name, ..self }
    }

    fn list(self) -> ListMerge {
        if self.built_in { merge_keys::of(self.kind, self.parent, self.name) } else { ListMerge::Replace }
    }
}

fn map(own: &mut Map<String, Value>, change: &Map<String, Value>, place: Place<'_>) -> bool {
    if jmespath::field(change, "$patch").is_some_and(|directive| directive == "replace") {
        let kept = change.iter().filter(|(key, _)| *key != "$patch");
        let new: Map<String, Value> = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
        return set(own, new);
    }
    let mut changed = false;
    for (key, value) in change.iter().filter(|(key, _)| *key != "$patch") {
        if value.is_null() || directive(value) == Some("delete") {
            changed |= own.shift_remove(key).is_some();
            continue;
        }
        match field_mut(own, key) {
            Some(own) => changed |= value_into(own, value, place.below(key)),
            None => {
                own.insert(key.clone(), without_directives(value));
                changed = true;
            }
        }
    }
    changed
}

/// As [`jmespath::field`], to be changed.
pub(super) fn field_mut<'v>(fields: &'v mut Map<String, Value>, key: &str) -> Option<&'v mut Value> {
    fields.iter_mut().find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// What the patch says of the value as a whole, below its key `$patch`.
fn directive(value: &Value) -> Option<&str> {
    at(value, &["$patch"]).and_then(Value::as_str)
}

/// Puts `new` in place of `own`; whether they differ.
pub(super) fn set<T: PartialEq>(own: &mut T, new: T) -> bool {
    let changed = *own != new;
    *own = new;
    changed
}

pub(super) fn value_into(own: &mut Value, change: &Value, place: Place<'_>) -> bool {
    match (&mut *own, change) {
        (Value::Object(own), Value::Object(change)) => map(own, change, place),
        (Value::Array(own), Value::Array(change)) => list(own, change, place),
        (Value::String(own), Value::String(change)) if own == change => false,
        _ => set(own, without_directives(change)),
    }
}

fn list(own: &mut Vec<Value>, change: &[Value], place: Place<'_>) -> bool {
    match place.list() {
        ListMerge::Replace => set(own, change.iter().map(without_directives).collect()),
        ListMerge::Set => {
            let mut new: Vec<Value> = change.iter().filter(|item| !own.contains(item)).cloned().collect();
            let changed = !new.is_empty();
            new.append(own);
            *own = new;
            changed
        }
        ListMerge::ByKeys(keys) => {
            if change.iter().any(|item| directive(item) == Some("replace")) {
                return set(own, change.iter().filter(|item| at(item, &["$patch"]).is_none()).cloned().collect());
            }
            by_keys(own, change, keys, place)
        }
    }
}

/// The patch's items first, merged with those they name, then the items that the patch does not name.
fn by_keys(own: &mut Vec<Value>, change: &[Value], keys: &[&str], place: Place<'_>) -> bool {
    let mut out: Vec<Value> = Vec::with_capacity(own.len() + change.len());
    let mut changed = false;
    for item in change {
        let at = own.iter().position(|one| same(one, item, keys));
        // Taken from anywhere but the front, an item changes its place.
        changed |= at.is_some_and(|at| at > 0);
        let found = at.map(|at| own.remove(at));
        if directive(item) == Some("delete") {
            changed |= found.is_some();
            continue;
        }
        // A patch may name one item several times; later ones add to what the earlier made.
        if let Some(earlier) = out.iter_mut().find(|one| same(one, item, keys)) {
            changed |= value_into(earlier, item, place);
            continue;
        }
        match found {
            Some(mut one) => {
                changed |= value_into(&mut one, item, place);
                out.push(one);
            }
            None => {
                out.push(without_directives(item));
                changed = true;
            }
        }
    }
    out.append(own);
    *own = out;
    changed
}

fn same(left: &Value, right: &Value, keys: &[&str]) -> bool {
    let Some((first, rest)) = keys.split_first() else { return false };
    let both = |key: &str| (at(left, &[key]), at(right, &[key]));
    let compatible = |key: &&str| match both(key) {
        (Some(left), Some(right)) => left == right,
        _ => true,
    };
    let (one, other) = both(first);
    one.is_some() && one == other && rest.iter().all(compatible)
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
