//! The advisory database in force: a folder of OSV JSON files, read again when it changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use image_inventory::{ImageInventory, Package};
use model::{Fault, FaultKind};
use schemas::build::v1::Finding;
use vulnerability_matching::{AdvisoryIndex, OperatingSystem};

/// Advisories that packages are matched with. Immutable; a changed folder gives a new one.
#[derive(Debug, Default)]
pub struct Advisories {
    index: AdvisoryIndex,
    name: String,
}

/// What a folder looked like: when it changes, the advisories are read again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<PathBuf, (u64, Option<SystemTime>)>);

impl Advisories {
    /// Reads every `*.json` below `folder`. Files that cannot be used are faults, and the rest goes on.
    #[must_use]
    pub fn load(folder: &Path, fingerprint: &Fingerprint) -> (Self, Vec<Fault>) {
        let mut faults = Vec::new();
        let mut texts: Vec<(String, Vec<u8>)> = Vec::new();
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        for path in fingerprint.0.keys() {
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
        if texts.is_empty() {
            let fault =
                Fault::new(FaultKind::Warning, &folder.display().to_string(), "no advisories: nothing can be found");
            faults.push(fault.cure("put OSV JSON files into the folder"));
        }
        let (index, refused) = AdvisoryIndex::build(texts.iter().map(|(path, text)| (path.as_str(), text.as_slice())));
        faults.extend(refused);
        let digest = hash.finish();
        let short: String = digest.as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        (Self { name: format!("osv:{} advisories:{short}", index.len()), index }, faults)
    }

    /// Name of the database: how many advisories, and a hash of their bytes.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Matches everything in an image. Worst first.
    #[must_use]
    pub fn findings(&self, image: &ImageInventory) -> Vec<Finding> {
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
                } else if path.extension().is_some_and(|extension| extension == "json") {
                    files.insert(path, (meta.len(), meta.modified().ok()));
                }
            }
        }
        Self(files)
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

fn named(finding: vulnerability_matching::Finding, (package, path): (&Package, &str)) -> Finding {
    Finding {
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
    }
}
