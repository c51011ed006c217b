//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::policy::args::Policy;
use crate::scan::args::Scan;

/// Kubernetes security from build to run: scan, admit, deliver secrets, watch, and join it all into incidents.
#[derive(Debug, Parser)]
#[command(name = "biotope", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// How results are printed: table, json, or junit (`policy test` only). Of `scan` also the file to write to.
    #[arg(long, short, global = true, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: OutputTo,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// What `--output` may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OutputTo {
    /// A form, on standard output.
    Format(Format),
    /// A file.
    File(PathBuf),
}

impl std::str::FromStr for OutputTo {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let format = Format::from_str(text, false);
        Ok(format.map_or_else(|_| Self::File(PathBuf::from(text)), Self::Format))
    }
}

impl OutputTo {
    /// The form, for commands that write no files.
    pub(crate) fn format(&self) -> anyhow::Result<Format> {
        match self {
            Self::Format(format) => Ok(*format),
            Self::File(file) => anyhow::bail!("`--output {}`: it is table, json or junit here", file.display()),
        }
    }
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    #[value(alias = "text")]
    Table,
    /// For programs.
    Json,
    /// For continuous integration: `policy test` only, a table elsewhere.
    Junit,
}

impl Format {
    /// The format of commands that make no test reports.
    pub(crate) fn plain(self) -> Output {
        match self {
            Self::Json => Output::Json,
            Self::Table | Self::Junit => Output::Table,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts the platform on this machine and keeps it running until Ctrl-C.
    Up(Up),
    /// Plays one real story through all five services and checks that it becomes one incident.
    Demo(Demo),
    /// Scans an image, a folder or a bill of material, without a running platform.
    Scan(Box<Scan>),
    /// Fetches and shows the vulnerability database.
    Db {
        #[command(subcommand)]
        command: Database,
    },
    /// Shows incidents of a running platform.
    Incidents {
        #[command(subcommand)]
        command: Incidents,
        #[command(flatten)]
        connection: Connection,
    },
    /// Prints events of a running platform as they come.
    #[command(alias = "tail")]
    Events {
        #[command(flatten)]
        connection: Connection,
        /// Ends after this many seconds; 0 goes on until Ctrl-C.
        #[arg(long, default_value_t = 0)]
        seconds: u64,
    },
    /// Works with Kyverno policies.
    Policy {
        #[command(subcommand)]
        command: Policy,
    },
    /// Works with Falco rules.
    Rules {
        #[command(subcommand)]
        command: Rules,
    },
    /// Watches this machine without a platform, or plays what was recorded.
    Sensor {
        #[command(subcommand)]
        command: Sensor,
    },
    /// Shows what was synced and who holds it, and renders External Secrets' manifests.
    Secrets {
        #[command(subcommand)]
        command: Secrets,
    },
    /// Runs incident rules over the stored events and prints the incidents that would have been.
    Replay {
        /// Rules file (YAML).
        #[arg(long, value_name = "FILE")]
        rules: PathBuf,
        /// First event time, RFC 3339. Default: all that is stored.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Says what is there, what is missing, and the command that cures it.
    Doctor {
        #[command(flatten)]
        connection: Connection,
    },
    /// Prints a completion script for a shell.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Secrets {
    /// Lists what was synced, with versions and the number of pods that hold it.
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Lists the pods that were handed a secret, with the version that each has.
    Holders {
        /// Path in the store, or `namespace/name` of the Kubernetes Secret.
        path: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Asks the broker for a new version.
    Rotate {
        /// Store: NAMESPACE/NAME of a `SecretStore`, or NAME of a `ClusterSecretStore`; `secrets list -o json` names them too.
        #[arg(value_parser = store)]
        store: String,
        /// Path in the store.
        path: String,
        /// Why, for the audit trail: an incident id, or your words.
        #[arg(long, default_value = "asked for on the command line")]
        reason: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Renders ExternalSecret manifests with given values, without a store. Prints the values: do not use real ones.
    Render {
        /// Manifests (YAML).
        manifest: PathBuf,
        /// Values (YAML): `path: { property: value }`.
        #[arg(long, value_name = "FILE")]
        values: PathBuf,
    },
}

/// Where the running platform is.
#[derive(Clone, Debug, Args)]
pub(crate) struct Connection {
    /// Folder of a platform that `biotope up` started.
    #[arg(long, global = true, value_name = "FOLDER", env = "BIOTOPE_FOLDER", default_value = "biotope-state")]
    pub(crate) folder: PathBuf,
    /// Console of a platform elsewhere, such as http://127.0.0.1:8080 of a port-forward: for `incidents` and `replay`.
    #[arg(long, global = true, value_name = "URL", env = "BIOTOPE_CONSOLE")]
    pub(crate) console: Option<String>,
    /// File with the token of that console.
    #[arg(long, global = true, value_name = "FILE", env = "BIOTOPE_CONSOLE_TOKEN_FILE", requires = "console")]
    pub(crate) console_token_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Up {
    /// Folder for configuration, state and logs; made when absent.
    #[arg(long, value_name = "FOLDER", env = "BIOTOPE_FOLDER", default_value = "biotope-state")]
    pub(crate) folder: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Demo {
    /// Folder for everything that the demo makes. Default: a temporary one, removed at the end.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
    /// Plays the run phase from the recording also where the kernel could be watched.
    #[arg(long)]
    pub(crate) replay: bool,
    /// Keeps the platform running at the end, until Ctrl-C.
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Database {
    /// Pulls Trivy's databases from a registry, unless those that are there are still the newest.
    Update {
        /// Where the database is, as an image reference with its tag (Trivy's documentation names the public ones); several are tried
        /// in turn.
        #[arg(
            long,
            value_name = "REFERENCE",
            required_unless_present = "java_source",
            value_delimiter = ',',
            env = "BIOTOPE_DB_SOURCES"
        )]
        source: Vec<String>,
        /// Where the Java database is, which knows archives by their SHA-1; several are tried in turn.
        #[arg(long, value_name = "REFERENCE", value_delimiter = ',', env = "BIOTOPE_JAVA_DB_SOURCES")]
        java_source: Vec<String>,
        /// Folder of advisories to put it into. Default: ./advisories where there is one, else .cache/biotope/advisories in the home folder.
        #[arg(long, value_name = "FOLDER", env = "BIOTOPE_ADVISORIES")]
        advisories: Option<PathBuf>,
        /// Registries, host:port, that speak plain HTTP.
        #[arg(long, value_name = "HOST", value_delimiter = ',')]
        plain_http: Vec<String>,
        /// Fetches it although there is no newer one to be expected.
        #[arg(long)]
        force: bool,
    },
    /// Takes databases from a file: trivy.db, trivy-java.db, Trivy's cache folder, or the archive of an artifact.
    Import {
        /// The file or folder.
        from: PathBuf,
        /// Folder of advisories to put it into. Default: ./advisories where there is one, else .cache/biotope/advisories in the home folder.
        #[arg(long, value_name = "FOLDER", env = "BIOTOPE_ADVISORIES")]
        advisories: Option<PathBuf>,
    },
    /// Says what is there and how old it is.
    Status {
        /// Folder of advisories. Default: ./advisories where there is one, else .cache/biotope/advisories in the home folder.
        #[arg(long, value_name = "FOLDER", env = "BIOTOPE_ADVISORIES")]
        advisories: Option<PathBuf>,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Incidents {
    /// Lists incidents, newest first.
    List {
        /// open, resolved or all.
        #[arg(long, default_value = "all")]
        status: String,
    },
    /// Shows one incident with its timeline.
    Show {
        /// Its id, or the front of it.
        id: String,
    },
    /// Prints incidents as they open and change.
    Watch,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Rules {
    /// Loads rules files and says what is wrong with them.
    Check {
        /// Files, in order.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Lists the rules of files, also those that are switched off.
    List {
        /// Files, in order.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Says what rules mean, and why they match a recorded event or do not: every clause, with the value it saw.
    Explain(RulesExplain),
    /// Lists the fields that conditions and outputs may name, or the types of events.
    Fields {
        /// Only those whose name has this.
        part: Option<String>,
        /// The types that `evt.type` may be compared with, instead of the fields.
        #[arg(long)]
        events: bool,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Sensor {
    /// Judges what this machine does by rules, and prints alerts: lines of text, or with `-o json` objects.
    Run(runtime_sensor::standalone::Run),
    /// Writes what this machine does to a file, for `replay`.
    Record(runtime_sensor::standalone::Record),
    /// Judges a recording by rules, and prints alerts as `run` does.
    Replay {
        /// The recording.
        recording: PathBuf,
        #[command(flatten)]
        run: runtime_sensor::standalone::Run,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RulesExplain {
    /// Files, in order.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Only this rule. Without it: every rule that is judged for events of the type of `--event`.
    #[arg(long, value_name = "NAME")]
    pub(crate) rule: Option<String>,
    /// An alert as JSON, or an object of fields with `evt.type`.
    #[arg(long, value_name = "FILE")]
    pub(crate) event: Option<PathBuf>,
}

/// A store as the broker is asked for it, `SecretStore NAMESPACE/NAME` or `ClusterSecretStore NAME`; the kind may be left out.
fn store(text: &str) -> Result<String, String> {
    let (kind, name) = text.split_once(' ').unwrap_or(if text.contains('/') {
        ("SecretStore", text)
    } else {
        ("ClusterSecretStore", text)
    });
    let parts: Vec<&str> = name.split('/').collect();
    let fits = match kind {
        "SecretStore" => parts.len() == 2,
        "ClusterSecretStore" => parts.len() == 1,
        _ => false,
    };
    if fits && parts.iter().all(|part| !part.is_empty()) {
        Ok(format!("{kind} {name}"))
    } else {
        Err("write NAMESPACE/NAME of a SecretStore, or NAME of a ClusterSecretStore".to_owned())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_store_is_named_with_or_without_its_kind() {
        for (text, store) in [
            ("shop/vault", "SecretStore shop/vault"),
            ("SecretStore shop/vault", "SecretStore shop/vault"),
            ("vault", "ClusterSecretStore vault"),
            ("ClusterSecretStore vault", "ClusterSecretStore vault"),
        ] {
            assert_eq!(super::store(text).as_deref(), Ok(store));
        }
        for text in ["", "a/b/c", "/vault", "SecretStore vault", "ClusterSecretStore shop/vault", "Pod shop/vault"] {
            assert!(super::store(text).is_err(), "{text}");
        }
    }
}
