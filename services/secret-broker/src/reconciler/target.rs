//! Secrets of a cluster or a folder as the engine sees them, and what it writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kubernetes::{Cluster, ClusterError, Resource};
use secret_sync::reconcile::external::Write;
use secret_sync::reconcile::{OwnerReference, TargetSecret, field_manager};
use secret_sync::{SecretBytes, SecretJson};
use serde_json::{Map, Value, json};

use crate::connection::kubernetes::local;
use crate::target::Targets;

/// Where targets are.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Cluster(Cluster),
    Folder(Arc<Targets>),
}

/// A target cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlaceError {
    pub(crate) what: String,
    pub(crate) is_conflict: bool,
}

impl From<ClusterError> for PlaceError {
    fn from(error: ClusterError) -> Self {
        let is_conflict = matches!(error, ClusterError::Conflict { .. });
        // A refusal may quote what was sent, so only its kind is told.
        let said = error.chain();
        let why = [
            ("orbidden", "the broker may not do that there"),
            ("TooLong", "it is larger than Kubernetes takes"),
            ("nvalid", "the API server finds it invalid (type, keys or size)"),
            ("not found", "the namespace is not there"),
        ];
        let why =
            why.iter().find(|(words, _)| said.contains(words)).map_or("the API server does not answer", |(_, why)| why);
        Self { what: why.to_owned(), is_conflict }
    }
}

/// A Secret of the API as the engine sees it.
pub(super) fn target(object: &Value) -> TargetSecret {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |pointer: &str| object.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let of = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let owner = |value: &Value| OwnerReference {
        api_version: of(value, "apiVersion"),
        kind: of(value, "kind"),
        name: of(value, "name"),
        uid: of(value, "uid"),
        is_controller: value.get("controller") == Some(&Value::Bool(true)),
    };
    let held = local(object);
    TargetSecret {
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
        kind: held.kind,
        data: held.data,
        labels: held.labels,
        annotations: held.annotations,
        finalizers: list("/metadata/finalizers").iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        owners: list("/metadata/ownerReferences").iter().map(owner).collect(),
        is_immutable: object.get("immutable") == Some(&Value::Bool(true)),
        managed_fields: list("/metadata/managedFields")
            .iter()
            .map(|entry| (of(entry, "manager"), entry.get("fieldsV1").cloned().unwrap_or_default()))
            .collect(),
    }
}

fn object(secret: &TargetSecret, version: Option<&str>) -> SecretJson {
    let data: Map<String, Value> =
        secret.data.iter().map(|(key, value)| (key.clone(), BASE64_STANDARD.encode(value.expose()).into())).collect();
    let owner = |owner: &OwnerReference| {
        json!({
            "apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid,
            "controller": owner.is_controller, "blockOwnerDeletion": owner.is_controller,
        })
    };
    let mut object = json!({
        "apiVersion": "v1", "kind": "Secret", "data": data,
        "type": if secret.kind.is_empty() { "Opaque" } else { &secret.kind },
        "metadata": {
            "name": secret.name, "namespace": secret.namespace, "labels": secret.labels,
            "annotations": secret.annotations, "finalizers": secret.finalizers,
            "ownerReferences": secret.owners.iter().map(owner).collect::<Vec<_>>(),
        },
    });
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.extend(version.map(|version| ("resourceVersion".to_owned(), json!(version))));
    }
    if let Some(fields) = object.as_object_mut().filter(|_| secret.is_immutable) {
        fields.insert("immutable".to_owned(), json!(true));
    }
    SecretJson::new(object)
}

impl Place {
    /// A Secret with its version.
    pub(super) async fn read(&self, namespace: &str, name: &str) -> Result<Option<(TargetSecret, String)>, PlaceError> {
        match self {
            Self::Cluster(cluster) => {
                let found = cluster.get(&format!("/api/v1/namespaces/{namespace}/secrets/{name}")).await?;
                let found = found.map(SecretJson::new);
                let version = |object: &Value| {
                    object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default().to_owned()
                };
                Ok(found.map(|found| (target(found.expose()), version(found.expose()))))
            }
            Self::Folder(targets) => {
                let data = targets.read(namespace, name);
                let held = |data: BTreeMap<String, SecretBytes>| {
                    let annotations = [(HASH.to_owned(), secret_sync::data_hash(&data))].into();
                    let labels = [(MANAGED.to_owned(), "true".to_owned())].into();
                    let (namespace, name) = (namespace.to_owned(), name.to_owned());
                    TargetSecret { namespace, name, data, labels, annotations, ..TargetSecret::default() }
                };
                Ok(data.map(|data| (held(data), String::new())))
            }
        }
    }

    /// All Secrets of a namespace, or those with a label.
    pub(super) async fn list(&self, namespace: &str, label: Option<&str>) -> Result<Vec<TargetSecret>, PlaceError> {
        match self {
            Self::Cluster(cluster) => {
                let query = label.map(|label| format!("?labelSelector={label}")).unwrap_or_default();
                let found = cluster.get(&format!("/api/v1/namespaces/{namespace}/secrets{query}")).await?;
                let found = found.map(SecretJson::new);
                let items = found.as_ref().and_then(|list| list.expose().get("items")?.as_array());
                Ok(items.into_iter().flatten().map(target).collect())
            }
            Self::Folder(_) => Ok(Vec::new()),
        }
    }

    /// Does what the engine says, in the name of the manifest `owner`.
    pub(super) async fn write(
        &self,
        (namespace, owner): (&str, &str),
        write: &Write,
        version: Option<&str>,
    ) -> Result<(), PlaceError> {
        match self {
            Self::Cluster(cluster) => write_cluster(cluster, (namespace, owner), write, version).await,
            Self::Folder(targets) => write_folder(targets, (namespace, owner), write),
        }
    }
}

async fn write_cluster(
    cluster: &Cluster,
    (namespace, owner): (&str, &str),
    write: &Write,
    version: Option<&str>,
) -> Result<(), PlaceError> {
    let manager = field_manager(owner);
    let path = format!("/api/v1/namespaces/{namespace}/secrets");
    match write {
        Write::Create(secret) => {
            cluster.post(&format!("{path}?fieldManager={manager}"), object(secret, None).expose()).await?;
        }
        Write::Update(secret) => {
            let object = object(secret, version);
            cluster.put(&format!("{path}/{}?fieldManager={manager}", secret.name), object.expose()).await?;
        }
        Write::Delete { name } => {
            cluster.delete(&Resource::new("", "v1", "Secret", "secrets"), namespace, name).await?;
        }
        Write::Apply(object) => {
            let kind = resource(cluster, object).await?;
            cluster.apply(&kind, object, &manager).await?;
        }
    }
    Ok(())
}

/// The kind of an object with its plural, as the server has it.
pub(super) async fn resource(cluster: &Cluster, object: &Value) -> Result<Resource, PlaceError> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let path = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let listed = cluster.get(&path).await?;
    let resources = listed.as_ref().and_then(|list| list.get("resources")?.as_array()).into_iter().flatten();
    let of = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut named = resources.filter(|entry| of(entry, "kind") == kind && !of(entry, "name").contains('/'));
    let plural = named.next().map(|entry| of(entry, "name"));
    let missing = || PlaceError { what: format!("the cluster has no kind {version} {kind}"), is_conflict: false };
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    Ok(Resource::new(group, version, kind, &plural.ok_or_else(missing)?))
}

fn write_folder(targets: &Targets, (namespace, owner): (&str, &str), write: &Write) -> Result<(), PlaceError> {
    let failed = |what: String| PlaceError { what, is_conflict: false };
    match write {
        Write::Create(secret) | Write::Update(secret) => {
            let is_owned = secret.owners.iter().any(|reference| reference.name == owner);
            let subject = if is_owned { format!("ExternalSecret {namespace}/{owner}") } else { String::new() };
            let place = (secret.namespace.as_str(), secret.name.as_str());
            targets.write(place, &subject, &secret.data).map_err(|error| failed(error.to_string()))
        }
        Write::Delete { name } => targets.remove(namespace, name).map_err(|error| failed(error.to_string())),
        Write::Apply(_) => Err(failed("a folder holds Secrets only".to_owned())),
    }
}

const MANAGED: &str = "reconcile.external-secrets.io/managed";
const HASH: &str = "reconcile.external-secrets.io/data-hash";
