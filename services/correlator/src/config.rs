//! Settings of the correlator.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use service::{ConfigFault, Configuration};

/// The `service` section.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder of incident rules (`*.yaml`, `*.yml`). Default: the three that ship with biotope.
    pub rules: Option<PathBuf>,
    /// Folder of the state; made when absent. One process owns it. Default `biotope-state/correlator`.
    pub state: PathBuf,
    /// The console and its API.
    pub http: Http,
    /// Longest time between two commits, in milliseconds, 10 to 10 000. An incident is committed at once. Default 200.
    pub commit_every_ms: u64,
    /// Most events between two commits, 100 to 1 000 000. Default 20 000.
    pub commit_events: usize,
    /// Whether the responses that rules name are asked for. Default false: incidents only list them.
    pub respond: bool,
}

/// The console and its API.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address to listen on; port 0 lets the system choose. Any other than loopback needs `token_file`. Default `127.0.0.1:0`.
    pub listen: SocketAddr,
    /// File to write the bound address to, for whoever started the service. Default: none.
    pub address_file: Option<PathBuf>,
    /// File that holds the bearer token which every request must bring. Default: none, on loopback only.
    pub token_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rules: None,
            state: PathBuf::from("biotope-state/correlator"),
            http: Http::default(),
            commit_every_ms: 200,
            commit_events: 20_000,
            respond: false,
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)), address_file: None, token_file: None }
    }
}

impl Configuration for Config {
    fn check(&self) -> Result<(), ConfigFault> {
        let fault = |field, what: &str| Err(ConfigFault { field, what: what.to_owned() });
        if !self.http.listen.ip().is_loopback() && self.http.token_file.is_none() {
            return fault("service.http.token_file", "is needed when service.http.listen is not a loopback address");
        }
        if !(10..=10_000).contains(&self.commit_every_ms) {
            return fault("service.commit_every_ms", "must be from 10 to 10000");
        }
        if !(100..=1_000_000).contains(&self.commit_events) {
            return fault("service.commit_events", "must be from 100 to 1000000");
        }
        if self.rules.as_ref().is_some_and(|folder| !folder.is_dir()) {
            return fault("service.rules", "is not a folder");
        }
        Ok(())
    }
}
