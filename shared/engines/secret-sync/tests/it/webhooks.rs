//! Judgement of the webhook provider by External Secrets' own cases.

use std::time::Duration;

use secret_sync::SecretBytes;
use secret_sync::provider::webhook::{self, Calls, Data, Place, Request, Response, Settings};
use secret_sync::provider::{LocalSecret, ProviderError, Push, Reference};
use secret_templating::{Limits, MissingKey, Template, Text, Value as Dot};
use serde_json::{Value, json};

use crate::corpus::each;
use crate::providers::{local, shown_map};

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn render(template: &str, data: &Data) -> Result<SecretBytes, String> {
    let inner = |values: &std::collections::BTreeMap<String, SecretBytes>| {
        Dot::strings(values.iter().map(|(key, value)| (key.clone(), Text::new(value.expose().to_vec()))))
    };
    let dot = Dot::map(data.iter().map(|(name, values)| (name.clone(), inner(values))));
    let template = Template::parse("webhooktemplate", template).map_err(|error| error.to_string())?;
    let rendered = template.with_missing_key(MissingKey::Invalid).render(&dot, Limits::default());
    rendered.map(|text| SecretBytes::new(text.expose().to_vec())).map_err(|error| error.to_string())
}

/// The server of a case: it looks at address and body, and answers.
struct Server<'c> {
    case: &'c Value,
    timeout: Option<Duration>,
    asked: Vec<String>,
}

impl Calls for Server<'_> {
    fn send(&mut self, request: &Request) -> Result<Response, ProviderError> {
        self.asked.push(request.method.clone());
        let (args, want) = (&self.case["args"], &self.case["want"]);
        if !request.url.starts_with('/') {
            return Err(ProviderError::Failed("the address cannot be reached".to_owned()));
        }
        if want["path"].is_string() && *request.url != text(want, "path") {
            return Err(ProviderError::Failed(format!("unexpected api path: {}", *request.url)));
        }
        let body = std::str::from_utf8(&request.body).unwrap();
        if want["body"].is_string() && body != text(want, "body") {
            return Err(ProviderError::Failed(format!("unexpected body: {body}")));
        }
        // No server answers within a hundredth of a millisecond.
        if self.timeout.is_some_and(|timeout| timeout < Duration::from_millis(1)) {
            return Err(ProviderError::Failed("context deadline exceeded".to_owned()));
        }
        let status = args["statuscode"].as_u64().unwrap_or(200);
        Ok(Response { status: u16::try_from(status).unwrap(), body: SecretBytes::from(text(args, "response")) })
    }

    fn secret(&mut self, _: &str, _: &str) -> Result<Option<LocalSecret>, ProviderError> {
        Ok(None)
    }
}

const PLACE: Place<'static> = Place { namespace: "testnamespace", is_cluster: true };

fn settings(args: &Value) -> Settings {
    let provider = json!({
        "url": args["url"], "body": args["body"], "timeout": args["timeout"],
        "headers": { "Content-Type": "application/json", "X-SecretKey": "{{ .remoteRef.key }}" },
        "result": { "jsonPath": args["jsonpath"] },
    });
    Settings::read(&provider).unwrap()
}

fn version(args: &Value) -> String {
    match &args["version"] {
        Value::Number(number) => number.to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

fn webhook_case(case: &Value) -> (Value, Value) {
    let (args, want) = (&case["args"], &case["want"]);
    let settings = settings(args);
    let mut server = Server { case, timeout: settings.timeout, asked: Vec::new() };
    let got = if args["pushsecret"] == true {
        let push = Push {
            secret_key: text(args, "secretkey").to_owned(),
            remote_key: text(args, "key").to_owned(),
            ..Push::default()
        };
        webhook::push(&settings, &mut server, (&push, &local(&args["secret"]), PLACE), render).map(|()| json!(""))
    } else {
        let reference = Reference {
            key: text(args, "key").to_owned(),
            property: text(args, "property").to_owned(),
            version: version(args),
            wants_metadata: false,
        };
        if want["resultmap"].is_object() {
            webhook::get_map(&settings, &mut server, (Some(&reference), PLACE), render).map(|keys| shown_map(&keys))
        } else {
            webhook::get(&settings, &mut server, (&reference, PLACE), render).map(|value| json!(value.expose_str()))
        }
    };
    let words = text(want, "err");
    match got {
        Err(error) if !words.is_empty() && error.to_string().contains(words) => (json!(words), json!(words)),
        Err(error) => (json!(words), json!(error.to_string())),
        Ok(got) if !words.is_empty() => (json!(words), got),
        Ok(got) => {
            // Results stand as text in the table, whatever YAML made of them.
            let plain = |value: &Value| json!(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            match (&want["resultmap"], &want["result"]) {
                (Value::Object(map), _) => (map.iter().map(|(k, v)| (k.clone(), plain(v))).collect(), got),
                (_, Value::Null) => (json!(""), json!("")),
                (_, result) => (plain(result), got),
            }
        }
    }
}

#[test]
fn corpus_eso_webhook() {
    each("webhook", include_str!("../corpus/eso-webhook.exceptions"), |case, _| webhook_case(case));
}

#[test]
fn corpus_eso_webhook_common() {
    each("webhook_common", include_str!("../corpus/eso-webhook_common.exceptions"), |case, test| {
        let answer = json!({ "args": { "statuscode": case["statusCode"], "response": case["responseBody"] } });
        let settings = settings(&json!({ "url": "/api/secret" }));
        let mut server = Server { case: &answer, timeout: None, asked: Vec::new() };
        if test == "TestDeleteSecret" {
            let got = webhook::delete(&settings, &mut server, ("test-key", PLACE), render);
            let wanted = json!([case["wantErr"] == true, case["expectMethod"]]);
            return (wanted, json!([got.is_err(), server.asked.last()]));
        }
        let got = webhook::exists(&settings, &mut server, ("test-key", PLACE), render);
        let wanted = json!([case["wantErr"] == true, case["wantExists"] == true]);
        (wanted, json!([got.is_err(), got.unwrap_or(false)]))
    });
}
