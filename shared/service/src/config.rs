//! Configuration: one YAML file, checked once at the edge.

use std::path::{Path, PathBuf};

use model::{ClusterName, NodeName};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The part of a configuration that belongs to one service.
pub trait Configuration: DeserializeOwned + Default + Send + 'static {
    /// Checks what types cannot: ranges, files that must be there, fields that exclude each other.
    ///
    /// # Errors
    /// The field and what is wrong with it.
    fn check(&self) -> Result<(), ConfigFault> {
        Ok(())
    }
}

/// One field that is wrong.
#[derive(Debug, thiserror::Error)]
#[error("`{field}`: {what}")]
pub struct ConfigFault {
    /// Path of the field, such as `service.policies.folder`.
    pub field: &'static str,
    /// What is wrong with it, and what would be right.
    pub what: String,
}

/// A whole configuration file.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, bound(deserialize = "C: Deserialize<'de> + Default"))]
pub struct Settings<C> {
    /// Cluster name, a DNS label; a token of every subject. Default: `local`.
    pub cluster: ClusterName,
    /// Node name, for services that run on each node. Default: none.
    pub node: Option<NodeName>,
    /// The bus.
    pub bus: bus::Config,
    /// Health and metrics.
    pub admin: Admin,
    /// Logs and traces.
    pub telemetry: Telemetry,
    /// Seconds that work in hand has to finish after a signal, 0 to 600. Default 10.
    pub shutdown_grace_s: u64,
    /// The service's own settings.
    pub service: C,
}

impl<C: Default> Default for Settings<C> {
    #[expect(clippy::expect_used, reason = "INVARIANT: the literal is a DNS label")]
    fn default() -> Self {
        Self {
            cluster: "local".parse().expect("literal"),
            node: None,
            bus: bus::Config::default(),
            admin: Admin::default(),
            telemetry: Telemetry::default(),
            shutdown_grace_s: 10,
            service: C::default(),
        }
    }
}

/// The admin server: `/live`, `/ready`, `/metrics`, `/faults`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address to listen on; port 0 lets the system choose. Default `127.0.0.1:0`.
    pub listen: String,
    /// File to write the bound address to, for whoever started the service. Default: none.
    pub address_file: Option<PathBuf>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: "127.0.0.1:0".to_owned(), address_file: None }
    }
}

/// Logs and traces.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// Log filter: a level, or `target=level` items. Default `info`.
    pub log: String,
    /// Whether logs are JSON lines instead of text for people. Default false.
    pub json: bool,
    /// OTLP endpoint (gRPC) for traces, such as `http://127.0.0.1:4317`. Default: the environment's
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`; without it traces are off.
    pub otlp_endpoint: Option<String>,
    /// Share of traces to keep, 0 to 1. Default 1.
    pub sample_ratio: f64,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { log: "info".to_owned(), json: false, otlp_endpoint: None, sample_ratio: 1.0 }
    }
}

/// Loads and checks a configuration; all defaults when `path` is `None`.
///
/// # Errors
/// Names the file, the line where there is one, the field and the remedy.
pub fn load<C: Configuration>(path: Option<&Path>) -> Result<Settings<C>, LoadError> {
    let Some(path) = path else { return checked(Settings::default(), Path::new("(defaults)")) };
    let text = std::fs::read_to_string(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    parse(&text, path)
}

/// Parses and checks the text of a configuration; `path` is for messages.
///
/// # Errors
/// As [`load`].
pub fn parse<C: Configuration>(text: &str, path: &Path) -> Result<Settings<C>, LoadError> {
    if text.trim().is_empty() {
        return checked(Settings::default(), path);
    }
    let settings = serde_saphyr::from_str(text).map_err(|error| {
        let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        let said = error.to_string();
        let first = said.lines().next().unwrap_or_default();
        // The library repeats the place in front of its message.
        let what = first.split_once(&format!("column {column}: ")).map_or(first, |(_, what)| what).to_owned();
        LoadError::Parse { path: path.to_owned(), line, column, what }
    })?;
    checked(settings, path)
}

fn checked<C: Configuration>(settings: Settings<C>, path: &Path) -> Result<Settings<C>, LoadError> {
    let fault = |field, what: &str| LoadError::Field {
        path: path.to_owned(),
        fault: ConfigFault { field, what: what.to_owned() },
    };
    if !(1..=5).contains(&settings.bus.replicas) {
        return Err(fault("bus.replicas", "must be from 1 to 5"));
    }
    if settings.bus.servers.is_empty() {
        return Err(fault("bus.servers", "must name at least one server, such as nats://127.0.0.1:4222"));
    }
    if settings.shutdown_grace_s > 600 {
        return Err(fault("shutdown_grace_s", "must be from 0 to 600 seconds"));
    }
    if !(0.0..=1.0).contains(&settings.telemetry.sample_ratio) {
        return Err(fault("telemetry.sample_ratio", "must be from 0 to 1"));
    }
    settings.service.check().map_err(|fault| LoadError::Field { path: path.to_owned(), fault })?;
    Ok(settings)
}

/// A configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why; part of the line, for this error ends the process.
        source: std::io::Error,
    },
    /// The file is no YAML, or has a field that does not exist or has another type.
    #[error("{}:{line}:{column}: {what}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong.
        what: String,
    },
    /// A field has a value that cannot be used.
    #[error("{}: {fault}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The field.
        fault: ConfigFault,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Own {
        size: u32,
    }

    impl Configuration for Own {
        fn check(&self) -> Result<(), ConfigFault> {
            let fault = || ConfigFault { field: "service.size", what: "must be at most 10".to_owned() };
            if self.size > 10 { Err(fault()) } else { Ok(()) }
        }
    }

    fn check(text: &str, expected: &str) {
        let error = parse::<Own>(text, Path::new("c.yaml")).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error:?} does not start with {expected:?}");
    }

    #[test]
    fn names_file_line_and_field() {
        check("cluster: local\nbus:\n  serverz: []\n", "c.yaml:3:3: unknown field `serverz`");
        check("service:\n  size: many\n", "c.yaml:2:9:");
        check("service: { size: 11 }\n", "c.yaml: `service.size`: must be at most 10");
        check("cluster: [\n", "c.yaml:");
        check("cluster: Not A Label\n", "c.yaml:1:10:");
    }

    #[test]
    fn everything_has_a_default() {
        assert_eq!(parse::<Own>("", Path::new("c.yaml")).unwrap().cluster.as_str(), "local");
        assert_eq!(parse::<Own>("service: { size: 3 }", Path::new("c.yaml")).unwrap().service.size, 3);
    }
}
