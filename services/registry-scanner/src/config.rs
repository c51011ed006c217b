//! Settings of the scanner.

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::ImageReference;
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
    /// Where Trivy's databases come from. Default: nowhere, what is in the folder of advisories is used.
    pub database: DatabaseSources,
    /// How images are pulled.
    pub pull: Pull,
    /// What an image may cost.
    pub limits: Limits,
    /// Scans at the same time, 1 to 64. Default 2.
    pub parallel_scans: usize,
    /// Scans that may wait, 2 to 10,000; more are refused. Default 100. Scans that nobody waits for get half of them.
    pub waiting_scans: usize,
    /// Repositories whose tags are scanned when they are new or move. Default: none.
    pub watched: Vec<Watched>,
    /// Whether images of new pods, and those that admission meets, are scanned when they are not known. Default false.
    pub scan_deployed: bool,
}

/// Where Trivy's databases come from.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSources {
    /// The database of vulnerabilities, as image references with their tags, tried in their order. Default: none.
    pub sources: Vec<String>,
    /// The Java database, which knows archives by their SHA-1. Default: none.
    pub java_sources: Vec<String>,
    /// How often is looked whether there is a newer one, in seconds, 1 to 604,800. Default 3,600: public registries refuse whoever asks
    /// much more often.
    pub every_s: u64,
}

impl Default for DatabaseSources {
    fn default() -> Self {
        Self { sources: Vec::new(), java_sources: Vec::new(), every_s: 3_600 }
    }
}

/// A repository that is watched.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watched {
    /// Registry and repository, without a tag.
    pub repository: String,
    /// Patterns of tags, such as `v*`. Default: all tags.
    #[serde(default = "all_tags")]
    pub tags: Vec<String>,
    /// How often it is looked at, in seconds, 1 to 604,800. Default 600.
    #[serde(default = "ten_minutes")]
    pub every_s: u64,
}

fn all_tags() -> Vec<String> {
    vec!["*".to_owned()]
}

fn ten_minutes() -> u64 {
    600
}

/// How images are pulled.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pull {
    /// Registries, `host:port`, that speak plain HTTP. Those on loopback addresses always do. Default: none.
    pub plain_http_registries: Vec<String>,
    /// Docker configuration file with credentials. Default: none, everything is pulled anonymously.
    pub docker_config: Option<PathBuf>,
    /// Folder of Kubernetes pull secrets, each mounted as `.dockerconfigjson` or `.dockercfg` in it or in a folder of it. They are asked
    /// before the docker configuration. Default: none.
    pub pull_secrets: Option<PathBuf>,
    /// Mirrors by registry, as `host:port` or `host:port/prefix`: asked in their order before the registry itself. Default: none.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// How often a failed request or broken download is tried again, 0 to 10. Default 3.
    pub retries: u32,
    /// What is asked of repositories of Maven when folders are scanned.
    pub maven: Maven,
}

/// What is asked of repositories of Maven when folders are scanned. Images need none of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Maven {
    /// Whether projects that others need, and that are not in the local repository, are fetched. It tells the repositories what the
    /// projects need. Default false: a project is resolved as far as files are there.
    pub fetch: bool,
    /// Mirrors by the address of the repository that they stand for, asked in their order; beside those of Maven's own `settings.xml`,
    /// and after them. Default: none.
    pub mirrors: BTreeMap<String, Vec<String>>,
}

impl Default for Pull {
    fn default() -> Self {
        Self {
            plain_http_registries: Vec::new(),
            docker_config: None,
            pull_secrets: None,
            mirrors: BTreeMap::new(),
            retries: 3,
            maven: Maven::default(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            advisories: PathBuf::from("advisories"),
            advisories_poll_s: 5,
            store: None,
            database: DatabaseSources::default(),
            pull: Pull::default(),
            limits: Limits::default(),
            parallel_scans: 2,
            waiting_scans: 100,
            watched: Vec::new(),
            scan_deployed: false,
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
        range("service.waiting_scans", self.waiting_scans as u64, 2, 10_000)?;
        range("service.database.every_s", self.database.every_s, 1, 604_800)?;
        for source in self.database.sources.iter().chain(&self.database.java_sources) {
            if source.parse::<ImageReference>().is_err() {
                let what = format!("must be image references with a tag, not `{source}`");
                return Err(ConfigFault { field: "service.database", what });
            }
        }
        for watched in &self.watched {
            range("service.watched.every_s", watched.every_s, 1, 604_800)?;
            let last = watched.repository.rsplit('/').next().unwrap_or_default();
            if last.contains([':', '@']) || watched.repository.parse::<ImageReference>().is_err() {
                let what = format!("must be registry/repository without a tag, not `{}`", watched.repository);
                return Err(ConfigFault { field: "service.watched.repository", what });
            }
        }
        range("service.pull.retries", u64::from(self.pull.retries), 0, 10)?;
        range("service.limits.parallel_layers", self.limits.parallel_layers as u64, 1, 64)?;
        range("service.limits.max_ratio", self.limits.max_ratio, 10, 1_000_000)
    }
}
