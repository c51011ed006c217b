//! What each provider's answers mean, without asking anybody: which paths to read, how an answer becomes a value, what a push writes.
//!
//! A provider's functions are written as if every question were answered at once. The questions go through a trait of the provider
//! ([`vault::Calls`], [`kubernetes::Calls`], ...). Who asks over a network implements it with the answers that are there already, and
//! returns [`ProviderError::Unanswered`] for the first that is not: the function ends, the caller gets the answer and calls it again.
//! So the same code serves a network, a test and a replay, and it never waits.

pub mod aws;
pub mod azure;
pub mod fake;
pub mod gcp;
pub mod kubernetes;
pub mod metadata;
pub mod vault;
pub mod vault_auth;
pub mod vault_push;
pub mod vault_validate;
pub mod webhook;

use std::collections::BTreeMap;

use jmespath::go_regex;
use regex::Regex;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::value::{SecretBytes, to_sorted_json};

/// The keys and values of one secret.
pub type Keys = BTreeMap<String, SecretBytes>;

/// Why a provider has no result. No variant holds a value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The store has no such secret.
    #[error("Secret does not exist")]
    Missing,
    /// Something is wrong; in the peer's words where it has some.
    #[error("{0}")]
    Failed(String),
    /// The answer to a question is not there yet.
    #[error("the store was not asked yet")]
    Unanswered,
}

impl ProviderError {
    pub(crate) fn failed(what: impl Into<String>) -> Self {
        Self::Failed(what.into())
    }

    /// Puts words before those of a failure; a secret that is missing stays missing.
    pub(crate) fn within(self, words: &str) -> Self {
        match self {
            Self::Failed(what) => Self::Failed(format!("{words}: {what}")),
            Self::Missing | Self::Unanswered => self,
        }
    }
}

/// What a manifest asks a store for (`remoteRef`, `dataFrom.extract`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reference {
    /// Name or path of the secret.
    pub key: String,
    /// Part of it; empty for the whole.
    pub property: String,
    /// Version as the store names it; empty for the newest.
    pub version: String,
    /// Whether what the store says about the secret is meant, instead of its content.
    pub wants_metadata: bool,
}

/// What a manifest searches a store for (`dataFrom.find`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Folder to search in.
    pub path: Option<String>,
    /// Regular expression of names.
    pub name: Option<String>,
    /// Tags that all must be there.
    pub tags: Option<BTreeMap<String, String>>,
}

/// Where and what a PushSecret writes.
#[derive(Clone, Debug, Default)]
pub struct Push {
    /// Key of the local Secret; empty for all of them as one JSON object.
    pub secret_key: String,
    /// Name or path in the store.
    pub remote_key: String,
    /// Part of the remote secret; empty for the whole.
    pub property: String,
    /// Settings for this provider, as the manifest has them.
    pub metadata: Option<Value>,
}

/// The Secret of the cluster that is pushed.
#[derive(Clone, Debug, Default)]
pub struct LocalSecret {
    /// Its keys.
    pub data: Keys,
    /// Its type; empty for `Opaque`.
    pub kind: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Push {
    /// The value to push.
    ///
    /// # Errors
    /// When the Secret does not have the key.
    pub fn value(&self, secret: &LocalSecret) -> Result<SecretBytes, ProviderError> {
        if self.secret_key.is_empty() {
            return Ok(json_of_keys(&secret.data));
        }
        let missing =
            || ProviderError::Failed(format!("failed to find secret key in secret with key: {}", self.secret_key));
        secret.data.get(&self.secret_key).cloned().ok_or_else(missing)
    }
}

/// All keys as one JSON object of texts; what is no text stands with replacement characters, as Go writes it.
pub(crate) fn json_of_keys(keys: &Keys) -> SecretBytes {
    let entries = keys.iter().map(|(key, value)| (key.clone(), Value::String(lossy(value))));
    let object = crate::SecretJson::new(Value::Object(entries.collect()));
    SecretBytes::new(to_sorted_json(object.expose()))
}

fn lossy(value: &SecretBytes) -> String {
    String::from_utf8_lossy(value.expose()).into_owned()
}

/// The keys of a JSON object: texts as they are, everything else as JSON.
///
/// # Errors
/// When it is no JSON object. The words do not quote it.
pub fn keys_of_json(text: &[u8]) -> Result<Keys, ProviderError> {
    let wrong = || ProviderError::failed("unable to unmarshal secret: invalid JSON format");
    object(text).ok_or_else(wrong)?;
    let text = std::str::from_utf8(text).map_err(|_| wrong())?;
    let mut keys = Keys::new();
    // Lists and objects stay as they are written.
    gjson::parse(text).each(|key, value| {
        keys.insert(key.str().to_owned(), crate::property::text(&value));
        true
    });
    Ok(keys)
}

/// A value of a JSON object as bytes: texts as they are, numbers and truth values as text, nothing as nothing, everything else as JSON.
#[must_use]
pub fn value_bytes(value: &Value) -> SecretBytes {
    vault::bytes(value)
}

/// A JSON object, if the text is one.
pub(crate) fn object(text: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// JSON as Go's encoder writes it when it escapes what could end a script in HTML.
pub(crate) fn html_safe_json(value: &Value) -> Vec<u8> {
    let plain = Zeroizing::new(to_sorted_json(value));
    let mut text = Vec::with_capacity(plain.len());
    for byte in plain.iter() {
        match byte {
            b'<' => text.extend_from_slice(b"\\u003c"),
            b'>' => text.extend_from_slice(b"\\u003e"),
            b'&' => text.extend_from_slice(b"\\u0026"),
            other => text.push(*other),
        }
    }
    text
}

/// The part of a JSON text that a path in the syntax of gjson names, as text.
pub(crate) fn gjson(text: &str, path: &str) -> Option<SecretBytes> {
    crate::property::query(text, path)
}

/// Compiles the expression of a search.
///
/// # Errors
/// When it is none.
pub(crate) fn name_pattern(pattern: &str) -> Result<Regex, ProviderError> {
    go_regex::compile(pattern)
        .map_err(|error| ProviderError::failed(format!("could not compile find.name.regexp [{pattern}]: {error}")))
}

/// The value at a JSON pointer (RFC 6901); null where there is none.
pub(crate) fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// Which of a value and a reference to one a setting may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Exactly one.
    One,
    /// At most one.
    AtMostOne,
    /// The reference only.
    ReferenceOnly,
    /// The value only.
    ValueOnly,
}

/// Checks a setting that is a value or a reference to one.
///
/// # Errors
/// When the wrong one, both or neither is there.
pub fn check_value_or_reference(has_value: bool, has_reference: bool, wanted: Presence) -> Result<(), ProviderError> {
    let wrong = match (wanted, has_value, has_reference) {
        (Presence::One | Presence::AtMostOne, true, true) => "cannot specify both value and reference",
        (Presence::One, false, false) => "must specify either value or reference",
        (Presence::ReferenceOnly, _, false) => "reference is required",
        (Presence::ReferenceOnly, true, true) => "value must not be specified",
        (Presence::ValueOnly, false, _) => "value is required",
        (Presence::ValueOnly, true, true) => "reference must not be specified",
        _ => return Ok(()),
    };
    Err(ProviderError::failed(wrong))
}
