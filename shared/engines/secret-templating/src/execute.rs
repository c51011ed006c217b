//! Rendering.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ast::{Branch, Command, Node, Operand, OperandKind, Pipe, Position};
use crate::format::{print, quote};
use crate::functions;
use crate::value::{Text, Value};
use crate::{Functions, Limits};

/// Why a list of nodes ended.
#[derive(PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

type Outcome<T> = Result<T, String>;

struct State<'a> {
    /// Name that the text was parsed under, and the text, for places.
    source: (&'a str, &'a str),
    name: String,
    trees: &'a BTreeMap<String, Arc<Node>>,
    output: Vec<u8>,
    variables: Vec<(String, Value)>,
    limits: Limits,
    steps: u64,
    depth: u32,
    functions: Functions,
}

/// Renders tree `name` with `data` as dot.
pub(crate) fn render(
    source: (&str, &str),
    (trees, functions): (&BTreeMap<String, Arc<Node>>, Functions),
    data: &Value,
    limits: Limits,
) -> Outcome<Text> {
    let name = source.0;
    let Some(tree) = trees.get(name) else {
        return Err(format!("{name}: {} is an incomplete or empty template", quote(name.as_bytes())));
    };
    let variables = vec![("$".to_owned(), data.clone())];
    let mut state = State {
        source,
        name: name.to_owned(),
        trees,
        output: Vec::new(),
        variables,
        limits,
        steps: 0,
        depth: 0,
        functions,
    };
    state.walk(tree, data)?;
    Ok(Text::new(state.output))
}

impl State<'_> {
    fn fault(&self, at: Position, context: &str, what: &str) -> String {
        let (name, text) = self.source;
        let before = text.get(..at).unwrap_or(text);
        let column = before.rfind('\n').map_or(at, |start| at.saturating_sub(start.saturating_add(1)));
        let line = crate::parser::line(text, at);
        format!("{name}:{line}:{column}: executing {} at <{}>: {what}", quote(self.name.as_bytes()), shortened(context))
    }

    fn step(&mut self) -> Outcome<()> {
        self.steps = self.steps.saturating_add(1);
        if self.steps > self.limits.steps {
            return Err(format!("{}: stopped after {} steps", self.name, self.limits.steps));
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Outcome<()> {
        if self.output.len().saturating_add(bytes.len()) > self.limits.bytes {
            return Err(format!("{}: output exceeds {} bytes", self.name, self.limits.bytes));
        }
        self.output.extend_from_slice(bytes);
        Ok(())
    }

    fn walk(&mut self, node: &Node, dot: &Value) -> Outcome<Flow> {
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
                    self.write(Text::new(print(&value)).expose())?;
                }
            }
            Node::If(branch) | Node::With(branch) => return self.choose(branch, dot, matches!(node, Node::With(_))),
            Node::Range(branch) => self.range(branch, dot)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::Template { at, name, pipe } => self.template((*at, name), pipe.as_ref(), dot)?,
        }
        Ok(Flow::Next)
    }

    fn choose(&mut self, branch: &Branch, dot: &Value, is_with: bool) -> Outcome<Flow> {
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

    fn range(&mut self, branch: &Branch, dot: &Value) -> Outcome<()> {
        let scope = self.variables.len();
        let value = self.pipe(&branch.pipe, dot)?;
        let is_empty = match &value {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let key = Value::Int(i64::try_from(index).unwrap_or(i64::MAX));
                    if !self.iterate(branch, (key, item.clone()), scope)? {
                        break;
                    }
                }
                items.is_empty()
            }
            Value::Map(fields) | Value::Strings(fields) => {
                for (key, item) in fields.iter() {
                    if !self.iterate(branch, (Value::text(key), item.clone()), scope)? {
                        break;
                    }
                }
                fields.is_empty()
            }
            Value::Int(count) => {
                for index in 0..*count {
                    if !self.iterate(branch, (Value::Int(index), Value::Int(index)), scope)? {
                        break;
                    }
                }
                *count <= 0
            }
            Value::Nil => true,
            other => {
                let what = format!("range can't iterate over {}", String::from_utf8_lossy(&print(other)));
                // The value may be a secret: Go would show it here, we show its type.
                let what =
                    if matches!(other, Value::Text(_)) { "range can't iterate over a string".to_owned() } else { what };
                return Err(self.fault(branch.pipe.at, &branch.pipe.to_string(), &what));
            }
        };
        self.variables.truncate(scope);
        match &branch.otherwise {
            Some(otherwise) if is_empty => self.walk(otherwise, dot).map(drop),
            _ => Ok(()),
        }
    }

    /// One turn of a range; says whether there is a next.
    fn iterate(&mut self, branch: &Branch, (key, item): (Value, Value), scope: usize) -> Outcome<bool> {
        self.step()?;
        let names = &branch.pipe.variables;
        let values = if names.len() == 2 { vec![key, item.clone()] } else { vec![item.clone()] };
        if branch.pipe.is_assign {
            for (name, value) in names.iter().zip(values) {
                self.assign(name, value);
            }
        } else {
            self.variables.truncate(scope);
            self.variables.extend(names.iter().cloned().zip(values));
        }
        let inner = self.variables.len();
        let flow = self.walk(&branch.body, &item)?;
        self.variables.truncate(inner);
        Ok(flow != Flow::Break)
    }

    fn template(&mut self, (at, name): (Position, &str), pipe: Option<&Pipe>, dot: &Value) -> Outcome<()> {
        let Some(tree) = self.trees.get(name).cloned() else {
            let context = format!("{{{{template {}}}}}", quote(name.as_bytes()));
            return Err(self.fault(at, &context, &format!("template {} not defined", quote(name.as_bytes()))));
        };
        if self.depth >= self.limits.depth {
            let context = format!("{{{{template {}}}}}", quote(name.as_bytes()));
            return Err(self.fault(at, &context, &format!("exceeded maximum template depth ({})", self.limits.depth)));
        }
        let value = pipe.map_or(Ok(Value::Nil), |pipe| self.pipe(pipe, dot))?;
        let variables = std::mem::replace(&mut self.variables, vec![("$".to_owned(), value.clone())]);
        let caller = std::mem::replace(&mut self.name, name.to_owned());
        self.depth = self.depth.saturating_add(1);
        self.walk(&tree, &value)?;
        self.depth = self.depth.saturating_sub(1);
        (self.variables, self.name) = (variables, caller);
        Ok(())
    }

    fn assign(&mut self, name: &str, value: Value) {
        if let Some((_, slot)) = self.variables.iter_mut().rev().find(|(known, _)| known == name) {
            *slot = value;
        }
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Outcome<Value> {
        self.step()?;
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, dot, value)?);
        }
        let value = value.unwrap_or_default();
        // A range declares its variables anew at every turn.
        for name in &pipe.variables {
            if pipe.is_assign {
                self.assign(name, value.clone())
            } else {
                self.variables.push((name.clone(), value.clone()))
            }
        }
        Ok(value)
    }

    fn command(&mut self, command: &Command, dot: &Value, last: Option<Value>) -> Outcome<Value> {
        self.step()?;
        let Some((first, arguments)) = command.operands.split_first() else { return Ok(Value::Nil) };
        if let OperandKind::Function(name) = &first.kind {
            return self.call((first.at, name), (command, arguments), (dot, last));
        }
        if !arguments.is_empty() || last.is_some() {
            let what = match &first.kind {
                OperandKind::Field(names) | OperandKind::Variable(_, names) | OperandKind::Chain(_, names)
                    if !names.is_empty() =>
                {
                    format!(
                        "{} is not a method but has arguments",
                        names.last().map(String::as_str).unwrap_or_default()
                    )
                }
                _ => format!("can't give argument to non-function {first}"),
            };
            return Err(self.fault(first.at, &first.to_string(), &what));
        }
        if matches!(first.kind, OperandKind::Nil) {
            return Err(self.fault(first.at, "nil", "nil is not a command"));
        }
        self.operand(first, dot)
    }

    fn call(
        &mut self,
        (at, name): (Position, &str),
        (command, arguments): (&Command, &[Operand]),
        (dot, last): (&Value, Option<Value>),
    ) -> Outcome<Value> {
        if matches!(name, "and" | "or") {
            return self.logic(name, (command, arguments), (dot, last));
        }
        let mut values = Vec::with_capacity(arguments.len().saturating_add(1));
        for argument in arguments {
            values.push(self.operand(argument, dot)?);
        }
        values.extend(last);
        let value = self.invoke(name, values).map_err(|error| match error {
            functions::CallError::Arity(what) => self.fault(at, name, &what),
            functions::CallError::Failed(what) => {
                self.fault(command.at, &command.to_string(), &format!("error calling {name}: {what}"))
            }
        })?;
        match value.weight() {
            Some(weight) => self.steps = self.steps.saturating_add(weight),
            None => return Err(self.fault(at, name, "value is too large or nested too deeply")),
        }
        Ok(value)
    }

    /// A function of the caller's, or one that is always there.
    fn invoke(&self, name: &str, values: Vec<Value>) -> Result<Value, functions::CallError> {
        let Some((_, want, function)) = self.functions.iter().find(|(known, ..)| *known == name) else {
            return functions::call(name, values, self.limits);
        };
        let got = values.len();
        if got != *want {
            let what = format!("wrong number of args for {name}: want {want} got {got}");
            return Err(functions::CallError::Arity(what));
        }
        function(&values).map_err(functions::CallError::Failed)
    }

    /// `and` and `or` stop at the first argument that decides.
    fn logic(
        &mut self,
        name: &str,
        (command, arguments): (&Command, &[Operand]),
        (dot, last): (&Value, Option<Value>),
    ) -> Outcome<Value> {
        if arguments.is_empty() && last.is_none() {
            return Err(self.fault(
                command.at,
                name,
                &format!("wrong number of args for {name}: want at least 1 got 0"),
            ));
        }
        let mut value = Value::Nil;
        for argument in arguments {
            value = self.operand(argument, dot)?;
            if value.is_true() == (name == "or") {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Outcome<Value> {
        self.step()?;
        match &operand.kind {
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Nil => Ok(Value::Nil),
            OperandKind::Constant(value, _) => Ok(value.clone()),
            OperandKind::Field(names) => self.fields(operand, dot.clone(), names),
            OperandKind::Variable(name, names) => {
                let found =
                    self.variables.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
                self.fields(operand, found.unwrap_or_default(), names)
            }
            OperandKind::Function(name) => self.invoke(name, Vec::new()).map_err(|error| match error {
                functions::CallError::Arity(what) => self.fault(operand.at, name, &what),
                functions::CallError::Failed(what) => {
                    self.fault(operand.at, name, &format!("error calling {name}: {what}"))
                }
            }),
            OperandKind::Pipe(pipe) => {
                let scope = self.variables.len();
                let value = self.pipe(pipe, dot)?;
                self.variables.truncate(scope);
                Ok(value)
            }
            OperandKind::Chain(inner, names) => {
                let value = self.operand(inner, dot)?;
                self.fields(operand, value, names)
            }
        }
    }

    fn fields(&self, operand: &Operand, mut value: Value, names: &[String]) -> Outcome<Value> {
        for name in names {
            let what = match &value {
                Value::Map(fields) | Value::Strings(fields) => match fields.get(name) {
                    Some(found) => {
                        value = found.clone();
                        continue;
                    }
                    None => format!("map has no entry for key {}", quote(name.as_bytes())),
                },
                Value::Nil => format!("nil pointer evaluating interface {{}}.{name}"),
                other => format!("can't evaluate field {name} in type {}", other.type_name()),
            };
            return Err(self.fault(operand.at, &operand.to_string(), &what));
        }
        Ok(value)
    }
}

/// Go shows at most twenty characters of a node.
fn shortened(context: &str) -> String {
    if context.chars().count() > 20 {
        format!("{}...", context.chars().take(20).collect::<String>())
    } else {
        context.to_owned()
    }
}
