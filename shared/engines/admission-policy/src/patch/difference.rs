//! The JSON patch that turns one object into another.

use std::borrow::Cow;

use serde_json::{Value, json};

/// Operations from `before` to `after`.
pub(crate) fn difference(before: &Value, after: &Value) -> Vec<Value> {
    let mut operations = Vec::new();
    compare(before, after, &mut String::new(), &mut operations);
    operations
}

fn compare(before: &Value, after: &Value, path: &mut String, out: &mut Vec<Value>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            for key in old.keys().filter(|key| jmespath::field(new, key).is_none()) {
                out.push(json!({"op": "remove", "path": format!("{path}/{}", escape(key))}));
            }
            for (key, value) in new {
                let length = path.len();
                path.push('/');
                path.push_str(&escape(key));
                match jmespath::field(old, key) {
                    Some(old) => compare(old, value, path, out),
                    None => out.push(json!({"op": "add", "path": path.as_str(), "value": value})),
                }
                path.truncate(length);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                let length = path.len();
                path.push('/');
                path.push_str(&index.to_string());
                compare(old, new, path, out);
                path.truncate(length);
            }
        }
        (Value::Array(old), Value::Array(new)) if new.starts_with(old) => {
            for item in new.iter().skip(old.len()) {
                out.push(json!({"op": "add", "path": format!("{path}/-"), "value": item}));
            }
        }
        (before, after) if before == after => {}
        (_, after) => out.push(json!({"op": "replace", "path": path.as_str(), "value": after})),
    }
}

fn escape(key: &str) -> Cow<'_, str> {
    if key.contains(['~', '/']) { Cow::Owned(key.replace('~', "~0").replace('/', "~1")) } else { Cow::Borrowed(key) }
}
