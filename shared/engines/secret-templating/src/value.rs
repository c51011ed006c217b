//! Values of templates: what JSON has, with Go's types of numbers, lists and maps, and text that may be any bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

pub(crate) use crate::dict::Dict;
use crate::time::Moment;
use crate::version::Version;

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

/// Go's types of integers that templates meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntKind {
    /// `int`, of 64 bits.
    Int,
    /// `int64`.
    Int64,
    /// `uint8`.
    Uint8,
    /// `uint64`.
    Uint64,
}

/// Go's types of lists that templates meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// `[]interface {}`.
    Any,
    /// `[]string`.
    Strings,
    /// `[]int`.
    Ints,
    /// `[][]interface {}`.
    Lists,
}

/// Go's types of maps that templates meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// `map[string]interface {}`.
    Any,
    /// `map[string]string`: the data of a secret.
    Strings,
}

/// A certificate with its key, as sprig's generators return them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    pub(crate) cert: Text,
    pub(crate) key: Text,
}

/// A value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Go's nil.
    #[default]
    Nil,
    /// `bool`.
    Bool(bool),
    /// An integer.
    Int(IntKind, i128),
    /// `float64`.
    Float(f64),
    /// `complex128`.
    Complex(f64, f64),
    /// `string`.
    Text(Text),
    /// A list.
    List(ListKind, Arc<Vec<Value>>),
    /// A map, in key order; its copies share what it holds, as in Go.
    Map(MapKind, Dict),
    /// `time.Time`.
    Time(Arc<Moment>),
    /// `*semver.Version`.
    Version(Arc<Version>),
    /// sprig's `certificate`.
    KeyPair(Arc<KeyPair>),
}

impl Value {
    /// Text.
    #[must_use]
    pub fn text(text: impl AsRef<[u8]>) -> Self {
        Self::Text(Text::new(text.as_ref().to_vec()))
    }

    /// Go's `int`.
    #[must_use]
    pub fn int(number: i64) -> Self {
        Self::Int(IntKind::Int, number.into())
    }

    /// Go's `int64`.
    #[must_use]
    pub(crate) fn int64(number: i64) -> Self {
        Self::Int(IntKind::Int64, number.into())
    }

    /// Go's `int` of a length.
    pub(crate) fn length(length: usize) -> Self {
        Self::int(i64::try_from(length).unwrap_or(i64::MAX))
    }

    /// A list of any values.
    #[must_use]
    pub fn list(items: Vec<Self>) -> Self {
        Self::List(ListKind::Any, Arc::new(items))
    }

    /// A list of texts.
    pub(crate) fn texts(items: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self::List(ListKind::Strings, Arc::new(items.into_iter().map(|text| Self::Text(Text::new(text))).collect()))
    }

    /// A map of any values.
    #[must_use]
    pub fn map(pairs: impl IntoIterator<Item = (String, Self)>) -> Self {
        Self::Map(MapKind::Any, Dict::new(pairs.into_iter().collect()))
    }

    /// The data of a secret.
    #[must_use]
    pub fn strings(pairs: impl IntoIterator<Item = (String, Text)>) -> Self {
        let pairs: BTreeMap<_, _> = pairs.into_iter().map(|(key, text)| (key, Self::Text(text))).collect();
        Self::Map(MapKind::Strings, Dict::new(pairs))
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
                Self::map(fields.iter().map(|(key, value)| (key.clone(), Self::from_json(value))))
            }
        }
    }

    /// Go's name of its type.
    #[must_use]
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(IntKind::Int, _) => "int",
            Self::Int(IntKind::Int64, _) => "int64",
            Self::Int(IntKind::Uint8, _) => "uint8",
            Self::Int(IntKind::Uint64, _) => "uint64",
            Self::Float(_) => "float64",
            Self::Complex(..) => "complex128",
            Self::Text(_) => "string",
            Self::List(ListKind::Any, _) => "[]interface {}",
            Self::List(ListKind::Strings, _) => "[]string",
            Self::List(ListKind::Ints, _) => "[]int",
            Self::List(ListKind::Lists, _) => "[][]interface {}",
            Self::Map(MapKind::Any, _) => "map[string]interface {}",
            Self::Map(MapKind::Strings, _) => "map[string]string",
            Self::Time(_) => "time.Time",
            Self::Version(_) => "*semver.Version",
            Self::KeyPair(_) => "sprig.certificate",
        }
    }

    /// Go's name of its kind.
    pub(crate) fn kind_name(&self) -> &'static str {
        match self {
            Self::Nil => "invalid",
            Self::List(..) => "slice",
            Self::Map(..) => "map",
            Self::Time(_) | Self::KeyPair(_) => "struct",
            Self::Version(_) => "ptr",
            Self::Bool(_) | Self::Int(..) | Self::Float(_) | Self::Complex(..) | Self::Text(_) => self.type_name(),
        }
    }

    /// The items of a list.
    pub(crate) fn items(&self) -> Option<&[Self]> {
        match self {
            Self::List(_, items) => Some(items),
            _ => None,
        }
    }

    /// How many values it holds, itself included; `None` when there are too many or they are nested too deeply. Lists may share
    /// their parts, so that few steps can build what takes for ever to walk, or to drop.
    #[must_use]
    pub(crate) fn weight(&self) -> Option<u64> {
        if !matches!(self, Self::List(..) | Self::Map(..)) {
            return Some(1);
        }
        let (mut waiting, mut weight) = (vec![(self.clone(), 0_u32)], 0_u64);
        while let Some((value, depth)) = waiting.pop() {
            weight = weight.saturating_add(1);
            if depth > MAX_DEPTH || weight > MAX_WEIGHT {
                return None;
            }
            let deeper = depth.saturating_add(1);
            match &value {
                Self::List(_, items) => waiting.extend(items.iter().map(|item| (item.clone(), deeper))),
                Self::Map(_, fields) => waiting.extend(fields.values().into_iter().map(|item| (item, deeper))),
                _ => {}
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
            Self::Int(_, value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Complex(real, imaginary) => *real != 0.0 || *imaginary != 0.0,
            Self::Text(text) => !text.expose().is_empty(),
            Self::List(_, items) => !items.is_empty(),
            Self::Map(_, fields) => fields.len() > 0,
            Self::Time(_) | Self::Version(_) | Self::KeyPair(_) => true,
        }
    }
}

const MAX_DEPTH: u32 = 60;
const MAX_WEIGHT: u64 = 200_000;
