//! The Secret that a manifest leads to, with the marks that External Secrets writes.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kubernetes::{Cluster, ClusterError, Resource};
use secret_sync::{
    CreationPolicy, FetchProblem, SecretBytes, SecretJson, TargetContent, WriteOrder, data_hash, owner_hash,
};
use serde_json::{Map, Value, json};

use super::problem;

/// What is known of a target before it is written.
#[derive(Debug)]
pub(super) enum Held {
    /// The Secrets were not listed yet.
    Unknown,
    /// There is none that bears our mark.
    Nothing,
    /// One that does, without its data.
    Marked(Value),
}

/// Applies the target, or removes it when the order says so.
///
/// What the watch knows of the target is enough in most cases. Where it knows nothing, or the server refuses, the target is asked for.
pub(super) async fn write(
    cluster: &Cluster,
    manifest: (&Resource, &Value),
    (order, held): (&WriteOrder, Held),
) -> Result<(), FetchProblem> {
    let (namespace, name) = (order.external.namespace.as_str(), order.external.target.name.as_str());
    let before = match held {
        Held::Unknown => target(cluster, namespace, name).await?,
        Held::Nothing => None,
        Held::Marked(object) => Some(SecretJson::new(object)),
    };
    if is_settled(order, before.as_ref())? {
        return Ok(());
    }
    let Some(content) = &order.content else {
        return remove(cluster, namespace, name).await;
    };
    let object = object(manifest, order, content);
    match cluster.apply(&secrets(), object.expose(), &manager(&order.external.name)).await {
        Ok(applied) => {
            drop(SecretJson::new(applied));
            Ok(())
        }
        Err(error) => {
            // It may be another's, or immutable, since the watch last told: then that is what is wrong.
            let now = target(cluster, namespace, name).await?;
            if is_settled(order, now.as_ref())? { Ok(()) } else { Err(failed(&error)) }
        }
    }
}

async fn target(cluster: &Cluster, namespace: &str, name: &str) -> Result<Option<SecretJson>, FetchProblem> {
    Ok(cluster.get(&path(namespace, name)).await.map_err(|error| failed(&error))?.map(SecretJson::new))
}

/// Whether the target is as it has to be and cannot be changed; or why it must not be written.
fn is_settled(order: &WriteOrder, before: Option<&SecretJson>) -> Result<bool, FetchProblem> {
    let Some(before) = before.map(SecretJson::expose) else { return Ok(false) };
    let external = &order.external;
    let (namespace, name) = (external.namespace.as_str(), external.target.name.as_str());
    let (of, mark) = (label(before, OWNER).unwrap_or_default(), owner_hash(&external.namespace, &external.name));
    if external.target.creation == CreationPolicy::Owner && !of.is_empty() && of != mark {
        return Err(problem(
            format!("target Secret {namespace}/{name} is owned by another ExternalSecret"),
            "give each a `spec.target.name` of its own",
        ));
    }
    let Some(content) = order.content.as_ref().filter(|_| before.get("immutable") == Some(&Value::Bool(true))) else {
        return Ok(false);
    };
    let held = before.pointer("/metadata/annotations").and_then(|all| all.get(HASH)).and_then(Value::as_str);
    match held == Some(&data_hash(&content.data)) {
        true => Ok(true),
        false => {
            Err(problem("could not update secret, target is immutable", "delete the Secret, or let it be changed"))
        }
    }
}

/// The Secret as it is applied.
fn object((kind, manifest): (&Resource, &Value), order: &WriteOrder, content: &TargetContent) -> SecretJson {
    let external = &order.external;
    let (namespace, name) = (external.namespace.as_str(), external.target.name.as_str());
    let (hash, mark) = (data_hash(&content.data), owner_hash(&external.namespace, &external.name));
    let data: Map<String, Value> =
        content.data.iter().map(|(key, value)| (key.clone(), BASE64_STANDARD.encode(value.expose()).into())).collect();
    let mut metadata = match &external.target.template {
        None => inherited(manifest),
        Some(_) => json!({ "labels": texts(&content.labels), "annotations": texts(&content.annotations) }),
    };
    metadata["namespace"] = json!(namespace);
    metadata["name"] = json!(name);
    metadata["labels"][MANAGED_KEY] = json!("true");
    metadata["annotations"][HASH] = json!(hash);
    if external.target.creation == CreationPolicy::Owner {
        metadata["labels"][OWNER] = json!(mark);
        metadata["ownerReferences"] = json!([{
            "apiVersion": kind.api_version(), "kind": kind.kind, "name": external.name,
            "uid": manifest.pointer("/metadata/uid").cloned().unwrap_or_default(),
            "controller": true, "blockOwnerDeletion": true,
        }]);
    }
    let secret_type = match external.target.secret_type.as_str() {
        "" => "Opaque",
        named => named,
    };
    let mut object =
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": secret_type, "data": data });
    if external.target.immutable {
        object["immutable"] = json!(true);
    }
    SecretJson::new(object)
}

/// What a template made of labels or annotations.
fn texts(marks: &BTreeMap<String, SecretBytes>) -> Value {
    let text = |(name, value): (&String, &SecretBytes)| {
        (name.clone(), Value::String(String::from_utf8_lossy(value.expose()).into_owned()))
    };
    Value::Object(marks.iter().map(text).collect())
}

/// Without a template the marks of the manifest itself go on the Secret.
fn inherited(manifest: &Value) -> Value {
    let of = |name: &str| {
        let own = manifest.pointer(&format!("/metadata/{name}")).and_then(Value::as_object);
        let mut own = own.cloned().unwrap_or_default();
        own.retain(|key, _| key != "kubectl.kubernetes.io/last-applied-configuration");
        Value::Object(own)
    };
    json!({ "labels": of("labels"), "annotations": of("annotations") })
}

/// Deletes a Secret that is ours.
pub(super) async fn remove(cluster: &Cluster, namespace: &str, name: &str) -> Result<(), FetchProblem> {
    let before = cluster.get(&path(namespace, name)).await.map_err(|error| failed(&error))?.map(SecretJson::new);
    if before.is_some_and(|before| label(before.expose(), MANAGED_KEY) == Some("true")) {
        cluster.delete(&secrets(), namespace, name).await.map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// Namespace, name and manifest of a Secret that is ours; the manifest is known only where it owns the Secret.
pub(super) fn owner(object: &Value) -> Option<(String, String, String)> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let (namespace, name) = (text("/metadata/namespace")?, text("/metadata/name")?);
    let references = object.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten();
    let mut owners = references.filter(|owner| owner.get("kind").and_then(Value::as_str) == Some("ExternalSecret"));
    let owner = owners.next().and_then(|owner| owner.get("name")?.as_str());
    let manifest = owner.map(|owner| format!("ExternalSecret {namespace}/{owner}")).unwrap_or_default();
    Some((namespace.to_owned(), name.to_owned(), manifest))
}

/// Secrets.
pub(super) fn secrets() -> Resource {
    Resource::new("", "v1", "Secret", "secrets")
}

fn label<'v>(object: &'v Value, key: &str) -> Option<&'v str> {
    object.pointer("/metadata/labels")?.get(key)?.as_str()
}

fn path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets/{name}")
}

fn manager(name: &str) -> String {
    format!("externalsecrets.external-secrets.io/{name}")
}

/// A refusal may quote what was sent, so only its kind is told.
fn failed(error: &ClusterError) -> FetchProblem {
    let said = error.chain();
    let kind = REASONS
        .iter()
        .find(|(words, _)| said.contains(words))
        .map_or("the API server does not answer", |(_, kind)| kind);
    problem(
        format!("could not update secret: {kind}"),
        "see the API server; the last good content stays, and it is tried again",
    )
}

const REASONS: [(&str, &str); 5] = [
    ("Forbidden", "the broker may not write Secrets there"),
    ("forbidden", "the broker may not write Secrets there"),
    ("Invalid", "the API server finds the Secret invalid (type, keys, labels or size)"),
    ("TooLong", "the Secret is larger than Kubernetes takes"),
    ("not found", "the namespace is not there"),
];

pub(super) const MANAGED: &str = "reconcile.external-secrets.io/managed=true";
const MANAGED_KEY: &str = "reconcile.external-secrets.io/managed";
const OWNER: &str = "reconcile.external-secrets.io/created-by";
const HASH: &str = "reconcile.external-secrets.io/data-hash";
