//! Reports of scans as the documents that other programs read.

use std::collections::HashMap;

use image_inventory::{FileDigests, ImageInventory, Package, Relationship};
use model::{ImageReference, Timestamp};
use scan_report::{ArtifactKind, PackageList, Source, Suppressed};
use vulnerability_matching::assess::primary_url;
use vulnerability_matching::detect::is_supported;
use vulnerability_matching::filter::unique;

use crate::advisories::Advisories;
use crate::matches::Match;
use crate::scan::Report;

/// What a document says of itself.
#[derive(Clone, Debug)]
pub struct Making {
    /// When.
    pub created: Timestamp,
    /// A UUID to name the document by.
    pub uuid: String,
    /// Version of this program.
    pub version: String,
}

/// What of a report a document shows.
#[derive(Clone, Debug, Default)]
pub struct Shown<'r> {
    /// Findings that stand.
    pub findings: Vec<&'r Match>,
    /// Findings that somebody said do not matter, with status, reason and source.
    pub suppressed: Vec<(&'r Match, [String; 3])>,
}

/// The report of a scan, with what the database tells of each finding that is shown. Findings of a list are sorted as Trivy sorts them,
/// and one that is there twice is told once.
#[must_use]
pub fn document(report: &Report, shown: &Shown<'_>, advisories: &Advisories, making: Making) -> scan_report::Report {
    let (mut lists, places) = lists(&report.inventory);
    for found in unique(shown.findings.clone()) {
        if let Some((list, package)) = place(&places, found)
            && let Some(list) = lists.get_mut(list)
        {
            list.findings.push(documented(found, package, advisories));
        }
    }
    for (found, [status, statement, source]) in &shown.suppressed {
        if let Some((list, package)) = place(&places, found)
            && let Some(list) = lists.get_mut(list)
        {
            list.suppressed.push(Suppressed {
                finding: documented(found, package, advisories),
                status: status.clone(),
                statement: statement.clone(),
                source: source.clone(),
            });
        }
    }
    let names = Names::of(report);
    let system = report.inventory.operating_system.as_ref();
    let now_s = making.created.as_nanos().div_euclid(1_000_000_000);
    scan_report::Report {
        artifact: report.image.clone(),
        kind: report.kind,
        digest: (report.kind == ArtifactKind::ContainerImage).then(|| report.digest.clone()),
        repository_digests: names.digests,
        repository_tags: names.tags,
        image_id: report.image_id.clone(),
        diff_ids: report.diff_ids.clone(),
        image_config: report.config.clone(),
        architecture: report.config.get("architecture").and_then(|one| one.as_str()).unwrap_or_default().to_owned(),
        operating_system: system.map(|one| (one.family.clone(), one.release.clone())),
        is_end_of_life: system.is_some_and(|one| !is_supported(&one.family, &one.release, now_s)),
        is_partial: report.partial,
        created: making.created,
        uuid: making.uuid,
        tool: ("biotope".to_owned(), making.version),
        lists,
        files: report.inventory.programs.iter().map(program).collect(),
    }
}

fn program((path, digests): (&String, &FileDigests)) -> scan_report::File {
    let digests = [format!("sha1:{}", digests.sha1), format!("sha256:{}", digests.sha256)];
    scan_report::File { path: path.clone(), digests: digests.into() }
}

/// Where the image can be pulled.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) digests: Vec<String>,
    tags: Vec<String>,
}

impl Names {
    /// Only what came from a registry has such names. Those of Docker Hub are as short as people write them.
    pub(crate) fn of(report: &Report) -> Self {
        if report.kind != ArtifactKind::ContainerImage || std::path::Path::new(&report.image).exists() {
            return Self::default();
        }
        let Ok(reference) = report.image.parse::<ImageReference>() else { return Self::default() };
        let name = match reference.registry() {
            "docker.io" | "index.docker.io" => {
                let repository = reference.repository();
                repository.strip_prefix("library/").unwrap_or(repository).to_owned()
            }
            registry => format!("{registry}/{}", reference.repository()),
        };
        let digest = report.index_digest.as_ref().unwrap_or(&report.digest);
        let tag = if reference.digest().is_some() { None } else { Some(reference.tag().unwrap_or("latest")) };
        Self {
            digests: vec![format!("{name}@{digest}")],
            tags: tag.map(|tag| format!("{name}:{tag}")).into_iter().collect(),
        }
    }
}

fn place(places: &Places, found: &Match) -> Option<(usize, usize)> {
    places.get(&(found.package.clone(), found.installed_version.clone(), found.path.clone())).copied()
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
    let relationship = match package.relationship {
        Relationship::Unknown => "",
        Relationship::Root => "root",
        Relationship::Workspace => "workspace",
        Relationship::Direct => "direct",
        Relationship::Indirect => "indirect",
    };
    scan_report::Package {
        id: package.id.clone(),
        name: package.name.clone(),
        version: package.full_version(),
        upstream_version: package.version.clone(),
        release: package.release.clone(),
        epoch: package.epoch,
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
        relationship: relationship.to_owned(),
        development: package.development,
        maintainer: package.maintainer.clone(),
        lines: package.locations.iter().map(|one| (one.start, one.end)).collect(),
        installed_files: package.installed_files.clone(),
    }
}

fn documented(found: &Match, package: usize, advisories: &Advisories) -> scan_report::Finding {
    let detail = advisories.detail(&found.id).unwrap_or_default();
    let object = |value: Result<serde_json::Value, serde_json::Error>| value.unwrap_or_default();
    let address = match found.primary_url.as_str() {
        "" => primary_url(&found.id, &[], None),
        known => known.to_owned(),
    };
    scan_report::Finding {
        id: found.id.clone(),
        vendor_ids: found.aliases.clone(),
        package,
        installed_version: found.installed_version.clone(),
        fixed_version: found.fixed_version.clone(),
        status: found.status.clone(),
        severity: found.severity,
        severity_source: found.severity_source.clone(),
        data_source: found.source.as_deref().map(|one| object(serde_json::to_value(one))).unwrap_or_default(),
        title: found.title.clone(),
        description: detail.description,
        primary_url: address,
        references: detail.references,
        cwe_ids: detail.cwe_ids,
        cvss: object(serde_json::to_value(&detail.cvss)),
        vendor_severity: object(serde_json::to_value(&detail.vendor_severity)),
        published: detail.published.or_else(|| found.published.map(|time| time.to_string())),
        last_modified: detail.last_modified,
    }
}
