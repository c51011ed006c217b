//! The variables of an evaluation: `request`, `images`, `element`, context entries, and what policies write as `{{ }}`.
//!
//! Entries load when something asks for them. What a rule sets lies above what was there, so that each rule and each `foreach`
//! element starts from the same state.

mod entries;
mod images;
pub(crate) mod marks;
mod nested;
mod query;
mod substitute;
mod template;
#[cfg(test)]
mod tests;
mod variables;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::limits::Limits;
use crate::request::{Operation, Request};
use crate::snapshot::{MissingFact, Snapshot};
use crate::value::Object;

pub(crate) use entries::{ContextEntry, answer, compile_entries, is_plural_of, plural_of};
use images::to_variable;
pub(crate) use images::{ImageInfo, extract as extract_images, pod_spec_pointer};
pub(crate) use query::ExpressionCache;
use query::Query;
pub(crate) use substitute::{is_dynamic, only_variable, text_is_dynamic, variables_in};
pub(crate) use template::{ListQuery, Part, Place, TextTemplate, ValueTemplate, Variable, unresolved_at_top};
use variables::Variables;

/// Why a variable or condition could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct EvaluationError {
    pub(crate) message: String,
    /// A key was not there, as opposed to a broken expression.
    pub(crate) not_found: bool,
}

impl EvaluationError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), not_found: false }
    }

    pub(crate) fn within(self, step: &str) -> Self {
        Self { message: [step, ": ", &self.message].concat(), not_found: self.not_found }
    }
}

/// The state of the variables.
pub(crate) struct Context<'a> {
    variables: Variables<'a>,
    /// Lists of the request's object as it is now, by the queries that found them.
    lists: Vec<(usize, Elements)>,
    deferred: Vec<Deferred<'a>>,
    /// While an entry loads, only entries before it can be asked for.
    horizon: usize,
    depth: usize,
    expressions: &'a ExpressionCache,
    memo: BTreeMap<String, Arc<Query>>,
    snapshot: &'a Snapshot,
    deleting: bool,
    kind: String,
    /// `images` belongs to the object as it is now.
    images_known: bool,
    /// The images of the object as it is now, once something asked for them.
    images: Option<Arc<Vec<ImageInfo>>>,
    /// What is wrong with the images: whatever asks for the variable fails.
    images_fault: Option<EvaluationError>,
    /// `biotope` holds the facts.
    platform_known: bool,
    /// Elements are also known by the number of their nesting (`element0`).
    numbered: bool,
    language: jmespath::Context<'a>,
    limits: Limits,
    /// Size of what loaded context entries hold.
    held: u64,
    /// Elements that the rule's `foreach` visited.
    visited: usize,
    missing: Vec<MissingFact>,
}

struct Deferred<'a> {
    entry: &'a ContextEntry,
    /// The state of the variables when it was loaded.
    loaded_at: Option<usize>,
    failure: Option<EvaluationError>,
}

/// A state to come back to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    variables: usize,
    deferred: usize,
    held: u64,
}

/// The elements of a list, each to be a variable.
pub(crate) type Elements = Rc<[Rc<Value>]>;

impl<'a> Context<'a> {
    /// The variables at the start of a request.
    pub(crate) fn new(
        request: &'a Request,
        snapshot: &'a Snapshot,
        (expressions, limits): (&'a ExpressionCache, Limits),
    ) -> Self {
        let object = request.object.as_ref().map(Object::given);
        let mut variables = Variables::new(request.fields(), object);
        let account =
            request.user.username.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        let (namespace, name) = account.unwrap_or_default();
        if request.has_user() {
            variables.keep("serviceAccountName", Value::from(name));
            variables.keep("serviceAccountNamespace", Value::from(namespace));
        }
        if !snapshot.biotope.is_null() {
            // Its functions need no more; the facts themselves are copied when a query asks for them.
            variables.keep("biotope", Value::Object(Map::new()));
        }
        let mut context = Self {
            variables,
            lists: Vec::new(),
            deferred: Vec::new(),
            horizon: usize::MAX,
            depth: 0,
            expressions,
            memo: BTreeMap::new(),
            snapshot,
            deleting: request.operation == Operation::Delete,
            kind: request.kind.kind.clone(),
            images_known: false,
            images: None,
            images_fault: None,
            language: query::language(snapshot, (request.received_at, &request.uid), limits),
            platform_known: false,
            numbered: true,
            limits,
            held: 0,
            visited: 0,
            missing: Vec::new(),
        };
        if let Some(values) = &snapshot.values {
            context.add_variables(&values.variables);
            context.variables.keep_all();
        }
        context
    }

    /// Remembers the state.
    pub(crate) fn mark(&self) -> Mark {
        Mark { variables: self.variables.mark(), deferred: self.deferred.len(), held: self.held }
    }

    /// Goes back to a remembered state.
    pub(crate) fn restore(&mut self, mark: Mark) {
        self.held = mark.held;
        self.deferred.truncate(mark.deferred);
        for entry in &mut self.deferred {
            if entry.loaded_at.is_some_and(|at| at >= mark.variables) {
                (entry.loaded_at, entry.failure) = (None, None);
            }
        }
        self.variables.restore(mark.variables);
    }

    /// Sets a top-level variable.
    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.variables.put(Cow::Owned(key.to_owned()), Rc::new(value));
    }

    /// Sets variables by their dotted names.
    pub(crate) fn add_variables(&mut self, variables: &Map<String, Value>) {
        for (name, value) in variables {
            self.add_variable(name, value.clone());
        }
    }

    /// Sets one variable by its dotted name, next to what is there.
    pub(crate) fn add_variable(&mut self, name: &str, value: Value) {
        let mut parts = name.split('.');
        let Some(first) = parts.next() else { return };
        let mut top = self.variables.get(first).map(Cow::into_owned).unwrap_or_default();
        let mut place = &mut top;
        for part in parts {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            let Some(fields) = place.as_object_mut() else { return };
            place = fields.entry(part.to_owned()).or_insert(Value::Null);
        }
        *place = value;
        self.set(first, top);
    }

    /// Replaces `request.object` for good (a mutation changed it).
    pub(crate) fn replace_object(&mut self, object: Object<'a>) {
        self.variables.replace_object(object);
        self.forget_object();
    }

    /// Has `request.object` looked at no longer, until it is [replaced](Self::replace_object) or
    /// [given back](Self::give_back_object); whether there is one.
    pub(crate) fn release_object(&mut self) -> bool {
        self.variables.release_object()
    }

    /// Gives `request.object` back as it was when it was [released](Self::release_object).
    pub(crate) fn give_back_object(&mut self, object: Object<'a>) {
        self.variables.give_back_object(object);
    }

    /// Copies the platform's facts into `biotope`, which few policies need.
    fn load_platform(&mut self) {
        if !std::mem::replace(&mut self.platform_known, true) && !self.snapshot.biotope.is_null() {
            self.variables.keep("biotope", self.snapshot.biotope.clone());
        }
    }

    /// Begins with a rule, and says whether it knows elements by the number of their nesting too.
    pub(crate) fn begin_rule(&mut self, numbered: bool) {
        self.numbered = numbered;
        self.visited = 0;
    }

    /// Counts the elements of a list that a `foreach` is about to visit.
    pub(crate) fn visit(&mut self, elements: usize) -> Result<(), EvaluationError> {
        let (most, in_all) = (self.limits.max_foreach_elements, self.limits.max_visited_elements);
        if elements > most {
            let what = format!("the list has {elements} elements, and at most {most} are visited");
            return Err(EvaluationError::new(what));
        }
        self.visited = self.visited.saturating_add(elements);
        if self.visited > in_all {
            return Err(EvaluationError::new(format!("the lists of the rule have more than {in_all} elements in all")));
        }
        Ok(())
    }

    /// Whether the rule has visited as many elements as it may.
    pub(crate) fn has_visited_all(&self) -> bool {
        self.visited > self.limits.max_visited_elements
    }

    /// Counts what a context entry is about to hold.
    fn hold(&mut self, value: &Value) -> Result<(), EvaluationError> {
        self.held = self.held.saturating_add(jmespath::weight(value));
        let most = self.limits.max_variable_size;
        if self.held > most {
            return Err(EvaluationError::new(format!("the context entries hold more than {most} values")));
        }
        Ok(())
    }

    fn forget_object(&mut self) {
        self.lists.clear();
        self.images_known = false;
        self.images = None;
        self.images_fault = None;
    }

    /// The images of `object`, which is the one of the request as it is now.
    pub(crate) fn images_of(&mut self, object: &Value) -> Arc<Vec<ImageInfo>> {
        let kind = &self.kind;
        Arc::clone(self.images.get_or_insert_with(|| Arc::new(extract_images(object, kind))))
    }

    /// Computes `images`, which few policies ask for.
    fn load_images(&mut self) {
        if std::mem::replace(&mut self.images_known, true) {
            return;
        }
        let part = |key: &str| self.variables.of_request(key).filter(|object| object.is_object());
        let named = part("object").or_else(|| part("oldObject"));
        let fault = named.and_then(|object| images::fault(object, &self.kind)).map(EvaluationError::new);
        let images = match (&self.images, part("object")) {
            (Some(known), Some(_)) if self.variables.hiding("request").is_none() => Arc::clone(known),
            (_, Some(object)) => Arc::new(extract_images(object, &self.kind)),
            (_, None) => Arc::new(part("oldObject").map(|old| extract_images(old, &self.kind)).unwrap_or_default()),
        };
        let images = (!images.is_empty()).then(|| to_variable(&images));
        // A value given for the variable stays.
        if self.variables.local("images").is_some() {
            return;
        }
        self.images_fault = fault;
        if let Some(images) = images {
            self.variables.keep("images", images);
        }
    }

    /// Sets `element` and `elementIndex`, and their numbered twins.
    pub(crate) fn set_element(&mut self, element: &Rc<Value>, index: usize, nesting: usize) {
        let index = Rc::new(Value::from(index));
        if self.numbered {
            self.variables.put(Cow::Owned(format!("element{nesting}")), Rc::clone(element));
            self.variables.put(Cow::Owned(format!("elementIndex{nesting}")), Rc::clone(&index));
        }
        self.variables.put(Cow::Borrowed("element"), Rc::clone(element));
        self.variables.put(Cow::Borrowed("elementIndex"), index);
    }

    /// Declares context entries; they load when asked for. Entries that a value stands for are left out, unless they are calls that
    /// somebody may have answered.
    pub(crate) fn declare(&mut self, entries: &'a [ContextEntry]) {
        let mocked = self.snapshot.values.is_some();
        let answered = !self.snapshot.http_answers.is_empty();
        for entry in entries {
            let stands = mocked && !entry.is_variable() && !(answered && entry.is_call());
            let given = stands && self.variables.get(entry.name()).is_some();
            if !given {
                self.deferred.push(Deferred { entry, loaded_at: None, failure: None });
            }
        }
    }

    /// How far the evaluation may go.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// The facts at hand.
    pub(crate) fn snapshot(&self) -> &'a Snapshot {
        self.snapshot
    }

    /// Notes a fact that was needed and is not at hand.
    pub(crate) fn note_missing(&mut self, fact: MissingFact) -> EvaluationError {
        let error = EvaluationError::new(fact.to_string());
        self.missing.push(fact);
        error
    }

    /// Takes the notes of missing facts.
    pub(crate) fn take_missing(&mut self) -> Vec<MissingFact> {
        std::mem::take(&mut self.missing)
    }
}
