//! Comparisons.

use std::cmp::Ordering;

use super::{Call, Entry, Returned};
use crate::value::{IntKind, Value};

pub(super) const TABLE: &[Entry] = &[
    ("eq", "vv*", |call| equal_any(call).map(Value::Bool)),
    ("ne", "vv", |call| equal(&call.value(0), &call.value(1)).map(|is| Value::Bool(!is))),
    ("lt", "vv", |call| less(call).map(Value::Bool)),
    ("le", "vv", |call| less_or_equal(call).map(Value::Bool)),
    ("gt", "vv", |call| less_or_equal(call).map(|is| Value::Bool(!is))),
    ("ge", "vv", |call| less(call).map(|is| Value::Bool(!is))),
];

#[derive(PartialEq, Eq)]
enum Kind {
    Other,
    Bool,
    Complex,
    Int,
    Float,
    Text,
    Uint,
}

fn kind(value: &Value) -> Kind {
    match value {
        Value::Bool(_) => Kind::Bool,
        Value::Complex(..) => Kind::Complex,
        Value::Int(IntKind::Int | IntKind::Int64, _) => Kind::Int,
        Value::Int(IntKind::Uint8 | IntKind::Uint64, _) => Kind::Uint,
        Value::Float(_) => Kind::Float,
        Value::Text(_) => Kind::Text,
        _ => Kind::Other,
    }
}

fn equal_any(call: &mut Call<'_>) -> Result<bool, String> {
    let first = call.value(0);
    let others = call.from(1);
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if equal(&first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(left: &Value, right: &Value) -> Result<bool, String> {
    match (left, right) {
        (Value::Int(_, a), Value::Int(_, b)) => Ok(a == b),
        (Value::Nil, other) | (other, Value::Nil) => Ok(*other == Value::Nil),
        _ if kind(left) != kind(right) => Err(incompatible(left, right)),
        (Value::List(..) | Value::Map(..), _) if left.kind_name() != right.kind_name() => {
            Err(format!("non-comparable types {}, {}", left.type_name(), right.type_name()))
        }
        // Go shows the value here, which may be a secret.
        (_, Value::List(..) | Value::Map(..)) => Err(format!("non-comparable type {}", right.type_name())),
        _ => Ok(left == right),
    }
}

fn less(call: &mut Call<'_>) -> Result<bool, String> {
    ordering(&call.value(0), &call.value(1)).map(|order| order == Some(Ordering::Less))
}

fn less_or_equal(call: &mut Call<'_>) -> Result<bool, String> {
    ordering(&call.value(0), &call.value(1)).map(|order| matches!(order, Some(Ordering::Less | Ordering::Equal)))
}

/// `None` where a number is none.
fn ordering(left: &Value, right: &Value) -> Result<Option<Ordering>, String> {
    match (left, right) {
        (Value::Int(_, a), Value::Int(_, b)) => Ok(Some(a.cmp(b))),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.cmp(b))),
        _ if kind(left) == Kind::Other || kind(right) == Kind::Other || kind(left) == kind(right) => {
            Err("invalid type for comparison".to_owned())
        }
        _ => Err(incompatible(left, right)),
    }
}

fn incompatible(left: &Value, right: &Value) -> String {
    format!("incompatible types for comparison: {} and {}", left.type_name(), right.type_name())
}

/// Whether Go's `DeepEqual` finds two values equal.
pub(super) fn deep_equal(call: &mut Call<'_>) -> Returned {
    Ok(Value::Bool(call.value(0) == call.value(1)))
}
