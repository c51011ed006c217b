//! The variables by their names: those of the request, and above them those that rules put there for a while.

use std::borrow::Cow;
use std::rc::Rc;

use jmespath::Variable;
use serde_json::{Map, Value};

use crate::value::Object;

/// Variables, the later ones hiding earlier ones of the same name.
#[derive(Debug)]
pub(super) struct Variables<'a> {
    request: Request<'a>,
    /// What else stays for the whole request.
    base: Map<String, Value>,
    locals: Vec<(Cow<'a, str>, Rc<Value>)>,
}

/// The variable `request`.
#[derive(Debug)]
struct Request<'a> {
    /// Its fields; the object has its place among them.
    fields: Map<String, Value>,
    /// What stands for the object as it is now.
    object: Option<Object<'a>>,
}

impl<'a> Variables<'a> {
    /// Variables of which there is only `request` yet, with its fields and its object as it is now.
    pub(super) fn new(fields: Map<String, Value>, object: Option<Object<'a>>) -> Self {
        Self { request: Request { fields, object }, base: Map::with_capacity(4), locals: Vec::new() }
    }

    /// The value of a variable, copied where it does not stand in one place.
    pub(super) fn get(&self, name: &str) -> Option<Cow<'_, Value>> {
        use jmespath::Scope;
        Some(match self.variable(name)? {
            Variable::Value(value) => Cow::Borrowed(value),
            Variable::Scope(scope) => Cow::Owned(scope.whole()),
        })
    }

    /// What a field of `request` holds.
    pub(super) fn of_request(&self, field: &str) -> Option<&Value> {
        match self.hiding("request") {
            Some(request) => request.get(field),
            None => self.request.field(field),
        }
    }

    /// The value of a variable that was [put](Self::put) there for a while.
    pub(super) fn local(&self, name: &str) -> Option<&Value> {
        self.locals.iter().rev().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// What stands for a variable before all others.
    pub(super) fn hiding(&self, name: &str) -> Option<&Value> {
        self.local(name).or_else(|| jmespath::field(&self.base, name))
    }

    /// Sets a variable for the whole request.
    pub(super) fn keep(&mut self, name: &str, value: Value) {
        self.base.insert(name.to_owned(), value);
    }

    /// Has every variable stay for the whole request.
    pub(super) fn keep_all(&mut self) {
        for (name, value) in self.locals.drain(..) {
            self.base.insert(name.into_owned(), Rc::unwrap_or_clone(value));
        }
    }

    /// Sets a variable until the state is [restored](Self::restore).
    pub(super) fn put(&mut self, name: Cow<'a, str>, value: Rc<Value>) {
        self.locals.push((name, value));
    }

    /// A state to [restore](Self::restore).
    pub(super) fn mark(&self) -> usize {
        self.locals.len()
    }

    /// Forgets what was put there since the state was marked.
    pub(super) fn restore(&mut self, mark: usize) {
        self.locals.truncate(mark);
    }

    /// Replaces `request.object`, for good; also where something else stands for the request.
    pub(super) fn replace_object(&mut self, object: Object<'a>) {
        let local = self.locals.iter_mut().filter(|(name, _)| name == "request");
        let hiding = local.map(|(_, value)| Rc::make_mut(value)).chain(self.base.get_mut("request"));
        for request in hiding.filter_map(Value::as_object_mut) {
            request.insert("object".to_owned(), Value::clone(&object));
        }
        self.request.object = Some(object);
    }

    /// Takes the object away for a while; whether there was one.
    pub(super) fn release_object(&mut self) -> bool {
        self.request.object.take().is_some()
    }

    /// Puts the object back that was taken away; what stands for the request was left alone.
    pub(super) fn give_back_object(&mut self, object: Object<'a>) {
        self.request.object = Some(object);
    }
}

impl Request<'_> {
    fn field(&self, name: &str) -> Option<&Value> {
        match &self.object {
            Some(object) if name == "object" => Some(object),
            _ => jmespath::field(&self.fields, name),
        }
    }
}

impl jmespath::Scope for Variables<'_> {
    fn variable(&self, name: &str) -> Option<Variable<'_>> {
        match self.hiding(name) {
            None if name == "request" => Some(Variable::Scope(&self.request)),
            known => known.map(Variable::Value),
        }
    }

    fn whole(&self) -> Value {
        let mut whole = Map::with_capacity(1 + self.base.len() + self.locals.len());
        whole.insert("request".to_owned(), self.request.whole());
        whole.extend(self.base.clone());
        whole.extend(self.locals.iter().map(|(name, value)| (name.as_ref().to_owned(), Value::clone(value))));
        Value::Object(whole)
    }
}

impl jmespath::Scope for Request<'_> {
    fn variable(&self, name: &str) -> Option<Variable<'_>> {
        self.field(name).map(Variable::Value)
    }

    fn whole(&self) -> Value {
        let mut fields = self.fields.clone();
        if let Some(object) = &self.object {
            fields.insert("object".to_owned(), Value::clone(object));
        }
        Value::Object(fields)
    }
}
