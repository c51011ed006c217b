//! Objects that make one object in each of many namespaces.

use std::collections::{BTreeMap, BTreeSet};

use kubernetes::Resource;
use secret_sync::reconcile::Again;
use secret_sync::reconcile::cluster::{Choice, Namespace, Plan, plan};
use serde_json::{Value, json};

use super::pass::Looked;
use super::target::PlaceError;
use super::{MANAGER, Place, Reconciler};

/// Looks at a ClusterExternalSecret or ClusterPushSecret.
pub(super) async fn look(reconciler: &Reconciler, object: &Value, known: Option<&Value>) -> Result<Looked, PlaceError> {
    let Place::Cluster(cluster) = &reconciler.place else {
        return Err(PlaceError { what: "a folder has no namespaces to choose from".to_owned(), is_conflict: false });
    };
    let child = Child::of(reconciler, object);
    let before = known.unwrap_or(object).pointer("/status/provisionedNamespaces").and_then(Value::as_array).cloned();
    let before: BTreeSet<String> =
        before.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect();
    let namespaces = child.namespaces(reconciler, cluster).await?;
    let at = |pointer: &str| object.pointer(pointer);
    let selectors = [at("/spec/namespaceSelector")].into_iter().flatten();
    let listed = at("/spec/namespaceSelectors").and_then(Value::as_array).into_iter().flatten();
    let names = at("/spec/namespaces").and_then(Value::as_array).into_iter().flatten();
    let choice =
        Choice { selectors: selectors.chain(listed).collect(), names: names.filter_map(Value::as_str).collect() };
    let mut planned = plan(&choice, &namespaces, &before, (&child.owner, &child.kind.kind));
    for namespace in planned.provision.clone() {
        if let Err(error) = cluster.apply(&child.kind, &child.object(&namespace), MANAGER).await {
            planned.provision.remove(&namespace);
            planned.failed.insert(namespace, PlaceError::from(error).what);
        }
    }
    for namespace in &planned.remove {
        cluster.delete(&child.kind, namespace, &child.name).await.map_err(PlaceError::from)?;
    }
    let refresh = at("/spec/refreshTime").and_then(Value::as_str).and_then(secret_sync::parse_duration);
    let refresh = refresh.filter(|every| !every.is_zero()).unwrap_or(std::time::Duration::from_secs(3_600));
    let problem = (!planned.failed.is_empty()).then(|| planned.condition().1.to_owned());
    let again = if planned.failed.is_empty() { Again::After(refresh) } else { Again::BackOff };
    let status = child.status(&planned, known.unwrap_or(object));
    Ok(Looked { status, notes: Vec::new(), again, delivered: None, is_new: false, problem, is_released: false })
}

/// What is made in each namespace.
struct Child {
    owner: String,
    kind: Resource,
    name: String,
    /// The object without its namespace.
    template: Value,
    field: &'static str,
}

impl Child {
    fn of(reconciler: &Reconciler, object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let is_push = text("/kind") == "ClusterPushSecret";
        let (kind, prefix) = if is_push { ("PushSecret", "pushSecret") } else { ("ExternalSecret", "externalSecret") };
        let owner = text("/metadata/name");
        let name =
            Some(text(&format!("/spec/{prefix}Name"))).filter(|name| !name.is_empty()).unwrap_or_else(|| owner.clone());
        let key = (kind.to_owned(), String::new(), String::new());
        let resource = reconciler.kind(&key);
        let at = |pointer: String| object.pointer(&pointer).cloned().unwrap_or_default();
        let metadata = at(format!("/spec/{prefix}Metadata"));
        let map = |name: &str| metadata.get(name).cloned().filter(Value::is_object).unwrap_or_else(|| json!({}));
        let template = json!({
            "apiVersion": resource.api_version(), "kind": kind,
            "metadata": {
                "name": name, "labels": map("labels"), "annotations": map("annotations"),
                "ownerReferences": [{
                    "apiVersion": text("/apiVersion"), "kind": text("/kind"), "name": owner,
                    "uid": text("/metadata/uid"), "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": at(format!("/spec/{prefix}Spec")),
        });
        let field = if is_push { "pushSecretName" } else { "externalSecretName" };
        Self { owner, kind: resource, name, template, field }
    }

    fn object(&self, namespace: &str) -> Value {
        let mut object = self.template.clone();
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("namespace".to_owned(), json!(namespace));
        }
        object
    }

    /// All namespaces, with whose child of that name is there already.
    async fn namespaces(
        &self,
        reconciler: &Reconciler,
        cluster: &kubernetes::Cluster,
    ) -> Result<BTreeMap<String, Namespace>, PlaceError> {
        let path = format!("/apis/{}/{}", self.kind.api_version(), self.kind.plural);
        let listed = cluster.get(&path).await?;
        let items = listed.as_ref().and_then(|list| list.get("items")?.as_array()).into_iter().flatten();
        let mut owners: BTreeMap<String, String> = BTreeMap::new();
        for item in items {
            let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            if text("/metadata/name") == self.name {
                let kind = text("/metadata/ownerReferences/0/kind");
                let owner =
                    if kind.starts_with("Cluster") { text("/metadata/ownerReferences/0/name") } else { String::new() };
                owners.insert(text("/metadata/namespace"), owner);
            }
        }
        let work = reconciler.work();
        let namespaces = work.namespaces.iter().map(|(name, labels)| {
            let child_of = owners.get(name).cloned();
            (name.clone(), Namespace { labels: labels.clone(), is_deleting: false, child_of })
        });
        Ok(namespaces.collect())
    }

    fn status(&self, planned: &Plan, before: &Value) -> Value {
        let (is_ready, message) = planned.condition();
        let listed = before.pointer("/status/conditions/0");
        let was = listed.and_then(|condition| condition.get("status")?.as_str());
        let status = if is_ready { "True" } else { "False" };
        let since =
            listed.filter(|_| was == Some(status)).and_then(|condition| condition.get("lastTransitionTime").cloned());
        let now = service::now().to_string();
        let now = format!("{}Z", now.split('.').next().unwrap_or_default());
        let failed: Vec<Value> = planned
            .failed
            .iter()
            .map(|(namespace, reason)| json!({ "namespace": namespace, "reason": reason }))
            .collect();
        json!({
            "conditions": [{
                "type": "Ready", "status": status, "message": message,
                "lastTransitionTime": since.unwrap_or_else(|| json!(now)),
            }],
            "provisionedNamespaces": planned.provision, "failedNamespaces": failed, self.field: self.name,
        })
    }
}
