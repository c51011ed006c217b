//! `VaultDynamicSecret`: one call of a Vault or OpenBao path that makes credentials up as it is read.

use serde_json::{Map, Value};

use super::GeneratorError;
use crate::provider::{Keys, value_bytes};
use crate::value::SecretJson;

/// What is asked of the server.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Settings of the server, as a store has them.
    pub provider: Value,
    /// Path, as `database/creds/reader`.
    pub path: String,
    /// `GET`, `LIST`, `POST`, `PUT` or `DELETE`.
    pub method: String,
    /// Body of a write, or query of a read.
    pub parameters: Option<Value>,
    result: ResultType,
    may_be_empty: bool,
}

/// Which part of the answer is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ResultType {
    Data,
    Auth,
    Raw,
}

impl Settings {
    /// Reads a whole object; an empty text is one without a `spec`.
    ///
    /// # Errors
    /// When there is no object, it is none, or as [`Settings::read`].
    pub fn of_object(object: Option<&[u8]>) -> Result<Self, GeneratorError> {
        let is_empty = object.is_some_and(|text| text.trim_ascii().is_empty());
        let spec = if is_empty { Map::new() } else { super::spec(object)? };
        Self::read(&spec)
    }

    /// Reads a `spec`.
    ///
    /// # Errors
    /// When it names no server or path, or a setting cannot be used.
    pub fn read(spec: &Map<String, Value>) -> Result<Self, GeneratorError> {
        let refused = |what: String| Err(GeneratorError::Refused(what));
        let text = |name: &str| spec.get(name).and_then(Value::as_str).unwrap_or_default();
        let provider = spec.get("provider").filter(|provider| provider.is_object());
        let Some(provider) = provider else { return refused("no Vault provider config in spec".to_owned()) };
        let kubernetes = provider.pointer("/auth/kubernetes").filter(|auth| auth.is_object());
        let has_role = |auth: &Value| auth.get("role").and_then(Value::as_str).is_some_and(|role| !role.is_empty());
        if kubernetes.is_some_and(|auth| !has_role(auth)) {
            return refused("unable to setup Vault client: no role name was provided".to_owned());
        }
        if text("path").is_empty() {
            return refused("spec.path is missing: name the path to read, such as database/creds/reader".to_owned());
        }
        let method = match text("method") {
            "" => "GET",
            method @ ("GET" | "LIST" | "POST" | "PUT" | "DELETE") => method,
            other => return refused(format!("unsupported method {other}: use GET, LIST, POST, PUT or DELETE")),
        };
        let result = match text("resultType") {
            "" | "Data" => ResultType::Data,
            "Auth" => ResultType::Auth,
            "Raw" => ResultType::Raw,
            other => return refused(format!("unsupported resultType {other}: use Data, Auth or Raw")),
        };
        let parameters = spec.get(if method == "GET" { "getParameters" } else { "parameters" });
        Ok(Self {
            provider: provider.clone(),
            path: text("path").trim_matches('/').to_owned(),
            method: method.to_owned(),
            parameters: parameters.filter(|parameters| !parameters.is_null()).cloned(),
            result,
            may_be_empty: spec.get("allowEmptyResponse") == Some(&Value::Bool(true)),
        })
    }

    /// The keys of an answer; `None` is an answer without content.
    ///
    /// # Errors
    /// When there has to be an answer and is none.
    pub fn keys(&self, answer: Option<&SecretJson>) -> Result<Keys, GeneratorError> {
        let part = match self.result {
            ResultType::Data => answer.and_then(|answer| answer.expose().get("data")),
            ResultType::Auth => answer.and_then(|answer| answer.expose().get("auth")),
            ResultType::Raw => answer.map(SecretJson::expose),
        };
        match part.and_then(Value::as_object) {
            Some(fields) => Ok(fields.iter().map(|(key, value)| (key.clone(), value_bytes(value))).collect()),
            None if self.may_be_empty => Ok(Keys::new()),
            None => Err(GeneratorError::Refused("unable to get dynamic secret: empty response from Vault".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_of_answers() {
        let answer = SecretJson::new(json!({
            "lease_id": "l", "data": { "username": "u", "n": 3 }, "auth": { "client_token": "t", "policies": ["a"] }
        }));
        for (kind, key, expected) in [("Data", "n", "3"), ("Auth", "policies", "[\"a\"]"), ("Raw", "lease_id", "l")] {
            let spec = json!({ "provider": {}, "path": "/p/", "resultType": kind });
            let settings = Settings::read(spec.as_object().unwrap()).unwrap();
            assert_eq!(settings.keys(Some(&answer)).unwrap()[key].expose_str(), Some(expected));
            assert!(settings.keys(None).unwrap_err().to_string().contains("empty response"));
        }
        let spec = json!({ "provider": {}, "path": "p", "allowEmptyResponse": true, "method": "POST" });
        assert_eq!(Settings::read(spec.as_object().unwrap()).unwrap().keys(None), Ok(Keys::new()));
        for spec in [json!({}), json!({ "provider": {} }), json!({ "provider": {}, "path": "p", "method": "x" })] {
            assert!(Settings::read(spec.as_object().unwrap()).is_err(), "{spec}");
        }
    }
}
