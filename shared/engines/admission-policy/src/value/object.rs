//! An object that changes step by step while others still look at what it was.

use std::ops::Deref;
use std::rc::Rc;

use serde_json::Value;

/// An object, borrowed as long as nothing changes it, and shared by all that look at it.
#[derive(Clone, Debug)]
pub(crate) struct Object<'a> {
    given: &'a Value,
    /// What it became.
    made: Option<Rc<Value>>,
}

impl<'a> Object<'a> {
    pub(crate) fn given(value: &'a Value) -> Self {
        Self { given: value, made: None }
    }

    /// The object to be changed: a copy, while others look at it.
    pub(crate) fn make_mut(&mut self) -> &mut Value {
        Rc::make_mut(self.made.get_or_insert_with(|| Rc::new(self.given.clone())))
    }

    /// The value, copied where others look at it.
    pub(crate) fn into_value(self) -> Value {
        self.made.map_or_else(|| self.given.clone(), Rc::unwrap_or_clone)
    }
}

impl Deref for Object<'_> {
    type Target = Value;

    fn deref(&self) -> &Value {
        self.made.as_deref().unwrap_or(self.given)
    }
}

impl From<Value> for Object<'_> {
    fn from(value: Value) -> Self {
        Self { given: &Value::Null, made: Some(Rc::new(value)) }
    }
}
