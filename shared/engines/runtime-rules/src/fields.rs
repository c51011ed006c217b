//! Fields as conditions and outputs use them: with their argument, resolved against the catalogue.

use std::fmt;

use crate::catalogue::{Bracket, FieldId};

/// What stands in the brackets of a field, or behind `evt.arg.`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldArgument {
    text: Box<str>,
    index: Option<u32>,
}

impl FieldArgument {
    /// An argument as written.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), index: text.parse().ok() }
    }

    /// As written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As a number, for indexed fields such as `proc.aname[2]`.
    #[must_use]
    pub fn index(&self) -> Option<u32> {
        self.index
    }
}

/// A field with its argument. Prints as outputs name it: `proc.aname[2]`, `evt.arg.flags`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Field {
    /// The field.
    pub id: FieldId,
    /// The argument in brackets, or the last part of `evt.arg.<name>`.
    pub argument: Option<FieldArgument>,
}

impl Field {
    /// Finds a field by name and argument.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn resolve(name: &str, argument: Option<&str>) -> Result<Self, String> {
        // `evt.arg.flags` is the field `evt.arg` with the argument `flags`.
        for (prefix, id) in [("evt.arg.", FieldId::EvtArg), ("evt.rawarg.", FieldId::EvtRawarg)] {
            if let (Some(last), None) = (name.strip_prefix(prefix), argument) {
                return Ok(Self { id, argument: Some(FieldArgument::new(last)) });
            }
        }
        if let Some(event_type) = name.strip_prefix("evt.type.is.") {
            return Self::checked(FieldId::EvtTypeIs, name, Some(event_type));
        }
        let id = FieldId::named(name).ok_or_else(|| format!("filter_check called with nonexistent field {name}"))?;
        Self::checked(id, name, argument)
    }

    fn checked(id: FieldId, name: &str, argument: Option<&str>) -> Result<Self, String> {
        match (id.bracket(), argument) {
            (Bracket::No, Some(_)) => Err(format!("filter error: field '{name}' forbids an argument")),
            (Bracket::Must, None) => Err(format!("filter error: field '{name}' requires an argument")),
            (_, argument) => Ok(Self { id, argument: argument.map(FieldArgument::new) }),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.argument, self.id) {
            (None, id) => f.write_str(id.name()),
            (Some(argument), FieldId::EvtArg | FieldId::EvtRawarg) => {
                write!(f, "{}.{}", self.id.name(), argument.text())
            }
            (Some(argument), id) => write!(f, "{}[{}]", id.name(), argument.text()),
        }
    }
}
