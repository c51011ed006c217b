//! Names of keys: conversion to what Kubernetes allows, rewriting, and the check of the result.

use std::collections::BTreeMap;

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

/// A key of a Secret as a PushSecret writes it to a store: with the strategy `ReverseUnicode`, each `_U005b_` is the character that it
/// stands for again; what is no such code stays.
#[must_use]
pub fn reverse_key(strategy: &str, key: &str) -> String {
    if strategy != "ReverseUnicode" {
        return key.to_owned();
    }
    let mut reversed = String::with_capacity(key.len());
    let mut rest = key;
    while let Some(start) = rest.find("_U") {
        let (before, code) = rest.split_at(start);
        reversed.push_str(before);
        match coded(code) {
            Some((letter, length)) => {
                reversed.push(letter);
                rest = code.get(length..).unwrap_or_default();
            }
            None => {
                reversed.push('_');
                rest = code.get(1..).unwrap_or_default();
            }
        }
    }
    reversed.push_str(rest);
    reversed
}

/// The character of a code at the beginning of `text`, and how long the code is.
fn coded(text: &str) -> Option<(char, usize)> {
    let (hex, _) = text.strip_prefix("_U")?.split_once('_')?;
    let is_code = matches!(hex.len(), 4 | 5) && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let letter = char::from_u32(u32::from_str_radix(hex, 16).ok().filter(|_| is_code)?)?;
    Some((letter, hex.len().saturating_add(3)))
}

/// The label by which a Secret says which ExternalSecret made it (`reconcile.external-secrets.io/created-by`): SHA3-224 of
/// `namespace/name`.
#[must_use]
pub fn owner_hash(namespace: &str, name: &str) -> String {
    use sha3::{Digest as _, Sha3_224};
    hex::encode(Sha3_224::digest(format!("{namespace}/{name}")))
}

/// The hash that External Secrets writes on a Secret (`reconcile.external-secrets.io/data-hash`): SHA3-224 of the data as Go prints a
/// map of bytes.
#[must_use]
pub fn data_hash(keys: &Keys) -> String {
    hash("", keys, "")
}

/// The hash of a Secret that has nothing but data: SHA3-224 of the whole structure as Go prints it.
#[must_use]
pub fn secret_hash(keys: &Keys) -> String {
    let head = "{TypeMeta:{Kind: APIVersion:} ObjectMeta:{Name: GenerateName: Namespace: SelfLink: UID: ResourceVersion: \
                Generation:0 CreationTimestamp:0001-01-01 00:00:00 +0000 UTC DeletionTimestamp:<nil> \
                DeletionGracePeriodSeconds:<nil> Labels:map[] Annotations:map[] OwnerReferences:[] Finalizers:[] \
                ManagedFields:[]} Immutable:<nil> Data:";
    hash(head, keys, " StringData:map[] Type:}")
}

fn hash(before: &str, keys: &Keys, after: &str) -> String {
    use sha3::{Digest as _, Sha3_224};
    let mut hasher = Sha3_224::new();
    hasher.update(before);
    hasher.update(b"map[");
    for (at, (key, value)) in keys.iter().enumerate() {
        hasher.update(if at == 0 { "" } else { " " });
        hasher.update(key);
        hasher.update(b":[");
        for (at, byte) in value.expose().iter().enumerate() {
            hasher.update(if at == 0 { byte.to_string() } else { format!(" {byte}") });
        }
        hasher.update(b"]");
    }
    hasher.update(b"]");
    hasher.update(after);
    hex::encode(hasher.finalize())
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
