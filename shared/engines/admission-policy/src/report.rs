//! Policy reports: what came of rules as results, and what they add up to. Times are given by who asks.
//!
//! ```text
//! RuleVerdict + object + time --PolicySet::report_result--> ReportResult    one for each verdict
//! metadata + ReportResults    --report--> PolicyReport, ClusterPolicyReport, Report or ClusterReport
//! ```

use std::collections::BTreeMap;

use model::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::outcome::{PolicyRef, RuleVerdict, Status};
use crate::policy::schema::Metadata;
use crate::set::PolicySet;

/// Which API a report is written in; their results have the same fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReportForm {
    /// `wgpolicyk8s.io/v1alpha2`: PolicyReport and ClusterPolicyReport.
    #[default]
    PolicyReport,
    /// `openreports.io/v1alpha1`: Report and ClusterReport.
    OpenReports,
}

impl ReportForm {
    /// Group and version.
    #[must_use]
    pub fn api_version(self) -> &'static str {
        match self {
            Self::PolicyReport => "wgpolicyk8s.io/v1alpha2",
            Self::OpenReports => "openreports.io/v1alpha1",
        }
    }

    /// Kind of a report that lies in a namespace, or in none.
    #[must_use]
    pub fn kind(self, is_namespaced: bool) -> &'static str {
        match (self, is_namespaced) {
            (Self::PolicyReport, true) => "PolicyReport",
            (Self::PolicyReport, false) => "ClusterPolicyReport",
            (Self::OpenReports, true) => "Report",
            (Self::OpenReports, false) => "ClusterReport",
        }
    }
}

/// One result of a report, in the fields of both APIs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReportResult {
    /// Which kind of policy said it, in Kyverno's words: `kyverno`, `KyvernoValidatingPolicy`, ...
    pub source: String,
    /// `namespace/name` of the policy, or its name.
    pub policy: String,
    /// The rule, as the verdict names it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// Annotation `policies.kyverno.io/category` of the policy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub category: String,
    /// Annotation `policies.kyverno.io/severity` of the policy, where it is one that reports know.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub severity: String,
    /// When it was judged.
    #[serde(serialize_with = "seconds")]
    pub timestamp: Timestamp,
    /// What came of it.
    #[serde(serialize_with = "word")]
    pub result: Status,
    /// Whether a violation counts as one, and not as a warning.
    #[serde(skip_serializing_if = "is_false")]
    pub scored: bool,
    /// What was judged, as [`reference()`] names it; empty where the report has a scope.
    #[serde(rename = "resources", skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<Value>,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Whatever else there is to say: `process`, `exceptions`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}

fn word<S: Serializer>(status: &Status, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(status.as_str())
}

fn seconds<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    BTreeMap::from([("seconds", at.as_millis().div_euclid(1_000)), ("nanos", 0)]).serialize(serializer)
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// What reports tell of a policy besides its verdicts.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    category: String,
    severity: String,
    background: bool,
    admission: bool,
    /// It is to be in no report of a cluster (label `reports.kyverno.io/disabled`).
    is_hidden: bool,
}

impl About {
    /// By the policy's annotations, and by when it is judged.
    pub(crate) fn of(metadata: &Metadata, (background, admission): (bool, bool)) -> Self {
        let annotation = |name: &str| {
            let all = metadata.annotations.as_ref();
            all.and_then(|all| all.get(&format!("policies.kyverno.io/{name}"))).cloned().unwrap_or_default()
        };
        let severity = annotation("severity");
        let severity = if SEVERITIES.contains(&severity.as_str()) { severity } else { String::new() };
        let is_hidden =
            metadata.labels.as_ref().is_some_and(|labels| labels.contains_key("reports.kyverno.io/disabled"));
        Self { category: annotation("category"), severity, background, admission, is_hidden }
    }

    fn process(&self) -> &'static str {
        match self {
            Self { background: true, .. } => "background scan",
            Self { admission: true, .. } => "admission review",
            Self { .. } => "",
        }
    }
}

/// Severities that reports know.
const SEVERITIES: [&str; 5] = ["critical", "high", "medium", "low", "info"];

impl PolicySet {
    /// Whether no report of a cluster is to have the policy.
    pub(crate) fn is_hidden(&self, policy: &PolicyRef) -> bool {
        self.about.get(policy).is_some_and(|about| about.is_hidden)
    }

    /// A verdict as a result of a report. `subject` is what was judged; none where the report has it as its scope.
    #[must_use]
    pub fn report_result(&self, verdict: &RuleVerdict, subject: Option<&Value>, at: Timestamp) -> ReportResult {
        let policy = &*verdict.policy;
        let unknown = About::default();
        let about = self.about.get(policy).unwrap_or(&unknown);
        let (source, always) = source(&policy.kind);
        let process = always.unwrap_or_else(|| about.process());
        let names: Vec<&str> =
            verdict.exceptions.iter().map(|key| key.rsplit('/').next().unwrap_or(key.as_str())).collect();
        let properties = [("process", process.to_owned()), ("exceptions", names.join(","))];
        let properties = properties.into_iter().filter(|(_, value)| !value.is_empty());
        ReportResult {
            source: source.to_owned(),
            policy: key(policy),
            rule: verdict.rule.clone(),
            category: about.category.clone(),
            severity: about.severity.clone(),
            timestamp: at,
            result: verdict.reported(),
            scored: !verdict.unscored,
            subjects: subject.map(reference).into_iter().collect(),
            message: verdict.message.clone(),
            properties: properties.map(|(name, value)| (name.to_owned(), value)).collect(),
        }
    }
}

/// Who says it, and when a policy of the kind is judged where that is always the same.
fn source(kind: &str) -> (&'static str, Option<&'static str>) {
    match kind.strip_prefix("Namespaced").unwrap_or(kind) {
        "ValidatingAdmissionPolicy" => ("ValidatingAdmissionPolicy", Some("background scan")),
        "MutatingAdmissionPolicy" => ("MutatingAdmissionPolicy", Some("background scan")),
        "ValidatingPolicy" => ("KyvernoValidatingPolicy", None),
        "MutatingPolicy" => ("KyvernoMutatingPolicy", None),
        "ImageValidatingPolicy" => ("KyvernoImageValidatingPolicy", None),
        "GeneratingPolicy" => ("KyvernoGeneratingPolicy", Some("admission review")),
        _ => ("kyverno", None),
    }
}

/// `namespace/name`, or the name alone.
fn key(policy: &PolicyRef) -> String {
    if policy.namespace.is_empty() { policy.name.clone() } else { format!("{}/{}", policy.namespace, policy.name) }
}

/// An object as reports refer to it: API version, kind, namespace, name, uid and version, as far as it has them.
#[must_use]
pub fn reference(object: &Value) -> Value {
    let fields = [
        ("apiVersion", "/apiVersion"),
        ("kind", "/kind"),
        ("name", "/metadata/name"),
        ("namespace", "/metadata/namespace"),
        ("resourceVersion", "/metadata/resourceVersion"),
        ("uid", "/metadata/uid"),
    ];
    let known = fields.into_iter().filter_map(|(name, pointer)| {
        let text = object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())?;
        Some((name.to_owned(), Value::from(text)))
    });
    Value::Object(known.collect())
}

/// A report of results. It is one of a namespace when the metadata have one. `scope` is a [`reference()`] to what all results are
/// about.
#[must_use]
pub fn report(form: ReportForm, metadata: &Value, scope: Option<&Value>, results: &[ReportResult]) -> Value {
    let is_namespaced = metadata.get("namespace").is_some_and(|namespace| namespace != "");
    let mut report = Map::new();
    let mut put = |name: &str, value: Value| report.insert(name.to_owned(), value);
    put("apiVersion", Value::from(form.api_version()));
    put("kind", Value::from(form.kind(is_namespaced)));
    put("metadata", metadata.clone());
    if let Some(scope) = scope {
        put("scope", scope.clone());
    }
    put("results", json!(results));
    put("summary", summary(results));
    Value::Object(report)
}

/// How many results of each kind.
#[must_use]
pub fn summary(results: &[ReportResult]) -> Value {
    let count = |status: Status| results.iter().filter(|result| result.result == status).count();
    json!({
        "pass": count(Status::Pass), "fail": count(Status::Fail), "warn": count(Status::Warn),
        "error": count(Status::Error), "skip": count(Status::Skip),
    })
}

/// Brings results into an order that does not depend on when they were found: by policy, rule, source and subject.
pub fn sort(results: &mut [ReportResult]) {
    let subject = |result: &ReportResult| result.subjects.iter().map(ToString::to_string).collect::<Vec<_>>();
    results.sort_by_cached_key(|result| {
        (result.policy.clone(), result.rule.clone(), result.source.clone(), subject(result), result.timestamp)
    });
}
