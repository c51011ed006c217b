//! Operator-precedence parser: tokens to a syntax tree.

use regex::Regex;

use crate::ast::{Call, Filter, Node};
use crate::error::CompileError;
use crate::functions;
use crate::lexer::{Kind, Token, tokens};

/// Deepest syntax tree that is compiled; evaluation recurses as deep.
pub(crate) const MAX_DEPTH: usize = 256;
/// Longest expression that is compiled, in bytes.
const MAX_LENGTH: usize = 64 * 1024;
const PROJECTION: u8 = 20;
const DOT: u8 = 40;
const NOT: u8 = 45;

/// Parses a whole expression.
pub(crate) fn parse(text: &str, regexes: &mut dyn FnMut(&str) -> Option<Regex>) -> Result<Node, CompileError> {
    if text.len() > MAX_LENGTH {
        return Err(CompileError::new(0, format!("the expression is longer than {MAX_LENGTH} bytes")));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0, regexes };
    let tree = parser.expression(0)?;
    match parser.kind() {
        Kind::End => Ok(tree.node),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

/// A node with its height, so that long chains count against the depth limit too.
struct Tree {
    node: Node,
    height: usize,
}

impl Tree {
    fn leaf(node: Node) -> Self {
        Self { node, height: 1 }
    }
}

struct Parser<'r> {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// Where regular expressions come from.
    regexes: &'r mut dyn FnMut(&str) -> Option<Regex>,
}

impl Parser<'_> {
    fn kind(&self) -> &Kind {
        self.kind_at(0)
    }

    fn kind_at(&self, ahead: usize) -> &Kind {
        self.tokens.get(self.at + ahead).map_or(&Kind::End, |token| &token.kind)
    }

    fn position(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(0, |token| token.position)
    }

    fn next(&mut self) -> Kind {
        let kind = self.kind().clone();
        self.at += 1;
        kind
    }

    fn take(&mut self, kind: &Kind) -> bool {
        let found = self.kind() == kind;
        if found {
            self.at += 1;
        }
        found
    }

    fn expect(&mut self, kind: &Kind, name: &str) -> Result<(), CompileError> {
        if self.take(kind) { Ok(()) } else { Err(self.unexpected(name)) }
    }

    fn unexpected(&self, wanted: &str) -> CompileError {
        let found = match self.kind() {
            Kind::End => "the end of the expression".to_owned(),
            other => format!("{other:?}"),
        };
        CompileError::new(self.position(), format!("expected {wanted}, found {found}"))
    }

    fn tree(&self, node: Node, children: &[usize]) -> Result<Tree, CompileError> {
        let height = 1 + children.iter().copied().max().unwrap_or(0);
        if height > MAX_DEPTH {
            return Err(CompileError::new(self.position(), format!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Tree { node, height })
    }

    fn unary(&self, make: fn(Box<Node>) -> Node, child: Tree) -> Result<Tree, CompileError> {
        self.tree(make(Box::new(child.node)), &[child.height])
    }

    fn binary(&self, make: fn(Box<Node>, Box<Node>) -> Node, left: Tree, right: Tree) -> Result<Tree, CompileError> {
        self.tree(make(Box::new(left.node), Box::new(right.node)), &[left.height, right.height])
    }

    fn expression(&mut self, power: u8) -> Result<Tree, CompileError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH / 2 {
            return Err(CompileError::new(self.position(), format!("nested deeper than {} levels", MAX_DEPTH / 2)));
        }
        let mut left = self.prefix()?;
        while power < binding(self.kind()) {
            left = self.infix(left)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn prefix(&mut self) -> Result<Tree, CompileError> {
        match self.next() {
            Kind::Literal(value) => Ok(Tree::leaf(Node::Literal(value))),
            Kind::Raw(text) => Ok(Tree::leaf(Node::Literal(text.into()))),
            Kind::Identifier(name) if *self.kind() == Kind::ParenOpen => self.call(name),
            Kind::Identifier(name) => Ok(Tree::leaf(Node::Field(name))),
            Kind::Quoted(_) if *self.kind() == Kind::ParenOpen => Err(self.unexpected("no call of a quoted name")),
            Kind::Quoted(name) => Ok(Tree::leaf(Node::Field(name))),
            Kind::At => Ok(Tree::leaf(Node::Current)),
            Kind::Star => {
                let right = self.projected(PROJECTION)?;
                self.binary(Node::ValueProjection, Tree::leaf(Node::Current), right)
            }
            Kind::FilterOpen => self.filter(Tree::leaf(Node::Current)),
            Kind::Flatten => self.flatten(Tree::leaf(Node::Current)),
            Kind::BraceOpen => self.hash(),
            Kind::BracketOpen => self.bracket_prefix(),
            Kind::Ampersand => {
                let inner = self.expression(0)?;
                self.unary(Node::Reference, inner)
            }
            Kind::Not => {
                let inner = self.expression(NOT)?;
                self.unary(Node::Not, inner)
            }
            Kind::ParenOpen => {
                let inner = self.expression(0)?;
                self.expect(&Kind::ParenClose, "`)`")?;
                Ok(inner)
            }
            _ => {
                self.at -= 1;
                Err(self.unexpected("an expression"))
            }
        }
    }

    fn bracket_prefix(&mut self) -> Result<Tree, CompileError> {
        match (self.kind(), self.kind_at(1)) {
            (Kind::Number(_) | Kind::Colon, _) => self.index(Tree::leaf(Node::Current)),
            (Kind::Star, Kind::BracketClose) => {
                self.at += 2;
                let right = self.projected(PROJECTION)?;
                self.binary(Node::Projection, Tree::leaf(Node::Current), right)
            }
            _ => self.list(),
        }
    }

    fn infix(&mut self, left: Tree) -> Result<Tree, CompileError> {
        let power = binding(self.kind());
        match self.next() {
            Kind::Dot if self.take(&Kind::Star) => {
                let right = self.projected(DOT)?;
                self.binary(Node::ValueProjection, left, right)
            }
            Kind::Dot => {
                let right = self.after_dot(DOT)?;
                let heights = [left.height, right.height];
                self.tree(joined(left.node, right.node), &heights)
            }
            Kind::Pipe => {
                let right = self.expression(power)?;
                self.binary(Node::Pipe, left, right)
            }
            Kind::Or => {
                let right = self.expression(power)?;
                self.binary(Node::Or, left, right)
            }
            Kind::And => {
                let right = self.expression(power)?;
                self.binary(Node::And, left, right)
            }
            Kind::Compare(comparison) => {
                let right = self.expression(power)?;
                let heights = [left.height, right.height];
                self.tree(Node::Compare(comparison, Box::new(left.node), Box::new(right.node)), &heights)
            }
            Kind::FilterOpen => self.filter(left),
            Kind::Flatten => self.flatten(left),
            Kind::BracketOpen if matches!(self.kind(), Kind::Number(_) | Kind::Colon) => self.index(left),
            Kind::BracketOpen => {
                self.expect(&Kind::Star, "`*` or an index")?;
                self.expect(&Kind::BracketClose, "`]`")?;
                let right = self.projected(PROJECTION)?;
                self.binary(Node::Projection, left, right)
            }
            _ => Err(self.unexpected("an operator")),
        }
    }

    fn call(&mut self, name: String) -> Result<Tree, CompileError> {
        self.expect(&Kind::ParenOpen, "`(`")?;
        let mut arguments = Vec::new();
        let mut heights = Vec::new();
        while !self.take(&Kind::ParenClose) {
            let argument = self.expression(0)?;
            heights.push(argument.height);
            arguments.push(argument.node);
            if *self.kind() != Kind::ParenClose {
                self.expect(&Kind::Comma, "`,` or `)`")?;
            }
        }
        let regex = match (name.as_str(), arguments.first()) {
            (
                "regex_match" | "regex_replace_all" | "regex_replace_all_literal",
                Some(Node::Literal(serde_json::Value::String(pattern))),
            ) => (self.regexes)(pattern),
            _ => None,
        };
        let function = functions::find(&name);
        self.tree(Node::Call(Box::new(Call { name, function, arguments, regex })), &heights)
    }

    fn filter(&mut self, left: Tree) -> Result<Tree, CompileError> {
        let condition = self.expression(0)?;
        self.expect(&Kind::BracketClose, "`]`")?;
        let right =
            if *self.kind() == Kind::Flatten { Tree::leaf(Node::Current) } else { self.projected(PROJECTION + 1)? };
        let heights = [left.height, condition.height, right.height];
        let filter = Filter { left: left.node, condition: condition.node, right: right.node };
        self.tree(Node::Filter(Box::new(filter)), &heights)
    }

    fn flatten(&mut self, left: Tree) -> Result<Tree, CompileError> {
        let left = self.unary(Node::Flatten, left)?;
        let right = self.projected(9)?;
        self.binary(Node::Projection, left, right)
    }

    /// `[0]` or a slice, behind the open bracket; a slice is a projection.
    fn index(&mut self, left: Tree) -> Result<Tree, CompileError> {
        if let (Kind::Number(index), Kind::BracketClose) = (self.kind().clone(), self.kind_at(1)) {
            self.at += 2;
            return self.binary(Node::Sub, left, Tree::leaf(Node::Index(index)));
        }
        let mut parts = [None; 3];
        let mut part = 0;
        while !self.take(&Kind::BracketClose) {
            match self.next() {
                Kind::Colon if part < 2 => part += 1,
                Kind::Number(number) => {
                    if let Some(slot) = parts.get_mut(part) {
                        *slot = Some(number);
                    }
                }
                _ => {
                    self.at -= 1;
                    return Err(self.unexpected("a slice such as `0:2`"));
                }
            }
        }
        let [start, stop, step] = parts;
        let sliced = self.binary(Node::Sub, left, Tree::leaf(Node::Slice(start, stop, step)))?;
        let right = self.projected(PROJECTION)?;
        self.binary(Node::Projection, sliced, right)
    }

    fn list(&mut self) -> Result<Tree, CompileError> {
        let (mut nodes, mut heights) = (Vec::new(), Vec::new());
        loop {
            let item = self.expression(0)?;
            heights.push(item.height);
            nodes.push(item.node);
            if self.take(&Kind::BracketClose) {
                return self.tree(Node::List(nodes), &heights);
            }
            self.expect(&Kind::Comma, "`,` or `]`")?;
        }
    }

    fn hash(&mut self) -> Result<Tree, CompileError> {
        let (mut pairs, mut heights) = (Vec::new(), Vec::new());
        loop {
            let (Kind::Identifier(key) | Kind::Quoted(key)) = self.next() else {
                self.at -= 1;
                return Err(self.unexpected("a key"));
            };
            self.expect(&Kind::Colon, "`:`")?;
            let item = self.expression(0)?;
            heights.push(item.height);
            pairs.push((key, item.node));
            if self.take(&Kind::BraceClose) {
                return self.tree(Node::Hash(pairs), &heights);
            }
            // Kyverno's parser reads pairs without a comma between them, and policies leave it out.
            if !matches!(self.kind(), Kind::Identifier(_) | Kind::Quoted(_)) {
                self.expect(&Kind::Comma, "`,` or `}`")?;
            }
        }
    }

    fn after_dot(&mut self, power: u8) -> Result<Tree, CompileError> {
        match self.kind() {
            Kind::Identifier(_) | Kind::Quoted(_) | Kind::Star => self.expression(power),
            Kind::BracketOpen => {
                self.at += 1;
                self.list()
            }
            Kind::BraceOpen => {
                self.at += 1;
                self.hash()
            }
            _ => Err(self.unexpected("a key, `[` or `{`")),
        }
    }

    /// What is done with each element of a projection.
    fn projected(&mut self, power: u8) -> Result<Tree, CompileError> {
        match self.kind() {
            kind if binding(kind) < 10 => Ok(Tree::leaf(Node::Current)),
            Kind::BracketOpen | Kind::FilterOpen => self.expression(power),
            Kind::Dot => {
                self.at += 1;
                self.after_dot(power)
            }
            _ => Err(self.unexpected("`.`, `[` or an operator")),
        }
    }
}

/// `left.right`; keys of keys are one path.
fn joined(left: Node, right: Node) -> Node {
    match (left, right) {
        (Node::Field(first), Node::Field(key)) => Node::Path(vec![first, key]),
        (Node::Path(mut keys), Node::Field(key)) => {
            keys.push(key);
            Node::Path(keys)
        }
        (left, right) => Node::Sub(Box::new(left), Box::new(right)),
    }
}

fn binding(kind: &Kind) -> u8 {
    match kind {
        Kind::Pipe => 1,
        Kind::Or => 2,
        Kind::And => 3,
        Kind::Compare(_) => 5,
        Kind::Flatten => 9,
        Kind::Star => PROJECTION,
        Kind::FilterOpen => PROJECTION + 1,
        Kind::Dot => DOT,
        Kind::Not => NOT,
        Kind::BraceOpen => 50,
        Kind::BracketOpen => 55,
        Kind::ParenOpen => 60,
        _ => 0,
    }
}
