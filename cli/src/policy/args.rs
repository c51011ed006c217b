//! The command line of `biotope policy`.

use std::path::PathBuf;

use admission_policy::report::ReportForm;
use clap::{Args, Subcommand, ValueEnum};
use go_time::GoDuration;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Policy {
    /// Runs kyverno-test.yaml files.
    ///
    /// Exit code 0 when no check failed and every test ran, also where checks matched nothing; else 1, and 2 for wrong usage.
    Test(Box<PolicyTest>),
    /// Judges resources by policies, and prints verdicts and changed objects.
    ///
    /// Exit code 0 when nothing failed; 1 for a failure, an error, a file that cannot be read, or a policy or rule that was set
    /// aside; 2 for wrong usage; the code of `--warn-exit-code` when there are warnings only.
    Apply(Box<PolicyApply>),
    /// Says why rules are about a resource or not: every clause, with the value it saw.
    Explain(Box<PolicyExplain>),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct PolicyTest {
    /// Files or folders.
    #[arg(required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// Name of the test files.
    #[arg(long, short, value_name = "NAME", default_value = "kyverno-test.yaml")]
    pub(crate) file_name: String,
    /// Only these rows; each part may hold wildcards.
    #[arg(long, short, value_name = "SELECTOR", default_value = "policy=*,rule=*,resource=*")]
    pub(crate) test_case_selector: String,
    /// Prints failures only.
    #[arg(long)]
    pub(crate) fail_only: bool,
    /// Prints the messages of the rules too.
    #[arg(long)]
    pub(crate) detailed_results: bool,
    /// Fails when there are no tests.
    #[arg(long)]
    pub(crate) require_tests: bool,
    #[command(flatten)]
    pub(crate) registries: Registries,
}

/// Which registries may be asked about images, and whom to trust where a policy names nobody.
#[derive(Clone, Debug, Args)]
pub(crate) struct Registries {
    /// Asks registries about images: what they are, and who signed them. Without it no address is called.
    #[arg(long)]
    pub(crate) registry: bool,
    /// Registries without TLS, host or host:port.
    #[arg(long, value_name = "HOST")]
    pub(crate) insecure_registry: Vec<String>,
    /// Public keys (PEM) of transparency logs for signatures.
    #[arg(long, value_name = "FILE")]
    pub(crate) transparency_log_key: Vec<PathBuf>,
    /// Public keys (PEM) of transparency logs for certificates.
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate_log_key: Vec<PathBuf>,
    /// Certificates (PEM) of who vouches for keyless identities.
    #[arg(long, value_name = "FILE")]
    pub(crate) fulcio_root: Vec<PathBuf>,
    /// Trusted roots of Sigstore (trusted_root.json): logs and authorities in one file.
    #[arg(long, value_name = "FILE")]
    pub(crate) trusted_root: Vec<PathBuf>,
    /// Certificates (PEM) of authorities for timestamps, each with its root.
    #[arg(long, value_name = "FILE")]
    pub(crate) timestamp_authority: Vec<PathBuf>,
    /// Docker configuration with logins for registries: its folder, or the file. Default: .docker in the home folder.
    #[arg(long, value_name = "PATH", env = "DOCKER_CONFIG")]
    pub(crate) docker_config: Option<PathBuf>,
}

/// What stands for the cluster and the request.
#[derive(Clone, Debug, Args)]
pub(crate) struct Situation {
    /// PolicyExceptions, files or folders.
    #[arg(long, short = 'e', alias = "exceptions", value_name = "PATH")]
    pub(crate) exception: Vec<PathBuf>,
    /// Takes PolicyExceptions from the resources too.
    #[arg(long, alias = "exceptions-within-resources")]
    pub(crate) exceptions_with_resources: bool,
    /// File with values of variables, namespaces and subresources (`kind: Values`).
    #[arg(long, short = 'f', value_name = "FILE")]
    pub(crate) values_file: Option<PathBuf>,
    /// Values of variables, name=value, separated by commas.
    #[arg(long, short = 's', value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// Who asks (`kind: UserInfo`).
    #[arg(long, short = 'u', value_name = "FILE")]
    pub(crate) userinfo: Option<PathBuf>,
    /// Objects and images that expressions may look up (`kind: Context`).
    #[arg(long, value_name = "FILE")]
    pub(crate) context_file: Option<PathBuf>,
    /// Existing objects that mutations may change, files or folders.
    #[arg(long, alias = "target-resources", value_name = "PATH")]
    pub(crate) target_resource: Vec<PathBuf>,
    /// Parameters of admission policies, files or folders.
    #[arg(long, value_name = "PATH")]
    pub(crate) parameter_resource: Vec<PathBuf>,
    /// JSON payloads for policies of mode JSON.
    #[arg(long, value_name = "PATH")]
    pub(crate) json: Vec<PathBuf>,
    /// HTTP requests for policies of mode HTTP.
    #[arg(long, value_name = "PATH")]
    pub(crate) http_payload: Vec<PathBuf>,
    /// Check requests for policies of mode Envoy.
    #[arg(long, value_name = "PATH")]
    pub(crate) envoy_payload: Vec<PathBuf>,
    /// CREATE, UPDATE, DELETE or CONNECT.
    #[arg(long, value_name = "WORD")]
    pub(crate) operation: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct PolicyApply {
    /// Policies, files or folders; `-` is standard input.
    #[arg(required = true)]
    pub(crate) policies: Vec<PathBuf>,
    /// Resources, files or folders; `-` is standard input. With `--cluster` the names of objects, instead of all.
    #[arg(long, short, alias = "resources", value_name = "PATH")]
    pub(crate) resource: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) live: Live,
    #[command(flatten)]
    pub(crate) situation: Situation,
    #[command(flatten)]
    pub(crate) registries: Registries,
    #[command(flatten)]
    pub(crate) shown: Shown,
    /// Counts violations of policies that only audit as warnings.
    #[arg(long)]
    pub(crate) audit_warn: bool,
    /// Exit code when there are warnings but no failures.
    #[arg(long, default_value_t = 0)]
    pub(crate) warn_exit_code: u8,
    /// Uses that exit code also when nothing passed.
    #[arg(long)]
    pub(crate) warn_no_pass: bool,
    #[command(flatten)]
    pub(crate) habits: Habits,
}

/// Which cluster is judged.
#[derive(Clone, Debug, Args)]
pub(crate) struct Live {
    /// Judges the objects of a cluster, of the kinds that the policies are about. Nothing is written to it.
    #[arg(long, short, conflicts_with_all = ["json", "http_payload", "envoy_payload", "target_resource"])]
    pub(crate) cluster: bool,
    /// Kubeconfig. Default: as kubectl finds it (KUBECONFIG, .kube/config in the home folder), else the service account of the pod.
    #[arg(long, value_name = "FILE", requires = "cluster")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig. Default: its current one.
    #[arg(long, value_name = "NAME", requires = "cluster")]
    pub(crate) context: Option<String>,
    /// Only what lies in this namespace.
    #[arg(long, short, value_name = "NAME", requires = "cluster")]
    pub(crate) namespace: Option<String>,
    /// Only what lies in no namespace.
    #[arg(long, requires = "cluster", conflicts_with = "namespace")]
    pub(crate) cluster_wide_resources: bool,
    /// Leaves out the PolicyExceptions that are in the cluster.
    #[arg(long, requires = "cluster")]
    pub(crate) ignore_cluster_exceptions: bool,
}

/// What is printed and written.
#[derive(Clone, Debug, Args)]
pub(crate) struct Shown {
    /// Lists rules that were skipped too.
    #[arg(long)]
    pub(crate) detailed_results: bool,
    /// Prints policy reports instead, in YAML.
    #[arg(long, short)]
    pub(crate) policy_report: bool,
    /// API of the reports.
    #[arg(long, value_name = "API", requires = "policy_report", default_value = "openreports")]
    pub(crate) report_api: ReportApi,
    /// Prints a PolicyException for everything that fails instead, in YAML.
    #[arg(long, conflicts_with = "policy_report")]
    pub(crate) generate_exceptions: bool,
    /// How long such an exception is to live, by its label `cleanup.kyverno.io/ttl`; 0 for ever.
    #[arg(long, value_name = "DURATION", requires = "generate_exceptions", default_value = "720h", value_parser = duration)]
    pub(crate) generated_exception_ttl: GoDuration,
    /// Prints the resources as the policies leave them instead, and what they generate, in YAML for `kubectl apply -f -`. Verdicts go
    /// to standard error.
    #[arg(long, short = 'i', conflicts_with_all = ["policy_report", "generate_exceptions", "cluster"])]
    pub(crate) stdin: bool,
    /// Form of reports, exceptions and resources. Default: YAML, or JSON with `-o json`.
    #[arg(long, value_name = "FORM")]
    pub(crate) output_format: Option<DocumentForm>,
    /// Writes changed and generated objects as YAML into this file, or one by one into this folder (one that is there, or a path that ends
    /// with `/`).
    #[arg(long, value_name = "PATH")]
    pub(crate) write_changed: Option<PathBuf>,
}

/// An API of policy reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportApi {
    /// Report and ClusterReport of openreports.io/v1alpha1.
    Openreports,
    /// PolicyReport and ClusterPolicyReport of wgpolicyk8s.io/v1alpha2.
    Wgpolicyk8s,
}

impl From<ReportApi> for ReportForm {
    fn from(api: ReportApi) -> Self {
        match api {
            ReportApi::Openreports => Self::OpenReports,
            ReportApi::Wgpolicyk8s => Self::PolicyReport,
        }
    }
}

/// How whole objects are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DocumentForm {
    Yaml,
    Json,
}

/// What is always so, and taken for scripts that were written for `kyverno apply`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Habits {
    /// Results are a table.
    #[arg(long, short, hide = true)]
    table: bool,
    /// There are no colours.
    #[arg(long, hide = true)]
    remove_color: bool,
    /// What cannot be judged is told, and the rest is judged.
    #[arg(long, hide = true)]
    continue_on_fail: bool,
    /// The same.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    continue_on_error: Option<bool>,
    /// Exceptions among the policies count.
    #[arg(long, hide = true)]
    exceptions_within_policies: bool,
}

/// A duration as Go writes it.
fn duration(text: &str) -> Result<GoDuration, String> {
    GoDuration::parse(text).map_err(|error| error.to_string())
}

#[derive(Clone, Debug, Args)]
pub(crate) struct PolicyExplain {
    /// Policies, files or folders.
    #[arg(required = true)]
    pub(crate) policies: Vec<PathBuf>,
    /// Resources, files or folders.
    #[arg(long, short, alias = "resources", required = true, value_name = "PATH")]
    pub(crate) resource: Vec<PathBuf>,
    /// Only this policy: `name` or `namespace/name`.
    #[arg(long)]
    pub(crate) policy: Option<String>,
    /// Only this rule, and the ones made from it for pod controllers.
    #[arg(long)]
    pub(crate) rule: Option<String>,
    #[command(flatten)]
    pub(crate) situation: Situation,
    #[command(flatten)]
    pub(crate) registries: Registries,
}
