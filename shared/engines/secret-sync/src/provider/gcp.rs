//! Google Secret Manager: values by version, metadata, found by name and labels, pushed and deleted
//! (<https://cloud.google.com/secret-manager/docs/reference/rest>).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use crate::property;
use crate::provider::vault_validate::check_reference;
use crate::provider::{
    Keys, LocalSecret, ProviderError, Push, Reference, Search, at, gjson, keys_of_json, metadata, name_pattern,
};
use crate::value::{SecretBytes, SecretJson, to_sorted_json};
use crate::{ConversionStrategy, convert_keys};

/// Why a method has no answer. Never holds a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GoogleError {
    /// The service refused it: the name of the status, as `NOT_FOUND`, and its words.
    Refused {
        /// Status.
        status: String,
        /// Words.
        message: String,
    },
    /// The service does not answer.
    Failed(String),
    /// The method is on its way.
    Unanswered,
}

impl GoogleError {
    fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if status == "NOT_FOUND")
    }
}

impl From<GoogleError> for ProviderError {
    fn from(error: GoogleError) -> Self {
        match error {
            GoogleError::Refused { status, message } => Self::Failed(format!("{status}: {message}")),
            GoogleError::Failed(what) => Self::Failed(what),
            GoogleError::Unanswered => Self::Unanswered,
        }
    }
}

/// The methods of the service, with requests and answers as its JSON has them.
pub trait Calls {
    /// Calls `method` (`GetSecret`, `AccessSecretVersion`, ...).
    ///
    /// # Errors
    /// When the service refuses or does not answer.
    fn call(&mut self, method: &'static str, request: &SecretJson) -> Result<SecretJson, GoogleError>;
}

fn call(calls: &mut impl Calls, method: &'static str, request: Value) -> Result<SecretJson, GoogleError> {
    calls.call(method, &SecretJson::new(request))
}

/// What a store says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// Project.
    pub id: String,
    /// Region; empty for secrets without one.
    pub location: String,
    /// Whether the newest version that is enabled is taken where the newest is not.
    pub takes_enabled: bool,
}

fn payload(answer: &SecretJson) -> Option<SecretBytes> {
    let encoded = answer.expose().pointer("/payload/data")?.as_str()?;
    BASE64_STANDARD.decode(encoded).ok().map(SecretBytes::new)
}

fn texts(secret: &Value, name: &str) -> BTreeMap<String, String> {
    metadata::texts(secret.as_object(), name).unwrap_or_default()
}

impl Project {
    fn parent(&self) -> String {
        match self.location.as_str() {
            "" => format!("projects/{}", self.id),
            location => format!("projects/{}/locations/{location}", self.id),
        }
    }

    fn name(&self, key: &str) -> String {
        format!("{}/secrets/{key}", self.parent())
    }

    /// One value: the payload of a version, a part of it, or labels and annotations.
    ///
    /// # Errors
    /// When there is no such secret or part, or the service fails.
    pub fn get(&self, calls: &mut impl Calls, reference: &Reference) -> Result<SecretBytes, ProviderError> {
        if reference.wants_metadata {
            return self.metadata(calls, reference);
        }
        let version = if reference.version.is_empty() { "latest" } else { &reference.version };
        let name = self.name(&reference.key);
        let answer = match call(calls, "AccessSecretVersion", json!({ "name": format!("{name}/versions/{version}") })) {
            Err(error) if error.is_missing() => return Err(ProviderError::Missing),
            Err(GoogleError::Refused { status, .. })
                if status == "FAILED_PRECONDITION" && self.takes_enabled && reference.version.is_empty() =>
            {
                newest_enabled(calls, &name)
            }
            answer => answer,
        };
        let answer = answer
            .map_err(|error| ProviderError::from(error).within("unable to access Secret from SecretManager Client"))?;
        let key = &reference.key;
        let nothing = || ProviderError::Failed(format!("invalid secret received. no secret string for key: {key}"));
        let content = payload(&answer).ok_or_else(nothing)?;
        if reference.property.is_empty() {
            return Ok(content);
        }
        let missing = || format!("key {} does not exist in secret {key}", reference.property);
        by_property(&content, &reference.property)?.ok_or_else(|| ProviderError::Failed(missing()))
    }

    /// All keys of the JSON object that the payload is.
    ///
    /// # Errors
    /// As [`Project::get`], and when it is no JSON object.
    pub fn get_map(&self, calls: &mut impl Calls, reference: &Reference) -> Result<Keys, ProviderError> {
        let content = self.get(calls, reference)?;
        keys_of_json(content.expose())
            .map_err(|_| ProviderError::failed("unable to unmarshal secret from JSON: it is no JSON object"))
    }

    fn metadata(&self, calls: &mut impl Calls, reference: &Reference) -> Result<SecretBytes, ProviderError> {
        let answer = match call(calls, "GetSecret", json!({ "name": self.name(&reference.key) })) {
            Err(error) if error.is_missing() => return Err(ProviderError::Missing),
            answer => answer?,
        };
        let of = |name: &str| texts(answer.expose(), name);
        let shown = |value: &Value| SecretBytes::new(to_sorted_json(value));
        if reference.property.is_empty() {
            return Ok(shown(&json!({ "annotations": of("annotations"), "labels": of("labels") })));
        }
        let (map, name) = reference.property.split_once('.').unwrap_or((&reference.property, ""));
        let single = match map {
            "annotations" => "annotation",
            "labels" => "label",
            _ => return Err(ProviderError::Failed(format!("invalid property {}", reference.property))),
        };
        if name.is_empty() {
            return Ok(shown(&json!(of(map))));
        }
        let missing = || format!("{single} with key {name} does not exist in secret {}", reference.key);
        let found = of(map).remove(name).ok_or_else(|| ProviderError::Failed(missing()))?;
        Ok(SecretBytes::from(found.as_str()))
    }

    /// All secrets that a search finds, by name or by labels.
    ///
    /// # Errors
    /// When the search says neither, or the service fails.
    pub fn find(
        &self,
        calls: &mut impl Calls,
        (search, conversion): (&Search, ConversionStrategy),
    ) -> Result<Keys, ProviderError> {
        let pattern = search.name.as_deref().map(name_pattern).transpose()?;
        let tags = search.tags.clone().unwrap_or_default();
        if pattern.is_none() && tags.is_empty() {
            return Err(ProviderError::failed("unexpected find operator"));
        }
        let mut filter: Vec<String> = match &pattern {
            Some(_) => Vec::new(),
            None => tags.iter().map(|(name, value)| format!("labels.{name}={value}")).collect(),
        };
        filter.extend(search.path.iter().map(|path| format!("name:{path}")));
        let listed =
            list(calls, "ListSecrets", json!({ "parent": self.parent(), "filter": filter.join(" ") }), "secrets");
        let listed = listed.map_err(|error| ProviderError::from(error).within("failed to list secrets"))?;
        let mut found = Keys::new();
        for secret in &listed {
            let name = at(secret, "/name").as_str().unwrap_or_default();
            let key = name.rsplit_once("/secrets/").map_or(name, |(_, key)| key);
            let is_below = search.path.as_ref().is_none_or(|path| key.starts_with(path));
            if is_below && pattern.as_ref().is_none_or(|pattern| pattern.is_match(key)) {
                let reference = Reference { key: key.to_owned(), ..Reference::default() };
                found.insert(key.to_owned(), self.get(calls, &reference)?);
            }
        }
        convert_keys(conversion, found).map_err(|error| ProviderError::failed(error.to_string()))
    }

    /// Whether there is such a secret with a version that can be had.
    ///
    /// # Errors
    /// When the service fails.
    pub fn exists(&self, calls: &mut impl Calls, remote_key: &str) -> Result<bool, ProviderError> {
        match newest_enabled(calls, &self.name(remote_key)) {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a secret that is ours; others, and what is not there, are left as they are.
    ///
    /// # Errors
    /// When the service fails.
    pub fn delete(&self, calls: &mut impl Calls, remote_key: &str) -> Result<(), ProviderError> {
        let name = self.name(remote_key);
        let secret = match call(calls, "GetSecret", json!({ "name": name })) {
            Err(error) if error.is_missing() => return Ok(()),
            secret => secret?,
        };
        if texts(secret.expose(), "labels").get(MANAGED_BY).map(String::as_str) != Some(OURS) {
            return Ok(());
        }
        call(calls, "DeleteSecret", json!({ "name": name, "etag": at(secret.expose(), "/etag") }))?;
        Ok(())
    }

    /// Writes a value as a new version, unless the newest has it already.
    ///
    /// # Errors
    /// When the secret is not ours, settings cannot be right, or the service fails.
    pub fn push(&self, calls: &mut impl Calls, push: &Push, secret: &LocalSecret) -> Result<(), ProviderError> {
        let value = push.value(secret)?;
        let name = self.name(&push.remote_key);
        let remote = match call(calls, "GetSecret", json!({ "name": name })) {
            Err(error) if error.is_missing() => self.create(calls, push)?,
            remote => remote?,
        };
        self.update_marks(calls, push, &remote)?;
        let before = match call(calls, "AccessSecretVersion", json!({ "name": format!("{name}/versions/latest") })) {
            Err(error) if error.is_missing() => None,
            answer => payload(&answer?),
        };
        let wanted = match (&before, push.property.as_str()) {
            (_, "") => value.clone(),
            (before, property) => combined(before.as_ref(), property, &value)?,
        };
        if before.as_ref() == Some(&wanted) {
            return Ok(());
        }
        let data = BASE64_STANDARD.encode(wanted.expose());
        call(calls, "AddSecretVersion", json!({ "parent": name, "payload": { "data": data } }))?;
        Ok(())
    }

    fn create(&self, calls: &mut impl Calls, push: &Push) -> Result<SecretJson, ProviderError> {
        let settings = settings(push.metadata.as_ref())?;
        let mut secret = json!({ "labels": { MANAGED_BY: OURS } });
        // A secret of a region has no other place.
        if self.location.is_empty()
            && let Some(fields) = secret.as_object_mut()
        {
            let automatic = || json!({ "automatic": {} });
            fields.insert("replication".to_owned(), replication(settings.as_ref()).unwrap_or_else(automatic));
        }
        if let (Some(topics), Some(fields)) = (topics(settings.as_ref()), secret.as_object_mut()) {
            fields.insert("topics".to_owned(), topics.iter().map(|name| json!({ "name": name })).collect());
        }
        let request = json!({ "parent": self.parent(), "secretId": push.remote_key, "secret": secret });
        Ok(call(calls, "CreateSecret", request)?)
    }

    fn update_marks(&self, calls: &mut impl Calls, push: &Push, remote: &SecretJson) -> Result<(), ProviderError> {
        let remote = remote.expose();
        let (annotations, labels) = marks(push, &texts(remote, "annotations"), &texts(remote, "labels"))?;
        if texts(remote, "annotations") == annotations && texts(remote, "labels") == labels {
            return Ok(());
        }
        let secret = json!({
            "name": at(remote, "/name"), "etag": at(remote, "/etag"), "labels": labels, "annotations": annotations,
        });
        call(calls, "UpdateSecret", json!({ "secret": secret, "updateMask": "labels,annotations" }))?;
        Ok(())
    }
}

fn newest_enabled(calls: &mut impl Calls, name: &str) -> Result<SecretJson, GoogleError> {
    let versions = list(calls, "ListSecretVersions", json!({ "parent": name, "filter": "state:ENABLED" }), "versions")?;
    let time = |version: &&Value| at(version, "/createTime").as_str().unwrap_or_default().to_owned();
    let newest = versions.iter().max_by_key(time).and_then(|version| at(version, "/name").as_str());
    let newest = newest.map_or("latest", |full| full.rsplit('/').next().unwrap_or(full));
    call(calls, "AccessSecretVersion", json!({ "name": format!("{name}/versions/{newest}") }))
}

fn list(calls: &mut impl Calls, method: &'static str, request: Value, field: &str) -> Result<Vec<Value>, GoogleError> {
    let (mut all, mut token) = (Vec::new(), None::<String>);
    loop {
        let mut request = request.clone();
        if let (Some(token), Some(fields)) = (&token, request.as_object_mut()) {
            fields.insert("pageToken".to_owned(), json!(token));
        }
        let answer = call(calls, method, request)?;
        all.extend(answer.expose().get(field).and_then(Value::as_array).into_iter().flatten().cloned());
        token = answer.expose().get("nextPageToken").and_then(Value::as_str).map(str::to_owned);
        if token.as_ref().is_none_or(String::is_empty) {
            return Ok(all);
        }
    }
}

/// A part of a payload: a key of exactly that name where it has dots, else a path.
///
/// # Errors
/// When the payload is no JSON.
pub fn by_property(content: &SecretBytes, property: &str) -> Result<Option<SecretBytes>, ProviderError> {
    let wrong = || ProviderError::failed("failed to unmarshal secret: it is no JSON");
    let text = content.expose_str().ok_or_else(wrong)?;
    SecretJson::parse(content.expose()).ok_or_else(wrong)?;
    let by_name = property.contains('.').then(|| gjson(text, &property.replace('.', "\\."))).flatten();
    Ok(by_name.or_else(|| gjson(text, property)))
}

fn combined(before: Option<&SecretBytes>, place: &str, value: &SecretBytes) -> Result<SecretBytes, ProviderError> {
    let wrong = || ProviderError::failed("a property can be pushed into a JSON secret only");
    let mut root = match before {
        None => SecretJson::new(Value::Object(Map::new())),
        Some(content) => SecretJson::parse(content.expose()).ok_or_else(wrong)?,
    };
    let now = property::query(content_text(before), place);
    if now.as_ref() == Some(value) {
        return Ok(before.cloned().unwrap_or_else(|| value.clone()));
    }
    property::set(root.expose_mut(), place, &String::from_utf8_lossy(value.expose())).map_err(ProviderError::failed)?;
    Ok(SecretBytes::from(root.expose().to_string().as_str()))
}

fn content_text(content: Option<&SecretBytes>) -> &str {
    content.and_then(SecretBytes::expose_str).unwrap_or_default()
}

fn settings(given: Option<&Value>) -> Result<Option<Map<String, Value>>, ProviderError> {
    metadata::spec(given).map_err(|error| error.within("failed to parse PushSecret metadata"))
}

fn topics(settings: Option<&Map<String, Value>>) -> Option<Vec<String>> {
    let list = settings?.get("topics")?.as_array()?;
    Some(list.iter().filter_map(|topic| topic.as_str().map(str::to_owned)).collect())
}

/// Where copies of a new secret stand, as a PushSecret asks for it; `None` when it does not.
#[must_use]
pub fn replication(settings: Option<&Map<String, Value>>) -> Option<Value> {
    let text = |name: &str| Some(metadata::text(settings, name)).filter(|text| !text.is_empty());
    let key = text("cmekKeyName").map(|key| json!({ "kmsKeyName": key }));
    let listed = settings.and_then(|settings| settings.get("replicationLocations")).and_then(Value::as_array);
    let listed: Vec<&str> = listed.into_iter().flatten().filter_map(Value::as_str).collect();
    let locations = if listed.is_empty() { text("replicationLocation").into_iter().collect() } else { listed };
    if locations.is_empty() {
        return key.map(|key| json!({ "automatic": { "customerManagedEncryption": key } }));
    }
    let replica = |location: &&str| match &key {
        Some(key) => json!({ "location": location, "customerManagedEncryption": key }),
        None => json!({ "location": location }),
    };
    Some(json!({ "userManaged": { "replicas": locations.iter().map(replica).collect::<Vec<_>>() } }))
}

type Marks = BTreeMap<String, String>;

/// Annotations and labels that a push leads to.
///
/// # Errors
/// When the secret is not ours, or settings come with a property.
pub fn marks(push: &Push, annotations: &Marks, labels: &Marks) -> Result<(Marks, Marks), ProviderError> {
    let ours = (MANAGED_BY.to_owned(), OURS.to_owned());
    if !push.property.is_empty() {
        if push.metadata.is_some() {
            return Err(ProviderError::failed("cannot specify metadata and property at the same time"));
        }
        let mut labels = labels.clone();
        labels.extend([ours]);
        return Ok((annotations.clone(), labels));
    }
    if labels.get(MANAGED_BY).map(String::as_str) != Some(OURS) {
        let key = &push.remote_key;
        return Err(ProviderError::Failed(format!("secret {key} is not managed by external secrets")));
    }
    let settings = settings(push.metadata.as_ref())?;
    let mut wanted = metadata::texts(settings.as_ref(), "labels").unwrap_or_default();
    if metadata::text(settings.as_ref(), "mergePolicy") == "Merge" {
        wanted.extend(labels.clone());
    }
    wanted.extend([ours]);
    Ok((metadata::texts(settings.as_ref(), "annotations").unwrap_or_default(), wanted))
}

/// Checks `spec.provider.gcpsm` of a store; absent settings are no store of this provider.
///
/// # Errors
/// Names the first thing that is wrong.
pub fn check(kind: &str, namespace: &str, settings: Option<&Value>) -> Result<(), ProviderError> {
    let Some(settings) = settings.filter(|settings| settings.is_object()) else {
        return Err(ProviderError::failed("invalid gcp secrets manager provider"));
    };
    for (pointer, words) in [
        ("/auth/secretRef/secretAccessKeySecretRef", "invalid auth secret data"),
        ("/auth/workloadIdentity/serviceAccountRef", "invalid workload identity service account reference"),
    ] {
        let reference = at(settings, pointer);
        if reference.is_object() {
            check_reference(kind, namespace, reference, true).map_err(|error| error.within(words))?;
        }
    }
    Ok(())
}

const MANAGED_BY: &str = "managed-by";
const OURS: &str = "external-secrets";
