//! SARIF 2.1.0 (OASIS), as code-scanning services read it: one rule for each vulnerability, one result for each finding.

use std::collections::BTreeMap;

use model::Severity;
use serde_json::{Value, json};

use crate::{ArtifactKind, Finding, PackageList, Report, compact, severity_word};

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
    let mut rendered = json!({
        "version": "2.1.0",
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "runs": [{
            "tool": { "driver": {
                "name": report.tool.0,
                "fullName": format!("{} image scanner", report.tool.0),
                "version": report.tool.1,
                "rules": rules,
            } },
            "results": results,
            "columnKind": "utf16CodeUnits",
            "originalUriBaseIds": { "ROOTPATH": { "uri": "file:///" } },
            "properties": properties(report),
        }],
    });
    if let (Some(run), true) = (rendered.pointer_mut("/runs/0").and_then(Value::as_object_mut), report.is_partial) {
        run.insert("invocations".to_owned(), json!([{ "executionSuccessful": false }]));
    }
    rendered
}

/// What the image is, under the names that Trivy gives it.
fn properties(report: &Report) -> Value {
    if report.kind != ArtifactKind::ContainerImage {
        return json!({});
    }
    compact(json!({
        "imageName": report.artifact,
        "imageID": report.image_id.as_ref().map(ToString::to_string),
        "repoTags": report.repository_tags,
        "repoDigests": report.repository_digests,
    }))
}

fn rule(finding: &Finding, list: &PackageList) -> Value {
    let name = if list.is_system { "OsPackageVulnerability" } else { "LanguageSpecificPackageVulnerability" };
    let title = if finding.title.is_empty() { &finding.id } else { &finding.title };
    let description = if finding.description.is_empty() { title } else { &finding.description };
    let severity = severity_word(finding.severity);
    let package = list.packages.get(finding.package).map_or("", |package| package.name.as_str());
    let (id, fixed, link) = (&finding.id, &finding.fixed_version, link(finding));
    let help = format!(
        "Vulnerability {id}\nSeverity: {severity}\nPackage: {package}\nFixed Version: {fixed}\nLink: {link}\n{description}"
    );
    let markdown = format!(
        "**Vulnerability {id}**\n| Severity | Package | Fixed Version | Link |\n| --- | --- | --- | --- |\n|{severity}|{}|{fixed}|{link}|\n\n{description}",
        package.replace('|', "\\|")
    );
    let mut rule = json!({
        "id": finding.id,
        "name": name,
        "shortDescription": { "text": title },
        "fullDescription": { "text": description.chars().take(1_024).collect::<String>() },
        "defaultConfiguration": { "level": level(finding.severity) },
        "help": { "text": help, "markdown": markdown },
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
        "Package: {name}\nInstalled Version: {}\nVulnerability {}\nSeverity: {}\nFixed Version: {}\nLink: {}",
        finding.installed_version,
        finding.id,
        severity_word(finding.severity),
        finding.fixed_version,
        link(finding)
    );
    // The lines of the list that name the package, where they are known.
    let lines = package.map_or(&[][..], |package| package.lines.as_slice());
    let whole = [(1, 1)];
    let places: Vec<Value> = if lines.is_empty() { &whole[..] } else { lines }
        .iter()
        .map(|(first, last)| {
            json!({
                "physicalLocation": {
                    "artifactLocation": { "uri": uri(path), "uriBaseId": "ROOTPATH" },
                    "region": { "startLine": first, "startColumn": 1, "endLine": last, "endColumn": 1 },
                },
                "message": { "text": format!("{path}: {name}@{}", finding.installed_version) },
            })
        })
        .collect();
    json!({
        "ruleId": finding.id,
        "ruleIndex": place,
        "level": level(finding.severity),
        "message": { "text": message },
        "locations": places,
    })
}

/// The id with the page to read, as SARIF writes links in texts.
fn link(finding: &Finding) -> String {
    if finding.primary_url.is_empty() {
        finding.id.clone()
    } else {
        format!("[{}]({})", finding.id, finding.primary_url)
    }
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
