//! The Secrets that stores name for their logins, read by the broker's own rights.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kubernetes::Cluster;
use ring::digest;
use secret_sync::{Provider, Resolved, RoleId, SecretBytes, SecretJson, SecretKeySelector, VaultAuth};

/// Reads every credential that the stores name into `resolved`. Gives a fingerprint by which a change is seen.
pub(super) async fn gather(cluster: &Cluster, resolved: &mut Resolved) -> String {
    let mut seen = digest::Context::new(&digest::SHA256);
    let selectors: Vec<SecretKeySelector> =
        resolved.set.stores.values().flat_map(|store| selectors(&store.provider)).collect();
    for selector in selectors {
        if let Some(value) = read(cluster, &selector).await {
            seen.update(selector.to_string().as_bytes());
            seen.update(value.expose());
            resolved.credentials.insert(selector, value);
        }
    }
    hex::encode(seen.finish())
}

fn selectors(provider: &Provider) -> Vec<SecretKeySelector> {
    match provider {
        Provider::Vault(vault) => match &vault.auth {
            VaultAuth::Token(token) => vec![token.clone()],
            VaultAuth::AppRole { role: RoleId::Secret(role), secret, .. } => vec![role.clone(), secret.clone()],
            VaultAuth::AppRole { secret, .. } => vec![secret.clone()],
        },
        Provider::Fake(_) => Vec::new(),
    }
}

async fn read(cluster: &Cluster, selector: &SecretKeySelector) -> Option<SecretBytes> {
    let path = format!("/api/v1/namespaces/{}/secrets/{}", selector.namespace, selector.name);
    let object = match cluster.get(&path).await {
        Ok(object) => SecretJson::new(object?),
        Err(error) => {
            tracing::warn!(secret = %selector, reason = error.chain(), "a store's credential cannot be read");
            return None;
        }
    };
    let encoded = object.expose().get("data")?.get(&selector.key)?.as_str()?;
    BASE64_STANDARD.decode(encoded).ok().map(SecretBytes::new)
}
