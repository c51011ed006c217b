//! The gateway's own entries at the API server: which requests it is asked about, and by which authority its certificate is signed.

use std::time::Duration;

use kubernetes::{Cluster, Resource};
use serde_json::{Value, json};
use service::Context;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::{OnFault, Registration};

/// What is registered, kept as it is for as long as the gateway runs.
#[derive(Debug)]
pub(crate) struct Register {
    pub(crate) cluster: Cluster,
    pub(crate) settings: Registration,
    /// The authority's certificate (PEM).
    pub(crate) authority: String,
    /// Address that the webhook listens on, for registrations by URL.
    pub(crate) address: String,
}

impl Register {
    /// Registers, and puts right again what others change.
    pub(crate) fn keep(self, context: &Context) {
        let (shutdown, ready) = (context.shutdown.clone(), context.readiness.part("registration"));
        ready.waiting("the webhooks are not registered yet");
        context.spawn(async move {
            loop {
                match self.apply().await {
                    Ok(()) => ready.ready(),
                    Err(error) => {
                        tracing::warn!(error = error.chain(), "the webhooks cannot be registered, trying again");
                        ready.waiting("the webhooks cannot be registered: see the log");
                    }
                }
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(AGAIN) => {}
                }
            }
        });
    }

    async fn apply(&self) -> Result<(), kubernetes::ClusterError> {
        let owner = match &self.settings.owner_cluster_role {
            Some(role) => self.owner(role).await?,
            None => None,
        };
        for (kind, plural, name, path) in [
            ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "mutate.biotope.dev", "/mutate"),
            ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "validate.biotope.dev", "/validate"),
        ] {
            let resource = Resource::new("admissionregistration.k8s.io", "v1", kind, plural);
            let mut object = self.object(kind, name, path);
            if let Some(owner) = &owner {
                object["metadata"]["ownerReferences"] = json!([owner]);
            }
            self.cluster.apply(&resource, &object, MANAGER).await?;
        }
        Ok(())
    }

    /// What the garbage collector goes by: an object of the cluster, for only those can own objects of the cluster.
    async fn owner(&self, role: &str) -> Result<Option<Value>, kubernetes::ClusterError> {
        let found = self.cluster.get(&format!("/apis/rbac.authorization.k8s.io/v1/clusterroles/{role}")).await?;
        let uid = found.as_ref().and_then(|role| role.pointer("/metadata/uid")).and_then(Value::as_str);
        if uid.is_none() {
            tracing::warn!(
                role,
                "the ClusterRole that is to own the webhooks is not there: they stay after an uninstall"
            );
        }
        let version = "rbac.authorization.k8s.io/v1";
        Ok(uid.map(|uid| json!({ "apiVersion": version, "kind": "ClusterRole", "name": role, "uid": uid })))
    }

    fn object(&self, kind: &str, webhook: &str, path: &str) -> Value {
        let mut client = match &self.settings.service {
            Some(service) => {
                json!({ "service": { "namespace": service.namespace, "name": service.name, "port": service.port, "path": path } })
            }
            None => json!({ "url": format!("https://{}{path}", self.settings.url_host(&self.address)) }),
        };
        client["caBundle"] = json!(STANDARD.encode(&self.authority));
        let mut excluded = self.settings.excluded_namespaces.clone();
        excluded.extend(NEVER.map(str::to_owned));
        let mut one = json!({
            "name": webhook,
            "clientConfig": client,
            "admissionReviewVersions": ["v1"],
            "sideEffects": "NoneOnDryRun",
            "timeoutSeconds": self.settings.timeout_s,
            "failurePolicy": match self.settings.failure_policy { OnFault::Fail => "Fail", OnFault::Ignore => "Ignore" },
            "matchPolicy": "Equivalent",
            "namespaceSelector": { "matchExpressions": [
                { "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": excluded },
            ] },
            "rules": [
                { "apiGroups": ["*"], "apiVersions": ["*"], "resources": SUBRESOURCES,
                  "operations": ["CREATE", "UPDATE", "DELETE", "CONNECT"], "scope": "*" },
            ],
            // Heartbeats and the like are not for policies, and would make up most of the requests; so would what policies say of objects.
            "matchConditions": [
                { "name": "no-heartbeats", "expression": "!(request.resource.group in ['coordination.k8s.io', 'events.k8s.io', 'authorization.k8s.io', 'authentication.k8s.io'])" },
                { "name": "no-events", "expression": "!(request.resource.group == '' && request.resource.resource == 'events')" },
                { "name": "no-reports", "expression": "!(request.resource.group in ['wgpolicyk8s.io', 'openreports.io', 'reports.kyverno.io'])" },
                { "name": "not-itself", "expression": "!(request.resource.group == 'admissionregistration.k8s.io')" },
            ],
        });
        // An uninstall takes the gateway before its rights; refused for want of it, neither they nor these webhooks would ever go.
        if let (false, Some(conditions)) =
            (self.settings.own_cluster_roles.is_empty(), one["matchConditions"].as_array_mut())
        {
            conditions
                .push(json!({ "name": "not-its-removal", "expression": removal(&self.settings.own_cluster_roles) }));
        }
        if kind == "MutatingWebhookConfiguration" {
            one["reinvocationPolicy"] = json!("IfNeeded");
        }
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": { "name": "biotope-admission", "labels": { "app.kubernetes.io/part-of": "biotope" } },
            "webhooks": [one],
        })
    }
}

/// Whether a request is none to delete one of these roles or a binding of that name. A list of strings in JSON is one in CEL, too.
fn removal(names: &[String]) -> String {
    let names = json!(names);
    format!(
        "!(request.operation == 'DELETE' && request.resource.group == 'rbac.authorization.k8s.io' && request.resource.resource in ['clusterroles', 'clusterrolebindings'] && request.name in {names})"
    )
}

/// Whether an object lies in a namespace that the gateway is never asked about: one of the cluster itself, or one that is `excluded`.
pub(super) fn is_never_asked_about(object: &Value, excluded: &[String]) -> bool {
    let own = super::namespace_of(object);
    NEVER.contains(&own) || excluded.iter().any(|excluded| excluded == own)
}

/// Namespaces that the webhooks are not for.
const NEVER: [&str; 2] = ["kube-system", "kube-node-lease"];
/// All resources, and the subresources that do something: status updates are not for policies.
const SUBRESOURCES: [&str; 9] = [
    "*",
    "*/scale",
    "pods/exec",
    "pods/attach",
    "pods/portforward",
    "pods/ephemeralcontainers",
    "pods/eviction",
    "pods/binding",
    "pods/resize",
];
/// The name by which the gateway writes to the cluster.
pub(super) const MANAGER: &str = "biotope-admission-gateway";
const AGAIN: Duration = Duration::from_secs(30);
