//! Macros: calls whose arguments are not simply evaluated.

use crate::ast::{Bind, Comprehension, Kind, Loop, Node};
use crate::error::CompileError;
use crate::parser::Parser;

/// What came of a call that may be a macro.
pub(crate) enum Expansion {
    /// It was one.
    Done(Node),
    /// It was none; the parts are handed back.
    None(Node, Vec<Node>),
}

/// `has(a.b)`.
pub(crate) fn has(parser: &Parser<'_>, mut arguments: Vec<Node>, at: usize) -> Result<Node, CompileError> {
    match (arguments.pop(), arguments.is_empty()) {
        (Some(Node { kind: Kind::Select(select), .. }), true) if !select.optional => {
            Ok(Node::new(Kind::Has(select), at))
        }
        _ => parser.fail(at, "invalid argument to has() macro"),
    }
}

/// `target.all(x, ..)` and all other macros with a receiver.
pub(crate) fn expand_member(
    parser: &Parser<'_>,
    target: Node,
    name: &str,
    arguments: Vec<Node>,
    at: usize,
) -> Result<Expansion, CompileError> {
    let is_cel = matches!(&target.kind, Kind::Identifier(name) if name == "cel");
    let kind = match (name, arguments.len()) {
        ("bind", 3) if is_cel => return bind(parser, arguments, at),
        ("optMap" | "optFlatMap", 2) => return optional_map(parser, target, name == "optFlatMap", arguments, at),
        ("all", 2 | 3) => Loop::All,
        ("exists", 2 | 3) => Loop::Exists,
        ("exists_one" | "existsOne", 2 | 3) => Loop::ExistsOne,
        ("map", 2 | 3) => Loop::Map,
        ("filter", 2) => Loop::Filter,
        ("transformList", 3 | 4) => Loop::TransformList,
        ("transformMap", 3 | 4) => Loop::TransformMap,
        ("transformMapEntry", 3 | 4) => Loop::TransformMapEntry,
        ("sortBy", 2) => Loop::SortBy,
        _ => return Ok(Expansion::None(target, arguments)),
    };
    // Behind the variables there is an optional filter, then the body.
    let two_variables = match kind {
        Loop::All | Loop::Exists | Loop::ExistsOne => arguments.len() == 3,
        Loop::Map | Loop::Filter | Loop::SortBy => false,
        Loop::TransformList | Loop::TransformMap | Loop::TransformMapEntry => true,
    };
    let mut arguments = arguments.into_iter();
    let first = variable(parser, arguments.next(), at)?;
    let second = if two_variables { Some(variable(parser, arguments.next(), at)?) } else { None };
    if second.as_ref() == Some(&first) {
        return parser.fail(at, "duplicate variable name");
    }
    let (one, two) = (arguments.next(), arguments.next());
    let (filter, body) = match (one, two) {
        (Some(body), None) => (None, body),
        (Some(filter), Some(body)) => (Some(filter), body),
        (None, _) => return parser.fail(at, format!("macro {name} needs a body")),
    };
    let comprehension = Comprehension { kind, range: target, first, second, filter, body };
    Ok(Expansion::Done(Node::new(Kind::Comprehension(Box::new(comprehension)), at)))
}

fn variable(parser: &Parser<'_>, node: Option<Node>, at: usize) -> Result<String, CompileError> {
    match node {
        Some(Node { kind: Kind::Identifier(name), .. }) => Ok(name),
        node => parser.fail(node.map_or(at, |node| node.at), "argument must be a simple name"),
    }
}

fn bind(parser: &Parser<'_>, arguments: Vec<Node>, at: usize) -> Result<Expansion, CompileError> {
    let mut arguments = arguments.into_iter();
    let name = variable(parser, arguments.next(), at)?;
    match (arguments.next(), arguments.next()) {
        (Some(value), Some(body)) => {
            Ok(Expansion::Done(Node::new(Kind::Bind(Box::new(Bind { value, name, body })), at)))
        }
        _ => parser.fail(at, "cel.bind needs a name, a value and a body"),
    }
}

fn optional_map(
    parser: &Parser<'_>,
    value: Node,
    flat: bool,
    arguments: Vec<Node>,
    at: usize,
) -> Result<Expansion, CompileError> {
    let mut arguments = arguments.into_iter();
    let name = variable(parser, arguments.next(), at)?;
    match arguments.next() {
        Some(body) => Ok(Expansion::Done(Node::new(Kind::OptionalMap(Box::new(Bind { value, name, body }), flat), at))),
        None => parser.fail(at, "optMap needs a name and a body"),
    }
}
