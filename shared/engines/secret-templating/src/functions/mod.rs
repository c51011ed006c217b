//! Functions of templates: Go's own, sprig's, and those that External Secrets adds.

mod builtin;
mod certificates;
mod chance;
mod compare;
mod dates;
mod dicts;
mod encoding;
mod hashes;
mod json;
mod keys;
mod lists;
mod numbers;
mod paths;
mod peer;
mod reflection;
mod regexes;
mod strings;
mod urls;
mod versions;
mod words;
mod yaml;

use std::collections::BTreeMap;
use std::sync::LazyLock;

pub(crate) use chance::Chance;
pub(crate) use encoding::decode_base64;
pub(crate) use yaml::read as read_yaml;

use crate::value::{Dict, Text, Value};
use crate::{Environment, Limits};

/// What a function returns; the error is in its own words.
pub(crate) type Returned = Result<Value, String>;

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parameter {
    Any,
    /// Go's `reflect.Value`: anything, nil too.
    Value,
    Text,
    Bool,
    Int,
    Uint,
    Float,
    Map,
    List,
    Time,
    KeyPair,
}

impl Parameter {
    pub(crate) fn takes_nil(self) -> bool {
        matches!(self, Self::Any | Self::Value | Self::Map | Self::List)
    }

    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Value => "reflect.Value",
            Self::Text => "string",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint32",
            Self::Float => "float64",
            Self::Map => "map[string]interface {}",
            Self::List => "[]interface {}",
            Self::Time => "time.Time",
            Self::KeyPair => "sprig.certificate",
        }
    }
}

/// A function: its parameters are letters, a star after the last lets it repeat.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    parameters: &'static str,
    pub(crate) run: fn(&mut Call<'_>) -> Returned,
}

impl Function {
    pub(crate) fn is_variadic(&self) -> bool {
        self.parameters.ends_with('*')
    }

    /// How many arguments it must have.
    pub(crate) fn fixed(&self) -> usize {
        let letters = self.parameters.len();
        if self.is_variadic() { letters.saturating_sub(2) } else { letters }
    }

    pub(crate) fn parameter(&self, index: usize) -> Parameter {
        let letters = self.parameters.trim_end_matches('*').as_bytes();
        match letters.get(index).or(letters.last()) {
            Some(b's') => Parameter::Text,
            Some(b'b') => Parameter::Bool,
            Some(b'i') => Parameter::Int,
            Some(b'u') => Parameter::Uint,
            Some(b'f') => Parameter::Float,
            Some(b'm') => Parameter::Map,
            Some(b'l') => Parameter::List,
            Some(b't') => Parameter::Time,
            Some(b'c') => Parameter::KeyPair,
            Some(b'v') => Parameter::Value,
            _ => Parameter::Any,
        }
    }
}

/// Names, parameters and bodies.
type Entry = (&'static str, &'static str, fn(&mut Call<'_>) -> Returned);

/// A call: arguments of the right types, and what the engine was given from outside.
pub(crate) struct Call<'a> {
    pub(crate) arguments: Vec<Value>,
    pub(crate) limits: Limits,
    pub(crate) environment: &'a Environment,
    pub(crate) chance: &'a mut Chance,
}

impl Call<'_> {
    /// Argument `index`; nil when it is absent.
    pub(crate) fn value(&self, index: usize) -> Value {
        self.arguments.get(index).cloned().unwrap_or_default()
    }

    /// The arguments from `index` on.
    pub(crate) fn from(&self, index: usize) -> &[Value] {
        self.arguments.get(index..).unwrap_or_default()
    }

    /// The bytes of a text argument.
    pub(crate) fn bytes(&self, index: usize) -> &[u8] {
        match self.arguments.get(index) {
            Some(Value::Text(text)) => text.expose(),
            _ => b"",
        }
    }

    /// A text argument; bytes that are none are replaced.
    pub(crate) fn text(&self, index: usize) -> String {
        String::from_utf8_lossy(self.bytes(index)).into_owned()
    }

    /// An integer argument.
    pub(crate) fn int(&self, index: usize) -> i64 {
        match self.arguments.get(index) {
            Some(Value::Int(_, number)) => i64::try_from(*number).unwrap_or(i64::MAX),
            _ => 0,
        }
    }

    /// A map argument; nil is an empty map.
    pub(crate) fn map(&self, index: usize) -> Dict {
        match self.arguments.get(index) {
            Some(Value::Map(_, fields)) => fields.clone(),
            _ => Dict::default(),
        }
    }

    /// Refuses what would become longer than the limit.
    pub(crate) fn check_length(&self, bytes: usize) -> Result<(), String> {
        if bytes > self.limits.bytes { Err("the result would be too large".to_owned()) } else { Ok(()) }
    }
}

/// Text as a value.
pub(crate) fn text(bytes: impl Into<Vec<u8>>) -> Returned {
    Ok(Value::Text(Text::new(bytes.into())))
}

static TABLE: LazyLock<BTreeMap<&'static str, Function>> = LazyLock::new(|| {
    let tables: [&[Entry]; 20] = [
        builtin::TABLE,
        certificates::TABLE,
        chance::TABLE,
        compare::TABLE,
        dates::TABLE,
        dicts::TABLE,
        encoding::TABLE,
        hashes::TABLE,
        json::TABLE,
        keys::TABLE,
        lists::TABLE,
        numbers::TABLE,
        paths::TABLE,
        peer::TABLE,
        reflection::TABLE,
        regexes::TABLE,
        strings::TABLE,
        urls::TABLE,
        versions::TABLE,
        words::TABLE,
    ];
    let entries =
        tables.into_iter().flatten().map(|(name, parameters, run)| (*name, Function { name, parameters, run: *run }));
    entries.collect()
});

/// Whether a function exists.
pub(crate) fn exists(name: &str) -> bool {
    TABLE.contains_key(name)
}

/// The names of all functions.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.keys().copied()
}

pub(crate) fn find(name: &str) -> Option<&'static Function> {
    TABLE.get(name)
}

/// Whether a value has a method of that name.
pub(crate) fn is_method(value: &Value, name: &str) -> bool {
    match value {
        Value::Time(_) => dates::METHODS.contains(&name),
        Value::Version(_) => versions::METHODS.contains(&name),
        _ => false,
    }
}

/// Calls a method.
pub(crate) fn method(value: &Value, name: &str, arguments: &[Value]) -> Returned {
    match value {
        Value::Time(time) => dates::method(time, name, arguments),
        Value::Version(version) => versions::method(version, name, arguments),
        other => Err(format!("can't evaluate field {name} in type {}", other.type_name())),
    }
}
