//! Functions of templates: Go's own, and those that External Secrets adds.

mod collections;
mod compare;
mod encoding;
mod strings;

use crate::Limits;
use crate::format::{plain, sprint, sprint_spaced, sprintf};
use crate::value::Value;

/// Why a call failed.
pub(crate) enum CallError {
    /// Too many arguments, or too few.
    Arity(String),
    /// The function's own words.
    Failed(String),
}

/// What a function returns.
pub(crate) type Returned = Result<Value, String>;

type Function = fn(&[Value], Limits) -> Returned;

/// One function: name, least and most arguments.
type Entry = (&'static str, (usize, usize), Function);

const ANY: usize = usize::MAX;

/// Whether a function exists.
pub(crate) fn exists(name: &str) -> bool {
    find(name).is_some()
}

/// The names of all functions.
pub fn names() -> impl Iterator<Item = &'static str> {
    tables().into_iter().flatten().map(|(name, ..)| *name)
}

fn tables() -> [&'static [Entry]; 5] {
    [OWN, compare::TABLE, strings::TABLE, encoding::TABLE, collections::TABLE]
}

fn find(name: &str) -> Option<&'static Entry> {
    tables().into_iter().flatten().find(|(known, ..)| *known == name)
}

/// Calls a function.
pub(crate) fn call(name: &str, arguments: Vec<Value>, limits: Limits) -> Result<Value, CallError> {
    let Some((_, (least, most), function)) = find(name) else {
        return Err(CallError::Failed(format!("function \"{name}\" not defined")));
    };
    let count = arguments.len();
    if count < *least || count > *most {
        let want = if most == least { least.to_string() } else { format!("at least {least}") };
        return Err(CallError::Arity(format!("wrong number of args for {name}: want {want} got {count}")));
    }
    let value = function(&arguments, limits).map_err(CallError::Failed)?;
    match &value {
        Value::Text(text) if text.expose().len() > limits.bytes => {
            Err(CallError::Failed("result is too large".to_owned()))
        }
        _ => Ok(value),
    }
}

/// Go's own functions, but for the comparisons.
const OWN: &[Entry] = &[
    ("and", (1, ANY), |arguments, _| {
        Ok(arguments.iter().find(|value| !value.is_true()).or(arguments.last()).cloned().unwrap_or_default())
    }),
    ("or", (1, ANY), |arguments, _| {
        Ok(arguments.iter().find(|value| value.is_true()).or(arguments.last()).cloned().unwrap_or_default())
    }),
    ("not", (1, 1), |arguments, _| Ok(Value::Bool(!at(arguments, 0).is_true()))),
    ("len", (1, 1), |arguments, _| len(&at(arguments, 0))),
    ("index", (1, ANY), |arguments, _| collections::index(arguments)),
    ("slice", (1, 4), |arguments, _| collections::slice(arguments)),
    ("print", (0, ANY), |arguments, _| Ok(Value::text(sprint(arguments)))),
    ("println", (0, ANY), |arguments, _| Ok(Value::text([sprint_spaced(arguments), b"\n".to_vec()].concat()))),
    ("printf", (1, ANY), |arguments, limits| {
        let format = text(arguments, 0)?;
        sprintf(&format, arguments.get(1..).unwrap_or_default(), limits.bytes).map(Value::text)
    }),
    ("html", (0, ANY), |arguments, _| Ok(Value::text(strings::html(&sprint(arguments))))),
    ("js", (0, ANY), |arguments, _| Ok(Value::text(strings::js(&sprint(arguments))))),
    ("urlquery", (0, ANY), |arguments, _| Ok(Value::text(strings::url_query(&sprint(arguments))))),
];

fn len(value: &Value) -> Returned {
    let length = match value {
        Value::Text(text) => text.expose().len(),
        Value::List(items) => items.len(),
        Value::Map(fields) | Value::Strings(fields) => fields.len(),
        Value::Nil => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

/// Argument `index`; nil when it is absent.
pub(crate) fn at(arguments: &[Value], index: usize) -> Value {
    arguments.get(index).cloned().unwrap_or_default()
}

/// Argument `index`, which must be text.
pub(crate) fn text(arguments: &[Value], index: usize) -> Result<Vec<u8>, String> {
    match arguments.get(index) {
        Some(Value::Text(text)) => Ok(text.expose().to_vec()),
        Some(Value::Nil) | None => Err("invalid value; expected string".to_owned()),
        Some(other) => Err(format!("wrong type for value; expected string; got {}", other.type_name())),
    }
}

/// Argument `index` as valid text.
pub(crate) fn string(arguments: &[Value], index: usize) -> Result<String, String> {
    text(arguments, index).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Argument `index`, which must be an integer.
pub(crate) fn int(arguments: &[Value], index: usize) -> Result<i64, String> {
    match arguments.get(index) {
        Some(Value::Int(value)) => Ok(*value),
        Some(other) => Err(format!("wrong type for value; expected int; got {}", other.type_name())),
        None => Err("invalid value; expected int".to_owned()),
    }
}

/// Any argument as sprig turns it into text.
pub(crate) fn any_text(value: &Value) -> Vec<u8> {
    plain(value)
}
