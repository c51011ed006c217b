//! What analyzers found.

use std::collections::BTreeMap;

use model::{Fault, FaultKind};
use serde::{Deserialize, Serialize};

use crate::os::{OperatingSystem, Repository};
use crate::package::{ApplicationKind, Package};
use crate::text::ParseError;

/// Packages of the operating system that one database lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageList {
    /// The database file.
    pub file_path: String,
    /// Its packages.
    pub packages: Vec<Package>,
}

/// Packages of an application that one file lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Format.
    pub kind: ApplicationKind,
    /// The file.
    pub file_path: String,
    /// Its packages.
    pub packages: Vec<Package>,
}

/// A licence that a file states for a package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LicenseFile {
    /// The file.
    pub file_path: String,
    /// Package that it belongs to.
    pub package: String,
    /// Names of licences, as found.
    pub licenses: Vec<String>,
}

/// A Java archive that does not say what it is. A manifest may have words of its own, which then are among the packages of the
/// application; the Java index of a vulnerability database, asked by SHA-1 or by artifact and version, knows better.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UnidentifiedArchive {
    /// The file, with the archives that it lies in.
    pub file_path: String,
    /// SHA-1 in hex.
    pub sha1: String,
    /// The same as digest of its package; empty unless checksums are asked for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// Artifact by the name of the file; empty when it has no such form.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub artifact: String,
    /// Version by the name of the file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The outermost archive that it lies in; itself where it lies in none.
    #[serde(default)]
    pub outer: String,
    /// Name and version that its manifest states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<(String, String)>,
    /// What of that is among the packages, for want of anything better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated: Option<(String, String)>,
    /// Licences that it states itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<String>,
    /// Layer that brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<model::Digest>,
    /// What the index made of it when it was last asked: name and version, empty for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<(String, String)>,
}

/// Digests of a file, in hex.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigests {
    /// SHA-1, which SPDX asks of each file.
    pub sha1: String,
    /// SHA-256.
    pub sha256: String,
}

/// Everything that analyzers found in one layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    /// Operating system, when the layer says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operating_system: Option<OperatingSystem>,
    /// Operating system by `os-release` alone, for distributions that have a more exact file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_release: Option<OperatingSystem>,
    /// Package repository in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<Repository>,
    /// Package databases of the operating system.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub package_lists: Vec<PackageList>,
    /// Applications.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub applications: Vec<Application>,
    /// Licence files of packages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub license_files: Vec<LicenseFile>,
    /// Java archives that do not say what they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unidentified: Vec<UnidentifiedArchive>,
    /// Files that the packages of the operating system own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub system_files: Vec<String>,
    /// Content sets of a Red Hat image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub content_sets: Vec<String>,
    /// Name-version-release and architecture of a Red Hat image, from its Dockerfile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<(String, String)>,
    /// Supplier that made the image from packages of its own, when a file of the image says so: `rapidfort`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub supplier: String,
    /// Programs by path; empty unless they are asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub programs: BTreeMap<String, FileDigests>,
    /// What was set aside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

/// Analyzers of files that each describe one package.
const OF_ONE_PACKAGE: [&str; 4] = ["node-pkg", "python-pkg", "gemspec", "conda-pkg"];

impl Found {
    /// Adds an application, unless it has no packages.
    pub(crate) fn application(&mut self, kind: ApplicationKind, file_path: &str, packages: Vec<Package>) {
        if !packages.is_empty() {
            self.applications.push(Application { kind, file_path: file_path.to_owned(), packages });
        }
    }

    /// Adds a package list, unless it is empty.
    pub(crate) fn package_list(&mut self, file_path: &str, packages: Vec<Package>) {
        if !packages.is_empty() {
            self.package_lists.push(PackageList { file_path: file_path.to_owned(), packages });
        }
    }

    /// Sets a file aside. One that would describe a single package is told of, and no more: packages come with broken ones for their own
    /// tests, which no program loads.
    pub(crate) fn set_aside(&mut self, file: &str, analyzer: &str, error: &ParseError) {
        let kind = if OF_ONE_PACKAGE.contains(&analyzer) { FaultKind::Warning } else { FaultKind::Invalid };
        let fault = Fault::new(kind, file, error.to_string()).at(error.line, 0).about(analyzer);
        self.faults.push(fault.cure("the packages that this file lists are missing from the result; fix or remove it"));
    }

    pub(crate) fn count(&self) -> usize {
        let lists = self.package_lists.iter().map(|list| list.packages.len());
        lists.chain(self.applications.iter().map(|application| application.packages.len())).sum()
    }

    /// Puts everything in one order, so that equal layers have equal inventories whatever the order of their entries.
    pub(crate) fn sort(&mut self) {
        self.package_lists.sort_by(|a, b| a.file_path.cmp(&b.file_path));
        self.applications.sort_by(|a, b| (&a.file_path, a.kind).cmp(&(&b.file_path, b.kind)));
        self.license_files.sort();
        self.unidentified.sort();
        self.system_files.sort();
        self.system_files.dedup();
    }
}
