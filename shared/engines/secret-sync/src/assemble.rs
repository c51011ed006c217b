//! From what stores answered to the content of a target.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::decode::{DecodeError, decode};
use crate::keys::{KeyError, Keys, check_keys, convert_keys};
use crate::machine::FetchKey;
use crate::manifest::{DeletionPolicy, ExternalSecret, RemoteRef};
use crate::provider::{fake, keys_of_json, vault};
use crate::rewrite::{RewriteError, Transformer, rewrite};
use crate::value::{Reading, SecretBytes};

/// What assembling a target led to.
#[derive(Debug)]
pub enum Assembled {
    /// Its content.
    Content(BTreeMap<String, SecretBytes>),
    /// The store has nothing of it any more, and its manifest says that it goes then.
    Gone,
}

/// A target cannot be assembled. No variant holds a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssembleError {
    /// The store has no such path.
    #[error("`{path}` does not exist in its store")]
    Missing {
        /// The path.
        path: String,
    },
    /// The secret has no such part.
    #[error("`{path}` has no property `{property}`")]
    NoProperty {
        /// The path.
        path: String,
        /// The part.
        property: String,
    },
    /// The secret is no map, so that it has no keys to extract.
    #[error("`{path}` is no map of keys")]
    NoMap {
        /// The path.
        path: String,
    },
    /// A value is not encoded as the manifest says.
    #[error("value of key `{key}`: {source}")]
    Decode {
        /// The key in the target.
        key: String,
        /// Why; part of the line, since it is all there is to say.
        source: DecodeError,
    },
    /// A step of `rewrite` cannot be done.
    #[error("failed rewrite operation[{step}]: {source}")]
    Rewrite {
        /// Which step, from 0 on.
        step: usize,
        /// Why; part of the line, since it is all there is to say.
        source: RewriteError,
    },
    /// A key cannot be used.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// The content is more than Kubernetes takes.
    #[error("the Secret would have {size} bytes, which is more than the {limit} that Kubernetes takes")]
    TooLarge {
        /// Size of all keys and values.
        size: usize,
        /// The limit.
        limit: usize,
    },
}

impl AssembleError {
    /// What can be done about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "write the secret at the store, or correct `remoteRef.key`",
            Self::NoProperty { .. } => "correct `remoteRef.property`, or add the key at the store",
            Self::NoMap { .. } => "use `data` with a `secretKey` for a single value",
            Self::Decode { .. } => "correct the value, or set `decodingStrategy` to None or Auto",
            Self::Rewrite { .. } => "correct the step, or the values that it works on",
            Self::Key(KeyError::Collision(_)) => {
                "rename one of the keys with `rewrite`, or use `conversionStrategy: Unicode`"
            }
            Self::Key(KeyError::Invalid(_)) => "rename it with `rewrite` or `secretKey`",
            Self::TooLarge { .. } => "split it into several Secrets",
        }
    }
}

/// Assembles the content of a target; `readings` has `None` for a path that the store does not have.
///
/// # Errors
/// Names the path or key that it fails at; never a value.
pub fn assemble(
    external: &ExternalSecret,
    readings: &BTreeMap<FetchKey, Option<std::sync::Arc<Reading>>>,
    transform: Transformer,
) -> Result<Assembled, AssembleError> {
    let mut content = Keys::new();
    let mut is_missing = false;
    for extract in &external.extracts {
        let Some(reading) = found(external, readings, (&extract.store, &extract.remote))? else {
            is_missing = true;
            continue;
        };
        let keys = extract_keys(reading, &extract.remote)?;
        let keys = match extract.rewrites.is_empty() {
            true => convert_keys(extract.remote.conversion, keys)?,
            false => rewrite(&extract.rewrites, keys, transform)
                .map_err(|(step, source)| AssembleError::Rewrite { step, source })?,
        };
        // What has no name upstream leaves out.
        for (key, value) in keys.into_iter().filter(|(key, _)| !key.is_empty()) {
            content.insert(key.clone(), decoded(&extract.remote, key, value)?);
        }
    }
    for item in &external.data {
        let Some(reading) = found(external, readings, (&item.store, &item.remote))? else {
            is_missing = true;
            continue;
        };
        match single(reading, &item.remote) {
            Ok(value) => drop(content.insert(item.key.clone(), decoded(&item.remote, item.key.clone(), value)?)),
            Err(AssembleError::NoProperty { .. }) if external.target.deletion != DeletionPolicy::Retain => {
                is_missing = true
            }
            Err(error) => return Err(error),
        }
    }
    if content.is_empty() && is_missing && external.target.deletion == DeletionPolicy::Delete {
        return Ok(Assembled::Gone);
    }
    // What a template makes of it is what has to be valid.
    if external.target.template.is_none() {
        check(&content)?;
    }
    Ok(Assembled::Content(content))
}

/// Whether Kubernetes takes the content.
pub(crate) fn check(content: &Keys) -> Result<(), AssembleError> {
    check_keys(content)?;
    let size = content.iter().map(|(key, value)| key.len().saturating_add(value.expose().len())).sum();
    match size > MAX_SECRET_BYTES {
        true => Err(AssembleError::TooLarge { size, limit: MAX_SECRET_BYTES }),
        false => Ok(()),
    }
}

fn found<'a>(
    external: &ExternalSecret,
    readings: &'a BTreeMap<FetchKey, Option<std::sync::Arc<Reading>>>,
    (store, remote): (&crate::StoreRef, &RemoteRef),
) -> Result<Option<&'a Reading>, AssembleError> {
    match readings.get(&FetchKey::new(store, remote)).and_then(Option::as_deref) {
        Some(reading) => Ok(Some(reading)),
        None if external.target.deletion == DeletionPolicy::Retain => {
            Err(AssembleError::Missing { path: remote.path.clone() })
        }
        None => Ok(None),
    }
}

/// The whole or a part, as the provider of the store gives it: a text is that of the store `fake`, all others have objects.
fn single(reading: &Reading, remote: &RemoteRef) -> Result<SecretBytes, AssembleError> {
    let property = remote.property.as_deref().unwrap_or_default();
    let found = match reading.content.expose() {
        Value::String(text) => fake::part(text, property),
        _ => vault::part(&reading.content, property),
    };
    let missing = |_| AssembleError::NoProperty { path: remote.path.clone(), property: property.to_owned() };
    found.map_err(missing)
}

fn extract_keys(reading: &Reading, remote: &RemoteRef) -> Result<Keys, AssembleError> {
    let value = single(reading, remote)?;
    let keys = match reading.content.expose() {
        Value::String(_) => keys_of_json(value.expose()),
        _ => vault::keys(&value),
    };
    keys.map_err(|_| AssembleError::NoMap { path: remote.path.clone() })
}

fn decoded(remote: &RemoteRef, key: String, value: SecretBytes) -> Result<SecretBytes, AssembleError> {
    decode(remote.decoding, value).map_err(|source| AssembleError::Decode { key, source })
}

/// What Kubernetes takes in one Secret.
const MAX_SECRET_BYTES: usize = 1 << 20;
