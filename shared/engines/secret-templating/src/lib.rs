//! Go's `text/template`, with the functions that External Secrets adds.
//!
//! ```text
//! text -> lexer -> parser -> Template (unknown functions are errors here) -> render(data, limits) -> text
//! ```
//!
//! Templates come from people who may not be trusted: steps, output and nesting are bounded, and no function reads the host, the
//! network, the clock or chance: moment and entropy are arguments. A missing key is an error, as External Secrets sets it. Values are
//! wiped when they are dropped.

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
mod crypto;
mod dict;
mod evaluate;
mod execute;
mod format;
mod functions;
mod lexer;
mod number;
mod parser;
mod quoted;
mod target;
mod time;
mod value;
mod version;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use execute::MissingKey;
pub use functions::names as function_names;
pub use target::{Decoding, Scope, Target, TargetError, apply, parse_yaml_or_text};
pub use value::{Text, Value};

/// How much one rendering may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nodes evaluated. Default 1,000,000.
    pub steps: u64,
    /// Bytes of output, and of any value on the way. Default 4 MiB.
    pub bytes: usize,
    /// Templates within templates. Default 50.
    pub depth: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 1_000_000, bytes: 4 << 20, depth: 50 }
    }
}

/// What templates may learn of the world. Functions that need what is absent fail and say so.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Environment {
    /// Nanoseconds since 1970 in UTC, for `now`, `ago` and certificates.
    pub now_unix_ns: Option<i64>,
    /// Chance, for passwords, keys, certificates and key stores. Never give the same twice: what is drawn from it would repeat.
    pub entropy: Option<[u8; 32]>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").field("now_unix_ns", &self.now_unix_ns).finish_non_exhaustive()
    }
}

/// A template cannot be parsed or rendered. The text names places and types, as Go's does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template: {0}")]
pub struct TemplateError(String);

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    name: String,
    text: Text,
    trees: BTreeMap<String, Arc<ast::Node>>,
    missing_key: MissingKey,
    functions: Functions,
}

/// Functions that a caller adds: name, number of arguments, and what it does. They come before those of the same name.
pub type Functions = &'static [(&'static str, usize, fn(&[Value]) -> Result<Value, String>)];

impl Template {
    /// Parses `text`, with the delimiters `{{` and `}}`.
    ///
    /// # Errors
    /// In Go's words, with the line.
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        Self::parse_with(name, text, ("{{", "}}"))
    }

    /// Parses `text` with other delimiters; an empty one stands for its default.
    ///
    /// # Errors
    /// As [`Template::parse`].
    pub fn parse_with(name: &str, text: &str, (left, right): (&str, &str)) -> Result<Self, TemplateError> {
        let or = |given: &str, default: &str| if given.is_empty() { default.to_owned() } else { given.to_owned() };
        let delimiters = (or(left, "{{"), or(right, "}}"));
        let trees = parser::parse(name, text, (&delimiters.0, &delimiters.1), &[]).map_err(TemplateError)?;
        Ok(Self::new((name, text), trees, &[]))
    }

    /// Parses `text`, which may call `functions` besides those that are always there.
    ///
    /// # Errors
    /// As [`Template::parse`].
    pub fn parse_with_functions(name: &str, text: &str, functions: Functions) -> Result<Self, TemplateError> {
        let trees = parser::parse(name, text, ("{{", "}}"), functions).map_err(TemplateError)?;
        Ok(Self::new((name, text), trees, functions))
    }

    fn new((name, text): (&str, &str), trees: BTreeMap<String, Arc<ast::Node>>, functions: Functions) -> Self {
        Self { name: name.to_owned(), text: Text::from(text), trees, missing_key: MissingKey::default(), functions }
    }

    /// Says what a missing key yields; an error unless told otherwise.
    #[must_use]
    pub fn with_missing_key(self, missing_key: MissingKey) -> Self {
        Self { missing_key, ..self }
    }

    /// Renders the template with `data` as dot, knowing neither time nor chance.
    ///
    /// # Errors
    /// In Go's words, with line and column; or names the limit that was reached.
    pub fn render(&self, data: &Value, limits: Limits) -> Result<Text, TemplateError> {
        self.render_in(data, &Environment::default(), limits)
    }

    /// Renders the template with `data` as dot. The same input gives the same output.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn render_in(&self, data: &Value, environment: &Environment, limits: Limits) -> Result<Text, TemplateError> {
        let text = self.text.expose_str();
        let source = execute::Source {
            name: &self.name,
            text: &text,
            trees: &self.trees,
            missing_key: self.missing_key,
            functions: self.functions,
        };
        execute::render(source, data, environment, limits).map_err(TemplateError)
    }
}
