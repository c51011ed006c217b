//! Vault and OpenBao: writing and deleting, only what is marked as ours.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::manifest::KvVersion;
use crate::provider::vault::{CUSTOM, Calls, Engine, MANAGED_BY, read, read_metadata};
use crate::provider::{LocalSecret, ProviderError, Push, metadata, object};
use crate::value::{SecretBytes, SecretJson};

/// Writes the value unless the store has it already.
///
/// # Errors
/// When the remote secret is not ours, the value is no JSON object where one is needed, or the server fails.
pub fn push(engine: &Engine, calls: &mut impl Calls, push: &Push, secret: &LocalSecret) -> Result<(), ProviderError> {
    let value = push.value(secret)?;
    let before = match read(engine, calls, &push.remote_key, "") {
        Ok(content) => Some(SecretJson::new(Value::Object(content))),
        Err(ProviderError::Missing) => None,
        Err(error) => return Err(error),
    };
    match engine.version {
        KvVersion::V1 => push_v1(engine, calls, push, &value, before),
        KvVersion::V2 => push_v2(engine, calls, push, &value, before),
    }
}

fn fields(content: &SecretJson) -> Map<String, Value> {
    content.expose().as_object().cloned().unwrap_or_default()
}

/// Version 1 knows no metadata: the mark is a key of the secret.
fn push_v1(
    engine: &Engine,
    calls: &mut impl Calls,
    push: &Push,
    value: &SecretBytes,
    before: Option<SecretJson>,
) -> Result<(), ProviderError> {
    let before = match before {
        None => None,
        Some(content) => {
            let mut fields = fields(&content);
            match fields.remove(CUSTOM) {
                None | Some(Value::Null) => {
                    return Err(ProviderError::failed(format!("{NOT_OURS} (no custom_metadata found)")));
                }
                Some(mark) if mark.get(MANAGED_BY).and_then(Value::as_str) == Some(OURS) => Some(fields),
                Some(_) => return Err(ProviderError::failed(NOT_OURS)),
            }
        }
    };
    let (mut wanted, is_new) = wanted(before.as_ref(), value, &push.property)?;
    if before.is_some() && !is_new {
        return Ok(());
    }
    wanted.insert(CUSTOM.to_owned(), json!({ MANAGED_BY: OURS }));
    write(calls, &engine.data_path(&push.remote_key), Value::Object(wanted), "failed to write secret data")
}

fn push_v2(
    engine: &Engine,
    calls: &mut impl Calls,
    push: &Push,
    value: &SecretBytes,
    before: Option<SecretJson>,
) -> Result<(), ProviderError> {
    let place = engine.metadata_path(&push.remote_key)?;
    let before = before.map(|content| fields(&content));
    let (wanted, is_new) = wanted(before.as_ref(), value, &push.property)?;
    let remote = match before {
        Some(_) => Some(read_metadata(engine, calls, &push.remote_key)?),
        None => None,
    };
    let settings =
        metadata::spec(push.metadata.as_ref()).map_err(|error| error.within("failed to parse push secret metadata"))?;
    let marks = marks(remote.as_ref(), settings.as_ref())?;
    // The mark goes first: if the second write fails, the next try finds its own secret.
    if let Some(marks) = &marks {
        write(calls, &place, json!({ CUSTOM: marks }), "failed to write secret metadata")?;
    }
    if !is_new {
        return Ok(());
    }
    let mut body = json!({ "data": wanted });
    if engine.check_and_set {
        let version = current_version(calls, &place, before.is_some())
            .map_err(|error| error.within("failed to get CAS version"))?;
        if let Some(body) = body.as_object_mut() {
            body.insert("options".to_owned(), json!({ "cas": version }));
        }
    }
    write(calls, &engine.data_path(&push.remote_key), body, "failed to write secret data")
}

fn write(calls: &mut impl Calls, path: &str, body: Value, words: &str) -> Result<(), ProviderError> {
    calls.write(path, &SecretJson::new(body)).map_err(|error| error.within(words))
}

/// What the secret is to hold, and whether that differs from what it holds.
fn wanted(
    before: Option<&Map<String, Value>>,
    value: &SecretBytes,
    property: &str,
) -> Result<(Map<String, Value>, bool), ProviderError> {
    if property.is_empty() {
        let whose = if before.is_some() { "incoming secret value" } else { "vault secret" };
        let wrong = || ProviderError::failed(format!("error unmarshalling {whose}: invalid JSON format"));
        let wanted = object(value.expose()).ok_or_else(wrong)?;
        let is_new = before != Some(&wanted);
        return Ok((wanted, is_new));
    }
    let mut wanted = before.cloned().unwrap_or_default();
    let text = String::from_utf8_lossy(value.expose()).into_owned();
    let is_new = wanted.get(property).and_then(Value::as_str) != Some(&text);
    wanted.insert(property.to_owned(), Value::String(text));
    Ok((wanted, is_new))
}

/// The custom metadata to write; `None` when they stand there already.
fn marks(
    remote: Option<&BTreeMap<String, String>>,
    settings: Option<&Map<String, Value>>,
) -> Result<Option<BTreeMap<String, String>>, ProviderError> {
    let policy = metadata::text(settings, "mergePolicy");
    if !matches!(policy, "" | "Merge" | "Replace") {
        return Err(ProviderError::failed(format!(
            "unsupported merge policy {policy:?}, must be one of: Merge, Replace"
        )));
    }
    let mut wanted = metadata::texts(settings, "customMetadata").unwrap_or_default();
    wanted.insert(MANAGED_BY.to_owned(), OURS.to_owned());
    let Some(remote) = remote else { return Ok(Some(wanted)) };
    if remote.get(MANAGED_BY).map(String::as_str) != Some(OURS) {
        return Err(ProviderError::failed(NOT_OURS));
    }
    // What the server itself tells about the secret is not ours to write.
    let custom = remote.iter().filter(|(name, _)| !SYSTEM.contains(&name.as_str()));
    let custom: BTreeMap<String, String> = custom.map(|(name, value)| (name.clone(), value.clone())).collect();
    if policy != "Replace" {
        let mut merged = custom.clone();
        merged.append(&mut wanted);
        wanted = merged;
    }
    Ok(Some(wanted).filter(|wanted| *wanted != custom))
}

/// The version that a write replaces: 0 only creates.
fn current_version(calls: &mut impl Calls, place: &str, exists: bool) -> Result<i64, ProviderError> {
    if !exists {
        return Ok(0);
    }
    let answer = calls.read(place, None).map_err(|error| error.within("failed to read metadata"))?;
    let version = answer.as_ref().and_then(|answer| answer.expose().get("current_version"));
    match version {
        // A secret that exists has had at least one version.
        None => Ok(1),
        Some(version) => version.as_i64().ok_or_else(|| ProviderError::failed("unexpected type for current_version")),
    }
}

/// Deletes a secret, or one key of it, when it is ours. A secret that is not there, or not ours, is left as it is.
///
/// # Errors
/// When the server fails.
pub fn delete(engine: &Engine, calls: &mut impl Calls, remote_key: &str, property: &str) -> Result<(), ProviderError> {
    let place = engine.metadata_path(remote_key)?;
    let path = engine.data_path(remote_key);
    let mut content = match read(engine, calls, &path, "") {
        Ok(content) => content,
        Err(ProviderError::Missing) => return Ok(()),
        Err(error) => return Err(error),
    };
    let marks = read_metadata(engine, calls, remote_key)?;
    if marks.get(MANAGED_BY).map(String::as_str) != Some(OURS) {
        return Ok(());
    }
    if !property.is_empty() {
        content.remove(property);
        if engine.version == KvVersion::V1 && content.len() == 1 {
            content.remove(CUSTOM);
        }
        if !content.is_empty() {
            let body =
                if engine.version == KvVersion::V2 { json!({ "data": content }) } else { Value::Object(content) };
            return calls.write(&path, &SecretJson::new(body));
        }
    }
    calls.delete(&path).map_err(|error| error.within(&format!("could not delete secret {remote_key}")))?;
    if engine.version == KvVersion::V2 {
        calls
            .delete(&place)
            .map_err(|error| error.within(&format!("could not delete secret metadata {remote_key}")))?;
    }
    Ok(())
}

const OURS: &str = "external-secrets";
const NOT_OURS: &str = "secret not managed by external-secrets";
const SYSTEM: [&str; 3] = ["created_time", "current_version", "delete_version_after"];
