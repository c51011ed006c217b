//! Parameter Store: values of parameters by version, found by path, name and tags, pushed and deleted.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use regex::Regex;
use serde_json::{Map, Value, json};

use super::{AwsError, Calls, call, is_ours, setting, setting_or, settings, tag_list, tags, wanted_tags};
use crate::provider::{Keys, LocalSecret, ProviderError, Push, Reference, Search, json_of_keys, name_pattern};
use crate::value::{SecretBytes, SecretJson, to_sorted_json};

/// What a store says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// Stands before every name.
    pub prefix: String,
}

fn value(answer: &SecretJson) -> Option<SecretBytes> {
    answer.expose().pointer("/Parameter/Value")?.as_str().map(SecretBytes::from)
}

impl Parameters {
    fn name(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn fetch(&self, calls: &mut impl Calls, reference: &Reference) -> Result<SecretBytes, ProviderError> {
        let mut name = self.name(&reference.key);
        if !reference.version.is_empty() {
            name = format!("{name}:{}", reference.version);
        }
        if reference.wants_metadata {
            return Ok(super::tags_as_content(&tags_of(calls, &name)?));
        }
        let answer = call(calls, "GetParameter", json!({ "Name": name, "WithDecryption": true }));
        let answer = super::found(answer, |error| error.is(&[MISSING]))?;
        let key = &reference.key;
        let nothing = || format!("invalid secret received. parameter value is nil for key: {key}");
        value(&answer).ok_or_else(|| ProviderError::Failed(nothing()))
    }

    /// One value: the parameter, or a part of it.
    ///
    /// # Errors
    /// When there is no such parameter or part, or the service fails.
    pub fn get(&self, calls: &mut impl Calls, reference: &Reference) -> Result<SecretBytes, ProviderError> {
        let content = self.fetch(calls, reference)?;
        if reference.property.is_empty() {
            return Ok(content);
        }
        super::part(&content, &reference.property, &reference.key)
    }

    /// All keys of the JSON object that the parameter is.
    ///
    /// # Errors
    /// As [`Parameters::get`], and when it is no JSON object.
    pub fn get_map(&self, calls: &mut impl Calls, reference: &Reference) -> Result<Keys, ProviderError> {
        super::keys(&self.get(calls, reference)?, &reference.key)
    }

    /// All parameters that a search finds, by name or by tags.
    ///
    /// # Errors
    /// When the search says neither, or the service fails.
    pub fn find(&self, calls: &mut impl Calls, search: &Search) -> Result<Keys, ProviderError> {
        if let Some(name) = &search.name {
            return self.find_by_name(calls, search, &name_pattern(name)?);
        }
        let Some(wanted) = &search.tags else { return Err(ProviderError::failed("unexpected find operator")) };
        let by_tag = |(key, value): (&String, &String)| json!({ "Key": format!("tag:{key}"), "Values": [value], "Option": "Equals" });
        let mut filters: Vec<Value> = wanted.iter().map(by_tag).collect();
        filters.extend(search.path.iter().map(|path| below(path)));
        self.find_described(calls, &filters, None)
    }

    fn find_by_name(&self, calls: &mut impl Calls, search: &Search, pattern: &Regex) -> Result<Keys, ProviderError> {
        let path = search.path.as_deref().unwrap_or("/");
        let mut found = Keys::new();
        let input = json!({ "Path": path, "Recursive": true, "WithDecryption": true });
        let listed = pages(calls, ("GetParametersByPath", &input), |parameter| {
            let text = |name: &str| parameter.get(name).and_then(Value::as_str);
            if let Some((name, value)) = text("Name").zip(text("Value")).filter(|(name, _)| pattern.is_match(name)) {
                found.insert(name.to_owned(), SecretBytes::from(value));
            }
        });
        match listed {
            Ok(()) => Ok(found),
            // Who may not list by path may still be allowed to describe.
            Err(error) if error.is(&["AccessDeniedException"]) => {
                let filters: Vec<Value> = search.path.iter().map(|path| below(path)).collect();
                self.find_described(calls, &filters, Some(pattern))
            }
            Err(error) => Err(ProviderError::from(error).within(&format!("fetching parameters by path {path}"))),
        }
    }

    fn find_described(
        &self,
        calls: &mut impl Calls,
        filters: &[Value],
        pattern: Option<&Regex>,
    ) -> Result<Keys, ProviderError> {
        let mut names = Vec::new();
        pages(calls, ("DescribeParameters", &json!({ "ParameterFilters": filters })), |parameter| {
            names.extend(parameter.get("Name").and_then(Value::as_str).map(str::to_owned));
        })?;
        let mut found = Keys::new();
        for name in names.into_iter().filter(|name| pattern.is_none_or(|pattern| pattern.is_match(name))) {
            let answer = call(calls, "GetParameter", json!({ "Name": name, "WithDecryption": true }))?;
            found.insert(name, value(&answer).unwrap_or_else(|| SecretBytes::new(Vec::new())));
        }
        Ok(found)
    }

    /// Whether there is such a parameter.
    ///
    /// # Errors
    /// When the service fails.
    pub fn exists(&self, calls: &mut impl Calls, remote_key: &str) -> Result<bool, ProviderError> {
        match call(calls, "GetParameter", json!({ "Name": self.name(remote_key) })) {
            Ok(_) => Ok(true),
            Err(error) if error.is(&[MISSING, "ResourceNotFoundException"]) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a parameter that is ours; others, and what is not there, are left as they are.
    ///
    /// # Errors
    /// When the service fails.
    pub fn delete(&self, calls: &mut impl Calls, remote_key: &str) -> Result<(), ProviderError> {
        let name = self.name(remote_key);
        let Some(before) = before(calls, &json!({ "Name": name }))? else { return Ok(()) };
        if !is_ours(&existing_tags(calls, &name, &before)?) {
            return Ok(());
        }
        let deleted = call(calls, "DeleteParameter", json!({ "Name": name }));
        deleted
            .map(drop)
            .map_err(|error| ProviderError::from(error).within(&format!("could not delete parameter {name}")))
    }

    /// Writes a parameter.
    ///
    /// # Errors
    /// When it is not ours, settings cannot be right, or the service fails.
    pub fn push(&self, calls: &mut impl Calls, push: &Push, secret: &LocalSecret) -> Result<(), ProviderError> {
        let given = Given::read(push.metadata.as_ref())?;
        let wanted = given.value(push, secret)?;
        let name = self.name(&push.remote_key);
        let mut input = given.request(&name, &wanted);
        let before = before(calls, &json!({ "Name": name, "WithDecryption": true }))?;
        let Some(before) = before else {
            super::put_field(&mut input, "Tags", tag_list(&given.tags));
            super::put_field(&mut input, "Overwrite", json!(false));
            return put(calls, input, &name);
        };
        let now = existing_tags(calls, &name, &before)?;
        if !is_ours(&now) {
            return Err(ProviderError::failed("secret not managed by external-secrets"));
        }
        match value(&before) {
            Some(held) if held.expose() == b"sensitive" => {
                let what = "unable to compare 'sensitive' result, ensure to request a decrypted value";
                return Err(ProviderError::failed(what));
            }
            Some(held) if held == wanted => return Ok(()),
            _ => {}
        }
        put(calls, input, &name)?;
        given.patch_tags(calls, &name, &now)
    }
}

fn before(calls: &mut impl Calls, input: &Value) -> Result<Option<SecretJson>, ProviderError> {
    let name = input.get("Name").and_then(Value::as_str).unwrap_or_default();
    match call(calls, "GetParameter", input.clone()) {
        Ok(answer) => Ok(Some(answer).filter(|answer| answer.expose().get("Parameter").is_some_and(Value::is_object))),
        Err(error) if error.is(&[MISSING]) => Ok(None),
        Err(error) => Err(ProviderError::from(error).within(&format!("unexpected error getting parameter {name}"))),
    }
}

fn tags_of(calls: &mut impl Calls, name: &str) -> Result<BTreeMap<String, String>, ProviderError> {
    let answer = call(calls, "ListTagsForResource", json!({ "ResourceId": name, "ResourceType": "Parameter" }));
    let answer = answer.map_err(|error| ProviderError::from(error).within("error listing tags"))?;
    Ok(tags(answer.expose().get("TagList").unwrap_or(&Value::Null)))
}

fn existing_tags(
    calls: &mut impl Calls,
    name: &str,
    before: &SecretJson,
) -> Result<BTreeMap<String, String>, ProviderError> {
    let known = before.expose().pointer("/Parameter/Name").and_then(Value::as_str).unwrap_or(name);
    tags_of(calls, known)
        .map_err(|error| error.within(&format!("error getting the existing tags for the parameter {name}")))
}

fn put(calls: &mut impl Calls, input: Value, name: &str) -> Result<(), ProviderError> {
    let put = call(calls, "PutParameter", input);
    put.map(drop)
        .map_err(|error| ProviderError::from(error).within(&format!("unexpected error pushing parameter {name}")))
}

fn below(path: &str) -> Value {
    json!({ "Key": "Path", "Option": "Recursive", "Values": [path] })
}

fn pages(
    calls: &mut impl Calls,
    (operation, input): (&'static str, &Value),
    mut take: impl FnMut(&Value),
) -> Result<(), AwsError> {
    let mut next: Option<String> = None;
    loop {
        let mut input = input.clone();
        if let Some(token) = &next {
            super::put_field(&mut input, "NextToken", json!(token));
        }
        let answer = call(calls, operation, input)?;
        answer.expose().get("Parameters").and_then(Value::as_array).into_iter().flatten().for_each(&mut take);
        next = answer.expose().get("NextToken").and_then(Value::as_str).map(str::to_owned);
        if next.is_none() {
            return Ok(());
        }
    }
}

/// The settings of a push, with defaults.
#[derive(Debug)]
pub struct Given {
    settings: Option<Map<String, Value>>,
    /// Tags, with the mark of the manager.
    pub tags: BTreeMap<String, String>,
}

impl Given {
    /// Reads them.
    ///
    /// # Errors
    /// When they cannot be read, or name the mark of the manager.
    pub fn read(metadata: Option<&Value>) -> Result<Self, ProviderError> {
        let settings = settings(metadata, &FIELDS)?;
        Ok(Self { tags: wanted_tags(settings.as_ref())?, settings })
    }

    /// The settings with their defaults, as the peer has them.
    #[must_use]
    pub fn to_value(&self) -> Value {
        json!({
            "secretType": self.kind(), "kmsKeyID": self.key_id(), "description": self.description(),
            "tier": { "type": self.tier() }, "tags": self.tags,
            "encodeAsDecoded": self.is_decoded(),
        })
    }

    fn kind(&self) -> &str {
        setting_or(self.settings.as_ref(), "secretType", "String")
    }

    fn key_id(&self) -> &str {
        setting_or(self.settings.as_ref(), "kmsKeyID", "alias/aws/ssm")
    }

    fn description(&self) -> &str {
        setting_or(self.settings.as_ref(), "description", "secret 'managed-by:external-secrets'")
    }

    fn tier(&self) -> &str {
        let tier = setting(self.settings.as_ref(), "tier").and_then(|tier| tier.get("type")).and_then(Value::as_str);
        tier.unwrap_or("Standard")
    }

    fn is_decoded(&self) -> bool {
        setting(self.settings.as_ref(), "encodeAsDecoded") == Some(&Value::Bool(true))
    }

    /// The value to write: one key, or all of them as JSON, whose values are in base64 unless the settings say otherwise.
    fn value(&self, push: &Push, secret: &LocalSecret) -> Result<SecretBytes, ProviderError> {
        if !push.secret_key.is_empty() {
            return push.value(secret);
        }
        if self.is_decoded() {
            return Ok(json_of_keys(&secret.data));
        }
        let encoded =
            secret.data.iter().map(|(key, value)| (key.clone(), Value::String(BASE64_STANDARD.encode(value.expose()))));
        let object = SecretJson::new(Value::Object(encoded.collect()));
        Ok(SecretBytes::new(to_sorted_json(object.expose())))
    }

    fn request(&self, name: &str, value: &SecretBytes) -> Value {
        let mut input = json!({
            "Name": name, "Value": String::from_utf8_lossy(value.expose()), "Type": self.kind(),
            "Overwrite": true, "Description": self.description(),
        });
        if self.kind() == "SecureString" {
            super::put_field(&mut input, "KeyId", json!(self.key_id()));
        }
        if self.tier() == "Advanced" {
            super::put_field(&mut input, "Tier", json!("Advanced"));
            let policies = setting(self.settings.as_ref(), "tier").and_then(|tier| tier.get("policies"));
            if let Some(policies) = policies.filter(|policies| !policies.is_null()) {
                super::put_field(&mut input, "Policies", json!(policies.to_string()));
            }
        }
        input
    }

    fn patch_tags(
        &self,
        calls: &mut impl Calls,
        name: &str,
        now: &BTreeMap<String, String>,
    ) -> Result<(), ProviderError> {
        let resource = json!({ "ResourceId": name, "ResourceType": "Parameter" });
        let gone = super::tags_to_remove(now, &self.tags);
        if !gone.is_empty() {
            let mut input = resource.clone();
            super::put_field(&mut input, "TagKeys", json!(gone));
            call(calls, "RemoveTagsFromResource", input)?;
        }
        let (list, is_changed) = super::tags_to_update(now, &self.tags);
        if is_changed {
            let mut input = resource;
            super::put_field(&mut input, "Tags", list);
            call(calls, "AddTagsToResource", input)?;
        }
        Ok(())
    }
}

const MISSING: &str = "ParameterNotFound";
const FIELDS: [&str; 6] = ["secretType", "kmsKeyID", "tier", "encodeAsDecoded", "tags", "description"];
