//! Names of keys: conversion to what Kubernetes allows, rewriting, and the check of the result.

use std::collections::BTreeMap;

use regex::Regex;

use crate::SecretBytes;

/// How characters that Kubernetes does not allow in a key are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConversionStrategy {
    /// By `_`.
    #[default]
    Default,
    /// By their code point: `_U005b_`.
    Unicode,
    /// Not at all.
    None,
}

impl ConversionStrategy {
    /// The strategy that a manifest names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "" | "Default" => Self::Default,
            "Unicode" => Self::Unicode,
            "None" => Self::None,
            _ => return None,
        })
    }
}

/// A key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Two keys became one.
    #[error("secret name collision during conversion: {0}")]
    Collision(String),
    /// A key breaks the rules of Kubernetes.
    #[error("key `{0}` is not valid in a Secret: use letters, digits, `-`, `_` and `.`, at most 253 characters")]
    Invalid(String),
}

/// A key map.
pub(crate) type Keys = BTreeMap<String, SecretBytes>;

/// One step that renames keys.
#[derive(Clone, Debug)]
pub enum Rewrite {
    /// Replaces what `source` matches by `target`, where `$1` stands for a group.
    Regexp {
        /// What is looked for.
        source: Regex,
        /// What it becomes.
        target: String,
    },
}

/// Converts all keys.
///
/// # Errors
/// When two keys become the same.
pub fn convert_keys(strategy: ConversionStrategy, keys: Keys) -> Result<Keys, KeyError> {
    let mut converted = Keys::new();
    for (key, value) in keys {
        let key = convert(strategy, &key);
        if converted.contains_key(&key) {
            return Err(KeyError::Collision(key));
        }
        converted.insert(key, value);
    }
    Ok(converted)
}

fn convert(strategy: ConversionStrategy, key: &str) -> String {
    let mut converted = String::with_capacity(key.len());
    for letter in key.chars() {
        match strategy {
            _ if letter.is_alphanumeric() || matches!(letter, '-' | '.' | '_') => converted.push(letter),
            ConversionStrategy::Default => converted.push('_'),
            ConversionStrategy::Unicode => converted.push_str(&format!("_U{:04x}_", u32::from(letter))),
            ConversionStrategy::None => converted.push(letter),
        }
    }
    converted
}

/// Renames keys step by step; where two become one, the later in key order stays.
#[must_use]
pub fn rewrite_keys(steps: &[Rewrite], keys: Keys) -> Keys {
    let apply = |keys: Keys, step: &Rewrite| match step {
        Rewrite::Regexp { source, target } => keys
            .into_iter()
            .map(|(key, value)| (source.replace_all(&key, target.as_str()).into_owned(), value))
            .collect(),
    };
    steps.iter().fold(keys, apply)
}

/// Checks all keys by the rules of Kubernetes.
///
/// # Errors
/// Names the first key that breaks them.
pub fn check_keys(keys: &Keys) -> Result<(), KeyError> {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let is_good = |key: &&String| {
        !key.is_empty()
            && key.len() <= 253
            && key.chars().all(is_allowed)
            && !matches!(key.as_str(), "." | "..")
            && !key.starts_with("..")
    };
    match keys.keys().find(|key| !is_good(key)) {
        Some(key) => Err(KeyError::Invalid(key.clone())),
        None => Ok(()),
    }
}
