//! Kyverno's libraries that compute: images, service accounts, digests, random texts, lists of objects.

use std::collections::BTreeMap;
use std::rc::Rc;

use cel::{EvalError, Key, Map, Object, Text, Val};
use jmespath::{Context, compile};
use model::Timestamp;
use serde_json::{Value, json};

use crate::gzip;

type Outcome<'a> = Result<Val<'a>, EvalError>;

/// Functions and methods that the libraries add, for the check of names.
pub(super) const NAMES: [&str; 100] = [
    "incidents",
    "secret",
    "Allowed",
    "Denied",
    "Header",
    "Response",
    "Decode",
    "decode",
    "WithBody",
    "WithHeader",
    "WithoutHeader",
    "WithResponseHeader",
    "WithQueryParam",
    "WithoutQueryParam",
    "KeepEmptyValue",
    "WithMessage",
    "WithMetadata",
    "QueryParam",
    "verifyImageSignatures",
    "verifyAttestationSignatures",
    "extractPayload",
    "getImageData",
    "resource.Get",
    "resource.get",
    "resource.List",
    "resource.list",
    "resource.Post",
    "resource.post",
    "resource.ToGVR",
    "resource.toGVR",
    "ToGVR",
    "toGVR",
    "http.Get",
    "http.get",
    "http.Post",
    "http.post",
    "http.Client",
    "http.client",
    "image.GetMetadata",
    "image.getMetadata",
    "globalContext.Get",
    "globalContext.get",
    "generator.Apply",
    "generator.apply",
    "json.unmarshal",
    "json.marshal",
    "json.Unmarshal",
    "json.Marshal",
    "yaml.parse",
    "yaml.Parse",
    "image",
    "isImage",
    "parseImageReference",
    "containsDigest",
    "registry",
    "repository",
    "identifier",
    "tag",
    "digest",
    "parseServiceAccount",
    "user.parseServiceAccount",
    "sha1",
    "sha256",
    "md5",
    "hash.sha1",
    "hash.sha256",
    "hash.md5",
    "random",
    "random.random",
    "listObjToMap",
    "transform.listObjToMap",
    "x509.decode",
    "gzip.compress",
    "gzip.decompress",
    "jmespath",
    "Get",
    "get",
    "List",
    "list",
    "Post",
    "post",
    "GetMetadata",
    "getMetadata",
    "Apply",
    "apply",
    "toUpper",
    "path",
    "group",
    "resource",
    "subresource",
    "namespace",
    "name",
    "fieldSelector",
    "labelSelector",
    "serviceAccount",
    "check",
    "allowed",
    "reason",
    "errored",
    "error",
];

/// The name of a library, from the list of libraries.
pub(super) fn static_name(name: &str) -> &'static str {
    const LIBRARIES: [&str; 9] =
        ["resource", "http", "image", "globalContext", "generator", "json", "yaml", "envoy", "jwt"];
    LIBRARIES.into_iter().find(|known| *known == name).unwrap_or_default()
}

/// Calls a function of a library; `None` when there is none of this name for these values.
pub(super) fn call<'a>(name: &str, arguments: &[Val<'a>], now: Option<Timestamp>) -> Option<Outcome<'a>> {
    match (name, arguments) {
        ("image" | "parseImageReference", [Val::Text(text)]) => Some(Image::parse(text.as_str()).map(Val::object)),
        ("isImage", [Val::Text(text)]) => Some(Ok(Val::Bool(Image::parse(text.as_str()).is_ok()))),
        ("parseServiceAccount" | "user.parseServiceAccount", [Val::Text(user)]) => {
            Some(Ok(service_account(user.as_str())))
        }
        ("sha1" | "hash.sha1", [Val::Text(text)]) => Some(through("sha1(@)", &json!(text.as_str()), now)),
        ("sha256" | "hash.sha256", [Val::Text(text)]) => Some(through("sha256(@)", &json!(text.as_str()), now)),
        ("md5" | "hash.md5", [Val::Text(text)]) => Some(through("md5(@)", &json!(text.as_str()), now)),
        ("random" | "random.random", []) => Some(through("random(@)", &json!("[0-9a-z]{8}"), now)),
        ("random" | "random.random", [Val::Text(text)]) => Some(through("random(@)", &json!(text.as_str()), now)),
        ("jmespath", [Val::Text(query), value]) => {
            Some(value.to_json().and_then(|value| through(query.as_str(), &value, now)))
        }
        ("gzip.compress", [Val::Text(text)]) => {
            let packed = gzip::pack(text.as_str().as_bytes());
            Some(packed.map(|bytes| Val::Bytes(Rc::from(bytes))).map_err(|error| EvalError::refused(error.to_string())))
        }
        ("gzip.decompress", [Val::Bytes(bytes)]) => Some(unpacked(bytes)),
        ("x509.decode", [Val::Text(text)]) => Some(through("x509_decode(@)", &json!(text.as_str()), now)),
        ("Header", [Val::Map(attributes), Val::Text(name)]) => {
            Some(values_of(attributes.get_text("header"), name.as_str()))
        }
        ("QueryParam", [Val::Map(attributes), Val::Text(name)]) => {
            Some(values_of(attributes.get_text("query"), name.as_str()))
        }
        ("listObjToMap" | "transform.listObjToMap", [keys, values, Val::Text(key), Val::Text(value)]) => {
            Some(list_to_map(keys, values, key.as_str(), value.as_str()))
        }
        _ => None,
    }
}

/// The values of a header or query parameter of an HTTP request, whatever the case of its name.
fn values_of<'a>(all: Option<Val<'a>>, name: &str) -> Outcome<'a> {
    let Some(Val::Map(all)) = all else { return Ok(Val::list(Vec::new())) };
    let is_it = |key: &Key<'a>| matches!(key, Key::Text(key) if key.as_str().eq_ignore_ascii_case(name));
    let found = all.entries().into_iter().find(|(key, _)| is_it(key)).map(|(_, values)| values);
    Ok(found.unwrap_or_else(|| Val::list(Vec::new())))
}

/// Runs a JMESPath function: both languages share these.
fn through<'a>(expression: &str, input: &Value, now: Option<Timestamp>) -> Outcome<'a> {
    let now = now.unwrap_or_default();
    // The seed is the request's time: texts are spread over requests and the same for the same request.
    let context = Context::new(now).with_random_seed(now.as_nanos().cast_unsigned());
    let compiled = compile(expression).map_err(|error| EvalError::refused(error.to_string()))?;
    compiled.search(input, &context).map(Val::from_owned_json).map_err(|error| EvalError::refused(error.to_string()))
}

/// The text in a gzip stream.
fn unpacked<'a>(bytes: &[u8]) -> Outcome<'a> {
    let content = gzip::unpack(bytes).map_err(|error| EvalError::refused(error.to_string()))?;
    Ok(Val::text(String::from_utf8_lossy(&content).as_ref()))
}

fn map<'a>(entries: impl IntoIterator<Item = (&'static str, Val<'a>)>) -> Val<'a> {
    let entry = |(key, value)| (Key::Text(Text::Borrowed(key)), value);
    Val::Map(Map::Shared(Rc::new(entries.into_iter().map(entry).collect())))
}

/// `system:serviceaccount:namespace:name` in its parts; both empty for other users.
fn service_account<'a>(user: &str) -> Val<'a> {
    let parts = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    let (namespace, name) = parts.unwrap_or_default();
    map([("Namespace", Val::text(namespace)), ("Name", Val::text(name))])
}

fn list_to_map<'a>(keys: &Val<'a>, values: &Val<'a>, key: &str, value: &str) -> Outcome<'a> {
    let (Value::Array(keys), Value::Array(values)) = (keys.to_json()?, values.to_json()?) else {
        return Err(EvalError::NoSuchOverload("listObjToMap".to_owned()));
    };
    if keys.len() != values.len() {
        let what = format!("list1: {}, list2: {}", keys.len(), values.len());
        return Err(EvalError::refused(format!("listObjToMap must take lists of equal length. {what}")));
    }
    let mut out = BTreeMap::new();
    for (left, right) in keys.iter().zip(&values) {
        let name = left.get(key).and_then(Value::as_str);
        let name = name.ok_or_else(|| EvalError::refused("the passed key name is no text in the key object list"))?;
        let found = right.get(value).cloned().unwrap_or_default();
        out.insert(Key::Text(Text::Shared(Rc::from(name))), Val::from_owned_json(found));
    }
    Ok(Val::Map(Map::Shared(Rc::new(out))))
}

/// An image reference with its defaults filled in.
#[derive(Debug, PartialEq, Eq)]
struct Image {
    registry: String,
    repository: String,
    tag: String,
    digest: String,
}

impl Image {
    fn parse(text: &str) -> Result<Self, EvalError> {
        let fail = || EvalError::refused(format!("could not parse reference: {text}"));
        let (name, digest) = text.split_once('@').map_or((text, ""), |(name, digest)| (name, digest));
        let last = name.rsplit('/').next().unwrap_or_default();
        let (name, tag) = match last.rsplit_once(':') {
            Some((_, tag)) => (name.get(..name.len() - tag.len() - 1).unwrap_or_default(), tag),
            None => (name, ""),
        };
        let (registry, repository) = match name.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest.to_owned()),
            Some(_) => ("index.docker.io", name.to_owned()),
            None => ("index.docker.io", format!("library/{name}")),
        };
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
        let bad_repository = name.is_empty() || repository.is_empty() || !repository.chars().all(allowed);
        let bad_digest = text.contains('@') && digest.strip_prefix("sha256:").is_none_or(|hex| hex.len() != 64);
        if bad_repository || bad_digest {
            return Err(fail());
        }
        let registry = if registry == "docker.io" { "index.docker.io" } else { registry };
        let tag = if tag.is_empty() && digest.is_empty() { "latest" } else { tag };
        Ok(Self { registry: registry.to_owned(), repository, tag: tag.to_owned(), digest: digest.to_owned() })
    }
}

impl<'a> Object<'a> for Image {
    fn type_name(&self) -> &str {
        "kyverno.image"
    }

    fn call(&self, name: &str, arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
        if !arguments.is_empty() {
            return None;
        }
        // With a digest the tag does not count.
        let tag = if self.digest.is_empty() { self.tag.as_str() } else { "" };
        let text = match name {
            "registry" => self.registry.as_str(),
            "repository" => self.repository.as_str(),
            "identifier" => {
                if self.digest.is_empty() {
                    tag
                } else {
                    self.digest.as_str()
                }
            }
            "tag" => tag,
            "digest" => self.digest.as_str(),
            "containsDigest" => return Some(Ok(Val::Bool(!self.digest.is_empty()))),
            _ => return None,
        };
        Some(Ok(Val::text(text)))
    }

    fn to_json(&self) -> Option<Value> {
        let separator = if self.digest.is_empty() { ":" } else { "@" };
        let identifier = if self.digest.is_empty() { &self.tag } else { &self.digest };
        Some(Value::from(format!("{}/{}{separator}{identifier}", self.registry, self.repository)))
    }
}
