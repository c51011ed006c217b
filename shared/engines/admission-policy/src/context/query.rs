//! JMESPath queries over the variables; the only place that knows the language crate.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Context, EvaluationError};
use crate::limits::Limits;
use crate::platform;
use crate::snapshot::Snapshot;

/// A compiled query.
pub(crate) type Expression = jmespath::Expression;

/// A compiled query, and which of the variables that are made on demand it names.
#[derive(Debug)]
pub(crate) struct Query {
    expression: Expression,
    images: bool,
    platform: bool,
}

impl Query {
    fn compile(text: &str) -> Result<Self, String> {
        Ok(Self {
            expression: jmespath::compile(text).map_err(|error| error.to_string())?,
            images: mentions(text, "images"),
            platform: text.contains("biotope") && platform::wants_everything(text),
        })
    }
}

/// Queries compiled when the policies were loaded.
#[derive(Debug, Default)]
pub(crate) struct ExpressionCache {
    compiled: HashMap<String, Arc<Query>>,
}

impl ExpressionCache {
    /// Compiles `text` unless it is there already.
    ///
    /// # Errors
    /// What is wrong with the expression.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), String> {
        if !self.compiled.contains_key(text) {
            self.compiled.insert(text.to_owned(), Arc::new(Query::compile(text)?));
        }
        Ok(())
    }
}

/// Context entries may ask for one another this deep.
const MAX_LOAD_DEPTH: usize = 32;

/// The language's context for one request: its time, and a random source seeded by the request.
pub(super) fn language<'s>(
    snapshot: &'s Snapshot,
    (now, seed): (Option<model::Timestamp>, &str),
    limits: Limits,
) -> jmespath::Context<'s> {
    let limits = jmespath::Limits { max_steps: limits.max_query_steps, ..jmespath::Limits::default() };
    let bytes = seed
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    jmespath::Context::new(now.unwrap_or(model::Timestamp::from_nanos(0)))
        .with_environment(snapshot)
        .with_random_seed(bytes)
        .with_limits(limits)
}

impl Context<'_> {
    /// Evaluates a query over all variables, loading the context entries that it names.
    pub(crate) fn query(&mut self, text: &str) -> Result<Value, EvaluationError> {
        let text = text.trim();
        self.load_matching(text);
        let query = self.compiled(text)?;
        if query.images {
            self.load_images();
        }
        if query.platform {
            self.load_platform();
        }
        let root = Value::Object(std::mem::take(&mut self.root));
        let found = self.apply(&query.expression, &root);
        if let Value::Object(root) = root {
            self.root = root;
        }
        found.map_err(|error| match self.load_failure(text) {
            Some(cause) if error.not_found => EvaluationError { message: cause, not_found: true },
            _ => error,
        })
    }

    /// Evaluates a query over `value` alone.
    pub(crate) fn search(&mut self, text: &str, value: &Value) -> Result<Value, EvaluationError> {
        let query = self.compiled(text.trim())?;
        self.apply(&query.expression, value)
    }

    fn apply(&self, expression: &Expression, value: &Value) -> Result<Value, EvaluationError> {
        expression
            .search(value, &self.language)
            .map_err(|error| EvaluationError { not_found: error.is_not_found(), message: error.to_string() })
    }

    fn compiled(&mut self, text: &str) -> Result<Arc<Query>, EvaluationError> {
        if let Some(query) = self.expressions.compiled.get(text).or_else(|| self.memo.get(text)) {
            return Ok(Arc::clone(query));
        }
        let query = Query::compile(text)
            .map_err(|error| EvaluationError::new(format!("failed to compile JMESPath: {text}, error: {error}")))?;
        let query = Arc::new(query);
        self.memo.insert(text.to_owned(), Arc::clone(&query));
        Ok(query)
    }

    fn load_matching(&mut self, text: &str) {
        if self.depth > MAX_LOAD_DEPTH {
            return;
        }
        let mut index = 0;
        while index < self.deferred.len().min(self.horizon) {
            let pending = self.deferred.get(index).filter(|pending| pending.loaded_at.is_none());
            if let Some(entry) = pending.map(|pending| pending.entry).filter(|entry| mentions(text, entry.name())) {
                let at = self.journal.len();
                if let Some(pending) = self.deferred.get_mut(index) {
                    pending.loaded_at = Some(at);
                }
                let horizon = std::mem::replace(&mut self.horizon, index);
                self.depth += 1;
                let failure = self.load(entry).err();
                self.depth -= 1;
                self.horizon = horizon;
                if let Some(pending) = self.deferred.get_mut(index) {
                    pending.failure = failure;
                }
            }
            index += 1;
        }
    }

    /// Why an entry that the query names did not load.
    fn load_failure(&self, text: &str) -> Option<String> {
        let failed = |entry: &&super::Deferred<'_>| entry.failure.is_some() && mentions(text, entry.entry.name());
        self.deferred.iter().rev().find(failed)?.failure.as_ref().map(|failure| failure.message.clone())
    }
}

/// Whether the query names the variable: `x` in `x.y`, but not in `y.x`.
fn mentions(text: &str, name: &str) -> bool {
    if name.is_empty() {
        return false;
    }
    text.match_indices(name).any(|(at, _)| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let after = text.get(at + name.len()..).and_then(|text| text.chars().next());
        let starts = before.is_none_or(|c| !(c == '.' || c.is_ascii_alphanumeric()));
        starts && after.is_none_or(|c| !(c == '_' || c.is_ascii_alphanumeric()))
    })
}
