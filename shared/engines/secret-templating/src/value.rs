//! Values of templates: what JSON has, with Go's split of numbers, and text that may be any bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// Text that may hold a secret: any bytes, wiped when the last copy is dropped, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Arc<Zeroizing<Vec<u8>>>);

impl Text {
    /// Takes bytes over.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The text; bytes that are none are replaced.
    #[must_use]
    pub fn expose_str(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes().to_vec())
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.expose().cmp(other.expose())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(..)")
    }
}

/// A value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Go's nil.
    #[default]
    Nil,
    /// `bool`.
    Bool(bool),
    /// `int`, and all other integers.
    Int(i64),
    /// `float64`.
    Float(f64),
    /// `string`.
    Text(Text),
    /// `[]interface {}`.
    List(Arc<Vec<Value>>),
    /// `map[string]interface {}`, in key order.
    Map(Arc<BTreeMap<String, Value>>),
    /// `map[string]string`: the data of a secret.
    Strings(Arc<BTreeMap<String, Value>>),
}

impl Value {
    /// Text.
    #[must_use]
    pub fn text(text: impl AsRef<[u8]>) -> Self {
        Self::Text(Text::new(text.as_ref().to_vec()))
    }

    /// A list.
    #[must_use]
    pub fn list(items: Vec<Self>) -> Self {
        Self::List(Arc::new(items))
    }

    /// The data of a secret.
    #[must_use]
    pub fn strings(pairs: impl IntoIterator<Item = (String, Text)>) -> Self {
        Self::Strings(Arc::new(pairs.into_iter().map(|(key, text)| (key, Self::Text(text))).collect()))
    }

    /// What JSON stands for. Numbers are `float64`, as Go decodes them.
    #[must_use]
    pub fn from_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Nil,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => Self::Float(number.as_f64().unwrap_or_default()),
            serde_json::Value::String(text) => Self::text(text),
            serde_json::Value::Array(items) => Self::list(items.iter().map(Self::from_json).collect()),
            serde_json::Value::Object(fields) => {
                let pairs = fields.iter().map(|(key, value)| (key.clone(), Self::from_json(value)));
                Self::Map(Arc::new(pairs.collect()))
            }
        }
    }

    /// Go's name of its type.
    #[must_use]
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
            Self::Strings(_) => "map[string]string",
        }
    }

    /// How many values it holds, itself included; `None` when there are too many or they are nested too deeply. Lists may share
    /// their parts, so that few steps can build what takes for ever to walk, or to drop.
    #[must_use]
    pub(crate) fn weight(&self) -> Option<u64> {
        let (mut waiting, mut weight) = (vec![(self, 0_u32)], 0_u64);
        while let Some((value, depth)) = waiting.pop() {
            weight = weight.saturating_add(1);
            if depth > MAX_DEPTH || weight > MAX_WEIGHT {
                return None;
            }
            match value {
                Self::List(items) => waiting.extend(items.iter().map(|item| (item, depth.saturating_add(1)))),
                Self::Map(fields) | Self::Strings(fields) => {
                    waiting.extend(fields.values().map(|item| (item, depth.saturating_add(1))));
                }
                Self::Nil | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Text(_) => {}
            }
        }
        Some(weight)
    }

    /// Whether it counts as true: not empty, not zero.
    #[must_use]
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.expose().is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(fields) | Self::Strings(fields) => !fields.is_empty(),
        }
    }
}

const MAX_DEPTH: u32 = 60;
const MAX_WEIGHT: u64 = 200_000;
