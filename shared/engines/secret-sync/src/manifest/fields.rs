//! Reading fields of a manifest: what was read, what is left, and where it stands.

use model::{Fault, FaultKind};
use serde_json::{Map, Value};

use super::Place;

/// One document with its text, for places.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
    pub(super) first_line: u32,
    pub(super) subject: String,
}

impl Source<'_> {
    pub(super) fn place(&self) -> Place {
        Place { file: self.file.to_owned(), line: self.first_line }
    }

    /// A fault at the field that `path` leads to.
    pub(super) fn fault(&self, kind: FaultKind, path: &str, what: impl Into<String>) -> Fault {
        Fault::new(kind, self.file, what).at(self.line_of(path), 0).about(self.subject.clone())
    }

    pub(super) fn invalid(&self, path: &str, what: impl Into<String>) -> Fault {
        self.fault(FaultKind::Invalid, path, what)
    }

    pub(super) fn unsupported(&self, path: &str, remedy: &str) -> Fault {
        self.fault(FaultKind::Unsupported, path, format!("`{path}`")).cure(remedy)
    }

    /// The line of the last name in `path` that is found, each looked for below the one before it.
    fn line_of(&self, path: &str) -> u32 {
        let mut found = 0_usize;
        let lines: Vec<&str> = self.text.lines().collect();
        for name in path.split('.').map(|name| name.split('[').next().unwrap_or(name)) {
            let is_it = |line: &str| {
                let line = line.trim_start_matches([' ', '-', '{', '"', '\'']);
                line.strip_prefix(name).is_some_and(|rest| rest.trim_start_matches(['"', '\'']).starts_with(':'))
            };
            if let Some(offset) = lines.iter().skip(found).position(|line| is_it(line)) {
                found = found.saturating_add(offset);
            }
        }
        self.first_line.saturating_add(u32::try_from(found).unwrap_or(u32::MAX))
    }
}

/// The fields of one object; those that nobody read are reported in the end.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    source: &'a Source<'a>,
    path: String,
    rest: Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// The fields of `value`, which stands at `path`.
    pub(super) fn of(source: &'a Source<'a>, path: &str, value: Value) -> Result<Self, Fault> {
        match value {
            Value::Object(rest) => Ok(Self { source, path: path.to_owned(), rest }),
            Value::Null => Ok(Self { source, path: path.to_owned(), rest: Map::new() }),
            _ => Err(source.invalid(path, format!("`{path}` is no object")).cure("write its fields below it")),
        }
    }

    pub(super) fn path(&self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.rest.shift_remove(name).filter(|value| !value.is_null())
    }

    /// The object at `name`, if there is one.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Self>, Fault> {
        let path = self.path(name);
        self.take(name).map(|value| Self::of(self.source, &path, value)).transpose()
    }

    /// The items of the list at `name`.
    pub(super) fn list(&mut self, name: &str) -> Result<Vec<Value>, Fault> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(self.invalid(name, "is no list").cure("write its items below it, each after `- `")),
        }
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.invalid(name, "is no text").cure("put quotation marks around it")),
        }
    }

    pub(super) fn required(&mut self, name: &str) -> Result<String, Fault> {
        let text = self.text(name)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| self.invalid(name, "is missing").cure("add it"))
    }

    /// The value of `name` among `choices`; the first when it is absent.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, Fault> {
        let Some(text) = self.text(name)?.filter(|text| !text.is_empty()) else {
            return Ok(choices.first().map(|(_, value)| *value));
        };
        match choices.iter().find(|(known, _)| *known == text) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
                let remedy = format!("use one of {}", names.join(", "));
                Err(self.invalid(name, format!("is `{text}`")).cure(remedy))
            }
        }
    }

    /// A fault about field `name`: `` `spec.x` `` and what is wrong with it.
    pub(super) fn invalid(&self, name: &str, what: impl AsRef<str>) -> Fault {
        let path = self.path(name);
        self.source.invalid(&path, format!("`{path}` {}", what.as_ref()))
    }

    /// A fault about field `name`, which has a value that is not built.
    pub(super) fn unsupported(&self, name: &str, remedy: &str) -> Fault {
        self.source.unsupported(&self.path(name), remedy)
    }

    /// Refuses the fields `names`, which are known but not built.
    pub(super) fn refuse(&mut self, names: &[&str], remedy: &str) -> Result<(), Fault> {
        match names.iter().find(|name| self.take(name).is_some()) {
            Some(name) => Err(self.source.unsupported(&self.path(name), remedy)),
            None => Ok(()),
        }
    }

    /// Warns about every field that is left: a misspelt field would otherwise be lost in silence.
    pub(super) fn finish(self, warnings: &mut Vec<Fault>) {
        for name in self.rest.keys() {
            let path = format!("{}.{name}", self.path);
            let what = format!("unknown field `{path}` is ignored");
            warnings.push(self.source.fault(FaultKind::Warning, &path, what).cure("remove it, or correct its name"));
        }
    }
}
