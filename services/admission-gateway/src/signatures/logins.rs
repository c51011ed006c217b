//! Who to be for a registry: logins from Secrets that a policy, a pod or the configuration names, and from a docker configuration.
//!
//! A login goes to the registry that its entry is for, and to nobody else; what is secret of it cannot be printed.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use admission_policy::RegistryAccess;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubernetes::Cluster;
use model::ImageReference;
use registry_logins::{DockerConfig, Login, best_fit};
use serde_json::Value;

use crate::config::Config;

/// The pull secrets of the pod that is reviewed.
#[derive(Clone, Debug, Default)]
pub(crate) struct PullSecrets {
    namespace: String,
    names: Vec<String>,
}

impl PullSecrets {
    /// Those that an object's pods name; none for an object that makes no pods.
    pub(crate) fn of(object: &Value) -> Self {
        let named = kubernetes::pod::spec(object).and_then(|spec| spec.get("imagePullSecrets"));
        let names = named.and_then(Value::as_array).into_iter().flatten();
        let name = |one: &Value| one.get("name").and_then(Value::as_str).map(str::to_owned);
        Self {
            namespace: kubernetes::pod::namespace(object).to_owned(),
            names: names.filter_map(name).take(MOST_SECRETS).collect(),
        }
    }
}

/// Finds logins. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Logins {
    docker_config: Option<PathBuf>,
    /// Secrets of the configuration.
    secrets: Vec<String>,
    cluster: Option<Cluster>,
    /// Whether the pull secrets of pods are read.
    of_pods: bool,
    /// What was read of Secrets, and when.
    known: Arc<Mutex<HashMap<String, Known>>>,
}

type Known = (Instant, Option<Arc<DockerConfig>>);

impl Logins {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            docker_config: config.docker_config.clone(),
            secrets: config.pull_secrets.clone(),
            of_pods: config.kubernetes.as_ref().is_some_and(|kubernetes| kubernetes.pod_pull_secrets),
            ..Self::default()
        }
    }

    /// Where Secrets are read.
    pub(super) fn read_from(&mut self, cluster: Cluster) {
        self.cluster = Some(cluster);
    }

    /// The login for an image: of the Secrets that the policy and the pod name, then of those of the configuration, then of the docker
    /// configuration. Each Secret is read through the API server and believed for a minute.
    pub(super) async fn find(
        &self,
        image: &ImageReference,
        (access, pulls): (&RegistryAccess, &PullSecrets),
    ) -> Option<Login> {
        let of_pod = pulls.names.iter().filter(|_| self.of_pods).map(|name| format!("{}/{name}", pulls.namespace));
        let of_policy = access.secrets.iter().cloned();
        let named: Vec<String> = of_policy.chain(of_pod).take(MOST_SECRETS).collect();
        for names in [&named, &self.secrets] {
            let read = futures::future::join_all(names.iter().map(|name| self.secret(name))).await;
            let login = best_fit(read.iter().flatten().map(AsRef::as_ref), image);
            if login.is_some() {
                return login;
            }
        }
        let (path, registry) = (self.docker_config.clone()?, image.registry().to_owned());
        // A helper is a program, and may take its time.
        let found = tokio::task::spawn_blocking(move || registry_logins::read(&path)?.find(&registry));
        found.await.ok().flatten()
    }

    async fn secret(&self, name: &str) -> Option<Arc<DockerConfig>> {
        let cluster = self.cluster.as_ref()?;
        let name = name.trim_start_matches('/');
        let (namespace, name) = name.split_once('/').unwrap_or((cluster.namespace(), name));
        let place = format!("{namespace}/{name}");
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, config)) = known().get(&place)
            && since.elapsed() < BELIEVED
        {
            return config.clone();
        }
        let config = read(cluster, namespace, name).await.map(Arc::new);
        let mut known = known();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(place, (Instant::now(), config.clone()));
        config
    }
}

/// Reads a pull secret. What is wrong with its content is not told in detail: it may be a password.
async fn read(cluster: &Cluster, namespace: &str, name: &str) -> Option<DockerConfig> {
    let is_name = |text: &str| text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.'));
    if !is_name(namespace) || !is_name(name) {
        tracing::warn!(namespace, name, "not a name of a pull secret");
        return None;
    }
    let secret = match cluster.get(&format!("/api/v1/namespaces/{namespace}/secrets/{name}")).await {
        Ok(Some(secret)) => secret,
        Ok(None) => {
            tracing::info!(namespace, name, "a pull secret is not there, passed over");
            return None;
        }
        Err(error) => {
            let error = error.chain();
            tracing::warn!(namespace, name, error, "a pull secret cannot be read, passed over: let the gateway get it");
            return None;
        }
    };
    let text = |key: &str| {
        let encoded = secret.get("data").and_then(|data| data.get(key)).and_then(Value::as_str)?;
        STANDARD.decode(encoded).ok()
    };
    let new = text(".dockerconfigjson").and_then(|text| DockerConfig::parse(&text).ok());
    let config = new.or_else(|| text(".dockercfg").and_then(|text| DockerConfig::parse_old(&text).ok()));
    if config.is_none() {
        tracing::warn!(namespace, name, "a Secret is no pull secret that can be read, passed over");
    }
    config
}

/// How long what was read of a Secret is believed.
const BELIEVED: Duration = Duration::from_secs(60);
/// More Secrets than this are not remembered at once.
const MOST_KNOWN: usize = 1_000;
/// At most this many Secrets are read for one image.
const MOST_SECRETS: usize = 20;
