//! Steps that rename the keys of `dataFrom`, or merge their values: `rewrite`.

use jmespath::go_regex;
use regex::Regex;
use serde_json::{Map, Value};

use crate::keys::Keys;
use crate::provider::vault;
use crate::value::{SecretBytes, SecretJson, to_sorted_json};

/// One step.
#[derive(Clone, Debug)]
pub enum Rewrite {
    /// Replaces what `source` matches in each key by `target`, where `$1` stands for a group.
    Regexp {
        /// What is looked for.
        source: Regex,
        /// What it becomes.
        target: String,
    },
    /// Renders a template for each key; `.value` is the key.
    Transform {
        /// The template.
        template: String,
    },
    /// Merges the JSON objects of all values.
    Merge(Merge),
}

/// How values are merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merge {
    /// The key that gets the merged object as JSON, beside all that were there; empty: the merged fields become the keys.
    pub into: Option<String>,
    /// Keys whose values win, the last most.
    pub priority: Vec<String>,
    /// Whether a key of `priority` may be missing.
    pub may_miss: bool,
    /// Whether a field may stand in two values.
    pub may_conflict: bool,
}

/// Why a step cannot be done. Never holds a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// A value is no JSON object.
    #[error("merge failed with failed to unmarshal JSON: the value of {0:?} is no JSON object")]
    NoObject(String),
    /// Fields stand in two values.
    #[error("merge failed with conflicts: {0}")]
    Conflicts(String),
    /// A key of the priorities is not there.
    #[error("merge failed with key {0:?} not found in input map")]
    NoKey(String),
    /// The template of a step fails.
    #[error("transform failed: {0}")]
    Transform(String),
}

/// Renders the template of a [`Rewrite::Transform`] with a key.
pub type Transformer = fn(&str, &str) -> Result<String, String>;

/// Does the steps in order. Where two keys become one, the later in key order stays.
///
/// # Errors
/// Names the step that fails, and why.
pub fn rewrite(steps: &[Rewrite], keys: Keys, transform: Transformer) -> Result<Keys, (usize, RewriteError)> {
    steps.iter().enumerate().try_fold(keys, |keys, (at, step)| one(step, keys, transform).map_err(|error| (at, error)))
}

fn one(step: &Rewrite, keys: Keys, transform: Transformer) -> Result<Keys, RewriteError> {
    match step {
        Rewrite::Regexp { source, target } => {
            Ok(keys.into_iter().map(|(key, value)| (go_regex::replace_all(source, &key, target), value)).collect())
        }
        Rewrite::Transform { template } => {
            let renamed = keys.into_iter().map(|(key, value)| transform(template, &key).map(|key| (key, value)));
            renamed.collect::<Result<Keys, String>>().map_err(RewriteError::Transform)
        }
        Rewrite::Merge(merge) => merged(merge, keys),
    }
}

fn merged(merge: &Merge, keys: Keys) -> Result<Keys, RewriteError> {
    let mut all = SecretJson::new(Value::Object(Map::new()));
    let mut conflicts = Vec::new();
    let others = keys.keys().filter(|key| !merge.priority.contains(key));
    for key in others.chain(&merge.priority) {
        let Some(value) = keys.get(key) else {
            if merge.may_miss {
                continue;
            }
            return Err(RewriteError::NoKey(key.clone()));
        };
        let no_object = || RewriteError::NoObject(key.clone());
        let Some(Value::Object(fields)) = SecretJson::parse(value.expose()).map(SecretJson::into_inner) else {
            return Err(no_object());
        };
        let Some(all) = all.expose_mut().as_object_mut() else { return Err(no_object()) };
        for (name, value) in fields {
            if all.insert(name.clone(), value).is_some() {
                conflicts.push(name);
            }
        }
    }
    if !conflicts.is_empty() && !merge.may_conflict {
        return Err(RewriteError::Conflicts(conflicts.join(", ")));
    }
    match &merge.into {
        Some(into) => {
            let mut keys = keys;
            keys.insert(into.clone(), SecretBytes::new(to_sorted_json(all.expose())));
            Ok(keys)
        }
        None => {
            let fields = all.expose().as_object().into_iter().flatten();
            Ok(fields.map(|(name, value)| (name.clone(), vault::number_as_float(value))).collect())
        }
    }
}
