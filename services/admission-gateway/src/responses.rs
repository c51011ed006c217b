//! Responses to incidents that the gateway has the means for: refuse a digest, cut a pod off, evict it.

use kubernetes::{Cluster, Resource, keys};
use schemas::incident::v1::ResponseRequested;
use serde_json::{Value, json};
use service::Order;

use crate::facts::BLOCK_DIGEST;

/// Kinds of responses.
pub(crate) const KINDS: &[&str] = &[BLOCK_DIGEST, "quarantine", "evict"];

/// Carries out an order; in words what was done, or why it was not. Doing it twice changes nothing.
pub(crate) async fn obey(order: Order, cluster: Option<Cluster>) -> Result<String, String> {
    match (order, cluster) {
        (Order::Respond(request), _) if request.kind == BLOCK_DIGEST => block(&request),
        (Order::Respond(request), Some(cluster)) => {
            let pod = Pod::of(&request).ok_or("the incident names no pod of a namespace")?;
            let done = match request.kind.as_str() {
                "quarantine" => pod.cut_off(&cluster, request.incident.as_str()).await,
                "evict" => pod.evict(&cluster).await,
                other => return Err(format!("the gateway knows no response `{other}`")),
            };
            done.map_err(|error| error.chain())
        }
        (Order::Respond(_), None) => Err("the gateway serves no cluster: set service.kubernetes".to_owned()),
        (Order::Undo(incident), Some(cluster)) => {
            release(&cluster, incident.as_str()).await.map_err(|error| error.chain())
        }
        (Order::Undo(_), None) => Ok(String::new()),
    }
}

/// Every review looks at the incidents that ask for it: there is nothing left to do.
fn block(request: &ResponseRequested) -> Result<String, String> {
    let digest = request.identity.image_digest.as_ref().ok_or("the incident names no image digest")?;
    Ok(format!("{digest} is refused as long as the incident is open"))
}

/// One pod, not another of the same name that came after it.
struct Pod {
    namespace: String,
    name: String,
    uid: String,
}

impl Pod {
    fn of(request: &ResponseRequested) -> Option<Self> {
        let identity = &request.identity;
        let uid = identity.pod_uid.as_ref()?.to_string();
        Some(Self { namespace: identity.namespace.clone()?, name: identity.pod_name.clone()?, uid })
    }

    fn read(pod: &Value) -> Self {
        let text = |name: &str| pod.pointer(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { namespace: text("/metadata/namespace"), name: text("/metadata/name"), uid: text("/metadata/uid") }
    }

    /// Nothing goes to the pod or comes from it, where the cluster's network obeys NetworkPolicies. It goes on running, for whoever
    /// wants to look into it.
    async fn cut_off(&self, cluster: &Cluster, incident: &str) -> Result<String, kubernetes::ClusterError> {
        let policy = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": { "name": MANAGER, "namespace": self.namespace, "labels": { "app.kubernetes.io/part-of": "biotope" } },
            "spec": {
                "podSelector": { "matchExpressions": [{ "key": keys::QUARANTINE, "operator": "Exists" }] },
                "policyTypes": ["Ingress", "Egress"],
            },
        });
        let policies = Resource::new("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies");
        cluster.apply(&policies, &policy, MANAGER).await?;
        cluster.apply(&pods(), &self.labelled(&json!({ keys::QUARANTINE: incident })), MANAGER).await?;
        Ok(format!("pod {}/{} is cut off by NetworkPolicy {MANAGER}", self.namespace, self.name))
    }

    async fn evict(&self, cluster: &Cluster) -> Result<String, kubernetes::ClusterError> {
        let Self { namespace, name, uid } = self;
        let eviction = json!({
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "namespace": namespace, "name": name },
            "deleteOptions": { "preconditions": { "uid": uid } },
        });
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction");
        let gone = cluster.post(&path, &eviction).await?.is_none();
        Ok(format!("pod {namespace}/{name} is {}", if gone { "gone already" } else { "evicted" }))
    }

    /// With the uid: another pod of that name is left alone.
    fn labelled(&self, labels: &Value) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": self.name, "namespace": self.namespace, "uid": self.uid, "labels": labels },
        })
    }
}

/// Ends the quarantine of every pod that is in it for this incident.
async fn release(cluster: &Cluster, incident: &str) -> Result<String, kubernetes::ClusterError> {
    let path = format!("/api/v1/pods?labelSelector={}%3D{incident}", keys::QUARANTINE.replace('/', "%2F"));
    let found = cluster.get(&path).await?.unwrap_or_default();
    let items = found.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let pods_of: Vec<Pod> = items.iter().map(Pod::read).collect();
    let mut released = Vec::new();
    for pod in pods_of {
        // What this manager no longer names is taken away.
        cluster.apply(&pods(), &pod.labelled(&json!({})), MANAGER).await?;
        released.push(format!("{}/{}", pod.namespace, pod.name));
    }
    Ok(if released.is_empty() { String::new() } else { format!("out of quarantine: {}", released.join(", ")) })
}

fn pods() -> Resource {
    Resource::new("", "v1", "Pod", "pods")
}

const MANAGER: &str = "biotope-quarantine";
