//! Lists and maps.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ANY, Entry, Returned, any_text, at, string};
use crate::value::{Text, Value};

pub(super) const TABLE: &[Entry] = &[
    ("list", (0, ANY), |arguments, _| Ok(Value::list(arguments.to_vec()))),
    ("dict", (0, ANY), |arguments, _| Ok(dict(arguments))),
    ("default", (1, 2), |arguments, _| {
        let (fallback, given) = (at(arguments, 0), at(arguments, 1));
        Ok(if given.is_true() { given } else { fallback })
    }),
    ("empty", (1, 1), |arguments, _| Ok(Value::Bool(!at(arguments, 0).is_true()))),
    ("coalesce", (0, ANY), |arguments, _| {
        Ok(arguments.iter().find(|value| value.is_true()).cloned().unwrap_or_default())
    }),
    ("ternary", (3, 3), |arguments, _| {
        Ok(if at(arguments, 2) == Value::Bool(true) { at(arguments, 0) } else { at(arguments, 1) })
    }),
    ("required", (2, 2), |arguments, _| match at(arguments, 1) {
        Value::Nil => Err(string(arguments, 0)?),
        Value::Text(text) if text.expose().is_empty() => Err(string(arguments, 0)?),
        given => Ok(given),
    }),
    ("fail", (1, 1), |arguments, _| Err(string(arguments, 0)?)),
    ("get", (2, 2), |arguments, _| {
        let key = string(arguments, 1)?;
        Ok(map(&at(arguments, 0))?.get(&key).cloned().unwrap_or_else(|| Value::text("")))
    }),
    ("hasKey", (2, 2), |arguments, _| {
        let key = string(arguments, 1)?;
        Ok(Value::Bool(map(&at(arguments, 0))?.contains_key(&key)))
    }),
    ("first", (1, 1), |arguments, _| Ok(items(&at(arguments, 0))?.first().cloned().unwrap_or_default())),
    ("last", (1, 1), |arguments, _| Ok(items(&at(arguments, 0))?.last().cloned().unwrap_or_default())),
    ("append", (2, 2), |arguments, _| {
        let mut list = items(&at(arguments, 0))?.to_vec();
        list.push(at(arguments, 1));
        Ok(Value::list(list))
    }),
    ("has", (2, 2), |arguments, _| {
        Ok(Value::Bool(items(&at(arguments, 1))?.iter().any(|item| same(item, &at(arguments, 0)))))
    }),
    ("sortAlpha", (1, 1), |arguments, _| {
        let mut texts: Vec<Text> = items(&at(arguments, 0))?.iter().map(|item| Text::new(any_text(item))).collect();
        texts.sort();
        Ok(Value::list(texts.into_iter().map(Value::Text).collect()))
    }),
];

fn same(left: &Value, right: &Value) -> bool {
    left.type_name() == right.type_name() && super::encoding::json(left) == super::encoding::json(right)
}

fn dict(arguments: &[Value]) -> Value {
    let mut fields = BTreeMap::new();
    for pair in arguments.chunks(2) {
        let key = pair.first().map(any_text).unwrap_or_default();
        let value = pair.get(1).cloned().unwrap_or_else(|| Value::text(""));
        fields.insert(String::from_utf8_lossy(&key).into_owned(), value);
    }
    Value::Map(Arc::new(fields))
}

fn map(value: &Value) -> Result<Arc<BTreeMap<String, Value>>, String> {
    match value {
        Value::Map(fields) | Value::Strings(fields) => Ok(fields.clone()),
        other => Err(format!("wrong type for value; expected map[string]interface {{}}; got {}", other.type_name())),
    }
}

fn items(value: &Value) -> Result<Arc<Vec<Value>>, String> {
    match value {
        Value::List(items) => Ok(items.clone()),
        other => Err(format!("Cannot find first on type {}", other.type_name())),
    }
}

/// `index x 1 2` is `x[1][2]`.
pub(super) fn index(arguments: &[Value]) -> Returned {
    let mut value = at(arguments, 0);
    for key in arguments.iter().skip(1) {
        value = match (&value, key) {
            (Value::Map(fields), Value::Text(key)) => fields.get(&*key.expose_str()).cloned().unwrap_or_default(),
            // A missing key has the zero value of the map's type.
            (Value::Strings(fields), Value::Text(key)) => {
                fields.get(&*key.expose_str()).cloned().unwrap_or_else(|| Value::text(""))
            }
            (Value::List(items), Value::Int(position)) => {
                let found = usize::try_from(*position).ok().and_then(|position| items.get(position));
                found.cloned().ok_or_else(|| format!("index out of range: {position}"))?
            }
            (Value::Text(text), Value::Int(position)) => {
                let found = usize::try_from(*position).ok().and_then(|position| text.expose().get(position).copied());
                Value::Int(found.map(i64::from).ok_or_else(|| format!("index out of range: {position}"))?)
            }
            (Value::Nil, _) => return Err("index of untyped nil".to_owned()),
            (Value::Map(_) | Value::Strings(_), key) => {
                return Err(format!("value has type {}; should be string", key.type_name()));
            }
            (Value::List(_) | Value::Text(_), key) => {
                return Err(format!("cannot index slice/array with type {}", key.type_name()));
            }
            (other, _) => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(value)
}

/// `slice x 1 2` is `x[1:2]`.
pub(super) fn slice(arguments: &[Value]) -> Returned {
    let value = at(arguments, 0);
    let length = match &value {
        Value::Text(text) => text.expose().len(),
        Value::List(items) => items.len(),
        Value::Nil => return Err("slice of untyped nil".to_owned()),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    if arguments.len() == 4 && matches!(value, Value::Text(_)) {
        return Err("cannot 3-index slice a string".to_owned());
    }
    let mut ends = [0, length, length];
    for (slot, argument) in ends.iter_mut().zip(arguments.iter().skip(1)) {
        let Value::Int(position) = argument else {
            return Err(format!("cannot index slice/array with type {}", argument.type_name()));
        };
        let place = usize::try_from(*position).ok().filter(|place| *place <= length);
        *slot = place.ok_or_else(|| format!("index out of range: {position}"))?;
    }
    let [from, to, _] = ends;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    Ok(match &value {
        Value::Text(text) => Value::text(text.expose().get(from..to).unwrap_or_default()),
        Value::List(items) => Value::list(items.get(from..to).unwrap_or_default().to_vec()),
        _ => Value::Nil,
    })
}
