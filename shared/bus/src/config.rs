//! How a service reaches NATS.

use std::path::PathBuf;

use serde::Deserialize;

/// The `bus` section of a service's configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Servers, tried in turn: `nats://host:port` or `tls://host:port`. Default: `nats://127.0.0.1:4222`.
    pub servers: Vec<String>,
    /// How to authenticate. Default: not at all.
    pub auth: Auth,
    /// TLS. Default: as the server asks.
    pub tls: Tls,
    /// Copies of each stream, 1 to 5. Default 1; the chart sets 3.
    pub replicas: usize,
    /// Longest wait for the first connection, in seconds; 0 waits for ever. Default 0.
    pub connect_timeout_s: u64,
    /// Spool on disk for events that must not be lost. Default: none, events wait in memory.
    pub spool: Option<Spool>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            servers: vec!["nats://127.0.0.1:4222".to_owned()],
            auth: Auth::default(),
            tls: Tls::default(),
            replicas: 1,
            connect_timeout_s: 0,
            spool: None,
        }
    }
}

/// How to authenticate: user and password, an nkey seed, or a credentials file.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// User name; goes with `password_file`.
    pub user: Option<String>,
    /// File that holds the password.
    pub password_file: Option<PathBuf>,
    /// File that holds the nkey seed.
    pub nkey_seed_file: Option<PathBuf>,
    /// Credentials file (JWT and seed) as `nsc` writes it.
    pub credentials_file: Option<PathBuf>,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").field("user", &self.user).finish_non_exhaustive()
    }
}

/// TLS towards the server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Refuse a connection without TLS.
    pub required: bool,
    /// Certificates of the authorities to trust, PEM.
    pub ca_file: Option<PathBuf>,
    /// Client certificate, PEM; goes with `key_file`.
    pub cert_file: Option<PathBuf>,
    /// Client key, PEM.
    pub key_file: Option<PathBuf>,
}

/// The spool on disk.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spool {
    /// Folder; made when absent. One service instance owns it.
    pub folder: PathBuf,
    /// Most bytes in the folder, from 1 MiB. Default 256 MiB.
    #[serde(default = "default_spool_bytes")]
    pub max_bytes: u64,
}

fn default_spool_bytes() -> u64 {
    256 * 1024 * 1024
}
