//! The variables by their names: those of the request, and above them those that rules put there for a while.

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::{Map, Value};

/// Variables, the later ones hiding earlier ones of the same name.
#[derive(Debug, Default)]
pub(super) struct Variables<'a> {
    /// What stays for the whole request.
    base: Map<String, Value>,
    locals: Vec<(Cow<'a, str>, Rc<Value>)>,
}

impl<'a> Variables<'a> {
    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.local(name).or_else(|| jmespath::field(&self.base, name))
    }

    /// The value of a variable that was [put](Self::put) there for a while.
    pub(super) fn local(&self, name: &str) -> Option<&Value> {
        self.locals.iter().rev().find(|(known, _)| known == name).map(|(_, value)| &**value)
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

    /// Edits what `request` holds, for good: that of the whole request, and one that hides it.
    pub(super) fn edit_request(&mut self, edit: impl Fn(&mut Map<String, Value>)) {
        let hiding = self.locals.iter_mut().rev().find(|(name, _)| name == "request");
        let hiding = hiding.and_then(|(_, value)| Rc::make_mut(value).as_object_mut());
        let own = self.base.get_mut("request").and_then(Value::as_object_mut);
        own.into_iter().chain(hiding).for_each(edit);
    }
}

impl jmespath::Scope for Variables<'_> {
    fn variable(&self, name: &str) -> Option<&Value> {
        self.get(name)
    }

    fn whole(&self) -> Value {
        let mut whole = self.base.clone();
        for (name, value) in &self.locals {
            whole.insert(name.as_ref().to_owned(), Value::clone(value));
        }
        Value::Object(whole)
    }
}
