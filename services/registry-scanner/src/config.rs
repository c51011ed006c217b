//! Settings of the scanner.

use std::path::PathBuf;

use serde::Deserialize;
use service::{ConfigFault, Configuration};

use crate::limits::Limits;

/// The `service` section.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder of OSV JSON files. Default: `advisories` in the working folder.
    pub advisories: PathBuf,
    /// How often the folder of advisories is looked at, in seconds, 1 to 86,400. Default 5.
    pub advisories_poll_s: u64,
    /// Folder that inventories are kept in. Default: none, every scan reads all layers.
    pub store: Option<PathBuf>,
    /// How images are pulled.
    pub pull: Pull,
    /// What an image may cost.
    pub limits: Limits,
    /// Scans at the same time, 1 to 64. Default 2.
    pub parallel_scans: usize,
    /// Scans that may wait, 1 to 10,000; more are refused. Default 100.
    pub waiting_scans: usize,
}

/// How images are pulled.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pull {
    /// Registries, `host:port`, that speak plain HTTP. Those on loopback addresses always do. Default: none.
    pub plain_http_registries: Vec<String>,
    /// Docker configuration file with credentials. Default: none, everything is pulled anonymously.
    pub docker_config: Option<PathBuf>,
    /// How often a failed request or broken download is tried again, 0 to 10. Default 3.
    pub retries: u32,
}

impl Default for Pull {
    fn default() -> Self {
        Self { plain_http_registries: Vec::new(), docker_config: None, retries: 3 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            advisories: PathBuf::from("advisories"),
            advisories_poll_s: 5,
            store: None,
            pull: Pull::default(),
            limits: Limits::default(),
            parallel_scans: 2,
            waiting_scans: 100,
        }
    }
}

impl Configuration for Config {
    fn check(&self) -> Result<(), ConfigFault> {
        let range = |field, value: u64, from: u64, to: u64| {
            let fault = || ConfigFault { field, what: format!("must be from {from} to {to}, not {value}") };
            if (from..=to).contains(&value) { Ok(()) } else { Err(fault()) }
        };
        range("service.advisories_poll_s", self.advisories_poll_s, 1, 86_400)?;
        range("service.parallel_scans", self.parallel_scans as u64, 1, 64)?;
        range("service.waiting_scans", self.waiting_scans as u64, 1, 10_000)?;
        range("service.pull.retries", u64::from(self.pull.retries), 0, 10)?;
        range("service.limits.parallel_layers", self.limits.parallel_layers as u64, 1, 64)?;
        range("service.limits.max_ratio", self.limits.max_ratio, 10, 1_000_000)
    }
}
