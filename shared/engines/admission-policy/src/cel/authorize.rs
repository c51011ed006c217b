//! Authorization of requests that are no Kubernetes objects (`evaluation.mode` HTTP and Envoy): the libraries `envoy`,
//! `http` and `jwt`, and how their responses are read.

use std::fmt;

use cel::{EvalError, Object, Val};
use hmac::{Hmac, Mac};
use model::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Sha256, Sha384, Sha512};

use super::judge::{Input, Views};
use super::lookup::wrong;
use super::policy::{CelBody, CelPolicy, EvaluationMode};
use super::scope::Scope;
use crate::outcome::{RuleKind, RuleVerdict, Status};
use crate::request::Request;
use crate::set::PolicySet;
use crate::snapshot::Snapshot;

type Outcome<'a> = Result<Val<'a>, EvalError>;

/// A response under construction, or a finished one.
#[derive(Clone, Debug)]
struct Response {
    allowed: bool,
    /// Status code of Envoy's denial, or the reason of an HTTP one.
    reason: Value,
    body: String,
    message: String,
    headers: Vec<(String, String)>,
    finished: bool,
}

impl Response {
    fn new(allowed: bool, reason: Value) -> Self {
        Self { allowed, reason, body: String::new(), message: String::new(), headers: Vec::new(), finished: false }
    }
}

impl<'a> Object<'a> for Response {
    fn type_name(&self) -> &str {
        if self.finished { "CheckResponse" } else { "HttpResponse" }
    }

    fn call(&self, method: &str, arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
        let text = |value: &Val<'a>| value.as_str().map(str::to_owned);
        let mut changed = self.clone();
        match (method, arguments, self.finished) {
            ("Response", [], false) => changed.finished = true,
            ("WithBody", [body], false) if !self.allowed => changed.body = text(body)?,
            ("WithHeader" | "WithResponseHeader", [name, value], false) => {
                changed.headers.push((text(name)?, text(value)?));
            }
            // Parts of the answer that say nothing about the verdict.
            ("WithHeader" | "WithResponseHeader" | "WithQueryParam", [_], false)
            | ("WithoutHeader" | "WithoutQueryParam", [Val::Text(_)], false)
            | ("WithMetadata", [_], true) => {}
            ("WithMessage", [message], true) => changed.message = text(message)?,
            _ => return None,
        }
        Some(Ok(Val::object(changed)))
    }

    fn to_json(&self) -> Option<Value> {
        let headers: Map<String, Value> =
            self.headers.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        Some(json!({
            "response": self.finished, "allowed": self.allowed, "reason": self.reason,
            "body": self.body, "message": self.message, "headers": headers,
        }))
    }
}

/// A header with its options.
#[derive(Clone, Debug)]
struct Header {
    key: String,
    value: String,
}

impl<'a> Object<'a> for Header {
    fn type_name(&self) -> &str {
        "envoy.config.core.v3.HeaderValueOption"
    }

    fn call(&self, method: &str, _: &[Val<'a>]) -> Option<Outcome<'a>> {
        (method == "KeepEmptyValue").then(|| Ok(Val::object(self.clone())))
    }

    fn to_json(&self) -> Option<Value> {
        Some(json!({"key": self.key, "value": self.value}))
    }
}

/// Calls a function of `envoy`, `http` or `jwt`; `None` when there is none of this name.
pub(super) fn call<'a>(
    (library, function): (&str, &str),
    arguments: &[Val<'a>],
    now: Option<Timestamp>,
) -> Option<Outcome<'a>> {
    let made = |response: Response| Some(Ok(Val::object(response)));
    match (library, function, arguments) {
        ("envoy" | "http", "allowed", []) => made(Response::new(true, Value::Null)),
        ("envoy", "denied", [Val::Int(code)]) => made(Response::new(false, Value::from(*code))),
        ("http", "denied", [Val::Text(reason)]) => made(Response::new(false, Value::from(reason.as_str()))),
        ("envoy", "header", [Val::Text(key), Val::Text(value)]) => {
            Some(Ok(Val::object(Header { key: key.as_str().to_owned(), value: value.as_str().to_owned() })))
        }
        ("envoy", "response", [Val::Int(code)]) => {
            let allowed = *code == 0;
            made(Response { finished: true, ..Response::new(allowed, Value::from(*code)) })
        }
        ("envoy", "response", [Val::Object(object)]) => object.call("Response", &[]),
        ("jwt", "decode", [Val::Text(token), Val::Text(key)]) => Some(Ok(decode(token.as_str(), key.as_str(), now))),
        ("envoy" | "jwt", ..) => Some(Err(wrong(&format!("{library}.{function}")))),
        _ => None,
    }
}

/// Decodes a token signed with a shared key. Its times count when the request has one; a token that cannot be verified is
/// not valid.
fn decode<'a>(token: &str, key: &str, now: Option<Timestamp>) -> Val<'a> {
    let mut parts = token.split('.');
    let part = |text: Option<&str>| -> Value {
        let bytes = text.and_then(base64_url).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_else(|_| json!({}))
    };
    let (header_text, claims_text, signature) = (parts.next(), parts.next(), parts.next());
    let (header, claims) = (part(header_text), part(claims_text));
    let signed = match (header_text, claims_text) {
        (Some(header), Some(claims)) => format!("{header}.{claims}"),
        _ => String::new(),
    };
    let algorithm = header.get("alg").and_then(Value::as_str).unwrap_or_default();
    let verified = parts.next().is_none()
        && signature.and_then(base64_url).is_some_and(|signature| is_signed(algorithm, (&signed, key), &signature));
    let seconds = now.map(|now| now.as_nanos() / 1_000_000_000);
    let time = |claim: &str| claims.get(claim).and_then(Value::as_f64);
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
    let in_time = seconds.is_none_or(|seconds| {
        let seconds = seconds as f64;
        time("exp").is_none_or(|end| seconds < end) && time("nbf").is_none_or(|start| seconds >= start)
    });
    Val::from_owned_json(json!({"Valid": verified && in_time, "Header": header, "Claims": claims}))
}

fn is_signed(algorithm: &str, (text, key): (&str, &str), signature: &[u8]) -> bool {
    macro_rules! verify {
        ($hash:ty) => {
            Hmac::<$hash>::new_from_slice(key.as_bytes())
                .is_ok_and(|mac| mac.chain_update(text.as_bytes()).verify_slice(signature).is_ok())
        };
    }
    match algorithm {
        "HS256" => verify!(Sha256),
        "HS384" => verify!(Sha384),
        "HS512" => verify!(Sha512),
        _ => false,
    }
}

/// Base64 in its URL form, with or without padding.
fn base64_url(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let (mut bits, mut count) = (0_u32, 0_u32);
    for byte in text.trim_end_matches('=').bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from((bits >> count) & 0xff).unwrap_or_default());
        }
    }
    Some(out)
}

/// A request to authorize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationKind {
    /// An HTTP request: `{"attributes": {"method": .., "header": {..}, "path": ..}}`.
    Http,
    /// A `CheckRequest` of Envoy's external authorization, as JSON.
    Envoy,
}

impl PolicySet {
    /// Judges a request of another protocol by the policies of that mode: each passes, fails (the request is refused) or
    /// skips (it has nothing to say).
    #[must_use]
    pub fn authorize(&self, kind: AuthorizationKind, payload: &Value, snapshot: &Snapshot) -> Vec<RuleVerdict> {
        let mode = match kind {
            AuthorizationKind::Http => EvaluationMode::Http,
            AuthorizationKind::Envoy => EvaluationMode::Envoy,
        };
        let object = completed(kind, payload);
        let request = Request { object: Some(object), ..Request::default() };
        let mine = self.cel_policies.iter().filter(|policy| policy.mode == mode);
        mine.map(|policy| authorize(policy, &request, snapshot)).collect()
    }
}

fn authorize(policy: &CelPolicy, request: &Request, snapshot: &Snapshot) -> RuleVerdict {
    let views = Views::default();
    let input = Input::new(request, snapshot, None, &views);
    let (mut status, mut message) = (Status::Skip, "request does not match".to_owned());
    let mut missing = Vec::new();
    for spec in &policy.specs {
        let scope = Scope::new(input.given(&Value::Null), &spec.rule);
        let CelBody::Validations(validations) = &spec.rule.body else { continue };
        let decision = scope.all(&spec.rule.conditions).and_then(|meant| {
            if !meant {
                return Ok(None);
            }
            for validation in validations {
                match scope.evaluate(&validation.expression)? {
                    Val::Null => {}
                    value => return read(&value).map(Some),
                }
            }
            Ok(None)
        });
        missing.extend(scope.take_missing());
        match decision {
            Ok(None) => continue,
            Ok(Some(decided)) => (status, message) = decided,
            Err(error) if policy.fails_closed => (status, message) = (Status::Error, error.to_string()),
            Err(_) => continue,
        }
        break;
    }
    let rule = policy.reference.name.clone();
    RuleVerdict {
        action: policy.action,
        fails_closed: policy.fails_closed,
        missing,
        unscored: policy.unscored,
        ..RuleVerdict::new(&policy.reference, rule, RuleKind::Validate, (status, message))
    }
}

fn read(value: &Val<'_>) -> Result<(Status, String), EvalError> {
    let answer = value.to_json()?;
    let flag = |key: &str| answer.get(key).and_then(Value::as_bool);
    match (flag("response"), flag("allowed")) {
        (Some(true), Some(true)) => Ok((Status::Pass, "request allowed".to_owned())),
        (Some(true), Some(false)) => Ok((
            Status::Fail,
            match answer.get("reason") {
                Some(Value::String(reason)) => format!("request denied, reason: {reason}"),
                Some(code) => format!("request denied with status code {code}"),
                None => "request denied".to_owned(),
            },
        )),
        _ => Err(EvalError::refused(format!("expected a response, got {}", value.type_name()))),
    }
}

/// The payload with every field that its type has, as typed messages read.
fn completed(kind: AuthorizationKind, payload: &Value) -> Value {
    let mut whole = match kind {
        AuthorizationKind::Http => json!({"attributes": {
            "method": "", "header": {}, "host": "", "protocol": "", "contentLength": 0, "body": "", "scheme": "",
            "path": "", "query": {}, "fragment": "",
        }}),
        AuthorizationKind::Envoy => {
            let peer = json!({"address": {"socket_address": {"address": "", "port_value": 0}}, "service": "",
                "labels": {}, "principal": "", "certificate": ""});
            json!({"attributes": {
                "source": peer, "destination": peer,
                "request": {"http": {"id": "", "method": "", "headers": {}, "path": "", "host": "", "scheme": "",
                    "query": "", "fragment": "", "size": 0, "protocol": "", "body": "", "raw_body": ""}},
                "context_extensions": {}, "metadata_context": {"filter_metadata": {}},
                "route_metadata_context": {"filter_metadata": {}},
            }})
        }
    };
    overlay(&mut whole, payload, 0);
    whole
}

/// Puts the fields of `given` over those of `whole`; messages may spell them in camel case.
fn overlay(whole: &mut Value, given: &Value, depth: usize) {
    let (Value::Object(fields), Value::Object(given)) = (&mut *whole, given) else {
        *whole = given.clone();
        return;
    };
    // Below this depth there are only maps of the sender's own.
    const DEPTH: usize = 5;
    for (key, value) in given {
        let snake: String = key
            .chars()
            .flat_map(|letter| {
                let upper = letter.is_ascii_uppercase();
                upper.then_some('_').into_iter().chain([letter.to_ascii_lowercase()])
            })
            .collect();
        let name = if fields.contains_key(&snake) { snake } else { key.clone() };
        match fields.get_mut(&name).filter(|_| depth < DEPTH) {
            Some(known) => overlay(known, value, depth + 1),
            None => drop(fields.insert(name, value.clone())),
        }
    }
}

impl fmt::Display for AuthorizationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP",
            Self::Envoy => "Envoy",
        })
    }
}
