//! Steps over a value.

use serde_json::Value;

use super::{Key, PathError, Step};

/// What the steps find: one value, or a list where some step may find several.
pub(super) fn find(steps: &[Step], from: &Value, root: &Value) -> Result<Value, PathError> {
    let is_single = |step: &&Step| matches!(step, Step::Key(_));
    let single = steps.iter().take_while(is_single).count();
    let (first, rest) = steps.split_at_checked(single).unwrap_or((steps, &[]));
    let mut at = from;
    for step in first {
        if let Step::Key(key) = step {
            at = select(key, at)?;
        }
    }
    if rest.is_empty() {
        return Ok(at.clone());
    }
    let mut found = vec![at];
    for step in rest {
        found = found.into_iter().flat_map(|value| several(step, value, root)).collect();
    }
    Ok(Value::Array(found.into_iter().cloned().collect()))
}

fn select<'v>(key: &Key, value: &'v Value) -> Result<&'v Value, PathError> {
    match (key, value) {
        (Key::Name(name), Value::Object(fields)) => fields.get(name).ok_or_else(|| PathError::UnknownKey(name.clone())),
        (Key::Place(place), Value::Object(fields)) => {
            fields.get(&place.to_string()).ok_or_else(|| PathError::UnknownKey(place.to_string()))
        }
        (Key::Place(place), Value::Array(items)) => {
            index(*place, items.len()).and_then(|index| items.get(index)).ok_or(PathError::OutOfBounds(*place))
        }
        (Key::Name(name), Value::Array(items)) => {
            let place: i64 = name.parse().map_err(|_| PathError::UnknownKey(name.clone()))?;
            index(place, items.len()).and_then(|index| items.get(index)).ok_or(PathError::OutOfBounds(place))
        }
        _ => Err(PathError::NoContainer),
    }
}

fn index(place: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    let place = if place < 0 { place.checked_add(length)? } else { place };
    usize::try_from(place).ok()
}

/// What one step finds in one value; what is not there is left out.
fn several<'v>(step: &Step, value: &'v Value, root: &Value) -> Vec<&'v Value> {
    match step {
        Step::Key(key) => select(key, value).into_iter().collect(),
        Step::Union(keys) => keys.iter().filter_map(|key| select(key, value).ok()).collect(),
        Step::All => inside(value),
        Step::Filter(filter) => inside(value).into_iter().filter(|value| filter.holds(value, root)).collect(),
        Step::Slice(from, to, by) => slice(value, (*from, *to, by.unwrap_or(1))),
        Step::Descend => {
            let (mut all, mut waiting) = (Vec::new(), vec![value]);
            while let Some(value) = waiting.pop() {
                all.push(value);
                waiting.extend(inside(value).into_iter().rev());
            }
            all
        }
    }
}

/// Everything directly inside, in key order.
fn inside(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            fields.into_iter().map(|(_, value)| value).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn slice(value: &Value, (from, to, by): (Option<i64>, Option<i64>, i64)) -> Vec<&Value> {
    let Value::Array(items) = value else { return Vec::new() };
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let place = |place: i64| if place < 0 { place.saturating_add(length) } else { place };
    let (start, end) = if by > 0 {
        (from.map_or(0, place).max(0), to.map_or(length, place).min(length))
    } else {
        (from.map_or(length.saturating_sub(1), place).min(length.saturating_sub(1)), to.map_or(-1, place).max(-1))
    };
    let mut found = Vec::new();
    let mut at = start;
    while (by > 0 && at < end) || (by < 0 && at > end) {
        found.extend(usize::try_from(at).ok().and_then(|at| items.get(at)));
        at = at.saturating_add(by);
    }
    found
}
