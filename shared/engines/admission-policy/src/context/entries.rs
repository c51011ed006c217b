//! Context entries: variables, ConfigMaps, API calls, image metadata and global entries.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::query::{ExpressionCache, Query, mark_of};
use super::{Context, EvaluationError, TextTemplate, ValueTemplate};
use crate::snapshot::{HttpAnswer, HttpCall, MissingFact, RegistryAccess};

/// A compiled context entry.
#[derive(Clone, Debug)]
pub(crate) struct ContextEntry {
    pub(crate) name: String,
    /// By which queries that do not name it are told apart.
    pub(super) mark: Option<u64>,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Variable { value: Option<Given>, path: Path, default: Option<Given> },
    ConfigMap { name: Written, namespace: Written },
    ApiCall { method: String, target: Target, data: Value, query: String, default: Option<Value> },
    ImageRegistry { reference: Written, access: RegistryAccess, query: String },
    Global { name: Written, query: String },
}

/// Who is called.
#[derive(Clone, Debug)]
enum Target {
    /// A path of the Kubernetes API.
    Cluster(Written),
    Service(Service),
}

/// A service as written.
#[derive(Clone, Debug)]
struct Service {
    url: String,
    headers: Vec<(String, String)>,
    /// Certificates (PEM) that it is checked by.
    authority: String,
}

/// A text as written, and its form with the variables found.
#[derive(Clone, Debug)]
struct Written {
    raw: String,
    template: TextTemplate,
}

/// A value as written, and its form with the variables found.
#[derive(Clone, Debug)]
struct Given {
    raw: Value,
    template: ValueTemplate,
}

/// The query of a variable.
#[derive(Clone, Debug)]
struct Path {
    raw: String,
    template: TextTemplate,
    /// The query, where it holds no variable and is not broken.
    query: Option<Arc<Query>>,
}

impl Given {
    fn new(raw: &Value, expressions: &mut ExpressionCache) -> Self {
        Self { raw: raw.clone(), template: ValueTemplate::new(raw, expressions) }
    }
}

impl Written {
    fn new(raw: String, expressions: &mut ExpressionCache) -> Self {
        let template = TextTemplate::new(&raw, expressions);
        Self { raw, template }
    }

    /// The text with its variables replaced.
    fn fill(&self, context: &mut Context<'_>) -> Result<Cow<'_, str>, EvaluationError> {
        match &self.template {
            TextTemplate::Plain(text) => Ok(Cow::Borrowed(text)),
            template => context.fill_text(None, template).map(Cow::Owned),
        }
    }
}

impl Path {
    fn new(raw: String, expressions: &mut ExpressionCache) -> Self {
        let template = TextTemplate::new(&raw, expressions);
        let query = match &template {
            TextTemplate::Plain(text) if !text.is_empty() => expressions.add(text.trim()).ok(),
            _ => None,
        };
        Self { raw, template, query }
    }
}

impl ContextEntry {
    /// The variable it fills.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is the answer to a call.
    pub(super) fn is_call(&self) -> bool {
        matches!(self.source, Source::ApiCall { .. })
    }

    /// Whether it is computed from other variables only.
    pub(crate) fn is_variable(&self) -> bool {
        matches!(self.source, Source::Variable { .. })
    }
}

/// Compiles a list of context entries.
///
/// # Errors
/// The entry's index and what is wrong with it.
pub(crate) fn compile_entries(
    raw: &[Value],
    expressions: &mut ExpressionCache,
) -> Result<Vec<ContextEntry>, (usize, String)> {
    raw.iter().enumerate().map(|(index, entry)| compile(entry, expressions).map_err(|what| (index, what))).collect()
}

fn compile(raw: &Value, expressions: &mut ExpressionCache) -> Result<ContextEntry, String> {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = text(raw, "name");
    if name.is_empty() {
        return Err("a context entry needs a `name`".to_owned());
    }
    let part = |key: &str| raw.get(key).filter(|value| value.is_object());
    let source = if let Some(variable) = part("variable") {
        let set = |key: &str| variable.get(key).filter(|value| !value.is_null());
        Source::Variable {
            value: set("value").map(|value| Given::new(value, expressions)),
            path: Path::new(text(variable, "jmesPath"), expressions),
            default: set("default").map(|default| Given::new(default, expressions)),
        }
    } else if let Some(map) = part("configMap") {
        let mut written = |key| Written::new(text(map, key), expressions);
        Source::ConfigMap { name: written("name"), namespace: written("namespace") }
    } else if let Some(call) = part("apiCall") {
        api_call(call, text, expressions)?
    } else if let Some(image) = part("imageRegistry") {
        let reference = Written::new(text(image, "reference"), expressions);
        let access = RegistryAccess::of(image.get("imageRegistryCredentials"));
        Source::ImageRegistry { reference, access, query: text(image, "jmesPath") }
    } else if let Some(global) = part("globalReference") {
        Source::Global { name: Written::new(text(global, "name"), expressions), query: text(global, "jmesPath") }
    } else {
        return Err(format!(
            "context entry `{name}` needs one of variable, configMap, apiCall, imageRegistry, globalReference"
        ));
    };
    Ok(ContextEntry { mark: mark_of(&name), name, source })
}

fn api_call(
    call: &Value,
    text: impl Fn(&Value, &str) -> String,
    expressions: &mut ExpressionCache,
) -> Result<Source, String> {
    let service = call.get("service").filter(|service| service.get("url").is_some_and(Value::is_string));
    let target = match (text(call, "urlPath"), service) {
        (path, _) if !path.is_empty() => Target::Cluster(Written::new(path, expressions)),
        (_, Some(service)) => {
            let headers = service.get("headers").and_then(Value::as_array).into_iter().flatten();
            Target::Service(Service {
                url: text(service, "url"),
                headers: headers.map(|header| (text(header, "key"), text(header, "value"))).collect(),
                authority: text(service, "caBundle"),
            })
        }
        _ => return Err("an apiCall needs a `urlPath` or a `service.url`".to_owned()),
    };
    let method = match text(call, "method") {
        method if method.is_empty() => "GET".to_owned(),
        method => method,
    };
    Ok(Source::ApiCall {
        method,
        target,
        data: call.get("data").cloned().unwrap_or_default(),
        query: text(call, "jmesPath"),
        default: call.get("default").filter(|value| !value.is_null()).cloned(),
    })
}

impl<'a> Context<'a> {
    /// Loads one entry into its variable.
    pub(super) fn load(&mut self, entry: &'a ContextEntry) -> Result<(), EvaluationError> {
        let name = entry.name.as_str();
        let value = match &entry.source {
            Source::Variable { value, path, default } => {
                self.variable(name, value.as_ref(), (path, default.as_ref()))?
            }
            Source::ConfigMap { name: map, namespace } => self.config_map(name, map, namespace)?,
            Source::ApiCall { method, target, .. } => match self.stand_in(name, (method, target)) {
                Some(given) => given,
                None => self.answer(name, &entry.source)?,
            },
            Source::ImageRegistry { reference, access, query } => {
                let reference = reference.fill(self).map_err(|error| within(error, name, &reference.raw))?;
                let known = self.snapshot.image_metadata.get(&*reference).cloned();
                let fact = |image| MissingFact::ImageMetadata { image, access: access.clone() };
                let data = known.ok_or_else(|| self.note_missing(fact(reference.into_owned())))?;
                self.narrow(name, data, query)?
            }
            Source::Global { name: global, query } => {
                let global = global.fill(self).map_err(|error| within(error, name, &global.raw))?;
                // A name may go on with a dot and the name of a projection.
                let (whole, projection) = global.split_once('.').unwrap_or((&global, ""));
                let known = self.snapshot.global(whole, projection).cloned();
                let data = known.ok_or_else(|| self.note_missing(MissingFact::GlobalContext(global.into_owned())))?;
                self.narrow(name, data, query)?
            }
        };
        self.hold(&value).map_err(|error| error.within(&format!("failed to add context entry {name}")))?;
        self.variables.put(Cow::Borrowed(name), Rc::new(value));
        Ok(())
    }

    /// The value that somebody gave for the answer to a call, unless somebody gave the answer itself, which goes before.
    fn stand_in(&mut self, name: &str, (method, target): (&str, &Target)) -> Option<Value> {
        self.snapshot.values.as_ref()?;
        let given = self.variables.get(name).map(Cow::into_owned)?;
        let target = match target {
            Target::Cluster(path) => path.fill(self).map(Cow::into_owned),
            Target::Service(service) => self.substitute_text(&service.url),
        };
        let is_answered =
            target.is_ok_and(|target| self.snapshot.http_answers.contains_key(&[method, " ", &target].concat()));
        (!is_answered).then_some(given)
    }

    /// The answer to a call, or what the entry gives instead.
    fn answer(&mut self, name: &str, call: &Source) -> Result<Value, EvaluationError> {
        let Source::ApiCall { method, target, data, query, default } = call else { return Ok(Value::Null) };
        let answer = match target {
            Target::Cluster(path) => {
                let path = path.fill(self).map_err(|error| within(error, name, &path.raw))?;
                self.call(method, &path, data, name)
            }
            Target::Service(service) => self.call_service(method, service, data, name),
        };
        let answer = answer.and_then(|data| self.narrow(name, data, query));
        match (answer, default) {
            (Err(_), Some(default)) => self.substitute(default),
            (answer, _) => answer,
        }
    }

    fn variable(
        &mut self,
        name: &str,
        value: Option<&Given>,
        (path, default): (&Path, Option<&Given>),
    ) -> Result<Value, EvaluationError> {
        let known = path.query.as_deref();
        let path = match &path.template {
            TextTemplate::Plain(text) => Cow::Borrowed(text.as_str()),
            template => Cow::Owned(self.fill_text(None, template).map_err(|error| within(error, name, &path.raw))?),
        };
        let mut fill =
            |given: &Given| self.fill(&given.template).map_err(|error| within(error, name, &given.raw.to_string()));
        let default = default.map(&mut fill).transpose()?;
        let found = match (value.map(fill).transpose()?, known) {
            (Some(value), _) if path.is_empty() => Ok(value),
            (Some(value), Some(query)) => self.search_by(query, &value),
            (Some(value), None) => self.search(&path, &value),
            (None, _) if path.is_empty() => Ok(Value::Null),
            (None, Some(query)) => self.query_by(query),
            (None, None) => self.query(&path),
        };
        let output = match (found, default) {
            (Ok(Value::Null), Some(default)) | (Err(_), Some(default)) => default,
            (Ok(found), _) => found,
            (Err(error), None) => {
                return Err(error.within(&format!("failed to apply jmespath {path} to variable {name}")));
            }
        };
        if output.is_null() {
            let text = format!("failed to add context entry for variable {name} since it evaluated to nil");
            return Err(EvaluationError::new(text));
        }
        Ok(output)
    }

    fn config_map(&mut self, entry: &str, name: &Written, namespace: &Written) -> Result<Value, EvaluationError> {
        let wrap = |error: EvaluationError, what: &str| {
            error.within(&format!("failed to substitute variables in context {entry} configMap.{what}"))
        };
        let name = name.fill(self).map_err(|error| wrap(error, "name"))?;
        let namespace = namespace.fill(self).map_err(|error| wrap(error, "namespace"))?;
        let namespace = if namespace.is_empty() { Cow::Borrowed("default") } else { namespace };
        let key = [&*namespace, "/", &*name].concat();
        let is_it = |object: &&Value| {
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            text("/kind") == "ConfigMap" && text("/metadata/name") == name && text("/metadata/namespace") == namespace
        };
        let found = self.snapshot.config_maps.get(&key).or_else(|| self.snapshot.objects.iter().find(is_it));
        let Some(object) = found else {
            return Err(self
                .note_missing(MissingFact::ConfigMap(key))
                .within(&["failed to retrieve config map for context entry ", entry].concat()));
        };
        let mut out = Map::new();
        for key in ["data", "binaryData", "metadata"] {
            out.insert(key.to_owned(), object.get(key).cloned().unwrap_or_else(|| json!({})));
        }
        Ok(Value::Object(out))
    }

    fn call(&mut self, method: &str, path: &str, data: &Value, entry: &str) -> Result<Value, EvaluationError> {
        let body = if method == "POST" { self.post_body(data)? } else { String::new() };
        let call = [method, " ", path].concat();
        if let Some(answer) = self.snapshot.http_answers.get(&call) {
            return succeeded(answer, entry);
        }
        let calls = &self.snapshot.api_calls;
        let with_body = (!body.is_empty()).then(|| calls.get(&[call.as_str(), " ", &body].concat())).flatten();
        let known = with_body.or_else(|| calls.get(&call)).cloned();
        let known = known.or_else(|| (method == "GET").then(|| answer(path, &self.snapshot.objects)).flatten());
        known.ok_or_else(|| {
            let fact = MissingFact::ApiCall { call, body };
            self.note_missing(fact).within(&format!("failed to fetch data for APICall {entry}"))
        })
    }

    fn call_service(
        &mut self,
        method: &str,
        service: &Service,
        data: &Value,
        entry: &str,
    ) -> Result<Value, EvaluationError> {
        let Service { url, headers, authority } = service;
        let body = if method == "POST" { self.post_body(data)? } else { String::new() };
        let mut text = |text: &str| self.substitute_text(text).map_err(|error| within(error, entry, url));
        let headers = headers.iter().map(|(key, value)| Ok((text(key)?, text(value)?)));
        let headers = headers.collect::<Result<_, EvaluationError>>()?;
        let (url, authority) = (text(url)?, text(authority)?);
        if let Some(answer) = self.snapshot.http_answers.get(&[method, " ", &url].concat()) {
            return succeeded(answer, entry);
        }
        let call = HttpCall { method: method.to_owned(), url, headers, body, authority };
        match self.snapshot.http_calls.get(&call) {
            Some(answer) => succeeded(answer, entry),
            None => {
                let error = self.note_missing(MissingFact::Http(call));
                Err(error.within(&format!("failed to fetch data for APICall {entry}")))
            }
        }
    }

    /// `data: [{key, value}]` as the JSON object that is posted.
    fn post_body(&mut self, data: &Value) -> Result<String, EvaluationError> {
        let mut body = Map::new();
        for item in data.as_array().map(Vec::as_slice).unwrap_or_default() {
            let key = item.get("key").and_then(Value::as_str).unwrap_or_default();
            let value = item.get("value").cloned().unwrap_or_default();
            body.insert(key.to_owned(), self.substitute(&value)?);
        }
        Ok(Value::Object(body).to_string())
    }

    fn narrow(&mut self, entry: &str, data: Value, query: &str) -> Result<Value, EvaluationError> {
        if query.is_empty() {
            return Ok(data);
        }
        let query = self.substitute_text(query).map_err(|error| within(error, entry, query))?;
        self.search(&query, &data)
            .map_err(|error| error.within(&format!("failed to apply JMESPath {query} for context entry {entry}")))
    }
}

/// The body of an answer that says that all went well.
fn succeeded(answer: &HttpAnswer, entry: &str) -> Result<Value, EvaluationError> {
    if (200..300).contains(&answer.status) {
        return Ok(answer.body.clone());
    }
    Err(EvaluationError::new(format!("failed to fetch data for APICall {entry}: HTTP {}", answer.status)))
}

fn within(error: EvaluationError, entry: &str, text: &str) -> EvaluationError {
    error.within(&["failed to substitute variables in context entry ", entry, " ", text].concat())
}

/// Answers a GET of the Kubernetes API from objects: one object, or a list when at least one object of the kind is there.
pub(crate) fn answer(path: &str, objects: &[Value]) -> Option<Value> {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (api_version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ((*version).to_owned(), rest),
        ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
        _ => return None,
    };
    let (namespace, plural, name) = match rest {
        ["namespaces", namespace, plural] => (Some(*namespace), *plural, None),
        ["namespaces", namespace, plural, name] => (Some(*namespace), *plural, Some(*name)),
        [plural, name] => (None, *plural, Some(*name)),
        [plural] => (None, *plural, None),
        _ => return None,
    };
    let text =
        |object: &Value, pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let of_kind =
        |object: &&Value| text(object, "/apiVersion") == api_version && is_plural_of(plural, &text(object, "/kind"));
    let inside = |object: &&Value| namespace.is_none_or(|namespace| text(object, "/metadata/namespace") == namespace);
    if let Some(name) = name {
        return objects
            .iter()
            .filter(of_kind)
            .filter(inside)
            .find(|object| text(object, "/metadata/name") == name)
            .cloned();
    }
    objects.iter().find(of_kind)?;
    let items: Vec<Value> = objects.iter().filter(of_kind).filter(inside).cloned().collect();
    Some(json!({"apiVersion": api_version, "kind": "List", "metadata": {}, "items": items}))
}

/// Whether `plural` is the resource name of `kind`.
pub(crate) fn is_plural_of(plural: &str, kind: &str) -> bool {
    plural == plural_of(kind)
}

/// The resource name of `kind` by the rules of English that the API uses.
pub(crate) fn plural_of(kind: &str) -> String {
    let lower = kind.to_ascii_lowercase();
    match lower.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{stem}ies"),
        _ if lower.ends_with("endpoints") => lower.clone(),
        _ if lower.ends_with(['s', 'x']) || lower.ends_with("ch") || lower.ends_with("sh") => format!("{lower}es"),
        _ => format!("{lower}s"),
    }
}
