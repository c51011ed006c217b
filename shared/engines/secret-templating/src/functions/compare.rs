//! Comparisons.

use std::cmp::Ordering;

use super::{ANY, Entry, Returned, at};
use crate::value::Value;

pub(super) const TABLE: &[Entry] = &[
    ("eq", (1, ANY), |arguments, _| equal_any(arguments)),
    ("ne", (2, 2), |arguments, _| equal(&at(arguments, 0), &at(arguments, 1)).map(|is| Value::Bool(!is))),
    ("lt", (2, 2), |arguments, _| ordered(arguments, Ordering::is_lt)),
    ("le", (2, 2), |arguments, _| ordered(arguments, Ordering::is_le)),
    ("gt", (2, 2), |arguments, _| ordered(arguments, Ordering::is_gt)),
    ("ge", (2, 2), |arguments, _| ordered(arguments, Ordering::is_ge)),
];

fn equal_any(arguments: &[Value]) -> Returned {
    let Some((first, others)) = arguments.split_first() else { return Ok(Value::Bool(false)) };
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if equal(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn equal(left: &Value, right: &Value) -> Result<bool, String> {
    match (left, right) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Int(a), Value::Int(b)) => Ok(a == b),
        #[expect(clippy::float_cmp, reason = "Go compares floats for equality")]
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::Text(a), Value::Text(b)) => Ok(a == b),
        (Value::Nil, other) | (other, Value::Nil) => Ok(*other == Value::Nil),
        (Value::List(_) | Value::Map(_) | Value::Strings(_), _) => {
            Err(format!("non-comparable type {}", left.type_name()))
        }
        (_, Value::List(_) | Value::Map(_) | Value::Strings(_)) => {
            Err(format!("non-comparable type {}", right.type_name()))
        }
        _ => Err(incompatible(left, right)),
    }
}

fn ordered(arguments: &[Value], holds: fn(Ordering) -> bool) -> Returned {
    let ordering = match (&at(arguments, 0), &at(arguments, 1)) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (
            Value::Int(_) | Value::Float(_) | Value::Text(_),
            Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Bool(_),
        ) => {
            return Err(incompatible(&at(arguments, 0), &at(arguments, 1)));
        }
        _ => return Err("invalid type for comparison".to_owned()),
    };
    // Whatever is asked of a number that is none, the answer is no.
    Ok(Value::Bool(ordering.is_some_and(holds)))
}

fn incompatible(left: &Value, right: &Value) -> String {
    format!("incompatible types for comparison: {} and {}", left.type_name(), right.type_name())
}
