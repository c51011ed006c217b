//! The syntax tree of an expression, macros already recognised.

use regex::Regex;

use crate::functions::Function;

/// One node and the byte where it begins.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) at: usize,
    height: u16,
}

impl Node {
    pub(crate) fn new(kind: Kind, at: usize) -> Self {
        let mut height = 0;
        kind.each_child(&mut |child| height = height.max(child.height));
        Self { kind, at, height: height.saturating_add(1) }
    }

    /// Levels from here to the deepest leaf.
    pub(crate) fn height(&self) -> usize {
        usize::from(self.height)
    }
}

/// The kinds of nodes. No tree is deeper than the parser's limit.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Literal(Literal),
    Identifier(String),
    Select(Box<Select>),
    /// `has(operand.field)`.
    Has(Box<Select>),
    Index(Box<Index>),
    Call(Box<Call>),
    List(Vec<Element>),
    Map(Vec<Entry>),
    Struct(Box<Struct>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    Binary(Operator, Box<(Node, Node)>),
    Conditional(Box<[Node; 3]>),
    Comprehension(Box<Comprehension>),
    /// `cel.bind(name, value, body)`.
    Bind(Box<Bind>),
    /// `target.optMap(name, body)` and `target.optFlatMap(name, body)`.
    OptionalMap(Box<Bind>, bool),
}

impl Kind {
    /// Calls `visit` with every direct child.
    pub(crate) fn each_child<'n>(&'n self, visit: &mut dyn FnMut(&'n Node)) {
        match self {
            Self::Literal(_) | Self::Identifier(_) => {}
            Self::Select(select) | Self::Has(select) => visit(&select.operand),
            Self::Index(index) => {
                visit(&index.operand);
                visit(&index.index);
            }
            Self::Call(call) => call.receiver.iter().chain(&call.arguments).for_each(visit),
            Self::List(elements) => elements.iter().map(|element| &element.value).for_each(visit),
            Self::Map(entries) => entries.iter().flat_map(|entry| [&entry.key, &entry.value]).for_each(visit),
            Self::Struct(structure) => structure.fields.iter().map(|(_, field)| &field.value).for_each(visit),
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().for_each(visit),
            Self::Not(node) | Self::Negate(node) => visit(node),
            Self::Binary(_, sides) => [&sides.0, &sides.1].into_iter().for_each(visit),
            Self::Conditional(parts) => parts.iter().for_each(visit),
            Self::Comprehension(parts) => {
                [&parts.range, &parts.body].into_iter().chain(&parts.filter).for_each(visit);
            }
            Self::Bind(bind) | Self::OptionalMap(bind, _) => [&bind.value, &bind.body].into_iter().for_each(visit),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
}

#[derive(Debug, Clone)]
pub(crate) struct Select {
    pub(crate) operand: Node,
    pub(crate) field: String,
    pub(crate) optional: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Index {
    pub(crate) operand: Node,
    pub(crate) index: Node,
    pub(crate) optional: bool,
}

/// A call; `name` holds the namespace too, as in `math.greatest`, when there is no receiver.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) receiver: Option<Node>,
    pub(crate) arguments: Vec<Node>,
    /// The function, unless it is the host's only.
    pub(crate) function: Option<&'static Function>,
    /// The pattern, compiled ahead, where it is a literal.
    pub(crate) regex: Option<Regex>,
}

#[derive(Debug, Clone)]
pub(crate) struct Element {
    pub(crate) value: Node,
    pub(crate) optional: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Node,
    pub(crate) value: Node,
    pub(crate) optional: bool,
}

/// `Name{field: value}`.
#[derive(Debug, Clone)]
pub(crate) struct Struct {
    pub(crate) type_name: String,
    pub(crate) fields: Vec<(String, Element)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

/// `range.all(x, ..)` and its kind.
#[derive(Debug, Clone)]
pub(crate) struct Comprehension {
    pub(crate) kind: Loop,
    pub(crate) range: Node,
    pub(crate) first: String,
    pub(crate) second: Option<String>,
    pub(crate) filter: Option<Node>,
    pub(crate) body: Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loop {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
    TransformList,
    TransformMap,
    TransformMapEntry,
    SortBy,
}

#[derive(Debug, Clone)]
pub(crate) struct Bind {
    pub(crate) value: Node,
    pub(crate) name: String,
    pub(crate) body: Node,
}
