//! Where a generated object that is kept in step comes from, as it stands on the object itself.

use admission_policy::{Operation, PolicyRef, Request, RuleVerdict};
use kubernetes::keys::GENERATED_FROM;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Who asked for an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Origin {
    pub(super) policy: Policy,
    pub(super) rule: String,
    pub(super) trigger: Trigger,
    /// What the rule said of names when it acted, as a hash: one that says something else now has left its objects behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) names: Option<u64>,
    /// The object stays when the policy goes.
    #[serde(default)]
    pub(super) retained: bool,
    /// What it is a copy of, where a policy in CEL looked that up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<Source>,
}

/// An object of the type of its copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Source {
    #[serde(default)]
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
}

/// A policy, whether it is there or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Policy {
    pub(super) kind: String,
    #[serde(default)]
    pub(super) namespace: String,
    pub(super) name: String,
}

/// The object for which others are generated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Trigger {
    pub(super) api_version: String,
    pub(super) kind: String,
    #[serde(default)]
    pub(super) namespace: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) uid: String,
    /// What was asked when the policy acted: it says which rules are meant. Empty when nobody asked, and the object was there already.
    pub(super) operation: String,
    /// It was there for the moment of the request only: a deletion, a connection, a part of an object.
    #[serde(default)]
    pub(super) is_momentary: bool,
}

/// An object by its type and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Policy {
    /// As the engine names it.
    pub(super) fn reference(&self) -> PolicyRef {
        PolicyRef { kind: self.kind.clone(), namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

impl Origin {
    /// Of what a rule generates for a request.
    pub(super) fn of(request: &Request, (verdict, names): (&RuleVerdict, Option<u64>), source: Option<&Value>) -> Self {
        let text = |pointer: &str| text(request.subject(), pointer);
        let PolicyRef { kind, namespace, name } = verdict.policy.as_ref().clone();
        Self {
            policy: Policy { kind, namespace, name },
            rule: verdict.rule.clone(),
            trigger: Trigger {
                api_version: request.kind.api_version(),
                kind: request.kind.kind.clone(),
                namespace: request.namespace.clone(),
                name: if request.name.is_empty() { text("/metadata/name") } else { request.name.clone() },
                uid: text("/metadata/uid"),
                operation: if request.background { String::new() } else { request.operation.as_str().to_owned() },
                is_momentary: matches!(request.operation, Operation::Delete | Operation::Connect)
                    || !request.subresource.is_empty(),
            },
            names,
            retained: verdict.retained,
            source: source.map(|source| {
                let text = |pointer: &str| self::text(source, pointer);
                let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
                Source { namespace, name, uid: text("/metadata/uid") }
            }),
        }
    }

    /// Of an object that the gateway wrote; `None` for every other one, whatever stands on it.
    pub(super) fn read(object: &Value, manager: &str) -> Option<Self> {
        let written = object.pointer("/metadata/managedFields").and_then(Value::as_array)?;
        if !written.iter().any(|one| one.get("manager").and_then(Value::as_str) == Some(manager)) {
            return None;
        }
        let annotations = object.pointer("/metadata/annotations")?;
        serde_json::from_str(annotations.get(GENERATED_FROM)?.as_str()?).ok()
    }

    /// Writes it onto the object.
    pub(super) fn write(&self, object: &mut Value) {
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if let (Some(annotations), Ok(text)) = (annotations.as_object_mut(), serde_json::to_string(self)) {
            annotations.insert(GENERATED_FROM.to_owned(), Value::from(text));
        }
    }
}

/// An object without what says that it was generated.
pub(super) fn without(object: &Value) -> Value {
    let mut bare = object.clone();
    let mut remove = |pointer: &str, is_ours: &dyn Fn(&str) -> bool| {
        if let Some(fields) = bare.pointer_mut(pointer).and_then(Value::as_object_mut) {
            fields.retain(|key, _| !is_ours(key));
        }
    };
    remove("/metadata/annotations", &|key| key == GENERATED_FROM);
    remove("/metadata/labels", &|key| key == "app.kubernetes.io/managed-by" || key.starts_with("generate.kyverno.io/"));
    bare
}

impl Trigger {
    /// The request by which the object, as it is now, is judged again.
    pub(super) fn request(&self, object: Value) -> Request {
        let received_at = Some(service::now());
        match Operation::parse(&self.operation) {
            Some(operation) => Request { operation, received_at, ..Request::create(object) },
            None => Request { received_at, ..Request::existing(object, Operation::Create) },
        }
    }
}

impl Id {
    pub(super) fn of(object: &Value) -> Self {
        Self {
            api_version: text(object, "/apiVersion"),
            kind: text(object, "/kind"),
            namespace: text(object, "/metadata/namespace"),
            name: text(object, "/metadata/name"),
        }
    }
}

pub(super) fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
