//! The report on one object: what the policies say of it, in Kyverno's form.

use admission_policy::report::{ReportForm, ReportResult, reference, report, sort};
use admission_policy::{PolicySet, RuleVerdict, Scan};
use kubernetes::keys::REPORT;
use model::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What is to be said of one object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Report {
    /// Reference to the object.
    scope: Value,
    /// Results, as if they were found at the beginning of time.
    results: Vec<ReportResult>,
    /// A hash of both.
    pub(super) hash: String,
}

impl Report {
    /// The report on an object that was judged; `None` when there is nothing to say.
    pub(super) fn of(object: &Value, scan: &Scan, policies: &PolicySet) -> Option<Self> {
        let mut results: Vec<_> = scan.verdicts.iter().map(|verdict| result(verdict, scan, policies)).collect();
        sort(&mut results);
        let scope = reference(object);
        let said = Sha256::digest(json!([scope, results]).to_string());
        let hash = said.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        (!results.is_empty()).then_some(Self { scope, results, hash })
    }

    /// The object to write. Results that stood there before keep their time.
    pub(super) fn manifest(&self, form: ReportForm, before: Option<&Value>, now: Timestamp) -> Value {
        let old = before.and_then(|before| before.get("results")?.as_array()).map(Vec::as_slice).unwrap_or_default();
        let results: Vec<_> = self.results.iter().map(|result| with_time(result, old, now)).collect();
        let mut owner = self.scope.clone();
        let namespace = owner.as_object_mut().and_then(|fields| fields.shift_remove("namespace"));
        let mut metadata = json!({
            "name": self.scope.get("uid"),
            "labels": { MANAGED_BY: BIOTOPE },
            "annotations": { REPORT: self.hash },
            "ownerReferences": [owner],
        });
        if let Some(namespace) = namespace {
            metadata["namespace"] = namespace;
        }
        let mut report = report(form, &metadata, Some(&self.scope), &results);
        if form == ReportForm::OpenReports {
            report["source"] = json!(BIOTOPE);
        }
        report
    }
}

/// Whether a report is the gateway's, by its metadata.
pub(super) fn is_own(report: &Value) -> bool {
    let labels = report.pointer("/metadata/labels");
    labels.and_then(|labels| labels.get(MANAGED_BY)).and_then(Value::as_str) == Some(BIOTOPE)
}

/// The hash that a report was written with.
pub(super) fn hash_of(report: &Value) -> String {
    let hash = report.pointer("/metadata/annotations").and_then(|annotations| annotations.get(REPORT));
    hash.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A field that is a text.
pub(super) fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn result(verdict: &RuleVerdict, scan: &Scan, policies: &PolicySet) -> ReportResult {
    let mut result = policies.report_result(verdict, None, Timestamp::from_millis(0));
    result.message = shortened(&result.message);
    let own = |name: &str| *name == verdict.policy.name && result.source != PLAIN;
    let annotations = scan.annotations.iter().filter(|((policy, _), _)| own(policy));
    let mut properties = annotations.map(|((_, key), value)| (key.clone(), shortened(value))).collect();
    std::mem::swap(&mut result.properties, &mut properties);
    result.properties.extend(properties);
    result
}

/// A result with the time when it was found first.
fn with_time(result: &ReportResult, old: &[Value], now: Timestamp) -> ReportResult {
    let told = json!(result);
    let is_same = |one: &&Value| {
        let mut one = (*one).clone();
        one["timestamp"] = told["timestamp"].clone();
        one == told
    };
    let known = old.iter().filter(|one| one.is_object()).find(is_same);
    let seconds = known.and_then(|one| one.pointer("/timestamp/seconds")).and_then(Value::as_i64);
    let timestamp = seconds.map_or(now, |seconds| Timestamp::from_millis(seconds.saturating_mul(1_000)));
    ReportResult { timestamp, ..result.clone() }
}

/// A text that is not longer than a report can bear many of.
fn shortened(message: &str) -> String {
    match message.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", message.get(..end).unwrap_or_default()),
        None => message.to_owned(),
    }
}

/// What selects the reports of the gateway.
pub(super) const OWN: &str = "app.kubernetes.io/managed-by=biotope";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const BIOTOPE: &str = "biotope";
/// Source of policies that are not written in CEL.
const PLAIN: &str = "kyverno";
/// Longest text of a result.
const LONGEST: usize = 2_000;

#[cfg(test)]
mod tests;
