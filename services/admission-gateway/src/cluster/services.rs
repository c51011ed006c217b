//! Calls of services that policies make: with their headers and certificates, whatever status comes back.

use std::time::Duration;

use admission_policy::{HttpAnswer, HttpCall};
use serde_json::Value;

use super::reach::Reach;

/// Calls a service.
///
/// # Errors
/// Why there is no answer. Headers are never part of it: they may hold secrets.
pub(super) async fn call(call: &HttpCall, reach: &Reach) -> Result<HttpAnswer, String> {
    let url: reqwest::Url = call.url.parse().map_err(|error| format!("the URL cannot be used: {error}"))?;
    reach.check(&url)?;
    let mut builder = reqwest::Client::builder().connect_timeout(Duration::from_secs(3));
    builder = builder.dns_resolver(reach.clone()).redirect(reach.redirections());
    if !call.authority.is_empty() {
        let authorities = reqwest::Certificate::from_pem_bundle(call.authority.as_bytes());
        let authorities =
            authorities.map_err(|error| format!("the certificates of the call cannot be used: {error}"))?;
        builder = builder.tls_certs_only(authorities);
    }
    let client = builder.build().map_err(|error| error.to_string())?;
    let mut request = match call.method.as_str() {
        "GET" => client.get(url),
        "POST" => client.post(url).header("content-type", "application/json").body(call.body.clone()),
        other => return Err(format!("invalid request type {other}: use GET or POST")),
    };
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    let mut answer = request.send().await.map_err(|error| cause(&error))?;
    let status = answer.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| cause(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MOST_BYTES {
            return Err(format!("the answer is larger than {MOST_BYTES} bytes"));
        }
    }
    Ok(HttpAnswer { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}

/// The last cause, which says what went wrong.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Largest answer of a service.
const MOST_BYTES: usize = 8 << 20;
