//! Judgement of Amazon's providers by External Secrets' own cases.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secret_sync::provider::aws::parameter_store::{self, Parameters};
use secret_sync::provider::aws::secrets_manager::{self, Manager};
use secret_sync::provider::aws::{AwsError, Calls, tags_to_update};
use secret_sync::provider::{LocalSecret, ProviderError, Push};
use secret_sync::{SecretBytes, SecretJson};
use serde_json::{Value, json};

use crate::corpus::each;
use crate::doubles::unmet;
use crate::providers::{push, search, shown_map};

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// The service of a case: each operation has a double, or an answer and an error of its own.
struct Service<'c> {
    client: &'c Value,
    /// Answers by operation, where the case gives them beside the client.
    fixed: BTreeMap<&'static str, (Value, Value)>,
    /// The exception that an error without words is: the tables keep no types.
    exception: &'static str,
    calls: Vec<&'static str>,
}

impl<'c> Service<'c> {
    fn new(client: &'c Value, exception: &'static str) -> Self {
        Self { client, fixed: BTreeMap::new(), exception, calls: Vec::new() }
    }

    fn error(&self, error: &Value) -> Result<(), AwsError> {
        let words = text(error, "$error");
        match error {
            Value::Null => Ok(()),
            _ if !words.is_empty() => Err(AwsError::Failed(words.to_owned())),
            _ => Err(AwsError::Refused { code: self.exception.to_owned(), message: text(error, "Message").to_owned() }),
        }
    }
}

impl Calls for Service<'_> {
    fn call(&mut self, operation: &'static str, input: &SecretJson) -> Result<SecretJson, AwsError> {
        self.calls.push(operation);
        if let Some((answer, error)) = self.fixed.get(operation) {
            return self.error(error).map(|()| SecretJson::new(wire(answer)));
        }
        let double = &self.client[format!("{operation}Fn")];
        let Some(args) = double["args"].as_array() else {
            return match unmet(double, input.expose()) {
                None if !double.is_null() => Ok(SecretJson::new(json!({}))),
                what => Err(AwsError::Failed(what.unwrap_or_else(|| format!("{operation} is not expected")))),
            };
        };
        self.error(args.get(1).unwrap_or(&Value::Null))?;
        if let Some(what) = args.get(2).and_then(|wanted| differs(wanted, input.expose())) {
            return Err(AwsError::Failed(what));
        }
        Ok(SecretJson::new(wire(&args[0])))
    }
}

/// What a double expects of the input: content and version, or assertions.
fn differs(wanted: &Value, input: &Value) -> Option<String> {
    if wanted.get("$asserts").is_some() {
        return unmet(wanted, input);
    }
    let content = match (input["SecretBinary"].as_str(), input["SecretString"].as_str()) {
        (Some(encoded), _) => String::from_utf8(BASE64_STANDARD.decode(encoded).unwrap()).unwrap(),
        (None, text) => text.unwrap_or_default().to_owned(),
    };
    let (expected, version) = match wanted {
        Value::String(content) => (content.as_str(), ""),
        other => (text(other, "SecretBinary"), text(other, "Version")),
    };
    let is_version = version.is_empty() || input["ClientRequestToken"] == version;
    (content != expected || !is_version).then(|| format!("expected {wanted}, got {input}"))
}

/// The tables have bytes as text; the service has them in base64.
fn wire(answer: &Value) -> Value {
    let mut answer = match answer["$call"].as_str() {
        Some("secretValueOutputFrom") => {
            let given = &answer["args"][0];
            let mut made =
                json!({ "SecretString": given["s"], "SecretBinary": given["b"], "VersionId": given["version"] });
            made.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            made
        }
        _ => answer.clone(),
    };
    if let Some(text) = answer["SecretBinary"].as_str() {
        answer["SecretBinary"] = json!(BASE64_STANDARD.encode(text));
    }
    answer
}

/// Errors are compared by their words, wherever they stand; an error without words is any.
fn verdict(wanted: &Value, got: Result<Value, ProviderError>) -> (Value, Value) {
    match (wanted, got) {
        (Value::Null, Ok(_)) => (Value::Null, Value::Null),
        (Value::Null, Err(error)) => (Value::Null, json!(error.to_string())),
        (wanted, Ok(value)) => (wanted.clone(), value),
        (wanted, Err(error)) => {
            let is_it = error.to_string().contains(text(wanted, "$error"));
            (wanted.clone(), if is_it { wanted.clone() } else { json!(error.to_string()) })
        }
    }
}

fn local(key: &str) -> LocalSecret {
    LocalSecret { data: [(key.to_owned(), SecretBytes::from("fake-value"))].into(), ..LocalSecret::default() }
}

fn no_policy(_: &str, name: &str, _: &str) -> Result<String, ProviderError> {
    Err(ProviderError::Failed(format!("failed to get {name}")))
}

fn manager(args: &Value) -> Manager {
    Manager {
        prefix: text(args, "prefix").to_owned(),
        deletes_at_once: args["config"]["forceDeleteWithoutRecovery"] == true,
        recovery_days: args["config"]["recoveryWindowInDays"].as_i64().unwrap_or(0),
    }
}

fn delete_secret(case: &Value) -> (Value, Value) {
    let args = &case["args"];
    let mut service = Service::new(&args["client"], "ResourceNotFoundException");
    for (operation, name) in
        [("GetSecretValue", "getSecret"), ("DescribeSecret", "describeSecret"), ("DeleteSecret", "deleteSecret")]
    {
        if args["client"][format!("{operation}Fn")].is_null() {
            let answer = (args[format!("{name}Output")].clone(), args[format!("{name}Err")].clone());
            service.fixed.insert(operation, answer);
        }
    }
    verdict(&case["want"]["err"], manager(args).delete(&mut service, "fake-key").map(|()| Value::Null))
}

/// The client of a search: one secret, with assertions on what is asked.
struct Shelf<'c>(&'c Value);

impl Calls for Shelf<'_> {
    fn call(&mut self, operation: &'static str, input: &SecretJson) -> Result<SecretJson, AwsError> {
        let case = self.0;
        let name = format!("{}{}Fn", operation[..1].to_lowercase(), &operation[1..]);
        if let Some(what) = unmet(&case[name], input.expose()) {
            return Err(AwsError::Failed(what));
        }
        let secret = json!({ "Name": case["secretName"], "SecretString": case["secretValue"] });
        Ok(SecretJson::new(match operation {
            "BatchGetSecretValue" => json!({ "SecretValues": [secret] }),
            "ListSecrets" => json!({ "SecretList": [secret] }),
            _ => secret,
        }))
    }
}

fn tagged(map: &Value) -> BTreeMap<String, String> {
    let pairs = map.as_object().into_iter().flatten();
    pairs.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

fn compute_tags(case: &Value) -> (Value, Value) {
    let (list, is_changed) = tags_to_update(&tagged(&case["tags"]), &tagged(&case["metaTags"]));
    (json!([case["expected"], case["modified"]]), json!([list, is_changed]))
}

fn metadata_of(tags: &Value) -> Value {
    json!({ "apiVersion": "kubernetes.external-secrets.io/v1alpha1", "kind": "PushSecretMetadata", "spec": { "tags": tags } })
}

fn patch_tags(case: &Value) -> (Value, Value) {
    let metadata = Some(metadata_of(&case["metaTags"]));
    let given = secrets_manager::Given::read(&Push { metadata, ..Push::default() }).unwrap();
    let client = json!({ "TagResourceFn": case["assertsTag"], "UntagResourceFn": case["assertsUntag"] });
    let mut service = Service::new(&client, "");
    let got = secrets_manager::patch_tags(&mut service, &given, ("id", &tagged(&case["existingTags"])));
    let was = |operation: &&'static str| service.calls.contains(operation);
    let got =
        got.map_or_else(|error| json!(error.to_string()), |()| json!([was(&"TagResource"), was(&"UntagResource")]));
    (json!([case["expectTag"], case["expectUntag"]]), got)
}

fn construct(case: &Value, read: impl Fn(&Push) -> Result<Value, ProviderError>) -> (Value, Value) {
    let metadata = Some(case["input"].clone()).filter(|input| !input.is_null());
    let got = read(&Push { metadata, ..Push::default() });
    if case["expectError"] == true {
        return (json!("error"), got.map_or(json!("error"), |value| value));
    }
    let wanted = &case["expected"];
    let wanted = if wanted["Spec"].is_null() { &wanted["spec"] } else { &wanted["Spec"] };
    match got {
        Err(error) => (wanted.clone(), json!(error.to_string())),
        Ok(value) => {
            let named =
                |name: &str| value.as_object().into_iter().flatten().find(|(key, _)| key.eq_ignore_ascii_case(name));
            let fields = wanted.as_object().into_iter().flatten();
            let got =
                fields.map(|(name, _)| (name.clone(), named(name).map_or(Value::Null, |(_, found)| found.clone())));
            (wanted.clone(), Value::Object(got.collect()))
        }
    }
}

#[test]
fn corpus_eso_aws_sm() {
    each("aws_sm", include_str!("../corpus/eso-aws_sm.exceptions"), |case, test| match test {
        "TestSetSecret" => {
            let args = &case["args"];
            let mut service = Service::new(&args["client"], "ResourceNotFoundException");
            let version = match text(args, "newUUID") {
                "" => "11111111-1111-4111-8111-111111111111",
                given => given,
            };
            let (push, secret) = (push(&args["pushSecretData"]), local("fake-secret-key"));
            let got = manager(args).push(&mut service, (&push, &secret), (version, &no_policy));
            verdict(&case["want"]["err"], got.map(|()| Value::Null))
        }
        "TestDeleteSecret" => delete_secret(case),
        "TestSecretsManagerGetAllSecrets" => {
            let got = Manager::default().find(&mut Shelf(case), &search(&case["ref"]));
            let words = text(case, "expectedError");
            match got {
                Ok(found) if words.is_empty() => (case["expectedData"].clone(), shown_map(&found)),
                Ok(found) => (json!(words), shown_map(&found)),
                Err(error) if error.to_string().contains(words) && !words.is_empty() => (json!(words), json!(words)),
                Err(error) => (json!(words), json!(error.to_string())),
            }
        }
        "TestSecretsManagerValidate" => {
            let is_referent = case["fields"]["referentAuth"] == true;
            (case["want"].clone(), secrets_manager::validation(is_referent).map_or(Value::Null, |()| json!("ready")))
        }
        "TestConstructMetadataWithDefaults" => {
            construct(case, |push| secrets_manager::Given::read(push).map(|given| given.to_value()))
        }
        "TestComputeTagsToUpdate" => compute_tags(case),
        "TestPatchTags" => patch_tags(case),
        _ => (json!("judged"), json!("not judged")),
    });
}

fn delete_parameter(case: &Value) -> (Value, Value) {
    let args = &case["args"];
    let mut service = Service::new(&args["client"], "ParameterNotFound");
    for (operation, name) in
        [("GetParameter", "getParameter"), ("ListTagsForResource", "listTags"), ("DeleteParameter", "deleteParameter")]
    {
        let answer = (args[format!("{name}Output")].clone(), args[format!("{name}Error")].clone());
        service.fixed.insert(operation, answer);
    }
    let store = Parameters { prefix: text(args, "prefix").to_owned() };
    verdict(&case["want"]["err"], store.delete(&mut service, "fake-key").map(|()| Value::Null))
}

/// The words about a field that is not known are those of Go's reader; that it is refused, and which field, is what counts.
fn unknown_field(wanted: &Value, got: Result<(), ProviderError>) -> (Value, Value) {
    let words = text(wanted, "$error");
    let Some((_, field)) = words.split_once("unknown field ") else {
        return verdict(wanted, got.map(|()| Value::Null));
    };
    let said = got.map_or_else(|error| error.to_string(), |()| String::new());
    let is_it = said.starts_with("failed to parse metadata") && said.contains(&format!("unknown field {field}"));
    (wanted.clone(), if is_it { wanted.clone() } else { json!(said) })
}

#[test]
fn corpus_eso_aws_ps() {
    each("aws_ps", include_str!("../corpus/eso-aws_ps.exceptions"), |case, test| match test {
        "TestDeleteSecret" => delete_parameter(case),
        "TestPushSecret" => {
            let args = &case["args"];
            let mut service = Service::new(&args["client"], "ParameterNotFound");
            let push = Push {
                secret_key: "fake-secret-key".to_owned(),
                remote_key: "fake-key".to_owned(),
                metadata: Some(args["metadata"].clone()).filter(|metadata| !metadata.is_null()),
                ..Push::default()
            };
            let secret = LocalSecret {
                data: [("fake-secret-key".to_owned(), SecretBytes::from("fakeValue"))].into(),
                ..LocalSecret::default()
            };
            let store = Parameters { prefix: text(&args["store"], "prefix").to_owned() };
            unknown_field(&case["want"]["err"], store.push(&mut service, &push, &secret))
        }
        "TestSecretExists" => {
            let is_failure = case["want"]["err"].is_object();
            let mut service = Service::new(&case["args"]["client"], "ParameterNotFound");
            let got = Parameters::default().exists(&mut service, text(&case["args"]["pushSecretData"], "RemoteKey"));
            (json!(is_failure), json!(got.is_err()))
        }
        "TestConstructMetadataWithDefaults" => {
            construct(case, |push| parameter_store::Given::read(push.metadata.as_ref()).map(|given| given.to_value()))
        }
        "TestComputeTagsToUpdate" => compute_tags(case),
        _ => (json!("judged"), json!("not judged")),
    });
}
