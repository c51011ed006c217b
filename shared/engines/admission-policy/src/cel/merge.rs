//! Merges an apply configuration (`Object{..}`) into an object, as server-side apply does.
//!
//! Maps merge key by key. Lists of built-in kinds merge by their keys: items that both have keep the place that the
//! configuration gives them, items of the object alone keep theirs. All other lists, and scalars, are replaced.

use serde_json::{Map, Value};

use crate::patch::merge_keys::{self, ListMerge};

/// Deepest nesting that is merged; what lies deeper is replaced.
const MAX_DEPTH: usize = 128;

#[derive(Clone, Copy)]
struct Place<'a> {
    kind: &'a str,
    parent: &'a str,
    name: &'a str,
    known: bool,
    depth: usize,
}

/// `object` with `configuration` applied.
pub(super) fn merge(object: &Value, configuration: &Value) -> Value {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let known = merge_keys::is_built_in(text("apiVersion"));
    merged(object, configuration, Place { kind: text("kind"), parent: "", name: "", known, depth: 0 })
}

fn merged(own: &Value, change: &Value, place: Place<'_>) -> Value {
    if place.depth > MAX_DEPTH {
        return change.clone();
    }
    match (own, change) {
        (Value::Object(own), Value::Object(change)) => {
            let mut out = own.clone();
            merge_map(&mut out, change, place);
            Value::Object(out)
        }
        (Value::Array(own), Value::Array(change)) if place.known => {
            match merge_keys::of(place.kind, place.parent, place.name) {
                ListMerge::ByKeys(keys) => Value::Array(by_keys(own, change, keys, place)),
                ListMerge::Set => {
                    let new = change.iter().filter(|item| !own.contains(item)).cloned();
                    Value::Array(own.iter().cloned().chain(new).collect())
                }
                ListMerge::Replace => Value::Array(change.clone()),
            }
        }
        (_, change) => change.clone(),
    }
}

fn merge_map(own: &mut Map<String, Value>, change: &Map<String, Value>, place: Place<'_>) {
    for (key, change) in change {
        if change.is_null() {
            continue;
        }
        // Items of a list stand below the list's own name.
        let below = Place { parent: place.name, name: key, depth: place.depth + 1, ..place };
        let value = match own.get(key) {
            Some(own) => merged(own, change, below),
            None => change.clone(),
        };
        own.insert(key.clone(), value);
    }
}

fn is_same(left: &Value, right: &Value, keys: &[&str]) -> bool {
    let Some((first, further)) = keys.split_first() else { return false };
    let has = |key: &&str| (left.get(*key), right.get(*key));
    has(first).0.is_some()
        && left.get(*first) == right.get(*first)
        && further.iter().all(|key| match has(key) {
            (Some(left), Some(right)) => left == right,
            _ => true,
        })
}

fn by_keys(own: &[Value], change: &[Value], keys: &[&str], place: Place<'_>) -> Vec<Value> {
    let in_change = |item: &Value| change.iter().any(|other| is_same(item, other, keys));
    let mut out = Vec::with_capacity(own.len() + change.len());
    let mut left = own.iter().peekable();
    let mut emitted: Vec<&Value> = Vec::new();
    for item in change {
        let partner = own.iter().find(|candidate| is_same(candidate, item, keys));
        // Items that only the object has come before the next shared one.
        if partner.is_some() {
            while let Some(next) =
                left.next_if(|next| !in_change(next) || emitted.iter().any(|done| is_same(done, next, keys)))
            {
                if !in_change(next) {
                    out.push(next.clone());
                }
            }
        }
        match partner {
            Some(partner) => out.push(merged(partner, item, Place { depth: place.depth + 1, ..place })),
            None => {
                while let Some(next) = left.next_if(|next| !in_change(next)) {
                    out.push(next.clone());
                }
                out.push(item.clone());
            }
        }
        emitted.push(item);
    }
    out.extend(left.filter(|item| !in_change(item)).cloned());
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merges_like_server_side_apply() {
        let pod = |spec: Value| json!({"apiVersion": "v1", "kind": "Pod", "spec": spec});
        for (own, change, expected) in [
            (json!({"a": 1}), json!({"b": 2}), json!({"a": 1, "b": 2})),
            (
                json!({"containers": [{"name": "a", "image": "x"}, {"name": "b"}]}),
                json!({"containers": [{"name": "b", "image": "y"}, {"name": "c"}]}),
                json!({"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}, {"name": "c"}]}),
            ),
            (
                json!({"tolerations": [{"key": "a"}]}),
                json!({"tolerations": [{"key": "b"}]}),
                json!({"tolerations": [{"key": "b"}]}),
            ),
            (json!({"a": null}), json!({"a": {"b": 1}}), json!({"a": {"b": 1}})),
        ] {
            assert_eq!(merge(&pod(own), &json!({"spec": change})), pod(expected));
        }
    }

    #[test]
    fn applying_twice_equals_once() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"finalizers": ["a"]}, "spec": {"volumes": [{"name": "v"}], "containers": [{"name": "a", "ports": [{"containerPort": 1}]}]}});
        let change = json!({"metadata": {"finalizers": ["b"]}, "spec": {"volumes": [{"name": "w"}, {"name": "v", "emptyDir": {}}], "containers": [{"name": "a", "ports": [{"containerPort": 2}]}]}});
        let once = merge(&pod, &change);
        assert_eq!(merge(&once, &change), once);
    }
}
