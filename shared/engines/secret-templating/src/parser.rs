//! From tokens to trees.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Functions;
use crate::ast::{Branch, Call, Command, Node, Operand, OperandKind, Pipe};
use crate::format::quote;
use crate::functions;
use crate::lexer::{Kind, Token, lex};
use crate::number::{Constant, Number};
use crate::value::Text;

/// Parses a template and those that it defines.
pub(crate) fn parse(
    name: &str,
    text: &str,
    delimiters: (&str, &str),
    functions: Functions,
) -> Result<BTreeMap<String, Arc<Node>>, String> {
    let mut parser = Parser {
        functions,
        name,
        text,
        tokens: lex(text, delimiters),
        next: 0,
        variables: vec!["$".to_owned()],
        trees: BTreeMap::new(),
        depth: 0,
        range_depth: 0,
    };
    let (list, end) = parser.list(&[Kind::End])?;
    if let Some(keyword) = end {
        return Err(parser.fault(&format!("unexpected {{{{{keyword}}}}}")));
    }
    let is_blank = |node: &Node| matches!(node, Node::Text(text) if text.trim_ascii().is_empty());
    let has_content = !list.iter().all(is_blank);
    let mut trees = parser.trees;
    if has_content || !trees.contains_key(name) {
        trees.insert(name.to_owned(), Arc::new(Node::List(list)));
    }
    Ok(trees)
}

struct Parser<'a> {
    name: &'a str,
    text: &'a str,
    tokens: Vec<Token>,
    next: usize,
    variables: Vec<String>,
    trees: BTreeMap<String, Arc<Node>>,
    depth: u32,
    range_depth: u32,
    functions: Functions,
}

/// Deeper nesting than any template needs; keeps the stack small.
const MAX_DEPTH: u32 = 100;

impl Parser<'_> {
    fn peek(&self) -> Token {
        let end = Token { at: self.text.len(), kind: Kind::End, text: String::new() };
        self.tokens.get(self.next).cloned().unwrap_or(end)
    }

    fn take(&mut self) -> Token {
        let token = self.peek();
        self.next = self.next.saturating_add(1);
        token
    }

    fn skip_space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next = self.next.saturating_add(1);
        }
    }

    fn take_solid(&mut self) -> Token {
        self.skip_space();
        self.take()
    }

    fn fault(&self, what: &str) -> String {
        let at = self.tokens.get(self.next.saturating_sub(1)).map_or(0, |token| token.at);
        format!("{}:{}: {what}", self.name, line(self.text, at))
    }

    fn unexpected(&self, token: &Token, context: &str) -> String {
        match token.kind {
            Kind::Error => self.fault(&token.text),
            Kind::End => self.fault("unexpected EOF"),
            _ => {
                let shown = match token.kind {
                    Kind::Keyword | Kind::Dot | Kind::Nil => format!("<{}>", token.text),
                    _ if token.text.chars().count() > 10 => {
                        let start: String = token.text.chars().take(10).collect();
                        format!("{}...", quote(start.as_bytes()))
                    }
                    _ => quote(token.text.as_bytes()),
                };
                self.fault(&format!("unexpected {shown} in {context}"))
            }
        }
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Result<Token, String> {
        let token = self.take_solid();
        if token.kind == kind { Ok(token) } else { Err(self.unexpected(&token, context)) }
    }

    fn enter(&mut self) -> Result<(), String> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > MAX_DEPTH { Err(self.fault("nested too deeply")) } else { Ok(()) }
    }

    /// Nodes up to `{{end}}`, `{{else}}` or the end of the text; the keyword stands in the result.
    fn list(&mut self, ends: &[Kind]) -> Result<(Vec<Node>, Option<String>), String> {
        self.enter()?;
        let mut nodes = Vec::new();
        loop {
            let token = self.take();
            match token.kind {
                Kind::Text => nodes.push(Node::Text(token.text.into_bytes())),
                Kind::Left => {
                    self.skip_space();
                    let next = self.peek();
                    if next.kind == Kind::Keyword && matches!(next.text.as_str(), "end" | "else") {
                        self.take();
                        self.depth = self.depth.saturating_sub(1);
                        return Ok((nodes, Some(next.text)));
                    }
                    nodes.extend(self.action()?);
                }
                Kind::End if ends.contains(&Kind::End) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok((nodes, None));
                }
                _ => return Err(self.unexpected(&token, "input")),
            }
        }
    }

    fn action(&mut self) -> Result<Option<Node>, String> {
        let token = self.peek();
        if token.kind != Kind::Keyword {
            let pipe = self.pipe("command", Kind::Right)?;
            return Ok(Some(Node::Action(pipe)));
        }
        self.take();
        match token.text.as_str() {
            "if" => Ok(Some(Node::If(self.branch("if", false)?))),
            "with" => Ok(Some(Node::With(self.branch("with", false)?))),
            "range" => Ok(Some(Node::Range(self.branch("range", true)?))),
            "break" | "continue" => {
                self.expect(Kind::Right, &format!("{{{{{}}}}}", token.text))?;
                if self.range_depth == 0 {
                    return Err(self.fault(&format!("{{{{{}}}}} outside {{{{range}}}}", token.text)));
                }
                Ok(Some(if token.text == "break" { Node::Break } else { Node::Continue }))
            }
            "template" => self.template().map(Some),
            "define" => self.define().map(|()| None),
            "block" => self.block().map(Some),
            _ => Err(self.unexpected(&token, "command")),
        }
    }

    fn branch(&mut self, context: &'static str, is_range: bool) -> Result<Branch, String> {
        let scope = self.variables.len();
        let pipe = self.pipe(context, Kind::Right)?;
        self.range_depth = self.range_depth.saturating_add(u32::from(is_range));
        let (body, end) = self.list(&[])?;
        self.range_depth = self.range_depth.saturating_sub(u32::from(is_range));
        let mut otherwise = None;
        if end.as_deref() == Some("else") {
            let next = {
                self.skip_space();
                self.peek()
            };
            let is_chained = next.kind == Kind::Keyword && next.text == context && matches!(context, "if" | "with");
            if is_chained {
                // `{{else if x}}` is an `if` inside the `else` that shares its `{{end}}`.
                self.take();
                self.enter()?;
                let inner = self.branch(context, false)?;
                self.depth = self.depth.saturating_sub(1);
                let node = if context == "if" { Node::If(inner) } else { Node::With(inner) };
                self.variables.truncate(scope);
                return Ok(Branch {
                    pipe,
                    body: Box::new(Node::List(body)),
                    otherwise: Some(Box::new(Node::List(vec![node]))),
                });
            }
            self.expect(Kind::Right, "else")?;
            let (nodes, end) = self.list(&[])?;
            if end.as_deref() != Some("end") {
                return Err(self.fault("expected end; found {{else}}"));
            }
            otherwise = Some(Box::new(Node::List(nodes)));
        }
        self.expect(Kind::Right, "end")?;
        self.variables.truncate(scope);
        Ok(Branch { pipe, body: Box::new(Node::List(body)), otherwise })
    }

    fn template(&mut self) -> Result<Node, String> {
        let token = self.take_solid();
        let name = self.string(&token, "template clause")?;
        self.skip_space();
        let pipe = if self.peek().kind == Kind::Right {
            self.take();
            None
        } else {
            Some(self.pipe("template clause", Kind::Right)?)
        };
        Ok(Node::Template(Call { at: token.at, name, pipe }))
    }

    fn define(&mut self) -> Result<(), String> {
        if self.depth > 1 {
            return Err(self.fault("unexpected <define> in command"));
        }
        let token = self.take_solid();
        let name = self.string(&token, "define clause")?;
        self.expect(Kind::Right, "define clause")?;
        self.body_of(name, "define clause")
    }

    fn block(&mut self) -> Result<Node, String> {
        let token = self.take_solid();
        let name = self.string(&token, "block clause")?;
        let pipe = self.pipe("block clause", Kind::Right)?;
        self.body_of(name.clone(), "block clause")?;
        Ok(Node::Template(Call { at: token.at, name, pipe: Some(pipe) }))
    }

    fn body_of(&mut self, name: String, context: &str) -> Result<(), String> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let range_depth = std::mem::take(&mut self.range_depth);
        let (nodes, end) = self.list(&[])?;
        if end.as_deref() != Some("end") {
            return Err(self.fault(&format!("unexpected {{{{else}}}} in {context}")));
        }
        self.expect(Kind::Right, context)?;
        (self.variables, self.range_depth) = (variables, range_depth);
        self.trees.insert(name, Arc::new(Node::List(nodes)));
        Ok(())
    }

    fn string(&self, token: &Token, context: &str) -> Result<String, String> {
        match token.kind {
            Kind::String | Kind::RawString => {
                let bytes = crate::quoted::unquote(&token.text).ok_or_else(|| self.fault("invalid syntax"))?;
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
            _ => Err(self.unexpected(token, context)),
        }
    }

    fn pipe(&mut self, context: &str, end: Kind) -> Result<Pipe, String> {
        self.skip_space();
        let mut pipe = Pipe { at: self.peek().at, ..Pipe::default() };
        self.declarations(&mut pipe, context)?;
        loop {
            self.skip_space();
            let token = self.peek();
            if token.kind == end {
                self.take();
                return self.checked(pipe, context);
            }
            match token.kind {
                Kind::Bool
                | Kind::Char
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::OpenParen => {
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => {
                    self.take();
                    return Err(self.unexpected(&token, context));
                }
            }
        }
    }

    /// `$x :=`, `$x =`, `$i, $x :=`.
    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Result<(), String> {
        let start = self.next;
        let mut names = Vec::new();
        loop {
            let token = self.take_solid();
            if token.kind != Kind::Variable {
                break;
            }
            names.push(token.text);
            let sign = self.take_solid();
            match sign.kind {
                Kind::Assign | Kind::Declare => {
                    pipe.is_assign = sign.kind == Kind::Assign;
                    if !pipe.is_assign {
                        self.variables.extend(names.iter().cloned());
                    }
                    pipe.variables = names;
                    return Ok(());
                }
                Kind::Comma if context == "range" && names.len() < 2 => {}
                Kind::Comma => return Err(self.fault(&format!("too many declarations in {context}"))),
                _ => break,
            }
        }
        self.next = start;
        Ok(())
    }

    fn checked(&self, pipe: Pipe, context: &str) -> Result<Pipe, String> {
        if pipe.commands.is_empty() {
            return Err(self.fault(&format!("missing value for {context}")));
        }
        for (index, command) in pipe.commands.iter().enumerate().skip(1) {
            let first = command.operands.first();
            if let Some(OperandKind::Constant(..) | OperandKind::Dot | OperandKind::Nil) =
                first.map(|operand| &operand.kind)
            {
                return Err(
                    self.fault(&format!("non executable command in pipeline stage {}", index.saturating_add(1)))
                );
            }
        }
        Ok(pipe)
    }

    fn command(&mut self) -> Result<Command, String> {
        let mut command = Command { at: self.peek().at, operands: Vec::new() };
        loop {
            self.skip_space();
            if let Some(operand) = self.operand()? {
                command.operands.push(operand);
            }
            let token = self.take();
            match token.kind {
                Kind::Space => continue,
                Kind::Right | Kind::CloseParen => self.next = self.next.saturating_sub(1),
                Kind::Pipe => {}
                _ => return Err(self.unexpected(&token, "operand")),
            }
            break;
        }
        if command.operands.is_empty() { Err(self.fault("empty command")) } else { Ok(command) }
    }

    fn operand(&mut self) -> Result<Option<Operand>, String> {
        let Some(term) = self.term()? else { return Ok(None) };
        let mut names = Vec::new();
        // Go places an operand with fields at the first of those.
        let at = if self.peek().kind == Kind::Field { self.peek().at } else { term.at };
        while self.peek().kind == Kind::Field {
            names.push(self.take().text.trim_start_matches('.').to_owned());
        }
        if names.is_empty() {
            return Ok(Some(term));
        }
        let kind = match term.kind {
            OperandKind::Field(mut first) => {
                first.append(&mut names);
                OperandKind::Field(first)
            }
            OperandKind::Variable(name, _) => OperandKind::Variable(name, names),
            OperandKind::Constant(..) | OperandKind::Nil => {
                return Err(self.fault(&format!("unexpected . after term {}", quote(term.to_string().as_bytes()))));
            }
            kind => OperandKind::Chain(Box::new(Operand { at: term.at, kind }), names),
        };
        Ok(Some(Operand { at, kind }))
    }

    fn is_function(&self, name: &str) -> bool {
        self.functions.iter().any(|(known, ..)| *known == name) || functions::exists(name)
    }

    fn term(&mut self) -> Result<Option<Operand>, String> {
        let token = self.take_solid();
        let kind = match token.kind {
            Kind::Identifier if self.is_function(&token.text) => OperandKind::Function(token.text),
            Kind::Identifier => {
                return Err(self.fault(&format!("function {} not defined", quote(token.text.as_bytes()))));
            }
            Kind::Dot => OperandKind::Dot,
            Kind::Nil => OperandKind::Nil,
            Kind::Variable if self.variables.contains(&token.text) => OperandKind::Variable(token.text, Vec::new()),
            Kind::Variable => return Err(self.fault(&format!("undefined variable {}", quote(token.text.as_bytes())))),
            Kind::Field => OperandKind::Field(vec![token.text.trim_start_matches('.').to_owned()]),
            Kind::Bool => OperandKind::Constant(Constant::Bool(token.text == "true"), token.text),
            Kind::Number => {
                let number = Number::parse(&token.text).map_err(|what| self.fault(&what))?;
                OperandKind::Constant(Constant::Number(number), token.text)
            }
            Kind::Char => {
                let value = crate::quoted::unquote(&token.text)
                    .and_then(|bytes| String::from_utf8(bytes).ok())
                    .and_then(|text| text.chars().next());
                let value =
                    value.ok_or_else(|| self.fault(&format!("malformed character constant: {}", token.text)))?;
                OperandKind::Constant(Constant::Number(Number::character(value.into())), token.text)
            }
            Kind::String | Kind::RawString => {
                let bytes = crate::quoted::unquote(&token.text).ok_or_else(|| self.fault("invalid syntax"))?;
                OperandKind::Constant(Constant::Text(Text::new(bytes)), token.text)
            }
            Kind::OpenParen => {
                self.enter()?;
                let pipe = self.pipe("parenthesized pipeline", Kind::CloseParen)?;
                self.depth = self.depth.saturating_sub(1);
                OperandKind::Pipe(Arc::new(pipe))
            }
            _ => {
                self.next = self.next.saturating_sub(1);
                return Ok(None);
            }
        };
        Ok(Some(Operand { at: token.at, kind }))
    }
}

/// The line of a byte offset, from 1.
pub(crate) fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count().saturating_add(1)
}
