//! The JSON patch that turns one object into another.

use serde_json::{Map, Value};

use crate::value::Trail;

/// Operations from `before` to `after`.
pub(crate) fn difference(before: &Value, after: &Value) -> Vec<Value> {
    let mut operations = Vec::new();
    compare(before, after, Trail::ROOT, &mut operations);
    operations
}

fn compare(before: &Value, after: &Value, place: Trail<'_>, out: &mut Vec<Value>) {
    let pointer = |key: &str| place.key(key).pointer();
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let (first, mut kept) = (out.len(), 0);
            for (at, (key, value)) in new.iter().enumerate() {
                match counterpart(old, at, key) {
                    Some(old) => {
                        kept += 1;
                        compare(old, value, place.key(key), out);
                    }
                    None => out.push(operation("add", pointer(key), Some(value))),
                }
            }
            if kept < old.len() {
                let gone = old.keys().filter(|key| !new.contains_key(*key));
                let removals: Vec<Value> = gone.map(|key| operation("remove", pointer(key), None)).collect();
                out.splice(first..first, removals);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                compare(old, new, place.index(index), out);
            }
        }
        (Value::Array(old), Value::Array(new)) if new.starts_with(old) => {
            for item in new.iter().skip(old.len()) {
                out.push(operation("add", pointer("-"), Some(item)));
            }
        }
        (before, after) if before == after => {}
        (_, after) => out.push(operation("replace", place.pointer(), Some(after))),
    }
}

fn operation(op: &str, path: String, value: Option<&Value>) -> Value {
    let mut out = Map::with_capacity(3);
    out.insert("op".to_owned(), Value::from(op));
    out.insert("path".to_owned(), Value::String(path));
    if let Some(value) = value {
        out.insert("value".to_owned(), value.clone());
    }
    Value::Object(out)
}

/// The value of `key`, which in an object that was changed a little mostly stands where it stood.
fn counterpart<'v>(fields: &'v Map<String, Value>, at: usize, key: &str) -> Option<&'v Value> {
    match fields.iter().nth(at) {
        Some((known, value)) if known == key => Some(value),
        _ => jmespath::field(fields, key),
    }
}
