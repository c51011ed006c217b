//! The facts of a pod: containers, images, secrets, owner.

use std::collections::{BTreeMap, BTreeSet};

use model::{PodUid, WorkloadRef};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// One container of a pod, init and ephemeral ones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container<'a> {
    /// Name.
    pub name: &'a str,
    /// Image as written.
    pub image: &'a str,
}

/// The pod specification in `object`: of a pod, or of the template of a controller.
#[must_use]
pub fn spec(object: &Value) -> Option<&Value> {
    match object.get("kind")?.as_str()? {
        "Pod" => object.get("spec"),
        "CronJob" => object.pointer("/spec/jobTemplate/spec/template/spec"),
        _ => object.pointer("/spec/template/spec"),
    }
}

/// The uid of a pod; nothing if it is malformed.
///
/// A static pod has none in its manifest: it gets a hash of it, 32 hex digits in the kubelet's form, so that all who read the same manifest
/// know it by the same uid.
#[must_use]
pub fn uid(object: &Value) -> Option<PodUid> {
    match object.pointer("/metadata/uid").and_then(Value::as_str) {
        Some(uid) => uid.parse().ok(),
        None => {
            let hash = Sha256::digest(object.to_string().as_bytes());
            hex::encode(hash.get(..16)?).parse().ok()
        }
    }
}

/// The namespace of an object, `default` where it names none.
#[must_use]
pub fn namespace(object: &Value) -> &str {
    let named = object.pointer("/metadata/namespace").and_then(Value::as_str);
    named.filter(|namespace| !namespace.is_empty()).unwrap_or("default")
}

/// Every container of a pod specification.
#[must_use]
pub fn containers(spec: &Value) -> Vec<Container<'_>> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .filter_map(|list| spec.get(list)?.as_array())
        .flatten()
        .filter_map(|container| {
            Some(Container { name: container.get("name")?.as_str()?, image: container.get("image")?.as_str()? })
        })
        .collect()
}

/// The Secrets that a pod specification refers to, each with the ways: `env`, `envFrom`, `volume`, `projected`, `imagePullSecrets`.
#[must_use]
pub fn secrets(spec: &Value) -> BTreeMap<&str, BTreeSet<&'static str>> {
    let mut references: Vec<(Option<&Value>, &'static str)> = Vec::new();
    for kind in ["initContainers", "containers", "ephemeralContainers"] {
        for container in list_of(spec, kind) {
            for variable in list_of(container, "env") {
                references.push((variable.pointer("/valueFrom/secretKeyRef/name"), "env"));
            }
            for source in list_of(container, "envFrom") {
                references.push((source.pointer("/secretRef/name"), "envFrom"));
            }
        }
    }
    for volume in list_of(spec, "volumes") {
        references.push((volume.pointer("/secret/secretName"), "volume"));
        for source in volume.get("projected").map(|projected| list_of(projected, "sources")).unwrap_or_default() {
            references.push((source.pointer("/secret/name"), "projected"));
        }
    }
    for reference in list_of(spec, "imagePullSecrets") {
        references.push((reference.get("name"), "imagePullSecrets"));
    }
    let mut found: BTreeMap<&str, BTreeSet<&'static str>> = BTreeMap::new();
    for (name, by) in references {
        if let Some(name) = name.and_then(Value::as_str) {
            found.entry(name).or_default().insert(by);
        }
    }
    found
}

/// The controller of an object, or the object itself.
#[must_use]
pub fn workload(object: &Value) -> Option<WorkloadRef> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let namespace = text("/metadata/namespace").unwrap_or_else(|| "default".to_owned());
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let controller =
        owners.and_then(|owners| owners.iter().find(|owner| owner.get("controller") == Some(&Value::Bool(true))));
    let of = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    match controller {
        Some(owner) => {
            Some(WorkloadRef { kind: of(owner, "kind")?, namespace, name: of(owner, "name")?, uid: of(owner, "uid") })
        }
        None => Some(WorkloadRef {
            kind: text("/kind")?,
            namespace,
            name: text("/metadata/name")?,
            uid: text("/metadata/uid"),
        }),
    }
}

fn list_of<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_every_way_to_a_secret() {
        let spec = json!({
            "imagePullSecrets": [{ "name": "pull" }],
            "containers": [{ "name": "a", "image": "x", "env": [{ "name": "P", "valueFrom": { "secretKeyRef": { "name": "db", "key": "p" } } }] }],
            "initContainers": [{ "name": "i", "image": "y", "envFrom": [{ "secretRef": { "name": "all" } }] }],
            "volumes": [{ "secret": { "secretName": "db" } }, { "projected": { "sources": [{ "secret": { "name": "part" } }] } }],
        });
        let found: Vec<(&str, Vec<&str>)> =
            secrets(&spec).into_iter().map(|(name, by)| (name, by.into_iter().collect())).collect();
        assert_eq!(
            found,
            [
                ("all", vec!["envFrom"]),
                ("db", vec!["env", "volume"]),
                ("part", vec!["projected"]),
                ("pull", vec!["imagePullSecrets"])
            ]
        );
        assert_eq!(containers(&spec).len(), 2);
    }

    #[test]
    fn the_workload_is_the_controller_or_the_object() {
        let pod = json!({ "kind": "Pod", "metadata": { "name": "web-1", "namespace": "shop" } });
        assert_eq!(workload(&pod).unwrap().to_string(), "Pod shop/web-1");
        let owned = json!({ "kind": "Pod", "metadata": { "name": "web-1", "ownerReferences": [{ "kind": "ReplicaSet", "name": "web", "uid": "u", "controller": true }] } });
        assert_eq!(workload(&owned).unwrap().to_string(), "ReplicaSet default/web");
    }
}
