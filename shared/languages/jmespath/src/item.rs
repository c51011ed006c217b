//! Values during evaluation: borrowed from the input as long as possible.

use serde_json::{Map, Value};

use crate::ast::Node;
use crate::{Scope, Variable};

/// A value at hand.
#[derive(Debug, Clone)]
pub(crate) enum Item<'a> {
    /// Part of the input or of the expression.
    Borrowed(&'a Value),
    /// Made during the evaluation.
    Owned(Value),
    /// An array whose elements may still be borrowed.
    List(Vec<Item<'a>>),
    /// `&expression`.
    Reference(&'a Node),
    /// Variables: only ever what an expression begins with, or a field of it on the way to another.
    Scope(&'a dyn Scope),
}

impl<'a> From<Variable<'a>> for Item<'a> {
    fn from(variable: Variable<'a>) -> Self {
        match variable {
            Variable::Value(value) => Self::Borrowed(value),
            Variable::Scope(scope) => Self::Scope(scope),
        }
    }
}

impl<'a> Item<'a> {
    pub(crate) const NULL: Self = Self::Owned(Value::Null);

    /// The value, where the item has one as a whole.
    pub(crate) fn value(&self) -> Option<&Value> {
        match self {
            Self::Borrowed(value) => Some(value),
            Self::Owned(value) => Some(value),
            Self::List(_) | Self::Reference(_) | Self::Scope(_) => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.value().is_some_and(Value::is_null)
    }

    /// JMESPath's falsehood: null, false, and whatever is empty.
    pub(crate) fn is_false(&self) -> bool {
        match self {
            Self::List(items) => items.is_empty(),
            Self::Reference(_) | Self::Scope(_) => false,
            Self::Borrowed(value) => is_false(value),
            Self::Owned(value) => is_false(value),
        }
    }

    /// The elements, when this is an array.
    pub(crate) fn into_elements(self) -> Option<Vec<Self>> {
        match self {
            Self::Borrowed(Value::Array(values)) => Some(values.iter().map(Item::Borrowed).collect()),
            Self::Owned(Value::Array(values)) => Some(values.into_iter().map(Item::Owned).collect()),
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The element at `index`, negative from the end; null when there is none.
    pub(crate) fn element(&self, index: i64) -> Self {
        let place = |length: usize| {
            let length = i64::try_from(length).unwrap_or(i64::MAX);
            usize::try_from(if index < 0 { index.saturating_add(length) } else { index }).ok()
        };
        let found = match self {
            Self::Borrowed(Value::Array(values)) => {
                place(values.len()).and_then(|at| values.get(at)).map(Item::Borrowed)
            }
            Self::Owned(Value::Array(values)) => {
                place(values.len()).and_then(|at| values.get(at)).cloned().map(Item::Owned)
            }
            Self::List(items) => place(items.len()).and_then(|at| items.get(at)).cloned(),
            _ => None,
        };
        found.unwrap_or(Self::NULL)
    }
}

/// How many nodes a copy of `item` makes.
pub(crate) fn item_weight(item: &Item<'_>) -> u64 {
    match item {
        Item::Borrowed(_) | Item::Reference(_) | Item::Scope(_) => 1,
        Item::Owned(value) => weight(value),
        Item::List(items) => items.iter().map(item_weight).sum::<u64>() + 1,
    }
}

/// The size of `value` as limits count it: its nodes, and one more for every 64 bytes of a text.
#[must_use]
pub fn weight(value: &Value) -> u64 {
    match value {
        Value::Array(values) => values.iter().map(weight).sum::<u64>() + 1,
        Value::Object(map) => map.values().map(weight).sum::<u64>() + 1,
        Value::String(text) => 1 + text.len() as u64 / 64,
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

/// JMESPath's falsehood: null, false, and whatever is empty.
#[must_use]
pub fn is_false(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Number(_) => false,
    }
}

/// The value of a key: in the small objects that manifests are made of, looking at every key is faster than hashing one.
#[must_use]
pub fn field<'v>(fields: &'v Map<String, Value>, key: &str) -> Option<&'v Value> {
    const SMALL: usize = 16;
    if fields.len() > SMALL {
        return fields.get(key);
    }
    // Keys of one length mostly differ in their first letter already.
    let first = key.as_bytes().first();
    let is_it = |name: &String| name.len() == key.len() && name.as_bytes().first() == first && name == key;
    fields.iter().find(|(name, _)| is_it(name)).map(|(_, value)| value)
}

/// Equality as JMESPath has it: numbers by value (`1 == 1.0`), objects without order.
#[must_use]
pub fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| equal(value, other)))
        }
        _ => left == right,
    }
}

/// A number as a JSON value: an integer where it is one, null where it is none (NaN, infinity).
#[must_use]
pub fn number(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53, checked above")]
        return Value::from(value as i64);
    }
    serde_json::Number::from_f64(value).map_or(Value::Null, Value::Number)
}
