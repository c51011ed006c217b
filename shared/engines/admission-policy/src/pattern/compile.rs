//! A pattern tree with its anchors parsed and its keys in the order they are judged.

use serde_json::{Number, Value};

use super::anchor::{self, Anchor};
use super::leaf::Text;
use crate::value::wildcard;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    Map(Map),
    Array(Vec<Pattern>),
    Text(Text),
    Number(Number),
    Bool(bool),
    Null,
}

/// A map pattern; anchors come first, then keys with anchors below them, then the others.
#[derive(Clone, Debug)]
pub(crate) struct Map {
    pub(crate) entries: Vec<Entry>,
    /// Keys may hold wildcards (below `metadata.labels` and `metadata.annotations`).
    pub(crate) wildcard_keys: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) anchor: Option<Anchor>,
    /// The key without its anchor.
    pub(crate) key: String,
    pub(crate) pattern: Pattern,
}

impl Entry {
    /// Whether the key is judged before those without an anchor.
    pub(crate) fn is_judged_first(&self) -> bool {
        self.anchor.is_some_and(Anchor::is_judged_first)
    }
}

impl Pattern {
    /// The pattern `*`: the key is there and not null.
    pub(crate) fn is_star(&self) -> bool {
        matches!(self, Self::Text(text) if text.raw() == "*")
    }

    /// The pattern as text, for messages.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Text(text) => text.raw().to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Bool(flag) => flag.to_string(),
            Self::Null => "<nil>".to_owned(),
            Self::Map(_) => "map".to_owned(),
            Self::Array(_) => "list".to_owned(),
        }
    }
}

/// Compiles a pattern. Depth is bounded by the reader of the policy.
pub(crate) fn compile(pattern: &Value) -> Pattern {
    compile_in(pattern, Surroundings::Other)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Surroundings {
    Other,
    Metadata,
    Labels,
    /// Labels under an anchored key: as in Kyverno, only texts count there. Under a plain key others are refused with the policy.
    AnchoredLabels,
}

impl Surroundings {
    fn below(self, key: &str) -> Self {
        match (self, key) {
            (_, "metadata") => Self::Metadata,
            (Self::Metadata, "labels" | "annotations") => Self::Labels,
            _ => Self::Other,
        }
    }

    fn under(self, anchor: Option<Anchor>) -> Self {
        if self == Self::Labels && anchor.is_some() { Self::AnchoredLabels } else { self }
    }
}

fn compile_in(pattern: &Value, place: Surroundings) -> Pattern {
    match pattern {
        Value::Null => Pattern::Null,
        Value::Bool(flag) => Pattern::Bool(*flag),
        Value::Number(number) => Pattern::Number(number.clone()),
        Value::String(text) => Pattern::Text(Text::compile(text)),
        Value::Array(items) => Pattern::Array(items.iter().map(|item| compile_in(item, Surroundings::Other)).collect()),
        Value::Object(fields) => Pattern::Map(map(fields, place)),
    }
}

fn map(fields: &serde_json::Map<String, Value>, place: Surroundings) -> Map {
    let counts = |value: &Value| place != Surroundings::AnchoredLabels || value.is_string();
    let mut keys: Vec<&String> = fields.iter().filter(|(_, value)| counts(value)).map(|(key, _)| key).collect();
    keys.sort();
    let judged_first = |key: &str| anchor::parse(key).is_some_and(|(anchor, _)| anchor.is_judged_first());
    let mut order: Vec<&String> = keys.iter().copied().filter(|key| judged_first(key)).collect();
    let mut plain = std::collections::VecDeque::new();
    for key in keys.iter().copied().filter(|key| !judged_first(key)) {
        let global = matches!(anchor::parse(key), Some((Anchor::Global, _)));
        if global || fields.get(key).is_some_and(has_anchors) {
            plain.push_front(key);
        } else {
            plain.push_back(key);
        }
    }
    order.extend(plain);
    let entry = |key: &String| {
        let (anchor, bare) = match anchor::parse(key) {
            // `+()` has no meaning in a validation: the key is taken literally.
            Some((anchor, bare)) if anchor != Anchor::AddIfAbsent => (Some(anchor), bare),
            _ => (None, key.as_str()),
        };
        let below = place.below(anchor::bare(key)).under(anchor);
        let pattern = compile_in(fields.get(key).unwrap_or(&Value::Null), below);
        Entry { anchor, key: bare.to_owned(), pattern }
    };
    let entries: Vec<Entry> = order.into_iter().map(entry).collect();
    let in_labels = matches!(place, Surroundings::Labels | Surroundings::AnchoredLabels);
    let wildcard_keys = in_labels && entries.iter().any(|entry| wildcard::is_wildcard(&entry.key));
    Map { entries, wildcard_keys }
}

fn has_anchors(value: &Value) -> bool {
    let is_anchor = |key: &String| anchor::parse(key).is_some_and(|(anchor, _)| anchor.is_conditional());
    match value {
        Value::Object(fields) => fields.iter().any(|(key, value)| is_anchor(key) || has_anchors(value)),
        Value::Array(items) => items.iter().any(has_anchors),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
