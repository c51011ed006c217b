//! The webhook provider: an HTTP request made of templates, and a part of the answer picked by JSONPath.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::jsonpath::Path;
use crate::provider::{Keys, LocalSecret, ProviderError, Push, Reference, at};
use crate::schedule::parse_duration;
use crate::value::{SecretBytes, SecretJson, to_sorted_json};

/// The data of templates: `remoteRef`, and one entry for each Secret of the store.
pub type Data = BTreeMap<String, BTreeMap<String, SecretBytes>>;

/// Renders a template; a key that is missing prints as Go prints it, and is no error. Its words never hold a value.
pub type Renderer = fn(&str, &Data) -> Result<SecretBytes, String>;

/// A request that is complete.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Method, as `GET`.
    pub method: String,
    /// Address. It may hold secrets: never show it.
    pub url: Zeroizing<String>,
    /// Headers, in the order of their names.
    pub headers: Vec<(String, Zeroizing<String>)>,
    /// Body.
    pub body: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("method", &self.method).finish_non_exhaustive()
    }
}

/// What the server answered.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status.
    pub status: u16,
    /// Body.
    pub body: SecretBytes,
}

/// What a webhook asks of others.
pub trait Calls {
    /// Sends a request.
    ///
    /// # Errors
    /// When there is no answer. The words never hold the address.
    fn send(&mut self, request: &Request) -> Result<Response, ProviderError>;

    /// Reads a Secret of the store; `None` when it is not there.
    ///
    /// # Errors
    /// When the cluster refuses or does not answer.
    fn secret(&mut self, namespace: &str, name: &str) -> Result<Option<LocalSecret>, ProviderError>;
}

/// A Secret whose keys templates may use.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NamedSecret {
    name: String,
    secret: String,
    namespace: Option<String>,
}

/// What a store or a generator says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    url: String,
    method: String,
    body: String,
    headers: BTreeMap<String, String>,
    json_path: String,
    secrets: Vec<NamedSecret>,
    /// How long the server may take; without a word, as long as any store.
    pub timeout: Option<std::time::Duration>,
    /// Whose certificates are trusted, in PEM and base64.
    pub ca_bundle: Option<String>,
    /// Where such certificates stand.
    pub ca_provider: Option<Value>,
}

/// From where a webhook is used.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The namespace of who asks.
    pub namespace: &'a str,
    /// Whether the store is one of the whole cluster, so that its Secrets name their namespaces.
    pub is_cluster: bool,
}

impl Settings {
    /// Reads `spec.provider.webhook` of a store, or the `spec` of a generator.
    ///
    /// # Errors
    /// When there is no address, or it asks for what is not there.
    pub fn read(settings: &Value) -> Result<Self, ProviderError> {
        let text = |pointer: &str| at(settings, pointer).as_str().unwrap_or_default().to_owned();
        if !settings.is_object() {
            return Err(ProviderError::failed("missing store provider webhook"));
        }
        if text("/url").is_empty() {
            return Err(ProviderError::failed("webhook: `url` is missing"));
        }
        if at(settings, "/auth/ntlm").is_object() {
            return Err(ProviderError::failed("webhook: `auth.ntlm` is not supported: use a header with a token"));
        }
        let timeout = match at(settings, "/timeout") {
            Value::Null => None,
            given => Some(
                given
                    .as_str()
                    .and_then(parse_duration)
                    .ok_or_else(|| ProviderError::failed("webhook: `timeout` is no duration such as 10s"))?,
            ),
        };
        let headers = at(settings, "/headers").as_object().into_iter().flatten();
        Ok(Self {
            url: text("/url"),
            method: text("/method"),
            body: text("/body"),
            headers: headers
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect(),
            json_path: text("/result/jsonPath"),
            secrets: at(settings, "/secrets").as_array().into_iter().flatten().map(named).collect(),
            timeout,
            ca_bundle: Some(text("/caBundle")).filter(|bundle| !bundle.is_empty()),
            ca_provider: Some(at(settings, "/caProvider").clone()).filter(Value::is_object),
        })
    }

    /// The data of templates: what is asked for, and the Secrets.
    fn data(
        &self,
        remote: Option<BTreeMap<String, SecretBytes>>,
        calls: &mut impl Calls,
        place: Place<'_>,
    ) -> Result<Data, ProviderError> {
        let mut data: Data = remote.map(|remote| ("remoteRef".to_owned(), remote)).into_iter().collect();
        for named in &self.secrets {
            let namespace = match (&named.namespace, place.is_cluster) {
                (Some(namespace), true) => namespace.as_str(),
                (None, true) => {
                    let name = &named.secret;
                    return Err(ProviderError::failed(format!("no namespace on ClusterScoped webhook secret {name}")));
                }
                (_, false) => place.namespace,
            };
            let missing = || {
                ProviderError::failed(format!(
                    "failed to get clustersecretstore webhook secret {}: it is not there",
                    named.secret
                ))
            };
            let secret = calls.secret(namespace, &named.secret)?.ok_or_else(missing)?;
            check_label(&secret)?;
            data.entry(named.name.clone()).or_default().extend(secret.data);
        }
        Ok(data)
    }

    fn headers(&self, data: &Data, render: Renderer) -> Result<Vec<(String, Zeroizing<String>)>, ProviderError> {
        let header = |(name, template): (&String, &String)| {
            let value = rendered(template, data, render, &format!("failed to parse header {name}"))?;
            Ok((name.clone(), text(&value)))
        };
        self.headers.iter().map(header).collect()
    }

    fn json_path(&self, data: &Data, render: Renderer, words: &str) -> Result<String, ProviderError> {
        let path = rendered(&self.json_path, data, render, words)?;
        Ok(path.expose_str().unwrap_or_default().to_owned())
    }
}

fn named(value: &Value) -> NamedSecret {
    let text = |pointer: &str| at(value, pointer).as_str().unwrap_or_default().to_owned();
    let namespace = at(value, "/secretRef/namespace").as_str().map(str::to_owned);
    NamedSecret { name: text("/name"), secret: text("/secretRef/name"), namespace }
}

/// A Secret says itself that a webhook may send it away.
fn check_label(secret: &LocalSecret) -> Result<(), ProviderError> {
    match secret.labels.get("external-secrets.io/type").map(String::as_str) {
        Some("webhook") => Ok(()),
        Some(_) => Err(ProviderError::failed("secret type is not 'webhook'")),
        None => Err(ProviderError::failed(
            "secret does not contain needed label 'external-secrets.io/type: webhook'. Update secret label to use it with webhook",
        )),
    }
}

fn rendered(template: &str, data: &Data, render: Renderer, words: &str) -> Result<SecretBytes, ProviderError> {
    if template.is_empty() {
        return Ok(SecretBytes::new(Vec::new()));
    }
    let within = |said: String| ProviderError::Failed(if words.is_empty() { said } else { format!("{words}: {said}") });
    render(template, data).map_err(within)
}

fn text(value: &SecretBytes) -> Zeroizing<String> {
    Zeroizing::new(String::from_utf8_lossy(value.expose()).into_owned())
}

/// As a query of an address has it: letters, digits and `-_.~` as they are, a space as `+`.
fn escaped(value: &SecretBytes) -> SecretBytes {
    let mut escaped = Zeroizing::new(Vec::with_capacity(value.expose().len()));
    for byte in value.expose() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(*byte),
            b' ' => escaped.push(b'+'),
            other => escaped.extend_from_slice(format!("%{other:02X}").as_bytes()),
        }
    }
    SecretBytes::new(escaped.to_vec())
}

/// What is asked for, as templates see it.
fn remote(reference: &Reference, place: Place<'_>, is_escaped: bool) -> BTreeMap<String, SecretBytes> {
    let fields = [("key", &reference.key), ("version", &reference.version), ("property", &reference.property)];
    let value = |text: &String| match is_escaped {
        true => escaped(&SecretBytes::from(text.as_str())),
        false => SecretBytes::from(text.as_str()),
    };
    let mut remote: BTreeMap<_, _> = fields.map(|(name, text)| (name.to_owned(), value(text))).into();
    remote.insert("namespace".to_owned(), SecretBytes::from(place.namespace));
    remote
}

/// The body of the answer to a request for `reference`; a generator asks for none.
fn fetch(
    settings: &Settings,
    calls: &mut impl Calls,
    (reference, place): (Option<&Reference>, Place<'_>),
    render: Renderer,
) -> Result<SecretBytes, ProviderError> {
    let remote = |is_escaped| reference.map(|reference| remote(reference, place, is_escaped));
    let in_url = settings.data(remote(true), calls, place)?;
    let raw = settings.data(remote(false), calls, place)?;
    let url = rendered(&settings.url, &in_url, render, "failed to parse url")?;
    let body = rendered(&settings.body, &raw, render, "failed to parse body")?;
    send(settings, calls, (&url, &body, "GET"), &raw, render)
}

fn send(
    settings: &Settings,
    calls: &mut impl Calls,
    (url, body, method): (&SecretBytes, &SecretBytes, &str),
    data: &Data,
    render: Renderer,
) -> Result<SecretBytes, ProviderError> {
    let method = if settings.method.is_empty() { method } else { &settings.method };
    let request = Request {
        method: method.to_owned(),
        url: text(url),
        headers: settings.headers(data, render)?,
        body: Zeroizing::new(body.expose().to_vec()),
    };
    let response = calls.send(&request).map_err(|error| error.within("failed to call endpoint"))?;
    match response.status {
        404 => Err(ProviderError::Missing),
        200..=299 => Ok(response.body),
        other => Err(ProviderError::failed(format!("endpoint gave error {other}"))),
    }
}

fn parsed(body: &SecretBytes) -> Result<SecretJson, ProviderError> {
    // The library's words may quote the answer.
    SecretJson::parse(body.expose())
        .ok_or_else(|| ProviderError::failed("failed to parse response json: invalid character or unexpected end"))
}

fn picked(json: SecretJson, path: &str) -> Result<SecretJson, ProviderError> {
    if path.is_empty() {
        return Ok(json);
    }
    let found = Path::parse(path).and_then(|path| path.find(json.expose()));
    found
        .map(SecretJson::new)
        .map_err(|error| ProviderError::failed(format!("failed to get response path {path}: {error}")))
}

/// One value: the answer as it is, or the part that the store's JSONPath names.
///
/// # Errors
/// When the server has it not or fails, a template is wrong, or the path leads nowhere.
pub fn get(
    settings: &Settings,
    calls: &mut impl Calls,
    (reference, place): (&Reference, Place<'_>),
    render: Renderer,
) -> Result<SecretBytes, ProviderError> {
    let body = fetch(settings, calls, (Some(reference), place), render)?;
    let data = settings.data(Some(remote(reference, place, false)), calls, place)?;
    let path = settings.json_path(&data, render, "")?;
    if path.is_empty() {
        return Ok(body);
    }
    let found = picked(parsed(&body)?, &path)?;
    single(found.expose())
}

/// One value of what a path found: of a list the first.
fn single(found: &Value) -> Result<SecretBytes, ProviderError> {
    let mut found = found;
    while let Value::Array(items) = found {
        found = items.first().ok_or_else(|| ProviderError::failed("filter worked but didn't get any result"))?;
    }
    Ok(match found {
        Value::Null => SecretBytes::new(Vec::new()),
        Value::String(text) => SecretBytes::from(text.as_str()),
        // Numbers lose their fraction, as upstream prints them.
        Value::Number(number) if !number.is_i64() && !number.is_u64() => {
            SecretBytes::from(format!("{:.0}", number.as_f64().unwrap_or_default()).as_str())
        }
        other => SecretBytes::new(to_sorted_json(other)),
    })
}

/// All keys of the object that the answer is or holds. A generator gives no reference.
///
/// # Errors
/// As [`get`], and when there is no object.
pub fn get_map(
    settings: &Settings,
    calls: &mut impl Calls,
    (reference, place): (Option<&Reference>, Place<'_>),
    render: Renderer,
) -> Result<Keys, ProviderError> {
    let remote = reference.map(|reference| remote(reference, place, false));
    let data = settings.data(remote, calls, place).map_err(|error| error.within("cannot get template data"))?;
    let path = settings.json_path(&data, render, "cannot get templated json path")?;
    let body = fetch(settings, calls, (reference, place), render)?;
    let mut found = picked(parsed(&body)?, &path)?;
    if let Value::String(text) = found.expose() {
        let wrong = || ProviderError::failed("failed to parse response json from jsonpath: it is no JSON");
        found = SecretJson::parse(text.as_bytes()).ok_or_else(wrong)?;
    }
    let wrong = |kind: &str| ProviderError::failed(format!("failed to get response (wrong type: {kind})"));
    match found.expose() {
        Value::Object(fields) => Ok(values(fields)),
        Value::Array(_) => Err(wrong("list")),
        Value::Null => Err(wrong("null")),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Err(wrong("no object")),
    }
}

fn values(fields: &Map<String, Value>) -> Keys {
    fields.iter().map(|(key, value)| (key.clone(), crate::provider::value_bytes(value))).collect()
}

/// Sends a value; the body is the value itself where the store has no template for it.
///
/// # Errors
/// When the Secret does not have the key, a template is wrong, or the server fails.
pub fn push(
    settings: &Settings,
    calls: &mut impl Calls,
    (push, secret, place): (&Push, &LocalSecret, Place<'_>),
    render: Renderer,
) -> Result<(), ProviderError> {
    if push.remote_key.is_empty() {
        return Err(ProviderError::failed("remote key must be defined"));
    }
    let value = push.value(secret)?;
    let words = "failed to push webhook data";
    let remote = |is_escaped: bool| {
        let shown = |value: SecretBytes| if is_escaped { escaped(&value) } else { value };
        let mut remote = BTreeMap::from([("remoteKey".to_owned(), shown(push.remote_key.as_str().into()))]);
        if !push.secret_key.is_empty() {
            remote.insert("secretKey".to_owned(), shown(push.secret_key.as_str().into()));
        }
        remote.insert(push.remote_key.clone(), shown(value.clone()));
        remote
    };
    let in_url = settings.data(Some(remote(true)), calls, place)?;
    let raw = settings.data(Some(remote(false)), calls, place)?;
    let sent = rendered(&settings.url, &in_url, render, "failed to parse url").and_then(|url| {
        let body = if settings.body.is_empty() {
            value.clone()
        } else {
            rendered(&settings.body, &raw, render, "failed to parse body")?
        };
        send(settings, calls, (&url, &body, "POST"), &raw, render)
    });
    sent.map(drop).map_err(|error| match error {
        ProviderError::Missing => ProviderError::Failed(format!("{words}: endpoint gave error 404")),
        other => other.within(words),
    })
}

/// Whether the server has it.
///
/// # Errors
/// When the server fails, or a template is wrong.
pub fn exists(
    settings: &Settings,
    calls: &mut impl Calls,
    (remote_key, place): (&str, Place<'_>),
    render: Renderer,
) -> Result<bool, ProviderError> {
    let reference = Reference { key: remote_key.to_owned(), ..Reference::default() };
    match fetch(settings, calls, (Some(&reference), place), render) {
        Ok(_) => Ok(true),
        Err(ProviderError::Missing) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Sends `DELETE`; what is not there is no error.
///
/// # Errors
/// When the server fails, or a template is wrong.
pub fn delete(
    settings: &Settings,
    calls: &mut impl Calls,
    (remote_key, place): (&str, Place<'_>),
    render: Renderer,
) -> Result<(), ProviderError> {
    let remote = BTreeMap::from([("remoteKey".to_owned(), SecretBytes::from(remote_key))]);
    let data = settings.data(Some(remote), calls, place)?;
    let url = rendered(&settings.url, &data, render, "failed to parse url")?;
    let request = Request {
        method: "DELETE".to_owned(),
        url: text(&url),
        headers: settings.headers(&data, render)?,
        body: Zeroizing::default(),
    };
    let response = calls.send(&request).map_err(|error| error.within("failed to delete secret"))?;
    match response.status {
        404 | 200..=299 => Ok(()),
        other => Err(ProviderError::failed(format!("delete endpoint gave error {other}"))),
    }
}
