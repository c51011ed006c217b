//! The fake provider: values that stand in the manifest.

use std::collections::BTreeMap;

use crate::keys::{ConversionStrategy, convert_keys};
use crate::provider::{Keys, LocalSecret, ProviderError, Push, Reference, Search, gjson, keys_of_json, name_pattern};
use crate::value::SecretBytes;

/// The values of one store, by key with its version behind it; and those that were pushed.
#[derive(Clone, Debug, Default)]
pub struct FakeStore {
    entries: BTreeMap<String, Entry>,
}

/// The whole of a value, or what a path finds in it.
///
/// # Errors
/// When the path finds nothing.
pub(crate) fn part(text: &str, property: &str) -> Result<SecretBytes, ProviderError> {
    if property.is_empty() {
        return Ok(SecretBytes::from(text));
    }
    gjson(text, property).ok_or(ProviderError::Missing)
}

#[derive(Clone, Debug)]
struct Entry {
    value: SecretBytes,
    version: String,
    is_pushed: bool,
}

impl FakeStore {
    /// Adds a value of the manifest.
    pub fn insert(&mut self, key: &str, version: &str, value: SecretBytes) {
        self.entries.insert(format!("{key}{version}"), Entry { value, version: version.to_owned(), is_pushed: false });
    }

    /// One value, or a part of it.
    ///
    /// # Errors
    /// When there is none of that key, version and part.
    pub fn get(&self, reference: &Reference) -> Result<SecretBytes, ProviderError> {
        let entry = self.entries.get(&format!("{}{}", reference.key, reference.version));
        let entry = entry.filter(|entry| entry.version == reference.version).ok_or(ProviderError::Missing)?;
        match entry.value.expose_str() {
            Some(text) => part(text, &reference.property),
            None if reference.property.is_empty() => Ok(entry.value.clone()),
            None => Err(ProviderError::Missing),
        }
    }

    /// All keys of a value that is a JSON object.
    ///
    /// # Errors
    /// As [`Self::get`], and when it is none.
    pub fn get_map(&self, reference: &Reference) -> Result<Keys, ProviderError> {
        keys_of_json(self.get(reference)?.expose())
    }

    /// The newest version of every key whose name matches.
    ///
    /// # Errors
    /// When the search is by anything else, or two keys become one.
    pub fn find(&self, search: &Search, strategy: ConversionStrategy) -> Result<Keys, ProviderError> {
        let Some(name) = &search.name else {
            return Err(ProviderError::failed("unsupported find operator: only a name can be searched here"));
        };
        let pattern = name_pattern(name)?;
        let mut newest: BTreeMap<&str, &Entry> = BTreeMap::new();
        for (key, entry) in &self.entries {
            let key = key.strip_suffix(&entry.version).unwrap_or(key);
            if pattern.is_match(key) && newest.get(key).is_none_or(|other| other.version < entry.version) {
                newest.insert(key, entry);
            }
        }
        let found = newest.into_iter().map(|(key, entry)| (key.to_owned(), entry.value.clone())).collect();
        convert_keys(strategy, found).map_err(|error| ProviderError::failed(error.to_string()))
    }

    /// Keeps a pushed value, in memory only.
    ///
    /// # Errors
    /// When the manifest has a value of that key.
    pub fn push(&mut self, push: &Push, secret: &LocalSecret) -> Result<(), ProviderError> {
        if self.entries.get(&push.remote_key).is_some_and(|entry| !entry.is_pushed) {
            return Err(ProviderError::failed("key already exists"));
        }
        let value = secret.data.get(&push.secret_key).cloned().unwrap_or_else(|| SecretBytes::new(Vec::new()));
        self.entries.insert(push.remote_key.clone(), Entry { value, version: String::new(), is_pushed: true });
        Ok(())
    }

    /// Whether there is a value of that key.
    #[must_use]
    pub fn exists(&self, remote_key: &str) -> bool {
        self.entries.contains_key(remote_key)
    }
}
