//! Recursive-descent parser: tokens to a syntax tree.

use crate::ast::{Call, Element, Entry, Index, Kind, Literal, Node, Operator, Select, Struct};
use crate::error::CompileError;
use crate::lexer::{self, Token, tokens};
use crate::{functions, macros};

/// Deepest syntax tree that is compiled; evaluation recurses as deep.
const MAX_DEPTH: usize = 128;
/// Longest expression that is compiled, in bytes.
const MAX_LENGTH: usize = 256 * 1024;
const RESERVED: [&str; 18] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
    "in",
];

/// Parses a whole expression.
pub(crate) fn parse(text: &str) -> Result<Node, CompileError> {
    if text.len() > MAX_LENGTH {
        return Err(CompileError::new(text, 0, format!("expression is longer than {MAX_LENGTH} bytes")));
    }
    let mut parser = Parser { text, tokens: tokens(text)?, at: 0, depth: 0 };
    let node = parser.expression()?;
    match parser.kind() {
        lexer::Kind::End => Ok(node),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

pub(crate) struct Parser<'t> {
    pub(crate) text: &'t str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

type Parsed = Result<Node, CompileError>;

impl Parser<'_> {
    fn kind(&self) -> &lexer::Kind {
        self.tokens.get(self.at).map_or(&lexer::Kind::End, |token| &token.kind)
    }

    fn position(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(0, |token| token.at)
    }

    fn next(&mut self) -> lexer::Kind {
        let kind = self.kind().clone();
        self.at += 1;
        kind
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.kind(), lexer::Kind::Symbol(found) if *found == symbol)
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), CompileError> {
        if self.take(symbol) { Ok(()) } else { Err(self.unexpected(&format!("'{symbol}'"))) }
    }

    pub(crate) fn fail<T>(&self, at: usize, what: impl Into<String>) -> Result<T, CompileError> {
        Err(CompileError::new(self.text, at, what))
    }

    /// The complaint about the token just taken.
    fn misplaced(&mut self, wanted: &str) -> CompileError {
        self.at = self.at.saturating_sub(1);
        self.unexpected(wanted)
    }

    fn field(&mut self, wanted: &str) -> Result<String, CompileError> {
        match self.next() {
            lexer::Kind::Word(field) | lexer::Kind::Quoted(field) => Ok(field),
            _ => Err(self.misplaced(wanted)),
        }
    }

    fn unexpected(&self, wanted: &str) -> CompileError {
        let found = match self.kind() {
            lexer::Kind::End => "<EOF>".to_owned(),
            lexer::Kind::Word(word) | lexer::Kind::Quoted(word) => word.clone(),
            lexer::Kind::Symbol(symbol) => (*symbol).to_owned(),
            lexer::Kind::Literal(_) | lexer::Kind::MinInt => "a literal".to_owned(),
        };
        let what = format!("Syntax error: mismatched input '{found}' expecting {wanted}");
        CompileError::new(self.text, self.position(), what)
    }

    /// Counts a level while `parse` runs.
    fn deeper(&mut self, parse: fn(&mut Self) -> Parsed) -> Parsed {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fail(self.position(), format!("expression is nested deeper than {MAX_DEPTH} levels"));
        }
        let node = parse(self)?;
        self.depth -= 1;
        if node.height() > MAX_DEPTH {
            return self.fail(node.at, format!("expression is nested deeper than {MAX_DEPTH} levels"));
        }
        Ok(node)
    }

    fn expression(&mut self) -> Parsed {
        self.deeper(Self::conditional)
    }

    fn conditional(&mut self) -> Parsed {
        let condition = self.or()?;
        if !self.take("?") {
            return Ok(condition);
        }
        let at = condition.at;
        let then = self.expression()?;
        self.expect(":")?;
        let otherwise = self.expression()?;
        Ok(Node::new(Kind::Conditional(Box::new([condition, then, otherwise])), at))
    }

    fn or(&mut self) -> Parsed {
        let first = self.and()?;
        self.series(first, "||", Self::and, Kind::Or)
    }

    fn and(&mut self) -> Parsed {
        let first = self.relation()?;
        self.series(first, "&&", Self::relation, Kind::And)
    }

    /// Chains of `&&` and `||` become one node, so that long chains are not deep.
    fn series(
        &mut self,
        first: Node,
        symbol: &str,
        next: fn(&mut Self) -> Parsed,
        make: fn(Vec<Node>) -> Kind,
    ) -> Parsed {
        if !self.is(symbol) {
            return Ok(first);
        }
        let at = first.at;
        let mut nodes = vec![first];
        while self.take(symbol) {
            nodes.push(next(self)?);
        }
        Ok(Node::new(make(nodes), at))
    }

    fn relation(&mut self) -> Parsed {
        let mut left = self.sum()?;
        let mut depth = 0;
        loop {
            let operator = match self.kind() {
                lexer::Kind::Symbol("==") => Operator::Equal,
                lexer::Kind::Symbol("!=") => Operator::NotEqual,
                lexer::Kind::Symbol("<") => Operator::Less,
                lexer::Kind::Symbol("<=") => Operator::LessOrEqual,
                lexer::Kind::Symbol(">") => Operator::Greater,
                lexer::Kind::Symbol(">=") => Operator::GreaterOrEqual,
                lexer::Kind::Word(word) if word == "in" => Operator::In,
                _ => return Ok(left),
            };
            left = self.binary(left, operator, Self::sum, &mut depth)?;
        }
    }

    fn sum(&mut self) -> Parsed {
        let mut left = self.product()?;
        let mut depth = 0;
        loop {
            let operator = match self.kind() {
                lexer::Kind::Symbol("+") => Operator::Add,
                lexer::Kind::Symbol("-") => Operator::Subtract,
                _ => return Ok(left),
            };
            left = self.binary(left, operator, Self::product, &mut depth)?;
        }
    }

    fn product(&mut self) -> Parsed {
        let mut left = self.unary()?;
        let mut depth = 0;
        loop {
            let operator = match self.kind() {
                lexer::Kind::Symbol("*") => Operator::Multiply,
                lexer::Kind::Symbol("/") => Operator::Divide,
                lexer::Kind::Symbol("%") => Operator::Modulo,
                _ => return Ok(left),
            };
            left = self.binary(left, operator, Self::unary, &mut depth)?;
        }
    }

    /// `left operator right`; `depth` counts the chain, which grows to the left.
    fn binary(&mut self, left: Node, operator: Operator, next: fn(&mut Self) -> Parsed, depth: &mut usize) -> Parsed {
        *depth += 1;
        self.check_chain(*depth)?;
        let at = self.position();
        self.at += 1;
        let right = next(self)?;
        Ok(Node::new(Kind::Binary(operator, Box::new((left, right))), at))
    }

    fn check_chain(&self, length: usize) -> Result<(), CompileError> {
        if self.depth + length > MAX_DEPTH {
            return self.fail(self.position(), format!("expression is nested deeper than {MAX_DEPTH} levels"));
        }
        Ok(())
    }

    fn unary(&mut self) -> Parsed {
        let at = self.position();
        if self.take("!") {
            let operand = self.deeper(Self::unary)?;
            return Ok(Node::new(Kind::Not(Box::new(operand)), at));
        }
        if !self.take("-") {
            return self.member();
        }
        if *self.kind() == lexer::Kind::MinInt {
            self.at += 1;
            return Ok(Node::new(Kind::Literal(Literal::Int(i64::MIN)), at));
        }
        let operand = self.deeper(Self::unary)?;
        let kind = match operand.kind {
            Kind::Literal(Literal::Int(value)) if value != i64::MIN => Kind::Literal(Literal::Int(-value)),
            Kind::Literal(Literal::Double(value)) => Kind::Literal(Literal::Double(-value)),
            kind => Kind::Negate(Box::new(Node::new(kind, operand.at))),
        };
        Ok(Node::new(kind, at))
    }

    fn member(&mut self) -> Parsed {
        let mut node = self.primary()?;
        let mut chain = 0;
        loop {
            chain += 1;
            self.check_chain(chain)?;
            let at = self.position();
            if self.take(".") {
                node = self.after_dot(node, at)?;
            } else if self.take("[") {
                let optional = self.take("?");
                let index = self.expression()?;
                self.expect("]")?;
                node = Node::new(Kind::Index(Box::new(Index { operand: node, index, optional })), at);
            } else if self.is("{") {
                let Some(type_name) = qualified(&node) else { return Ok(node) };
                node = self.structure(type_name, node.at)?;
            } else {
                return Ok(node);
            }
        }
    }

    fn after_dot(&mut self, operand: Node, at: usize) -> Parsed {
        let optional = self.take("?");
        let field = self.field("IDENTIFIER")?;
        if optional || !self.take("(") {
            return Ok(Node::new(Kind::Select(Box::new(Select { operand, field, optional })), at));
        }
        let arguments = self.arguments()?;
        match macros::expand_member(self, operand, &field, arguments, at)? {
            macros::Expansion::Done(node) => Ok(node),
            macros::Expansion::None(operand, arguments) => Ok(member_call(operand, field, arguments, at)),
        }
    }

    fn arguments(&mut self) -> Result<Vec<Node>, CompileError> {
        let mut arguments = Vec::new();
        while !self.take(")") {
            arguments.push(self.expression()?);
            if !self.is(")") {
                self.expect(",")?;
            }
        }
        Ok(arguments)
    }

    fn primary(&mut self) -> Parsed {
        let at = self.position();
        match self.next() {
            lexer::Kind::Literal(literal) => Ok(Node::new(Kind::Literal(literal), at)),
            lexer::Kind::Symbol("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            lexer::Kind::Symbol("[") => self.list(at),
            lexer::Kind::Symbol("{") => self.map(at),
            lexer::Kind::Symbol(".") => match self.next() {
                lexer::Kind::Word(word) => self.identifier(word, at),
                _ => Err(self.misplaced("an identifier")),
            },
            lexer::Kind::Word(word) => self.identifier(word, at),
            _ => Err(self.misplaced("an expression")),
        }
    }

    fn identifier(&mut self, word: String, at: usize) -> Parsed {
        if RESERVED.contains(&word.as_str()) {
            return self.fail(at, format!("reserved identifier: {word}"));
        }
        if !self.take("(") {
            return Ok(Node::new(Kind::Identifier(word), at));
        }
        let arguments = self.arguments()?;
        if word == "has" {
            return macros::has(self, arguments, at);
        }
        Ok(call(word, None, arguments, at))
    }

    fn list(&mut self, at: usize) -> Parsed {
        let mut elements = Vec::new();
        while !self.take("]") {
            let optional = self.take("?");
            elements.push(Element { value: self.expression()?, optional });
            if !self.is("]") {
                self.expect(",")?;
            }
        }
        Ok(Node::new(Kind::List(elements), at))
    }

    fn map(&mut self, at: usize) -> Parsed {
        let mut entries = Vec::new();
        while !self.take("}") {
            let optional = self.take("?");
            let key = self.expression()?;
            self.expect(":")?;
            entries.push(Entry { key, value: self.expression()?, optional });
            if !self.is("}") {
                self.expect(",")?;
            }
        }
        Ok(Node::new(Kind::Map(entries), at))
    }

    fn structure(&mut self, type_name: String, at: usize) -> Parsed {
        self.expect("{")?;
        let mut fields = Vec::new();
        while !self.take("}") {
            let optional = self.take("?");
            let field = self.field("a field name")?;
            self.expect(":")?;
            fields.push((field, Element { value: self.expression()?, optional }));
            if !self.is("}") {
                self.expect(",")?;
            }
        }
        Ok(Node::new(Kind::Struct(Box::new(Struct { type_name, fields })), at))
    }
}

/// `a.b.c` as a name, when the node is nothing else.
pub(crate) fn qualified(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Identifier(name) => Some(name.clone()),
        Kind::Select(select) if !select.optional => Some(format!("{}.{}", qualified(&select.operand)?, select.field)),
        _ => None,
    }
}

/// A call with a receiver, unless receiver and name together name a function, as in `math.greatest(..)`.
fn member_call(receiver: Node, name: String, arguments: Vec<Node>, at: usize) -> Node {
    let full = qualified(&receiver).map(|prefix| format!("{prefix}.{name}"));
    match full.filter(|full| functions::find(full, false).is_some()) {
        Some(full) => call(full, None, arguments, at),
        None => call(name, Some(receiver), arguments, at),
    }
}

fn call(name: String, receiver: Option<Node>, arguments: Vec<Node>, at: usize) -> Node {
    let function = functions::find(&name, receiver.is_some());
    let pattern = match (name.as_str(), receiver.is_some()) {
        ("matches" | "find" | "findAll", true) => arguments.first(),
        ("matches" | "regex.replace" | "regex.extract" | "regex.extractAll", false) => arguments.get(1),
        _ => None,
    };
    let regex = match pattern.map(|node| &node.kind) {
        Some(Kind::Literal(Literal::Text(pattern))) => jmespath::go_regex::compile(pattern).ok(),
        _ => None,
    };
    Node::new(Kind::Call(Box::new(Call { name, receiver, arguments, function, regex })), at)
}
