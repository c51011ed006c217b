//! The parsed template, and how its parts are written in error texts.

use std::fmt;
use std::sync::Arc;

use crate::number::Constant;

/// Byte offset in the template.
pub(crate) type Position = usize;

#[derive(Debug)]
pub(crate) enum Node {
    List(Vec<Node>),
    Text(Vec<u8>),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Break,
    Continue,
    Template(Call),
}

#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) pipe: Pipe,
    pub(crate) body: Box<Node>,
    pub(crate) otherwise: Option<Box<Node>>,
}

/// `{{template "name" pipe}}`.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) at: Position,
    pub(crate) name: String,
    pub(crate) pipe: Option<Pipe>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{template {}", crate::format::quote(self.name.as_bytes()))?;
        if let Some(pipe) = &self.pipe {
            write!(f, " {pipe}")?;
        }
        f.write_str("}}")
    }
}

#[derive(Debug, Default)]
pub(crate) struct Pipe {
    pub(crate) at: Position,
    pub(crate) is_assign: bool,
    pub(crate) variables: Vec<String>,
    pub(crate) commands: Vec<Command>,
}

#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) at: Position,
    pub(crate) operands: Vec<Operand>,
}

#[derive(Debug)]
pub(crate) struct Operand {
    pub(crate) at: Position,
    pub(crate) kind: OperandKind,
}

#[derive(Debug)]
pub(crate) enum OperandKind {
    Dot,
    Nil,
    /// A constant with its text.
    Constant(Constant, String),
    Field(Vec<String>),
    Variable(String, Vec<String>),
    Function(String),
    Pipe(Arc<Pipe>),
    /// Fields of what an operand in parentheses yields.
    Chain(Box<Operand>, Vec<String>),
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields =
            |f: &mut fmt::Formatter<'_>, names: &[String]| names.iter().try_for_each(|name| write!(f, ".{name}"));
        match &self.kind {
            OperandKind::Dot => f.write_str("."),
            OperandKind::Nil => f.write_str("nil"),
            OperandKind::Constant(_, text) | OperandKind::Function(text) => f.write_str(text),
            OperandKind::Field(names) => fields(f, names),
            OperandKind::Variable(name, names) => {
                f.write_str(name)?;
                fields(f, names)
            }
            OperandKind::Pipe(pipe) => write!(f, "({pipe})"),
            OperandKind::Chain(operand, names) => {
                write!(f, "{operand}")?;
                fields(f, names)
            }
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        join(f, &self.operands, " ")
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            let sign = if self.is_assign { " = " } else { " := " };
            write!(f, "{}{sign}", self.variables.join(", "))?;
        }
        join(f, &self.commands, " | ")
    }
}

fn join<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T], separator: &str) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}
