//! Trivy's JSON, schema version 2.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{ArtifactKind, Finding, Package, PackageList, Report, Suppressed, artifact_id, compact, severity_word};

/// Renders a report; packages without findings are listed when `lists_packages`.
#[must_use]
pub fn render(report: &Report, lists_packages: bool) -> Value {
    let image_id = report.image_id.as_ref().map(ToString::to_string).unwrap_or_default();
    let system = report.operating_system.as_ref();
    let is_image = report.kind == ArtifactKind::ContainerImage;
    let metadata = compact(json!({
        "OS": system.map(|(family, release)| operating_system(family, release, report.is_end_of_life)),
        "ImageID": image_id,
        "DiffIDs": report.diff_ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "RepoTags": report.repository_tags,
        "RepoDigests": report.repository_digests,
        "ImageConfig": report.image_config,
        // A field of our own: nobody shall take such a report for a whole one.
        "Partial": report.is_partial.then_some(true),
    }));
    let results: Vec<Value> = report.lists.iter().map(|list| result(report, list, lists_packages)).collect();
    let mut rendered = json!({
        "SchemaVersion": 2,
        "ReportID": report.uuid,
        "CreatedAt": report.created.to_string(),
        "ArtifactID": if is_image { artifact_id(&image_id, &report.artifact) } else { String::new() },
        "ArtifactName": report.artifact,
        "ArtifactType": report.kind.as_str(),
        "Metadata": metadata,
    });
    if let Some(map) = rendered.as_object_mut() {
        map.retain(|_, value| value != "");
        map.insert("Results".to_owned(), Value::Array(results));
    }
    rendered
}

fn operating_system(family: &str, release: &str, is_end_of_life: bool) -> Value {
    let mut system = json!({ "Family": family, "Name": release });
    if let (Some(map), true) = (system.as_object_mut(), is_end_of_life) {
        map.insert("EOSL".to_owned(), Value::Bool(true));
    }
    system
}

fn result(report: &Report, list: &PackageList, lists_packages: bool) -> Value {
    let packages: Vec<Value> =
        if lists_packages { list.packages.iter().map(|one| package(one, list)).collect() } else { Vec::new() };
    compact(json!({
        "Target": report.target(list),
        "Class": if list.is_system { "os-pkgs" } else { "lang-pkgs" },
        "Type": list.kind,
        "Packages": packages,
        "Vulnerabilities": list.findings.iter().map(|one| finding(one, list)).collect::<Vec<_>>(),
        "ExperimentalModifiedFindings": list.suppressed.iter().map(|one| suppressed(one, list)).collect::<Vec<_>>(),
    }))
}

fn package(package: &Package, list: &PackageList) -> Value {
    compact(json!({
        "ID": package.id,
        "Name": package.name,
        "Identifier": identifier(package, list),
        "Version": if package.upstream_version.is_empty() { &package.version } else { &package.upstream_version },
        "Release": package.release,
        "Epoch": number(package.epoch),
        "Arch": package.arch,
        "Dev": flag(package.development),
        "SrcName": package.source.name,
        "SrcVersion": package.source.version,
        "SrcRelease": package.source.release,
        "SrcEpoch": number(package.source.epoch),
        "Licenses": package.licenses,
        "Maintainer": package.maintainer,
        "Modularitylabel": package.modularity,
        "Indirect": flag(package.relationship == "indirect"),
        "Relationship": package.relationship,
        "DependsOn": package.depends_on,
        "Layer": layer(package),
        "FilePath": package.path,
        "Digest": package.digest,
        "Locations": package.lines.iter().map(|(first, last)| json!({ "StartLine": first, "EndLine": last })).collect::<Vec<_>>(),
        "InstalledFiles": package.installed_files,
    }))
}

/// What is not so is left out.
fn flag(is_so: bool) -> Value {
    if is_so { Value::Bool(true) } else { Value::Null }
}

/// A number that is left out when it is 0.
fn number(number: u32) -> Value {
    if number == 0 { Value::Null } else { number.into() }
}

fn suppressed(one: &Suppressed, list: &PackageList) -> Value {
    compact(json!({
        "Type": "vulnerability",
        "Status": one.status,
        "Statement": one.statement,
        "Source": one.source,
        "Finding": finding(&one.finding, list),
    }))
}

/// The package URL, and an id that no other package of the report has: the same package in two files is two.
fn identifier(package: &Package, list: &PackageList) -> Value {
    if package.name.is_empty() {
        return Value::Null;
    }
    let purl = package.purl.as_ref().map(ToString::to_string);
    let parts = [&list.kind, &list.path, &package.path, &package.id, &package.name, &package.version, &package.arch];
    let mut hash = Sha256::new();
    for part in parts.into_iter().map(String::as_str).chain(purl.as_deref()) {
        hash.update(part);
        hash.update([0]);
    }
    let uid: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    compact(json!({ "PURL": purl, "UID": uid }))
}

fn layer(package: &Package) -> Value {
    package.layer.as_ref().map_or(Value::Null, |layer| json!({ "DiffID": layer.to_string() }))
}

fn finding(finding: &Finding, list: &PackageList) -> Value {
    let none = Package::default();
    let package = list.packages.get(finding.package).unwrap_or(&none);
    compact(json!({
        "VulnerabilityID": finding.id,
        "VendorIDs": finding.vendor_ids,
        "PkgID": package.id,
        "PkgName": package.name,
        "PkgPath": package.path,
        "PkgIdentifier": identifier(package, list),
        "InstalledVersion": finding.installed_version,
        "FixedVersion": finding.fixed_version,
        "Status": finding.status,
        "Layer": layer(package),
        "SeveritySource": finding.severity_source,
        "PrimaryURL": finding.primary_url,
        "DataSource": finding.data_source,
        "Title": finding.title,
        "Description": finding.description,
        "Severity": severity_word(finding.severity),
        "CweIDs": finding.cwe_ids,
        "VendorSeverity": finding.vendor_severity,
        "CVSS": finding.cvss,
        "References": finding.references,
        "PublishedDate": finding.published,
        "LastModifiedDate": finding.last_modified,
    }))
}
