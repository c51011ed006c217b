//! JMESPath queries over the variables; the only place that knows the language crate.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::substitute::{inner, next_variable};
use super::{Context, ContextEntry, EvaluationError};
use crate::limits::Limits;
use crate::platform;
use crate::snapshot::Snapshot;

/// A compiled query.
pub(crate) type Expression = jmespath::Expression;

/// A compiled query, and which variables it may be about.
#[derive(Debug)]
pub(crate) struct Query {
    expression: Expression,
    /// The words in its text that may be names of variables.
    words: Vec<Box<str>>,
    /// A mark for each of them: what is not marked is none.
    marks: u64,
    images: bool,
    platform: bool,
    /// What it finds depends on the request alone.
    pub(super) steady: bool,
}

impl Query {
    fn compile(text: &str, regexes: &mut dyn FnMut(&str) -> Option<jmespath::Regex>) -> Result<Self, String> {
        let expression = jmespath::compile_with(text, regexes).map_err(|error| error.to_string())?;
        let of_request = expression.keys().is_some_and(|keys| keys.iter().all(|key| *key == "request"));
        Ok(Self {
            marks: words(text).fold(0, |marks, word| marks | mark(word)),
            words: words(text).map(Box::from).collect(),
            images: mentions(text, "images"),
            platform: text.contains("biotope") && platform::wants_everything(text),
            steady: of_request && !mentions(text, "random"),
            expression,
        })
    }

    /// Leaves literal texts open for each search to fill.
    pub(super) fn leave_open(&mut self, is_given: &dyn Fn(&str) -> bool) -> Vec<String> {
        self.expression.leave_open(is_given)
    }

    /// Whether the query names the entry's variable.
    fn mentions(&self, entry: &ContextEntry) -> bool {
        let name = entry.name();
        match entry.mark {
            Some(mark) => self.marks & mark != 0 && self.words.iter().any(|word| **word == *name),
            None => mentions(self.expression.text(), name),
        }
    }
}

/// Queries and regular expressions compiled when the policies were loaded.
#[derive(Debug, Default)]
pub(crate) struct ExpressionCache {
    compiled: HashMap<String, Arc<Query>>,
    regexes: HashMap<String, jmespath::Regex>,
}

/// Variables inside variables are followed this deep when policies are loaded.
const MAX_LEARNED: usize = 4;

impl ExpressionCache {
    /// The query of `text`, compiled unless it is there already.
    ///
    /// # Errors
    /// What is wrong with the expression.
    pub(crate) fn add(&mut self, text: &str) -> Result<Arc<Query>, String> {
        if let Some(query) = self.compiled.get(text) {
            return Ok(Arc::clone(query));
        }
        let query = Arc::new(self.compile(text)?);
        self.compiled.insert(text.to_owned(), Arc::clone(&query));
        Ok(query)
    }

    /// A query of its own.
    ///
    /// # Errors
    /// What is wrong with the expression.
    pub(super) fn compile(&mut self, text: &str) -> Result<Query, String> {
        let regexes = &mut self.regexes;
        Query::compile(text, &mut |pattern| remembered(regexes, pattern))
    }

    /// Compiles the regular expressions of queries that hold variables, which can only be compiled during a review.
    pub(crate) fn learn_nested(&mut self, text: &str) {
        let mut text = text.to_owned();
        for _ in 0..MAX_LEARNED {
            let (mut outer, mut from) = (String::new(), 0);
            while let Some(span) = next_variable(&text, from) {
                let regexes = &mut self.regexes;
                let query = inner(text.get(span.start..span.end).unwrap_or_default());
                // Whatever stands for the variable, the patterns beside it are the same.
                let _ = jmespath::compile_with(query, &mut |pattern| remembered(regexes, pattern));
                outer.push_str(text.get(from..span.start).unwrap_or_default());
                outer.push('x');
                from = span.end;
            }
            if from == 0 {
                return;
            }
            outer.push_str(text.get(from..).unwrap_or_default());
            text = outer;
        }
    }
}

fn remembered(regexes: &mut HashMap<String, jmespath::Regex>, pattern: &str) -> Option<jmespath::Regex> {
    if let Some(regex) = regexes.get(pattern) {
        return Some(regex.clone());
    }
    let regex = jmespath::go_regex::compile(pattern).ok()?;
    regexes.insert(pattern.to_owned(), regex.clone());
    Some(regex)
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
        let query = self.compiled(text.trim())?;
        self.query_by(&query)
    }

    /// As [`query`](Self::query), with the compiled query.
    pub(super) fn query_by(&mut self, query: &Query) -> Result<Value, EvaluationError> {
        self.prepare(query);
        self.look(query).map(Cow::into_owned)
    }

    /// Loads what a query names.
    pub(crate) fn prepare(&mut self, query: &Query) {
        if self.deferred.iter().any(|pending| pending.loaded_at.is_none()) {
            self.load_matching(query);
        }
        if query.images {
            self.load_images();
        }
        if query.platform {
            self.load_platform();
        }
    }

    /// Evaluates a query for which everything was [prepared](Self::prepare); the result is borrowed where it is a part of
    /// the variables.
    pub(crate) fn look<'q>(&'q self, query: &'q Query) -> Result<Cow<'q, Value>, EvaluationError> {
        self.refused(query)?;
        query.expression.search_scope(&self.variables, &self.language).map_err(|error| {
            let cause = if error.is_not_found() { self.load_failure(query) } else { None };
            let message = cause.unwrap_or_else(|| ["JMESPath query failed: ", &error.to_string()].concat());
            EvaluationError { not_found: error.is_not_found(), message }
        })
    }

    /// Whether the query names an entry that failed.
    pub(super) fn refused(&self, query: &Query) -> Result<(), EvaluationError> {
        self.refusal(query).map_or(Ok(()), |failure| Err(failure.clone()))
    }

    /// As [`look`](Self::look), with texts for those that the query leaves open; `None` for whatever goes wrong.
    pub(super) fn look_with(&self, query: &Query, given: &[Value]) -> Option<Value> {
        if self.refusal(query).is_some() {
            return None;
        }
        query.expression.search_scope_with(&self.variables, &self.language, given).ok()
    }

    /// Evaluates a query over `value` alone.
    pub(crate) fn search(&mut self, text: &str, value: &Value) -> Result<Value, EvaluationError> {
        let query = self.compiled(text.trim())?;
        self.search_by(&query, value)
    }

    /// As [`search`](Self::search), with the compiled query.
    pub(super) fn search_by(&self, query: &Query, value: &Value) -> Result<Value, EvaluationError> {
        query
            .expression
            .search(value, &self.language)
            .map_err(|error| EvaluationError { not_found: error.is_not_found(), message: error.to_string() })
    }

    fn compiled(&mut self, text: &str) -> Result<Arc<Query>, EvaluationError> {
        if let Some(query) = self.expressions.compiled.get(text).or_else(|| self.memo.get(text)) {
            return Ok(Arc::clone(query));
        }
        let known = &self.expressions.regexes;
        let mut regexes =
            |pattern: &str| known.get(pattern).cloned().or_else(|| jmespath::go_regex::compile(pattern).ok());
        let query = Query::compile(text, &mut regexes)
            .map_err(|error| EvaluationError::new(format!("failed to compile JMESPath: {text}, error: {error}")))?;
        let query = Arc::new(query);
        self.memo.insert(text.to_owned(), Arc::clone(&query));
        Ok(query)
    }

    fn load_matching(&mut self, query: &Query) {
        if self.depth > MAX_LOAD_DEPTH {
            return;
        }
        let mut index = 0;
        while index < self.deferred.len().min(self.horizon) {
            let pending = self.deferred.get(index).filter(|pending| pending.loaded_at.is_none());
            if let Some(entry) = pending.map(|pending| pending.entry).filter(|entry| query.mentions(entry)) {
                let at = self.variables.mark();
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

    /// The failure of an entry that the query names, where no `||` helps. In a test, what nobody stands for is simply not
    /// there; only computing a variable can fail.
    fn refusal(&self, query: &Query) -> Option<&EvaluationError> {
        let tested = self.snapshot.is_all_there_is();
        let mut entries = self.deferred.iter().filter(|pending| !tested || pending.entry.is_variable());
        let failed = entries.find_map(|pending| pending.failure.as_ref().filter(|_| query.mentions(pending.entry)));
        failed.or(self.images_fault.as_ref().filter(|_| query.images))
    }

    /// Why an entry that the query names did not load.
    fn load_failure(&self, query: &Query) -> Option<String> {
        let failed = |entry: &&super::Deferred<'_>| entry.failure.is_some() && query.mentions(entry.entry);
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

/// The mark of a name that is a word: one of 64.
fn mark(word: &str) -> u64 {
    let hash = word.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
    1 << (hash % 64)
}

/// The mark of a variable's name; `None` where it is more than a word.
pub(super) fn mark_of(name: &str) -> Option<u64> {
    name.bytes().all(is_word).then(|| mark(name))
}

fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// Every word that [`mentions`] finds in `text`, of those made of letters, digits and underscores.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let bytes = text.as_bytes();
    let starts = (0..bytes.len()).filter(move |at| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        let starts = before.is_none_or(|byte| !(*byte == b'.' || byte.is_ascii_alphanumeric()));
        starts && bytes.get(*at).is_some_and(|byte| is_word(*byte))
    });
    starts.filter_map(move |start| {
        let length = bytes.get(start..)?.iter().take_while(|byte| is_word(**byte)).count();
        text.get(start..start + length)
    })
}

#[cfg(test)]
mod tests {
    use super::{mentions, words};

    #[test]
    fn words_are_what_is_mentioned() {
        let text = "a.b.c_d || element0.x[?y == 'z w'] | _e.f(images, @) && g-h";
        for name in ["a", "b", "c_d", "d", "element0", "x", "y", "z", "w", "_e", "e", "f", "images", "g", "h", "_d"] {
            assert_eq!(words(text).any(|word| word == name), mentions(text, name), "{name}");
        }
    }
}
