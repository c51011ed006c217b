//! Reports of scans as the documents that other programs read.

use std::collections::HashMap;

use image_inventory::{ImageInventory, Package};
use model::Timestamp;
use scan_report::{ArtifactKind, PackageList, Source};
use schemas::build::v1::Finding;
use vulnerability_matching::assess::assess;
use vulnerability_matching::detect::Detection;

use crate::advisories::Advisories;
use crate::scan::Report;

/// What a document says of itself.
#[derive(Clone, Debug)]
pub struct Making {
    /// What kind of thing was scanned.
    pub kind: ArtifactKind,
    /// When.
    pub created: Timestamp,
    /// A UUID to name the document by.
    pub uuid: String,
    /// Version of this program.
    pub version: String,
    /// Architecture of the image; empty when unknown.
    pub architecture: String,
}

/// The report of a scan, with what the database tells of each of `findings`.
#[must_use]
pub fn document(
    report: &Report,
    findings: &[&Finding],
    advisories: &Advisories,
    making: Making,
) -> scan_report::Report {
    let (mut lists, places) = lists(&report.inventory);
    for finding in findings {
        let key = (finding.package.clone(), finding.installed_version.clone(), finding.path.clone());
        let Some((list, package)) = places.get(&key).copied() else { continue };
        if let Some(list) = lists.get_mut(list) {
            list.findings.push(documented(finding, package, advisories));
        }
    }
    let is_image = making.kind == ArtifactKind::ContainerImage;
    let pinned = format!("{}@{}", report.image.split('@').next().unwrap_or_default(), report.digest);
    let is_pulled = is_image && scan_report::image_purl(std::slice::from_ref(&pinned), "").is_ok();
    let system = report.inventory.operating_system.as_ref();
    scan_report::Report {
        artifact: report.image.clone(),
        kind: making.kind,
        digest: is_image.then(|| report.digest.clone()),
        repository_digests: if is_pulled { vec![pinned] } else { Vec::new() },
        repository_tags: Vec::new(),
        architecture: making.architecture,
        operating_system: system.map(|one| (one.family.clone(), one.release.clone())),
        created: making.created,
        uuid: making.uuid,
        tool: ("biotope".to_owned(), making.version),
        lists,
    }
}

/// Name, version and file of a package, as findings tell them, to its list and its place there.
type Places = HashMap<(String, String, String), (usize, usize)>;

fn lists(inventory: &ImageInventory) -> (Vec<PackageList>, Places) {
    let (mut lists, mut places) = (Vec::new(), Places::new());
    if !inventory.packages.is_empty() {
        let kind = inventory.operating_system.as_ref().map(|one| one.family.clone()).unwrap_or_default();
        note(&mut places, lists.len(), &inventory.packages, "");
        let packages = inventory.packages.iter().map(listed).collect();
        lists.push(PackageList { is_system: true, kind, packages, ..PackageList::default() });
    }
    for application in &inventory.applications {
        note(&mut places, lists.len(), &application.packages, &application.file_path);
        lists.push(PackageList {
            kind: application.kind.as_str().to_owned(),
            path: application.file_path.clone(),
            packages: application.packages.iter().map(listed).collect(),
            ..PackageList::default()
        });
    }
    (lists, places)
}

fn note(places: &mut Places, list: usize, packages: &[Package], home: &str) {
    for (place, package) in packages.iter().enumerate() {
        let path = if package.file_path.is_empty() { home } else { &package.file_path };
        places.entry((package.name.clone(), package.full_version(), path.to_owned())).or_insert((list, place));
    }
}

fn listed(package: &Package) -> scan_report::Package {
    scan_report::Package {
        id: package.id.clone(),
        name: package.name.clone(),
        version: package.full_version(),
        arch: package.arch.clone(),
        source: Source {
            name: package.source_name.clone(),
            epoch: package.source_epoch,
            version: package.source_version.clone(),
            release: package.source_release.clone(),
        },
        modularity: package.modularity.clone(),
        licenses: package.licenses.clone(),
        purl: package.purl.clone(),
        layer: package.layer.clone(),
        path: package.file_path.clone(),
        digest: package.digest.clone(),
        depends_on: package.depends_on.clone(),
    }
}

fn documented(finding: &Finding, package: usize, advisories: &Advisories) -> scan_report::Finding {
    let detail = advisories.detail(&finding.id);
    let detection =
        Detection { id: finding.id.clone(), fixed_version: finding.fixed_version.clone(), ..Detection::default() };
    let assessed = assess(&detection, detail.as_ref(), &["auto"]);
    let detail = detail.unwrap_or_default();
    let object = |value: Result<serde_json::Value, serde_json::Error>| value.unwrap_or_default();
    scan_report::Finding {
        id: finding.id.clone(),
        vendor_ids: finding.aliases.clone(),
        package,
        installed_version: finding.installed_version.clone(),
        fixed_version: finding.fixed_version.clone(),
        status: assessed.status.to_owned(),
        severity: finding.severity,
        title: finding.title.clone(),
        description: detail.description,
        primary_url: assessed.primary_url,
        references: detail.references,
        cwe_ids: detail.cwe_ids,
        cvss: object(serde_json::to_value(&detail.cvss)),
        vendor_severity: object(serde_json::to_value(&detail.vendor_severity)),
        published: detail.published.or_else(|| finding.published.map(|time| time.to_string())),
        last_modified: detail.last_modified,
    }
}
