//! Judgement of the providers of Google and Azure by External Secrets' own cases.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secret_sync::provider::gcp::{self, Calls, GoogleError, Project};
use secret_sync::provider::{LocalSecret, ProviderError, Push, azure, metadata};
use secret_sync::{SecretBytes, SecretJson};
use serde_json::{Map, Value, json};

use crate::corpus::each;
use crate::providers::{local, push, reference};

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// Fields as Go names them, as the service's JSON names them; payloads in base64; what is a choice in Go stands directly.
fn wire(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut made = Map::new();
            for (name, value) in fields {
                let lower = name[..1].to_lowercase() + &name[1..];
                let value = match (name.as_str(), value) {
                    ("Data", Value::String(text)) => json!(BASE64_STANDARD.encode(text)),
                    ("Labels" | "Annotations", other) => other.clone(),
                    ("Replication", inner) if inner.get("Replication").is_some() => wire(&inner["Replication"]),
                    (_, other) => wire(other),
                };
                made.insert(lower, value);
            }
            Value::Object(made)
        }
        Value::Array(items) => items.iter().map(wire).collect(),
        other => other.clone(),
    }
}

struct Service<'c>(&'c Value);

impl Calls for Service<'_> {
    fn call(&mut self, method: &'static str, _: &SecretJson) -> Result<SecretJson, GoogleError> {
        let lower = method[..1].to_lowercase() + &method[1..];
        let place = [
            format!("{method}MockReturn"),
            format!("{lower}MockReturn"),
            format!("{lower}Output"),
            format!("{method}Return"),
            format!("{lower}Return"),
        ];
        let found = place.iter().map(|name| &self.0[name]).find(|found| !found.is_null());
        let Some(found) = found else {
            // A delete has an error only; versions that nobody lists are none.
            return error(&self.0[format!("{lower}Err")]).map(|()| SecretJson::new(json!({})));
        };
        error(&found["Err"])?;
        let answer = ["Secret", "Res", "SecretVersion"].iter().map(|name| &found[*name]).find(|found| !found.is_null());
        let answer = answer.filter(|answer| answer.get("$call").is_none());
        Ok(SecretJson::new(answer.map_or_else(|| json!({}), wire)))
    }
}

fn error(error: &Value) -> Result<(), GoogleError> {
    let refused = |status: &str| Err(GoogleError::Refused { status: status.to_owned(), message: "failed".to_owned() });
    match (text(error, "$error"), text(error, "$go"), text(error, "$call")) {
        ("", "", "") => Ok(()),
        ("", "notFoundError", _) => refused("NOT_FOUND"),
        ("", "permissionDeniedError", _) => refused("PERMISSION_DENIED"),
        ("", "canceledError", _) => refused("CANCELED"),
        ("", "", "status.Error") => match text(&error["args"][0], "$go") {
            "codes.NotFound" => refused("NOT_FOUND"),
            "codes.FailedPrecondition" => refused("FAILED_PRECONDITION"),
            _ => refused("INTERNAL"),
        },
        (words, ..) => Err(GoogleError::Failed(words.to_owned())),
    }
}

fn verdict(wanted: &Value, got: Result<Value, ProviderError>) -> (Value, Value) {
    let words = match text(wanted, "$go") {
        "notFoundError" => "NOT_FOUND",
        "canceledError" => "CANCELED",
        _ => text(wanted, "$error"),
    };
    match got {
        Ok(_) if wanted.is_null() => (Value::Null, Value::Null),
        Ok(value) => (wanted.clone(), value),
        Err(error) if !wanted.is_null() && error.to_string().contains(words) => (wanted.clone(), wanted.clone()),
        Err(error) => (wanted.clone(), json!(error.to_string())),
    }
}

fn project(store: &Value, location: &Value) -> Project {
    Project {
        id: store["projectID"].as_str().unwrap_or("foo").to_owned(),
        location: location.as_str().or(store["location"].as_str()).unwrap_or_default().to_owned(),
        takes_enabled: false,
    }
}

fn got_metadata(case: &Value) -> (Value, Value) {
    let got = project(&Value::Null, &Value::Null).get(&mut Service(case), &reference(&case["ref"]));
    let words = text(case, "expectedErr");
    match got {
        Ok(value) if words.is_empty() => {
            // Its JSON is compared as JSON, since the order of fields is free.
            let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|_| json!(text));
            (parsed(text(case, "expectedSecret")), parsed(value.expose_str().unwrap_or_default()))
        }
        Ok(value) => (json!(words), json!(value.expose_str())),
        Err(error) if !words.is_empty() && error.to_string().contains(words) => (json!(words), json!(words)),
        Err(error) => (json!(words), json!(error.to_string())),
    }
}

fn pushed(case: &Value) -> (Value, Value) {
    let args = &case["args"];
    let metadata = Some(args["Metadata"].clone()).filter(|metadata| !metadata.is_null());
    let whole = case["secret"]["data"].is_object();
    let wanted = Push {
        secret_key: if whole { String::new() } else { "fake-key".to_owned() },
        remote_key: "baz".to_owned(),
        metadata,
        ..Push::default()
    };
    let secret = if whole {
        local(&case["secret"])
    } else {
        LocalSecret {
            data: [("fake-key".to_owned(), SecretBytes::from("fake-value"))].into(),
            ..LocalSecret::default()
        }
    };
    let got = project(&args["store"], &Value::Null).push(&mut Service(args), &wanted, &secret);
    verdict(&case["want"]["err"], got.map(|()| Value::Null))
}

#[test]
fn corpus_eso_gcp_sm() {
    each("gcp_sm", include_str!("../corpus/eso-gcp_sm.exceptions"), |case, test| match test {
        "TestGetSecretMetadataPolicyFetch" => got_metadata(case),
        "TestDeleteSecret" => {
            let got = project(&Value::Null, &Value::Null).delete(&mut Service(&case["args"]), "fake-key");
            verdict(&case["want"]["err"], got.map(|()| Value::Null))
        }
        "TestPushSecret" => pushed(case),
        name if name.starts_with("TestSecretExists") => {
            let got =
                project(&Value::Null, &case["location"]).exists(&mut Service(case), text(&case["ref"], "remoteKey"));
            let asserts = case["expectedErr"]["$asserts"].as_array().into_iter().flatten();
            let wants_error = asserts.filter_map(Value::as_object).any(|one| !one.contains_key("NoError"));
            match got {
                Ok(exists) if !wants_error => (case["expectedSecret"].clone(), json!(exists)),
                Ok(exists) => (json!("error"), json!(exists)),
                Err(_) if wants_error => (json!("error"), json!("error")),
                Err(error) => (case["expectedSecret"].clone(), json!(error.to_string())),
            }
        }
        "TestValidateStore" => {
            let settings = json!({ "auth": case["args"]["auth"] });
            (json!(case["wantErr"] == true), json!(gcp::check("", "", Some(&settings)).is_err()))
        }
        "TestGetDataByProperty" => {
            let content = SecretBytes::from(text(&case["accessSecretVersionMockReturn"]["Res"]["Payload"], "Data"));
            let got = gcp::by_property(&content, text(&case["ref"], "property"));
            (json!(case["wantErr"] == true), json!(got.is_err()))
        }
        _ => (json!("judged"), json!("not judged")),
    });
}

fn marks(case: &Value) -> (Value, Value) {
    let metadata = Some(case["metadata"].clone()).filter(|metadata| !metadata.is_null());
    let mut wanted = push(&case["data"]);
    (wanted.metadata, wanted.remote_key) = (metadata, "key".to_owned());
    let texts = |value: &Value| {
        let pairs = value.as_object().into_iter().flatten();
        pairs.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
    };
    let got = gcp::marks(&wanted, &texts(&case["annotations"]), &texts(&case["labels"]));
    if case["expectedError"] == true {
        return (json!("error"), got.map_or(json!("error"), |marks| json!(marks)));
    }
    let map = |value: &Value| if value.is_null() { json!({}) } else { value.clone() };
    let expected = json!([map(&case["expectedAnnotations"]), map(&case["expectedLabels"])]);
    (expected, got.map_or_else(|error| json!(error.to_string()), |marks| json!(marks)))
}

#[test]
fn corpus_eso_gcp_push() {
    each("gcp_push", include_str!("../corpus/eso-gcp_push.exceptions"), |case, test| match test {
        "TestBuildMetadata" => marks(case),
        "TestBuildReplication" => {
            let spec = case["spec"].as_object().into_iter().flatten();
            let lower = |name: &str| match name {
                "CMEKKeyName" => "cmekKeyName".to_owned(),
                other => other[..1].to_lowercase() + &other[1..],
            };
            let spec: Map<String, Value> = spec.map(|(name, value)| (lower(name), value.clone())).collect();
            let wanted = if case["want"].is_null() { Value::Null } else { wire(&case["want"]["Replication"]) };
            (wanted, gcp::replication(Some(&spec)).unwrap_or_default())
        }
        "TestNeedUpdate" | "TestBuildData" => (json!("judged"), json!("not judged")),
        _ => {
            let spec = metadata::spec(Some(&case["metadata"]));
            (json!(case["expectedError"] == true), json!(spec.is_err()))
        }
    });
}

#[test]
fn corpus_eso_azure_kv() {
    each("azure_kv", include_str!("../corpus/eso-azure_kv.exceptions"), |case, _| {
        let store = &case["args"]["store"];
        let kind = text(store, "kind");
        let got = azure::check(kind, "", store.pointer("/spec/provider/azurekv"));
        (json!(case["wantErr"] == true), json!(got.is_err()))
    });
}
