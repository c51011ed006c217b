//! What a scan found, in the forms that other programs read: Trivy's JSON, SARIF, CycloneDX, SPDX, JUnit.
//!
//! ```text
//! Report --trivy::render--> Trivy's JSON (schema version 2)
//!        --sarif::render--> SARIF 2.1.0
//!        --cyclonedx::render--> CycloneDX 1.6      --spdx::render--> SPDX 2.3
//!        --junit::render--> JUnit XML
//!        --spdx::tag_value--> SPDX 2.3 as lines
//!        --github::render--> a dependency snapshot    --predicate::render--> cosign's predicate of a scan
//! ```
//!
//! What surprises: bills of material carry facts that their standards have no field for (the source package, the layer) as properties
//! under Trivy's names, so that either program reads the other's; a package that is in two lists is two components.

#![warn(missing_docs)]
#![deny(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]
#![cfg_attr(
    test,
    allow(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used,
        reason = "tests fail by panicking"
    )
)]

pub mod cyclonedx;
pub mod github;
mod identity;
pub mod junit;
mod licenses;
pub mod predicate;
pub mod sarif;
pub mod spdx;
#[cfg(test)]
mod tests;
pub mod trivy;

use model::{Digest, PackageUrl, Severity, Timestamp};
use serde_json::Value;

pub use identity::{ImagePurlError, artifact_id, image_purl};
pub use licenses::{OtherLicense, license_choices, spdx_license};

/// What a scan found.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was scanned, as it was asked for.
    pub artifact: String,
    /// What kind of thing it is.
    pub kind: ArtifactKind,
    /// Digest of what was scanned; `None` for folders and bills of material.
    pub digest: Option<Digest>,
    /// The image where it can be pulled: `registry/repository@sha256:...`.
    pub repository_digests: Vec<String>,
    /// Tags of the image.
    pub repository_tags: Vec<String>,
    /// Digest of the image configuration, which is the image's id.
    pub image_id: Option<Digest>,
    /// Diff ids of its layers, the lowest first.
    pub diff_ids: Vec<Digest>,
    /// The image configuration as it is; null where there is none.
    pub image_config: Value,
    /// Architecture of the image.
    pub architecture: String,
    /// Family and release of the operating system.
    pub operating_system: Option<(String, String)>,
    /// Whether its makers no longer support that release.
    pub is_end_of_life: bool,
    /// Whether something could not be read, so that packages may be missing.
    pub is_partial: bool,
    /// When the report was made.
    pub created: Timestamp,
    /// A UUID, to name the document by.
    pub uuid: String,
    /// Name and version of the program that made it.
    pub tool: (String, String),
    /// Lists of packages with what was found in each.
    pub lists: Vec<PackageList>,
    /// Files that were hashed, which no package of the operating system owns.
    pub files: Vec<File>,
}

/// A file with its digests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Path in the image or folder.
    pub path: String,
    /// Digests, `algorithm:hex`.
    pub digests: Vec<String>,
}

/// What kind of thing was scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactKind {
    /// An image.
    ContainerImage,
    /// A folder.
    Filesystem,
    /// A CycloneDX bill of material.
    CycloneDx,
    /// An SPDX bill of material.
    Spdx,
}

impl ArtifactKind {
    /// The word in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ContainerImage => "container_image",
            Self::Filesystem => "filesystem",
            Self::CycloneDx => "cyclonedx",
            Self::Spdx => "spdx",
        }
    }
}

/// Packages that one database or file lists.
#[derive(Clone, Debug, Default)]
pub struct PackageList {
    /// Whether they are packages of the operating system.
    pub is_system: bool,
    /// Family of the operating system, or kind of the application.
    pub kind: String,
    /// File that lists them; empty for those of the operating system, and for those that say themselves what they are.
    pub path: String,
    /// The packages.
    pub packages: Vec<Package>,
    /// What was found.
    pub findings: Vec<Finding>,
    /// What was found and taken away by a statement or an ignore file.
    pub suppressed: Vec<Suppressed>,
}

/// A finding that somebody said does not matter.
#[derive(Clone, Debug, Default)]
pub struct Suppressed {
    /// The finding.
    pub finding: Finding,
    /// `ignored`, `not_affected` or `fixed`.
    pub status: String,
    /// Why.
    pub statement: String,
    /// The file or document that says so.
    pub source: String,
}

/// One package.
#[derive(Clone, Debug, Default)]
pub struct Package {
    /// Id within its list; empty when there is none.
    pub id: String,
    /// Name.
    pub name: String,
    /// Version, with epoch and release.
    pub version: String,
    /// Version alone; empty where it is the whole.
    pub upstream_version: String,
    /// Release.
    pub release: String,
    /// Epoch.
    pub epoch: u32,
    /// Architecture.
    pub arch: String,
    /// Source package: name, epoch, version, release; an empty name when there is none.
    pub source: Source,
    /// Module stream of a modular rpm.
    pub modularity: String,
    /// Licences as found.
    pub licenses: Vec<String>,
    /// Package URL.
    pub purl: Option<PackageUrl>,
    /// Diff id of the layer that brought it.
    pub layer: Option<Digest>,
    /// File of the package itself.
    pub path: String,
    /// Digest, `algorithm:hex`.
    pub digest: String,
    /// Ids of the packages that it needs.
    pub depends_on: Vec<String>,
    /// How it relates to the project that lists it: `root`, `workspace`, `direct`, `indirect`; empty when unknown.
    pub relationship: String,
    /// Whether it is needed for development only.
    pub development: bool,
    /// Maintainer, or vendor of an rpm.
    pub maintainer: String,
    /// First and last line of each place of the list that says so.
    pub lines: Vec<(u32, u32)>,
    /// Files that it installed.
    pub installed_files: Vec<String>,
}

/// The source package of a package.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Name.
    pub name: String,
    /// Epoch.
    pub epoch: u32,
    /// Version.
    pub version: String,
    /// Release.
    pub release: String,
}

impl Source {
    /// `epoch:version-release`, without what is not there.
    #[must_use]
    pub fn full_version(&self) -> String {
        let epoch = if self.epoch == 0 { String::new() } else { format!("{}:", self.epoch) };
        let release = if self.release.is_empty() { String::new() } else { format!("-{}", self.release) };
        format!("{epoch}{}{release}", self.version)
    }
}

/// One vulnerability of one package.
#[derive(Clone, Debug, Default)]
pub struct Finding {
    /// Id of the vulnerability.
    pub id: String,
    /// Ids that the vendor gave it.
    pub vendor_ids: Vec<String>,
    /// Place of the package in its list.
    pub package: usize,
    /// Installed version.
    pub installed_version: String,
    /// First version without it; empty when there is none.
    pub fixed_version: String,
    /// `fixed`, `affected`, ...
    pub status: String,
    /// Severity.
    pub severity: Severity,
    /// Whose severity it is; empty when nobody's in particular.
    pub severity_source: String,
    /// Who says that the package is vulnerable, in Trivy's form; null when unknown.
    pub data_source: Value,
    /// One line.
    pub title: String,
    /// Text.
    pub description: String,
    /// The page to read first.
    pub primary_url: String,
    /// Links.
    pub references: Vec<String>,
    /// Weaknesses, `CWE-79`.
    pub cwe_ids: Vec<String>,
    /// Vectors and scores by vendor, in Trivy's form; null when there are none.
    pub cvss: Value,
    /// Severity by vendor, 0 to 4; null when there are none.
    pub vendor_severity: Value,
    /// When it was published.
    pub published: Option<String>,
    /// When it was last changed.
    pub last_modified: Option<String>,
}

impl Report {
    /// The list's name for people.
    #[must_use]
    pub fn target(&self, list: &PackageList) -> String {
        match &self.operating_system {
            Some((family, release)) if list.is_system => format!("{} ({family} {release})", self.artifact),
            _ if list.path.is_empty() => list.kind.clone(),
            _ => list.path.clone(),
        }
    }
}

/// The word in upper case, as Trivy writes it.
pub(crate) fn severity_word(severity: Severity) -> String {
    severity.to_string().to_uppercase()
}

/// The object without what is empty.
pub(crate) fn compact(value: Value) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    match value {
        Value::Object(map) => Value::Object(map.into_iter().filter(|(_, value)| !is_empty(value)).collect()),
        other => other,
    }
}
