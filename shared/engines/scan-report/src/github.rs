//! GitHub's dependency snapshot (REST API, "Dependency submission"): what a build depends on, one manifest for each list of packages.

use serde_json::{Map, Value, json};

use crate::{ArtifactKind, Package, PackageList, Report, compact};

/// The build that the snapshot is of, as GitHub's runner names it.
#[derive(Clone, Debug, Default)]
pub struct Build {
    /// `refs/heads/main`.
    pub reference: String,
    /// The commit.
    pub commit: String,
    /// Names the workflow and its job: a snapshot takes the place of the last one of the same.
    pub correlator: String,
    /// Id of the run.
    pub run: String,
}

/// Renders a report.
#[must_use]
pub fn render(report: &Report, build: &Build) -> Value {
    let (name, version) = &report.tool;
    let lists = report.lists.iter().filter(|list| !list.packages.is_empty());
    let manifests: Map<String, Value> = lists.map(|list| (report.target(list), manifest(report, list))).collect();
    let metadata = compact(json!({
        "aquasecurity:trivy:RepoTag": report.repository_tags.join(", "),
        "aquasecurity:trivy:RepoDigest": report.repository_digests.join(", "),
    }));
    let job = compact(json!({ "correlator": build.correlator, "id": build.run }));
    let mut rendered = json!({
        "version": 0,
        "detector": { "name": name, "version": version, "url": "https://biotope.dev" },
        "ref": build.reference,
        "sha": build.commit,
        "job": job,
        "scanned": report.created.to_string(),
        "manifests": manifests,
    });
    if let (Some(map), Some(false)) = (rendered.as_object_mut(), metadata.as_object().map(Map::is_empty)) {
        map.insert("metadata".to_owned(), metadata);
    }
    rendered
}

fn manifest(report: &Report, list: &PackageList) -> Value {
    let resolved: Map<String, Value> =
        list.packages.iter().map(|package| (package.name.clone(), dependency(package))).collect();
    let mut manifest = json!({ "name": list.kind, "resolved": resolved });
    if let (Some(map), false) = (manifest.as_object_mut(), list.is_system) {
        map.insert("file".to_owned(), json!({ "source_location": place(report, list) }));
    }
    manifest
}

/// Where the list is: its file, or the image by tag and digest.
fn place(report: &Report, list: &PackageList) -> String {
    let digest = report.repository_digests.first().and_then(|digest| digest.split_once('@')).map(|(_, digest)| digest);
    match (report.kind, digest) {
        (ArtifactKind::ContainerImage, Some(digest)) => format!("{}@{digest}", report.repository_tags.join(", ")),
        (ArtifactKind::ContainerImage, None) => report.repository_tags.join(", "),
        _ => report.target(list),
    }
}

fn dependency(package: &Package) -> Value {
    compact(json!({
        "package_url": package.purl.as_ref().map(ToString::to_string),
        "relationship": if package.relationship == "indirect" { "indirect" } else { "direct" },
        "dependencies": package.depends_on,
        "scope": "runtime",
    }))
}
