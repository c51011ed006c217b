//! Rendering: commands, operands, and what a function's parameters accept.

use crate::ast::{Command, Operand, OperandKind};
use crate::execute::{Outcome, State};
use crate::functions::{self, Function, Parameter};
use crate::number::Constant;
use crate::value::{IntKind, ListKind, MapKind, Value};

/// A function of the caller's.
type AddedFunction = fn(&[Value]) -> Result<Value, String>;

/// Where arguments of a command come from: its own operands, and the value of the stage before.
struct Given<'a> {
    operands: &'a [Operand],
    last: Option<Value>,
}

impl<'a> State<'a> {
    /// A command; `last` is the value of the stage before it.
    pub(crate) fn command(&mut self, command: &'a Command, dot: &Value, last: Option<Value>) -> Outcome<Value> {
        self.step()?;
        let Some((first, operands)) = command.operands.split_first() else { return Ok(Value::Nil) };
        let has_arguments = !operands.is_empty() || last.is_some();
        match &first.kind {
            OperandKind::Function(name) => {
                self.visit(first.at, first);
                let value = self.call((name, (command.at, command)), Given { operands, last }, dot)?;
                return Ok(value);
            }
            OperandKind::Field(names) => {
                self.visit(first.at, first);
                return self.chain((dot.clone(), false), names, Given { operands, last }, dot);
            }
            OperandKind::Chain(inner, names) => {
                self.visit(first.at, first);
                if matches!(inner.kind, OperandKind::Nil) {
                    return Err(self.fault(format_args!("indirection through explicit nil in {first}")));
                }
                let value = self.operand(inner, dot)?;
                return self.chain((value, false), names, Given { operands, last }, dot);
            }
            OperandKind::Variable(name, names) if !names.is_empty() => {
                self.visit(first.at, first);
                let value = self.variable(name).unwrap_or_default();
                return self.chain((value, false), names, Given { operands, last }, dot);
            }
            OperandKind::Variable(..) | OperandKind::Dot | OperandKind::Constant(..) | OperandKind::Nil => {
                self.visit(first.at, first);
            }
            OperandKind::Pipe(_) => {}
        }
        if has_arguments {
            return Err(self.fault(format_args!("can't give argument to non-function {first}")));
        }
        if matches!(first.kind, OperandKind::Nil) {
            return Err(self.fault("nil is not a command"));
        }
        match &first.kind {
            OperandKind::Pipe(pipe) => self.pipe(pipe, dot),
            _ => self.operand(first, dot),
        }
    }

    /// Fields of a value; the last may be a method with arguments.
    fn chain(
        &mut self,
        (mut value, mut is_loose): (Value, bool),
        names: &'a [String],
        given: Given<'a>,
        dot: &Value,
    ) -> Outcome<Value> {
        let Some((last_name, first_names)) = names.split_last() else { return Ok(value) };
        for name in first_names {
            let next = self.method_or_field((&value, is_loose), name, Vec::new())?;
            is_loose = matches!(value, Value::Map(MapKind::Any, _));
            value = next;
        }
        let mut arguments = Vec::new();
        if functions::is_method(&value, last_name) {
            for operand in given.operands {
                arguments.push(self.operand(operand, dot)?);
            }
            arguments.extend(given.last);
        } else if !given.operands.is_empty() || given.last.is_some() {
            return Err(self.fault(match value {
                Value::KeyPair(_) => format!("{last_name} has arguments but cannot be invoked as function"),
                _ => format!("{last_name} is not a method but has arguments"),
            }));
        }
        self.method_or_field((&value, is_loose), last_name, arguments)
    }

    fn method_or_field(
        &mut self,
        (value, is_loose): (&Value, bool),
        name: &str,
        arguments: Vec<Value>,
    ) -> Outcome<Value> {
        if functions::is_method(value, name) {
            return functions::method(value, name, &arguments).map_err(|what| self.fault(what));
        }
        self.field(value, name, is_loose)
    }

    fn call(
        &mut self,
        (name, (at, node)): (&'a str, (usize, &'a dyn std::fmt::Display)),
        given: Given<'a>,
        dot: &Value,
    ) -> Outcome<Value> {
        if let Some((_, want, run)) = self.added_functions().iter().find(|(known, ..)| *known == name) {
            return self.call_added((name, *want, *run), (at, node), given, dot);
        }
        let Some(function) = functions::find(name) else {
            return Err(self.fault(format_args!("{name:?} is not a defined function")));
        };
        self.check_count(function, &given)?;
        if matches!(name, "and" | "or") {
            return self.logic(name, given, dot);
        }
        let mut arguments = Vec::with_capacity(given.operands.len().saturating_add(1));
        for (index, operand) in given.operands.iter().enumerate() {
            let value = self.argument(operand, function.parameter(index), dot)?;
            arguments.push(value);
        }
        if let Some(last) = given.last {
            let parameter = function.parameter(arguments.len());
            arguments.push(self.accepted(last, parameter, false)?);
        }
        for argument in &arguments {
            self.weigh(argument)?;
        }
        let most = self.function_call(Vec::new()).limits.bytes;
        let result = (function.run)(&mut self.function_call(arguments));
        let value = result.map_err(|what| {
            self.visit(at, node);
            self.fault(format_args!("error calling {name}: {what}"))
        })?;
        if matches!(&value, Value::Text(text) if text.expose().len() > most) {
            return Err(self.fault(format_args!("{name} returned more than {most} bytes")));
        }
        self.weigh(&value)?;
        Ok(value)
    }

    /// A function of the caller's, whose arguments have no types.
    fn call_added(
        &mut self,
        (name, want, run): (&str, usize, AddedFunction),
        (at, node): (usize, &'a dyn std::fmt::Display),
        given: Given<'a>,
        dot: &Value,
    ) -> Outcome<Value> {
        let mut arguments = Vec::new();
        for operand in given.operands {
            arguments.push(self.argument(operand, Parameter::Any, dot)?);
        }
        arguments.extend(given.last);
        self.visit(at, node);
        if arguments.len() != want {
            let got = arguments.len();
            return Err(self.fault(format_args!("wrong number of args for {name}: want {want} got {got}")));
        }
        let value = run(&arguments).map_err(|what| self.fault(format_args!("error calling {name}: {what}")))?;
        self.weigh(&value)?;
        Ok(value)
    }

    fn weigh(&mut self, value: &Value) -> Outcome<()> {
        match value.weight() {
            Some(weight) => self.spend(weight),
            None => Err(self.fault("value is too large or nested too deeply")),
        }
    }

    fn check_count(&self, function: &Function, given: &Given<'_>) -> Outcome<()> {
        let (name, fixed) = (function.name, function.fixed());
        let count = given.operands.len().saturating_add(usize::from(given.last.is_some()));
        if function.is_variadic() {
            if count < fixed {
                let own = given.operands.len();
                return Err(
                    self.fault(format_args!("wrong number of args for {name}: want at least {fixed} got {own}"))
                );
            }
        } else if count != fixed {
            return Err(self.fault(format_args!("wrong number of args for {name}: want {fixed} got {count}")));
        }
        Ok(())
    }

    /// `and` and `or` stop at the first argument that decides.
    fn logic(&mut self, name: &str, given: Given<'a>, dot: &Value) -> Outcome<Value> {
        let mut value = Value::Nil;
        for operand in given.operands {
            value = self.argument(operand, Parameter::Value, dot)?;
            if value.is_true() == (name == "or") {
                return Ok(value);
            }
        }
        Ok(given.last.unwrap_or(value))
    }

    /// An operand as an argument of a parameter's type.
    fn argument(&mut self, operand: &'a Operand, parameter: Parameter, dot: &Value) -> Outcome<Value> {
        self.visit(operand.at, operand);
        match &operand.kind {
            OperandKind::Constant(constant, text) => self.constant((constant, text), parameter),
            OperandKind::Nil if parameter.takes_nil() => Ok(Value::Nil),
            OperandKind::Nil => Err(self.fault(format_args!("cannot assign nil to {}", parameter.type_name()))),
            OperandKind::Field(_) | OperandKind::Chain(..) | OperandKind::Function(_) | OperandKind::Dot => {
                let value = self.operand(operand, dot)?;
                self.accepted(value, parameter, true)
            }
            OperandKind::Variable(..) | OperandKind::Pipe(_) => {
                let value = self.operand(operand, dot)?;
                self.accepted(value, parameter, false)
            }
        }
    }

    fn constant(&self, (constant, text): (&Constant, &str), parameter: Parameter) -> Outcome<Value> {
        let expected = |what: &str| Err(self.fault(format_args!("expected {what}; found {text}")));
        match (parameter, constant) {
            (Parameter::Any | Parameter::Value, Constant::Bool(value)) => Ok(Value::Bool(*value)),
            (Parameter::Any | Parameter::Value, Constant::Text(value)) => Ok(Value::Text(value.clone())),
            (Parameter::Any | Parameter::Value, Constant::Number(number)) => {
                number.ideal(text).map_err(|what| self.fault(what))
            }
            (Parameter::Text, Constant::Text(value)) => Ok(Value::Text(value.clone())),
            (Parameter::Text, _) => expected("string"),
            (Parameter::Bool, Constant::Bool(value)) => Ok(Value::Bool(*value)),
            (Parameter::Bool, _) => expected("bool"),
            (Parameter::Int, Constant::Number(number)) => {
                number.int.map_or_else(|| expected("integer"), |int| Ok(Value::int(int)))
            }
            (Parameter::Int, _) => expected("integer"),
            (Parameter::Uint, Constant::Number(number)) => number
                .uint
                .map_or_else(|| expected("unsigned integer"), |uint| Ok(Value::Int(IntKind::Uint64, uint.into()))),
            (Parameter::Uint, _) => expected("unsigned integer"),
            (Parameter::Float, Constant::Number(number)) => {
                number.float.map_or_else(|| expected("float"), |float| Ok(Value::Float(float)))
            }
            (Parameter::Float, _) => expected("float"),
            (Parameter::Map | Parameter::Time | Parameter::List | Parameter::KeyPair, _) => {
                Err(self.fault(format_args!("can't handle {text} for arg of type {}", parameter.type_name())))
            }
        }
    }

    /// A value as an argument of a parameter's type. `is_loose` says that Go sees an `interface {}` there.
    fn accepted(&self, value: Value, parameter: Parameter, is_loose: bool) -> Outcome<Value> {
        let fits = match (parameter, &value) {
            (Parameter::Any | Parameter::Value, _) => true,
            (_, Value::Nil) => parameter.takes_nil() && !is_loose,
            (Parameter::Text, Value::Text(_))
            | (Parameter::Bool, Value::Bool(_))
            | (Parameter::Int, Value::Int(IntKind::Int, _))
            | (Parameter::Float, Value::Float(_))
            | (Parameter::Map, Value::Map(MapKind::Any, _))
            | (Parameter::Time, Value::Time(_))
            | (Parameter::List, Value::List(ListKind::Any, _))
            | (Parameter::KeyPair, Value::KeyPair(_)) => true,
            _ => false,
        };
        let expected = parameter.type_name();
        match (&value, fits) {
            (_, true) => Ok(value),
            (Value::Nil, false) if !is_loose => Err(self.fault(format_args!("invalid value; expected {expected}"))),
            (Value::Nil, false) => {
                Err(self.fault(format_args!("wrong type for value; expected {expected}; got interface {{}}")))
            }
            (other, false) => {
                Err(self.fault(format_args!("wrong type for value; expected {expected}; got {}", other.type_name())))
            }
        }
    }

    /// An operand's value, of whatever type.
    fn operand(&mut self, operand: &'a Operand, dot: &Value) -> Outcome<Value> {
        self.step()?;
        if !matches!(operand.kind, OperandKind::Pipe(_)) {
            self.visit(operand.at, operand);
        }
        let none = Given { operands: &[], last: None };
        match &operand.kind {
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Nil => Ok(Value::Nil),
            OperandKind::Constant(constant, text) => self.constant((constant, text), Parameter::Any),
            OperandKind::Field(names) => self.chain((dot.clone(), false), names, none, dot),
            OperandKind::Variable(name, names) => {
                let value = self.variable(name).unwrap_or_default();
                self.chain((value, false), names, none, dot)
            }
            OperandKind::Function(name) => self.call((name, (operand.at, operand)), none, dot),
            OperandKind::Pipe(pipe) => self.pipe(pipe, dot),
            OperandKind::Chain(inner, names) => {
                if matches!(inner.kind, OperandKind::Nil) {
                    return Err(self.fault(format_args!("indirection through explicit nil in {operand}")));
                }
                let value = self.operand(inner, dot)?;
                self.chain((value, false), names, none, dot)
            }
        }
    }
}
