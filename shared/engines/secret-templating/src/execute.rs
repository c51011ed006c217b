//! Rendering: walking the tree.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use crate::ast::{Branch, Call, Node, Pipe, Position};
use crate::format::{plain, print, quote};
use crate::functions::{Call as FunctionCall, Chance};
use crate::value::{MapKind, Text, Value};
use crate::{Environment, Limits};

/// Why a list of nodes ended.
#[derive(PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

pub(crate) type Outcome<T> = Result<T, String>;

/// What a missing key yields, as Go's option `missingkey` sets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingKey {
    /// An error; External Secrets sets it.
    #[default]
    Error,
    /// No value, which prints as `<no value>`.
    Invalid,
    /// The zero value of the map's elements.
    Zero,
}

/// A parsed template and how it is rendered.
pub(crate) struct Source<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
    pub(crate) trees: &'a BTreeMap<String, Arc<Node>>,
    pub(crate) missing_key: MissingKey,
    pub(crate) functions: crate::Functions,
}

/// A name with its text: where a template is being rendered.
pub(crate) struct State<'a> {
    source: Source<'a>,
    name: &'a str,
    /// The node that was visited last: errors are placed there.
    node: (Position, &'a dyn Display),
    output: Vec<u8>,
    variables: Vec<(&'a str, Value)>,
    chance: Chance,
    environment: &'a Environment,
    limits: Limits,
    steps: u64,
    depth: u32,
}

/// Renders the tree of the template's name with `data` as dot.
pub(crate) fn render(source: Source<'_>, data: &Value, environment: &Environment, limits: Limits) -> Outcome<Text> {
    let name = source.name;
    let Some(tree) = source.trees.get(name) else {
        return Err(format!("{name}: {} is an incomplete or empty template", quote(name.as_bytes())));
    };
    let mut state = State {
        name,
        node: (0, &""),
        output: Vec::new(),
        variables: vec![("$", data.clone())],
        chance: Chance::new(environment),
        environment,
        limits,
        steps: 0,
        depth: 0,
        source,
    };
    match state.walk(tree, data) {
        Ok(_) => Ok(Text::new(state.output)),
        Err(what) => {
            drop(Text::new(state.output));
            Err(what)
        }
    }
}

impl<'a> State<'a> {
    /// An error at the node that was visited last.
    pub(crate) fn fault(&self, what: impl Display) -> String {
        let (at, node) = self.node;
        let (name, text) = (self.source.name, self.source.text);
        let before = text.get(..at).unwrap_or(text);
        let column = before.rfind('\n').map_or(at, |start| at.saturating_sub(start.saturating_add(1)));
        let line = crate::parser::line(text, at);
        let context = shortened(&node.to_string());
        format!("{name}:{line}:{column}: executing {} at <{context}>: {what}", quote(self.name.as_bytes()))
    }

    pub(crate) fn visit(&mut self, at: Position, node: &'a dyn Display) {
        self.node = (at, node);
    }

    pub(crate) fn added_functions(&self) -> crate::Functions {
        self.source.functions
    }

    pub(crate) fn missing_key(&self) -> MissingKey {
        self.source.missing_key
    }

    pub(crate) fn step(&mut self) -> Outcome<()> {
        self.spend(1)
    }

    pub(crate) fn spend(&mut self, steps: u64) -> Outcome<()> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > self.limits.steps {
            return Err(format!("{}: stopped after {} steps", self.name, self.limits.steps));
        }
        Ok(())
    }

    /// What a function is given beside its arguments.
    pub(crate) fn function_call(&mut self, arguments: Vec<Value>) -> FunctionCall<'_> {
        FunctionCall { arguments, limits: self.limits, environment: self.environment, chance: &mut self.chance }
    }

    fn write(&mut self, bytes: &[u8]) -> Outcome<()> {
        if self.output.len().saturating_add(bytes.len()) > self.limits.bytes {
            return Err(format!("{}: output exceeds {} bytes", self.name, self.limits.bytes));
        }
        self.output.extend_from_slice(bytes);
        Ok(())
    }

    fn walk(&mut self, node: &'a Node, dot: &Value) -> Outcome<Flow> {
        self.step()?;
        match node {
            Node::List(nodes) => {
                for node in nodes {
                    let flow = self.walk(node, dot)?;
                    if flow != Flow::Next {
                        return Ok(flow);
                    }
                }
            }
            Node::Text(text) => self.write(text)?,
            Node::Action(pipe) => {
                let value = self.pipe(pipe, dot)?;
                if pipe.variables.is_empty() {
                    match &value {
                        Value::Text(text) => self.write(text.expose())?,
                        other => self.write(Text::new(print(other)).expose())?,
                    }
                }
            }
            Node::If(branch) | Node::With(branch) => return self.choose(branch, dot, matches!(node, Node::With(_))),
            Node::Range(branch) => return self.range(branch, dot),
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::Template(call) => self.template(call, dot)?,
        }
        Ok(Flow::Next)
    }

    fn choose(&mut self, branch: &'a Branch, dot: &Value, is_with: bool) -> Outcome<Flow> {
        let scope = self.variables.len();
        let value = self.pipe(&branch.pipe, dot)?;
        let flow = match (value.is_true(), &branch.otherwise) {
            (true, _) => self.walk(&branch.body, if is_with { &value } else { dot })?,
            (false, Some(otherwise)) => self.walk(otherwise, dot)?,
            (false, None) => Flow::Next,
        };
        self.variables.truncate(scope);
        Ok(flow)
    }

    fn range(&mut self, branch: &'a Branch, dot: &Value) -> Outcome<Flow> {
        let scope = self.variables.len();
        let value = self.pipe(&branch.pipe, dot)?;
        let turns: Box<dyn Iterator<Item = (Value, Value)>> = match &value {
            Value::List(_, items) => {
                let items = Arc::clone(items);
                Box::new(
                    (0..items.len()).filter_map(move |index| Some((Value::length(index), items.get(index)?.clone()))),
                )
            }
            Value::Map(_, fields) => {
                Box::new(fields.snapshot().into_iter().map(|(key, item)| (Value::text(key), item)))
            }
            Value::Int(..) if branch.pipe.variables.len() > 1 => {
                let what = String::from_utf8_lossy(&plain(&value)).into_owned();
                return Err(self.fault(format_args!("can't use {what} to iterate over more than one variable")));
            }
            Value::Int(kind, count) => {
                let kind = *kind;
                Box::new((0..*count).map(move |index| (Value::Nil, Value::Int(kind, index))))
            }
            Value::Nil => Box::new(std::iter::empty()),
            other => return Err(self.not_iterable(other)),
        };
        let mut is_empty = true;
        for turn in turns {
            is_empty = false;
            if !self.iterate(branch, turn)? {
                break;
            }
        }
        let flow = match &branch.otherwise {
            Some(otherwise) if is_empty => self.walk(otherwise, dot)?,
            _ => Flow::Next,
        };
        self.variables.truncate(scope);
        Ok(flow)
    }

    /// Go shows the value; it may be a secret, so that we show the type of a text.
    fn not_iterable(&self, value: &Value) -> String {
        match value {
            Value::Bool(_) | Value::Float(_) => {
                let shown = String::from_utf8_lossy(&plain(value)).into_owned();
                self.fault(format_args!("range can't iterate over {shown}"))
            }
            other => self.fault(format_args!("range can't iterate over a {}", other.type_name())),
        }
    }

    /// One turn of a range; says whether there is a next.
    fn iterate(&mut self, branch: &'a Branch, (key, item): (Value, Value)) -> Outcome<bool> {
        self.step()?;
        let names = &branch.pipe.variables;
        let values = if names.len() == 2 { vec![key, item.clone()] } else { vec![item.clone()] };
        for (place, (name, value)) in names.iter().zip(values).enumerate() {
            if branch.pipe.is_assign {
                self.assign(name, value);
            } else {
                // The pipeline pushed its variables last.
                let from_top = names.len().saturating_sub(place);
                let at = self.variables.len().saturating_sub(from_top);
                if let Some((_, slot)) = self.variables.get_mut(at) {
                    *slot = value;
                }
            }
        }
        let inner = self.variables.len();
        let flow = self.walk(&branch.body, &item)?;
        self.variables.truncate(inner);
        Ok(flow != Flow::Break)
    }

    fn template(&mut self, call: &'a Call, dot: &Value) -> Outcome<()> {
        self.visit(call.at, call);
        let trees = self.source.trees;
        let Some((name, tree)) = trees.get_key_value(&call.name) else {
            return Err(self.fault(format_args!("template {} not defined", quote(call.name.as_bytes()))));
        };
        if self.depth >= self.limits.depth {
            return Err(self.fault(format_args!("exceeded maximum template depth ({})", self.limits.depth)));
        }
        let value = call.pipe.as_ref().map_or(Ok(Value::Nil), |pipe| self.pipe(pipe, dot))?;
        let variables = std::mem::replace(&mut self.variables, vec![("$", value.clone())]);
        let caller = std::mem::replace(&mut self.name, name);
        self.depth = self.depth.saturating_add(1);
        self.walk(tree, &value)?;
        self.depth = self.depth.saturating_sub(1);
        (self.variables, self.name) = (variables, caller);
        Ok(())
    }

    pub(crate) fn variable(&self, name: &str) -> Option<Value> {
        self.variables.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }

    fn assign(&mut self, name: &str, value: Value) {
        if let Some((_, slot)) = self.variables.iter_mut().rev().find(|(known, _)| *known == name) {
            *slot = value;
        }
    }

    /// A pipeline, with the variables it declares or sets.
    pub(crate) fn pipe(&mut self, pipe: &'a Pipe, dot: &Value) -> Outcome<Value> {
        self.step()?;
        self.visit(pipe.at, pipe);
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, dot, value)?);
        }
        let value = value.unwrap_or_default();
        for name in &pipe.variables {
            if pipe.is_assign {
                self.assign(name, value.clone());
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        Ok(value)
    }

    /// A field of a map, of data that is nil, or of one of sprig's objects. `is_loose` says that Go sees an `interface {}` there.
    pub(crate) fn field(&self, value: &Value, name: &str, is_loose: bool) -> Outcome<Value> {
        let shown = quote(name.as_bytes());
        match value {
            Value::Map(kind, fields) => match (fields.get(name), self.missing_key(), kind) {
                (Some(found), ..) => Ok(found),
                (None, MissingKey::Error, _) => Err(self.fault(format_args!("map has no entry for key {shown}"))),
                (None, MissingKey::Zero, MapKind::Strings) => Ok(Value::text("")),
                (None, ..) => Ok(Value::Nil),
            },
            Value::Nil if is_loose => Err(self.fault(format_args!("nil pointer evaluating interface {{}}.{name}"))),
            Value::Nil if self.missing_key() == MissingKey::Error => {
                Err(self.fault(format_args!("nil data; no entry for key {shown}")))
            }
            Value::Nil => Ok(Value::Nil),
            Value::KeyPair(pair) if name == "Cert" => Ok(Value::Text(pair.cert.clone())),
            Value::KeyPair(pair) if name == "Key" => Ok(Value::Text(pair.key.clone())),
            other => {
                let type_name = if is_loose { "interface {}" } else { other.type_name() };
                Err(self.fault(format_args!("can't evaluate field {name} in type {type_name}")))
            }
        }
    }
}

/// Go shows at most twenty characters of a node.
fn shortened(context: &str) -> String {
    if context.len() > 20 { format!("{}...", context.chars().take(20).collect::<String>()) } else { context.to_owned() }
}
