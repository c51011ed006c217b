//! Secrets of the cluster, read through its API server when an image needs them: logins for registries, and public keys of who signs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubernetes::Cluster;
use registry_logins::DockerConfig;
use serde_json::Value;

/// Reads Secrets. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets {
    cluster: Option<Cluster>,
    /// What was read, and when.
    known: Arc<Mutex<HashMap<String, Known>>>,
}

type Known = (Instant, Result<Arc<Held>, String>);

/// What of a Secret is looked at.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) logins: Option<DockerConfig>,
    /// The public key of a pair that cosign made.
    pub(super) key: Option<String>,
}

impl Secrets {
    /// Where Secrets are read.
    pub(super) fn read_from(&mut self, cluster: Cluster) {
        self.cluster = Some(cluster);
    }

    /// Whether any can be read.
    pub(super) fn are_at_hand(&self) -> bool {
        self.cluster.is_some()
    }

    /// A Secret, `name` or `namespace/name`, believed for a minute.
    ///
    /// # Errors
    /// Why it cannot be read; nothing of what is in it.
    pub(super) async fn read(&self, name: &str) -> Result<Arc<Held>, String> {
        let cluster = self.cluster.as_ref().ok_or("no cluster is configured: set `service.kubernetes`")?;
        let name = name.trim_start_matches('/');
        let (namespace, name) = name.split_once('/').unwrap_or((cluster.namespace(), name));
        let place = format!("{namespace}/{name}");
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, held)) = known().get(&place)
            && since.elapsed() < BELIEVED
        {
            return held.clone();
        }
        let held = read(cluster, namespace, name).await.map(Arc::new);
        let mut known = known();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(place, (Instant::now(), held.clone()));
        held
    }
}

async fn read(cluster: &Cluster, namespace: &str, name: &str) -> Result<Held, String> {
    let is_name = |text: &str| text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.'));
    if !is_name(namespace) || !is_name(name) {
        return Err("that is no name of a Secret".to_owned());
    }
    let answer = cluster.get(&format!("/api/v1/namespaces/{namespace}/secrets/{name}")).await;
    let secret = answer.map_err(|error| format!("{}: let the gateway get it", error.chain()))?;
    let secret = secret.ok_or("it is not there")?;
    let bytes = |key: &str| {
        let encoded = secret.get("data").and_then(|data| data.get(key)).and_then(Value::as_str)?;
        STANDARD.decode(encoded).ok()
    };
    let new = bytes(".dockerconfigjson").and_then(|text| DockerConfig::parse(&text).ok());
    let old = || bytes(".dockercfg").and_then(|text| DockerConfig::parse_old(&text).ok());
    let key = bytes("cosign.pub").and_then(|text| String::from_utf8(text).ok());
    Ok(Held { logins: new.or_else(old), key })
}

/// How long what was read is believed.
const BELIEVED: Duration = Duration::from_secs(60);
/// More Secrets than this are not remembered at once.
const MOST_KNOWN: usize = 1_000;
