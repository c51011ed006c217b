//! Types, kinds and defaults.

use super::{Call, Entry, compare, text};
use crate::value::Value;

pub(super) const TABLE: &[Entry] = &[
    ("typeOf", "a", |call| text(call.value(0).type_name())),
    ("typeIs", "sa", |call| Ok(Value::Bool(call.bytes(0) == call.value(1).type_name().as_bytes()))),
    ("typeIsLike", "sa", |call| {
        let (wanted, is) = (call.text(0), call.value(1).type_name());
        Ok(Value::Bool(wanted == is || format!("*{wanted}") == is))
    }),
    ("kindOf", "a", |call| text(call.value(0).kind_name())),
    ("kindIs", "sa", |call| Ok(Value::Bool(call.bytes(0) == call.value(1).kind_name().as_bytes()))),
    ("deepEqual", "aa", compare::deep_equal),
    ("deepCopy", "a", |call| Ok(copy(&call.value(0), 64))),
    ("mustDeepCopy", "a", |call| Ok(copy(&call.value(0), 64))),
    ("default", "aa*", |call| Ok(if is_empty(&call.value(1)) { call.value(0) } else { call.value(1) })),
    ("empty", "a", |call| Ok(Value::Bool(is_empty(&call.value(0))))),
    ("coalesce", "a*", |call| Ok(full(call).next().unwrap_or_default())),
    ("all", "a*", |call| Ok(Value::Bool(full(call).count() == call.arguments.len()))),
    ("any", "a*", |call| Ok(Value::Bool(full(call).next().is_some()))),
    ("ternary", "aab", |call| Ok(if call.value(2).is_true() { call.value(0) } else { call.value(1) })),
    ("fail", "s", |call| Err(call.text(0))),
    ("hello", "", |_| text("Hello!")),
];

fn full<'a>(call: &'a Call<'_>) -> impl Iterator<Item = Value> + 'a {
    call.arguments.iter().filter(|value| !is_empty(value)).cloned()
}

/// Whether sprig counts a value as empty.
pub(super) fn is_empty(value: &Value) -> bool {
    !value.is_true()
}

/// A copy that shares no map with its original.
pub(super) fn copy(value: &Value, depth: u32) -> Value {
    let deeper = depth.saturating_sub(1);
    match value {
        _ if depth == 0 => Value::Nil,
        Value::List(kind, items) => {
            Value::List(*kind, std::sync::Arc::new(items.iter().map(|item| copy(item, deeper)).collect()))
        }
        Value::Map(kind, fields) => {
            let copied = fields.snapshot().into_iter().map(|(key, item)| (key, copy(&item, deeper))).collect();
            Value::Map(*kind, crate::value::Dict::new(copied))
        }
        other => other.clone(),
    }
}
