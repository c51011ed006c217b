//! Kyverno's libraries that look things up: `resource`, `http`, `image`, `globalContext`, `generator`, `json`, `yaml`.
//! Every answer is a fact of the snapshot.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use cel::{EvalError, Key, Map, Object, Text, Val};
use serde_json::{Value, json};

use super::authorize;
use super::existing::name_kind;
use super::http::Client;
use super::scope::Scope;
use crate::context::{answer, plural_of};
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
            ("resource", "toGVR") => Some(group_version_resource(arguments)),
            ("http", "get" | "post" | "client") => {
                let client = Client { scope: self.scope.clone(), authority: String::new() };
                client.call(&lower, arguments)
            }
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

/// What a call of the API is about.
struct Place {
    version: String,
    resource: String,
    namespace: String,
}

/// `toGVR`: the resource of a kind, as a map that the other functions take.
fn group_version_resource<'a>(arguments: &[Val<'a>]) -> Outcome<'a> {
    let [Val::Text(version), Val::Text(kind)] = arguments else { return Err(wrong("resource.toGVR")) };
    let (group, version) = version.as_str().split_once('/').unwrap_or(("", version.as_str()));
    Ok(Val::from_owned_json(json!({"group": group, "version": version, "resource": plural_of(kind.as_str())})))
}

/// The path of the API that an API version, a resource, a namespace and a name stand for.
pub(super) fn api_path(version: &str, resource: &str, namespace: &str, name: &str) -> String {
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

/// A list with API version and kind in each item, as clients of the API give it; `None` where the server's answer has them.
fn with_kinds(answer: &Value) -> Option<Value> {
    let items = answer.get("items").and_then(Value::as_array)?;
    if items.iter().all(|item| item.get("kind").is_some()) {
        return None;
    }
    let mut list = answer.clone();
    let items = list.get_mut("items").and_then(Value::as_array_mut)?;
    items.iter_mut().for_each(|item| name_kind(item, answer));
    Some(list)
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
        self.scope.given().snapshot.is_all_there_is()
    }

    /// The API version and resource that the arguments begin with, in two texts or as what `toGVR` gave, the namespace, and
    /// the arguments behind. A policy in a namespace looks into that one only and does not name it.
    fn place<'v>(&self, function: &str, arguments: &'v [Val<'a>]) -> Result<(Place, &'v [Val<'a>]), EvalError> {
        let (version, resource, rest) = match arguments {
            [Val::Text(version), Val::Text(resource), rest @ ..] => {
                (version.as_str().to_owned(), resource.as_str().to_owned(), rest)
            }
            [Val::Map(parts), rest @ ..] => {
                let part = |key| parts.get_text(key).and_then(|part| part.as_str().map(str::to_owned));
                let (Some(group), Some(version), Some(resource)) = (part("group"), part("version"), part("resource"))
                else {
                    return Err(wrong(function));
                };
                (if group.is_empty() { version } else { format!("{group}/{version}") }, resource, rest)
            }
            _ => return Err(wrong(function)),
        };
        let own = self.scope.given().namespace;
        if !own.is_empty() {
            return Ok((Place { version, resource, namespace: own.to_owned() }, rest));
        }
        match rest {
            [Val::Text(namespace), rest @ ..] => {
                Ok((Place { version, resource, namespace: namespace.as_str().to_owned() }, rest))
            }
            _ => Ok((Place { version, resource, namespace: String::new() }, rest)),
        }
    }

    fn get(&self, arguments: &[Val<'a>]) -> Outcome<'a> {
        let (place, rest) = self.place("resource.get", arguments)?;
        let (name, subresources) = match rest {
            [Val::Text(name)] => (name.as_str(), String::new()),
            [Val::Text(name), Val::List(parts)] => {
                let parts: Vec<Val<'a>> = parts.iter().collect();
                let texts = parts.iter().map(|part| part.as_str().ok_or_else(|| wrong("resource.get")));
                (name.as_str(), texts.map(|part| Ok(format!("/{}", part?))).collect::<Result<String, EvalError>>()?)
            }
            _ => return Err(wrong("resource.get")),
        };
        let path = format!("{}{subresources}", api_path(&place.version, &place.resource, &place.namespace, name));
        self.known(&path).unwrap_or_else(|| {
            if self.is_complete() {
                let what = format!("{} \"{name}\" not found", place.resource);
                return Err(EvalError::refused(format!("failed to get resource: {what}")));
            }
            Err(self.scope.note_missing(
                "resource.get",
                MissingFact::ApiCall { call: format!("GET {path}"), body: String::new() },
            ))
        })
    }

    fn list(&self, arguments: &[Val<'a>]) -> Outcome<'a> {
        let (place, rest) = self.place("resource.list", arguments)?;
        let labels = match rest {
            [] => None,
            [labels @ Val::Map(_)] => Some(labels.to_json()?),
            _ => return Err(wrong("resource.list")),
        };
        let path = api_path(&place.version, &place.resource, &place.namespace, "");
        let answer = self.scope.given().snapshot.api_calls.get(&format!("GET {path}"));
        let found = match answer
            .and_then(with_kinds)
            .map(|list| Ok(Val::from_owned_json(list)))
            .or_else(|| self.known(&path))
        {
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
        let (place, [body]) = self.place("resource.post", arguments)? else { return Err(wrong("resource.post")) };
        let path = api_path(&place.version, &place.resource, &place.namespace, "");
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

    fn image_metadata(&self, arguments: &[Val<'a>]) -> Outcome<'a> {
        let [Val::Text(reference)] = arguments else { return Err(wrong("image.getMetadata")) };
        match self.scope.given().snapshot.image_metadata.get(reference.as_str()) {
            Some(known) => Ok(Val::from_json(known)),
            None => {
                let fact = super::images::metadata_of(&self.scope, reference.as_str());
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
        match self.scope.given().snapshot.global(name, projection) {
            Some(known) => Ok(Val::from_json(known)),
            None => Err(self.scope.note_missing("globalContext.get", MissingFact::GlobalContext(name.to_owned()))),
        }
    }

    fn generate(&self, arguments: &[Val<'a>]) -> Outcome<'a> {
        let own = self.scope.given().namespace;
        let (namespace, objects) = match arguments {
            [Val::Text(namespace), Val::List(objects)] => (namespace.as_str(), objects),
            // A policy in a namespace need not name it.
            [Val::List(objects)] if !own.is_empty() => (own, objects),
            _ => return Err(wrong("generator.apply")),
        };
        let mut made = Vec::new();
        for object in objects.iter() {
            let object = match object {
                Val::Optional(None) => continue,
                object => object.to_json()?,
            };
            let items = match object.get("items").and_then(Value::as_array) {
                Some(items) => items.clone(),
                None => vec![object],
            };
            made.extend(items.into_iter().map(|item| placed(item, namespace)));
        }
        self.scope.make(made)?;
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
