//! The JSON patch that turns one object into another.

use serde_json::{Map, Value};

/// Operations from `before` to `after`.
pub(crate) fn difference(before: &Value, after: &Value) -> Vec<Value> {
    let mut operations = Vec::new();
    compare(before, after, None, &mut operations);
    operations
}

/// A place in the objects, kept on the stack until an operation needs its pointer: most places are alike.
#[derive(Clone, Copy)]
struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    part: Part<'a>,
}

#[derive(Clone, Copy)]
enum Part<'a> {
    Key(&'a str),
    Index(usize),
    /// Behind the last item of a list.
    End,
}

impl Place<'_> {
    /// The JSON pointer (RFC 6901).
    fn pointer(place: Option<&Self>) -> String {
        let Some(place) = place else { return String::with_capacity(64) };
        let mut text = Self::pointer(place.parent);
        text.push('/');
        match place.part {
            Part::Key(key) if key.contains(['~', '/']) => text.push_str(&key.replace('~', "~0").replace('/', "~1")),
            Part::Key(key) => text.push_str(key),
            Part::Index(index) => text.push_str(&index.to_string()),
            Part::End => text.push('-'),
        }
        text
    }
}

fn compare(before: &Value, after: &Value, place: Option<&Place<'_>>, out: &mut Vec<Value>) {
    let below = |part| Place { parent: place, part };
    let pointer = |part| Place::pointer(Some(&below(part)));
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let (first, mut kept) = (out.len(), 0);
            for (at, (key, value)) in new.iter().enumerate() {
                match counterpart(old, at, key) {
                    Some(old) => {
                        kept += 1;
                        compare(old, value, Some(&below(Part::Key(key))), out);
                    }
                    None => out.push(operation("add", pointer(Part::Key(key)), Some(value))),
                }
            }
            if kept < old.len() {
                let gone = old.keys().filter(|key| !new.contains_key(*key));
                let removals: Vec<Value> = gone.map(|key| operation("remove", pointer(Part::Key(key)), None)).collect();
                out.splice(first..first, removals);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                compare(old, new, Some(&below(Part::Index(index))), out);
            }
        }
        (Value::Array(old), Value::Array(new)) if new.starts_with(old) => {
            for item in new.iter().skip(old.len()) {
                out.push(operation("add", pointer(Part::End), Some(item)));
            }
        }
        (before, after) if before == after => {}
        (_, after) => out.push(operation("replace", Place::pointer(place), Some(after))),
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
