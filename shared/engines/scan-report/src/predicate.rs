//! The predicate of a vulnerability scan that cosign attests to (sigstore, "Cosign Vulnerability Scan Record").

use serde_json::{Value, json};

use crate::{Report, trivy};

/// Renders a report; the result is Trivy's JSON with all packages.
#[must_use]
pub fn render(report: &Report) -> Value {
    let (name, version) = &report.tool;
    let time = report.created.to_string();
    json!({
        "invocation": { "parameters": null, "uri": "", "event_id": "", "builder.id": "" },
        "scanner": {
            "uri": format!("pkg:generic/{name}@{version}"),
            "version": version,
            "db": { "uri": "", "version": "" },
            "result": trivy::render(report, true),
        },
        "metadata": { "scanStartedOn": time, "scanFinishedOn": time },
    })
}
