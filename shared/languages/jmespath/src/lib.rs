//! JMESPath over [`serde_json::Value`] with Kyverno's semantics and functions. Pure: clock, random source and facts are passed in.
//!
//! ```
//! use jmespath::{Context, compile};
//! use model::Timestamp;
//! use serde_json::json;
//!
//! let expression = compile("spec.containers[?image != 'pause'].name | join(',', @)")?;
//! let pod = json!({"spec": {"containers": [{"name": "web", "image": "nginx"}, {"name": "p", "image": "pause"}]}});
//! let context = Context::new(Timestamp::from_millis(0));
//! assert_eq!(expression.search(&pod, &context)?, json!("web"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What differs from plain JMESPath
//! * A missing key is [`EvalError::NotFound`] along a plain path (`a.b.c`), on the right of `&&`, and so at the top. Pipes,
//!   comparisons, `||`, `!`, function arguments, projections and multiselects turn it into null; filters, `[]` and `.*` give
//!   null for any failure on their left. A key of something that is no object (null included) is null.
//! * `sum` and arithmetic work on numbers, quantities (`1.5Gi`) and durations (`1h30m`) alike.
//! * `time_now` gives UTC. `compare` gives a number that compares equal to a literal, which Kyverno's does not.
//! * `values`, `keys` and `.*` keep the order of the object, where Go's order is random.
//!
//! # Limits
//! Expressions are at most 64 KiB long and 256 levels deep. [`Limits`] bounds the steps and the text of one evaluation; past
//! them it ends with [`EvalError::Limit`], whatever the operator around it.
//!
//! # Rooms of their own
//! [`quantity`], [`go_json`], [`go_regex`], [`semver_range`] and [`wildcard`] hold the parts of
//! Kubernetes' and Go's conventions that any policy engine needs, without JMESPath.

#![warn(missing_docs)]
#![deny(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]
#![cfg_attr(
    test,
    allow(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::panic,
        reason = "tests fail by panicking"
    )
)]

mod ast;
mod context;
mod error;
mod functions;
pub mod go_json;
pub mod go_regex;
pub mod go_text;
mod interpret;
mod item;
mod lexer;
mod parser;
pub mod quantity;
pub mod semver_range;
pub mod wildcard;

use std::borrow::Cow;

use serde_json::Value;

pub use context::{Context, Environment, Limits, NoEnvironment};
pub use error::{CompileError, EvalError};
pub use item::{equal, field, is_false, number, weight};
pub use regex::Regex;

/// Variables by their names: what an expression is about, where they do not stand in one object.
pub trait Scope: std::fmt::Debug {
    /// The variable of that name.
    fn variable(&self, name: &str) -> Option<Variable<'_>>;

    /// All of them in one object, for an expression about the input as a whole (`@`).
    fn whole(&self) -> Value;
}

/// What a variable is.
#[derive(Clone, Copy, Debug)]
pub enum Variable<'a> {
    /// A value.
    Value(&'a Value),
    /// An object whose fields do not stand in one value either.
    Scope(&'a dyn Scope),
}

/// A compiled expression; compile once, search often, from any thread.
#[derive(Debug, Clone)]
pub struct Expression {
    root: ast::Node,
    text: String,
}

/// Compiles an expression.
///
/// # Errors
/// When the text breaks the grammar or is too long or too deep; with the byte where.
pub fn compile(text: &str) -> Result<Expression, CompileError> {
    compile_with(text, &mut |pattern| go_regex::compile(pattern).ok())
}

/// As [`compile`], for a caller that keeps compiled regular expressions: `regexes` is asked for each one that stands as a
/// literal in the expression. `None` says that it is broken, which is an error once it is reached.
///
/// # Errors
/// As [`compile`].
pub fn compile_with(text: &str, regexes: &mut dyn FnMut(&str) -> Option<Regex>) -> Result<Expression, CompileError> {
    Ok(Expression { root: parser::parse(text, regexes)?, text: text.to_owned() })
}

impl Expression {
    /// Evaluates on `input`.
    ///
    /// # Errors
    /// [`EvalError::NotFound`] for a missing key where Kyverno has an error; else what a function or a limit refused.
    pub fn search(&self, input: &Value, context: &Context<'_>) -> Result<Value, EvalError> {
        self.search_borrowed(input, context).map(Cow::into_owned)
    }

    /// As [`search`](Self::search), without a copy where the result is a part of `input` or of the expression.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn search_borrowed<'a>(&'a self, input: &'a Value, context: &Context<'_>) -> Result<Cow<'a, Value>, EvalError> {
        self.search_item(&item::Item::Borrowed(input), context)
    }

    /// As [`search_borrowed`](Self::search_borrowed), over variables.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn search_scope<'a>(
        &'a self,
        scope: &'a dyn Scope,
        context: &Context<'_>,
    ) -> Result<Cow<'a, Value>, EvalError> {
        // Most expressions are a path, and lead straight to a value.
        if let ast::Node::Path(keys) = &self.root
            && keys.len() as u64 <= context.limits.max_steps / 2
            && let Some(found) = straight(scope, keys)
        {
            return Ok(Cow::Borrowed(found));
        }
        self.search_item(&item::Item::Scope(scope), context)
    }

    fn search_item<'a>(&'a self, input: &item::Item<'a>, context: &Context<'_>) -> Result<Cow<'a, Value>, EvalError> {
        let evaluation = interpret::Evaluation::new(context, &[]);
        match evaluation.evaluate(&self.root, input)? {
            item::Item::Borrowed(value) => Ok(Cow::Borrowed(value)),
            other => evaluation.own(other).map(Cow::Owned),
        }
    }

    /// The keys of the input that the expression asks for, some perhaps more than once; `None` when it is about the input as
    /// a whole.
    ///
    /// ```
    /// let names = |text: &str| Ok::<_, jmespath::CompileError>(
    ///     jmespath::compile(text)?.keys().map(|keys| keys.join(" ")),
    /// );
    /// assert_eq!(names("a.b[?c == 'd'].e || length(f)")?.as_deref(), Some("a f"));
    /// assert_eq!(names("keys(@)")?, None);
    /// # Ok::<(), jmespath::CompileError>(())
    /// ```
    #[must_use]
    pub fn keys(&self) -> Option<Vec<&str>> {
        let mut keys = Vec::new();
        self.root.keys(&mut keys).then_some(keys)
    }

    /// Leaves literal texts open, those for which `is_given` holds: each [search](Self::search_with) is given others in their
    /// place. The texts come back in the order in which it wants the others.
    pub fn leave_open(&mut self, is_given: &dyn Fn(&str) -> bool) -> Vec<String> {
        let mut taken = Vec::new();
        self.root.give(is_given, &mut taken);
        taken
    }

    /// As [`search`](Self::search), with texts for those that were [left open](Self::leave_open).
    ///
    /// ```
    /// # use {jmespath::{Context, compile}, model::Timestamp, serde_json::json};
    /// let mut expression = compile("[?name == '$name'].image | [0]")?;
    /// assert_eq!(expression.leave_open(&|text| text == "$name"), ["$name"]);
    /// let containers = json!([{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]);
    /// let context = Context::new(Timestamp::from_millis(0));
    /// assert_eq!(expression.search_with(&containers, &context, &[json!("b")])?, json!("y"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn search_with(&self, input: &Value, context: &Context<'_>, given: &[Value]) -> Result<Value, EvalError> {
        let evaluation = interpret::Evaluation::new(context, given);
        evaluation.own(evaluation.evaluate(&self.root, &item::Item::Borrowed(input))?)
    }

    /// As [`search_with`](Self::search_with), over variables.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn search_scope_with(
        &self,
        scope: &dyn Scope,
        context: &Context<'_>,
        given: &[Value],
    ) -> Result<Value, EvalError> {
        let evaluation = interpret::Evaluation::new(context, given);
        evaluation.own(evaluation.evaluate(&self.root, &item::Item::Scope(scope))?)
    }

    /// The text it was compiled from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The value that a path leads to, where it does.
fn straight<'a>(mut scope: &'a dyn Scope, keys: &[String]) -> Option<&'a Value> {
    let mut keys = keys.iter();
    let mut value = loop {
        match scope.variable(keys.next()?)? {
            Variable::Value(value) => break value,
            Variable::Scope(below) => scope = below,
        }
    };
    for key in keys {
        value = field(value.as_object()?, key)?;
    }
    Some(value)
}

/// Names of all functions of this crate, for documentation and for checks of policies.
pub fn function_names() -> impl Iterator<Item = &'static str> {
    functions::names()
}
