//! The syntax tree of an expression.

use regex::Regex;
use serde_json::Value;

use crate::functions::Function;

/// One node; children are boxed, and no tree is deeper than the compiler's limit.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// The value at hand: `@`, and the silent left side of `[0]`.
    Current,
    /// A key of the object at hand.
    Field(String),
    /// `a.b.c`: keys of one object after the other, at least two.
    Path(Vec<String>),
    /// `left.right` and `left[0]`: right on the result of left.
    Sub(Box<Node>, Box<Node>),
    /// `[n]`, negative from the end.
    Index(i64),
    /// `[start:stop:step]`.
    Slice(Option<i64>, Option<i64>, Option<i64>),
    /// `left[*].right` and `left[a:b].right`.
    Projection(Box<Node>, Box<Node>),
    /// `left.*.right`.
    ValueProjection(Box<Node>, Box<Node>),
    /// `left[?condition].right`.
    Filter(Box<Filter>),
    /// `left[]`.
    Flatten(Box<Node>),
    /// A comparison.
    Compare(Comparison, Box<Node>, Box<Node>),
    /// `a || b`.
    Or(Box<Node>, Box<Node>),
    /// `a && b`.
    And(Box<Node>, Box<Node>),
    /// `!a`.
    Not(Box<Node>),
    /// `a | b`.
    Pipe(Box<Node>, Box<Node>),
    /// `[a, b]`.
    List(Vec<Node>),
    /// `{a: b}`.
    Hash(Vec<(String, Node)>),
    /// A JSON literal or a raw string.
    Literal(Value),
    /// A text that comes with each search, by its number.
    Given(usize),
    /// `&a`.
    Reference(Box<Node>),
    /// `name(a, b)`.
    Call(Box<Call>),
}

impl Node {
    /// Collects the keys that the node asks of its input; false when it is about the input as a whole.
    pub(crate) fn keys<'n>(&'n self, keys: &mut Vec<&'n str>) -> bool {
        match self {
            Self::Current => return false,
            Self::Field(key) => keys.push(key),
            Self::Path(path) => keys.extend(path.first().map(String::as_str)),
            // On an object these are null, whatever it holds.
            Self::Index(_) | Self::Slice(..) => {}
            Self::Literal(_) | Self::Given(_) | Self::Reference(_) => {}
            // What stands on the right is about what came of the left.
            Self::Sub(left, _) | Self::Pipe(left, _) | Self::Projection(left, _) | Self::ValueProjection(left, _) => {
                return left.keys(keys);
            }
            Self::Filter(filter) => return filter.left.keys(keys),
            Self::Flatten(inner) | Self::Not(inner) => return inner.keys(keys),
            Self::Compare(_, left, right) | Self::Or(left, right) | Self::And(left, right) => {
                return left.keys(keys) && right.keys(keys);
            }
            Self::List(nodes) => return nodes.iter().all(|node| node.keys(keys)),
            Self::Hash(pairs) => return pairs.iter().all(|(_, node)| node.keys(keys)),
            Self::Call(call) => return call.arguments.iter().all(|argument| argument.keys(keys)),
        }
        true
    }

    /// Makes a [given](Self::Given) text of each literal one for which `is_given` holds, and puts the literal behind `taken`.
    pub(crate) fn give(&mut self, is_given: &dyn Fn(&str) -> bool, taken: &mut Vec<String>) {
        match self {
            Self::Current | Self::Field(_) | Self::Path(_) | Self::Index(_) | Self::Slice(..) | Self::Given(_) => {}
            Self::Literal(Value::String(text)) => {
                if is_given(text) {
                    taken.push(std::mem::take(text));
                    *self = Self::Given(taken.len() - 1);
                }
            }
            Self::Literal(_) => {}
            Self::Flatten(inner) | Self::Not(inner) | Self::Reference(inner) => inner.give(is_given, taken),
            Self::Sub(left, right)
            | Self::Projection(left, right)
            | Self::ValueProjection(left, right)
            | Self::Compare(_, left, right)
            | Self::Or(left, right)
            | Self::And(left, right)
            | Self::Pipe(left, right) => [left, right].into_iter().for_each(|side| side.give(is_given, taken)),
            Self::Filter(filter) => {
                let Filter { left, condition, right } = filter.as_mut();
                [left, condition, right].into_iter().for_each(|part| part.give(is_given, taken));
            }
            Self::List(nodes) => nodes.iter_mut().for_each(|node| node.give(is_given, taken)),
            Self::Hash(pairs) => pairs.iter_mut().for_each(|(_, node)| node.give(is_given, taken)),
            Self::Call(call) => {
                call.arguments.iter_mut().for_each(|argument| argument.give(is_given, taken));
                if matches!(call.arguments.first(), Some(Self::Given(_))) {
                    call.regex = None;
                }
            }
        }
    }
}

/// The parts of `left[?condition].right`.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(crate) left: Node,
    pub(crate) condition: Node,
    pub(crate) right: Node,
}

/// A function call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// The function, unless it is the caller's.
    pub(crate) function: Option<&'static Function>,
    pub(crate) arguments: Vec<Node>,
    /// The first argument, compiled ahead, where it is a literal regular expression.
    pub(crate) regex: Option<Regex>,
}

/// The comparison operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}
