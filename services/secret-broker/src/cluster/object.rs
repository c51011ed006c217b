//! The Secret that a manifest leads to, with the marks that External Secrets writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kubernetes::{Cluster, ClusterError, Resource};
use secret_sync::reconcile::Head;
use secret_sync::{
    CreationPolicy, ExternalSecret, FetchProblem, SecretBytes, SecretJson, TargetContent, WriteOrder, data_hash,
    owner_hash,
};
use serde_json::{Map, Value, json};

use super::problem;
use super::targets::{Applied, Target};

/// What is known of a target before it is written.
#[derive(Debug)]
pub(super) enum Held {
    /// The Secrets were not listed yet.
    Unknown,
    /// There is none that bears our mark.
    Nothing,
    /// One that does.
    Marked(Arc<Target>),
}

/// Applies the target, or removes it when the order says so.
///
/// What the watch knows of the target is enough in most cases. Where it knows nothing, or the server refuses, the target is asked for.
pub(super) async fn write(
    cluster: &Cluster,
    manifest: (&Resource, &Head),
    (order, held): (&WriteOrder, Held),
) -> Result<Applied, FetchProblem> {
    let (namespace, name) = (order.external.namespace.as_str(), order.external.target.name.as_str());
    let before = match held {
        Held::Unknown => {
            let now = target(cluster, namespace, name).await?;
            if is_settled(order, now.as_ref())? {
                return Ok(Applied::default());
            }
            let version =
                |now: &SecretJson| now.expose().pointer("/metadata/resourceVersion")?.as_str().map(str::to_owned);
            now.as_ref().and_then(version)
        }
        Held::Marked(target) => {
            not_anothers(&order.external, &target.mark)?;
            Some(target.version.clone())
        }
        Held::Nothing => None,
    };
    let Some(content) = &order.content else {
        return remove(cluster, namespace, name).await.map(|()| Applied::default());
    };
    let object = object(manifest, order, content);
    match cluster.apply_quietly(&secrets(), object.expose(), &manager(&order.external.name)).await {
        Ok(version) => Ok(Applied { before, version: Some(version) }),
        Err(error) => {
            // It may be another's, or immutable, since the watch last told: then that is what is wrong.
            let now = target(cluster, namespace, name).await?;
            if is_settled(order, now.as_ref())? { Ok(Applied::default()) } else { Err(failed(&error)) }
        }
    }
}

async fn target(cluster: &Cluster, namespace: &str, name: &str) -> Result<Option<SecretJson>, FetchProblem> {
    Ok(cluster.get(&path(namespace, name)).await.map_err(|error| failed(&error))?.map(SecretJson::new))
}

/// Whether the target is as it has to be and cannot be changed; or why it must not be written.
fn is_settled(order: &WriteOrder, before: Option<&SecretJson>) -> Result<bool, FetchProblem> {
    let Some(before) = before.map(SecretJson::expose) else { return Ok(false) };
    not_anothers(&order.external, label(before, OWNER).unwrap_or_default())?;
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

/// An error where the target bears the mark of another manifest.
fn not_anothers(external: &ExternalSecret, mark: &str) -> Result<(), FetchProblem> {
    let is_owner = external.target.creation == CreationPolicy::Owner;
    if !is_owner || mark.is_empty() || mark == owner_hash(&external.namespace, &external.name) {
        return Ok(());
    }
    let (namespace, name) = (external.namespace.as_str(), external.target.name.as_str());
    Err(problem(
        format!("target Secret {namespace}/{name} is owned by another ExternalSecret"),
        "give each a `spec.target.name` of its own",
    ))
}

/// The Secret as it is applied.
fn object((kind, manifest): (&Resource, &Head), order: &WriteOrder, content: &TargetContent) -> SecretJson {
    let external = &order.external;
    let (namespace, name) = (external.namespace.as_str(), external.target.name.as_str());
    let (hash, mark) = (data_hash(&content.data), owner_hash(&external.namespace, &external.name));
    let data: Map<String, Value> =
        content.data.iter().map(|(key, value)| (key.clone(), BASE64_STANDARD.encode(value.expose()).into())).collect();
    let mut metadata = match &external.target.template {
        // Without a template the marks of the manifest itself go on the Secret.
        None => json!({ "labels": manifest.labels, "annotations": manifest.annotations }),
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
            "uid": manifest.uid,
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

/// Deletes a Secret that is ours.
pub(super) async fn remove(cluster: &Cluster, namespace: &str, name: &str) -> Result<(), FetchProblem> {
    let before = cluster.get(&path(namespace, name)).await.map_err(|error| failed(&error))?.map(SecretJson::new);
    if before.is_some_and(|before| label(before.expose(), MANAGED_KEY) == Some("true")) {
        cluster.delete(&secrets(), namespace, name).await.map_err(|error| failed(&error))?;
    }
    Ok(())
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
pub(super) const OWNER: &str = "reconcile.external-secrets.io/created-by";
const HASH: &str = "reconcile.external-secrets.io/data-hash";
