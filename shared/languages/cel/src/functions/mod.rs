//! The functions of the language, its extensions and the Kubernetes libraries.

mod conversion;
mod format;
mod formats;
mod kubernetes;
mod lists;
mod math;
mod network;
mod optional;
mod regex;
mod strings;
mod time;

use std::fmt;

use crate::ast::Call;
use crate::evaluate::{Evaluation, Outcome};
use crate::value::Val;

/// The answer of a function; `None` when it does not take values of these types.
type Answer<'a> = Option<Outcome<'a>>;
type Run = for<'c, 'e, 'a> fn(Invocation<'c, 'e, 'a>, &[Val<'a>]) -> Answer<'a>;

/// What a function may look at besides its arguments.
#[derive(Clone, Copy)]
pub(crate) struct Invocation<'c, 'e, 'a> {
    evaluation: &'c Evaluation<'e, 'a>,
    call: &'a Call,
}

/// A function: its name, and whether it has a receiver.
pub(crate) struct Function {
    name: &'static str,
    style: Style,
    run: Run,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Global,
    Member,
    Both,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const fn global(name: &'static str, run: Run) -> Function {
    Function { name, style: Style::Global, run }
}

const fn member(name: &'static str, run: Run) -> Function {
    Function { name, style: Style::Member, run }
}

const fn both(name: &'static str, run: Run) -> Function {
    Function { name, style: Style::Both, run }
}

const TABLES: [&[Function]; 11] = [
    conversion::FUNCTIONS,
    strings::FUNCTIONS,
    format::FUNCTIONS,
    lists::FUNCTIONS,
    optional::FUNCTIONS,
    math::FUNCTIONS,
    regex::FUNCTIONS,
    time::FUNCTIONS,
    kubernetes::FUNCTIONS,
    network::FUNCTIONS,
    formats::FUNCTIONS,
];

/// The function of this name.
pub(crate) fn find(name: &str, has_receiver: bool) -> Option<&'static Function> {
    let wrong = if has_receiver { Style::Global } else { Style::Member };
    TABLES.iter().flat_map(|table| table.iter()).find(|function| function.name == name && function.style != wrong)
}

/// Calls `function`; types that it does not take may be the host's.
pub(crate) fn run<'a>(
    evaluation: &Evaluation<'_, 'a>,
    call: &'a Call,
    function: &'static Function,
    arguments: &[Val<'a>],
) -> Outcome<'a> {
    match (function.run)(Invocation { evaluation, call }, arguments) {
        Some(outcome) => outcome,
        None => evaluation.host_call(call, &call.name, arguments),
    }
}

fn boolean<'a>(flag: bool) -> Answer<'a> {
    Some(Ok(Val::Bool(flag)))
}

fn int<'a>(value: impl TryInto<i64>) -> Answer<'a> {
    Some(value.try_into().map(Val::Int).map_err(|_| crate::EvalError::Overflow("integer")))
}

fn refuse<'a>(what: impl Into<String>) -> Answer<'a> {
    Some(Err(crate::EvalError::refused(what)))
}
