//! Matching a resource against a compiled pattern.
//!
//! Nothing is allocated while things match; paths and messages are built on the way back from a mismatch.

use std::collections::BTreeMap;

use serde_json::Value;

use super::anchor::Anchor;
use super::compile::{Entry, Map, Pattern};
use super::leaf;
use crate::value::{Trail, go_text, wildcard};

/// Why a resource does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// Path of the offending element (`/spec/containers/0/image/`); empty when the rule could not be judged.
    pub(crate) path: String,
    /// What differs.
    pub(crate) message: String,
    /// The resource is not meant by the pattern (a condition or global anchor did not hold).
    pub(crate) skip: bool,
}

/// Matches `resource` against `pattern`.
pub(crate) fn matches(resource: &Value, pattern: &Pattern) -> Result<(), Mismatch> {
    let mut judge = Judge { present: BTreeMap::new() };
    judge.element(resource, pattern, Trail::ROOT).map_err(|error| {
        let skip = error.conditional;
        // An anchored key that no part of the resource has makes an ordinary mismatch undecidable.
        let missing = !skip && !error.negation && judge.present.values().any(|present| !present);
        let path = if skip || missing { String::new() } else { error.path };
        Mismatch { path, message: error.message, skip }
    })
}

struct Judge<'p> {
    /// Anchored keys seen so far, and whether some resource map had them.
    present: BTreeMap<(AnchorKind, &'p str), bool>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum AnchorKind {
    Condition,
    Existence,
}

struct Failure {
    path: String,
    message: String,
    conditional: bool,
    negation: bool,
    /// Told by parts none of which is meant, rather than by a condition of their whole.
    of_parts: bool,
}

impl Failure {
    fn plain(path: Trail<'_>, message: String) -> Self {
        Self::at(path.render(), message)
    }

    fn at(path: String, message: String) -> Self {
        Self { path, message, conditional: false, negation: false, of_parts: false }
    }
}

impl<'p> Judge<'p> {
    fn element(&mut self, resource: &Value, pattern: &'p Pattern, path: Trail<'_>) -> Result<(), Failure> {
        match pattern {
            Pattern::Map(map) => {
                let Some(fields) = resource.as_object() else {
                    return Err(structure(resource, path));
                };
                self.note_anchors(map, fields);
                self.map(fields, map, path)
            }
            Pattern::Array(items) => match resource.as_array() {
                Some(elements) => self.array(elements, items, path),
                None => {
                    let path = path.render();
                    let text = ", resource does not satisfy the expected overlay pattern";
                    let message = ["validation rule failed at path ", &path, text].concat();
                    Err(Failure::at(path, message))
                }
            },
            Pattern::Text(_) | Pattern::Number(_) | Pattern::Bool(_) | Pattern::Null => scalar(resource, pattern, path),
        }
    }

    fn note_anchors(&mut self, map: &'p Map, fields: &serde_json::Map<String, Value>) {
        for entry in &map.entries {
            let kind = match entry.anchor {
                Some(Anchor::Condition) => AnchorKind::Condition,
                Some(Anchor::Existence) => AnchorKind::Existence,
                _ => continue,
            };
            let present = self.present.entry((kind, &entry.key)).or_insert(false);
            *present = *present || jmespath::field(fields, &entry.key).is_some();
        }
    }

    fn map(&mut self, fields: &serde_json::Map<String, Value>, map: &'p Map, path: Trail<'_>) -> Result<(), Failure> {
        let anchored = map.entries.partition_point(Entry::is_judged_first);
        self.anchored((fields, map), map.entries.iter().take(anchored), path)?;
        map.entries.iter().skip(anchored).try_for_each(|entry| self.named(fields, (map, entry), path))
    }

    /// Judges the anchored keys of a map, each for itself: what lies below one may not be meant while the others are. Where
    /// none of them is, or a condition does not hold, the map as a whole is not meant.
    fn anchored(
        &mut self,
        (fields, map): (&serde_json::Map<String, Value>, &'p Map),
        entries: impl Iterator<Item = &'p Entry>,
        path: Trail<'_>,
    ) -> Result<(), Failure> {
        let (mut applied, mut condition_fails) = (false, false);
        let mut skipped: Vec<String> = Vec::new();
        for entry in entries {
            match self.named(fields, (map, entry), path) {
                Ok(()) => applied = true,
                Err(error) if error.conditional => {
                    condition_fails |= !error.of_parts;
                    skipped.push(error.message);
                }
                Err(_) if condition_fails => {}
                Err(error) => return Err(error),
            }
        }
        if skipped.is_empty() || (applied && !condition_fails) {
            return Ok(());
        }
        let (path, message) = (path.render(), skipped.join("; "));
        Err(Failure { path, message, conditional: true, negation: false, of_parts: true })
    }

    /// Judges what stands under the key of an entry, or under the key that its wildcards mean.
    fn named(
        &mut self,
        fields: &serde_json::Map<String, Value>,
        (map, entry): (&'p Map, &'p Entry),
        path: Trail<'_>,
    ) -> Result<(), Failure> {
        if map.wildcard_keys && wildcard::is_wildcard(&entry.key) {
            let found = fields.keys().find(|key| wildcard::matches(&entry.key, key));
            return self.entry(fields, entry, found.unwrap_or(&entry.key), path);
        }
        self.entry(fields, entry, &entry.key, path)
    }

    fn entry(
        &mut self,
        fields: &serde_json::Map<String, Value>,
        entry: &'p Entry,
        key: &str,
        path: Trail<'_>,
    ) -> Result<(), Failure> {
        let value = jmespath::field(fields, key);
        let here = path.key(key);
        match (entry.anchor, value) {
            (None | Some(Anchor::AddIfAbsent), _) => self.plain(value, entry, key, path),
            (Some(Anchor::Equality), Some(value)) => self.element(value, &entry.pattern, here),
            (Some(Anchor::Equality | Anchor::Negation | Anchor::Global | Anchor::Existence), None) => Ok(()),
            (Some(Anchor::Negation), Some(_)) => {
                let path = here.render();
                let message = ["negation anchor matched in resource: ", &path, " is not allowed"].concat();
                Err(Failure { negation: true, ..Failure::at(path, message) })
            }
            (Some(Anchor::Condition), None) => Err(Failure {
                path: here.render(),
                message: "conditional anchor mismatch: conditional anchor key doesn't exist in the resource".to_owned(),
                conditional: true,
                negation: false,
                of_parts: false,
            }),
            (Some(Anchor::Condition), Some(value)) => self
                .element(value, &entry.pattern, here)
                .map_err(|error| conditional(error, "conditional anchor mismatch")),
            (Some(Anchor::Global), Some(value)) => {
                self.element(value, &entry.pattern, here).map_err(|error| conditional(error, "global anchor mismatch"))
            }
            (Some(Anchor::Existence), Some(value)) => self.existence(value, &entry.pattern, here),
        }
    }

    fn plain(&mut self, value: Option<&Value>, entry: &'p Entry, key: &str, path: Trail<'_>) -> Result<(), Failure> {
        let value = value.unwrap_or(&Value::Null);
        if entry.pattern.is_star() {
            if value.is_null() {
                return Err(Failure::plain(path, format!("{}/{key} not found", path.render())));
            }
            return Ok(());
        }
        self.element(value, &entry.pattern, path.key(key))
    }

    fn existence(&mut self, value: &Value, pattern: &'p Pattern, path: Trail<'_>) -> Result<(), Failure> {
        let Some(elements) = value.as_array() else {
            let found = go_text::type_name(value);
            let text = format!(
                "invalid resource type {found}: Existence ^ () anchor can be used only on list/array type resource"
            );
            return Err(Failure::plain(path, text));
        };
        let Pattern::Array(patterns) = pattern else {
            let text = "invalid pattern type: Pattern has to be of list to compare against resource";
            return Err(Failure::plain(path, text.to_owned()));
        };
        for one in patterns {
            let found =
                (0..).zip(elements).any(|(index, element)| self.element(element, one, path.index(index)).is_ok());
            if !found {
                return Err(Failure::plain(
                    path,
                    format!("existence anchor validation failed at path {}", path.render()),
                ));
            }
        }
        Ok(())
    }

    fn array(&mut self, elements: &[Value], patterns: &'p [Pattern], path: Trail<'_>) -> Result<(), Failure> {
        match patterns.first() {
            None => Err(Failure::plain(path, "pattern Array empty".to_owned())),
            Some(pattern @ Pattern::Map(_)) => {
                let results = (0..).zip(elements).map(|(index, element)| (index, element, pattern));
                self.each(results, path)
            }
            Some(Pattern::Array(_)) if elements.len() < patterns.len() => Err(Failure {
                path: String::new(),
                message: format!(
                    "validate Array failed, array length mismatch, resource Array len is {} and pattern Array len is {}",
                    elements.len(),
                    patterns.len()
                ),
                conditional: false,
                negation: false,
                of_parts: false,
            }),
            Some(Pattern::Array(_)) => {
                let results =
                    (0..).zip(elements.iter().zip(patterns)).map(|(index, (element, one))| (index, element, one));
                self.each(results, path)
            }
            Some(pattern) => elements.iter().try_for_each(|element| scalar(element, pattern, path)),
        }
    }

    /// Judges each pair; elements that are not meant are left out, unless nothing remains.
    fn each<'v>(
        &mut self,
        pairs: impl Iterator<Item = (usize, &'v Value, &'p Pattern)>,
        path: Trail<'_>,
    ) -> Result<(), Failure> {
        let mut applied = 0_usize;
        let mut skipped: Vec<String> = Vec::new();
        for (index, element, pattern) in pairs {
            match self.element(element, pattern, path.index(index)) {
                Ok(()) => applied += 1,
                Err(error) if error.conditional => skipped.push(error.message),
                Err(error) => return Err(error),
            }
        }
        if applied == 0 && !skipped.is_empty() {
            let (path, message) = (path.render(), skipped.join("; "));
            return Err(Failure { path, message, conditional: true, negation: false, of_parts: true });
        }
        Ok(())
    }
}

fn conditional(error: Failure, prefix: &str) -> Failure {
    Failure {
        path: error.path,
        message: [prefix, ": ", &error.message].concat(),
        conditional: true,
        negation: error.negation,
        of_parts: false,
    }
}

fn structure(resource: &Value, path: Trail<'_>) -> Failure {
    let found = go_text::type_name(resource);
    let path = path.render();
    let message = [
        "pattern and resource have different structures. Path: ",
        &path,
        ". Expected map[string]interface {}, found ",
        found,
    ]
    .concat();
    Failure::at(path, message)
}

/// A scalar pattern applies to every item of a list.
fn scalar(resource: &Value, pattern: &Pattern, path: Trail<'_>) -> Result<(), Failure> {
    let fits = match resource {
        Value::Array(items) => items.iter().all(|item| scalar_matches(item, pattern)),
        _ => scalar_matches(resource, pattern),
    };
    if fits {
        return Ok(());
    }
    let (shown, wanted, path) = (go_text::sprint(resource), pattern.describe(), path.render());
    let message = ["resource value '", &shown, "' does not match '", &wanted, "' at path ", &path].concat();
    Err(Failure::at(path, message))
}

fn scalar_matches(value: &Value, pattern: &Pattern) -> bool {
    match pattern {
        Pattern::Text(text) => text.matches(value),
        Pattern::Number(number) => leaf::number_matches(number, value),
        Pattern::Bool(flag) => value.as_bool() == Some(*flag),
        Pattern::Null => leaf::is_zero(value),
        Pattern::Map(_) => value.is_object(),
        Pattern::Array(_) => false,
    }
}
