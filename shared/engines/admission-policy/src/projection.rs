//! A part of a global context entry, taken by a JMESPath query.

use jmespath::{Context, Expression, compile};
use model::Timestamp;
use serde_json::Value;

/// A compiled query on the data of an entry.
#[derive(Clone, Debug)]
pub struct Projection(Expression);

impl Projection {
    /// Compiles a query.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn compile(query: &str) -> Result<Self, String> {
        compile(query).map(Self).map_err(|error| error.to_string())
    }

    /// The part of `data`.
    ///
    /// # Errors
    /// Why the query has no answer.
    pub fn of(&self, data: &Value) -> Result<Value, String> {
        self.0.search(data, &Context::new(Timestamp::from_nanos(0))).map_err(|error| error.to_string())
    }
}
