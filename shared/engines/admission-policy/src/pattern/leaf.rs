//! Scalar patterns: `!x`, `>= 1Gi`, `10-20`, `a* | b & c`, and plain values.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use crate::value::{Duration, Quantity, go_text, wildcard};

/// The operator that a text pattern begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    More,
    Less,
    MoreEqual,
    LessEqual,
    InRange,
    NotInRange,
}

impl Operator {
    /// How many bytes it takes at the front.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::NotEqual | Self::More | Self::Less => 1,
            Self::MoreEqual | Self::LessEqual => 2,
            Self::Equal | Self::InRange | Self::NotInRange => 0,
        }
    }

    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::More => ordering.is_gt(),
            Self::Less => ordering.is_lt(),
            Self::MoreEqual => ordering.is_ge(),
            Self::LessEqual => ordering.is_le(),
            Self::InRange | Self::NotInRange => false,
        }
    }
}

/// The operator of a text pattern.
pub(crate) fn operator_of(pattern: &str) -> Operator {
    if pattern.len() < 2 {
        return Operator::Equal;
    }
    let prefixes = [
        (">=", Operator::MoreEqual),
        ("<=", Operator::LessEqual),
        (">", Operator::More),
        ("<", Operator::Less),
        ("!", Operator::NotEqual),
    ];
    if let Some((_, operator)) = prefixes.iter().find(|(prefix, _)| pattern.starts_with(prefix)) {
        return *operator;
    }
    if range(pattern, "!-").is_some() {
        return Operator::NotInRange;
    }
    if range(pattern, "-").is_some() { Operator::InRange } else { Operator::Equal }
}

/// Splits `10Mi-20Mi` at `separator`; both ends begin with a digit and hold no other dash.
fn range<'a>(pattern: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    if !pattern.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (low, high) = pattern.split_once(separator)?;
    let fits = !low.contains('-') && !high.contains('-') && high.starts_with(|c: char| c.is_ascii_digit());
    fits.then_some((low, high))
}

/// A compiled text pattern: alternatives of conjunctions.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    raw: String,
    alternatives: Vec<Vec<Comparison>>,
}

#[derive(Clone, Debug)]
enum Comparison {
    One(Operand),
    /// Both hold.
    Within(Operand, Operand),
    /// One of them holds.
    Outside(Operand, Operand),
}

#[derive(Clone, Debug)]
struct Operand {
    operator: Operator,
    text: String,
    duration: Option<Duration>,
    quantity: Option<Quantity>,
}

impl Text {
    /// Compiles a text pattern; every text is one.
    pub(crate) fn compile(raw: &str) -> Self {
        let conjunction =
            |part: &str| part.trim_matches(' ').split('&').map(|one| comparison(one.trim_matches(' '))).collect();
        Self { raw: raw.to_owned(), alternatives: raw.split('|').map(conjunction).collect() }
    }

    /// The pattern as written.
    pub(crate) fn raw(&self) -> &str {
        &self.raw
    }

    /// Whether `value` fits.
    pub(crate) fn matches(&self, value: &Value) -> bool {
        if value.as_str() == Some(self.raw.as_str()) {
            return true;
        }
        let subject = Subject::new(value);
        self.alternatives.iter().any(|all| all.iter().all(|comparison| comparison.holds(&subject)))
    }
}

/// Whether `value` fits the text pattern `raw`.
pub(crate) fn matches_text(raw: &str, value: &Value) -> bool {
    Text::compile(raw).matches(value)
}

fn comparison(text: &str) -> Comparison {
    match operator_of(text) {
        Operator::InRange => {
            let (low, high) = text.split_once('-').unwrap_or((text, ""));
            Comparison::Within(operand(Operator::MoreEqual, low), operand(Operator::LessEqual, high))
        }
        Operator::NotInRange => {
            let (low, high) = text.split_once("!-").unwrap_or((text, ""));
            Comparison::Outside(operand(Operator::Less, low), operand(Operator::More, high))
        }
        operator => Comparison::One(operand(operator, text.get(operator.width()..).unwrap_or_default())),
    }
}

fn operand(operator: Operator, text: &str) -> Operand {
    let text = text.trim().to_owned();
    Operand { operator, duration: Duration::of(&text), quantity: Quantity::parse(&text).ok(), text }
}

impl Comparison {
    fn holds(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::One(operand) => operand.holds(subject),
            Self::Within(low, high) => low.holds(subject) && high.holds(subject),
            Self::Outside(low, high) => low.holds(subject) || high.holds(subject),
        }
    }
}

impl Operand {
    /// Duration, then quantity, then text: one success is enough.
    fn holds(&self, subject: &Subject<'_>) -> bool {
        let by_duration = || Some(self.operator.holds(subject.duration()?.cmp(&self.duration?)));
        let by_quantity = || Some(self.operator.holds(subject.quantity()?.cmp(&self.quantity?)));
        by_duration().unwrap_or(false) || by_quantity().unwrap_or(false) || self.holds_as_text(subject.value)
    }

    fn holds_as_text(&self, value: &Value) -> bool {
        if !matches!(self.operator, Operator::Equal | Operator::NotEqual) {
            return false;
        }
        let matched = match value {
            Value::String(text) => wildcard::matches(&self.text, text),
            Value::Bool(flag) => wildcard::matches(&self.text, if *flag { "true" } else { "false" }),
            Value::Number(number) => wildcard::matches(&self.text, &exact_text(number)),
            Value::Null | Value::Array(_) | Value::Object(_) => return false,
        };
        matched == (self.operator == Operator::Equal)
    }
}

fn exact_text(number: &Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() => go_text::exponent_text(value, 'E'),
        _ => number.to_string(),
    }
}

/// A resource value, read as a number text only when a comparison asks.
struct Subject<'a> {
    value: &'a Value,
}

impl<'a> Subject<'a> {
    fn new(value: &'a Value) -> Self {
        Self { value }
    }

    fn with_text<T>(&self, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        match self.value {
            Value::Null => read("0"),
            Value::String(text) => read(text),
            Value::Number(number) if number.is_f64() => read(&format!("{:.6}", number.as_f64()?)),
            Value::Number(number) => read(&number.to_string()),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn duration(&self) -> Option<Duration> {
        self.with_text(Duration::of)
    }

    fn quantity(&self) -> Option<Quantity> {
        self.with_text(|text| Quantity::parse(text).ok())
    }
}

/// A number pattern against `value`.
pub(crate) fn number_matches(pattern: &Number, value: &Value) -> bool {
    let same = |left: &Number, right: &Number| match (left.as_i64(), right.as_i64()) {
        (Some(left), Some(right)) => left == right,
        _ => left.as_f64() == right.as_f64(),
    };
    match value {
        Value::Number(number) => same(number, pattern),
        Value::String(text) if pattern.is_f64() => text.parse::<f64>().ok() == pattern.as_f64(),
        Value::String(text) => text.parse::<i64>().is_ok_and(|value| Some(value) == pattern.as_i64()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

/// The `null` pattern: the empty value of any scalar type.
pub(crate) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}
