//! Optionals.

use super::{Answer, Function, Invocation, boolean, global, member, refuse};
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = &[
    global("optional.of", |_, arguments| match arguments {
        [value] => Some(Ok(Val::some(value.clone()))),
        _ => None,
    }),
    global("optional.none", |_, arguments| if arguments.is_empty() { Some(Ok(Val::none())) } else { None }),
    global("optional.ofNonZeroValue", |_, arguments| match arguments {
        [value] if is_zero(value) => Some(Ok(Val::none())),
        [value] => Some(Ok(Val::some(value.clone()))),
        _ => None,
    }),
    global("optional.unwrap", unwrap),
    member("unwrapOpt", unwrap),
    member("hasValue", |_, arguments| match arguments {
        [Val::Optional(inner)] => boolean(inner.is_some()),
        _ => None,
    }),
    member("value", |_, arguments| match arguments {
        [Val::Optional(Some(inner))] => Some(Ok(inner.as_ref().clone())),
        [Val::Optional(None)] => refuse("optional.none() dereference"),
        _ => None,
    }),
    // A plain value counts as present: Kyverno lets policies say so.
    member("orValue", |_, arguments| match arguments {
        [Val::Optional(Some(inner)), _] => Some(Ok(inner.as_ref().clone())),
        [Val::Optional(None), fallback] => Some(Ok(fallback.clone())),
        [value, _] => Some(Ok(value.clone())),
        _ => None,
    }),
    member("or", |_, arguments| match arguments {
        [Val::Optional(Some(_)), Val::Optional(_)] => arguments.first().cloned().map(Ok),
        [Val::Optional(None), other @ Val::Optional(_)] => Some(Ok(other.clone())),
        _ => None,
    }),
];

fn unwrap<'a>(_: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    let [Val::List(list)] = arguments else { return None };
    let present = list.iter().filter_map(|value| match value {
        Val::Optional(inner) => inner.map(|inner| inner.as_ref().clone()),
        value => Some(value),
    });
    Some(Ok(Val::list(present.collect())))
}

fn is_zero(value: &Val<'_>) -> bool {
    match value {
        Val::Null | Val::Bool(false) | Val::Int(0) | Val::Uint(0) | Val::Optional(None) => true,
        Val::Double(value) => *value == 0.0,
        Val::Text(text) => text.as_str().is_empty(),
        Val::Bytes(bytes) => bytes.is_empty(),
        Val::List(list) => list.is_empty(),
        Val::Map(map) => map.is_empty(),
        Val::Struct(value) => value.fields.is_empty(),
        Val::Duration(duration) => duration.as_nanos() == 0,
        _ => false,
    }
}
