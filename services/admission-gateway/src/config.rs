//! The gateway's own settings.

use std::path::PathBuf;

use serde::Deserialize;
use service::{ConfigFault, Configuration};

use crate::cluster::Reach;

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
    /// Public keys (PEM files) of the transparency logs for certificates whose timestamps count where a policy asks for one and names
    /// none.
    pub certificate_log_keys: Vec<PathBuf>,
    /// Certificates (PEM files) of the authorities that issue keyless identities, such as Fulcio's root and intermediate, where a policy
    /// names no `roots`. Default: none, and then keyless attestors without `roots` stay unknown.
    pub fulcio_roots: Vec<PathBuf>,
    /// Trusted roots of Sigstore (`trusted_root.json`): the logs and authorities of an installation in one file, added to those above.
    /// Default: none.
    pub trusted_roots: Vec<PathBuf>,
    /// Certificates (PEM files) of authorities for timestamps (RFC 3161), each with its root. Default: none.
    pub timestamp_authorities: Vec<PathBuf>,
    /// Registries (`host` or `host:port`) that are read without TLS. Default: none.
    pub insecure_registries: Vec<String>,
    /// Docker configuration with logins for registries, as `docker login` writes it. Default: none.
    pub docker_config: Option<PathBuf>,
    /// Pull secrets with logins for registries, besides those that policies name: `name` in the gateway's own namespace, or
    /// `namespace/name`. Read through the API server of `kubernetes`. Default: none.
    pub pull_secrets: Vec<String>,
    /// Where policies may have no service called: networks, addresses, and hosts by name. Default: loopback, and the addresses that clouds
    /// give a machine its credentials by. As Kyverno's `httpBlocklist`, a list of one's own takes the place of the default.
    pub http_blocklist: Vec<String>,
    /// Beginnings of URLs (`https://api.example.com/v1/`). When there is any, policies may have only these called, and of these none that is
    /// blocked. Default: none.
    pub http_allowlist: Vec<String>,
    /// How long a review waits for facts that are not in memory, in milliseconds; then the policy's `failurePolicy` decides.
    /// Default 3000.
    pub gather_within_ms: u64,
    /// Whether an image that was never scanned is handed to the scanner. Default true.
    pub scan_unknown: bool,
    /// The cluster to serve: its policies, its facts, its pods. Default: none; folders only.
    pub kubernetes: Option<KubernetesConfig>,
}

/// A cluster to serve.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KubernetesConfig {
    /// Path of a kubeconfig. Default: the pod's service account, else the user's own kubeconfig.
    pub kubeconfig: Option<PathBuf>,
    /// How the API server is told about the webhooks. Default: not at all; somebody else does.
    pub register: Option<Registration>,
    /// Secret, in the gateway's own namespace, that keeps the authority for all replicas; made by the first. Default: none, each
    /// gateway has an authority of its own in `certificates`.
    pub authority_secret: Option<String>,
    /// Whether the `imagePullSecrets` of a pod that is reviewed are read, to ask the registries of its images. The gateway then needs the
    /// right to get Secrets in all namespaces. Default false.
    pub pod_pull_secrets: bool,
    /// How often everything in the cluster is judged for reports (PolicyReport), in seconds; 0 for never. Default 3600.
    pub background_scan_interval_s: u64,
}

impl Default for KubernetesConfig {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            register: None,
            authority_secret: None,
            pod_pull_secrets: false,
            background_scan_interval_s: 3_600,
        }
    }
}

/// How the API server is told about the webhooks.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registration {
    /// The service in front of the gateway. Default: none; the address that it listens on is registered.
    pub service: Option<ServiceReference>,
    /// Host that the API server reaches the gateway by, with the port that it listens on. Default: the address itself.
    pub host: Option<String>,
    /// What the API server does when it cannot reach the gateway: `fail` refuses, `ignore` lets in. Default `fail`.
    pub failure_policy: OnFault,
    /// Namespaces that are never asked about, besides `kube-system` and `kube-node-lease`. Name biotope's own here.
    pub excluded_namespaces: Vec<String>,
    /// How long the API server waits for a verdict, in seconds, 1 to 30. Default 10.
    pub timeout_s: u8,
    /// ClusterRole that owns the registrations: they are removed with it, so that nothing is refused for want of a gateway. Default:
    /// none, they stay.
    pub owner_cluster_role: Option<String>,
    /// ClusterRoles and ClusterRoleBindings whose deletion is not asked about: those of the platform itself, which goes when nobody is left
    /// to answer. Default: none.
    pub own_cluster_roles: Vec<String>,
}

/// A service of the cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceReference {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its port. Default 443.
    #[serde(default = "https")]
    pub port: u16,
}

fn https() -> u16 {
    443
}

impl Default for Registration {
    fn default() -> Self {
        Self {
            service: None,
            host: None,
            failure_policy: OnFault::Fail,
            excluded_namespaces: Vec::new(),
            timeout_s: 10,
            owner_cluster_role: None,
            own_cluster_roles: Vec::new(),
        }
    }
}

impl Registration {
    /// Host and port to register for a gateway that listens on `address`.
    pub(crate) fn url_host(&self, address: &str) -> String {
        match (&self.host, address.rsplit_once(':')) {
            (Some(host), Some((_, port))) => format!("{host}:{port}"),
            _ => address.to_owned(),
        }
    }
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

/// What no policy may have called unless the configuration says otherwise: this machine, and what clouds give it credentials by.
const BLOCKED: [&str; 8] = [
    "127.0.0.0/8",
    "::1/128",
    "0.0.0.0/8",
    "::/128",
    "169.254.0.0/16",
    "fe80::/10",
    "fd00:ec2::254",
    "metadata.google.internal",
];

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
            certificate_log_keys: Vec::new(),
            fulcio_roots: Vec::new(),
            trusted_roots: Vec::new(),
            timestamp_authorities: Vec::new(),
            insecure_registries: Vec::new(),
            docker_config: None,
            pull_secrets: Vec::new(),
            http_blocklist: BLOCKED.map(str::to_owned).to_vec(),
            http_allowlist: Vec::new(),
            gather_within_ms: 3_000,
            scan_unknown: true,
            kubernetes: None,
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
        for (field, blocked, allowed) in [
            ("service.http_blocklist", self.http_blocklist.as_slice(), &[][..]),
            ("service.http_allowlist", &[][..], self.http_allowlist.as_slice()),
        ] {
            Reach::new(blocked, allowed).map_err(|error| ConfigFault { field, what: error.to_string() })?;
        }
        let register = self.kubernetes.as_ref().and_then(|kubernetes| kubernetes.register.as_ref());
        if register.is_some_and(|register| !(1..=30).contains(&register.timeout_s)) {
            return Err(ConfigFault {
                field: "service.kubernetes.register.timeout_s",
                what: "must be from 1 to 30".to_owned(),
            });
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
