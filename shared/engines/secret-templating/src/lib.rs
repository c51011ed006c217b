//! Go's `text/template`, with the functions that External Secrets adds.
//!
//! ```text
//! text -> lexer -> parser -> Template (unknown functions are errors here) -> render(data, limits) -> text
//! ```
//!
//! Templates come from people who may not be trusted: steps, output and nesting are bounded, and no function reads the host, the
//! network, the clock or chance. A missing key is an error, as External Secrets sets it. Values are wiped when they are dropped.

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
mod execute;
mod format;
mod functions;
mod lexer;
mod parser;
mod value;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use functions::names as function_names;
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
        Ok(Self { name: name.to_owned(), text: Text::from(text), trees, functions: &[] })
    }

    /// Parses `text`, which may call `functions` besides those that are always there.
    ///
    /// # Errors
    /// As [`Template::parse`].
    pub fn parse_with_functions(name: &str, text: &str, functions: Functions) -> Result<Self, TemplateError> {
        let trees = parser::parse(name, text, ("{{", "}}"), functions).map_err(TemplateError)?;
        Ok(Self { name: name.to_owned(), text: Text::from(text), trees, functions })
    }

    /// Renders the template with `data` as dot.
    ///
    /// # Errors
    /// In Go's words, with line and column; or names the limit that was reached.
    pub fn render(&self, data: &Value, limits: Limits) -> Result<Text, TemplateError> {
        let source = (self.name.as_str(), &*self.text.expose_str());
        execute::render(source, (&self.trees, self.functions), data, limits).map_err(TemplateError)
    }
}
