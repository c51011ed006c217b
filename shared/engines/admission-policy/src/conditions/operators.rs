//! The operators of conditions, with the conversions between types that policies rely on.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use crate::pattern::{Operator as PatternOperator, matches_text, operator_of};
use crate::value::{Duration, Quantity, Version, go_text, wildcard};

/// An operator of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConditionOperator {
    Equals,
    NotEquals,
    AnyIn,
    AllIn,
    AnyNotIn,
    AllNotIn,
    Numeric(Comparison),
    Duration(Comparison),
}

/// An ordering that an operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
        }
    }

    fn floats(self, key: f64, value: f64) -> bool {
        key.partial_cmp(&value).is_some_and(|ordering| self.holds(ordering))
    }
}

impl ConditionOperator {
    /// Reads the operator's word, whatever its letter case.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        let lower = word.to_ascii_lowercase();
        let comparison = |word: &str| {
            Some(match word {
                "greaterthan" => Comparison::Greater,
                "greaterthanorequals" => Comparison::GreaterOrEqual,
                "lessthan" => Comparison::Less,
                "lessthanorequals" => Comparison::LessOrEqual,
                _ => return None,
            })
        };
        Some(match lower.as_str() {
            "equal" | "equals" => Self::Equals,
            "notequal" | "notequals" => Self::NotEquals,
            "anyin" => Self::AnyIn,
            "allin" | "in" => Self::AllIn,
            "anynotin" => Self::AnyNotIn,
            "allnotin" | "notin" => Self::AllNotIn,
            other => match other.strip_prefix("duration") {
                Some(rest) => Self::Duration(comparison(rest)?),
                None => Self::Numeric(comparison(other)?),
            },
        })
    }

    /// Whether `key` stands in this relation to `value`.
    pub(crate) fn holds(self, key: &Value, value: &Value) -> bool {
        match self {
            Self::Equals => equals(key, value).unwrap_or(false),
            Self::NotEquals => not_equals(key, value),
            Self::AnyIn => is_in(key, value, Quantifier::Any, false),
            Self::AllIn => is_in(key, value, Quantifier::All, false),
            Self::AnyNotIn => is_in(key, value, Quantifier::Any, true),
            Self::AllNotIn => is_in(key, value, Quantifier::All, true),
            Self::Numeric(comparison) => numeric(comparison, key, value).unwrap_or(false),
            Self::Duration(comparison) => durations(comparison, key, value).unwrap_or(false),
        }
    }
}

/// `None` when the types cannot be compared.
fn equals(key: &Value, value: &Value) -> Option<bool> {
    match (key, value) {
        (Value::Bool(key), Value::Bool(value)) => Some(key == value),
        (Value::Number(_), Value::Number(_)) => Some(key.as_f64() == value.as_f64()),
        (Value::Number(number), Value::String(text)) if number.is_f64() => {
            Some(text.parse::<f64>().ok()? == number.as_f64()?)
        }
        (Value::Number(number), Value::String(text)) => Some(text.parse::<i64>().ok()? == number.as_i64()?),
        (Value::String(text), _) => text_equals(text, key, value),
        (Value::Object(_), Value::Object(_)) | (Value::Array(_), Value::Array(_)) => Some(same(key, value)),
        _ => None,
    }
}

fn text_equals(text: &str, key: &Value, value: &Value) -> Option<bool> {
    if let Some((key, value)) = duration_pair(key, value) {
        return Some(key == value);
    }
    let other = value.as_str()?;
    if let Ok(quantity) = Quantity::parse(text) {
        return Some(quantity == Quantity::parse(other).ok()?);
    }
    Some(wildcard::matches(other, text))
}

/// Not just the opposite of [`equals`]: what cannot be compared differs, except where Kyverno refuses to say.
fn not_equals(key: &Value, value: &Value) -> bool {
    match (key, value) {
        (Value::Null, _) => false,
        (Value::Number(key), Value::Number(value)) if !key.is_f64() && value.is_f64() => {
            value.as_f64().is_some_and(|value| value.fract() == 0.0 && key.as_f64() != Some(value))
        }
        (Value::String(text), Value::String(other))
            if !other.is_empty()
                && duration_pair(key, value).is_none()
                && Quantity::parse(text).is_ok()
                && Quantity::parse(other).is_err() =>
        {
            false
        }
        _ => !equals(key, value).unwrap_or(false),
    }
}

/// Deep equality where `1` and `1.0` are one number.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(_), Value::Number(_)) => left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| same(left, right)))
        }
        _ => left == right,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    Any,
    All,
}

/// Membership. A text value may be one pattern, a range, or a JSON list; items match as wildcards both ways.
fn is_in(key: &Value, value: &Value, quantifier: Quantifier, negated: bool) -> bool {
    let (keys, single): (Vec<Cow<'_, str>>, bool) = match key {
        Value::Array(items) => (items.iter().map(go_text::sprint).collect(), false),
        Value::String(_) | Value::Number(_) | Value::Bool(_) => (vec![go_text::sprint(key)], true),
        Value::Null | Value::Object(_) => return false,
    };
    let Some(found) = membership(value, single) else { return false };
    if let Members::Scalar(text) = found {
        // JSON of another type is no list of texts: only the text itself can match, and nothing is "not in" it.
        return !negated
            && matches!(keys.as_slice(), [key] if if single { wildcard::matches(text, key) } else { key == text });
    }
    let mut hits = keys.iter().map(|key| found.contains(key) != negated);
    match quantifier {
        Quantifier::Any => hits.any(|hit| hit),
        Quantifier::All => hits.all(|hit| hit),
    }
}

enum Members<'a> {
    List(Vec<Cow<'a, str>>),
    Range(&'a Value),
    Scalar(&'a str),
}

impl Members<'_> {
    fn contains(&self, key: &str) -> bool {
        match self {
            Self::List(items) => items.iter().any(|item| wildcard::matches(item, key) || wildcard::matches(key, item)),
            Self::Scalar(text) => *text == key,
            Self::Range(range) => range.as_str().is_some_and(|range| matches_text(range, &Value::from(key))),
        }
    }
}

fn membership(value: &Value, single: bool) -> Option<Members<'_>> {
    match value {
        Value::Array(items) => Some(Members::List(items.iter().map(go_text::sprint).collect())),
        Value::Number(_) if !single => Some(Members::List(vec![go_text::sprint(value)])),
        Value::String(text) => {
            if operator_of(text) == PatternOperator::InRange {
                return Some(Members::Range(value));
            }
            if !may_be_json(text) {
                return Some(Members::List(vec![Cow::Borrowed(text)]));
            }
            match serde_json::from_str::<Value>(text) {
                Ok(Value::Array(items)) if items.iter().all(Value::is_string) => {
                    let owned = |item: Value| item.as_str().map(|text| Cow::Owned(text.to_owned()));
                    Some(Members::List(items.into_iter().filter_map(owned).collect()))
                }
                Ok(_) => Some(Members::Scalar(text)),
                Err(_) => Some(Members::List(vec![Cow::Borrowed(text)])),
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// Whether `text` begins as JSON does.
fn may_be_json(text: &str) -> bool {
    let first = text.trim_start_matches([' ', '\t', '\n', '\r']).as_bytes().first();
    first.is_some_and(|first| matches!(first, b'[' | b'{' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'))
}

/// Both sides in nanoseconds, when at least one is a duration text and the other can be read as seconds.
fn duration_pair(key: &Value, value: &Value) -> Option<(Duration, Duration)> {
    let text = |side: &Value| side.as_str().filter(|text| *text != "0").and_then(Duration::of);
    #[expect(clippy::cast_possible_truncation, reason = "Go converts the same way")]
    let seconds = |side: &Value| {
        let number = side.as_i64().or_else(|| side.as_f64().map(|number| number as i64))?;
        number.checked_mul(1_000_000_000).map(Duration::from_nanos)
    };
    match (text(key), text(value)) {
        (None, None) => None,
        (Some(key), Some(value)) => Some((key, value)),
        (Some(key), None) => Some((key, seconds(value)?)),
        (None, Some(value)) => Some((seconds(key)?, value)),
    }
}

fn numeric(comparison: Comparison, key: &Value, value: &Value) -> Option<bool> {
    if let Some((key, value)) = duration_pair(key, value) {
        return Some(comparison.holds(key.cmp(&value)));
    }
    if let (Some(key), Some(value)) = (key.as_str(), value.as_str()) {
        if let (Ok(key), Ok(value)) = (Quantity::parse(key), Quantity::parse(value)) {
            return Some(comparison.holds(key.cmp(&value)));
        }
        if let Ok(key) = key.parse::<f64>() {
            return Some(comparison.floats(key, value.parse().ok()?));
        }
        let (key, value) = (Version::parse(key).ok()?, Version::parse(value).ok()?);
        return Some(comparison.holds(key.precedence(&value)));
    }
    let number = |side: &Value| match side {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    Some(comparison.floats(number(key)?, number(value)?))
}

fn durations(comparison: Comparison, key: &Value, value: &Value) -> Option<bool> {
    let read = |side: &Value| match side {
        Value::Number(_) => Some(Duration::from_seconds(side.as_f64()?.trunc())),
        Value::String(text) => Duration::of(text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    Some(comparison.holds(read(key)?.cmp(&read(value)?)))
}
