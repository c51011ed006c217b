//! The Common Expression Language with the Kubernetes extensions, as an interpreter of our own. Pure: no clock, no I/O.
//!
//! ```
//! use cel::{Limits, Program, Val, Variables};
//! use serde_json::json;
//!
//! let program = Program::compile("object.spec.containers.all(c, has(c.image) && !c.image.endsWith(':latest'))")?;
//! let pod = json!({"spec": {"containers": [{"image": "nginx:1.27"}]}});
//! let host = Variables::new().with("object", Val::from_json(&pod));
//! assert_eq!(program.evaluate(&host, Limits::default())?.as_bool(), Some(true));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it has
//! The standard macros and functions; optionals (`.?`, `[?]`, `optional.of`, `optMap`); `cel.bind`; comprehensions with two
//! variables and `transformList`/`transformMap`/`transformMapEntry`; the extensions strings, lists, sets, math, encoders and
//! regex; the Kubernetes libraries for lists, regular expressions, quantities, semantic versions, addresses, networks, URLs
//! and named formats; `Object{}` and `JSONPatch{}`. Numbers compare across their types. `orValue` on a plain value is that value.
//!
//! # What it has not
//! A type checker: types are checked as values meet. [`Program::check`] finds unknown variables and functions beforehand.
//! Time zones are UTC or an offset such as `+02:00`.
//!
//! # The host
//! A [`Host`] lends variables, functions and constructed types; an [`Object`] is a value with fields and methods of the
//! host, such as a lazy `variables` or a lookup `resource`. JSON goes in by reference ([`Val::from_json`]) and is never copied.
//!
//! # Limits
//! Expressions are at most 256 KiB long and 128 levels deep; [`Limits::max_cost`] bounds the work of one evaluation.

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

mod arithmetic;
mod ast;
mod check;
mod comprehension;
mod error;
mod evaluate;
mod functions;
mod host;
mod lexer;
mod macros;
mod net;
mod parser;
mod signatures;
mod text;
mod types;
mod value;

pub use check::Declarations;
pub use error::{CompileError, EvalError};
pub use host::{Host, Limits, Variables};
pub use net::{Cidr, Ip, Url};
pub use value::{Key, List, Map, Object, Struct, Text, Val};

/// What an expression has to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Anything.
    Any,
    /// A boolean.
    Bool,
    /// A string.
    Text,
}

/// A compiled expression; compile once, evaluate often, from any thread.
#[derive(Debug, Clone)]
pub struct Program {
    root: ast::Node,
    text: String,
}

impl Program {
    /// Compiles an expression.
    ///
    /// # Errors
    /// When the text breaks the grammar or is too long or too deep; with line and column.
    pub fn compile(text: &str) -> Result<Self, CompileError> {
        Ok(Self { root: parser::parse(text)?, text: text.to_owned() })
    }

    /// Looks for variables and functions that nothing declares, and for operators and functions that take no values of the
    /// types that they are given, as far as those are known.
    ///
    /// # Errors
    /// The first such place.
    pub fn check(&self, declarations: &Declarations<'_>) -> Result<(), CompileError> {
        self.check_as(declarations, Output::Any)
    }

    /// As [`check`](Self::check), for an expression that has to give a value of a type.
    ///
    /// # Errors
    /// The first such place, or that it gives another type.
    pub fn check_as(&self, declarations: &Declarations<'_>, output: Output) -> Result<(), CompileError> {
        check::check(&self.text, &self.root, declarations)?;
        let found = types::infer(&self.text, &self.root, declarations)?;
        let wanted = match output {
            Output::Any => types::Type::Dyn,
            Output::Bool => types::Type::Bool,
            Output::Text => types::Type::Text,
        };
        if found.may_be(wanted) {
            return Ok(());
        }
        let what = format!("the expression gives a {}, and must give a {}", found.name(), wanted.name());
        Err(CompileError::new(&self.text, self.root.at, what))
    }

    /// Evaluates with what `host` lends.
    ///
    /// # Errors
    /// What an operator, a function, the host or the limit refused.
    pub fn evaluate<'a>(&'a self, host: &dyn Host<'a>, limits: Limits) -> Result<Val<'a>, EvalError> {
        evaluate::Evaluation::new(host, limits).evaluate(&self.root)
    }

    /// As [`evaluate`](Self::evaluate), with the cost it came to.
    pub fn evaluate_counted<'a>(&'a self, host: &dyn Host<'a>, limits: Limits) -> (Result<Val<'a>, EvalError>, u64) {
        let evaluation = evaluate::Evaluation::new(host, limits);
        let outcome = evaluation.evaluate(&self.root);
        (outcome, evaluation.cost())
    }

    /// The text it was compiled from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}
