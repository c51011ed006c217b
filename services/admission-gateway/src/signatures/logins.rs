//! Who to be for a registry: logins from Secrets that a policy, a pod or the configuration names, and from a docker configuration.
//!
//! A login goes to the registry that its entry is for, and to nobody else; what is secret of it cannot be printed.

use std::path::PathBuf;
use std::sync::Arc;

use admission_policy::RegistryAccess;
use model::ImageReference;
use registry_logins::{Login, best_fit};
use serde_json::Value;

use super::secrets::{Held, Secrets};
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
    cluster: Secrets,
    /// Whether the pull secrets of pods are read.
    of_pods: bool,
}

impl Logins {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            docker_config: config.docker_config.clone(),
            secrets: config.pull_secrets.clone(),
            of_pods: config.kubernetes.as_ref().is_some_and(|kubernetes| kubernetes.pod_pull_secrets),
            ..Self::default()
        }
    }

    /// The same, where Secrets are read.
    pub(super) fn with(self, cluster: Secrets) -> Self {
        Self { cluster, ..self }
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
            let login = best_fit(read.iter().flatten().filter_map(|held| held.logins.as_ref()), image);
            if login.is_some() {
                return login;
            }
        }
        let (path, registry) = (self.docker_config.clone()?, image.registry().to_owned());
        // A helper is a program, and may take its time.
        let found = tokio::task::spawn_blocking(move || registry_logins::read(&path)?.find(&registry));
        found.await.ok().flatten()
    }

    async fn secret(&self, name: &str) -> Option<Arc<Held>> {
        if !self.cluster.are_at_hand() {
            return None;
        }
        match self.cluster.read(name).await {
            Ok(held) if held.logins.is_some() => return Some(held),
            Ok(_) => tracing::warn!(name, "a Secret is no pull secret that can be read, passed over"),
            Err(why) => tracing::warn!(name, why, "a pull secret cannot be read, passed over"),
        }
        None
    }
}

/// At most this many Secrets are read for one image.
const MOST_SECRETS: usize = 20;
