//! What can go wrong with an expression.

use std::fmt;

/// An expression that cannot be compiled, with the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    /// Byte offset in the expression.
    pub position: usize,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is wrong, such as ``undeclared reference to 'foo'``.
    pub what: String,
    /// The faulty line.
    source_line: String,
}

impl CompileError {
    pub(crate) fn new(text: &str, position: usize, what: impl Into<String>) -> Self {
        let before = text.get(..position).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let count = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        let line = u32::try_from(before.matches('\n').count()).unwrap_or(u32::MAX).saturating_add(1);
        let source_line = text.get(start..).unwrap_or_default().lines().next().unwrap_or_default().to_owned();
        let column = count(before.get(start..).unwrap_or_default()).saturating_add(1);
        Self { position, line, column, what: what.into(), source_line }
    }
}

impl fmt::Display for CompileError {
    /// In the shape that users of CEL know: the place, the line, and a caret below it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dots = ".".repeat(usize::try_from(self.column.saturating_sub(1)).unwrap_or(0));
        writeln!(f, "ERROR: <input>:{}:{}: {}", self.line, self.column, self.what)?;
        writeln!(f, " | {}", self.source_line)?;
        write!(f, " | {dots}^")
    }
}

impl std::error::Error for CompileError {}

/// An evaluation without a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// A map or an object has no such key.
    #[error("no such key: {0}")]
    NoSuchKey(String),
    /// No variable has this name.
    #[error("no such attribute(s): {0}")]
    NoSuchVariable(String),
    /// An operator or function does not take values of these types; the call, where cel-go names it.
    #[error("no such overload{colon}{0}", colon = if .0.is_empty() { "" } else { ": " })]
    NoSuchOverload(String),
    /// A list index outside the list.
    #[error("index out of bounds: {0}")]
    OutOfBounds(i64),
    /// An integer, time or duration that does not fit its type.
    #[error("{0} overflow")]
    Overflow(&'static str),
    /// Division or modulus by zero.
    #[error("{0} by zero")]
    ByZero(&'static str),
    /// A function refused its arguments.
    #[error("{0}")]
    Refused(String),
    /// A fact that the host does not have.
    #[error("{function}: {what} is not known")]
    Unavailable {
        /// The function that asked.
        function: String,
        /// What it asked for.
        what: String,
    },
    /// A function asked for a fact that the host does not have yet, in the host's words. Loops go on with their other elements, so
    /// that all that is missing is asked for at once, and end in this error all the same.
    #[error("{0}")]
    Missing(String),
    /// The evaluation went past a limit.
    #[error("operation cancelled: actual cost limit exceeded")]
    CostExceeded,
}

impl EvalError {
    /// An operator that takes other types, in the few words of cel-go.
    pub(crate) fn no_overload() -> Self {
        Self::NoSuchOverload(String::new())
    }

    /// A refusal with its reason.
    pub fn refused(what: impl Into<String>) -> Self {
        Self::Refused(what.into())
    }
}
