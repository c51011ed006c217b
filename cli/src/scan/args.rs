//! The flags of `biotope scan`: those of Trivy, where it has them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use model::Severity;

#[derive(Clone, Debug, Args)]
pub(crate) struct Scan {
    /// Image reference, OCI layout folder, archive (`docker save` or OCI), folder of files, or bill of material (found out, or said by
    /// `sbom:FILE`).
    #[arg(required_unless_present = "input")]
    pub(crate) target: Option<String>,
    /// Archive to scan instead of a target.
    #[arg(long, value_name = "FILE", conflicts_with = "target")]
    pub(crate) input: Option<PathBuf>,
    /// Form of the report.
    #[arg(long, short, value_enum)]
    pub(crate) format: Option<Form>,
    /// Template of `--format template`, in the syntax of Go: the text, or `@FILE`.
    #[arg(long, short, value_name = "TEXT")]
    pub(crate) template: Option<String>,
    /// Folder of advisories: OSV JSON files, Trivy's database, or both. Default: ./advisories where there is one, else
    /// .cache/biotope/advisories in the home folder, where `biotope db update` puts the database.
    #[arg(long, value_name = "FOLDER", env = "BIOTOPE_ADVISORIES")]
    pub(crate) advisories: Option<PathBuf>,
    /// Platform, as os/arch[/variant].
    #[arg(long)]
    pub(crate) platform: Option<String>,
    /// Only these severities, separated by commas.
    #[arg(long, short, value_name = "WORD", value_delimiter = ',', value_parser = severity)]
    pub(crate) severity: Vec<Severity>,
    /// Only these kinds of packages, separated by commas. Default: both.
    #[arg(long, alias = "vuln-type", value_name = "KIND", value_delimiter = ',', value_enum)]
    pub(crate) pkg_types: Vec<PackageKind>,
    /// Leaves out what has no fix.
    #[arg(long)]
    pub(crate) ignore_unfixed: bool,
    /// Leaves out findings of these statuses, separated by commas.
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = STATUSES)]
    pub(crate) ignore_status: Vec<String>,
    /// File of what to ignore: lines, or YAML. Default: .trivyignore or .trivyignore.yaml, where there is one.
    #[arg(long, value_name = "FILE", env = "TRIVY_IGNOREFILE")]
    pub(crate) ignorefile: Option<PathBuf>,
    /// Not supported: policies in Rego are not evaluated. Use an ignore file in YAML, or VEX.
    #[arg(long, value_name = "FILE", hide = true, value_parser = no_rego)]
    pub(crate) ignore_policy: Option<PathBuf>,
    /// Documents that say what does not matter here (OpenVEX, CycloneDX, CSAF); may be given several times. `oci` stands for those that
    /// are attached to the image in its registry.
    #[arg(long, value_name = "FILE|oci", value_delimiter = ',')]
    pub(crate) vex: Vec<PathBuf>,
    /// Tells what was left out by ignore file and VEX, too.
    #[arg(long)]
    pub(crate) show_suppressed: bool,
    /// Exit code when there are findings.
    #[arg(long, default_value_t = 0)]
    pub(crate) exit_code: u8,
    /// Exit code when the operating system is no longer supported by its makers.
    #[arg(long, default_value_t = 0)]
    pub(crate) exit_on_eol: u8,
    /// Exit code when something could not be read, so that packages or findings may be missing, and neither of the two above applies.
    /// 0: half a scan is as good as a whole one.
    #[arg(long, value_name = "EXIT_CODE", default_value_t = PARTIAL)]
    pub(crate) exit_on_partial: u8,
    /// Lists all packages too.
    #[arg(long)]
    pub(crate) list_all_pkgs: bool,
    /// Files not to look at, as patterns (`**/go.mod`); may be given several times.
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    pub(crate) skip_files: Vec<String>,
    /// Folders not to look into, as patterns; may be given several times.
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    pub(crate) skip_dirs: Vec<String>,
    /// Of a folder: also packages that lie there without being installed, in files of rpm.
    #[arg(long)]
    pub(crate) rpm_archives: bool,
    /// Hashes programs that no package of the system owns (SHA-1 and SHA-256, in SPDX and CycloneDX), and packages that are one file
    /// (SHA-1). The latter are hashed for SPDX and CycloneDX in any case.
    #[arg(long)]
    pub(crate) checksums: bool,
    /// Asks no registry: an image that was scanned before is matched again by what is kept of it.
    #[arg(long, alias = "offline-scan")]
    pub(crate) offline: bool,
    /// Folder that inventories of layers are kept in. Default: .cache/biotope in the home folder.
    #[arg(long, value_name = "FOLDER", env = "BIOTOPE_CACHE_DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Keeps nothing, and reads every layer.
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Docker configuration with credentials: its folder, or the file. Default: .docker in the home folder.
    #[arg(long, value_name = "PATH", env = "DOCKER_CONFIG")]
    pub(crate) docker_config: Option<PathBuf>,
    /// Registries, host:port, that speak plain HTTP.
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub(crate) plain_http: Vec<String>,
    /// Of a folder: fetches the projects of Maven that others need and that are not in the local repository (`~/.m2`), from Maven Central
    /// and the repositories that projects and settings.xml name. It tells them what the projects need.
    #[arg(long, conflicts_with = "offline")]
    pub(crate) fetch_poms: bool,
    /// With --fetch-poms: a mirror in the place of a repository, each by its address; the first that has a project counts.
    #[arg(long, value_name = "REPOSITORY=MIRROR", requires = "fetch_poms", value_parser = mirror)]
    pub(crate) maven_mirror: Vec<(String, String)>,
    /// Shows no progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// What a scan exits with by itself when it is not complete: not 0, for a build must not pass on half a scan, and no code that means
/// something else.
const PARTIAL: u8 = 3;

/// Forms of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people.
    Table,
    /// Trivy's JSON, schema version 2.
    Json,
    /// SARIF 2.1.0.
    Sarif,
    /// CycloneDX 1.6, with vulnerabilities.
    Cyclonedx,
    /// SPDX 2.3 in JSON.
    SpdxJson,
    /// SPDX 2.3 as lines of tags and values.
    Spdx,
    /// A dependency snapshot for GitHub; the build is read from the variables of its runner.
    Github,
    /// The predicate of a vulnerability scan that cosign attests to.
    CosignVuln,
    /// JUnit XML.
    Junit,
    /// A template of one's own, see `--template`.
    Template,
}

impl Form {
    /// Whether it lists packages whatever is known of them, so that it is worth making without advisories.
    pub(crate) fn is_bill(self) -> bool {
        matches!(self, Self::Cyclonedx | Self::SpdxJson | Self::Spdx | Self::Github)
    }
}

/// Kinds of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PackageKind {
    /// Of the operating system.
    Os,
    /// Of languages.
    Library,
}

/// What `--ignore-status` may say.
const STATUSES: [&str; 8] = [
    "unknown",
    "not_affected",
    "affected",
    "fixed",
    "under_investigation",
    "will_not_fix",
    "fix_deferred",
    "end_of_life",
];

fn no_rego(file: &str) -> Result<PathBuf, String> {
    Err(format!(
        "policies in Rego are not evaluated, and {file} would be passed over: say the same in an ignore file \
         (`--ignorefile`, YAML with paths, purls and expiry) or in VEX (`--vex`)"
    ))
}

fn mirror(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(of, mirror)| of.contains("://") && mirror.contains("://"));
    parts
        .map(|(of, mirror)| (of.to_owned(), mirror.to_owned()))
        .ok_or_else(|| "it is two addresses with = between them".to_owned())
}

fn severity(word: &str) -> Result<Severity, String> {
    let known = Severity::ALL.into_iter().find(|one| one.as_str().eq_ignore_ascii_case(word));
    known.ok_or_else(|| "it is UNKNOWN, LOW, MEDIUM, HIGH or CRITICAL".to_owned())
}
