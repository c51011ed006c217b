//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Kubernetes security from build to run: scan, admit, deliver secrets, watch, and join it all into incidents.
#[derive(Debug, Parser)]
#[command(name = "biotope", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// How results are printed.
    #[arg(long, short, global = true, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts the platform on this machine and keeps it running until Ctrl-C.
    Up(Up),
    /// Plays one real story through all five services and checks that it becomes one incident.
    Demo(Demo),
    /// Scans an image, without a running platform.
    Scan(Scan),
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

/// Where the running platform is.
#[derive(Clone, Debug, Args)]
pub(crate) struct Connection {
    /// Folder of a platform that `biotope up` started.
    #[arg(long, global = true, value_name = "FOLDER", env = "BIOTOPE_FOLDER", default_value = "biotope-state")]
    pub(crate) folder: PathBuf,
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

#[derive(Clone, Debug, Args)]
pub(crate) struct Scan {
    /// Image reference, OCI layout folder, or archive.
    pub(crate) target: String,
    /// Folder of advisories (OSV JSON).
    #[arg(long, value_name = "FOLDER", env = "BIOTOPE_ADVISORIES", default_value = "advisories")]
    pub(crate) advisories: PathBuf,
    /// Platform, as os/arch[/variant].
    #[arg(long)]
    pub(crate) platform: Option<String>,
    /// Only these severities, separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub(crate) severity: Vec<String>,
    /// Leaves out what has no fix.
    #[arg(long)]
    pub(crate) ignore_unfixed: bool,
    /// Exit code when there are findings.
    #[arg(long, default_value_t = 0)]
    pub(crate) exit_code: u8,
    /// Lists all packages too.
    #[arg(long)]
    pub(crate) list_all_pkgs: bool,
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
pub(crate) enum Policy {
    /// Runs kyverno-test.yaml files.
    Test {
        /// Files or folders.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Judges resources by policies.
    Apply {
        /// Policies, files or folders.
        #[arg(required = true)]
        policies: Vec<PathBuf>,
        /// Resources, files or folders.
        #[arg(long, short, required = true)]
        resource: Vec<PathBuf>,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Rules {
    /// Loads rules files and says what is wrong with them.
    Check {
        /// Files, in order.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Lists the rules of files.
    List {
        /// Files, in order.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Lists the fields that conditions and outputs may name.
    Fields,
}
