//! The gateway's authority in a Secret: all replicas sign by the same one, and a restart does not change it.

use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubernetes::{Cluster, ClusterError};
use serde_json::{Value, json};

use crate::config::KubernetesConfig;
use crate::tls::{Authority, store_authority};

/// Puts the authority of the Secret that the settings name into `folder`; the first replica makes it. Nothing where they name none.
pub(crate) async fn share(settings: &KubernetesConfig, folder: &Path) -> anyhow::Result<()> {
    let Some(name) = &settings.authority_secret else { return Ok(()) };
    let cluster = Cluster::connect(settings.kubeconfig.as_deref()).await.context("cannot use the cluster")?;
    let place = format!("/api/v1/namespaces/{}/secrets", cluster.namespace());
    // Of several that start at once one makes it, and the others find it at their second look.
    for _ in 0..TRIES {
        if let Some(secret) = cluster.get(&format!("{place}/{name}")).await? {
            return store_authority(folder, &read(&secret, name)?);
        }
        let authority = Authority::make()?;
        match cluster.post(&place, &secret(name, &authority)).await {
            Ok(_) => {
                tracing::info!(name, "certificate authority made");
                return store_authority(folder, &authority);
            }
            Err(ClusterError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    anyhow::bail!("Secret `{name}` is made and deleted by turns: see who else writes it")
}

fn secret(name: &str, authority: &Authority) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": name, "labels": { "app.kubernetes.io/part-of": "biotope" } },
        "data": { "ca.crt": STANDARD.encode(&authority.certificate), "ca.key": STANDARD.encode(&authority.key) },
    })
}

fn read(secret: &Value, name: &str) -> anyhow::Result<Authority> {
    let text = |key: &str| -> anyhow::Result<String> {
        let encoded = secret.get("data").and_then(|data| data.get(key)).and_then(Value::as_str);
        let encoded =
            encoded.with_context(|| format!("Secret `{name}` has no `{key}`: delete it, it is made again"))?;
        // What is wrong with it is not told: it may be a key.
        let bytes = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        bytes.with_context(|| format!("`{key}` of Secret `{name}` is no text: delete it, it is made again"))
    };
    Ok(Authority { certificate: text("ca.crt")?, key: text("ca.key")? })
}

const TRIES: usize = 5;
