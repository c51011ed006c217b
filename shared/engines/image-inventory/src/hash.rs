//! Ids of things without a name: the hash that upstream's reports use (FNV-1 over the parts of a structure, in the order-free form), so
//! that ids in our reports equal those in theirs.

use crate::tree::{Node, Value};

/// FNV-1, 64 bits.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| hash.wrapping_mul(0x0000_0100_0000_01b3) ^ u64::from(*byte))
}

/// Two hashes in their order.
pub(crate) fn ordered(first: u64, second: u64) -> u64 {
    fnv(&[first.to_le_bytes(), second.to_le_bytes()].concat())
}

/// A sum of hashes without an order, closed.
pub(crate) fn closed(sum: u64) -> u64 {
    fnv(&sum.to_le_bytes())
}

/// A structure of a name with fields; those that are empty do not count.
pub(crate) fn structure(name: &str, fields: &[(&str, Option<u64>)]) -> u64 {
    fields
        .iter()
        .filter_map(|(field, value)| Some((field, (*value)?)))
        .fold(fnv(name.as_bytes()), |sum, (field, value)| closed(sum ^ ordered(fnv(field.as_bytes()), value)))
}

/// Any node; `None` when it is empty.
pub(crate) fn node(node: &Node) -> Option<u64> {
    match &node.value {
        Value::Null => None,
        Value::Bool(flag) => Some(fnv(&[u8::from(*flag)])),
        Value::Number(number) => Some(number.parse::<i64>().map_or_else(
            |_| fnv(&number.parse::<f64>().unwrap_or(0.0).to_le_bytes()),
            |whole| fnv(&whole.to_le_bytes()),
        )),
        Value::Text(text) => Some(fnv(text.as_bytes())),
        Value::List(items) => Some(items.iter().fold(0, |sum, item| ordered(sum, node_or_zero(item)))),
        Value::Map(map) => Some(closed(
            map.iter().fold(0, |sum, (key, value)| sum ^ ordered(fnv(key.as_bytes()), node_or_zero(value))),
        )),
    }
}

fn node_or_zero(one: &Node) -> u64 {
    node(one).unwrap_or_else(|| fnv(&0_i64.to_le_bytes()))
}
