//! Filters: comparisons of paths and literals, joined by `&&`, `||`, `!` and brackets.

use serde_json::Value;

use super::parse::Reader;
use super::{PathError, Step, evaluate};

/// What a filter asks of each value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expression {
    Any(Vec<Expression>),
    All(Vec<Expression>),
    Not(Box<Expression>),
    Compare(Operand, Comparison, Operand),
    /// The value is there, and is not false, zero, empty or null.
    Holds(Operand),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand {
    Literal(Value),
    /// A path from the value that is asked about.
    Current(Vec<Step>),
    /// A path from the root.
    Root(Vec<Step>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Unequal,
    LessOrEqual,
    GreaterOrEqual,
    Less,
    Greater,
    Matches,
}

const COMPARISONS: [(&str, Comparison); 7] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::Unequal),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("=~", Comparison::Matches),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

pub(super) fn read(reader: &mut Reader<'_>) -> Result<Expression, PathError> {
    let joined = list(reader, "||", |reader| Ok(one(list(reader, "&&", term)?, Expression::All)))?;
    Ok(one(joined, Expression::Any))
}

fn one(mut list: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    match list.pop() {
        Some(only) if list.is_empty() => only,
        last => {
            list.extend(last);
            join(list)
        }
    }
}

fn list(
    reader: &mut Reader<'_>,
    separator: &str,
    mut next: impl FnMut(&mut Reader<'_>) -> Result<Expression, PathError>,
) -> Result<Vec<Expression>, PathError> {
    let mut list = vec![next(reader)?];
    loop {
        reader.spaces();
        if !reader.eat(separator) {
            return Ok(list);
        }
        list.push(next(reader)?);
    }
}

fn term(reader: &mut Reader<'_>) -> Result<Expression, PathError> {
    reader.spaces();
    if reader.rest().starts_with('!') && !reader.rest().starts_with("!=") {
        reader.eat("!");
        return Ok(Expression::Not(Box::new(reader.deeper(term)?)));
    }
    if reader.eat("(") {
        let inside = reader.deeper(read)?;
        reader.spaces();
        return if reader.eat(")") { Ok(inside) } else { Err(reader.wrong("a parenthesis is not closed")) };
    }
    let left = operand(reader)?;
    reader.spaces();
    let Some((_, comparison)) = COMPARISONS.iter().find(|(token, _)| reader.eat(token)) else {
        return Ok(Expression::Holds(left));
    };
    reader.spaces();
    Ok(Expression::Compare(left, *comparison, operand(reader)?))
}

fn operand(reader: &mut Reader<'_>) -> Result<Operand, PathError> {
    if reader.eat("@") {
        return Ok(Operand::Current(reader.deeper(Reader::steps)?));
    }
    if reader.eat("$") {
        return Ok(Operand::Root(reader.deeper(Reader::steps)?));
    }
    if reader.rest().starts_with(['"', '\'']) {
        return Ok(Operand::Literal(Value::String(reader.quoted()?)));
    }
    for (word, value) in
        [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null), ("nil", Value::Null)]
    {
        if reader.eat(word) {
            return Ok(Operand::Literal(value));
        }
    }
    let number = reader.number().ok_or_else(|| reader.wrong("a path or a literal is missing"))?;
    Ok(Operand::Literal(Value::Number(number)))
}

impl Expression {
    pub(super) fn holds(&self, current: &Value, root: &Value) -> bool {
        match self {
            Self::Any(list) => list.iter().any(|inside| inside.holds(current, root)),
            Self::All(list) => list.iter().all(|inside| inside.holds(current, root)),
            Self::Not(inside) => !inside.holds(current, root),
            Self::Holds(operand) => operand.value(current, root).is_some_and(|value| is_true(&value)),
            Self::Compare(left, comparison, right) => {
                let (left, right) = (left.value(current, root), right.value(current, root));
                left.zip(right).is_some_and(|(left, right)| compare(&left, *comparison, &right))
            }
        }
    }
}

impl Operand {
    fn value(&self, current: &Value, root: &Value) -> Option<Value> {
        match self {
            Self::Literal(value) => Some(value.clone()),
            Self::Current(steps) => evaluate::find(steps, current, root).ok(),
            Self::Root(steps) => evaluate::find(steps, root, root).ok(),
        }
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(holds) => *holds,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(_) => true,
    }
}

fn compare(left: &Value, comparison: Comparison, right: &Value) -> bool {
    let order = match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.as_str().cmp(right)),
        _ => left.as_f64().zip(right.as_f64()).and_then(|(left, right)| left.partial_cmp(&right)),
    };
    let is_equal = order.map_or_else(|| left == right, std::cmp::Ordering::is_eq);
    match comparison {
        Comparison::Equal => is_equal,
        Comparison::Unequal => !is_equal,
        Comparison::Less => order.is_some_and(std::cmp::Ordering::is_lt),
        Comparison::LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
        Comparison::Greater => order.is_some_and(std::cmp::Ordering::is_gt),
        Comparison::GreaterOrEqual => order.is_some_and(std::cmp::Ordering::is_ge),
        Comparison::Matches => {
            let pattern =
                right.as_str().and_then(|text| regex::RegexBuilder::new(text).size_limit(1 << 20).build().ok());
            pattern.zip(left.as_str()).is_some_and(|(pattern, text)| pattern.is_match(text))
        }
    }
}
