//! The Kubernetes provider: Secrets of another cluster, or of another namespace.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use crate::keys::{ConversionStrategy, convert_keys};
use crate::provider::vault_validate::Scope;
use crate::provider::{
    Keys, LocalSecret, ProviderError, Push, Reference, Search, at, gjson, json_of_keys, metadata, name_pattern, object,
};
use crate::value::{SecretBytes, SecretJson, to_sorted_json};

/// A Secret as the cluster has it.
#[derive(Clone, Debug, Default)]
pub struct RemoteSecret {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub secret: LocalSecret,
}

/// The calls that reach the cluster. `None` where it has no such Secret.
pub trait Calls {
    /// Reads a Secret.
    ///
    /// # Errors
    /// When the cluster refuses or does not answer.
    fn get(&mut self, name: &str) -> Result<Option<RemoteSecret>, ProviderError>;

    /// Lists the Secrets with all of these labels.
    ///
    /// # Errors
    /// When the cluster refuses or does not answer.
    fn list(&mut self, labels: &BTreeMap<String, String>) -> Result<Vec<RemoteSecret>, ProviderError>;

    /// Makes a Secret.
    ///
    /// # Errors
    /// When the cluster refuses or does not answer.
    fn create(&mut self, secret: RemoteSecret) -> Result<(), ProviderError>;

    /// Replaces a Secret.
    ///
    /// # Errors
    /// When the cluster refuses or does not answer.
    fn update(&mut self, secret: RemoteSecret) -> Result<(), ProviderError>;

    /// Deletes a Secret; one that is gone is no error.
    ///
    /// # Errors
    /// When the cluster refuses or does not answer.
    fn delete(&mut self, name: &str) -> Result<(), ProviderError>;
}

/// One value: all keys as JSON, one key, a part of one, or labels and annotations.
///
/// # Errors
/// When there is no such Secret or part, or the cluster fails.
pub fn get(calls: &mut impl Calls, reference: &Reference) -> Result<SecretBytes, ProviderError> {
    let remote = calls.get(&reference.key)?.ok_or(ProviderError::Missing)?;
    let secret = &remote.secret;
    let property = &reference.property;
    let found = match (property.is_empty(), reference.wants_metadata) {
        (true, true) => Some(json(&both(secret))),
        (true, false) => Some(json_of_keys(&secret.data)),
        (false, true) => from_metadata(secret, property),
        (false, false) => from_data(&secret.data, property),
    };
    let place = if reference.wants_metadata { "metadata" } else { "data" };
    let missing = || format!("property {property} does not exist in {place} of secret {:?}", reference.key);
    found.ok_or_else(|| ProviderError::Failed(missing()))
}

fn json(value: &Value) -> SecretBytes {
    SecretBytes::new(to_sorted_json(value))
}

fn texts(map: &BTreeMap<String, String>) -> Value {
    // Nothing and an empty map are not the same to the encoder of the peer.
    if map.is_empty() {
        return Value::Null;
    }
    Value::Object(map.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect())
}

fn both(secret: &LocalSecret) -> Value {
    Value::Object(Map::from_iter([
        ("labels".to_owned(), texts(&secret.labels)),
        ("annotations".to_owned(), texts(&secret.annotations)),
    ]))
}

/// A key of exactly that name; else what stands before the first dot is the key and the rest a path into its JSON.
fn from_data(data: &Keys, property: &str) -> Option<SecretBytes> {
    if let Some(value) = data.get(property) {
        return Some(value.clone());
    }
    let (key, path) = property.split_once('.').filter(|(key, path)| !key.is_empty() && !path.is_empty())?;
    gjson(data.get(key)?.expose_str()?, path)
}

fn from_metadata(secret: &LocalSecret, property: &str) -> Option<SecretBytes> {
    let mut path = property.split('.');
    let map = match path.next()? {
        "labels" => &secret.labels,
        "annotations" => &secret.annotations,
        _ => return None,
    };
    let Some(name) = path.next() else { return Some(json(&texts(map))) };
    let value = map.get(name)?;
    let rest: String = path.collect();
    if rest.is_empty() { Some(SecretBytes::from(value.as_str())) } else { gjson(value, &rest) }
}

/// All keys of a Secret, or of the JSON object in one key.
///
/// # Errors
/// When there is no such Secret or key, the key holds no JSON object, or the cluster fails.
pub fn get_map(calls: &mut impl Calls, reference: &Reference) -> Result<Keys, ProviderError> {
    let secret = calls.get(&reference.key)?.ok_or(ProviderError::Missing)?.secret;
    let keys = if reference.wants_metadata {
        Keys::from([
            ("labels".to_owned(), json(&texts(&secret.labels))),
            ("annotations".to_owned(), json(&texts(&secret.annotations))),
        ])
    } else {
        secret.data
    };
    if reference.property.is_empty() {
        return Ok(keys);
    }
    // The keys as the API has them: values in base64.
    let encoded = keys.iter().map(|(key, value)| (key.clone(), Value::String(BASE64_STANDARD.encode(value.expose()))));
    let encoded = SecretJson::new(Value::Object(encoded.collect()));
    let text = zeroize::Zeroizing::new(encoded.expose().to_string());
    let escaped = reference.property.replace('.', "\\.");
    let found = gjson(&text, &escaped).or_else(|| gjson(&text, &reference.property));
    let missing = || format!("property {} does not exist in key {}", reference.property, reference.key);
    let found = found.ok_or_else(|| ProviderError::Failed(missing()))?;
    let wrong = || ProviderError::failed("failed to unmarshal secret: invalid JSON format");
    let decoded = zeroize::Zeroizing::new(BASE64_STANDARD.decode(found.expose()).map_err(|_| wrong())?);
    let content = SecretJson::new(Value::Object(object(&decoded).ok_or_else(wrong)?));
    let fields = content.expose().as_object().into_iter().flatten();
    Ok(fields.map(|(key, value)| (key.clone(), json(value))).collect())
}

/// All Secrets that match by labels or by name, each as JSON.
///
/// # Errors
/// When the search says neither, or the cluster fails.
pub fn find(calls: &mut impl Calls, search: &Search, strategy: ConversionStrategy) -> Result<Keys, ProviderError> {
    let pattern = match (&search.tags, &search.name) {
        (Some(_), _) => None,
        (None, Some(name)) => Some(name_pattern(name)?),
        (None, None) => return Err(ProviderError::failed("unexpected find operator: a name or tags are needed")),
    };
    let listed =
        calls.list(&search.tags.clone().unwrap_or_default()).map_err(|error| error.within("unable to list secrets"))?;
    let is_match = |remote: &RemoteSecret| pattern.as_ref().is_none_or(|pattern| pattern.is_match(&remote.name));
    let found =
        listed.into_iter().filter(is_match).map(|remote| (remote.name, json_of_keys(&remote.secret.data))).collect();
    convert_keys(strategy, found).map_err(|error| ProviderError::failed(error.to_string()))
}

/// Whether the cluster has the Secret, and in it the key.
///
/// # Errors
/// When the cluster fails.
pub fn exists(calls: &mut impl Calls, name: &str, property: &str) -> Result<bool, ProviderError> {
    let remote = calls.get(name)?;
    Ok(remote.is_some_and(|remote| property.is_empty() || remote.secret.data.contains_key(property)))
}

/// Deletes the Secret, or one key of it.
///
/// # Errors
/// When the cluster fails.
pub fn delete(calls: &mut impl Calls, name: &str, property: &str) -> Result<(), ProviderError> {
    let Some(mut remote) = calls.get(name)? else { return Ok(()) };
    if !property.is_empty() {
        if !remote.secret.data.contains_key(property) {
            return Ok(());
        }
        if remote.secret.data.len() > 1 {
            remote.secret.data.remove(property);
            return calls.update(remote);
        }
    }
    calls.delete(name)
}

/// Writes the Secret, or one key of it.
///
/// # Errors
/// When the settings cannot be right, or the cluster fails.
pub fn push(calls: &mut impl Calls, kind: &str, push: &Push, local: &LocalSecret) -> Result<(), ProviderError> {
    if push.property.is_empty() && !push.secret_key.is_empty() {
        return Err(ProviderError::failed(
            "requires property in RemoteRef to push secret value if secret key is defined",
        ));
    }
    let settings =
        metadata::spec(push.metadata.as_ref()).map_err(|error| error.within("unable to parse metadata parameters"))?;
    if !metadata::text(settings.as_ref(), "remoteNamespace").is_empty() && kind != "ClusterSecretStore" {
        return Err(ProviderError::failed("remoteNamespace override is only supported with ClusterSecretStore"));
    }
    let before = calls.get(&push.remote_key)?;
    let exists = before.is_some();
    let before = before.unwrap_or_else(|| RemoteSecret { name: push.remote_key.clone(), ..RemoteSecret::default() });
    let mut after = before.clone();
    merge(push, settings.as_ref(), &mut after.secret, local)?;
    after.name.clone_from(&push.remote_key);
    if !exists {
        calls.create(after)
    } else if is_same(&before.secret, &after.secret) {
        Ok(())
    } else {
        calls.update(after)
    }
}

fn is_same(before: &LocalSecret, after: &LocalSecret) -> bool {
    before.data == after.data
        && before.kind == after.kind
        && before.labels == after.labels
        && before.annotations == after.annotations
}

fn merge(
    push: &Push,
    settings: Option<&Map<String, Value>>,
    remote: &mut LocalSecret,
    local: &LocalSecret,
) -> Result<(), ProviderError> {
    remote.kind = if local.kind.is_empty() { "Opaque".to_owned() } else { local.kind.clone() };
    let (labels, annotations) = source_marks(settings, local)?;
    match metadata::text(settings, "targetMergePolicy") {
        "" | "Merge" => {
            remote.labels.extend(labels);
            remote.annotations.extend(annotations);
        }
        "Replace" => (remote.labels, remote.annotations) = (labels, annotations),
        "Ignore" => {}
        other => {
            return Err(ProviderError::failed(format!(
                "failed to merge target metadata: unexpected target merge policy {other:?}"
            )));
        }
    }
    if push.property.is_empty() {
        remote.data.clone_from(&local.data);
    } else if push.secret_key.is_empty() {
        remote.data.insert(push.property.clone(), json_of_keys(&local.data));
    } else {
        let value = local.data.get(&push.secret_key).cloned().unwrap_or_else(|| SecretBytes::new(Vec::new()));
        remote.data.insert(push.property.clone(), value);
    }
    Ok(())
}

type Marks = BTreeMap<String, String>;

/// Labels and annotations to push: the Secret's own with those of the settings over them, or the latter only.
fn source_marks(settings: Option<&Map<String, Value>>, local: &LocalSecret) -> Result<(Marks, Marks), ProviderError> {
    let (mut labels, mut annotations) = (local.labels.clone(), local.annotations.clone());
    match metadata::text(settings, "sourceMergePolicy") {
        "" | "Merge" => {}
        "Replace" => (labels, annotations) = (Marks::new(), Marks::new()),
        other => {
            return Err(ProviderError::failed(format!(
                "failed to merge source metadata: unexpected source merge policy {other:?}"
            )));
        }
    }
    labels.extend(metadata::texts(settings, "labels").unwrap_or_default());
    annotations.extend(metadata::texts(settings, "annotations").unwrap_or_default());
    Ok((labels, annotations))
}

/// What an administrator should know about settings that can be used.
pub const WARNING_NO_AUTHORITY: &str = "no CA bundle or CA provider is given for the Kubernetes provider: the system's certificate authorities are trusted";

/// Checks `spec.provider.kubernetes` of a store. Gives warnings beside the verdict.
///
/// # Errors
/// (As the second value.) Names the first thing that is wrong.
pub fn check(kind: &str, namespace: &str, settings: &Value) -> (Vec<&'static str>, Result<(), ProviderError>) {
    let server = at(settings, "/server");
    let has_bundle = !at(server, "/caBundle").as_str().unwrap_or_default().is_empty();
    let warnings =
        if has_bundle || at(server, "/caProvider").is_object() { Vec::new() } else { vec![WARNING_NO_AUTHORITY] };
    (warnings, check_settings(kind, namespace, settings))
}

fn check_settings(kind: &str, namespace: &str, settings: &Value) -> Result<(), ProviderError> {
    let scope = Scope { is_cluster: kind == "ClusterSecretStore", namespace };
    let provider = at(settings, "/server/caProvider");
    let is_named = !at(provider, "/namespace").is_null();
    if provider.is_object() && scope.is_cluster && !is_named {
        return Err(ProviderError::failed("CAProvider.namespace must not be empty with ClusterSecretStore"));
    }
    if provider.is_object() && kind == "SecretStore" && is_named {
        return Err(ProviderError::failed("CAProvider.namespace must be empty with SecretStore"));
    }
    let auth = at(settings, "/auth");
    for (method, field, name) in [("cert", "clientCert", "ClientCert"), ("token", "bearerToken", "BearerToken")] {
        if !at(auth, &format!("/{method}")).is_object() {
            continue;
        }
        let reference = at(auth, &format!("/{method}/{field}"));
        for (part, title) in [("name", "Name"), ("key", "Key")] {
            if at(reference, &format!("/{part}")).as_str().unwrap_or_default().is_empty() {
                return Err(ProviderError::failed(format!("{name}.{title} cannot be empty")));
            }
        }
        scope.check_named(reference)?;
    }
    scope.check(at(auth, "/serviceAccount"), "")
}

/// Whether the answers to a rules review and to an access review let the store read Secrets. `None` when it cannot be known, since
/// the namespace of a store of the cluster is that of whoever uses it.
///
/// # Errors
/// When they do not.
pub fn is_allowed(kind: &str, settings: &Value, rules: &Value, access: &Value) -> Result<Option<()>, ProviderError> {
    if kind == "ClusterSecretStore" && is_referent(settings) {
        return Ok(None);
    }
    let has = |rule: &Value, field: &str, name: &str| {
        let list = at(rule, &format!("/{field}")).as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().any(|item| item == name || item == "*")
    };
    let grants = |rule: &Value| {
        let groups = at(rule, "/apiGroups").as_array().map_or(0, Vec::len);
        has(rule, "resources", "secrets") && has(rule, "verbs", "get") && (groups == 0 || has(rule, "apiGroups", ""))
    };
    let listed = at(rules, "/status/resourceRules").as_array().map(Vec::as_slice).unwrap_or_default();
    if listed.iter().any(grants) || at(access, "/status/allowed") == true {
        return Ok(Some(()));
    }
    Err(ProviderError::failed("client is not allowed to get secrets"))
}

/// Whether some reference of the login leaves its namespace open.
fn is_referent(settings: &Value) -> bool {
    let auth = at(settings, "/auth");
    let open = |reference: &Value| reference.is_object() && at(reference, "/namespace").is_null();
    [
        at(auth, "/cert/clientCert"),
        at(auth, "/cert/clientKey"),
        at(auth, "/token/bearerToken"),
        at(auth, "/serviceAccount"),
    ]
    .into_iter()
    .any(open)
}
