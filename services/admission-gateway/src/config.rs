//! The gateway's own settings.

use std::path::PathBuf;

use serde::Deserialize;
use service::{ConfigFault, Configuration};

/// The `service` section of the gateway's configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address of the webhook (HTTPS); port 0 lets the system choose. Default `127.0.0.1:0`.
    pub listen: String,
    /// File to write the bound address to. Default: none.
    pub address_file: Option<PathBuf>,
    /// Folder of the authority and the server certificate; both are made at the first start. Default `certificates`.
    pub certificates: PathBuf,
    /// Names that the server certificate is good for, besides `localhost` and `127.0.0.1`.
    pub server_names: Vec<String>,
    /// Folder of policies and exceptions (YAML). Default `policies`.
    pub policies: PathBuf,
    /// Folder of manifests: pods (as static pods are), namespaces, config maps. Default: none.
    pub manifests: Option<PathBuf>,
    /// What a fault of the gateway itself leads to: `fail` refuses, `ignore` lets in. Default `fail`.
    pub on_fault: OnFault,
    /// Public keys (PEM files) of the transparency logs whose entries count where a policy asks for one and names none.
    pub transparency_log_keys: Vec<PathBuf>,
    /// Registries (`host` or `host:port`) that are read without TLS. Default: none.
    pub insecure_registries: Vec<String>,
    /// How long a review waits for facts that are not in memory, in milliseconds; then the policy's `failurePolicy` decides.
    /// Default 3000.
    pub gather_within_ms: u64,
    /// Whether an image that was never scanned is handed to the scanner. Default true.
    pub scan_unknown: bool,
}

/// What a fault of the gateway itself leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFault {
    /// Refuses the request.
    #[default]
    Fail,
    /// Lets it in, with a warning.
    Ignore,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:0".to_owned(),
            address_file: None,
            certificates: "certificates".into(),
            server_names: Vec::new(),
            policies: "policies".into(),
            manifests: None,
            on_fault: OnFault::Fail,
            transparency_log_keys: Vec::new(),
            insecure_registries: Vec::new(),
            gather_within_ms: 3_000,
            scan_unknown: true,
        }
    }
}

impl Configuration for Config {
    fn check(&self) -> Result<(), ConfigFault> {
        let is_folder = |path: &PathBuf| path.is_dir();
        if !is_folder(&self.policies) {
            let what = format!("`{}` is not a folder: make it, and put policies into it", self.policies.display());
            return Err(ConfigFault { field: "service.policies", what });
        }
        match &self.manifests {
            Some(folder) if !is_folder(folder) => {
                let what = format!("`{}` is not a folder: make it, or leave the field out", folder.display());
                Err(ConfigFault { field: "service.manifests", what })
            }
            _ => Ok(()),
        }
    }
}
