//! The Secrets and accounts that stores name for their logins, read by the broker's own rights.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kubernetes::Cluster;
use ring::digest;
use secret_sync::{CONFIG_MAP, Provider, Resolved, SecretBytes, SecretJson, SecretKeySelector, TokenSource};
use serde_json::json;

/// Tokens that the API server made for accounts, until they are half spent. Their change is no change of a manifest.
#[derive(Debug, Default)]
pub(super) struct Tokens(BTreeMap<SecretKeySelector, (SecretBytes, Instant)>);

/// Reads every credential that the stores name into `resolved`. Gives a fingerprint by which a change is seen.
pub(super) async fn gather(cluster: &Cluster, tokens: &mut Tokens, resolved: &mut Resolved) -> String {
    let mut seen = digest::Context::new(&digest::SHA256);
    let stores: Vec<_> = resolved.set.stores.values().cloned().collect();
    for store in &stores {
        let Provider::Vault(vault) = &store.provider else { continue };
        for selector in vault.selectors() {
            if let Some(value) = read(cluster, &selector).await {
                seen.update(selector.to_string().as_bytes());
                seen.update(value.expose());
                resolved.credentials.insert(selector, value);
            }
        }
        if let Some((selector, token)) = match vault.account() {
            Some(account) => tokens.of(cluster, account).await,
            None => None,
        } {
            resolved.credentials.insert(selector, token);
        }
    }
    hex::encode(seen.finish())
}

impl Tokens {
    async fn of(&mut self, cluster: &Cluster, account: &TokenSource) -> Option<(SecretKeySelector, SecretBytes)> {
        let selector = account.selector()?;
        if let Some((token, until)) = self.0.get(&selector)
            && Instant::now() < *until
        {
            return Some((selector, token.clone()));
        }
        let TokenSource::ServiceAccount { namespace, name, audiences, life_s } = account else { return None };
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": { "audiences": audiences, "expirationSeconds": life_s },
        });
        let answer = match cluster.post(&path, &request).await {
            Ok(answer) => SecretJson::new(answer?),
            Err(error) => {
                tracing::warn!(
                    account = name,
                    namespace,
                    reason = error.chain(),
                    "a token for a store's account cannot be made"
                );
                return None;
            }
        };
        let token = SecretBytes::from(answer.expose().pointer("/status/token")?.as_str()?);
        let until = Instant::now().checked_add(Duration::from_secs(life_s / 2))?;
        self.0.insert(selector.clone(), (token.clone(), until));
        Some((selector, token))
    }
}

async fn read(cluster: &Cluster, selector: &SecretKeySelector) -> Option<SecretBytes> {
    let config_map = selector.name.strip_prefix(CONFIG_MAP);
    let (plural, name) = config_map.map_or(("secrets", selector.name.as_str()), |name| ("configmaps", name));
    let path = format!("/api/v1/namespaces/{}/{plural}/{name}", selector.namespace);
    let object = match cluster.get(&path).await {
        Ok(object) => SecretJson::new(object?),
        Err(error) => {
            tracing::warn!(secret = %selector, reason = error.chain(), "a store's credential cannot be read");
            return None;
        }
    };
    let encoded = object.expose().get("data")?.get(&selector.key)?.as_str()?;
    if config_map.is_some() {
        return Some(SecretBytes::from(encoded));
    }
    BASE64_STANDARD.decode(encoded).ok().map(SecretBytes::new)
}
