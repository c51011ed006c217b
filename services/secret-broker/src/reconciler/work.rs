//! Which objects are the reconciler's: everything that the machine does not serve.
//!
//! The machine serves what has versions and can be checked cheaply: entries of vaults by name. Searches, generators, pushes, objects that
//! fan out, other providers and the rarer policies are looked at by the reconciler, at their refresh interval, as upstream does it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kubernetes::Objects;
use model::FaultKind;
use secret_sync::reconcile::Texts;
use secret_sync::{Resolved, SecretJson, StoreKind, StoreRef};
use serde_json::Value;

use super::world::StoreMap;
use crate::cluster::Target;

/// What the reconciler looks after, and what it needs to know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work {
    /// ExternalSecrets, PushSecrets, what fans out, and stores, by kind, namespace and name.
    pub(crate) objects: BTreeMap<(String, String, String), Arc<SecretJson>>,
    /// Stores.
    pub(crate) stores: StoreMap,
    /// Labels of namespaces.
    pub(crate) namespaces: BTreeMap<String, Texts>,
    /// Targets that are there, by namespace and name, with their versions; `None` where nobody tells.
    pub(crate) targets: Option<Arc<Objects<Target>>>,
}

fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Kind, namespace and name of an object; what names no namespace is in `default`, as in a folder.
pub(crate) fn place(object: &Value) -> (String, String, String) {
    let kind = text(object, "/kind").to_owned();
    let is_of_cluster = kind.starts_with("Cluster") || kind == "Namespace";
    let namespace = match (is_of_cluster, text(object, "/metadata/namespace")) {
        (true, _) => "",
        (false, "") => "default",
        (false, given) => given,
    };
    (kind, namespace.to_owned(), text(object, "/metadata/name").to_owned())
}

/// Takes from `resolved` what the machine cannot serve and the reconciler can, with the faults about it.
pub(crate) fn route<'o>(resolved: &mut Resolved, objects: impl Iterator<Item = &'o Arc<SecretJson>>) -> Work {
    let mut work = Work::default();
    let mut externals = Vec::new();
    for object in objects {
        let place = place(object.expose());
        match place.0.as_str() {
            "SecretStore" | "ClusterSecretStore" => {
                work.stores.insert(reference(&place), object.expose().clone());
                work.objects.insert(place, object.clone());
            }
            "ExternalSecret" => externals.push((place, object)),
            "PushSecret" | "ClusterExternalSecret" | "ClusterPushSecret" => {
                work.objects.insert(place, object.clone());
            }
            "Namespace" => {
                let labels = object.expose().pointer("/metadata/labels").and_then(Value::as_object);
                let labels = labels.into_iter().flatten();
                let labels = labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
                work.namespaces.insert(place.2, labels.collect());
            }
            _ => {}
        }
    }
    let served = served(resolved, &work.stores);
    let ours: BTreeSet<String> = externals
        .iter()
        .filter(|((_, namespace, name), object)| {
            let subject = format!("ExternalSecret {namespace}/{name}");
            !resolved.set.external_secrets.contains_key(&subject)
                && is_ours(resolved, &subject, &served, object.expose())
        })
        .map(|((_, namespace, name), _)| format!("ExternalSecret {namespace}/{name}"))
        .collect();
    for (place, object) in externals {
        if ours.contains(&format!("ExternalSecret {}/{}", place.1, place.2)) {
            work.objects.insert(place, object.clone());
        }
    }
    drop_faults(resolved, &ours, &served);
    work
}

fn reference((kind, namespace, name): &(String, String, String)) -> StoreRef {
    let kind = if kind == "SecretStore" { StoreKind::SecretStore } else { StoreKind::ClusterSecretStore };
    StoreRef { kind, namespace: namespace.clone(), name: name.clone() }
}

/// Providers that only the reconciler has.
const PROVIDERS: [&str; 3] = ["aws", "kubernetes", "webhook"];

/// Providers that the machine has as well.
const SHARED: [&str; 3] = ["vault", "openBao", "fake"];

/// Stores that the reconciler serves and the machine does not: those of providers that only it has, and those that ask for what the
/// machine does not know.
fn served(resolved: &Resolved, stores: &StoreMap) -> BTreeSet<StoreRef> {
    let has = |store: &Value, names: &[&str]| {
        let providers = store.pointer("/spec/provider").and_then(Value::as_object);
        providers.into_iter().flatten().any(|(name, _)| names.contains(&name.as_str()))
    };
    let is_wider = |id: &StoreRef| {
        let subject = id.to_string();
        let faults = resolved.faults.iter().filter(|fault| fault.subject == subject);
        let mut serious = faults.filter(|fault| fault.kind != FaultKind::Warning).peekable();
        serious.peek().is_some() && serious.all(|fault| fault.kind == FaultKind::Unsupported)
    };
    let is_served = |(id, store): &(&StoreRef, &Value)| {
        has(store, &PROVIDERS) || (has(store, &SHARED) && !resolved.set.stores.contains_key(*id) && is_wider(id))
    };
    stores.iter().filter(is_served).map(|(id, _)| id.clone()).collect()
}

/// Whether an ExternalSecret that the machine set aside is one for the reconciler: it is no wrong manifest, but asks for more.
fn is_ours(resolved: &Resolved, subject: &str, served: &BTreeSet<StoreRef>, object: &Value) -> bool {
    let faults: Vec<_> =
        resolved.faults.iter().filter(|fault| fault.subject == subject && fault.kind != FaultKind::Warning).collect();
    let is_wider = faults.iter().all(|fault| fault.kind == FaultKind::Unsupported);
    let (_, namespace, _) = place(object);
    let named = |reference: &Value| {
        let kind = text(reference, "/kind");
        let is_cluster = kind == "ClusterSecretStore";
        let kind = if is_cluster { StoreKind::ClusterSecretStore } else { StoreKind::SecretStore };
        let namespace = if is_cluster { String::new() } else { namespace.clone() };
        StoreRef { kind, namespace, name: text(reference, "/name").to_owned() }
    };
    let mut references: Vec<&Value> = object.pointer("/spec/secretStoreRef").into_iter().collect();
    for list in ["/spec/data", "/spec/dataFrom"] {
        let entries = object.pointer(list).and_then(Value::as_array).into_iter().flatten();
        references.extend(entries.filter_map(|entry| entry.pointer("/sourceRef/storeRef")));
    }
    is_wider || references.into_iter().map(named).any(|store| served.contains(&store))
}

/// What the reconciler serves is no fault.
fn drop_faults(resolved: &mut Resolved, ours: &BTreeSet<String>, served: &BTreeSet<StoreRef>) {
    let kinds = ["PushSecret", "ClusterExternalSecret", "ClusterPushSecret", "Namespace", "ConfigMap"];
    let is_store = |subject: &str| subject.parse::<StoreRef>().is_ok_and(|store| served.contains(&store));
    resolved.faults.retain(|fault| {
        let kind = fault.subject.split(' ').next().unwrap_or_default();
        let is_unsupported = fault.kind == FaultKind::Unsupported;
        let is_object =
            is_unsupported && (kinds.contains(&kind) || fault.what.contains("generators.external-secrets.io"));
        !(ours.contains(&fault.subject) || is_object || (is_unsupported && is_store(&fault.subject)))
    });
}
