//! What can go wrong with an expression.

/// An expression that breaks the grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} (at byte {position})")]
pub struct CompileError {
    /// Byte offset in the expression where the fault lies.
    pub position: usize,
    /// What is wrong there.
    pub what: String,
}

impl CompileError {
    pub(crate) fn new(position: usize, what: impl Into<String>) -> Self {
        Self { position, what: what.into() }
    }
}

/// An evaluation without a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// A key is missing where Kyverno's fork raises an error instead of giving null.
    #[error("Unknown key \"{key}\" in path")]
    NotFound {
        /// The missing key.
        key: String,
    },
    /// No function has this name.
    #[error("unknown function: {name}")]
    UnknownFunction {
        /// The name called.
        name: String,
    },
    /// A function was called with too many or too few arguments.
    #[error("{}", if *variadic { "Invalid arity." } else { "incorrect number of args" })]
    Arity {
        /// The function.
        function: String,
        /// How many it takes; the least, when it takes any number.
        expected: usize,
        /// How many it was given.
        found: usize,
        /// It takes more, too.
        variadic: bool,
    },
    /// An argument has the wrong type.
    #[error("Invalid type for: {found}, expected: []jmespath.JpType{{{expected}}}")]
    Type {
        /// The function.
        function: String,
        /// Which argument, from 1.
        argument: usize,
        /// The value, as Go prints it.
        found: String,
        /// The types it may have.
        expected: &'static str,
    },
    /// A function refused its arguments.
    #[error("JMESPath function '{function}': {what}")]
    Function {
        /// The function.
        function: String,
        /// Its complaint.
        what: String,
    },
    /// A slice whose step is zero.
    #[error("Invalid slice, step cannot be 0")]
    SliceStep,
    /// A function needs a fact that the caller did not pass in.
    #[error("function `{function}` needs {what}, which this evaluation was not given")]
    Unavailable {
        /// The function.
        function: String,
        /// The missing fact.
        what: &'static str,
    },
    /// The expression went past a limit.
    #[error("the expression exceeds its limit of {what}")]
    Limit {
        /// Which limit.
        what: &'static str,
    },
}

impl EvalError {
    /// Whether this is a missing key, which most operators turn into null.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    pub(crate) fn function(name: &str, what: impl Into<String>) -> Self {
        Self::Function { function: name.to_owned(), what: what.into() }
    }
}
