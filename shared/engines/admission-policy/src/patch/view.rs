//! A patch as it is read: as it was written, or resolved for an object out of parts of what was written.

use serde_json::{Map, Value};

/// A patch for the object at hand, made of parts of the patch as written: nothing is copied until it is put somewhere.
#[derive(Debug)]
pub(crate) enum Resolved<'p> {
    Map(Vec<(&'p str, Resolved<'p>)>),
    List(Vec<Resolved<'p>>),
    Part(&'p Value),
    /// Something of the object.
    Own(Value),
}

/// A look at a patch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum View<'a> {
    Map(Fields<'a>),
    List(Items<'a>),
    Scalar(&'a Value),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fields<'a> {
    Written(&'a Map<String, Value>),
    Resolved(&'a [(&'a str, Resolved<'a>)]),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Items<'a> {
    Written(&'a [Value]),
    Resolved(&'a [Resolved<'a>]),
}

impl Resolved<'_> {
    pub(crate) fn view(&self) -> View<'_> {
        match self {
            Self::Map(fields) => View::Map(Fields::Resolved(fields)),
            Self::List(items) => View::List(Items::Resolved(items)),
            Self::Part(value) => View::from(*value),
            Self::Own(value) => View::from(value),
        }
    }
}

impl<'a> From<&'a Value> for View<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Object(fields) => Self::Map(Fields::Written(fields)),
            Value::Array(items) => Self::List(Items::Written(items)),
            scalar => Self::Scalar(scalar),
        }
    }
}

impl<'a> View<'a> {
    /// What is below a key.
    pub(crate) fn get(self, key: &str) -> Option<Self> {
        match self {
            Self::Map(fields) => fields.get(key),
            Self::List(_) | Self::Scalar(_) => None,
        }
    }

    pub(crate) fn as_str(self) -> Option<&'a str> {
        match self {
            Self::Scalar(value) => value.as_str(),
            Self::Map(_) | Self::List(_) => None,
        }
    }

    pub(crate) fn is_null(self) -> bool {
        matches!(self, Self::Scalar(Value::Null))
    }

    /// Whether this is the value.
    pub(crate) fn equals(self, value: &Value) -> bool {
        match self {
            Self::Scalar(own) => own == value,
            Self::Map(_) | Self::List(_) => self.to_value("") == *value,
        }
    }

    /// A copy without the fields of that name.
    pub(crate) fn to_value(self, left_out: &str) -> Value {
        match self {
            Self::Scalar(value) => value.clone(),
            Self::List(items) => items.iter().map(|item| item.to_value(left_out)).collect(),
            Self::Map(fields) => {
                let mut out = Map::with_capacity(fields.len());
                for (key, value) in fields.iter().filter(|(key, _)| *key != left_out) {
                    out.insert(key.to_owned(), value.to_value(left_out));
                }
                Value::Object(out)
            }
        }
    }
}

impl<'a> Fields<'a> {
    pub(crate) fn get(self, key: &str) -> Option<View<'a>> {
        match self {
            Self::Written(fields) => jmespath::field(fields, key).map(View::from),
            Self::Resolved(fields) => fields.iter().find(|(known, _)| *known == key).map(|(_, value)| value.view()),
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Written(fields) => fields.len(),
            Self::Resolved(fields) => fields.len(),
        }
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = (&'a str, View<'a>)> {
        let (written, resolved) = match self {
            Self::Written(fields) => (Some(fields), &[][..]),
            Self::Resolved(fields) => (None, fields),
        };
        let written = written.into_iter().flatten().map(|(key, value)| (key.as_str(), View::from(value)));
        written.chain(resolved.iter().map(|(key, value)| (*key, value.view())))
    }
}

impl<'a> Items<'a> {
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Written(items) => items.len(),
            Self::Resolved(items) => items.len(),
        }
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = View<'a>> {
        let (written, resolved) = match self {
            Self::Written(items) => (items, &[][..]),
            Self::Resolved(items) => (&[][..], items),
        };
        written.iter().map(View::from).chain(resolved.iter().map(Resolved::view))
    }
}
