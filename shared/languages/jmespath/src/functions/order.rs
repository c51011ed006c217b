//! The functions that order: `max`, `min`, `sort`, and their `_by` forms.

use std::cmp::Ordering;

use serde_json::Value;

use super::{ARRAY, Arguments, Function, NUMBERS, Outcome, REFERENCE, TEXTS, function};
use crate::error::EvalError;
use crate::item::Item;

pub(super) const FUNCTIONS: &[Function] = &[
    function("max", &[NUMBERS | TEXTS], |arguments| extreme(arguments, Ordering::Greater)),
    function("min", &[NUMBERS | TEXTS], |arguments| extreme(arguments, Ordering::Less)),
    function("sort", &[TEXTS | NUMBERS], sort),
    function("max_by", &[ARRAY, REFERENCE], |arguments| extreme_by(arguments, Ordering::Greater)),
    function("min_by", &[ARRAY, REFERENCE], |arguments| extreme_by(arguments, Ordering::Less)),
    function("sort_by", &[ARRAY, REFERENCE], sort_by),
];

/// What elements are ordered by: all texts, or all numbers.
enum Key {
    Text(String),
    Number(f64),
}

fn key(value: &Value) -> Option<Key> {
    match value {
        Value::String(text) => Some(Key::Text(text.clone())),
        Value::Number(number) => number.as_f64().map(Key::Number),
        _ => None,
    }
}

fn order(left: &Key, right: &Key) -> Ordering {
    match (left, right) {
        (Key::Text(left), Key::Text(right)) => left.cmp(right),
        (Key::Number(left), Key::Number(right)) => left.total_cmp(right),
        (Key::Text(_), Key::Number(_)) => Ordering::Greater,
        (Key::Number(_), Key::Text(_)) => Ordering::Less,
    }
}

/// The elements with their keys; all keys must be of one type.
fn keyed<'a>(mut arguments: Arguments<'_, 'a>) -> Result<Vec<(Key, Item<'a>)>, EvalError> {
    let elements = arguments.take(0).into_elements().unwrap_or_default();
    // Ordering itself is charged as well: n log n comparisons.
    let count = elements.len() as u64;
    arguments.evaluation.charge(count.saturating_mul(u64::from(count.max(2).ilog2())))?;
    let reference = match arguments.take(1) {
        Item::Reference(node) => Some(node),
        _ => None,
    };
    let mut result: Vec<(Key, Item<'a>)> = Vec::with_capacity(elements.len());
    for element in elements {
        let found = match reference {
            Some(node) => arguments.evaluation.lenient(node, &element)?.value().and_then(key),
            None => element.value().and_then(key),
        };
        let same = |found: &Key| {
            result.first().is_none_or(|(first, _)| matches!(first, Key::Text(_)) == matches!(found, Key::Text(_)))
        };
        match found {
            Some(found) if same(&found) => result.push((found, element)),
            _ => return Err(arguments.fail("invalid type, must be number or string")),
        }
    }
    Ok(result)
}

fn best<'a>(keyed: Vec<(Key, Item<'a>)>, wanted: Ordering) -> Item<'a> {
    let mut elements = keyed.into_iter();
    let Some(mut best) = elements.next() else { return Item::NULL };
    for element in elements {
        if order(&element.0, &best.0) == wanted {
            best = element;
        }
    }
    best.1
}

fn extreme<'a>(arguments: Arguments<'_, 'a>, wanted: Ordering) -> Outcome<'a> {
    Ok(best(keyed(arguments)?, wanted))
}

fn extreme_by<'a>(mut arguments: Arguments<'_, 'a>, wanted: Ordering) -> Outcome<'a> {
    match single(&mut arguments) {
        Some(alone) => Ok(alone),
        None => Ok(best(keyed(arguments)?, wanted)),
    }
}

/// The only element, whose key is never looked at.
fn single<'a>(arguments: &mut Arguments<'_, 'a>) -> Option<Item<'a>> {
    let length = match arguments.item(0) {
        Item::List(items) => items.len(),
        other => other.value().and_then(Value::as_array).map_or(0, Vec::len),
    };
    (length == 1).then(|| arguments.take(0).into_elements().and_then(|mut elements| elements.pop())).flatten()
}

fn sorted<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let mut keyed = keyed(arguments)?;
    keyed.sort_by(|left, right| order(&left.0, &right.0));
    Ok(Item::List(keyed.into_iter().map(|(_, element)| element).collect()))
}

fn sort<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    sorted(arguments)
}

fn sort_by<'a>(mut arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    match single(&mut arguments) {
        Some(alone) => Ok(Item::List(vec![alone])),
        None => sorted(arguments),
    }
}
