//! Go's own functions, but for the comparisons.

use super::{Call, Entry, Returned, text};
use crate::format::{sprint, sprint_spaced, sprintf};
use crate::value::{IntKind, MapKind, Text, Value};

pub(super) const TABLE: &[Entry] = &[
    // Both are evaluated where their operands are, since they may stop before the last.
    ("and", "vv*", |call| Ok(call.value(0))),
    ("or", "vv*", |call| Ok(call.value(0))),
    ("not", "v", |call| Ok(Value::Bool(!call.value(0).is_true()))),
    ("len", "v", |call| len(&call.value(0))),
    ("index", "vv*", index),
    ("print", "a*", |call| text(sprint(&call.arguments))),
    ("println", "a*", |call| text([sprint_spaced(&call.arguments), b"\n".to_vec()].concat())),
    ("printf", "sa*", |call| {
        sprintf(call.bytes(0), call.from(1), call.limits.bytes).map(|out| Value::Text(Text::new(out)))
    }),
    ("html", "a*", |call| text(html(&shown(call)))),
    ("js", "a*", |call| text(js(&shown(call)))),
    ("urlquery", "a*", |call| text(url_query(&shown(call)))),
    ("call", "vv*", call_value),
];

/// Arguments as the escapers show them: nil is no value.
fn shown(call: &Call<'_>) -> Vec<u8> {
    let replaced = |value: &Value| if *value == Value::Nil { Value::text("<no value>") } else { value.clone() };
    sprint(&call.arguments.iter().map(replaced).collect::<Vec<_>>())
}

fn len(value: &Value) -> Returned {
    match value {
        Value::Text(text) => Ok(Value::length(text.expose().len())),
        Value::List(_, items) => Ok(Value::length(items.len())),
        Value::Map(_, fields) => Ok(Value::length(fields.len())),
        Value::Nil => Err("reflect: call of reflect.Value.Type on zero Value".to_owned()),
        other => Err(format!("len of type {}", other.type_name())),
    }
}

fn index(call: &mut Call<'_>) -> Returned {
    let mut item = call.value(0);
    if item == Value::Nil {
        return Err("index of untyped nil".to_owned());
    }
    for index in call.from(1) {
        item = match &item {
            Value::Nil => return Err("index of nil pointer".to_owned()),
            Value::Text(text) => {
                let at = position(index, text.expose().len())?;
                let byte = text.expose().get(at).ok_or("reflect: string index out of range")?;
                Value::Int(IntKind::Uint8, i128::from(*byte))
            }
            Value::List(_, items) => {
                let at = position(index, items.len())?;
                items.get(at).cloned().ok_or("reflect: slice index out of range")?
            }
            Value::Map(kind, fields) => {
                let key = key(index)?;
                let zero = if *kind == MapKind::Strings { Value::text("") } else { Value::Nil };
                fields.get(&key).unwrap_or(zero)
            }
            other => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(item)
}

fn key(index: &Value) -> Result<String, String> {
    match index {
        Value::Text(text) => Ok(text.expose_str().into_owned()),
        Value::Nil => Err("value is nil; should be of type string".to_owned()),
        other => Err(format!("value has type {}; should be string", other.type_name())),
    }
}

fn position(index: &Value, length: usize) -> Result<usize, String> {
    let number = match index {
        Value::Int(_, number) => *number,
        Value::Nil => return Err("cannot index slice/array with nil".to_owned()),
        other => return Err(format!("cannot index slice/array with type {}", other.type_name())),
    };
    let at = usize::try_from(number).ok().filter(|at| *at <= length);
    at.ok_or_else(|| format!("index out of range: {number}"))
}

/// No value is a function.
fn call_value(call: &mut Call<'_>) -> Returned {
    match call.value(0) {
        Value::Nil => Err("call of nil".to_owned()),
        other => Err(format!("non-function of type {}", other.type_name())),
    }
}

pub(super) fn html(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            b'"' => out.extend_from_slice(b"&#34;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            other => out.push(*other),
        }
    }
    out
}

fn js(bytes: &[u8]) -> String {
    let mut out = String::new();
    for letter in String::from_utf8_lossy(bytes).chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' | '\0'..='\x1f' => out.push_str(&format!("\\u{:04X}", u32::from(letter))),
            _ if letter.is_ascii() || crate::format::is_printable(letter) => out.push(letter),
            _ => out.push_str(&format!("\\u{:04X}", u32::from(letter))),
        }
    }
    out
}

/// Text as a part of a query.
pub(super) fn url_query(bytes: &[u8]) -> String {
    let mut out = String::new();
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(*byte)),
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
