//! Judgement of the providers by External Secrets' own cases.

use std::collections::BTreeMap;

use secret_sync::provider::{
    Keys, LocalSecret, ProviderError, Push, Reference, Search, fake, kubernetes, vault, vault_auth, vault_push,
    vault_validate,
};
use secret_sync::{ConversionStrategy, KvVersion, SecretBytes, SecretJson};
use serde_json::{Map, Value, json};

use crate::corpus::each;

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// Upstream's tables name fields as Go or as manifests do.
fn either<'v>(value: &'v Value, names: [&str; 2]) -> &'v str {
    let first = text(value, names[0]);
    if first.is_empty() { text(value, names[1]) } else { first }
}

pub(crate) fn reference(value: &Value) -> Reference {
    Reference {
        key: text(value, "key").to_owned(),
        property: text(value, "property").to_owned(),
        version: text(value, "version").to_owned(),
        wants_metadata: text(value, "metadataPolicy") == "Fetch",
    }
}

pub(crate) fn search(value: &Value) -> Search {
    let tags = value["tags"].as_object();
    Search {
        path: value["path"].as_str().map(str::to_owned),
        name: value["name"]["regexp"].as_str().map(str::to_owned),
        tags: tags
            .map(|tags| tags.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect()),
    }
}

pub(crate) fn push(value: &Value) -> Push {
    let metadata = if value["Metadata"].is_null() { &value["metadata"] } else { &value["Metadata"] };
    Push {
        secret_key: either(value, ["SecretKey", "secretKey"]).to_owned(),
        remote_key: either(value, ["RemoteKey", "remoteKey"]).to_owned(),
        property: either(value, ["Property", "property"]).to_owned(),
        metadata: Some(metadata.clone()).filter(|metadata| !metadata.is_null()),
    }
}

/// Bytes stand as text, as base64 under `$b64`, or as a list of numbers.
pub(crate) fn bytes(value: &Value) -> SecretBytes {
    match value {
        Value::Array(list) => SecretBytes::new(list.iter().filter_map(|n| u8::try_from(n.as_u64()?).ok()).collect()),
        Value::Object(map) if map.contains_key("$b64") => {
            use base64::Engine as _;
            SecretBytes::new(base64::prelude::BASE64_STANDARD.decode(text(value, "$b64")).unwrap())
        }
        other => SecretBytes::from(other.as_str().unwrap_or_default()),
    }
}

pub(crate) fn shown(bytes: &SecretBytes) -> Value {
    match bytes.expose_str() {
        Some(text) => json!(text),
        None => json!(bytes.expose()),
    }
}

pub(crate) fn shown_map(keys: &Keys) -> Value {
    Value::Object(keys.iter().map(|(key, value)| (key.clone(), shown(value))).collect())
}

fn texts(value: &Value) -> BTreeMap<String, String> {
    let map = value.as_object().into_iter().flatten();
    map.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

pub(crate) fn local(value: &Value) -> LocalSecret {
    let data = value["data"].as_object().into_iter().flatten();
    LocalSecret {
        data: data.map(|(key, value)| (key.clone(), bytes(value))).collect(),
        kind: text(value, "type").to_owned(),
        labels: texts(&value["metadata"]["labels"]),
        annotations: texts(&value["metadata"]["annotations"]),
    }
}

/// `{"$number": "42"}` is a number that was kept as text.
fn numbers(value: &Value) -> Value {
    match value {
        Value::Object(map) => match map.get("$number").and_then(Value::as_str) {
            Some(number) => serde_json::from_str(number).unwrap(),
            None => Value::Object(map.iter().map(|(key, value)| (key.clone(), numbers(value))).collect()),
        },
        Value::Array(list) => Value::Array(list.iter().map(numbers).collect()),
        other => other.clone(),
    }
}

/// The answers that upstream's test doubles give, by the name of the double.
struct Doubles<'c> {
    doubles: &'c Value,
}

impl Doubles<'_> {
    fn double(&self, name: &str) -> (&str, &[Value]) {
        let double = &self.doubles[name];
        (text(double, "$call"), double["args"].as_array().map(Vec::as_slice).unwrap_or_default())
    }
}

fn error_of(value: Option<&Value>) -> Result<(), ProviderError> {
    match value.and_then(|value| value.get("$error")).and_then(Value::as_str) {
        Some(words) => Err(ProviderError::Failed(words.to_owned())),
        None => Ok(()),
    }
}

fn secret(value: &Value) -> Option<SecretJson> {
    (!value.is_null()).then(|| SecretJson::new(numbers(value)))
}

fn with_metadata(value: &Value) -> Option<SecretJson> {
    if value.is_null() || value.get("custom_metadata").is_some() {
        return secret(value);
    }
    secret(&json!({ "custom_metadata": value }))
}

/// What is stored under `path` of a table of folders, with the names that the engines put before it.
fn stored<'v>(table: &'v Value, path: &str) -> &'v Value {
    let path = path.trim_start_matches("secret/").trim_start_matches("data/").trim_start_matches("metadata/");
    if path.is_empty() { &table["default"] } else { &table[path] }
}

impl vault::Calls for Doubles<'_> {
    fn read(&mut self, path: &str, _: Option<&str>) -> Result<Option<SecretJson>, ProviderError> {
        let (name, args) = self.double("ReadWithDataWithContextFn");
        let is_metadata = path.contains("/metadata/");
        match name {
            "fake.NewReadMetadataWithContextFn" => error_of(args.get(1)).map(|()| with_metadata(&args[0])),
            "fake.NewReadWithDataAndMetadataFn" if is_metadata => {
                error_of(args.get(3)).map(|()| with_metadata(&args[1]))
            }
            "fake.NewReadWithDataAndMetadataFn" => error_of(args.get(2)).map(|()| secret(&args[0])),
            "newReadtWithContextFn" => {
                let found = stored(&args[0], path);
                Ok(if is_metadata { secret(&found["metadata"]) } else { secret(&json!({ "data": found["data"] })) })
            }
            "newReadtWithContextKvv1Fn" => Ok(secret(stored(&args[0], path))),
            _ => error_of(args.get(1)).map(|()| args.first().and_then(secret)),
        }
    }

    fn list(&mut self, path: &str) -> Result<Option<SecretJson>, ProviderError> {
        let (name, args) = self.double("ListWithContextFn");
        if name != "newListWithContextKvv1Fn" {
            return Ok(secret(&stored(&args[0], path)["metadata"]));
        }
        let folder = path.trim_start_matches("secret/");
        let names = args[0].as_object().into_iter().flatten().filter_map(|(name, _)| name.strip_prefix(folder));
        Ok(secret(&json!({ "keys": names.collect::<Vec<_>>() })))
    }

    fn write(&mut self, path: &str, body: &SecretJson) -> Result<(), ProviderError> {
        let (name, args) = self.double("WriteWithContextFn");
        match name {
            "fake.ExpectWriteWithContextValue" if !path.contains("metadata") && *body.expose() != numbers(&args[0]) => {
                Err(ProviderError::Failed(format!("expected: {}, got: {}", args[0], body.expose())))
            }
            "fake.ExpectWriteWithContextValue" => Ok(()),
            "fake.NewWriteWithContextFn" => error_of(args.get(1)),
            // A case without this double, or with the one that must not be called.
            _ => Err(ProviderError::Failed("fail".to_owned())),
        }
    }

    fn delete(&mut self, _: &str) -> Result<(), ProviderError> {
        match self.double("DeleteWithContextFn") {
            ("fake.NewDeleteWithContextFn", args) => error_of(args.get(1)),
            _ => Err(ProviderError::Failed("fail".to_owned())),
        }
    }
}

fn engine(store: &Value) -> vault::Engine {
    vault::Engine {
        mount: store["path"].as_str().map(str::to_owned),
        version: if text(store, "version") == "v1" { KvVersion::V1 } else { KvVersion::V2 },
        check_and_set: store["checkAndSet"]["required"] == true,
    }
}

/// Upstream's cases compare an error by its words, wherever they stand in the chain.
fn outcome(case: &Value, got: Result<Value, ProviderError>) -> (Value, Value) {
    let want = &case["want"];
    let wanted = want["err"]["$error"].as_str();
    match (wanted, got) {
        (Some(words), Err(error)) if error.to_string().contains(words) => (json!(words), json!(words)),
        (Some(words), Err(error)) => (json!(words), json!(error.to_string())),
        (Some(words), Ok(value)) => (json!(words), value),
        (None, Err(error)) => (want.clone(), json!(error.to_string())),
        (None, Ok(value)) => (want.get("val").or(want.get("exists")).cloned().unwrap_or_default(), value),
    }
}

fn vault_case(case: &Value, test: &str) -> (Value, Value) {
    let args = &case["args"];
    let engine = engine(&args["store"]);
    if test == "TestGetSecretPath" {
        return (args["expected"].clone(), json!(engine.data_path(text(args, "path"))));
    }
    let doubles = if args["vLogical"].is_null() { &args["vClient"] } else { &args["vLogical"] };
    let mut calls = Doubles { doubles };
    let (key, property) =
        (either(&case["ref"], ["RemoteKey", "remoteKey"]), either(&case["ref"], ["Property", "property"]));
    let got = match test {
        "TestGetSecret" => vault::get(&engine, &mut calls, &reference(&args["data"])).map(|value| shown(&value)),
        "TestGetSecretMap" => {
            // A value that is nothing is told apart from an empty one by upstream's table only.
            let map = vault::get_map(&engine, &mut calls, &reference(&args["data"]));
            map.map(|map| {
                map.iter()
                    .map(|(k, v)| (k.clone(), if v.expose().is_empty() { Value::Null } else { shown(v) }))
                    .collect::<Map<_, _>>()
                    .into()
            })
        }
        "TestSecretExists" => vault::exists(&engine, &mut calls, key, property).map(Value::Bool),
        "TestGetAllSecrets" => vault::find(&engine, &mut calls, &search(&args["data"])).map(|found| shown_map(&found)),
        "TestDeleteSecret" => vault_push::delete(&engine, &mut calls, key, property).map(|()| Value::Null),
        _ => {
            let push = if case["data"].is_null() {
                Push { secret_key: "secret-key".to_owned(), remote_key: "secret".to_owned(), ..Push::default() }
            } else {
                push(&case["data"])
            };
            let value = case["value"].as_str().unwrap_or(r#"{"fake-key":"fake-value"}"#);
            let secret = match &case["secret"] {
                Value::Null => LocalSecret {
                    data: [("secret-key".to_owned(), SecretBytes::from(value))].into(),
                    ..LocalSecret::default()
                },
                given => local(given),
            };
            vault_push::push(&engine, &mut calls, &push, &secret).map(|()| Value::Null)
        }
    };
    outcome(case, got)
}

#[test]
fn corpus_eso_vault_get() {
    each("vault_get", include_str!("../corpus/eso-vault_get.exceptions"), vault_case);
}

#[test]
fn corpus_eso_vault_find() {
    each("vault_find", include_str!("../corpus/eso-vault_find.exceptions"), vault_case);
}

#[test]
fn corpus_eso_vault_push() {
    each("vault_push", include_str!("../corpus/eso-vault_push.exceptions"), vault_case);
}

#[test]
fn corpus_eso_vault_auth() {
    each("vault_auth", include_str!("../corpus/eso-vault_auth.exceptions"), |case, test| match test {
        "TestSetAuthNamespace" => {
            let spaces = vault_auth::namespaces(&case["args"]["store"]["spec"]["provider"]["vault"]);
            let got = json!({ "Before": spaces.calls, "During": spaces.login, "After": spaces.calls });
            (case["args"]["expected"].clone(), got)
        }
        "TestCheckTokenErrors" | "TestCheckTokenTtl" => {
            let data = numbers(&case["secret"]["Data"]);
            (json!(case["cache"] == true), json!(vault_auth::is_token_good(&data)))
        }
        "TestGCPAuthMountPathDefault" => {
            (case["expected"].clone(), json!(vault_auth::mount(text(case, "path"), "gcp")))
        }
        // Whether a login by GCP is asked for at all; it then fails without a network.
        _ => (case["expectedHasAuth"].clone(), json!(case["gcpAuth"].is_object())),
    });
}

#[test]
fn corpus_eso_vault_validate() {
    each("vault_validate", include_str!("../corpus/eso-vault_validate.exceptions"), |case, _| {
        let got = vault_validate::check("", "", &case["args"]);
        (json!(case["wantErr"] == true), json!(got.is_err()))
    });
}

fn fake_store(entries: &Value) -> fake::FakeStore {
    let mut store = fake::FakeStore::default();
    for entry in entries.as_array().into_iter().flatten() {
        store.insert(text(entry, "key"), text(entry, "version"), bytes(&entry["value"]));
    }
    store
}

#[test]
fn corpus_eso_fake_provider() {
    each("fake_provider", include_str!("../corpus/eso-fake_provider.exceptions"), |case, test| {
        let data = if case["data"].is_null() { &case["input"] } else { &case["data"] };
        let mut store = fake_store(data);
        let (wanted, got) = match test {
            "TestGetAllSecrets" => {
                let found = store.find(&search(&case["ref"]), ConversionStrategy::Default);
                (&case["expected"], found.map(|found| shown_map(&found)))
            }
            "TestGetSecret" => (&case["expValue"], store.get(&reference(&case["request"])).map(|value| shown(&value))),
            "TestGetSecretMap" => {
                (&case["expValue"], store.get_map(&reference(&case["request"])).map(|map| shown_map(&map)))
            }
            "TestSecretExists" => (&case["expExists"], Ok(json!(store.exists(text(&case["request"], "remoteKey"))))),
            _ => {
                let key = text(case, "requestKey");
                let push = Push { secret_key: "k".to_owned(), remote_key: key.to_owned(), ..Push::default() };
                let secret =
                    LocalSecret { data: [("k".to_owned(), bytes(&case["expValue"]))].into(), ..LocalSecret::default() };
                let pushed = store.push(&push, &secret);
                let read = pushed.and_then(|()| store.get(&Reference { key: key.to_owned(), ..Reference::default() }));
                (&case["expValue"], read.map(|value| shown(&value)))
            }
        };
        let words = either(case, ["expectedErr", "expErr"]);
        match got {
            Ok(got) if words.is_empty() => (if wanted.is_null() { json!({}) } else { wanted.clone() }, got),
            Ok(got) => (json!(words), got),
            Err(error) if !words.is_empty() && error.to_string().contains(words) => (json!(words), json!(words)),
            Err(error) => (json!(words), json!(error.to_string())),
        }
    });
}

/// A cluster in memory, with an error that every call gives when there is one.
struct Cluster {
    secrets: BTreeMap<String, Value>,
    error: Option<String>,
}

impl Cluster {
    fn new(secrets: &Value, error: &Value) -> Self {
        let secrets = secrets.as_object().into_iter().flatten().map(|(name, secret)| (name.clone(), secret.clone()));
        Self { secrets: secrets.collect(), error: error["$error"].as_str().map(str::to_owned) }
    }

    fn said(&self) -> Result<(), ProviderError> {
        self.error.clone().map_or(Ok(()), |error| Err(ProviderError::Failed(error)))
    }

    fn put(&mut self, remote: &kubernetes::RemoteSecret, is_new: bool) {
        let secret = &remote.secret;
        let mut object = json!({ "metadata": { "name": remote.name }, "data": shown_map(&secret.data) });
        let old = self.secrets.get(&remote.name).cloned().unwrap_or_default();
        // Removing a key leaves the rest of the object as it was.
        let is_pushed = is_new || secret.kind == "Opaque";
        if is_pushed {
            object["metadata"]["labels"] = json!(secret.labels);
            object["metadata"]["annotations"] = json!(secret.annotations);
        }
        if is_new || old["type"].is_string() {
            object["type"] = json!(secret.kind);
        }
        self.secrets.insert(remote.name.clone(), object);
    }
}

impl kubernetes::Calls for Cluster {
    fn get(&mut self, name: &str) -> Result<Option<kubernetes::RemoteSecret>, ProviderError> {
        self.said()?;
        let found = self.secrets.get(name);
        Ok(found.map(|secret| kubernetes::RemoteSecret { name: name.to_owned(), secret: local(secret) }))
    }

    fn list(&mut self, labels: &BTreeMap<String, String>) -> Result<Vec<kubernetes::RemoteSecret>, ProviderError> {
        self.said()?;
        let all = self
            .secrets
            .iter()
            .map(|(name, secret)| kubernetes::RemoteSecret { name: name.clone(), secret: local(secret) });
        Ok(all.filter(|remote| labels.iter().all(|(k, v)| remote.secret.labels.get(k) == Some(v))).collect())
    }

    fn create(&mut self, secret: kubernetes::RemoteSecret) -> Result<(), ProviderError> {
        self.said().map(|()| self.put(&secret, true))
    }

    fn update(&mut self, secret: kubernetes::RemoteSecret) -> Result<(), ProviderError> {
        self.said().map(|()| self.put(&secret, false))
    }

    fn delete(&mut self, name: &str) -> Result<(), ProviderError> {
        self.said().map(|()| drop(self.secrets.remove(name)))
    }
}

#[test]
fn corpus_eso_kubernetes_client() {
    each("kubernetes_client", include_str!("../corpus/eso-kubernetes_client.exceptions"), |case, test| {
        let client = &case["fields"]["Client"];
        let mut cluster = if client.is_object() {
            Cluster::new(&client["secretMap"], &client["err"])
        } else {
            Cluster::new(&case["secrets"], &case["clientErr"])
        };
        let (key, property) = (text(&case["ref"], "remoteKey"), text(&case["ref"], "property"));
        let is_change = matches!(test, "TestDeleteSecret" | "TestPushSecret");
        let got = match test {
            "TestGetSecret" => kubernetes::get(&mut cluster, &reference(&case["ref"]))
                .map(|value| if case["want"].is_array() { json!(value.expose()) } else { shown(&value) }),
            "TestGetSecretMap" => {
                kubernetes::get_map(&mut cluster, &reference(&case["ref"])).map(|map| shown_map(&map))
            }
            "TestGetAllSecrets" => {
                let found = kubernetes::find(&mut cluster, &search(&case["args"]["ref"]), ConversionStrategy::Default);
                found.map(|found| shown_map(&found))
            }
            "TestSecretExists" => kubernetes::exists(&mut cluster, key, property).map(Value::Bool),
            "TestDeleteSecret" => kubernetes::delete(&mut cluster, key, property).map(|()| Value::Null),
            _ => {
                let done = kubernetes::push(
                    &mut cluster,
                    text(case, "storeKind"),
                    &push(&case["data"]),
                    &local(&case["secret"]),
                );
                done.map(|()| Value::Null)
            }
        };
        let words = either(case, ["wantErrMsg", "wantErr"]);
        let wants_error = case["wantErr"] == true || !words.is_empty();
        let verdict = match &got {
            Err(error) => wants_error && error.to_string().contains(words),
            Ok(_) => !wants_error,
        };
        if !verdict {
            return (json!([wants_error, words]), json!(got.map_err(|error| error.to_string())));
        }
        if is_change {
            return (case["wantSecretMap"].clone(), json!(cluster.secrets));
        }
        match got {
            Ok(got) => (case["want"].clone(), got),
            Err(_) => (json!("error"), json!("error")),
        }
    });
}

#[test]
fn corpus_eso_kubernetes_validate() {
    each("kubernetes_validate", include_str!("../corpus/eso-kubernetes_validate.exceptions"), |case, test| {
        if test == "TestValidateStore" {
            let store = &case["store"];
            let (warnings, got) = kubernetes::check(text(store, "kind"), "", &store["spec"]["provider"]["kubernetes"]);
            let wanted = (case["wantErr"] == true, case["wantWarning"] == true);
            // The table of warnings is about stores without an authority only.
            let is_warned = wanted.1 && !warnings.is_empty();
            return (json!([wanted.0, wanted.1]), json!([got.is_err(), is_warned]));
        }
        let fields = &case["fields"];
        let got = kubernetes::is_allowed(
            text(fields, "storeKind"),
            &fields["store"],
            &fields["ReviewClient"]["authReview"],
            &fields["AccessReviewClient"]["accessReview"],
        );
        (json!(case["wantErr"] == true), json!(got.is_err()))
    });
}
