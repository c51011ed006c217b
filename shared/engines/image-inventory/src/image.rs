//! All layers of an image as one.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use model::{Digest, Fault};
use serde::{Deserialize, Serialize};

use crate::found::{Application, FileDigests, LicenseFile, PackageList, UnidentifiedArchive};
use crate::layer::LayerInventory;
use crate::os::{OperatingSystem, Repository};
use crate::package::{ApplicationKind, Package};
use crate::purl;

/// What an image holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageInventory {
    /// Operating system, when there is one.
    pub operating_system: Option<OperatingSystem>,
    /// Package repository in use.
    pub repository: Option<Repository>,
    /// Packages of the operating system.
    pub packages: Vec<Package>,
    /// Applications with their packages.
    pub applications: Vec<Application>,
    /// Content sets of a Red Hat image.
    pub content_sets: Vec<String>,
    /// Name-version-release and architecture of a Red Hat image.
    pub build: Option<(String, String)>,
    /// Supplier that made the image from packages of its own: `rapidfort`. Empty for all others.
    pub supplier: String,
    /// Java archives that do not say what they are.
    pub unidentified: Vec<UnidentifiedArchive>,
    /// Programs that no package of the operating system owns, by path; empty unless they are asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub programs: BTreeMap<String, FileDigests>,
    /// What was set aside in any layer.
    pub faults: Vec<Fault>,
    /// Whether something could not be read.
    pub partial: bool,
}

impl ImageInventory {
    /// All packages: those of the operating system, then those of each application.
    pub fn all_packages(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().chain(self.applications.iter().flat_map(|application| &application.packages))
    }
}

/// Merges layers, the lowest first. A file of a higher layer takes the place of the same file below; whiteouts and opaque folders
/// remove what lies below. Each package names the lowest layer from which on it was there without a break.
#[must_use]
pub fn merge<'a>(layers: impl IntoIterator<Item = (&'a Digest, &'a LayerInventory)>) -> ImageInventory {
    let mut merged = Merge::default();
    for (layer, inventory) in layers {
        merged.hide(inventory);
        merged.add(layer, inventory);
    }
    merged.finish()
}

#[derive(Default)]
struct Merge {
    image: ImageInventory,
    os_release: Option<OperatingSystem>,
    lists: BTreeMap<String, Vec<Package>>,
    applications: BTreeMap<(String, ApplicationKind), Vec<Package>>,
    licenses: BTreeMap<String, LicenseFile>,
    unidentified: BTreeMap<String, UnidentifiedArchive>,
    programs: BTreeMap<String, FileDigests>,
    system_files: HashSet<String>,
}

impl Merge {
    fn hide(&mut self, layer: &LayerInventory) {
        if layer.whiteouts.is_empty() && layer.opaque_folders.is_empty() && layer.replaced.is_empty() {
            return;
        }
        let is_hidden = |path: &str| hides(layer, path);
        // What this layer lists again is kept for the question which layer brought each package.
        let again: HashSet<&str> = layer.found.package_lists.iter().map(|list| list.file_path.as_str()).collect();
        self.lists.retain(|path, _| again.contains(path.as_str()) || !is_hidden(path));
        let again: HashSet<(&str, ApplicationKind)> =
            layer.found.applications.iter().map(|one| (one.file_path.as_str(), one.kind)).collect();
        self.applications.retain(|(path, kind), _| again.contains(&(path.as_str(), *kind)) || !is_hidden(path));
        self.licenses.retain(|path, _| !is_hidden(path));
        self.unidentified.retain(|path, _| !is_hidden(path));
        self.programs.retain(|path, _| !is_hidden(path));
    }

    fn add(&mut self, layer: &Digest, inventory: &LayerInventory) {
        let found = &inventory.found;
        if let Some(system) = &found.operating_system {
            match &mut self.image.operating_system {
                Some(known) => known.merge(system),
                none @ None => *none = Some(system.clone()),
            }
        }
        self.os_release = found.os_release.clone().or(self.os_release.take());
        self.image.repository = found.repository.clone().or(self.image.repository.take());
        self.image.build = found.build.clone().or(self.image.build.take());
        if !found.content_sets.is_empty() {
            self.image.content_sets.clone_from(&found.content_sets);
        }
        for list in &found.package_lists {
            let before = self.lists.remove(&list.file_path).unwrap_or_default();
            let packages = with_origin(&list.packages, &before, layer);
            self.lists.insert(list.file_path.clone(), packages);
        }
        for application in &found.applications {
            let key = (application.file_path.clone(), application.kind);
            let before = self.applications.remove(&key).unwrap_or_default();
            self.applications.insert(key, with_origin(&application.packages, &before, layer));
        }
        for file in &found.license_files {
            self.licenses.insert(file.file_path.clone(), file.clone());
        }
        for archive in &found.unidentified {
            let below = self.unidentified.remove(&archive.file_path).filter(|below| below.sha1 == archive.sha1);
            let origin = below.map_or_else(|| Some(layer.clone()), |below| below.layer);
            let known = UnidentifiedArchive { layer: origin, ..archive.clone() };
            self.unidentified.insert(archive.file_path.clone(), known);
        }
        self.programs.extend(found.programs.iter().map(|(path, digests)| (path.clone(), digests.clone())));
        // Some databases name files from the root on, others below it.
        let owned = found.system_files.iter().map(|path| path.trim_start_matches('/'));
        self.system_files.extend(owned.filter(|path| !path.is_empty()).map(str::to_owned));
        if !found.supplier.is_empty() {
            self.image.supplier.clone_from(&found.supplier);
        }
        self.image.faults.extend(found.faults.iter().cloned());
        self.image.partial |= inventory.partial;
    }

    fn finish(self) -> ImageInventory {
        let mut image = self.image;
        image.operating_system = image.operating_system.or(self.os_release);
        let mut licenses: HashMap<String, BTreeSet<String>> = HashMap::new();
        for file in self.licenses.into_values() {
            licenses.entry(file.package).or_default().extend(file.licenses);
        }
        // What a bill of material lists of the operating system gives way to the package database.
        let (bills, databases): (Vec<_>, Vec<_>) =
            self.lists.into_iter().partition(|(path, _)| crate::sbom::wants(path, 0));
        let system = image.operating_system.clone();
        // A bill of another distribution than the image is of says nothing about it.
        let is_native = |one: &Package| match (&one.purl, &system) {
            (Some(stated), Some(system)) if !stated.namespace.is_empty() => {
                purl::system(one, Some(system)).is_none_or(|own| own.namespace == stated.namespace)
            }
            _ => true,
        };
        // The same package may be listed by several files of one database.
        let mut listed: HashSet<(String, String)> = HashSet::new();
        let id = |one: &Package| {
            if one.id.is_empty() { format!("{}@{}", one.name, one.full_version()) } else { one.id.clone() }
        };
        let mut is_new = |one: &Package| listed.insert((id(one), one.file_path.clone()));
        image.packages.extend(
            databases.into_iter().flat_map(|(_, packages)| packages).filter(|one| is_native(one) && is_new(one)),
        );
        let known: HashSet<(String, String)> =
            image.packages.iter().map(|one| (one.name.clone(), one.full_version())).collect();
        let more = bills.into_iter().flat_map(|(_, packages)| packages);
        image
            .packages
            .extend(more.filter(|one| is_native(one) && !known.contains(&(one.name.clone(), one.full_version()))));
        for package in &mut image.packages {
            if let Some(names) = licenses.get(&package.name).filter(|_| package.licenses.is_empty()) {
                package.licenses = names.iter().cloned().collect();
            }
            package.purl = package.purl.take().or_else(|| purl::system(package, image.operating_system.as_ref()));
        }
        // What a package of the distribution installed is matched by the distribution's advisories.
        let is_owned = |path: &str| self.system_files.contains(path) || UNLISTED_SYSTEM_FILES.contains(&path);
        let archives = self.unidentified.into_values();
        image.unidentified = archives.filter(|one| !is_owned(&one.outer) && !is_owned(&one.file_path)).collect();
        image.programs = self.programs.into_iter().filter(|(path, _)| !is_owned(path)).collect();
        for ((file_path, kind), mut packages) in self.applications {
            packages.retain(|package| !is_owned(&file_path) && !is_owned(&package.file_path));
            for package in &mut packages {
                package.purl = package.purl.take().or_else(|| purl::language(package, kind));
            }
            if !packages.is_empty() {
                image.applications.push(Application { kind, file_path, packages });
            }
        }
        image
    }
}

/// Files of packages of distroless images, whose database keeps no lists of files.
const UNLISTED_SYSTEM_FILES: &[&str] = &[
    "usr/lib/python2.7/argparse.egg-info",
    "usr/lib/python2.7/lib-dynload/Python-2.7.egg-info",
    "usr/lib/python2.7/wsgiref.egg-info",
];

fn hides(layer: &LayerInventory, path: &str) -> bool {
    let gone = |path: &str| layer.whiteouts.contains(path) || layer.replaced.contains(path);
    if gone(path) {
        return true;
    }
    let mut rest = path;
    while let Some((folder, _)) = rest.rsplit_once('/') {
        if gone(folder) || layer.opaque_folders.contains(folder) {
            return true;
        }
        rest = folder;
    }
    layer.opaque_folders.contains("")
}

/// Packages with the layer that brought each: the one below if it had the same, else this one. Facts that stand in files of their own
/// (installed files, digests) are kept when only the database was written again.
fn with_origin(packages: &[Package], before: &[Package], layer: &Digest) -> Vec<Package> {
    fn key(package: &Package) -> (&str, u32, &str, &str, &str) {
        (&package.name, package.epoch, &package.version, &package.release, &package.arch)
    }
    let known: HashMap<_, &Package> = before.iter().map(|package| (key(package), package)).collect();
    let origin = |found: &Package| {
        let mut package = found.clone();
        let Some(below) = known.get(&key(found)) else {
            return Package { layer: Some(layer.clone()), ..package };
        };
        package.layer.clone_from(&below.layer);
        if package.installed_files.is_empty() {
            package.installed_files.clone_from(&below.installed_files);
        }
        if package.digest.is_empty() {
            package.digest.clone_from(&below.digest);
        }
        package
    };
    packages.iter().map(origin).collect()
}

impl PackageList {
    /// Database file and number of packages, for logs.
    #[must_use]
    pub fn summary(&self) -> (&str, usize) {
        (&self.file_path, self.packages.len())
    }
}
