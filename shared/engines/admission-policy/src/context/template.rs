//! Texts and values of a policy whose variables were found, and their queries compiled, when the policy was loaded.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::nested::NestedQuery;
use super::query::{ExpressionCache, Query};
use super::substitute::{has_reference, inner, is_dynamic, next_variable, unescape};
use super::{Context, Elements, EvaluationError};
use crate::value::go_text;

/// One `{{ variable }}`.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    text: String,
    /// `None` for a query that is broken: it ends in an error when it is reached.
    query: Option<Arc<Query>>,
    /// On a deletion the query is about the old object instead.
    about_object: bool,
}

/// A text that may hold variables.
#[derive(Clone, Debug)]
pub(crate) enum TextTemplate {
    /// None.
    Plain(String),
    /// One, and nothing else: it keeps its type.
    Variable(Variable),
    /// Some, with text around them.
    Parts(Vec<Part>),
    /// As many, in the texts of one query that is everything.
    Nested(Vec<Part>, Arc<NestedQuery>),
}

#[derive(Clone, Debug)]
pub(crate) enum Part {
    Text(String),
    Variable(Variable),
}

/// A value that may hold variables.
#[derive(Clone, Debug)]
pub(crate) enum ValueTemplate {
    Constant(Value),
    Text(TextTemplate),
    List(Vec<ValueTemplate>),
    Map(Vec<(TextTemplate, ValueTemplate)>),
    /// Holds references, which are about the value as a whole.
    Document(Value),
}

/// The list of a `foreach`.
#[derive(Clone, Debug)]
pub(crate) enum ListQuery {
    Query(Variable),
    /// The query itself holds variables.
    Dynamic(String),
}

impl Variable {
    pub(crate) fn new(text: &str, expressions: &mut ExpressionCache) -> Self {
        let text = text.trim();
        Self { text: text.to_owned(), query: expressions.add(text).ok(), about_object: text.contains("request.object") }
    }

    /// The query, as it is asked in this request; `None` when it has to be looked for by its text.
    pub(crate) fn query(&self, context: &Context<'_>) -> Option<&Query> {
        self.query.as_deref().filter(|_| !(self.about_object && context.deleting))
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl Part {
    pub(crate) fn variable(&self) -> Option<&Variable> {
        match self {
            Self::Text(_) => None,
            Self::Variable(variable) => Some(variable),
        }
    }
}

impl TextTemplate {
    pub(crate) fn new(text: &str, expressions: &mut ExpressionCache) -> Self {
        let mut parts = Vec::new();
        let mut from = 0;
        let mut nested = false;
        while let Some(span) = next_variable(text, from) {
            let before = text.get(from..span.start).unwrap_or_default();
            let variable = Variable::new(inner(text.get(span.start..span.end).unwrap_or_default()), expressions);
            if span.start == 0 && span.end == text.len() {
                return Self::Variable(variable);
            }
            if !before.is_empty() {
                nested |= before.contains("{{");
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Variable(variable));
            from = span.end;
        }
        if parts.is_empty() {
            return Self::Plain(unescape(text));
        }
        if let Some(rest) = text.get(from..).filter(|rest| !rest.is_empty()) {
            parts.push(Part::Text(rest.to_owned()));
        }
        if nested {
            expressions.learn_nested(text);
            if let Some(query) = NestedQuery::of(&parts, expressions) {
                return Self::Nested(parts, Arc::new(query));
            }
        }
        Self::Parts(parts)
    }
}

impl ValueTemplate {
    pub(crate) fn new(value: &Value, expressions: &mut ExpressionCache) -> Self {
        if !is_dynamic(value) {
            return Self::Constant(value.clone());
        }
        if has_reference(value) {
            return Self::Document(value.clone());
        }
        Self::of(value, expressions)
    }

    fn of(value: &Value, expressions: &mut ExpressionCache) -> Self {
        match value {
            value if !is_dynamic(value) => Self::Constant(value.clone()),
            Value::String(text) => Self::Text(TextTemplate::new(text, expressions)),
            Value::Array(items) => Self::List(items.iter().map(|item| Self::of(item, expressions)).collect()),
            Value::Object(fields) => {
                let field = |(key, value): (&String, &Value)| {
                    // A key without a variable stays as it is written.
                    let key = match key.contains("{{") {
                        true => TextTemplate::new(key, expressions),
                        false => TextTemplate::Plain(key.clone()),
                    };
                    (key, Self::of(value, expressions))
                };
                Self::Map(fields.iter().map(field).collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::Constant(value.clone()),
        }
    }
}

impl ListQuery {
    pub(crate) fn new(text: &str, expressions: &mut ExpressionCache) -> Self {
        if super::text_is_dynamic(text) {
            return Self::Dynamic(text.to_owned());
        }
        Self::Query(Variable::new(text, expressions))
    }

    /// The query as written.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Query(variable) => variable.text(),
            Self::Dynamic(text) => text,
        }
    }
}

/// A place in a value, kept on the stack until an error needs its text.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    segment: Segment<'a>,
}

#[derive(Clone, Copy)]
enum Segment<'a> {
    /// The part of a rule that the value is.
    Root(&'static str),
    Key(&'a TextTemplate),
    Index(usize),
}

impl Place<'_> {
    /// The place of a part of a rule, such as `mutate/patchStrategicMerge`.
    pub(crate) fn root(name: &'static str) -> Self {
        Self { parent: None, segment: Segment::Root(name) }
    }

    fn render(place: Option<&Self>) -> String {
        let Some(place) = place else { return String::new() };
        let mut text = Self::render(place.parent);
        text.push('/');
        match place.segment {
            Segment::Root(name) => text.push_str(name),
            Segment::Key(TextTemplate::Plain(key)) => text.push_str(key),
            Segment::Key(TextTemplate::Variable(variable)) => text.push_str(variable.text()),
            Segment::Key(TextTemplate::Parts(parts) | TextTemplate::Nested(parts, _)) => {
                parts.iter().for_each(|part| match part {
                    Part::Text(part) => text.push_str(part),
                    Part::Variable(variable) => text.push_str(variable.text()),
                })
            }
            Segment::Index(index) => text.push_str(&index.to_string()),
        }
        text
    }
}

impl Context<'_> {
    /// The value of one variable.
    pub(crate) fn variable_value(&mut self, variable: &Variable) -> Result<Value, EvaluationError> {
        self.value_at(variable, None)
    }

    fn value_at(&mut self, variable: &Variable, place: Option<&Place<'_>>) -> Result<Value, EvaluationError> {
        let Some(query) = variable.query(self) else {
            return self.resolve(variable.text(), &Place::render(place));
        };
        self.prepare(query);
        self.look(query).map(Cow::into_owned).map_err(|error| unresolved(variable, place, error))
    }

    /// The value with its variables replaced.
    pub(crate) fn fill(&mut self, template: &ValueTemplate) -> Result<Value, EvaluationError> {
        self.fill_value(template, None)
    }

    fn fill_value(&mut self, template: &ValueTemplate, place: Option<&Place<'_>>) -> Result<Value, EvaluationError> {
        match template {
            ValueTemplate::Constant(value) => Ok(value.clone()),
            ValueTemplate::Document(value) => self.substitute(value),
            ValueTemplate::Text(text) => self.fill_at(text, place),
            ValueTemplate::List(items) => {
                let mut out = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let here = Place { parent: place, segment: Segment::Index(index) };
                    out.push(self.fill_value(item, Some(&here))?);
                }
                Ok(Value::Array(out))
            }
            ValueTemplate::Map(fields) => {
                let mut out = Map::with_capacity(fields.len());
                for (key, item) in fields {
                    let here = Place { parent: place, segment: Segment::Key(key) };
                    let value = self.fill_value(item, Some(&here))?;
                    let key = match key {
                        TextTemplate::Plain(key) => key.clone(),
                        key => match self.fill_at(key, place)? {
                            Value::String(key) => key,
                            other => go_text::sprint(&other).into_owned(),
                        },
                    };
                    out.insert(key, value);
                }
                Ok(Value::Object(out))
            }
        }
    }

    /// As [`fill`](Self::fill), of a part of a rule.
    pub(crate) fn fill_below(&mut self, root: &Place<'_>, template: &ValueTemplate) -> Result<Value, EvaluationError> {
        self.fill_value(template, Some(root))
    }

    /// The values of the texts in a template, in their order, with their variables replaced; keys are left as they are.
    pub(crate) fn fill_texts(
        &mut self,
        root: &Place<'_>,
        template: &ValueTemplate,
    ) -> Result<Vec<Value>, EvaluationError> {
        let mut values = Vec::new();
        self.fill_texts_in(template, Some(root), &mut values)?;
        Ok(values)
    }

    fn fill_texts_in(
        &mut self,
        template: &ValueTemplate,
        place: Option<&Place<'_>>,
        out: &mut Vec<Value>,
    ) -> Result<(), EvaluationError> {
        match template {
            ValueTemplate::Constant(_) => {}
            ValueTemplate::Text(_) | ValueTemplate::Document(_) => out.push(self.fill_value(template, place)?),
            ValueTemplate::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.fill_texts_in(item, Some(&Place { parent: place, segment: Segment::Index(index) }), out)?;
                }
            }
            ValueTemplate::Map(fields) => {
                for (key, item) in fields {
                    self.fill_texts_in(item, Some(&Place { parent: place, segment: Segment::Key(key) }), out)?;
                }
            }
        }
        Ok(())
    }

    /// The text with its variables replaced; a text that is one variable takes its type.
    fn fill_at(&mut self, text: &TextTemplate, place: Option<&Place<'_>>) -> Result<Value, EvaluationError> {
        let parts = match text {
            TextTemplate::Plain(text) => return Ok(Value::String(text.clone())),
            TextTemplate::Variable(variable) => return self.value_at(variable, place),
            TextTemplate::Parts(parts) => parts,
            TextTemplate::Nested(parts, query) => match self.nested(query) {
                Ok(Some(value)) => return Ok(value),
                Ok(None) | Err(_) => parts,
            },
        };
        let mut out = String::with_capacity(64);
        for part in parts {
            match part {
                Part::Text(part) => out.push_str(part),
                Part::Variable(variable) => self.append(variable, place, &mut out)?,
            }
            if out.len() > self.limits.max_text_bytes {
                return Err(EvaluationError::new(format!("the text at path {} grows too long", Place::render(place))));
            }
        }
        // What was put in, or what stands around it, may be a variable in turn.
        if out.contains("{{") {
            return self.text(&out, &Place::render(place));
        }
        Ok(Value::String(out))
    }

    /// Writes the value of a variable behind `out`.
    pub(crate) fn append(
        &mut self,
        variable: &Variable,
        place: Option<&Place<'_>>,
        out: &mut String,
    ) -> Result<(), EvaluationError> {
        let write = |value: &Value, out: &mut String| match value {
            Value::String(text) => out.push_str(text),
            other => out.push_str(&jmespath::go_json::render(other)),
        };
        let Some(query) = variable.query(self) else {
            write(&self.value_at(variable, place)?, out);
            return Ok(());
        };
        self.prepare(query);
        let value = self.look(query).map_err(|error| unresolved(variable, place, error))?;
        write(&value, out);
        Ok(())
    }

    /// The text with its variables replaced, as text.
    pub(crate) fn fill_text(
        &mut self,
        root: Option<&Place<'_>>,
        text: &TextTemplate,
    ) -> Result<String, EvaluationError> {
        match self.fill_at(text, root)? {
            Value::String(text) => Ok(text),
            other => Ok(jmespath::go_json::render(&other)),
        }
    }

    /// The elements that a list query finds; a single value is a list of one.
    pub(crate) fn elements(&mut self, list: &ListQuery) -> Result<Elements, EvaluationError> {
        match list {
            ListQuery::Dynamic(text) => {
                let text = self.substitute_text(text)?;
                self.query(&text).map(|found| elements(Cow::Owned(found)))
            }
            // A list is asked for as it is written, on a deletion too.
            ListQuery::Query(Variable { query: Some(query), .. }) => {
                self.prepare(query);
                self.elements_of(query)
            }
            ListQuery::Query(variable) => self.query(variable.text()).map(|found| elements(Cow::Owned(found))),
        }
    }

    /// Many policies go through the same lists of the object, which are copied once.
    fn elements_of(&mut self, query: &Arc<Query>) -> Result<Elements, EvaluationError> {
        let steady = query.steady && self.variables.hiding("request").is_none();
        let number = Arc::as_ptr(query).addr();
        if let Some((_, known)) = self.lists.iter().find(|(of, _)| steady && *of == number) {
            self.refused(query)?;
            return Ok(Rc::clone(known));
        }
        let found = elements(self.look(query)?);
        if steady && found.len() <= MAX_KEPT && self.lists.len() < MAX_LISTS {
            self.lists.push((number, Rc::clone(&found)));
        }
        Ok(found)
    }
}

/// Most elements of a list that is kept for the next rule.
const MAX_KEPT: usize = 256;
/// Most lists that are kept.
const MAX_LISTS: usize = 64;

fn elements(found: Cow<'_, Value>) -> Elements {
    match found {
        Cow::Borrowed(Value::Array(items)) => items.iter().cloned().map(Rc::new).collect(),
        Cow::Owned(Value::Array(items)) => items.into_iter().map(Rc::new).collect(),
        other => Rc::from([Rc::new(other.into_owned())]),
    }
}

/// The error of a variable, with its place.
pub(crate) fn unresolved_at_top(variable: &Variable, error: EvaluationError) -> EvaluationError {
    unresolved(variable, None, error)
}

fn unresolved(variable: &Variable, place: Option<&Place<'_>>, error: EvaluationError) -> EvaluationError {
    let path = Place::render(place);
    let message = ["failed to resolve ", variable.text(), " at path ", &path, ": ", &error.message].concat();
    EvaluationError { message, not_found: error.not_found }
}
