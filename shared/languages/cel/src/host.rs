//! What an evaluation gets from its host.

use std::rc::Rc;

use model::Timestamp;

use crate::error::EvalError;
use crate::value::Val;

/// Variables, functions and types that the host lends to an evaluation. Pure: the answers are facts gathered before.
pub trait Host<'a> {
    /// The value of a variable; `None` when there is no such variable.
    fn variable(&self, name: &str) -> Option<Result<Val<'a>, EvalError>>;

    /// Calls a function that this crate does not have. A method gets its receiver as the first argument, a function with a
    /// namespace has it in its name (`generator.apply`). `None` when the host has no such function either.
    fn call(&self, name: &str, arguments: &[Val<'a>]) -> Option<Result<Val<'a>, EvalError>> {
        let _ = (name, arguments);
        None
    }

    /// Checks or replaces a value built as `Name{..}`. Only names that begin with `Object` and `JSONPatch` are known.
    ///
    /// # Errors
    /// When there is no such type.
    fn construct(&self, name: &str, built: Val<'a>) -> Result<Val<'a>, EvalError> {
        if name == "JSONPatch" || name == "Object" || name.starts_with("Object.") {
            return Ok(built);
        }
        Err(EvalError::refused(format!("unknown type '{name}'")))
    }

    /// The time that `now()` and `time.now()` see.
    fn now(&self) -> Option<Timestamp> {
        None
    }
}

/// How far one evaluation may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Nodes evaluated, elements visited, and a tenth of the bytes of text read and made. Default 1,000,000.
    pub max_cost: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_cost: 1_000_000 }
    }
}

/// A host with a fixed set of variables and nothing else.
#[derive(Debug, Default)]
pub struct Variables<'a> {
    entries: Vec<(Rc<str>, Val<'a>)>,
}

impl<'a> Variables<'a> {
    /// No variables.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: Val<'a>) -> Self {
        self.entries.push((Rc::from(name), value));
        self
    }
}

impl<'a> Host<'a> for Variables<'a> {
    fn variable(&self, name: &str) -> Option<Result<Val<'a>, EvalError>> {
        self.entries.iter().rev().find(|(known, _)| known.as_ref() == name).map(|(_, value)| Ok(value.clone()))
    }
}
