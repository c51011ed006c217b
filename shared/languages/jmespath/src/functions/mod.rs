//! The functions: JMESPath's own, Kyverno's, and the caller's.

mod arithmetic;
mod core;
mod encoding;
mod image;
mod objects;
mod order;
mod random;
mod text;
mod time;
mod x509;

use std::fmt;

use serde_json::Value;

use crate::ast::Call;
use crate::error::EvalError;
use crate::go_text;
use crate::interpret::Evaluation;
use crate::item::{Item, number};

type Outcome<'a> = Result<Item<'a>, EvalError>;
type Run = for<'e, 'a> fn(Arguments<'e, 'a>) -> Outcome<'a>;

/// Argument types, as bits.
type Types = u16;
const ANY: Types = 1;
const NUMBER: Types = 2;
const TEXT: Types = 4;
const ARRAY: Types = 8;
const OBJECT: Types = 16;
const NUMBERS: Types = 32;
const TEXTS: Types = 64;
const REFERENCE: Types = 128;

/// A function: its name, the types of its arguments, and what it does. The last argument of a variadic one repeats.
pub(crate) struct Function {
    name: &'static str,
    arguments: &'static [Types],
    variadic: bool,
    run: Run,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const fn function(name: &'static str, arguments: &'static [Types], run: Run) -> Function {
    Function { name, arguments, variadic: false, run }
}

const fn variadic(name: &'static str, arguments: &'static [Types], run: Run) -> Function {
    Function { name, arguments, variadic: true, run }
}

const TABLES: [&[Function]; 9] = [
    core::FUNCTIONS,
    order::FUNCTIONS,
    text::FUNCTIONS,
    arithmetic::FUNCTIONS,
    encoding::FUNCTIONS,
    objects::FUNCTIONS,
    time::FUNCTIONS,
    image::FUNCTIONS,
    random::FUNCTIONS,
];

/// The function of this name.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    TABLES.iter().flat_map(|table| table.iter()).find(|function| function.name == name)
}

/// Names of all functions of this crate.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().flat_map(|table| table.iter()).map(|function| function.name)
}

/// Calls what `call` names.
pub(crate) fn call<'a>(evaluation: &Evaluation<'_>, call: &'a Call, items: Vec<Item<'a>>) -> Outcome<'a> {
    let Some(function) = call.function else {
        let values: Vec<Value> = items.into_iter().map(|item| evaluation.own(item)).collect::<Result<_, _>>()?;
        let answer = evaluation.context.environment.call(&call.name, &values);
        return answer.unwrap_or_else(|| Err(EvalError::UnknownFunction { name: call.name.clone() })).map(Item::Owned);
    };
    check(function, &items)?;
    (function.run)(Arguments { evaluation, call, items })
}

fn check(function: &Function, items: &[Item<'_>]) -> Result<(), EvalError> {
    let expected = function.arguments.len();
    let right = if function.variadic { items.len() >= expected } else { items.len() == expected };
    if !right {
        let (found, variadic) = (items.len(), function.variadic);
        return Err(EvalError::Arity { function: function.name.to_owned(), expected, found, variadic });
    }
    for (index, item) in items.iter().enumerate() {
        let types = function.arguments.get(index).or(function.arguments.last()).copied().unwrap_or(ANY);
        if !fits(item, types) {
            let (function, found) = (function.name.to_owned(), shown(item));
            return Err(EvalError::Type { function, argument: index + 1, found, expected: type_names(types) });
        }
    }
    Ok(())
}

fn fits(item: &Item<'_>, types: Types) -> bool {
    if types & ANY != 0 {
        return true;
    }
    let all = |test: fn(&Value) -> bool| match item {
        Item::List(items) => items.iter().all(|item| item.value().is_some_and(test)),
        other => other.value().and_then(Value::as_array).is_some_and(|values| values.iter().all(test)),
    };
    let is_array = matches!(item, Item::List(_)) || item.value().is_some_and(Value::is_array);
    let is = |test: fn(&Value) -> bool| item.value().is_some_and(test);
    (types & NUMBER != 0 && is(Value::is_number))
        || (types & TEXT != 0 && is(Value::is_string))
        || (types & ARRAY != 0 && is_array)
        || (types & OBJECT != 0 && is(Value::is_object))
        || (types & NUMBERS != 0 && all(Value::is_number))
        || (types & TEXTS != 0 && all(Value::is_string))
        || (types & REFERENCE != 0 && matches!(item, Item::Reference(_)))
}

/// The argument as Go prints it, cut where it is long.
fn shown(item: &Item<'_>) -> String {
    let text = match item {
        Item::Borrowed(value) => go_text::sprint(value).into_owned(),
        Item::Owned(value) => go_text::sprint(value).into_owned(),
        Item::List(items) => format!("[{}]", items.iter().take(SHOWN).map(shown).collect::<Vec<_>>().join(" ")),
        Item::Reference(_) | Item::Scope(_) => "an expression".to_owned(),
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Characters of an argument, and elements of a list, that an error shows.
const SHOWN: usize = 512;

/// The types as go-jmespath lists them.
const fn type_names(types: Types) -> &'static str {
    const TEXT_OR_NUMBER: Types = TEXT | NUMBER;
    const COLLECTION: Types = ARRAY | OBJECT;
    const TEXT_OR_ARRAY: Types = TEXT | ARRAY;
    const SORTABLE: Types = NUMBERS | TEXTS;
    match types {
        NUMBER => "\"number\"",
        TEXT => "\"string\"",
        ARRAY => "\"array\"",
        OBJECT => "\"object\"",
        NUMBERS => "\"array[number]\"",
        TEXTS => "\"array[string]\"",
        REFERENCE => "\"expref\"",
        TEXT_OR_NUMBER => "\"string\", \"number\"",
        COLLECTION => "\"object\", \"array\"",
        TEXT_OR_ARRAY => "\"array\", \"string\"",
        SORTABLE => "\"array[string]\", \"array[number]\"",
        _ => "\"string\", \"array\", \"object\"",
    }
}

/// The checked arguments of one call.
struct Arguments<'e, 'a> {
    evaluation: &'e Evaluation<'e>,
    call: &'a Call,
    items: Vec<Item<'a>>,
}

impl<'a> Arguments<'_, 'a> {
    fn name(&self) -> &'a str {
        &self.call.name
    }

    fn item(&self, index: usize) -> &Item<'a> {
        const NULL: &Item<'static> = &Item::NULL;
        self.items.get(index).unwrap_or(NULL)
    }

    /// Moves an argument out; null stays behind.
    fn take(&mut self, index: usize) -> Item<'a> {
        self.items.get_mut(index).map_or(Item::NULL, |item| std::mem::replace(item, Item::NULL))
    }

    /// The argument as one value; counts the copy.
    fn take_value(&mut self, index: usize) -> Result<Value, EvalError> {
        let item = self.take(index);
        self.evaluation.own(item)
    }

    fn text(&self, index: usize) -> &str {
        self.item(index).value().and_then(Value::as_str).unwrap_or_default()
    }

    fn number(&self, index: usize) -> f64 {
        self.item(index).value().and_then(Value::as_f64).unwrap_or_default()
    }

    /// A text, or a number or boolean in Go's text form.
    fn scalar_text(&self, index: usize) -> String {
        self.item(index).value().and_then(scalar_text).unwrap_or_default()
    }

    fn fail(&self, what: impl Into<String>) -> EvalError {
        EvalError::function(self.name(), what)
    }

    fn unavailable(&self, what: &'static str) -> EvalError {
        EvalError::Unavailable { function: self.name().to_owned(), what }
    }

    /// A text result; counts its bytes.
    fn produce(&self, text: impl Into<String>) -> Outcome<'a> {
        let text = text.into();
        self.evaluation.charge_text(text.len())?;
        Ok(Item::Owned(Value::String(text)))
    }
}

fn boolean<'a>(flag: bool) -> Outcome<'a> {
    Ok(Item::Owned(Value::Bool(flag)))
}

fn numeric<'a>(value: f64) -> Outcome<'a> {
    Ok(Item::Owned(number(value)))
}

/// Texts as they are; numbers and booleans in Go's text form.
fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        // Kyverno prints with 32 bits of precision here.
        #[expect(clippy::cast_possible_truncation, reason = "the precision that Kyverno prints with")]
        Value::Number(number) => number
            .as_i64()
            .map(|whole| whole.to_string())
            .or_else(|| number.as_f64().map(|value| format!("{}", value as f32))),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
