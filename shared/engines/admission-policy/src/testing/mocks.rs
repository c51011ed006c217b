//! `apiCallResponses` and `globalContextEntries`: what stands for services and for the global context of a cluster.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::format::{field, texts};
use crate::projection::Projection;
use crate::snapshot::HttpAnswer;

/// The answers to calls, by method and path or URL. An answer that names no method is that to a GET and to a POST.
///
/// # Errors
/// The entry that is not one, and why.
pub(super) fn answers(raw: &[Value]) -> Result<BTreeMap<String, HttpAnswer>, String> {
    let mut of_any: Vec<(String, HttpAnswer)> = Vec::new();
    let mut out = BTreeMap::new();
    for (index, entry) in raw.iter().enumerate() {
        let (method, target, answer) = answer(entry).map_err(|what| format!("apiCallResponses[{index}]: {what}"))?;
        let twice = if method.is_empty() {
            let is_known = of_any.iter().any(|(known, _)| *known == target);
            of_any.push((target.clone(), answer));
            is_known
        } else {
            out.insert(format!("{method} {target}"), answer).is_some()
        };
        if twice {
            return Err(format!("apiCallResponses[{index}]: {target} has an answer already: keep one for each method"));
        }
    }
    for (target, answer) in of_any {
        for method in ["GET", "POST"] {
            out.entry(format!("{method} {target}")).or_insert_with(|| answer.clone());
        }
    }
    Ok(out)
}

fn answer(entry: &Value) -> Result<(String, String, HttpAnswer), String> {
    let text = |key: &str| field(entry, key).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    let method = text("method").to_ascii_uppercase();
    if !matches!(method.as_str(), "" | "GET" | "POST") {
        return Err(format!("`method` is {method}: write GET or POST"));
    }
    let target = match (text("url"), text("urlpath")) {
        (url, path) if url.is_empty() == path.is_empty() => return Err("write one of `url` and `urlPath`".to_owned()),
        (url, path) if url.is_empty() => {
            if !path.starts_with('/') {
                return Err(format!("`urlPath` {path} does not begin with `/`"));
            }
            path
        }
        (url, _) => {
            let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            if host.is_none_or(|host| host.is_empty() || host.starts_with(['/', ':'])) {
                return Err(format!("`url` {url} is no absolute http or https URL"));
            }
            url
        }
    };
    let response = field(entry, "response");
    let body = response.and_then(|response| field(response, "body")).filter(|body| body.is_object());
    let body = body.ok_or("`response.body` is not a map")?.clone();
    let status = match response.and_then(|response| field(response, "statuscode")).map(Value::as_u64) {
        None | Some(Some(0)) => 200,
        Some(code) => code
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| (100..600).contains(code))
            .ok_or("`response.statusCode` is not between 100 and 599")?,
    };
    Ok((method, target, HttpAnswer { status, body }))
}

/// The entries of the global context, by name; `objects` reads the files that an entry names.
///
/// # Errors
/// The entry that is not one, and why.
pub(super) fn entries(
    raw: &[Value],
    objects: impl Fn(&[String]) -> Result<Vec<Value>, String>,
) -> Result<BTreeMap<String, Value>, String> {
    let mut out = BTreeMap::new();
    for (index, entry) in raw.iter().enumerate() {
        let name = field(entry, "name").and_then(Value::as_str).unwrap_or_default().trim();
        if name.is_empty() {
            return Err(format!("globalContextEntries[{index}]: `name` is missing"));
        }
        let within = |what: String| format!("globalContextEntries `{name}`: {what}");
        let data = root(entry, &objects).and_then(|root| projected(entry, root)).map_err(within)?;
        if out.insert(name.to_owned(), data).is_some() {
            return Err(within("the name is there twice".to_owned()));
        }
    }
    Ok(out)
}

/// What an entry holds before anything is taken from it.
fn root(entry: &Value, objects: impl Fn(&[String]) -> Result<Vec<Value>, String>) -> Result<Value, String> {
    let part = |key: &str| field(entry, key).filter(|value| !value.is_null());
    match (part("data"), part("resources"), part("resourcefiles")) {
        (Some(data), None, None) if data.is_object() => Ok(data.clone()),
        (Some(_), None, None) => Err("`data` is not a map".to_owned()),
        (None, Some(Value::Array(resources)), None) if resources.iter().all(Value::is_object) => {
            Ok(Value::Array(resources.clone()))
        }
        (None, Some(_), None) => Err("`resources` is not a list of objects".to_owned()),
        (None, None, Some(files)) => {
            let files = texts(Some(files));
            let leaves = |file: &&String| file.starts_with('/') || file.split('/').any(|part| part == "..");
            match files.iter().find(leaves) {
                Some(file) => Err(format!("{file} is not below the folder of the test")),
                None => objects(&files).map(Value::Array),
            }
        }
        _ => Err("write one of `data`, `resources` and `resourceFiles`".to_owned()),
    }
}

/// The part of the data that `fieldPath` names, then what the projections take from it.
fn projected(entry: &Value, root: Value) -> Result<Value, String> {
    let text = |value: &Value, key: &str| field(value, key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let search = |path: &str, root: &Value| {
        let found = Projection::compile(path).and_then(|query| query.of(root));
        found.map_err(|error| format!("{path}: {error}"))
    };
    let path = text(entry, "fieldpath");
    let root = if path.is_empty() { root } else { search(&path, &root)? };
    let projections = field(entry, "projections").and_then(Value::as_array).filter(|list| !list.is_empty());
    let Some(projections) = projections else { return Ok(root) };
    let mut out = Map::new();
    for projection in projections {
        let (name, path) = (text(projection, "name"), text(projection, "path"));
        if name.trim().is_empty() || path.trim().is_empty() {
            return Err("a projection needs a `name` and a `path`".to_owned());
        }
        out.insert(name, search(&path, &root)?);
    }
    Ok(Value::Object(out))
}
