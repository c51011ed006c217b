//! JSON patches (RFC 6902) as the API server applies those of mutating admission policies, and so Kyverno those of its
//! `MutatingPolicy`: nothing is made on the way to a path, and what is to be removed must be there. A key that is missing
//! counts as null where it is read, as in the library that both use (`evanphx/json-patch` 4).

use serde_json::{Map, Value};

use super::json_patch::{self, PatchError, index, pointer};

/// Applies the operations in order.
///
/// # Errors
/// The first operation that fails; the object is then left half changed.
pub(crate) fn apply(object: &mut Value, operations: &[Value]) -> Result<(), PatchError> {
    operations.iter().try_for_each(|operation| step(object, operation))
}

fn step(object: &mut Value, operation: &Value) -> Result<(), PatchError> {
    let text = |key: &str| operation.get(key).and_then(Value::as_str);
    let name = text("op").unwrap_or_default();
    let path = text("path").ok_or_else(|| "a patch operation has no path".to_owned())?;
    let from = || text("from").ok_or_else(|| format!("{name} operation has no `from`"));
    let value = || operation.get("value").cloned().unwrap_or_default();
    let missing = |what: &str, path: &str| format!("{name} operation does not apply: {what}: {path}: missing value");
    match name {
        "add" => {
            let (place, key) = find(object, path).ok_or_else(|| missing("doc is missing path", &quoted(path)))?;
            place.add(&key, value()).map_err(|error| format!("error in add for path: '{path}': {error}").into())
        }
        "remove" => {
            let (place, key) = find(object, path).ok_or_else(|| missing("doc is missing path", &quoted(path)))?;
            let removed = place.remove(&key);
            removed.map(drop).map_err(|error| format!("error in remove for path: '{path}': {error}").into())
        }
        "replace" if path.is_empty() => match value() {
            new @ (Value::Null | Value::Object(_) | Value::Array(_)) => {
                *object = new;
                Ok(())
            }
            _ => Err("replace operation value must be object or array".to_owned().into()),
        },
        "replace" => {
            let (place, key) = find(object, path).ok_or_else(|| missing("doc is missing path", path))?;
            place.get(&key).map_err(|_| missing("doc is missing key", path))?;
            place.set(&key, value());
            Ok(())
        }
        "move" | "copy" => {
            let from = from()?;
            let (place, key) = find(object, from).ok_or_else(|| missing("doc is missing from path", from))?;
            let failed =
                |what: &str, path: &str, error: String| format!("error in {name} for {what}: '{path}': {error}");
            let moved = match name {
                "move" => {
                    place.get(&key).and_then(|_| place.remove(&key)).map_err(|error| failed("path", &key, error))?
                }
                _ => place.get(&key).map_err(|error| failed("from", from, error))?,
            };
            let (place, key) = find(object, path).ok_or_else(|| missing("doc is missing destination path", path))?;
            Ok(place.add(&key, moved).map_err(|error| failed("path", path, error))?)
        }
        "test" => {
            let found = if path.is_empty() {
                object.clone()
            } else {
                let (place, key) = find(object, path).ok_or_else(|| missing("is missing path", path))?;
                place.get(&key).map_err(|error| format!("error in test for path: '{path}': {error}"))?
            };
            if found == value() { Ok(()) } else { Err(PatchError::TestFailed(path.to_owned())) }
        }
        other => Err(format!("Unexpected kind: {other}").into()),
    }
}

fn quoted(path: &str) -> String {
    format!("\"{path}\"")
}

/// A map or a list in which an operation works.
enum Container<'v> {
    Map(&'v mut Map<String, Value>),
    List(&'v mut Vec<Value>),
}

/// What holds the value at a path, and its key there.
fn find<'v>(object: &'v mut Value, path: &str) -> Option<(Container<'v>, String)> {
    let parts = pointer(path);
    let (key, parents) = parts.split_last()?;
    let container = match json_patch::find(object, parents)? {
        Value::Object(fields) => Container::Map(fields),
        Value::Array(items) => Container::List(items),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    };
    Some((container, key.clone().into_owned()))
}

impl Container<'_> {
    fn get(&self, key: &str) -> Result<Value, String> {
        match self {
            Self::Map(fields) => Ok(fields.get(key).cloned().unwrap_or_default()),
            Self::List(items) => position(key, items.len(), false).map(|at| items.get(at).cloned().unwrap_or_default()),
        }
    }

    /// Puts a value in the place of one that [is there](Self::get).
    fn set(self, key: &str, value: Value) {
        match self {
            Self::Map(fields) => drop(fields.insert(key.to_owned(), value)),
            Self::List(items) => {
                let place = index(key, items.len(), false).and_then(|at| items.get_mut(at));
                place.into_iter().for_each(|place| *place = value.clone());
            }
        }
    }

    fn add(self, key: &str, value: Value) -> Result<(), String> {
        match self {
            Self::Map(fields) => drop(fields.insert(key.to_owned(), value)),
            Self::List(items) if key == "-" => items.push(value),
            Self::List(items) => {
                let at = position(key, items.len(), true)?;
                items.insert(at, value);
            }
        }
        Ok(())
    }

    fn remove(self, key: &str) -> Result<Value, String> {
        match self {
            Self::Map(fields) => fields
                .shift_remove(key)
                .ok_or_else(|| format!("Unable to remove nonexistent key: {key}: missing value")),
            Self::List(items) => position(key, items.len(), false).map(|at| items.remove(at)),
        }
    }
}

fn position(key: &str, length: usize, adding: bool) -> Result<usize, String> {
    if key.parse::<i64>().is_err() {
        return Err(format!("value was not a proper array index: '{key}'"));
    }
    index(key, length, adding).ok_or_else(|| format!("Unable to access invalid index: {key}: invalid index referenced"))
}
