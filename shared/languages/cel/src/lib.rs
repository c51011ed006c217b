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
mod text;
mod value;

pub use check::Declarations;
pub use error::{CompileError, EvalError};
pub use host::{Host, Limits, Variables};
pub use net::{Cidr, Ip, Url};
pub use value::{Key, List, Map, Object, Struct, Text, Val};

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

    /// Looks for variables and functions that nothing declares.
    ///
    /// # Errors
    /// The first such reference.
    pub fn check(&self, declarations: &Declarations<'_>) -> Result<(), CompileError> {
        check::check(&self.text, &self.root, declarations)
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
