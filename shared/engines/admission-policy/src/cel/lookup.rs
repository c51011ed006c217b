//! Kyverno's libraries that look things up: `resource`, `http`, `image`, `globalContext`, `generator`, `json`, `yaml`.
//! Every answer is a fact of the snapshot.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use cel::{EvalError, Key, Map, Object, Text, Val};
use serde_json::{Value, json};

use super::authorize;
use super::scope::Scope;
use crate::context::answer;
use crate::snapshot::MissingFact;

/// A library, seen as a variable with methods.
pub(super) struct Library<'a> {
    pub(super) scope: Scope<'a>,
    pub(super) name: &'static str,
}

impl fmt::Debug for Library<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Library({})", self.name)
    }
}

type Outcome<'a> = Result<Val<'a>, EvalError>;

impl<'a> Object<'a> for Library<'a> {
    fn type_name(&self) -> &str {
        self.name
    }

    fn call(&self, method: &str, arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
        // Every method exists in both spellings, `Get` and `get`.
        let mut lower = method.to_owned();
        if let Some(first) = lower.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        match (self.name, lower.as_str()) {
            ("resource", "get") => Some(self.get(arguments)),
            ("resource", "list") => Some(self.list(arguments)),
            ("resource", "post") => Some(self.post_resource(arguments)),
            ("http", "get" | "post") => Some(self.http(&lower, arguments)),
            ("image", "getMetadata") => Some(self.image_metadata(arguments)),
            ("globalContext", "get") => Some(self.global(arguments)),
            ("generator", "apply") => Some(self.generate(arguments)),
            ("json", "unmarshal") => Some(match arguments {
                [Val::Text(text)] => serde_json::from_str(text.as_str())
                    .map(Val::from_owned_json)
                    .map_err(|error| EvalError::refused(error.to_string())),
                _ => Err(wrong("json.unmarshal")),
            }),
            ("json", "marshal") => Some(match arguments {
                [value] => value.to_json().map(|value| Val::text(jmespath::go_json::render(&value))),
                _ => Err(wrong("json.marshal")),
            }),
            ("yaml", "parse") => Some(match arguments {
                [Val::Text(text)] => parse_yaml(text.as_str()),
                _ => Err(wrong("yaml.parse")),
            }),
            (library @ ("envoy" | "http" | "jwt"), function) => {
                authorize::call((library, function), arguments, self.scope.given().now)
            }
            _ => None,
        }
    }
}

pub(super) fn wrong(function: &str) -> EvalError {
    EvalError::NoSuchOverload(function.to_owned())
}

fn parse_yaml<'a>(text: &str) -> Outcome<'a> {
    match crate::yaml::documents(text).into_iter().next() {
        Some(Ok(document)) => Ok(Val::from_owned_json(document.value)),
        Some(Err(error)) => Err(EvalError::refused(error.to_string())),
        None => Ok(Val::Null),
    }
}

/// The path of the API that an API version, a resource, a namespace and a name stand for.
fn api_path(version: &str, resource: &str, namespace: &str, name: &str) -> String {
    let root = if version.contains('/') { "/apis" } else { "/api" };
    let mut path = format!("{root}/{version}");
    for part in [if namespace.is_empty() { "" } else { "namespaces" }, namespace, resource, name] {
        if !part.is_empty() {
            path.push('/');
            path.push_str(part);
        }
    }
    path
}

impl<'a> Library<'a> {
    /// A known answer to a GET.
    fn known(&self, path: &str) -> Option<Outcome<'a>> {
        let snapshot = self.scope.given().snapshot;
        if let Some(known) = snapshot.api_calls.get(&format!("GET {path}")) {
            return Some(Ok(Val::from_json(known)));
        }
        answer(path, &snapshot.objects).map(|found| Ok(Val::from_owned_json(found)))
    }

    /// Whether the snapshot is the whole cluster, so that what is not in it does not exist.
    fn is_complete(&self) -> bool {
        self.scope.given().snapshot.values.is_some()
    }

    fn get(&self, arguments: &[Val<'a>]) -> Outcome<'a> {
        let [Val::Text(version), Val::Text(resource), Val::Text(namespace), Val::Text(name)] = arguments else {
            return Err(wrong("resource.get"));
        };
        let path = api_path(version.as_str(), resource.as_str(), namespace.as_str(), name.as_str());
        self.known(&path).unwrap_or_else(|| {
            if self.is_complete() {
                let what = format!("{} \"{}\" not found", resource.as_str(), name.as_str());
                return Err(EvalError::refused(format!("failed to get resource: {what}")));
            }
            Err(self.scope.note_missing(
                "resource.get",
                MissingFact::ApiCall { call: format!("GET {path}"), body: String::new() },
            ))
        })
    }

    fn list(&self, arguments: &[Val<'a>]) -> Outcome<'a> {
        let (version, resource, namespace, labels) = match arguments {
            [Val::Text(version), Val::Text(resource), Val::Text(namespace)] => (version, resource, namespace, None),
            [Val::Text(version), Val::Text(resource), Val::Text(namespace), labels @ Val::Map(_)] => {
                (version, resource, namespace, Some(labels.to_json()?))
            }
            _ => return Err(wrong("resource.list")),
        };
        let path = api_path(version.as_str(), resource.as_str(), namespace.as_str(), "");
        let found = match self.known(&path) {
            Some(found) => found?,
            None if self.is_complete() => Val::from_owned_json(json!({"items": []})),
            None => {
                let call = MissingFact::ApiCall { call: format!("GET {path}"), body: String::new() };
                return Err(self.scope.note_missing("resource.list", call));
            }
        };
        let Some(Value::Object(labels)) = labels else { return Ok(found) };
        let mut list = found.to_json()?;
        if let Some(items) = list.get_mut("items").and_then(Value::as_array_mut) {
            items.retain(|item| {
                labels
                    .iter()
                    .all(|(key, value)| item.pointer("/metadata/labels").and_then(|own| own.get(key)) == Some(value))
            });
        }
        Ok(Val::from_owned_json(list))
    }

    fn post_resource(&self, arguments: &[Val<'a>]) -> Outcome<'a> {
        let (version, resource, namespace, body) = match arguments {
            [Val::Text(version), Val::Text(resource), Val::Text(namespace), body] => {
                (version, resource, namespace.as_str(), body)
            }
            [Val::Text(version), Val::Text(resource), body] => (version, resource, "", body),
            _ => return Err(wrong("resource.post")),
        };
        let path = api_path(version.as_str(), resource.as_str(), namespace, "");
        self.called("resource.post", format!("POST {path}"), body.to_json()?.to_string())
    }

    fn called(&self, function: &str, call: String, body: String) -> Outcome<'a> {
        let calls = &self.scope.given().snapshot.api_calls;
        let known = calls.get(&format!("{call} {body}")).or_else(|| calls.get(&call));
        match known {
            Some(known) => Ok(Val::from_json(known)),
            None => Err(self.scope.note_missing(function, MissingFact::ApiCall { call, body })),
        }
    }

    fn http(&self, method: &str, arguments: &[Val<'a>]) -> Outcome<'a> {
        match (method, arguments) {
            ("get", [Val::Text(url), ..]) => self.called("http.get", format!("GET {}", url.as_str()), String::new()),
            ("post", [Val::Text(url), body, ..]) => {
                self.called("http.post", format!("POST {}", url.as_str()), body.to_json()?.to_string())
            }
            _ => Err(wrong("http")),
        }
    }

    fn image_metadata(&self, arguments: &[Val<'a>]) -> Outcome<'a> {
        let [Val::Text(reference)] = arguments else { return Err(wrong("image.getMetadata")) };
        match self.scope.given().snapshot.image_metadata.get(reference.as_str()) {
            Some(known) => Ok(Val::from_json(known)),
            None => {
                let fact = MissingFact::ImageMetadata(reference.as_str().to_owned());
                Err(self.scope.note_missing("image.getMetadata", fact))
            }
        }
    }

    fn global(&self, arguments: &[Val<'a>]) -> Outcome<'a> {
        let (name, projection) = match arguments {
            [Val::Text(name)] => (name.as_str(), ""),
            [Val::Text(name), Val::Text(projection)] => (name.as_str(), projection.as_str()),
            _ => return Err(wrong("globalContext.get")),
        };
        let known = self.scope.given().snapshot.global_context.get(name);
        let known = known.and_then(|entry| if projection.is_empty() { Some(entry) } else { entry.get(projection) });
        match known {
            Some(known) => Ok(Val::from_json(known)),
            None => Err(self.scope.note_missing("globalContext.get", MissingFact::GlobalContext(name.to_owned()))),
        }
    }

    fn generate(&self, arguments: &[Val<'a>]) -> Outcome<'a> {
        let [Val::Text(namespace), Val::List(objects)] = arguments else { return Err(wrong("generator.apply")) };
        for object in objects.iter() {
            let object = match object {
                Val::Optional(None) => continue,
                object => object.to_json()?,
            };
            let items = match object.get("items").and_then(Value::as_array) {
                Some(items) => items.clone(),
                None => vec![object],
            };
            for item in items {
                self.scope.add_generated(placed(item, namespace.as_str()));
            }
        }
        Ok(Val::Bool(true))
    }
}

/// The object in its namespace, without what the cluster adds.
fn placed(mut object: Value, namespace: &str) -> Value {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return object };
    for field in ["uid", "managedFields", "resourceVersion", "creationTimestamp"] {
        metadata.shift_remove(field);
    }
    if namespace.is_empty() {
        metadata.shift_remove("namespace");
    } else {
        metadata.insert("namespace".to_owned(), Value::from(namespace));
    }
    object
}

/// `images`: the references in the object, those of pods and pod controllers and those of the policy's extractors;
/// an ImageValidatingPolicy sees the ones that it is about.
pub(super) fn images<'a>(scope: &Scope<'a>) -> Outcome<'a> {
    let mut entries: BTreeMap<Key<'a>, Val<'a>> = BTreeMap::new();
    let key = |name: &str| Key::Text(Text::Shared(Rc::from(name)));
    let given = scope.given();
    let object = if given.object.is_object() { given.object } else { given.old_object };
    for (pointer, kinds) in [
        ("/spec", &["Pod"][..]),
        ("/spec/template/spec", &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"][..]),
        ("/spec/jobTemplate/spec/template/spec", &["CronJob"][..]),
    ] {
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
        if !kinds.contains(&kind) {
            continue;
        }
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            let containers = object.pointer(&format!("{pointer}/{list}")).and_then(Value::as_array);
            let images = containers.into_iter().flatten().filter_map(|container| container.get("image"));
            entries.insert(key(list), Val::list(images.map(Val::from_json).collect()));
        }
    }
    for (name, extractor) in &scope.rule().images {
        entries.insert(key(name), scope.evaluate(extractor)?);
    }
    if let Some(policy) = &scope.rule().verification {
        for list in entries.values_mut() {
            let Val::List(all) = &*list else { continue };
            let mut meant = Vec::new();
            for image in all.iter() {
                if policy.is_about(image.as_str().unwrap_or_default(), scope)? {
                    meant.push(image);
                }
            }
            *list = Val::list(meant);
        }
    }
    Ok(Val::Map(Map::Shared(Rc::new(entries))))
}
