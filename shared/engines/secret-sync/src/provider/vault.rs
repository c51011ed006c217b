//! Vault and OpenBao: the key-value engines of version 1 and 2, read and searched
//! (<https://openbao.org/api-docs/secret/kv/>).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::manifest::KvVersion;
use crate::provider::{Keys, ProviderError, Reference, Search, gjson, html_safe_json, name_pattern, object};
use crate::value::{SecretBytes, SecretJson, to_bytes};

/// The calls that reach the server. `None` where it says that there is nothing (404).
pub trait Calls {
    /// Reads a path; `version` is a query parameter of version 2. Gives the answer's `data`.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    fn read(&mut self, path: &str, version: Option<&str>) -> Result<Option<SecretJson>, ProviderError>;

    /// Lists a folder. Gives the answer's `data`, which has `keys`.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    fn list(&mut self, path: &str) -> Result<Option<SecretJson>, ProviderError>;

    /// Writes to a path.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    fn write(&mut self, path: &str, body: &SecretJson) -> Result<(), ProviderError>;

    /// Deletes a path.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    fn delete(&mut self, path: &str) -> Result<(), ProviderError>;
}

/// What a store says about its engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Where it is mounted; `None` where the paths of manifests begin with the mount.
    pub mount: Option<String>,
    /// Which engine it is.
    pub version: KvVersion,
    /// Whether writes name the version that they replace.
    pub check_and_set: bool,
}

impl Engine {
    fn is_v2(&self) -> bool {
        self.version == KvVersion::V2
    }

    /// The path below the mount, when `path` repeats the mount, with or without `data/`.
    fn below<'p>(&self, mount: &str, path: &'p str) -> &'p str {
        match path.strip_prefix(mount).and_then(|rest| rest.strip_prefix('/')) {
            Some(rest) if self.is_v2() => rest.strip_prefix("data/").unwrap_or(rest),
            Some(rest) => rest,
            None => path,
        }
    }

    /// Where the server has the content of `path`.
    #[must_use]
    pub fn data_path(&self, path: &str) -> String {
        match &self.mount {
            Some(mount) if self.is_v2() => format!("{mount}/data/{}", self.below(mount, path)),
            Some(mount) => format!("{mount}/{}", self.below(mount, path)),
            None if self.is_v2() && !path.contains("/data/") => match path.split_once('/') {
                Some((first, rest)) => format!("{first}/data/{rest}"),
                None => format!("{path}/data"),
            },
            None => path.to_owned(),
        }
    }

    /// Where the server has what it knows about `path`, and where folders are listed.
    ///
    /// # Errors
    /// When a store of version 2 has no mount and the path does not tell it.
    pub fn metadata_path(&self, path: &str) -> Result<String, ProviderError> {
        match &self.mount {
            Some(mount) if self.is_v2() => Ok(format!("{mount}/metadata/{}", self.below(mount, path))),
            Some(mount) => Ok(format!("{mount}/{path}")),
            None if !self.is_v2() => Ok(path.to_owned()),
            None if !path.contains("data") => Err(ProviderError::failed("provided Path isn't a valid kv v2 path")),
            None => Ok(path.replacen("/data/", "/metadata/", 1)),
        }
    }
}

/// The content of a secret.
pub(crate) fn read(
    engine: &Engine,
    calls: &mut impl Calls,
    path: &str,
    version: &str,
) -> Result<Map<String, Value>, ProviderError> {
    let version = Some(version).filter(|version| !version.is_empty());
    let answer = calls.read(&engine.data_path(path), version).map_err(|error| error.within(READING))?;
    let Some(answer) = answer else { return Err(ProviderError::Missing) };
    let content = answer.expose();
    let content = if engine.is_v2() {
        content.get("data").ok_or_else(|| ProviderError::failed("failed to find data field"))?
    } else {
        content
    };
    match content {
        Value::Object(fields) => Ok(fields.clone()),
        Value::Null => Err(ProviderError::Missing),
        _ => Err(ProviderError::failed("failed to unmarshall JSON")),
    }
}

/// What the server knows about a secret: some of its own facts, and the custom metadata, which win.
pub(crate) fn read_metadata(
    engine: &Engine,
    calls: &mut impl Calls,
    path: &str,
) -> Result<BTreeMap<String, String>, ProviderError> {
    let place = engine.metadata_path(path)?;
    let answer = calls.read(&place, None).map_err(|error| error.within(READING))?;
    let first = match answer {
        Some(answer) => answer,
        None => legacy(engine, calls, path, &place)?.ok_or_else(|| ProviderError::failed("secret not found"))?,
    };
    let mut metadata = BTreeMap::new();
    if engine.is_v2() {
        for name in ["created_time", "current_version", "delete_version_after"] {
            if let Some(value) = first.expose().get(name).filter(|value| !value.is_null()) {
                metadata.insert(name.to_owned(), plain(value));
            }
        }
    }
    add_custom(&first, &mut metadata);
    if !metadata.contains_key(MANAGED_BY)
        && let Some(old) = legacy(engine, calls, path, &place)?
    {
        add_custom(&old, &mut metadata);
    }
    Ok(metadata)
}

/// Where earlier versions of the peer wrote metadata: with the mount in the path twice.
fn legacy(
    engine: &Engine,
    calls: &mut impl Calls,
    path: &str,
    place: &str,
) -> Result<Option<SecretJson>, ProviderError> {
    let Some(mount) = engine.mount.as_ref().filter(|_| engine.is_v2()) else { return Ok(None) };
    let old = format!("{mount}/metadata/{path}");
    if old == place { Ok(None) } else { calls.read(&old, None).map_err(|error| error.within(READING)) }
}

fn add_custom(answer: &SecretJson, metadata: &mut BTreeMap<String, String>) {
    let custom = answer.expose().get(CUSTOM).and_then(Value::as_object);
    metadata.extend(custom.into_iter().flatten().map(|(name, value)| (name.clone(), plain(value))));
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// One value: the whole secret as JSON, or a part of it.
///
/// # Errors
/// When there is no such secret or part, or the server fails.
pub fn get(engine: &Engine, calls: &mut impl Calls, reference: &Reference) -> Result<SecretBytes, ProviderError> {
    if !reference.wants_metadata {
        let content = read(engine, calls, &reference.key, &reference.version)?;
        return part(&SecretJson::new(Value::Object(content)), &reference.property);
    }
    if !engine.is_v2() {
        return Err(ProviderError::failed("cannot perform metadata fetch operations with kv version v1"));
    }
    let metadata = read_metadata(engine, calls, &reference.key)?;
    if metadata.is_empty() {
        return Ok(SecretBytes::new(Vec::new()));
    }
    let content = metadata.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
    part(&SecretJson::new(Value::Object(content)), &reference.property)
}

/// The whole as JSON; a key of exactly that name; else what the path finds.
pub(crate) fn part(content: &SecretJson, property: &str) -> Result<SecretBytes, ProviderError> {
    if property.is_empty() {
        return Ok(SecretBytes::new(html_safe_json(content.expose())));
    }
    if let Some(value) = content.expose().get(property) {
        return Ok(bytes(value));
    }
    // Upstream looks into the text that it makes of the whole.
    let text = SecretBytes::new(html_safe_json(content.expose()));
    text.expose_str()
        .and_then(|text| gjson(text, property))
        .ok_or_else(|| ProviderError::failed(format!("cannot find secret data for key: {}", quoted(property))))
}

/// A value as bytes: lists and objects as JSON that is safe in HTML.
pub(crate) fn bytes(value: &Value) -> SecretBytes {
    match value {
        Value::Object(_) | Value::Array(_) => SecretBytes::new(html_safe_json(value)),
        other => to_bytes(other),
    }
}

/// A text as Go quotes it.
pub(crate) fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// All keys of a secret, or of an object inside.
///
/// # Errors
/// As [`get`], and when what is found is no object.
pub fn get_map(engine: &Engine, calls: &mut impl Calls, reference: &Reference) -> Result<Keys, ProviderError> {
    keys(&get(engine, calls, reference)?)
}

/// The keys of a JSON object. Numbers are read as floating point here, and written without an exponent.
///
/// # Errors
/// When it is no object.
pub(crate) fn keys(value: &SecretBytes) -> Result<Keys, ProviderError> {
    let content = object(value.expose()).ok_or_else(|| ProviderError::failed("the secret is no JSON object"))?;
    let content = SecretJson::new(Value::Object(content));
    let fields = content.expose().as_object().into_iter().flatten();
    Ok(fields.map(|(key, value)| (key.clone(), number_as_float(value))).collect())
}

/// A value as bytes, where upstream has read its number as floating point.
pub(crate) fn number_as_float(value: &Value) -> SecretBytes {
    match value.as_f64() {
        Some(number) => SecretBytes::from(number.to_string().as_str()),
        None => bytes(value),
    }
}

/// Whether the store has a secret, and in it the part.
///
/// # Errors
/// When the server fails.
pub fn exists(
    engine: &Engine,
    calls: &mut impl Calls,
    remote_key: &str,
    property: &str,
) -> Result<bool, ProviderError> {
    let content = match read(engine, calls, &engine.data_path(remote_key), "") {
        Ok(content) => SecretJson::new(Value::Object(content)),
        Err(ProviderError::Missing) => return Ok(false),
        Err(error) => return Err(error),
    };
    // A key whose value is null is no value.
    Ok(property.is_empty()
        || match content.expose().get(property) {
            Some(value) => !value.is_null(),
            None => part(&content, property).is_ok(),
        })
}

/// All secrets of a folder that match by name or by tags, each as JSON.
///
/// # Errors
/// When the store cannot search so, or the server fails.
pub fn find(engine: &Engine, calls: &mut impl Calls, search: &Search) -> Result<Keys, ProviderError> {
    if !engine.is_v2() && search.tags.is_some() {
        return Err(ProviderError::failed("cannot perform find by tag operations with kv version v1"));
    }
    let folder = search.path.as_ref().map(|path| format!("{path}/")).unwrap_or_default();
    let names = list(engine, calls, &folder)?;
    let pattern = search.name.as_deref().map(name_pattern).transpose()?;
    let mut found = Keys::new();
    for name in names {
        let is_match = match &pattern {
            Some(pattern) => pattern.is_match(&name),
            None => has_tags(engine, calls, &name, search.tags.as_ref())?,
        };
        if !is_match {
            continue;
        }
        match get(engine, calls, &Reference { key: name.clone(), ..Reference::default() }) {
            Ok(value) => drop(found.insert(name, value)),
            Err(ProviderError::Missing) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn has_tags(
    engine: &Engine,
    calls: &mut impl Calls,
    name: &str,
    tags: Option<&BTreeMap<String, String>>,
) -> Result<bool, ProviderError> {
    let metadata = if engine.is_v2() || tags.is_some() { read_metadata(engine, calls, name)? } else { BTreeMap::new() };
    Ok(tags.is_none_or(|tags| tags.iter().all(|(name, value)| metadata.get(name) == Some(value))))
}

/// Every secret below a folder, by a walk that keeps its own stack.
fn list(engine: &Engine, calls: &mut impl Calls, folder: &str) -> Result<Vec<String>, ProviderError> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let answer = calls.list(&engine.metadata_path(&folder)?).map_err(|error| error.within(READING))?;
        let Some(answer) = answer else { return Err(ProviderError::Missing) };
        for name in
            answer.expose().get("keys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        {
            let path = format!("{folder}{name}");
            if path.ends_with('/') {
                folders.push(path)
            } else {
                names.push(path)
            }
            if names.len().saturating_add(folders.len()) > MAX_FOUND {
                return Err(ProviderError::failed(format!(
                    "the search meets more than {MAX_FOUND} secrets: give it a path"
                )));
            }
        }
    }
    Ok(names)
}

const READING: &str = "cannot read secret data from Vault";
pub(crate) const CUSTOM: &str = "custom_metadata";
pub(crate) const MANAGED_BY: &str = "managed-by";
/// Most secrets that one search may meet.
const MAX_FOUND: usize = 100_000;
