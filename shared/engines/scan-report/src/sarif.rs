//! SARIF 2.1.0 (OASIS), as code-scanning services read it: one rule for each vulnerability, one result for each finding.

use std::collections::BTreeMap;

use model::Severity;
use serde_json::{Value, json};

use crate::{Finding, PackageList, Report, severity_word};

/// Renders a report.
#[must_use]
pub fn render(report: &Report) -> Value {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut rules, mut results) = (Vec::new(), Vec::new());
    for list in &report.lists {
        for finding in &list.findings {
            let next = rules.len();
            let place = *places.entry(&finding.id).or_insert(next);
            if place == next {
                rules.push(rule(finding, list));
            }
            results.push(result(report, list, finding, place));
        }
    }
    json!({
        "version": "2.1.0",
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "runs": [{
            "tool": { "driver": { "name": report.tool.0, "version": report.tool.1, "rules": rules } },
            "results": results,
            "columnKind": "utf16CodeUnits",
            "originalUriBaseIds": { "ROOTPATH": { "uri": "file:///" } },
        }],
    })
}

fn rule(finding: &Finding, list: &PackageList) -> Value {
    let name = if list.is_system { "OsPackageVulnerability" } else { "LanguageSpecificPackageVulnerability" };
    let title = if finding.title.is_empty() { &finding.id } else { &finding.title };
    let description = if finding.description.is_empty() { title } else { &finding.description };
    let severity = severity_word(finding.severity);
    let help = format!(
        "Vulnerability {}\nSeverity: {severity}\nFixed Version: {}\n{description}",
        finding.id, finding.fixed_version
    );
    let mut rule = json!({
        "id": finding.id,
        "name": name,
        "shortDescription": { "text": title },
        "fullDescription": { "text": description.chars().take(1_024).collect::<String>() },
        "defaultConfiguration": { "level": level(finding.severity) },
        "help": { "text": help },
        "properties": {
            "precision": "very-high",
            "security-severity": score(finding),
            "tags": ["vulnerability", "security", severity],
        },
    });
    if let (Some(map), false) = (rule.as_object_mut(), finding.primary_url.is_empty()) {
        map.insert("helpUri".to_owned(), json!(finding.primary_url));
    }
    rule
}

fn result(report: &Report, list: &PackageList, finding: &Finding, place: usize) -> Value {
    let package = list.packages.get(finding.package);
    let name = package.map_or("", |package| package.name.as_str());
    let own = package.map_or("", |package| package.path.as_str());
    let path = [own, list.path.as_str()].into_iter().find(|path| !path.is_empty()).unwrap_or(&report.artifact);
    let message = format!(
        "Package: {name}\nInstalled Version: {}\nVulnerability {}\nSeverity: {}\nFixed Version: {}",
        finding.installed_version,
        finding.id,
        severity_word(finding.severity),
        finding.fixed_version
    );
    json!({
        "ruleId": finding.id,
        "ruleIndex": place,
        "level": level(finding.severity),
        "message": { "text": message },
        "locations": [{
            "physicalLocation": {
                "artifactLocation": { "uri": uri(path), "uriBaseId": "ROOTPATH" },
                "region": { "startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1 },
            },
            "message": { "text": format!("{path}: {name}@{}", finding.installed_version) },
        }],
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Unknown => "note",
    }
}

/// The highest CVSS 3 score that a vendor gives, else a score in the severity's range.
fn score(finding: &Finding) -> String {
    let vendors = finding.cvss.as_object().into_iter().flatten();
    let scores = vendors.filter_map(|(_, scores)| scores.get("V3Score").and_then(Value::as_f64));
    let by_severity = match finding.severity {
        Severity::Critical => 9.5,
        Severity::High => 8.0,
        Severity::Medium => 5.5,
        Severity::Low => 2.0,
        Severity::Unknown => 0.0,
    };
    let highest = scores.fold(0.0_f64, f64::max);
    format!("{:.1}", if highest > 0.0 { highest } else { by_severity })
}

/// A relative URI: what a URI cannot hold is percent-encoded.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.trim_start_matches('/').bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~@+".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}
