//! Strategic merge: maps merge, `null` removes, lists of built-in kinds merge by key. New items come first.

use serde_json::{Map, Value};

use super::merge_keys::{self, ListMerge};
use super::nodes;
use super::view::{Fields, Items, View};
use crate::value::path::at;

/// `object` with `patch` merged into it.
#[cfg(test)]
pub(crate) fn merge(object: &Value, patch: &Value) -> Value {
    let mut merged = object.clone();
    merge_into(&mut merged, View::from(patch)).unwrap();
    merged
}

/// Merges `patch` into `object`; whether that changed anything.
///
/// # Errors
/// The patch has a map, list or scalar where the object has another kind of node; the object is as it was.
pub(crate) fn merge_into(object: &mut Value, patch: View<'_>) -> Result<bool, String> {
    let text = |key: &str| {
        let own = at(object, &[key]).map(Value::as_str);
        own.unwrap_or_else(|| patch.get(key).and_then(View::as_str)).unwrap_or_default().to_owned()
    };
    let (kind, api_version) = (text("kind"), text("apiVersion"));
    let place = Place::top(&kind, &api_version);
    nodes::fits(object, patch, place)?;
    Ok(match (object, patch) {
        (Value::Object(own), View::Map(change)) => map(own, change, place),
        _ => false,
    })
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

    /// Whether the list here is merged item by item.
    pub(super) fn merges_by_keys(self) -> bool {
        matches!(self.list(), ListMerge::ByKeys(_))
    }

    /// Whether a list here has the item of a patch as this one.
    pub(super) fn is_same(self, own: &Value, item: View<'_>) -> bool {
        matches!(self.list(), ListMerge::ByKeys(keys) if same(own, item, keys))
    }

    fn list(self) -> ListMerge {
        if self.built_in { merge_keys::of(self.kind, self.parent, self.name) } else { ListMerge::Replace }
    }
}

fn map(own: &mut Map<String, Value>, change: Fields<'_>, place: Place<'_>) -> bool {
    if change.get("$patch").and_then(View::as_str) == Some("replace") {
        let kept = change.iter().filter(|(key, _)| *key != "$patch");
        let new: Map<String, Value> = kept.map(|(key, value)| (key.to_owned(), value.to_value(""))).collect();
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
                own.insert(key.to_owned(), new(value, place.below(key)));
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
pub(super) fn directive(value: View<'_>) -> Option<&str> {
    value.get("$patch").and_then(View::as_str)
}

/// Puts `new` in place of `own`; whether they differ.
pub(super) fn set<T: PartialEq>(own: &mut T, new: T) -> bool {
    let changed = *own != new;
    *own = new;
    changed
}

pub(super) fn value_into(own: &mut Value, change: View<'_>, place: Place<'_>) -> bool {
    match (&mut *own, change) {
        (Value::Object(own), View::Map(change)) => map(own, change, place),
        (Value::Array(own), View::List(change)) => list(own, change, place),
        (own, View::Scalar(change)) if own == change => false,
        _ => set(own, new(change, place)),
    }
}

fn list(own: &mut Vec<Value>, change: Items<'_>, place: Place<'_>) -> bool {
    match place.list() {
        ListMerge::Replace => set(own, change.iter().map(without_directives).collect()),
        ListMerge::Set => {
            let mut new: Vec<Value> = change.iter().map(|item| item.to_value("")).collect();
            new.retain(|item| !own.contains(item));
            let changed = !new.is_empty();
            new.append(own);
            *own = new;
            changed
        }
        ListMerge::ByKeys(keys) => {
            if change.iter().any(|item| directive(item) == Some("replace")) {
                let kept = change.iter().filter(|item| item.get("$patch").is_none());
                return set(own, kept.map(|item| item.to_value("")).collect());
            }
            by_keys(own, change, keys, place)
        }
    }
}

/// The patch's items first, merged with those they name, then the items that the patch does not name.
fn by_keys(own: &mut Vec<Value>, change: Items<'_>, keys: &[&str], place: Place<'_>) -> bool {
    let mut out: Vec<Value> = Vec::with_capacity(own.len() + change.len());
    let mut changed = false;
    for item in change.iter() {
        let at = own.iter().position(|one| same(one, item, keys));
        if at.is_none() && own.iter().any(|one| is_vaguer(item, one, keys)) {
            continue;
        }
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
                out.push(new(item, place));
                changed = true;
            }
        }
    }
    out.append(own);
    *own = out;
    changed
}

/// Whether all keys that either has are alike.
fn same(left: &Value, right: View<'_>, keys: &[&str]) -> bool {
    let Some(first) = keys.first() else { return false };
    let equal = |key: &str| match (at(left, &[key]), right.get(key)) {
        (Some(left), Some(right)) => right.equals(left),
        (left, right) => left.is_none() && right.is_none(),
    };
    right.get(first).is_some() && keys.iter().all(|key| equal(key))
}

/// Whether the item of a patch leaves open a key that an item like it has: such an item (a port without its protocol) finds
/// nothing in Kyverno, and is not added either.
fn is_vaguer(item: View<'_>, own: &Value, keys: &[&str]) -> bool {
    let (mut alike, mut open) = (false, false);
    for key in keys {
        match (item.get(key), at(own, &[key])) {
            (Some(left), Some(right)) if left.equals(right) => alike = true,
            (None, Some(_)) => open = true,
            (None, None) => {}
            (Some(_), _) => return false,
        }
    }
    alike && open
}

/// What a patch puts where nothing is: what it takes away is not there either. Lists that are not merged by keys stay as they
/// are written.
fn new(value: View<'_>, place: Place<'_>) -> Value {
    match value {
        View::Map(fields) => {
            let kept = fields
                .iter()
                .filter(|(key, value)| *key != "$patch" && !value.is_null() && directive(*value) != Some("delete"));
            Value::Object(kept.map(|(key, value)| (key.to_owned(), new(value, place.below(key)))).collect())
        }
        View::List(items) if place.merges_by_keys() => {
            let kept = items.iter().filter(|item| directive(*item) != Some("delete"));
            Value::Array(kept.map(|item| new(item, place)).collect())
        }
        value => without_directives(value),
    }
}

fn without_directives(value: View<'_>) -> Value {
    value.to_value("$patch")
}
