//! Whether an object is the expected one: empty parts, generated labels and the default namespace do not count.

use serde_json::{Map, Value};

/// Labels that the generate controller adds.
const GENERATED_LABELS: [&str; 2] = ["app.kubernetes.io/managed-by", "generate.kyverno.io/"];

/// What identifies an object.
pub(super) fn identity(object: &Value) -> (&str, &str, &str) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name = if text("/metadata/name").is_empty() { text("/metadata/generateName") } else { text("/metadata/name") };
    (text("/kind"), text("/metadata/namespace"), name)
}

/// The expected object for `actual` among documents.
pub(super) fn expected_for<'v>(documents: &'v [Value], actual: &Value) -> Option<&'v Value> {
    let (kind, namespace, name) = identity(actual);
    let fits = |document: &&Value| {
        let (own_kind, own_namespace, own_name) = identity(document);
        let same = own_namespace == namespace || default_or_empty(own_namespace) && default_or_empty(namespace);
        own_kind == kind && own_name == name && same
    };
    documents.iter().find(fits)
}

fn default_or_empty(namespace: &str) -> bool {
    matches!(namespace, "" | "default")
}

/// Where the objects first differ; `None` when they are equal.
pub(super) fn first_difference(actual: &Value, expected: &Value) -> Option<String> {
    let (actual, expected) = (tidy(actual), tidy(expected));
    differ(&actual, &expected, &mut String::new())
}

fn differ(actual: &Value, expected: &Value, path: &mut String) -> Option<String> {
    let told = |path: &str| Some(format!("{path}: got {}, expected {}", short(actual), short(expected)));
    let mut child = |segment: &str, actual: &Value, expected: &Value| {
        let length = path.len();
        path.push('/');
        path.push_str(segment);
        let found = differ(actual, expected, path);
        path.truncate(length);
        found
    };
    match (actual, expected) {
        (Value::Object(left), Value::Object(right)) => {
            let keys = left.keys().chain(right.keys().filter(|key| !left.contains_key(*key)));
            let null = Value::Null;
            keys.into_iter().find_map(|key| child(key, left.get(key).unwrap_or(&null), right.get(key).unwrap_or(&null)))
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            left.iter().zip(right).enumerate().find_map(|(index, (left, right))| child(&index.to_string(), left, right))
        }
        (Value::Number(left), Value::Number(right)) if left.is_f64() || right.is_f64() => {
            if left.as_f64() == right.as_f64() { None } else { told(path) }
        }
        _ if actual == expected => None,
        _ => told(path),
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 120 { text.chars().take(120).collect::<String>() + "..." } else { text }
}

fn tidy(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("creationTimestamp");
        if metadata.get("namespace").and_then(Value::as_str) == Some("default") {
            metadata.shift_remove("namespace");
        }
        if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
            labels.retain(|key, value| {
                let managed = key == GENERATED_LABELS[0] && value.as_str() == Some("kyverno");
                !managed && !key.starts_with(GENERATED_LABELS[1])
            });
        }
    }
    without_empty(&object)
}

fn without_empty(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept =
                fields.iter().map(|(key, value)| (key, without_empty(value))).filter(|(_, value)| !is_empty(value));
            Value::Object(kept.map(|(key, value)| (key.clone(), value)).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(without_empty).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
