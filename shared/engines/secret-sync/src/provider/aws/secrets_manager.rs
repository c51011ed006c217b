//! Secrets Manager: values of secrets by stage or version, found by name and tags, pushed and deleted.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use regex::Regex;
use serde_json::{Map, Value, json};

use super::{AwsError, Calls, Policies, call, is_ours, setting, setting_or, settings, tag_list, tags, wanted_tags};
use crate::property;
use crate::provider::{Keys, LocalSecret, ProviderError, Push, Reference, Search, name_pattern};
use crate::value::{SecretBytes, SecretJson};

/// What a store says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manager {
    /// Stands before every name.
    pub prefix: String,
    /// Deletes at once.
    pub deletes_at_once: bool,
    /// Days in which a deleted secret can be had back; zero for the service's own.
    pub recovery_days: i64,
}

/// The content: text, or bytes in base64.
fn content(answer: &Value) -> Option<SecretBytes> {
    let binary = answer.get("SecretBinary").and_then(Value::as_str).and_then(|text| BASE64_STANDARD.decode(text).ok());
    binary.map(SecretBytes::new).or_else(|| answer.get("SecretString").and_then(Value::as_str).map(SecretBytes::from))
}

fn is_missing(error: &AwsError) -> bool {
    error.is(&[MISSING])
        || matches!(error, AwsError::Refused { code, message }
            if code == "InvalidParameterException" && message.contains("was marked for deletion"))
        || matches!(error, AwsError::Refused { code, message }
            if code == "InvalidRequestException" && message.contains("marked for deletion"))
}

impl Manager {
    fn name(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn fetch(&self, calls: &mut impl Calls, reference: &Reference) -> Result<SecretBytes, ProviderError> {
        let name = self.name(&reference.key);
        if reference.wants_metadata {
            let answer = call(calls, "DescribeSecret", json!({ "SecretId": name }))?;
            return Ok(super::tags_as_content(&tags(answer.expose().get("Tags").unwrap_or(&Value::Null))));
        }
        let input = match (reference.version.strip_prefix("uuid/"), reference.version.as_str()) {
            (Some(version), _) => json!({ "SecretId": name, "VersionId": version }),
            (None, "") => json!({ "SecretId": name, "VersionStage": "AWSCURRENT" }),
            (None, stage) => json!({ "SecretId": name, "VersionStage": stage }),
        };
        let answer = super::found(call(calls, "GetSecretValue", input), is_missing)?;
        let key = &reference.key;
        let nothing = || format!("invalid secret received. no secret string nor binary for key: {key}");
        content(answer.expose()).ok_or_else(|| ProviderError::Failed(nothing()))
    }

    /// One value: the content, or a part of it.
    ///
    /// # Errors
    /// When there is no such secret or part, or the service fails.
    pub fn get(&self, calls: &mut impl Calls, reference: &Reference) -> Result<SecretBytes, ProviderError> {
        let content = self.fetch(calls, reference)?;
        if reference.property.is_empty() {
            return Ok(content);
        }
        super::part(&content, &reference.property, &reference.key)
    }

    /// All keys of the JSON object that the content is.
    ///
    /// # Errors
    /// As [`Manager::get`], and when it is no JSON object.
    pub fn get_map(&self, calls: &mut impl Calls, reference: &Reference) -> Result<Keys, ProviderError> {
        super::keys(&self.get(calls, reference)?, &reference.key)
    }

    /// All secrets that a search finds: by path or tags in batches, by name alone one by one.
    ///
    /// # Errors
    /// When the search says neither name nor tags, or the service fails.
    pub fn find(&self, calls: &mut impl Calls, search: &Search) -> Result<Keys, ProviderError> {
        let wanted = search.tags.iter().flatten();
        let mut filters: Vec<Value> = wanted
            .flat_map(|(key, value)| {
                [json!({ "Key": "tag-key", "Values": [key] }), json!({ "Key": "tag-value", "Values": [value] })]
            })
            .collect();
        if search.name.is_none() && filters.is_empty() {
            return Err(ProviderError::failed("unexpected find operator"));
        }
        let pattern = search.name.as_deref().map(name_pattern).transpose()?;
        let is_batch = search.path.is_some() || pattern.is_none();
        filters.extend(search.path.iter().map(|path| json!({ "Key": "name", "Values": [path] })));
        match (is_batch, pattern) {
            (false, Some(pattern)) => self.find_listed(calls, &filters, &pattern),
            (_, pattern) => find_in_batches(calls, &filters, pattern.as_ref()),
        }
    }

    fn find_listed(&self, calls: &mut impl Calls, filters: &[Value], pattern: &Regex) -> Result<Keys, ProviderError> {
        let mut found = Keys::new();
        let mut names = Vec::new();
        pages(calls, ("ListSecrets", filters), |answer| {
            let listed = answer.get("SecretList").and_then(Value::as_array).into_iter().flatten();
            names.extend(listed.filter_map(|secret| secret.get("Name")?.as_str().map(str::to_owned)));
        })?;
        for name in names.into_iter().filter(|name| pattern.is_match(name)) {
            let reference = Reference { key: name.clone(), ..Reference::default() };
            let value = self.fetch(calls, &reference)?;
            found.insert(name, value);
        }
        Ok(found)
    }

    /// Whether there is such a secret.
    ///
    /// # Errors
    /// When the service fails.
    pub fn exists(&self, calls: &mut impl Calls, remote_key: &str) -> Result<bool, ProviderError> {
        match call(calls, "GetSecretValue", json!({ "SecretId": self.name(remote_key) })) {
            Ok(_) => Ok(true),
            Err(error) if error.is(&[MISSING]) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a secret that is ours; others, and what is not there, are left as they are.
    ///
    /// # Errors
    /// When the store's settings cannot be right, or the service fails.
    pub fn delete(&self, calls: &mut impl Calls, remote_key: &str) -> Result<(), ProviderError> {
        let name = self.name(remote_key);
        let answer = match call(calls, "GetSecretValue", json!({ "SecretId": name })) {
            Err(error) if error.is(&[MISSING]) => return Ok(()),
            answer => answer?,
        };
        let about = call(calls, "DescribeSecret", json!({ "SecretId": name }))?;
        if !is_ours(&tags(about.expose().get("Tags").unwrap_or(&Value::Null))) {
            return Ok(());
        }
        let id = answer.expose().get("ARN").and_then(Value::as_str).unwrap_or(&name);
        let mut input = json!({ "SecretId": id });
        if self.deletes_at_once {
            super::put_field(&mut input, "ForceDeleteWithoutRecovery", json!(true));
        }
        if self.recovery_days > 0 {
            super::put_field(&mut input, "RecoveryWindowInDays", json!(self.recovery_days));
        }
        self.check_deletion()?;
        call(calls, "DeleteSecret", input)?;
        Ok(())
    }

    /// Whether the settings of deletion can be right.
    ///
    /// # Errors
    /// When days of recovery are given although it deletes at once, or are not from 7 to 30.
    pub fn check_deletion(&self) -> Result<(), ProviderError> {
        let wrong = |what| Err(ProviderError::failed(format!("invalid DeleteSecretInput: {what}")));
        if self.deletes_at_once && self.recovery_days > 0 {
            return wrong("ForceDeleteWithoutRecovery conflicts with RecoveryWindowInDays");
        }
        if self.recovery_days > 0 && !(7..=30).contains(&self.recovery_days) {
            return wrong("RecoveryWindowInDays must be between 7 and 30 days");
        }
        Ok(())
    }

    /// Writes a value, or a part of a JSON object; `version` names the new version.
    ///
    /// # Errors
    /// When the secret is not ours, settings cannot be right, or the service fails.
    pub fn push(
        &self,
        calls: &mut impl Calls,
        (push, secret): (&Push, &LocalSecret),
        (version, policies): (&str, Policies<'_>),
    ) -> Result<(), ProviderError> {
        let value = push.value(secret).map_err(|error| error.within("failed to extract secret data"))?;
        let name = self.name(&push.remote_key);
        let about = match call(calls, "DescribeSecret", json!({ "SecretId": name })) {
            Err(error) if error.is(&[MISSING]) => {
                let value = combined(&value, &push.property, None)?;
                return create(calls, (&name, push), &value, policies);
            }
            about => about?,
        };
        let about = about.expose();
        let now = tags(about.get("Tags").unwrap_or(&Value::Null));
        if !is_ours(&now) {
            return Err(ProviderError::failed("secret not managed by external-secrets"));
        }
        let has_versions =
            about.get("VersionIdsToStages").and_then(Value::as_object).is_some_and(|versions| !versions.is_empty());
        let before = match has_versions {
            true => Some(call(calls, "GetSecretValue", json!({ "SecretId": name }))?),
            false => None,
        };
        let before = before.as_ref().map(SecretJson::expose);
        let value = combined(&value, &push.property, before)?;
        let given = Given::read(push)?;
        patch_tags(calls, &given, (&name, &now))?;
        given.resource_policy(calls, &name, policies)?;
        given.replicas(calls, &name, about)?;
        if before.and_then(content).as_ref() == Some(&value) {
            return Ok(());
        }
        let version = if before.is_some() { version } else { FIRST_VERSION };
        let mut input = json!({ "SecretId": name, "ClientRequestToken": version });
        given.put_value(&mut input, &value);
        call(calls, "PutSecretValue", input)?;
        Ok(())
    }
}

/// Whether the login can be judged without the namespace of who asks; `None` when it cannot.
#[must_use]
pub fn validation(is_referent: bool) -> Option<()> {
    (!is_referent).then_some(())
}

fn pages(
    calls: &mut impl Calls,
    (operation, filters): (&'static str, &[Value]),
    mut take: impl FnMut(&Value),
) -> Result<(), ProviderError> {
    let mut next: Option<String> = None;
    loop {
        let mut input = json!({ "Filters": filters });
        if let Some(token) = &next {
            super::put_field(&mut input, "NextToken", json!(token));
        }
        let answer = call(calls, operation, input)?;
        take(answer.expose());
        next = answer.expose().get("NextToken").and_then(Value::as_str).map(str::to_owned);
        if next.is_none() {
            return Ok(());
        }
    }
}

fn find_in_batches(calls: &mut impl Calls, filters: &[Value], pattern: Option<&Regex>) -> Result<Keys, ProviderError> {
    let mut found = Keys::new();
    pages(calls, ("BatchGetSecretValue", filters), |answer| {
        for secret in answer.get("SecretValues").and_then(Value::as_array).into_iter().flatten() {
            let name = secret.get("Name").and_then(Value::as_str).unwrap_or_default();
            if let Some(value) = content(secret).filter(|_| pattern.is_none_or(|pattern| pattern.is_match(name))) {
                found.insert(name.to_owned(), value);
            }
        }
    })?;
    Ok(found)
}

/// The value to write: as it is, or put at a place of the JSON that stands there.
fn combined(value: &SecretBytes, place: &str, before: Option<&Value>) -> Result<SecretBytes, ProviderError> {
    if place.is_empty() {
        return Ok(value.clone());
    }
    let before = before.and_then(content).filter(|content| !content.expose().is_empty());
    let wrong = "PushSecret for aws secrets manager with a pushSecretData property requires a json secret";
    let mut root = match before {
        None => SecretJson::new(Value::Object(Map::new())),
        Some(content) => SecretJson::parse(content.expose()).ok_or_else(|| ProviderError::failed(wrong))?,
    };
    let text = String::from_utf8_lossy(value.expose());
    property::set(root.expose_mut(), place, &text).map_err(ProviderError::failed)?;
    Ok(SecretBytes::from(root.expose().to_string().as_str()))
}

/// The settings of a push, with defaults.
#[derive(Debug)]
pub struct Given {
    settings: Option<Map<String, Value>>,
    /// Tags, with the mark of the manager.
    pub tags: BTreeMap<String, String>,
    is_text: bool,
}

impl Given {
    /// Reads them.
    ///
    /// # Errors
    /// When they cannot be read, or name the mark of the manager or an unknown format.
    pub fn read(push: &Push) -> Result<Self, ProviderError> {
        let settings = settings(push.metadata.as_ref(), &FIELDS)?;
        let is_text = match setting_or(settings.as_ref(), "secretPushFormat", "binary") {
            "binary" => false,
            "string" => true,
            other => return Err(ProviderError::failed(format!("invalid secret push format: {other}"))),
        };
        Ok(Self { tags: wanted_tags(settings.as_ref())?, settings, is_text })
    }

    /// The settings with their defaults, as the peer has them.
    #[must_use]
    pub fn to_value(&self) -> Value {
        json!({
            "tags": self.tags, "description": setting_or(self.settings.as_ref(), "description", DESCRIPTION),
            "secretPushFormat": if self.is_text { "string" } else { "binary" }, "kmsKeyId": self.key_id(),
            "replicationLocations": self.locations(),
        })
    }

    fn put_value(&self, input: &mut Value, value: &SecretBytes) {
        match self.is_text {
            true => super::put_field(input, "SecretString", json!(String::from_utf8_lossy(value.expose()))),
            false => super::put_field(input, "SecretBinary", json!(BASE64_STANDARD.encode(value.expose()))),
        }
    }

    fn key_id(&self) -> &str {
        setting_or(self.settings.as_ref(), "kmsKeyId", "alias/aws/secretsmanager")
    }

    fn locations(&self) -> Option<Vec<String>> {
        let list = setting(self.settings.as_ref(), "replicationLocations")?.as_array()?;
        Some(list.iter().filter_map(|region| region.as_str().map(str::to_owned)).collect())
    }

    fn policy(&self, policies: Policies<'_>) -> Result<Option<String>, ProviderError> {
        let source = setting(self.settings.as_ref(), "resourcePolicy").and_then(|policy| policy.get("policySourceRef"));
        let Some(source) = source.filter(|source| source.is_object()) else { return Ok(None) };
        let text = |name: &str| source.get(name).and_then(Value::as_str).unwrap_or_default();
        let found = match text("kind") {
            kind @ ("ConfigMap" | "Secret") => policies(kind, text("name"), text("key")),
            other => Err(ProviderError::failed(format!(
                "unsupported PolicySourceRef kind: {other} (must be ConfigMap or Secret)"
            ))),
        };
        found.map(Some).map_err(|error| error.within("failed to resolve resource policy"))
    }

    fn put_policy(&self, calls: &mut impl Calls, id: &str, policy: &str) -> Result<(), ProviderError> {
        let mut input = json!({ "SecretId": id, "ResourcePolicy": policy });
        let settings = setting(self.settings.as_ref(), "resourcePolicy");
        if let Some(blocks) = settings.and_then(|settings| settings.get("blockPublicPolicy")).and_then(Value::as_bool) {
            super::put_field(&mut input, "BlockPublicPolicy", json!(blocks));
        }
        let put = call(calls, "PutResourcePolicy", input);
        put.map(drop).map_err(|error| ProviderError::from(error).within("failed to put resource policy"))
    }

    /// Brings the policy of the secret in line: none where none is asked for.
    fn resource_policy(&self, calls: &mut impl Calls, id: &str, policies: Policies<'_>) -> Result<(), ProviderError> {
        let Some(wanted) = self.policy(policies)?.filter(|policy| !policy.is_empty()) else {
            return match call(calls, "DeleteResourcePolicy", json!({ "SecretId": id })) {
                Err(error) if !error.is(&[MISSING]) => {
                    Err(ProviderError::from(error).within("failed to delete resource policy"))
                }
                _ => Ok(()),
            };
        };
        let now = match call(calls, "GetResourcePolicy", json!({ "SecretId": id })) {
            Err(error) if error.is(&[MISSING]) => None,
            Err(error) => return Err(ProviderError::from(error).within("failed to get current resource policy")),
            Ok(answer) => answer.expose().get("ResourcePolicy").and_then(Value::as_str).map(str::to_owned),
        };
        let parsed = |text: &str, which: &str| {
            serde_json::from_str::<Value>(text).map_err(|_| {
                ProviderError::Failed(format!("failed to unmarshal {which} resource policy: it is no JSON"))
            })
        };
        let now = now.filter(|policy| !policy.is_empty()).map(|policy| parsed(&policy, "current")).transpose()?;
        if now == Some(parsed(&wanted, "desired")?) {
            return Ok(());
        }
        self.put_policy(calls, id, &wanted)
    }

    /// Brings the regions of the secret in line, where regions are asked for at all.
    fn replicas(&self, calls: &mut impl Calls, id: &str, about: &Value) -> Result<(), ProviderError> {
        let Some(wanted) = self.locations() else { return Ok(()) };
        let listed = about.get("ReplicationStatus").and_then(Value::as_array).into_iter().flatten();
        let now: Vec<&str> = listed.filter_map(|status| status.get("Region")?.as_str()).collect();
        let gone: Vec<&str> = now.iter().copied().filter(|region| !wanted.iter().any(|name| name == region)).collect();
        if !gone.is_empty() {
            let input = json!({ "SecretId": id, "RemoveReplicaRegions": gone });
            call(calls, "RemoveRegionsFromReplication", input).map_err(|error| {
                ProviderError::from(error).within("failed to remove regions from secret replication")
            })?;
        }
        let new: Vec<String> = wanted.into_iter().filter(|region| !now.contains(&region.as_str())).collect();
        if !new.is_empty() {
            let key = about.get("KmsKeyId").and_then(Value::as_str);
            let input = json!({ "SecretId": id, "AddReplicaRegions": regions(&new, key) });
            call(calls, "ReplicateSecretToRegions", input)
                .map_err(|error| ProviderError::from(error).within("failed to replicate existing secret to regions"))?;
        }
        Ok(())
    }
}

fn regions(names: &[String], key: Option<&str>) -> Value {
    let region = |name: &String| match key {
        Some(key) => json!({ "Region": name, "KmsKeyId": key }),
        None => json!({ "Region": name }),
    };
    names.iter().map(region).collect()
}

fn create(
    calls: &mut impl Calls,
    (name, push): (&str, &Push),
    value: &SecretBytes,
    policies: Policies<'_>,
) -> Result<(), ProviderError> {
    let given = Given::read(push).map_err(|error| error.within("failed to parse push secret metadata"))?;
    let mut input = json!({
        "Name": name,
        "Tags": tag_list(&given.tags),
        "Description": setting_or(given.settings.as_ref(), "description", DESCRIPTION),
        "ClientRequestToken": FIRST_VERSION,
        "KmsKeyId": given.key_id(),
    });
    given.put_value(&mut input, value);
    if let Some(names) = given.locations().filter(|names| !names.is_empty()) {
        super::put_field(&mut input, "AddReplicaRegions", regions(&names, Some(given.key_id())));
    }
    let created = call(calls, "CreateSecret", input)?;
    let id = created.expose().get("ARN").and_then(Value::as_str).unwrap_or(name);
    match given.policy(policies)? {
        Some(policy) => given.put_policy(calls, id, &policy),
        None => Ok(()),
    }
}

/// Brings tags in line, where tags are asked for at all.
///
/// # Errors
/// When the service fails.
pub fn patch_tags(
    calls: &mut impl Calls,
    given: &Given,
    (id, now): (&str, &BTreeMap<String, String>),
) -> Result<(), ProviderError> {
    if given.tags.len() <= 1 {
        return Ok(());
    }
    let gone = super::tags_to_remove(now, &given.tags);
    if !gone.is_empty() {
        call(calls, "UntagResource", json!({ "SecretId": id, "TagKeys": gone }))?;
    }
    let (list, is_changed) = super::tags_to_update(now, &given.tags);
    if is_changed {
        call(calls, "TagResource", json!({ "SecretId": id, "Tags": list }))?;
    }
    Ok(())
}

const MISSING: &str = "ResourceNotFoundException";
const FIRST_VERSION: &str = "00000000-0000-0000-0000-000000000001";
const DESCRIPTION: &str = "secret 'managed-by:external-secrets'";
const FIELDS: [&str; 6] =
    ["tags", "description", "secretPushFormat", "kmsKeyId", "resourcePolicy", "replicationLocations"];
