//! JSON patches (RFC 6902) as Kyverno applies them: a missing path is made on `add` and overlooked on `remove`, and negative
//! indices count from the end.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::journal::Journal;
use crate::yaml;

/// Operations that one patch may have.
const MAX_OPERATIONS: usize = 10_000;

/// Why a patch was not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatchError {
    /// A `test` operation found another value.
    #[error("testing value {0} failed")]
    TestFailed(String),
    /// An operation cannot be applied.
    #[error("{0}")]
    Invalid(String),
}

impl From<String> for PatchError {
    fn from(what: String) -> Self {
        Self::Invalid(what)
    }
}

/// Parses operations from YAML or JSON text.
pub(crate) fn parse(text: &str) -> Result<Vec<Value>, String> {
    let document = yaml::documents(text).into_iter().next();
    match document {
        None => Ok(Vec::new()),
        Some(Err(error)) => Err(format!("failed to decode patches: {error}")),
        Some(Ok(document)) => match document.value {
            Value::Array(operations) if operations.len() <= MAX_OPERATIONS => Ok(operations),
            Value::Array(_) => Err("failed to decode patches: too many operations".to_owned()),
            _ => Err("failed to decode patches: not a list of operations".to_owned()),
        },
    }
}

/// Applies the operations in order; whether they changed anything. Where one fails, the object is as it was.
pub(crate) fn apply(object: &mut Value, operations: &[Value]) -> Result<bool, PatchError> {
    let mut journal = Journal::default();
    for operation in operations {
        if let Err(error) = step(object, operation, &mut journal) {
            journal.undo(object);
            return Err(error);
        }
    }
    Ok(journal.has_changed(object))
}

/// One operation; before it changes something, the journal learns what that was.
fn step(object: &mut Value, operation: &Value, journal: &mut Journal) -> Result<(), PatchError> {
    let text = |key: &str| operation.get(key).and_then(Value::as_str);
    let name = text("op").unwrap_or_default();
    let path = pointer(text("path").ok_or_else(|| "a patch operation has no path".to_owned())?);
    let from = || text("from").map(pointer).ok_or_else(|| format!("{name} operation has no `from`"));
    let value = || operation.get("value").cloned().unwrap_or_default();
    match name {
        "add" => {
            journal.note(object, &path, true);
            Ok(add(object, &path, value())?)
        }
        "remove" => {
            journal.note(object, &path, false);
            remove(object, &path);
            Ok(())
        }
        "replace" => {
            journal.note(object, &path, false);
            let missing = || format!("replace operation does not apply: doc is missing key: {}", shown(&path));
            *find(object, &path).ok_or_else(missing)? = value();
            Ok(())
        }
        "move" | "copy" => {
            let from = from()?;
            let missing = || format!("{name} operation does not apply: doc is missing from path: {}", shown(&from));
            let moved = find(object, &from).cloned().ok_or_else(missing)?;
            if name == "move" {
                journal.note(object, &from, false);
                remove(object, &from);
            }
            journal.note(object, &path, true);
            Ok(add(object, &path, moved)?)
        }
        "test" => match find(object, &path) {
            Some(found) if *found == value() => Ok(()),
            None if value().is_null() => Ok(()),
            _ => Err(PatchError::TestFailed(shown(&path))),
        },
        other => Err(format!("unexpected kind of patch operation: {other}").into()),
    }
}

/// One part of a path.
pub(super) type Part<'p> = Cow<'p, str>;

/// The parts of a path (RFC 6901).
pub(super) fn pointer(text: &str) -> Vec<Part<'_>> {
    let part = |part| match part {
        part if str::contains(part, '~') => Cow::Owned(part.replace("~1", "/").replace("~0", "~")),
        part => Cow::Borrowed(part),
    };
    text.split('/').skip(1).map(part).collect()
}

fn shown(path: &[Part<'_>]) -> String {
    path.iter().map(|part| format!("/{part}")).collect()
}

/// What stands at the path.
pub(super) fn find<'v>(object: &'v mut Value, path: &[Part<'_>]) -> Option<&'v mut Value> {
    path.iter().try_fold(object, |place, part| match place {
        Value::Object(fields) => fields.get_mut(part.as_ref()),
        Value::Array(items) => {
            let index = index(part, items.len(), false)?;
            items.get_mut(index)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })
}

/// Position that `part` means in a list; when adding, the position behind the last counts too.
pub(super) fn index(part: &str, length: usize, adding: bool) -> Option<usize> {
    if adding && part == "-" {
        return Some(length);
    }
    let at: i64 = part.parse().ok()?;
    let length = i64::try_from(length).ok()?;
    let limit = length + i64::from(adding);
    let at = if at < 0 { limit + at } else { at };
    ((0..limit).contains(&at)).then(|| usize::try_from(at).ok()).flatten()
}

/// In Kyverno's words: a path leads through something that is neither map nor list.
const THROUGH_A_SCALAR: &str = "invalid state detected";

fn add(object: &mut Value, path: &[Part<'_>], value: Value) -> Result<(), String> {
    let Some((last, parents)) = path.split_last() else {
        *object = value;
        return Ok(());
    };
    let mut place = object;
    for (depth, part) in parents.iter().enumerate() {
        let next = path.get(depth + 1).map(AsRef::as_ref).unwrap_or_default();
        place = enter(place, part, next).ok_or_else(|| THROUGH_A_SCALAR.to_owned())?;
    }
    match place {
        Value::Object(fields) => {
            fields.insert(last.clone().into_owned(), value);
            Ok(())
        }
        Value::Array(items) => {
            let at = index(last, items.len(), true)
                .ok_or_else(|| format!("add operation does not apply: Unable to access invalid index: {last}"))?;
            items.insert(at, value);
            Ok(())
        }
        _ => Err(THROUGH_A_SCALAR.to_owned()),
    }
}

/// Steps into `part`, making what is missing: a list where the next part is an index, a map otherwise.
fn enter<'v>(place: &'v mut Value, part: &str, next: &str) -> Option<&'v mut Value> {
    let made = || {
        let list = next == "-" || next.parse::<usize>().is_ok();
        if list { Value::Array(Vec::new()) } else { Value::Object(Map::new()) }
    };
    match place {
        Value::Object(fields) => {
            let child = fields.entry(part.to_owned()).or_insert_with(made);
            if child.is_null() {
                *child = made();
            }
            Some(child)
        }
        Value::Array(items) => {
            let at = index(part, items.len(), true)?;
            if at == items.len() {
                items.push(made());
            }
            items.get_mut(at)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn remove(object: &mut Value, path: &[Part<'_>]) {
    let Some((last, parents)) = path.split_last() else { return };
    match find(object, parents) {
        Some(Value::Object(fields)) => {
            fields.shift_remove(last.as_ref());
        }
        Some(Value::Array(items)) => {
            if let Some(at) = index(last, items.len(), false) {
                items.remove(at);
            }
        }
        _ => {}
    }
}
