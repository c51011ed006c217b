//! Evaluation of a compiled condition on one event.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::ast::Operator;
use crate::compile::{Against, Constant, Node, Source, Test, Transform};
use crate::fields::Field;

/// What an event gives for a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text: any bytes.
    Text(Cow<'a, [u8]>),
    /// Whole number.
    Number(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// Address.
    Address(IpAddr),
    /// Any of several: all ancestors of `proc.aname`, both ends of `fd.ip`. A comparison holds when it holds for one; `!=` when it
    /// holds for all.
    Any(Vec<Value<'a>>),
    /// A list-valued field.
    List(Vec<Value<'a>>),
}

impl<'a> Value<'a> {
    /// A text.
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text.as_bytes()))
    }

    /// A text that was made for this call.
    #[must_use]
    pub fn owned(text: String) -> Self {
        Self::Text(Cow::Owned(text.into_bytes()))
    }
}

/// An event, from which fields are computed on demand.
pub trait Event {
    /// Its type, as `evt.type` compares it: `openat`, `execve`, ...
    fn event_type(&self) -> &str;

    /// The value of a field; `None` when it has none.
    fn field(&self, field: &Field) -> Option<Value<'_>>;
}

impl Node {
    /// Whether the condition holds.
    pub(crate) fn holds(&self, event: &dyn Event) -> bool {
        match self {
            Self::And(children) => children.iter().all(|child| child.holds(event)),
            Self::Or(children) => children.iter().any(|child| child.holds(event)),
            Self::Not(child) => !child.holds(event),
            Self::Exists(source) => source.value(event).is_some(),
            Self::Test(test) => test.holds(event),
        }
    }
}

impl Source {
    /// The value, when there is one.
    pub(crate) fn value<'a>(&'a self, event: &'a dyn Event) -> Option<Value<'a>> {
        match self {
            Self::Field(field) => event.field(field),
            Self::Text(text) => Some(Value::text(text)),
            Self::Transform(transform, sources) => transform.apply(sources, event),
        }
    }
}

impl Transform {
    fn apply<'a>(self, sources: &'a [Source], event: &'a dyn Event) -> Option<Value<'a>> {
        if matches!(self, Self::Concat | Self::Join) {
            let parts: Option<Vec<Vec<u8>>> =
                sources.iter().map(|source| source.value(event).map(|value| bytes(&value).into_owned())).collect();
            let mut parts = parts?;
            let separator = if self == Self::Join && !parts.is_empty() { parts.remove(0) } else { Vec::new() };
            return Some(Value::Text(Cow::Owned(parts.join(separator.as_slice()))));
        }
        let value = sources.first()?.value(event)?;
        if self == Self::Length {
            let length = match &value {
                Value::List(items) => items.len(),
                other => bytes(other).len(),
            };
            return i64::try_from(length).ok().map(Value::Number);
        }
        let text = bytes(&value);
        let changed = match self {
            Self::Lower => text.to_ascii_lowercase(),
            Self::Upper => text.to_ascii_uppercase(),
            Self::Basename => text.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec(),
            Self::Base64 => base64(&text)?,
            Self::Length | Self::Concat | Self::Join => return None,
        };
        Some(Value::Text(Cow::Owned(changed)))
    }
}

impl Test {
    fn holds(&self, event: &dyn Event) -> bool {
        let Some(left) = self.left.value(event) else { return false };
        match &self.right {
            Against::Source(source) => {
                let Some(right) = source.value(event) else { return false };
                let text = bytes(&right).into_owned();
                let number = if let Value::Number(number) = right { Some(number) } else { None };
                let constant = Constant { text, number, network: None, pattern: None };
                any(&left, self.operator, &|value| one(self.operator, value, &constant))
            }
            Against::Constants { constants, texts, all } => match self.operator {
                Operator::In | Operator::Intersects => self.set(&left, constants, texts),
                Operator::PMatch => {
                    any(&left, self.operator, &|value| texts.iter().any(|prefix| is_below(&bytes(value), prefix)))
                }
                operator if *all => {
                    constants.iter().all(|constant| any(&left, operator, &|value| one(operator, value, constant)))
                }
                operator => {
                    constants.iter().any(|constant| any(&left, operator, &|value| one(operator, value, constant)))
                }
            },
        }
    }

    fn set(&self, left: &Value<'_>, constants: &[Constant], texts: &std::collections::BTreeSet<Vec<u8>>) -> bool {
        let is_in = |value: &Value<'_>| match value {
            Value::Text(text) => texts.contains(text.as_ref()),
            other => constants.iter().any(|constant| one(Operator::Equal, other, constant)),
        };
        match left {
            Value::List(items) if self.operator == Operator::In => !items.is_empty() && items.iter().all(is_in),
            Value::List(items) | Value::Any(items) => items.iter().any(is_in),
            value => is_in(value),
        }
    }
}

/// A comparison with several values holds when it holds for one of them; `!=` must hold for all.
fn any(value: &Value<'_>, operator: Operator, test: &dyn Fn(&Value<'_>) -> bool) -> bool {
    match value {
        Value::Any(items) | Value::List(items) if operator == Operator::NotEqual => {
            !items.is_empty() && items.iter().all(test)
        }
        Value::Any(items) | Value::List(items) => items.iter().any(test),
        value => test(value),
    }
}

fn one(operator: Operator, value: &Value<'_>, constant: &Constant) -> bool {
    let wanted = constant.text.as_slice();
    match operator {
        Operator::Equal => is_equal(value, constant),
        Operator::NotEqual => !is_equal(value, constant),
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            let (Value::Number(number), Some(bound)) = (value, constant.number) else { return false };
            match operator {
                Operator::Less => *number < bound,
                Operator::LessOrEqual => *number <= bound,
                Operator::Greater => *number > bound,
                _ => *number >= bound,
            }
        }
        Operator::Contains | Operator::BContains => memchr::memmem::find(&bytes(value), wanted).is_some(),
        Operator::IContains => memchr::memmem::find(&bytes(value).to_ascii_lowercase(), wanted).is_some(),
        Operator::StartsWith | Operator::BStartsWith => bytes(value).starts_with(wanted),
        Operator::EndsWith => bytes(value).ends_with(wanted),
        Operator::Glob | Operator::IGlob | Operator::Regex => {
            constant.pattern.as_ref().is_some_and(|pattern| pattern.is_match(&bytes(value)))
        }
        Operator::In | Operator::Intersects => is_equal(value, constant),
        Operator::PMatch => is_below(&bytes(value), wanted),
    }
}

fn is_equal(value: &Value<'_>, constant: &Constant) -> bool {
    match value {
        Value::Number(number) => constant.number == Some(*number),
        Value::Boolean(boolean) => constant.text == boolean.to_string().as_bytes(),
        Value::Address(address) => constant.network.is_some_and(|network| network.contains(address)),
        Value::Text(text) => text.as_ref() == constant.text.as_slice(),
        Value::Any(_) | Value::List(_) => false,
    }
}

/// Whether `path` is `prefix` or lies below it; a component of the prefix may be a shell pattern.
fn is_below(path: &[u8], prefix: &[u8]) -> bool {
    let mut parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
    let mut wanted = prefix.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
    wanted.all(|wanted| parts.next().is_some_and(|part| part == wanted || wildcard(wanted, part)))
}

/// `*` and `?` in one path component, without recursion.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || text.get(t) == Some(byte) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                p = at + 1;
                t = from + 1;
                star = Some((at, t));
            }
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

/// A value as text, as outputs print it.
pub(crate) fn bytes<'a>(value: &'a Value<'_>) -> Cow<'a, [u8]> {
    match value {
        Value::Text(text) => Cow::Borrowed(text.as_ref()),
        Value::Number(number) => Cow::Owned(number.to_string().into_bytes()),
        Value::Boolean(boolean) => Cow::Owned(boolean.to_string().into_bytes()),
        Value::Address(address) => Cow::Owned(address.to_string().into_bytes()),
        Value::Any(items) | Value::List(items) => {
            let parts: Vec<Vec<u8>> = items.iter().map(|item| bytes(item).into_owned()).collect();
            Cow::Owned([b"(".as_slice(), &parts.join(b",".as_slice()), b")"].concat())
        }
    }
}

/// Decodes base64 (RFC 4648, section 4), padding optional.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for byte in text.iter().filter(|byte| **byte != b'=') {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    Some(out)
}
