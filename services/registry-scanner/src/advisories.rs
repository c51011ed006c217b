//! The advisories in force: a folder of OSV JSON files, and of Trivy's database; read again when it changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use image_inventory::{ImageInventory, Package};
use model::{Fault, FaultKind};
use schemas::build::v1::Finding;
use vulnerability_matching::database::VulnerabilityDetail;
use vulnerability_matching::{AdvisoryIndex, OperatingSystem};

use crate::matches::Match;
use crate::trivy::{Metadata, TrivyDatabase};

/// Advisories that packages are matched with. Immutable; a changed folder gives a new one.
#[derive(Debug, Default)]
pub struct Advisories {
    index: AdvisoryIndex,
    trivy: Option<TrivyDatabase>,
    name: String,
}

/// What a folder looked like: when it changes, the advisories are read again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<PathBuf, (u64, Option<SystemTime>)>);

impl Advisories {
    /// Reads every `*.json` below `folder`, and opens the first `trivy.db` there is. Files that cannot be used are faults, and the
    /// rest goes on.
    #[must_use]
    pub fn load(folder: &Path, fingerprint: &Fingerprint) -> (Self, Vec<Fault>) {
        let mut faults = Vec::new();
        let mut texts: Vec<(String, Vec<u8>)> = Vec::new();
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        let trivy = open_trivy(fingerprint, &mut faults);
        for path in fingerprint.0.keys().filter(|path| !is_trivy(path) && !is_metadata(path)) {
            let shown = path.display().to_string();
            match std::fs::read(path) {
                Ok(text) => {
                    hash.update(&text);
                    texts.push((shown, text));
                }
                Err(error) => {
                    let fault = Fault::new(FaultKind::Invalid, &shown, format!("cannot be read: {error}"));
                    faults.push(fault.cure("check the rights of the file"));
                }
            }
        }
        if texts.is_empty() && trivy.is_none() {
            let fault =
                Fault::new(FaultKind::Warning, &folder.display().to_string(), "no advisories: nothing can be found");
            faults.push(fault.cure("put OSV JSON files or a trivy.db into the folder (`biotope db update`)"));
        }
        let (index, refused) = AdvisoryIndex::build(texts.iter().map(|(path, text)| (path.as_str(), text.as_slice())));
        faults.extend(refused);
        let digest = hash.finish();
        let short: String = digest.as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let osv = format!("osv:{} advisories:{short}", index.len());
        let name = match &trivy {
            Some(trivy) if index.is_empty() => trivy.name(),
            Some(trivy) => format!("{} {osv}", trivy.name()),
            None => osv,
        };
        (Self { index, trivy, name }, faults)
    }

    /// Name of the database: how many advisories, and a hash of their bytes.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is known of the making of Trivy's database, where there is one.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        self.trivy.as_ref().map(TrivyDatabase::metadata)
    }

    /// What Trivy's database tells of a vulnerability; `None` when it tells nothing.
    #[must_use]
    pub fn detail(&self, id: &str) -> Option<VulnerabilityDetail> {
        self.trivy.as_ref().and_then(|trivy| trivy.detail(id))
    }

    /// Whether nothing can be found with them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty() && self.trivy.is_none()
    }

    /// Matches everything in an image, worst first, and says what of the database could not be read. Where both sources know a
    /// vulnerability of a package, Trivy's word counts.
    #[must_use]
    pub fn findings(&self, image: &ImageInventory) -> (Vec<Match>, Vec<Fault>) {
        let (mut findings, faults) = self.trivy.as_ref().map(|trivy| trivy.findings(image)).unwrap_or_default();
        let is_known = |new: &Match, known: &[Match]| {
            known.iter().any(|old| {
                (&old.package, &old.path, &old.installed_version) == (&new.package, &new.path, &new.installed_version)
                    && (old.id == new.id || new.aliases.contains(&old.id) || old.aliases.contains(&new.id))
            })
        };
        let more: Vec<Match> = self.osv_findings(image).into_iter().filter(|new| !is_known(new, &findings)).collect();
        findings.extend(more);
        findings.sort_by(|a, b| {
            b.severity.cmp(&a.severity).then_with(|| (&a.package, &a.path, &a.id).cmp(&(&b.package, &b.path, &b.id)))
        });
        (findings, faults)
    }

    fn osv_findings(&self, image: &ImageInventory) -> Vec<Match> {
        let installed: Vec<(&Package, &str)> = image
            .packages
            .iter()
            .map(|package| (package, package.file_path.as_str()))
            .chain(image.applications.iter().flat_map(|application| {
                application.packages.iter().map(|package| {
                    let own = package.file_path.as_str();
                    (package, if own.is_empty() { application.file_path.as_str() } else { own })
                })
            }))
            .filter(|(package, _)| package.purl.is_some())
            .collect();
        let packages: Vec<_> = installed.iter().filter_map(|(package, _)| matchable(package)).collect();
        let system = image
            .operating_system
            .as_ref()
            .map(|system| OperatingSystem { family: system.family.clone(), release: system.release.clone() });
        let matched = self.index.match_packages(&packages, system.as_ref());
        matched
            .into_iter()
            .filter_map(|finding| installed.get(finding.package).map(|place| named(finding, *place)))
            .collect()
    }
}

impl Fingerprint {
    /// Looks at a folder and its folders, eight levels deep.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut pending = vec![(folder.to_owned(), 0_u8)];
        while let Some((folder, depth)) = pending.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
                let (path, Ok(meta)) = (entry.path(), entry.metadata()) else { continue };
                if meta.is_dir() && depth < 8 {
                    pending.push((path, depth.saturating_add(1)));
                } else if is_trivy(&path) || path.extension().is_some_and(|extension| extension == "json") {
                    files.insert(path, (meta.len(), meta.modified().ok()));
                }
            }
        }
        Self(files)
    }
}

fn is_trivy(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "trivy.db")
}

/// What stands beside a database is no advisory.
fn is_metadata(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "metadata.json") && path.with_file_name("trivy.db").is_file()
}

fn open_trivy(fingerprint: &Fingerprint, faults: &mut Vec<Fault>) -> Option<TrivyDatabase> {
    let path = fingerprint.0.keys().find(|path| is_trivy(path))?;
    match TrivyDatabase::open(path) {
        Ok(database) => Some(database),
        Err(error) => {
            let fault = Fault::new(FaultKind::Invalid, &path.display().to_string(), error.to_string());
            faults.push(fault.cure("fetch it again with `biotope db update`, or remove it"));
            None
        }
    }
}

fn matchable(package: &Package) -> Option<vulnerability_matching::Package> {
    Some(vulnerability_matching::Package {
        name: package.name.clone(),
        version: package.full_version(),
        source_name: package.source_name.clone(),
        source_version: package.full_source_version(),
        purl: package.purl.clone()?,
    })
}

fn named(finding: vulnerability_matching::Finding, (package, path): (&Package, &str)) -> Match {
    Match::from(Finding {
        id: finding.id,
        aliases: finding.aliases,
        package: package.name.clone(),
        purl: package.purl.clone(),
        installed_version: package.full_version(),
        fixed_version: finding.fixed_version.unwrap_or_default(),
        severity: finding.severity,
        title: finding.title,
        published: finding.published,
        layer: package.layer.clone(),
        path: path.to_owned(),
    })
}
