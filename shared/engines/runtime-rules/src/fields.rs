//! Fields as conditions and outputs use them: with their argument, resolved against the catalogue.

use std::fmt;

use crate::catalogue::{Bracket, FieldId, FieldType};

/// Fields whose argument may follow a dot instead of standing in brackets: `evt.arg.flags`, `k8s.pod.label.app`.
const DOTTED: [FieldId; 11] = [
    FieldId::EvtArg,
    FieldId::EvtRawarg,
    FieldId::EvtTypeIs,
    FieldId::ThreadCgroup,
    FieldId::ContainerLabel,
    FieldId::K8sPodLabel,
    FieldId::K8sNsLabel,
    FieldId::K8sRcLabel,
    FieldId::K8sSvcLabel,
    FieldId::K8sRsLabel,
    FieldId::K8sDeploymentLabel,
];

/// Arguments of calls that are texts; the others are numbers.
const TEXT_ARGUMENTS: [&str; 20] = [
    "name",
    "path",
    "pathname",
    "filename",
    "oldpath",
    "newpath",
    "target",
    "linkpath",
    "special",
    "dev",
    "dir",
    "type",
    "exe",
    "args",
    "env",
    "cwd",
    "comm",
    "trusted_exepath",
    "uargs",
    "data",
];

/// What stands in the brackets of a field, or behind `evt.arg.`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldArgument {
    text: Box<str>,
    index: Option<u32>,
    is_dotted: bool,
}

impl FieldArgument {
    /// An argument as written in brackets.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), index: text.parse().ok(), is_dotted: false }
    }

    fn dotted(text: &str) -> Self {
        Self { is_dotted: true, ..Self::new(text) }
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
    /// The argument, in brackets or behind a dot.
    pub argument: Option<FieldArgument>,
}

impl Field {
    /// Finds a field by name and argument.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn resolve(name: &str, argument: Option<&str>) -> Result<Self, String> {
        for id in DOTTED {
            let last = name.strip_prefix(id.name()).and_then(|rest| rest.strip_prefix('.'));
            let Some(last) = last.filter(|last| !last.is_empty() && FieldId::named(name).is_none()) else { continue };
            if argument.is_some() {
                return Err(format!("filter error: field '{name}' forbids an argument"));
            }
            return Ok(Self { id, argument: Some(FieldArgument::dotted(last)) });
        }
        let id = FieldId::named(name).ok_or_else(|| format!("filter_check called with nonexistent field {name}"))?;
        Self::checked(id, name, argument)
    }

    /// How its values compare: those of `evt.rawarg` as the argument of the call does that it names.
    #[must_use]
    pub fn value_type(&self) -> FieldType {
        let named = self.argument.as_ref().map(FieldArgument::text).unwrap_or_default();
        match self.id {
            FieldId::EvtRawarg if TEXT_ARGUMENTS.contains(&named) => FieldType::Path,
            id => id.field_type(),
        }
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
            (Some(argument), id) if argument.is_dotted => write!(f, "{}.{}", id.name(), argument.text()),
            (Some(argument), id) => write!(f, "{}[{}]", id.name(), argument.text()),
        }
    }
}
