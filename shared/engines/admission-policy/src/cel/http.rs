//! Kyverno's library `http`: calls of services. Every answer is a fact of the snapshot, its status part of it.

use std::collections::BTreeMap;
use std::fmt;

use cel::{EvalError, Key, Object, Val};
use serde_json::{Value, json};

use super::lookup::wrong;
use super::scope::Scope;
use crate::snapshot::{HttpAnswer, HttpCall, MissingFact};

type Outcome<'a> = Result<Val<'a>, EvalError>;

/// Who calls: `http` itself, or what `http.client` made.
pub(super) struct Client<'a> {
    pub(super) scope: Scope<'a>,
    /// Certificates (PEM) that servers are checked by; empty for those of the system.
    pub(super) authority: String,
}

impl fmt::Debug for Client<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("http.Context")
    }
}

impl<'a> Object<'a> for Client<'a> {
    fn type_name(&self) -> &str {
        "http.Context"
    }

    fn call(&self, method: &str, arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
        match (method, arguments) {
            ("get" | "Get", [Val::Text(url)]) => Some(self.ask("GET", url.as_str(), None, None)),
            ("get" | "Get", [Val::Text(url), Val::Map(headers)]) => {
                Some(self.ask("GET", url.as_str(), None, Some(&Val::Map(headers.clone()))))
            }
            ("post" | "Post", [Val::Text(url), body]) => Some(self.ask("POST", url.as_str(), Some(body), None)),
            ("post" | "Post", [Val::Text(url), body, Val::Map(headers)]) => {
                Some(self.ask("POST", url.as_str(), Some(body), Some(&Val::Map(headers.clone()))))
            }
            ("client" | "Client", [Val::Text(authority)]) => Some(self.with(authority.as_str())),
            ("get" | "Get" | "post" | "Post" | "client" | "Client", _) => Some(Err(wrong("http"))),
            _ => None,
        }
    }
}

impl<'a> Client<'a> {
    fn with(&self, authority: &str) -> Outcome<'a> {
        if !authority.is_empty() && !authority.contains("-----BEGIN CERTIFICATE-----") {
            return Err(EvalError::refused("request failed: failed to parse PEM CA bundle for APICall"));
        }
        let authority = if authority.is_empty() { &self.authority } else { authority };
        Ok(Val::object(Self { scope: self.scope.clone(), authority: authority.to_owned() }))
    }

    fn ask(&self, method: &str, url: &str, body: Option<&Val<'a>>, headers: Option<&Val<'a>>) -> Outcome<'a> {
        let given = self.scope.given();
        // Who may write policies into one namespace only is not lent the gateway's place in the network.
        if !given.namespace.is_empty() {
            return Err(EvalError::refused("http calls are not allowed in namespaced policies"));
        }
        let call = HttpCall {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: headers.map(texts).transpose()?.unwrap_or_default(),
            body: body.map(Val::to_json).transpose()?.map(|body| body.to_string()).unwrap_or_default(),
            authority: self.authority.clone(),
        };
        let snapshot = given.snapshot;
        if let Some(known) = snapshot.http_answers.get(&format!("{method} {url}")) {
            return Ok(Val::from_owned_json(json!({"body": known.body, "statusCode": known.status})));
        }
        if let Some(known) = snapshot.http_calls.get(&call) {
            return Ok(Val::from_owned_json(shown(known)));
        }
        let function = if method == "GET" { "http.get" } else { "http.post" };
        Err(self.scope.note_missing(function, MissingFact::Http(call)))
    }
}

/// An answer as policies see it: a map with the status in it, or anything else beside the status.
fn shown(answer: &HttpAnswer) -> Value {
    match &answer.body {
        Value::Object(fields) => {
            let mut fields = fields.clone();
            fields.insert("statusCode".to_owned(), Value::from(answer.status));
            Value::Object(fields)
        }
        body => json!({"body": body, "statusCode": answer.status}),
    }
}

fn texts(headers: &Val<'_>) -> Result<BTreeMap<String, String>, EvalError> {
    let Val::Map(headers) = headers else { return Err(wrong("http")) };
    let text = |(name, value): (Key<'_>, Val<'_>)| match (name, value) {
        (Key::Text(name), Val::Text(value)) => Ok((name.as_str().to_owned(), value.as_str().to_owned())),
        _ => Err(wrong("http")),
    };
    headers.entries().into_iter().map(text).collect()
}
