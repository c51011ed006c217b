//! Values: JSON is borrowed, everything else is shared.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use go_time::GoDuration;
use go_time::Moment;
use jmespath::quantity::Quantity;
use jmespath::semver_range::Version;
use serde_json::Value;

use crate::error::EvalError;
use crate::net::{Cidr, Ip, Url};

/// A value of the language. Copies are cheap: they share or borrow.
#[derive(Clone, Debug)]
pub enum Val<'a> {
    /// `null`.
    Null,
    /// `bool`.
    Bool(bool),
    /// `int`.
    Int(i64),
    /// `uint`.
    Uint(u64),
    /// `double`.
    Double(f64),
    /// `string`.
    Text(Text<'a>),
    /// `bytes`.
    Bytes(Rc<[u8]>),
    /// `list`.
    List(List<'a>),
    /// `map`, and what Kubernetes calls an object.
    Map(Map<'a>),
    /// `google.protobuf.Duration`.
    Duration(GoDuration),
    /// `google.protobuf.Timestamp`.
    Timestamp(Moment),
    /// A type, by its name.
    Type(Rc<str>),
    /// `optional_type`.
    Optional(Option<Rc<Val<'a>>>),
    /// A constructed type, such as `JSONPatch{}` or `Object.spec{}`.
    Struct(Rc<Struct<'a>>),
    /// `kubernetes.Quantity`.
    Quantity(Quantity),
    /// `kubernetes.Semver`.
    Semver(Rc<Version>),
    /// `net.IP`.
    Ip(Ip),
    /// `net.CIDR`.
    Cidr(Cidr),
    /// `kubernetes.URL`.
    Url(Rc<Url>),
    /// `kubernetes.NamedFormat`.
    Format(&'static str),
    /// A value of the host.
    Object(Rc<dyn Object<'a> + 'a>),
}

/// A value whose fields and methods the host implements: `variables`, `resource`, an image.
pub trait Object<'a>: fmt::Debug {
    /// The name of its type, for messages and `type()`.
    fn type_name(&self) -> &str;

    /// The value of a field; `None` when there is no such field.
    fn field(&self, name: &str) -> Option<Result<Val<'a>, EvalError>> {
        let _ = name;
        None
    }

    /// Calls a method; `None` when there is no such method.
    fn call(&self, name: &str, arguments: &[Val<'a>]) -> Option<Result<Val<'a>, EvalError>> {
        let _ = (name, arguments);
        None
    }

    /// Its JSON form, when it has one.
    fn to_json(&self) -> Option<Value> {
        None
    }
}

/// A text, borrowed or shared.
#[derive(Clone)]
pub enum Text<'a> {
    /// Part of the input or of the expression.
    Borrowed(&'a str),
    /// Made during the evaluation.
    Shared(Rc<str>),
}

/// A list, borrowed or shared.
#[derive(Clone, Debug)]
pub enum List<'a> {
    /// A JSON array.
    Json(&'a [Value]),
    /// Made during the evaluation.
    Shared(Rc<Vec<Val<'a>>>),
}

/// A map, borrowed or shared.
#[derive(Clone, Debug)]
pub enum Map<'a> {
    /// A JSON object.
    Json(&'a serde_json::Map<String, Value>),
    /// Made during the evaluation.
    Shared(Rc<BTreeMap<Key<'a>, Val<'a>>>),
}

/// A key of a map. Integers of both signs are one key when they are one number.
#[derive(Clone, Debug)]
pub enum Key<'a> {
    /// `bool`.
    Bool(bool),
    /// `int`.
    Int(i64),
    /// `uint`.
    Uint(u64),
    /// `string`.
    Text(Text<'a>),
}

/// A value of a constructed type.
#[derive(Debug)]
pub struct Struct<'a> {
    /// The name it was constructed by.
    pub type_name: String,
    /// Its fields, as far as they were set.
    pub fields: BTreeMap<String, Val<'a>>,
}

impl Text<'_> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<'a> List<'a> {
    /// How many elements it has.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Json(values) => values.len(),
            Self::Shared(values) => values.len(),
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Val<'a>> {
        match self {
            Self::Json(values) => values.get(index).map(Val::from_json),
            Self::Shared(values) => values.get(index).cloned(),
        }
    }

    /// The elements.
    pub fn iter(&self) -> impl Iterator<Item = Val<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> Map<'a> {
    /// How many entries it has.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Json(map) => map.len(),
            Self::Shared(map) => map.len(),
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a text key.
    #[must_use]
    pub fn get_text(&self, key: &str) -> Option<Val<'a>> {
        match self {
            Self::Json(map) => jmespath::field(map, key).map(Val::from_json),
            Self::Shared(map) => map.get(&Key::Text(Text::Shared(Rc::from(key)))).cloned(),
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &Key<'a>) -> Option<Val<'a>> {
        match (self, key) {
            (Self::Json(_), Key::Text(text)) => self.get_text(text.as_str()),
            (Self::Json(_), _) => None,
            (Self::Shared(map), key) => map.get(key).cloned(),
        }
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> Vec<(Key<'a>, Val<'a>)> {
        match self {
            Self::Json(map) => {
                let entry =
                    |(key, value): (&'a String, &'a Value)| (Key::Text(Text::Borrowed(key)), Val::from_json(value));
                map.iter().map(entry).collect()
            }
            Self::Shared(map) => map.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        }
    }
}

impl Key<'_> {
    fn number(&self) -> Option<i128> {
        match self {
            Self::Int(value) => Some(i128::from(*value)),
            Self::Uint(value) => Some(i128::from(*value)),
            Self::Bool(_) | Self::Text(_) => None,
        }
    }
}

impl<'a> Key<'a> {
    /// The key that `value` makes, if it can be one.
    #[must_use]
    pub fn from_val(value: &Val<'a>) -> Option<Self> {
        Some(match value {
            Val::Bool(flag) => Self::Bool(*flag),
            Val::Int(value) => Self::Int(*value),
            Val::Uint(value) => Self::Uint(*value),
            Val::Text(text) => Self::Text(text.clone()),
            #[expect(clippy::cast_possible_truncation, reason = "whole and in range by the guard")]
            Val::Double(value) if value.fract() == 0.0 && value.abs() < 9.0e18 => Self::Int(*value as i64),
            _ => return None,
        })
    }

    /// The key as a value.
    #[must_use]
    pub fn to_val(&self) -> Val<'a> {
        match self {
            Self::Bool(flag) => Val::Bool(*flag),
            Self::Int(value) => Val::Int(*value),
            Self::Uint(value) => Val::Uint(*value),
            Self::Text(text) => Val::Text(text.clone()),
        }
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Uint(value) => write!(f, "{value}"),
            Self::Text(text) => f.write_str(text.as_str()),
        }
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key<'_> {}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Text(left), Self::Text(right)) => left.as_str().cmp(right.as_str()),
            _ => match (self.number(), other.number()) {
                (Some(left), Some(right)) => left.cmp(&right),
                (Some(_), None) => {
                    if matches!(other, Self::Bool(_)) {
                        Ordering::Greater
                    } else {
                        Ordering::Less
                    }
                }
                (None, Some(_)) => {
                    if matches!(self, Self::Bool(_)) {
                        Ordering::Less
                    } else {
                        Ordering::Greater
                    }
                }
                (None, None) => {
                    if matches!(self, Self::Bool(_)) {
                        Ordering::Less
                    } else {
                        Ordering::Greater
                    }
                }
            },
        }
    }
}

impl<'a> Val<'a> {
    /// A view of a JSON value. Whole numbers are `int`, or `uint` above its range; others are `double`.
    #[must_use]
    pub fn from_json(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Self::Int(value),
                (None, Some(value)) => Self::Uint(value),
                (None, None) => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Self::Text(Text::Borrowed(text)),
            Value::Array(values) => Self::List(List::Json(values)),
            Value::Object(map) => Self::Map(Map::Json(map)),
        }
    }

    /// A JSON value that the result owns, where there is nothing to borrow from.
    #[must_use]
    pub fn from_owned_json(value: Value) -> Self {
        match value {
            Value::Array(values) => Self::list(values.into_iter().map(Val::from_owned_json).collect()),
            Value::Object(map) => {
                let entry = |(key, value): (String, Value)| {
                    (Key::Text(Text::Shared(Rc::from(key))), Val::from_owned_json(value))
                };
                Self::Map(Map::Shared(Rc::new(map.into_iter().map(entry).collect())))
            }
            Value::String(text) => Self::text(text),
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(flag),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Self::Int(value),
                (None, Some(value)) => Self::Uint(value),
                (None, None) => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
        }
    }

    /// A text.
    #[must_use]
    pub fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(Text::Shared(text.into()))
    }

    /// A list.
    #[must_use]
    pub fn list(values: Vec<Self>) -> Self {
        Self::List(List::Shared(Rc::new(values)))
    }

    /// An optional with a value.
    #[must_use]
    pub fn some(value: Self) -> Self {
        Self::Optional(Some(Rc::new(value)))
    }

    /// An empty optional.
    #[must_use]
    pub const fn none() -> Self {
        Self::Optional(None)
    }

    /// A value of the host.
    #[must_use]
    pub fn object(object: impl Object<'a> + 'a) -> Self {
        Self::Object(Rc::new(object))
    }

    /// The text, when it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// The truth value, when it is one.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// The name of its type.
    #[must_use]
    pub fn type_name(&self) -> &str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
            Self::Struct(value) => &value.type_name,
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Semver(_) => "kubernetes.Semver",
            Self::Ip(_) => "net.IP",
            Self::Cidr(_) => "net.CIDR",
            Self::Url(_) => "kubernetes.URL",
            Self::Format(_) => "kubernetes.NamedFormat",
            Self::Object(object) => object.type_name(),
        }
    }

    /// What cel-go calls the type in complaints about loops.
    pub(crate) fn go_type(&self) -> String {
        match self {
            Self::Bool(_) => "types.Bool".to_owned(),
            Self::Int(_) => "types.Int".to_owned(),
            Self::Uint(_) => "types.Uint".to_owned(),
            Self::Double(_) => "types.Double".to_owned(),
            Self::Text(_) => "types.String".to_owned(),
            Self::Bytes(_) => "types.Bytes".to_owned(),
            Self::Null => "types.Null".to_owned(),
            Self::Duration(_) => "types.Duration".to_owned(),
            Self::Timestamp(_) => "types.Timestamp".to_owned(),
            Self::Optional(_) => "*types.Optional".to_owned(),
            other => other.type_name().to_owned(),
        }
    }

    /// The JSON form.
    ///
    /// # Errors
    /// When a value inside has none: a type, a URL, a number that JSON cannot hold.
    pub fn to_json(&self) -> Result<Value, EvalError> {
        Ok(match self {
            Self::Null | Self::Optional(None) => Value::Null,
            Self::Optional(Some(inner)) => inner.to_json()?,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Int(value) => Value::from(*value),
            Self::Uint(value) => Value::from(*value),
            Self::Double(value) => jmespath::number(*value),
            Self::Text(text) => Value::from(text.as_str()),
            Self::Bytes(bytes) => {
                use base64::Engine as _;
                Value::from(base64::engine::general_purpose::STANDARD.encode(bytes))
            }
            Self::List(List::Json(values)) => Value::Array(values.to_vec()),
            Self::List(List::Shared(values)) => {
                Value::Array(values.iter().map(Val::to_json).collect::<Result<_, _>>()?)
            }
            Self::Map(Map::Json(map)) => Value::Object((*map).clone()),
            Self::Map(Map::Shared(map)) => {
                let entry = |(key, value): (&Key<'a>, &Val<'a>)| Ok((key.to_string(), value.to_json()?));
                Value::Object(map.iter().map(entry).collect::<Result<_, EvalError>>()?)
            }
            Self::Struct(value) => {
                let entry = |(key, value): (&String, &Val<'a>)| Ok((key.clone(), value.to_json()?));
                Value::Object(value.fields.iter().map(entry).collect::<Result<_, EvalError>>()?)
            }
            Self::Duration(duration) => Value::from(crate::text::duration(*duration)),
            Self::Timestamp(moment) => Value::from(crate::text::timestamp(*moment)),
            Self::Quantity(quantity) => Value::from(quantity.to_string()),
            Self::Object(object) => object.to_json().ok_or_else(|| self.no_json())?,
            Self::Type(_) | Self::Semver(_) | Self::Ip(_) | Self::Cidr(_) | Self::Url(_) | Self::Format(_) => {
                return Err(self.no_json());
            }
        })
    }

    fn no_json(&self) -> EvalError {
        EvalError::refused(format!("type conversion error from '{}' to JSON", self.type_name()))
    }

    /// Equality: numbers by value, containers element by element, false across types.
    #[must_use]
    pub fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) | (Self::Optional(None), Self::Optional(None)) => true,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::Text(left), Self::Text(right)) => left.as_str() == right.as_str(),
            (Self::Int(_) | Self::Uint(_) | Self::Double(_), Self::Int(_) | Self::Uint(_) | Self::Double(_)) => {
                compare_numbers(self, other) == Some(Ordering::Equal)
            }
            (Self::Bytes(left), Self::Bytes(right)) => left == right,
            (Self::List(left), Self::List(right)) => {
                left.len() == right.len() && left.iter().zip(right.iter()).all(|(left, right)| left.equals(&right))
            }
            (Self::Map(left), Self::Map(right)) => {
                left.len() == right.len()
                    && left
                        .entries()
                        .iter()
                        .all(|(key, value)| right.get(key).is_some_and(|other| value.equals(&other)))
            }
            (Self::Struct(left), Self::Struct(right)) => {
                left.type_name == right.type_name
                    && left.fields.len() == right.fields.len()
                    && left
                        .fields
                        .iter()
                        .all(|(key, value)| right.fields.get(key).is_some_and(|other| value.equals(other)))
            }
            (Self::Optional(Some(left)), Self::Optional(Some(right))) => left.equals(right),
            (Self::Duration(left), Self::Duration(right)) => left == right,
            (Self::Timestamp(left), Self::Timestamp(right)) => left.as_nanos() == right.as_nanos(),
            (Self::Type(left), Self::Type(right)) => left == right,
            (Self::Quantity(left), Self::Quantity(right)) => left == right,
            (Self::Semver(left), Self::Semver(right)) => left == right,
            (Self::Ip(left), Self::Ip(right)) => left == right,
            (Self::Cidr(left), Self::Cidr(right)) => left == right,
            (Self::Url(left), Self::Url(right)) => left == right,
            (Self::Format(left), Self::Format(right)) => left == right,
            (Self::Object(left), Self::Object(right)) => Rc::ptr_eq(left, right),
            _ => false,
        }
    }

    /// Order of two values of comparable types; `None` for others, and for NaN.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => Some(left.cmp(right)),
            (Self::Text(left), Self::Text(right)) => Some(left.as_str().cmp(right.as_str())),
            (Self::Bytes(left), Self::Bytes(right)) => Some(left.cmp(right)),
            (Self::Duration(left), Self::Duration(right)) => Some(left.cmp(right)),
            (Self::Timestamp(left), Self::Timestamp(right)) => Some(left.as_nanos().cmp(&right.as_nanos())),
            _ => compare_numbers(self, other),
        }
    }
}

/// Order of numbers across `int`, `uint` and `double`, exactly.
fn compare_numbers(left: &Val<'_>, right: &Val<'_>) -> Option<Ordering> {
    let whole = |value: &Val<'_>| match value {
        Val::Int(value) => Some(i128::from(*value)),
        Val::Uint(value) => Some(i128::from(*value)),
        _ => None,
    };
    match (left, right) {
        (Val::Double(left), Val::Double(right)) => left.partial_cmp(right),
        (Val::Double(float), other) => compare_float(*float, whole(other)?),
        (other, Val::Double(float)) => compare_float(*float, whole(other)?).map(Ordering::reverse),
        _ => Some(whole(left)?.cmp(&whole(right)?)),
    }
}

fn compare_float(float: f64, whole: i128) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    // Casts saturate far outside the range of 64-bit integers, which keeps the order right.
    #[expect(clippy::cast_possible_truncation, reason = "saturates, see above")]
    let truncated = float.trunc() as i128;
    Some(truncated.cmp(&whole).then_with(|| float.fract().partial_cmp(&0.0).unwrap_or(Ordering::Equal)))
}
