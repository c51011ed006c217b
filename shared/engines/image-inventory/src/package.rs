//! One package, in the terms of its manager.

use model::{Digest, PackageUrl};
use serde::{Deserialize, Serialize};

/// One package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Package {
    /// Id within its list or application: what `depends_on` names. Empty when the source has no dependency graph.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Name.
    pub name: String,
    /// Version; without epoch and release for the systems that have them.
    pub version: String,
    /// Release (rpm) or Debian revision.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub release: String,
    /// Epoch.
    #[serde(skip_serializing_if = "is_zero")]
    pub epoch: u32,
    /// Architecture.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub arch: String,
    /// Name of the source package that it was built from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source_name: String,
    /// Version of the source package.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source_version: String,
    /// Release of the source package.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source_release: String,
    /// Epoch of the source package.
    #[serde(skip_serializing_if = "is_zero")]
    pub source_epoch: u32,
    /// Licences as found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<String>,
    /// Maintainer, or vendor of an rpm.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub maintainer: String,
    /// Module stream of a modular rpm.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub modularity: String,
    /// Whether it was installed from a repository that the distribution does not make. `None` when unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub third_party: Option<bool>,
    /// Ids of the packages that it needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// How it relates to the project that lists it.
    #[serde(skip_serializing_if = "Relationship::is_unknown")]
    pub relationship: Relationship,
    /// Whether it is needed for development only.
    #[serde(skip_serializing_if = "is_false")]
    pub development: bool,
    /// Lines of the file that say so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<LineRange>,
    /// Where it comes from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
    /// Digest of the package as its manager keeps it, `algorithm:hex`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// File of the package itself, where that differs from the file of its list.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub file_path: String,
    /// Files that the package installed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub installed_files: Vec<String>,
    /// Package URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purl: Option<PackageUrl>,
    /// Diff id of the layer that brought it; set when layers are merged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<Digest>,
}

impl Package {
    /// The version with epoch and release, as the package manager prints it.
    #[must_use]
    pub fn full_version(&self) -> String {
        full_version(self.epoch, &self.version, &self.release)
    }

    /// The version with its release only, as package URLs have it.
    #[must_use]
    pub(crate) fn full_version_without_epoch(&self) -> String {
        full_version(0, &self.version, &self.release)
    }

    /// The version of the source package with epoch and release.
    #[must_use]
    pub fn full_source_version(&self) -> String {
        full_version(self.source_epoch, &self.source_version, &self.source_release)
    }
}

pub(crate) fn full_version(epoch: u32, version: &str, release: &str) -> String {
    let mut text = if epoch > 0 { format!("{epoch}:{version}") } else { version.to_owned() };
    if !release.is_empty() {
        text.push('-');
        text.push_str(release);
    }
    text
}

/// How a package relates to the project that lists it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Relationship {
    /// The source does not say.
    #[default]
    Unknown,
    /// The project itself.
    Root,
    /// A member of the project's workspace.
    Workspace,
    /// Asked for by the project.
    Direct,
    /// Needed by another package.
    Indirect,
}

impl Relationship {
    fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }

    /// Direct or indirect.
    #[must_use]
    pub fn direct(is_direct: bool) -> Self {
        if is_direct { Self::Direct } else { Self::Indirect }
    }
}

/// Lines of a file, both from 1 and inclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LineRange {
    /// First line.
    pub start: u32,
    /// Last line.
    pub end: u32,
}

/// A place outside of the image that a package names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    /// What is there: `website`, `vcs`, `issue-tracker`, `license`, `other`.
    pub kind: String,
    /// URL.
    pub url: String,
}

/// What kind of file lists the packages of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each name is the format's own; `as_str` has the words")]
pub enum ApplicationKind {
    Bitnami,
    Bun,
    Bundler,
    Cargo,
    Cocoapods,
    Composer,
    ComposerVendor,
    Conan,
    CondaEnvironment,
    CondaPkg,
    DotnetCore,
    GemSpec,
    GoBinary,
    GoModule,
    Gradle,
    Hex,
    Jar,
    Julia,
    NodePkg,
    Npm,
    Nuget,
    PackagesProps,
    Pip,
    Pipenv,
    Pnpm,
    Poetry,
    Pom,
    Pub,
    Pylock,
    PythonPkg,
    RustBinary,
    Sbt,
    Swift,
    Uv,
    Wordpress,
    Yarn,
}

impl ApplicationKind {
    const ALL: &[Self] = &[
        Self::Bitnami,
        Self::Bun,
        Self::Bundler,
        Self::Cargo,
        Self::Cocoapods,
        Self::Composer,
        Self::ComposerVendor,
        Self::Conan,
        Self::CondaEnvironment,
        Self::CondaPkg,
        Self::DotnetCore,
        Self::GemSpec,
        Self::GoBinary,
        Self::GoModule,
        Self::Gradle,
        Self::Hex,
        Self::Jar,
        Self::Julia,
        Self::NodePkg,
        Self::Npm,
        Self::Nuget,
        Self::PackagesProps,
        Self::Pip,
        Self::Pipenv,
        Self::Pnpm,
        Self::Poetry,
        Self::Pom,
        Self::Pub,
        Self::Pylock,
        Self::PythonPkg,
        Self::RustBinary,
        Self::Sbt,
        Self::Swift,
        Self::Uv,
        Self::Wordpress,
        Self::Yarn,
    ];

    /// The kind of a name in reports.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }

    /// The name in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bitnami => "bitnami",
            Self::Bun => "bun",
            Self::Bundler => "bundler",
            Self::Cargo => "cargo",
            Self::Cocoapods => "cocoapods",
            Self::Composer => "composer",
            Self::ComposerVendor => "composer-vendor",
            Self::Conan => "conan",
            Self::CondaEnvironment => "conda-environment",
            Self::CondaPkg => "conda-pkg",
            Self::DotnetCore => "dotnet-core",
            Self::GemSpec => "gemspec",
            Self::GoBinary => "gobinary",
            Self::GoModule => "gomod",
            Self::Gradle => "gradle",
            Self::Hex => "hex",
            Self::Jar => "jar",
            Self::Julia => "julia",
            Self::NodePkg => "node-pkg",
            Self::Npm => "npm",
            Self::Nuget => "nuget",
            Self::PackagesProps => "packages-props",
            Self::Pip => "pip",
            Self::Pipenv => "pipenv",
            Self::Pnpm => "pnpm",
            Self::Poetry => "poetry",
            Self::Pom => "pom",
            Self::Pub => "pub",
            Self::Pylock => "pylock",
            Self::PythonPkg => "python-pkg",
            Self::RustBinary => "rustbinary",
            Self::Sbt => "sbt",
            Self::Swift => "swift",
            Self::Uv => "uv",
            Self::Wordpress => "wordpress",
            Self::Yarn => "yarn",
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
