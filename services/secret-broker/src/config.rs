//! The broker's own settings.

use std::path::PathBuf;

use serde::Deserialize;
use service::{ConfigFault, Configuration};

/// The `service` section of the broker's configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder of manifests (YAML): stores, external secrets, Secrets with credentials. Default `secrets`.
    pub manifests: PathBuf,
    /// The cluster to serve instead of folders: its manifests, its Secrets, its pods. Default: none.
    pub kubernetes: Option<KubernetesConfig>,
    /// Folder that Secrets are written to, best on tmpfs: `<namespace>/<name>/<key>`. Default `targets`.
    pub targets: PathBuf,
    /// Folder of pod manifests, from which it is known who holds what. Default: none.
    pub pods: Option<PathBuf>,
    /// Folder of what the broker keeps for itself: the key of hashes. Default `state`.
    pub state: PathBuf,
    /// Credentials that are not in the manifests' folder.
    pub credentials: Vec<CredentialSource>,
    /// Milliseconds between two looks at the version of a secret, 100 to 3600000. Default 1000.
    pub check_interval_ms: u64,
    /// Address and port on which audit devices of vaults (kind `socket`, TCP or UDP) may tell of changes: a vault that does is asked
    /// for versions only now and then, and its changes are seen at once. Default: none.
    pub audit_address: Option<String>,
    /// Seconds between two looks at the versions of a vault that tells of changes, 1 to 86400: what was missed is found by then. Default 1800.
    pub followed_interval_s: u64,
    /// Seconds without a word from its store after which a secret counts as stale, 1 to 604800. Default 300.
    pub stale_after_s: u64,
    /// Seconds that a store has to answer, 1 to 300. Default 10.
    pub store_timeout_s: u64,
    /// Address of Amazon's services in place of those of a region, such as that of an endpoint in a private network. Default: none.
    pub aws_endpoint: Option<String>,
    /// Whether an ExternalSecret may write another object than a Secret (`target.manifest`). Default false.
    pub allow_generic_targets: bool,
}

/// A cluster to serve.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KubernetesConfig {
    /// Path of a kubeconfig. Default: the pod's service account, else the user's own kubeconfig.
    pub kubeconfig: Option<PathBuf>,
    /// The lease by which one of several brokers leads.
    pub lease: LeaseConfig,
}

/// The lease by which one of several brokers leads; the others wait.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeaseConfig {
    /// Its name. Default `biotope-secret-broker`.
    pub name: String,
    /// Its namespace. Default: that of the broker's pod, or that of the kubeconfig.
    pub namespace: Option<String>,
    /// Seconds after which a silent leader is replaced, 3 to 3600. Default 15.
    pub duration_s: u64,
}

impl Default for LeaseConfig {
    fn default() -> Self {
        Self { name: "biotope-secret-broker".to_owned(), namespace: None, duration_s: 15 }
    }
}

/// Where one credential comes from: a key of a Secret that stores refer to, read from a file or a variable.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CredentialSource {
    /// Namespace of the Secret that stores refer to.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its key.
    pub key: String,
    /// File that holds the value; read again at every login.
    pub file: Option<PathBuf>,
    /// Environment variable that holds the value.
    pub variable: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            manifests: "secrets".into(),
            kubernetes: None,
            targets: "targets".into(),
            pods: None,
            state: "state".into(),
            credentials: Vec::new(),
            check_interval_ms: 1_000,
            audit_address: None,
            followed_interval_s: 1_800,
            stale_after_s: 300,
            store_timeout_s: 10,
            aws_endpoint: None,
            allow_generic_targets: false,
        }
    }
}

impl Configuration for Config {
    fn check(&self) -> Result<(), ConfigFault> {
        let range = |field, value: u64, (low, high): (u64, u64)| match (low..=high).contains(&value) {
            true => Ok(()),
            false => Err(ConfigFault { field, what: format!("must be from {low} to {high}, not {value}") }),
        };
        range("service.check_interval_ms", self.check_interval_ms, (100, 3_600_000))?;
        range("service.followed_interval_s", self.followed_interval_s, (1, 86_400))?;
        if let Some(address) = &self.audit_address
            && address.parse::<std::net::SocketAddr>().is_err()
        {
            let what = format!("`{address}` is no address with a port: write `0.0.0.0:8299`, or `[::]:8299`");
            return Err(ConfigFault { field: "service.audit_address", what });
        }
        range("service.stale_after_s", self.stale_after_s, (1, 604_800))?;
        range("service.store_timeout_s", self.store_timeout_s, (1, 300))?;
        if let Some(kubernetes) = &self.kubernetes {
            range("service.kubernetes.lease.duration_s", kubernetes.lease.duration_s, (3, 3_600))?;
        }
        let folder = |field, path: &PathBuf| match path.is_dir() {
            true => Ok(()),
            false => Err(ConfigFault { field, what: format!("`{}` is not a folder: make it", path.display()) }),
        };
        if self.kubernetes.is_none() {
            folder("service.manifests", &self.manifests)?;
        }
        self.pods.iter().try_for_each(|pods| folder("service.pods", pods))?;
        let is_one = |source: &CredentialSource| source.file.is_some() != source.variable.is_some();
        match self.credentials.iter().all(|source| is_one(source) && !source.name.is_empty() && !source.key.is_empty())
        {
            true => Ok(()),
            false => {
                let what = "each entry needs `namespace`, `name`, `key`, and either `file` or `variable`".to_owned();
                Err(ConfigFault { field: "service.credentials", what })
            }
        }
    }
}
