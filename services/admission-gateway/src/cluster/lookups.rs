//! What policies look up in a cluster, for those who judge without a gateway: asked when it is missed, and never written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use admission_policy::{MissingFact, Snapshot};
use kubernetes::{Cluster, Resource};
use serde_json::Value;

use super::context::projections;
use super::gather::{call, list};
use super::served;

/// Looks up in a cluster what evaluations miss. Each thing is asked for once. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LookUps {
    cluster: Cluster,
    known: Arc<Mutex<BTreeMap<MissingFact, Result<Found, String>>>>,
}

/// What the cluster has.
#[derive(Clone, Debug)]
enum Found {
    Value(Value),
    /// Entries of the global context, by name.
    Entries(BTreeMap<String, Value>),
}

impl LookUps {
    /// Looks up in this cluster.
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster, known: Arc::default() }
    }

    /// Puts what an evaluation missed into its facts; false when it is nothing that a cluster knows.
    ///
    /// # Errors
    /// Why the cluster does not tell, or why it is not asked.
    pub async fn learn(&self, fact: &MissingFact, facts: &mut Snapshot) -> Result<bool, String> {
        let is_of_cluster = matches!(
            fact,
            MissingFact::ConfigMap(_)
                | MissingFact::ApiCall { .. }
                | MissingFact::Objects { .. }
                | MissingFact::GlobalContext(_)
        );
        if !is_of_cluster {
            return Ok(false);
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(fact).cloned();
        let found = match known {
            Some(found) => found,
            None => {
                let found = self.ask(fact).await;
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                if known.len() >= MOST_KNOWN {
                    known.clear();
                }
                known.insert(fact.clone(), found.clone());
                found
            }
        };
        add(fact, found?, facts);
        Ok(true)
    }

    async fn ask(&self, fact: &MissingFact) -> Result<Found, String> {
        let found = match fact {
            MissingFact::ConfigMap(name) => {
                let (namespace, name) = name.split_once('/').ok_or("it has no namespace")?;
                let path = format!("/api/v1/namespaces/{namespace}/configmaps/{name}");
                call(Some(&self.cluster), &format!("GET {path}"), "").await?
            }
            MissingFact::ApiCall { call: what, body } => self.call(what, body).await?,
            MissingFact::Objects { api_version, kind, namespace } => {
                list(&self.cluster, (api_version, kind), namespace).await?
            }
            MissingFact::GlobalContext(name) => return self.entry(name).await.map(Found::Entries),
            _ => return Err("a cluster does not know it".to_owned()),
        };
        Ok(Found::Value(found))
    }

    async fn call(&self, what: &str, body: &str) -> Result<Value, String> {
        if may_write(what) {
            return Err("it could write to the cluster, and is not made; give a value for its variable".to_owned());
        }
        call(Some(&self.cluster), what, body).await
    }

    /// An entry of the global context, and what is projected from it.
    async fn entry(&self, name: &str) -> Result<BTreeMap<String, Value>, String> {
        let kinds = served(&self.cluster, "kyverno.io", &["GlobalContextEntry"]).await;
        let kind = kinds.map_err(|error| error.chain())?.into_iter().next();
        let kind = kind.ok_or("the server knows no global context")?;
        // A name may go on with a dot and the name of a projection.
        for entry in [Some(name), name.rsplit_once('.').map(|(entry, _)| entry)].into_iter().flatten() {
            let object = self.cluster.get(&kind.path("", entry)).await.map_err(|error| error.chain())?;
            let Some(object) = object else { continue };
            let spec = object.get("spec").cloned().unwrap_or_default();
            let value = self.content(&spec).await?;
            let parts = projections(&spec)?.into_iter();
            let parts = parts.filter_map(|(part, of)| Some((format!("{entry}.{part}"), of.of(&value).ok()?)));
            let mut found: BTreeMap<String, Value> = parts.collect();
            found.insert(entry.to_owned(), value);
            return Ok(found);
        }
        Err("the server has no such entry".to_owned())
    }

    /// What an entry holds.
    async fn content(&self, spec: &Value) -> Result<Value, String> {
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(wanted) = spec.get("kubernetesResource") {
            let (group, version) = (text(wanted, "group"), text(wanted, "version"));
            let resource = Resource::new(&group, &version, "", &text(wanted, "resource"));
            let path = resource.path(&text(wanted, "namespace"), "");
            let mut list = call(Some(&self.cluster), &format!("GET {path}"), "").await?;
            return Ok(list.get_mut("items").map(Value::take).unwrap_or_default());
        }
        let wanted = spec.get("apiCall").ok_or("the entry says neither a resource nor a call")?;
        if wanted.get("service").is_some_and(Value::is_object) {
            return Err("it is what a service says, which is called by the gateway only".to_owned());
        }
        let method = Some(text(wanted, "method")).filter(|method| !method.is_empty());
        let method = method.unwrap_or_else(|| "GET".to_owned());
        self.call(&format!("{method} {}", text(wanted, "urlPath")), "{}").await
    }
}

fn add(fact: &MissingFact, found: Found, facts: &mut Snapshot) {
    let value = match found {
        Found::Entries(entries) => return facts.global_context.extend(entries),
        Found::Value(value) => value,
    };
    match fact {
        MissingFact::ConfigMap(name) => drop(facts.config_maps.insert(name.clone(), value)),
        MissingFact::ApiCall { call, body } if body.is_empty() => drop(facts.api_calls.insert(call.clone(), value)),
        MissingFact::ApiCall { call, body } => drop(facts.api_calls.insert(format!("{call} {body}"), value)),
        MissingFact::Objects { api_version, kind, namespace } => {
            if let Value::Array(items) = value {
                facts.objects.extend(items);
            }
            facts.listed.insert((api_version.clone(), kind.clone(), namespace.clone()));
        }
        _ => {}
    }
}

/// Whether a call could change something. Reviews of access and of tokens are posted, and change nothing.
fn may_write(what: &str) -> bool {
    let (method, target) = what.split_once(' ').unwrap_or((what, ""));
    let path = target.split('?').next().unwrap_or_default();
    let is_review =
        ["/apis/authorization.k8s.io/", "/apis/authentication.k8s.io/"].iter().any(|group| path.starts_with(group))
            && path.ends_with("reviews")
            && !path.contains("..")
            && !path.contains('%');
    method != "GET" && !(method == "POST" && is_review)
}

/// More answers than this are not remembered at once.
const MOST_KNOWN: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::may_write;

    #[test]
    fn only_what_cannot_write_is_asked() {
        for (call, writes) in [
            ("GET /api/v1/pods", false),
            ("POST /apis/authorization.k8s.io/v1/subjectaccessreviews", false),
            ("POST /apis/authorization.k8s.io/v1/namespaces/a/localsubjectaccessreviews", false),
            ("POST /apis/authentication.k8s.io/v1/tokenreviews", false),
            ("POST /api/v1/namespaces/a/configmaps", true),
            ("POST /api/v1/namespaces/a/configmaps?x=/apis/authorization.k8s.io/v1/subjectaccessreviews", true),
            ("POST /apis/authorization.k8s.io/v1/../../shop/v1/reviews", true),
            ("POST /apis/authorization.k8s.io/v1/%2e%2e/%2e%2e/shop/v1/reviews", true),
            ("DELETE /api/v1/pods/reviews", true),
            ("PUT", true),
        ] {
            assert_eq!(may_write(call), writes, "{call}");
        }
    }
}
