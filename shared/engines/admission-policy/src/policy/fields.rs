//! Fields that a manifest has and its kind does not: they do nothing, which is hardly what their writer meant.

use std::collections::HashMap;

use serde_json::Value;

use crate::yaml::Document;

/// At most so many are told of one document.
const MOST: usize = 20;

/// The fields of every kind; the table says how it is read.
const TABLE: &str = include_str!("fields.txt");

/// The fields that manifests may have.
#[derive(Debug)]
pub(crate) struct Fields {
    types: HashMap<&'static str, Type>,
}

/// The fields of a type, each with the type of what stands there; `None` where anything may.
type Type = Vec<(&'static str, Option<&'static str>)>;

/// A field that the kind does not have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// JSON pointer of what has the field.
    pub(crate) pointer: String,
    /// `spec.rules[0].validate.patern`.
    pub(crate) path: String,
    /// The field that may be meant.
    pub(crate) meant: Option<&'static str>,
}

impl Default for Fields {
    fn default() -> Self {
        let mut types: HashMap<&'static str, Type> = HashMap::new();
        let mut twins = Vec::new();
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            if let Some((kind, other)) = line.split_once(" = ") {
                twins.push((kind, other));
            } else if let Some((name, fields)) = line.split_once(": ") {
                let field = |field: &'static str| match field.split_once(':') {
                    Some((field, below)) => (field, Some(below)),
                    None => (field, None),
                };
                types.insert(name, fields.split(' ').map(field).collect());
            }
        }
        for (kind, other) in twins {
            if let Some(fields) = types.get(other).cloned() {
                types.insert(kind, fields);
            }
        }
        Self { types }
    }
}

impl Fields {
    /// The fields of a manifest that its kind does not have.
    pub(crate) fn unknown(&self, kind: &str, document: &Document) -> Vec<Unknown> {
        let mut found = Vec::new();
        self.walk(&document.value, kind, &mut Vec::new(), &mut found);
        found
    }

    fn walk<'v>(&self, value: &'v Value, kind: &str, trail: &mut Vec<Step<'v>>, found: &mut Vec<Unknown>) {
        let Some(known) = self.types.get(kind) else { return };
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    trail.push(Step::Item(index));
                    self.walk(item, kind, trail, found);
                    trail.pop();
                }
            }
            Value::Object(fields) => {
                for (field, item) in fields {
                    trail.push(Step::Field(field));
                    match known.iter().find(|(known, _)| known == field) {
                        Some((_, Some(below))) => self.walk(item, below, trail, found),
                        Some((_, None)) => {}
                        None if found.len() < MOST => {
                            found.push(Unknown::new(trail, nearest(field, known.iter().map(|(known, _)| *known))))
                        }
                        None => {}
                    }
                    trail.pop();
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// One step from the manifest down to a field.
#[derive(Clone, Copy)]
enum Step<'v> {
    Field(&'v str),
    Item(usize),
}

impl Unknown {
    fn new(trail: &[Step<'_>], meant: Option<&'static str>) -> Self {
        let (mut pointer, mut path) = (String::new(), String::new());
        for step in trail {
            match step {
                Step::Field(field) => {
                    pointer.push_str(&format!("/{field}"));
                    path.push_str(if path.is_empty() { "" } else { "." });
                    path.push_str(field);
                }
                Step::Item(index) => {
                    pointer.push_str(&format!("/{index}"));
                    path.push_str(&format!("[{index}]"));
                }
            }
        }
        Self { pointer, path, meant }
    }
}

/// The known field that is written almost like this one.
pub(crate) fn nearest<'k>(field: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    const FAR: usize = 3;
    let apart = known.map(|known| (distance(&known.to_lowercase(), &field.to_lowercase()), known));
    apart.filter(|(apart, known)| *apart < FAR.min(known.len())).min().map(|(_, known)| known)
}

/// How many letters have to be changed, added or taken away (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (at, letter) in left.chars().enumerate() {
        let mut corner = at;
        let mut last = at + 1;
        for (other, cell) in right.chars().zip(row.iter_mut().skip(1)) {
            let changed = corner + usize::from(letter != other);
            corner = *cell;
            last = changed.min(corner + 1).min(last + 1);
            *cell = last;
        }
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Fields, TABLE, distance};

    #[test]
    fn every_type_that_is_named_is_there() {
        let fields = Fields::default();
        let named = fields.types.values().flatten().filter_map(|(_, below)| *below);
        assert!(named.clone().count() > 100);
        for name in named {
            assert!(fields.types.contains_key(name), "{name}");
        }
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(lines, fields.types.len(), "each name stands for one type");
    }

    #[test]
    fn counts_changed_letters() {
        for (left, right, apart) in
            [("", "", 0), ("pattern", "patern", 1), ("match", "mathc", 2), ("", "abc", 3), ("kitten", "sitting", 3)]
        {
            assert_eq!((distance(left, right), distance(right, left)), (apart, apart), "{left} {right}");
        }
    }
}
