//! What stores and generators need of their surroundings: Secrets, ConfigMaps, tokens of accounts, generators.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use kubernetes::{Cluster, ClusterError};
use secret_sync::api::GeneratorReference;
use secret_sync::provider::{LocalSecret, ProviderError};
use secret_sync::reconcile::Texts;
use secret_sync::{CONFIG_MAP, SecretBytes, SecretJson, SecretKeySelector, TokenSource, VaultStore};
use serde_json::{Value, json};

use crate::connection::kubernetes::local;

/// Objects of a folder by kind, namespace and name.
pub(crate) type Inventory = BTreeMap<(String, String, String), Arc<SecretJson>>;

/// Where all that comes from. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Rights {
    /// A cluster, by the broker's own account.
    Cluster(Cluster),
    /// Manifests of a folder.
    Folder(Arc<RwLock<Inventory>>),
}

fn failed(error: &ClusterError, what: &str) -> ProviderError {
    let said = error.chain();
    let why = if said.contains("orbidden") { "the broker may not read it" } else { "the API server does not answer" };
    ProviderError::Failed(format!("could not get {what}: {why}"))
}

impl Rights {
    /// An object, with its path in a cluster.
    pub(crate) async fn object(
        &self,
        (kind, namespace, name): (&str, &str, &str),
        path: String,
    ) -> Result<Option<Arc<SecretJson>>, ProviderError> {
        match self {
            Self::Cluster(cluster) => match cluster.get(&path).await {
                Ok(found) => Ok(found.map(|found| Arc::new(SecretJson::new(found)))),
                Err(error) => Err(failed(&error, &format!("{kind} {namespace}/{name}"))),
            },
            Self::Folder(objects) => {
                let objects = objects.read().unwrap_or_else(PoisonError::into_inner);
                Ok(objects.get(&(kind.to_owned(), namespace.to_owned(), name.to_owned())).cloned())
            }
        }
    }

    /// A Secret.
    pub(crate) async fn secret(&self, namespace: &str, name: &str) -> Result<Option<LocalSecret>, ProviderError> {
        let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
        let found = self.object(("Secret", namespace, name), path).await?;
        Ok(found.map(|object| local(object.expose())))
    }

    /// The key of a Secret that a store names for its login; one of the cluster may name the namespace as well.
    pub(crate) async fn credential(
        &self,
        reference: &Value,
        (namespace, is_cluster): (&str, bool),
    ) -> Result<SecretBytes, ProviderError> {
        let text = |name: &str| reference.get(name).and_then(Value::as_str).unwrap_or_default();
        let namespace = if is_cluster && !text("namespace").is_empty() { text("namespace") } else { namespace };
        let (name, key) = (text("name"), text("key"));
        let value = self.secret(namespace, name).await?.and_then(|secret| secret.data.get(key).cloned());
        let missing = || format!("the login needs key `{key}` of Secret {namespace}/{name}, which is not there");
        value.ok_or_else(|| ProviderError::Failed(missing()))
    }

    /// The texts of a ConfigMap.
    pub(crate) async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<Texts>, ProviderError> {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps/{name}");
        let found = self.object(("ConfigMap", namespace, name), path).await?;
        let texts = |object: Arc<SecretJson>| {
            let fields = object.expose().get("data").and_then(Value::as_object).into_iter().flatten();
            fields.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
        };
        Ok(found.map(texts))
    }

    /// The object of a generator; one of the cluster has no namespace.
    pub(crate) async fn generator(
        &self,
        namespace: &str,
        reference: &GeneratorReference,
    ) -> Result<Option<Arc<SecretJson>>, ProviderError> {
        let kind = reference.kind.as_deref().unwrap_or_default();
        let name = reference.name.as_deref().unwrap_or_default();
        let plural = format!("{}s", kind.to_lowercase());
        let group = "/apis/generators.external-secrets.io/v1alpha1";
        let (namespace, path) = match kind {
            "ClusterGenerator" => ("", format!("{group}/{plural}/{name}")),
            _ => (namespace, format!("{group}/namespaces/{namespace}/{plural}/{name}")),
        };
        self.object((kind, namespace, name), path).await
    }

    /// A token of the account that a store names.
    pub(crate) async fn account_token(
        &self,
        account: &Value,
        (namespace, is_cluster): (&str, bool),
    ) -> Result<SecretBytes, ProviderError> {
        let text = |name: &str| account.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let own = Some(text("namespace")).filter(|own| is_cluster && !own.is_empty());
        let listed = account.get("audiences").and_then(Value::as_array).into_iter().flatten();
        let audiences = listed.filter_map(|name| name.as_str().map(str::to_owned)).collect();
        let namespace = own.unwrap_or_else(|| namespace.to_owned());
        self.token(&TokenSource::ServiceAccount { namespace, name: text("name"), audiences, life_s: 600 }).await
    }

    /// A token of an account.
    pub(crate) async fn token(&self, account: &TokenSource) -> Result<SecretBytes, ProviderError> {
        let TokenSource::ServiceAccount { namespace, name, audiences, life_s } = account else {
            return Err(ProviderError::Failed("the login names no account".to_owned()));
        };
        let Self::Cluster(cluster) = self else {
            let what = "a login by a service account needs a cluster: name a Secret with a token instead";
            return Err(ProviderError::Failed(what.to_owned()));
        };
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": { "audiences": audiences, "expirationSeconds": life_s },
        });
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let what = format!("a token of ServiceAccount {namespace}/{name}");
        let answer = cluster.post(&path, &request).await.map_err(|error| failed(&error, &what))?;
        let answer = answer.map(SecretJson::new);
        let token = answer.as_ref().and_then(|answer| answer.expose().pointer("/status/token")?.as_str());
        token
            .map(SecretBytes::from)
            .ok_or_else(|| ProviderError::Failed(format!("could not get {what}: no such account")))
    }

    /// What the login at a vault needs, as far as it is there.
    pub(crate) async fn of_login(
        &self,
        vault: &VaultStore,
    ) -> Result<Vec<(SecretKeySelector, SecretBytes)>, ProviderError> {
        let mut found = Vec::new();
        for selector in vault.selectors() {
            let value = match selector.name.strip_prefix(CONFIG_MAP) {
                Some(name) => {
                    let texts = self.config_map(&selector.namespace, name).await?;
                    texts.and_then(|texts| texts.get(&selector.key).map(|text| SecretBytes::from(text.as_str())))
                }
                None => {
                    let secret = self.secret(&selector.namespace, &selector.name).await?;
                    secret.and_then(|secret| secret.data.get(&selector.key).cloned())
                }
            };
            found.extend(value.map(|value| (selector, value)));
        }
        if let Some((account, selector)) = vault.account().and_then(|account| Some((account, account.selector()?))) {
            found.push((selector, self.token(account).await?));
        }
        Ok(found)
    }
}
