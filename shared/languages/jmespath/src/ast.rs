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
    /// `&a`.
    Reference(Box<Node>),
    /// `name(a, b)`.
    Call(Box<Call>),
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
