//! Generators: what makes values up, from chance, from a seed, from a server.

use ring::rand::{SecureRandom as _, SystemRandom};
use secret_sync::SecretJson;
use secret_sync::generator::{self, mfa, password, ssh_key, vault_dynamic};
use secret_sync::provider::{Keys, ProviderError};
use serde_json::{Map, Value, json};

use super::webhook::Webhook;
use super::{Connector, vault};

fn failed(what: impl ToString) -> ProviderError {
    ProviderError::Failed(what.to_string())
}

/// Makes what `object` asks for, for `namespace`.
pub(crate) async fn generate(connector: &Connector, object: &Value, namespace: &str) -> Result<Keys, ProviderError> {
    let empty = Map::new();
    let mut kind = object.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut spec = object.get("spec").and_then(Value::as_object).unwrap_or(&empty).clone();
    if kind == "ClusterGenerator" {
        (kind, spec) = unwrapped(&spec)?;
    }
    let mut chance = |bytes: &mut [u8]| SystemRandom::new().fill(bytes).is_ok();
    match kind.as_str() {
        "Password" => {
            password::Settings::read(&spec).and_then(|settings| settings.generate(&mut chance)).map_err(failed)
        }
        "UUID" => generator::uuid(&mut chance).map_err(failed),
        "Fake" => generator::fake(&spec).map_err(failed),
        "SSHKey" => {
            let settings = ssh_key::Settings::read(&spec).map_err(failed)?;
            // Big keys take seconds, in which everything else goes on.
            let made = tokio::task::spawn_blocking(move || {
                settings.generate(&mut |bytes: &mut [u8]| SystemRandom::new().fill(bytes).is_ok())
            });
            made.await.map_err(|_| failed("unable to generate SSH key"))?.map_err(failed)
        }
        "MFA" => {
            let settings = mfa::Settings::read(&spec).map_err(failed)?;
            let (name, key) = &settings.secret;
            let seed = connector.rights.secret(namespace, name).await?;
            let seed = seed.and_then(|secret| secret.data.get(key).cloned());
            let seed = seed.ok_or_else(|| failed(format!("key `{key}` of Secret {namespace}/{name} is not there")))?;
            settings.generate(&seed, service::now()).map_err(failed)
        }
        "Webhook" => {
            let settings = Value::Object(spec);
            let webhook = Webhook::open(&settings, (namespace, false), (&connector.rights, connector.timeout)).await?;
            webhook.get_map(None).await
        }
        "VaultDynamicSecret" => {
            let settings = vault_dynamic::Settings::read(&spec).map_err(failed)?;
            let provider = connector.dynamic(&settings.provider, namespace).await?;
            vault::generate(&provider, &settings).await
        }
        other => Err(failed(format!(
            "generator `{other}` is not supported: use Password, UUID, SSHKey, MFA, Fake, Webhook or VaultDynamicSecret"
        ))),
    }
}

/// What a generator of the cluster holds: the kind, and its settings under a name of their own.
fn unwrapped(spec: &Map<String, Value>) -> Result<(String, Map<String, Value>), ProviderError> {
    let kind = spec.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let inside = spec.get("generator").and_then(Value::as_object);
    let found =
        inside.into_iter().flatten().find(|(name, _)| name.to_lowercase() == format!("{}spec", kind.to_lowercase()));
    match found.and_then(|(_, spec)| spec.as_object()) {
        Some(spec) => Ok((kind, spec.clone())),
        None => Err(failed(format!("ClusterGenerator has no settings for the kind `{kind}`"))),
    }
}

/// A store in whose words a generator's server is read.
pub(super) fn as_store(provider: &Value, namespace: &str) -> SecretJson {
    let mut vault = provider.clone();
    // A generator reads a path as it is: the version of a key-value engine says nothing here.
    if let Some(fields) = vault.as_object_mut() {
        fields.entry("version").or_insert_with(|| json!("v2"));
    }
    SecretJson::new(json!({
        "apiVersion": "external-secrets.io/v1", "kind": "SecretStore",
        "metadata": { "name": "generator", "namespace": namespace },
        "spec": { "provider": { "vault": vault } },
    }))
}
