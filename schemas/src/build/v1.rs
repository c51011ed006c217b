//! Build events, version 1.

use model::{Digest, PackageUrl, Severity, Timestamp};
use serde::{Deserialize, Serialize};

use crate::envelope::EventData;
use crate::event_type::EventType;

/// Most findings carried in one event; the counts always cover all.
pub const MAX_FINDINGS: usize = 400;

/// Most ids that one event tells to be gone: some 20 bytes each.
pub const MAX_REMOVED: usize = 10_000;

/// One vulnerability in one package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Finding {
    /// Advisory id: `CVE-2021-33503`, `GHSA-...`, `DSA-...`.
    pub id: String,
    /// Other ids of the same vulnerability.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Package name as its manager knows it.
    pub package: String,
    /// Package URL of what is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purl: Option<PackageUrl>,
    /// Installed version.
    pub installed_version: String,
    /// First version without it; empty when there is none.
    #[serde(default)]
    pub fixed_version: String,
    /// `fixed`, `affected`, `will_not_fix`, `fix_deferred`, `end_of_life`, ...; empty when unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// Severity.
    #[serde(default)]
    pub severity: Severity,
    /// One line of description.
    #[serde(default)]
    pub title: String,
    /// When the advisory was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Timestamp>,
    /// Diff id of the layer that brought the package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Digest>,
    /// File in the image that says the package is there.
    #[serde(default)]
    pub path: String,
}

/// How many findings there are of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct SeverityCounts {
    /// Critical.
    pub critical: u64,
    /// High.
    pub high: u64,
    /// Medium.
    pub medium: u64,
    /// Low.
    pub low: u64,
    /// Unknown.
    pub unknown: u64,
    /// Those of any severity with a fixed version.
    pub fixable: u64,
}

impl SeverityCounts {
    /// Counts `findings`.
    pub fn of<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Self {
        let mut counts = Self::default();
        for finding in findings {
            counts.add(finding.severity, !finding.fixed_version.is_empty());
        }
        counts
    }

    /// Counts one more.
    pub fn add(&mut self, severity: Severity, is_fixable: bool) {
        let count = match severity {
            Severity::Critical => &mut self.critical,
            Severity::High => &mut self.high,
            Severity::Medium => &mut self.medium,
            Severity::Low => &mut self.low,
            Severity::Unknown => &mut self.unknown,
        };
        *count = count.saturating_add(1);
        self.fixable = self.fixable.saturating_add(u64::from(is_fixable));
    }

    /// All findings.
    #[must_use]
    pub fn total(&self) -> u64 {
        [self.critical, self.high, self.medium, self.low, self.unknown].iter().sum()
    }
}

/// The operating system of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OperatingSystem {
    /// Family: `debian`, `alpine`, ...
    pub family: String,
    /// Release: `12.14`, `3.20.3`.
    pub release: String,
}

/// `build.image.scanned`, keyed by image digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ImageScanned {
    /// What was asked for.
    pub image: String,
    /// Manifest digest of what was scanned.
    pub digest: Digest,
    /// Operating system, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operating_system: Option<OperatingSystem>,
    /// Packages found.
    pub packages: u64,
    /// Findings, worst first, at most [`MAX_FINDINGS`].
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Findings left out of `findings`.
    #[serde(default)]
    pub findings_omitted: u64,
    /// All findings by severity.
    #[serde(default)]
    pub counts: SeverityCounts,
    /// Advisory data that was matched: name and version or date.
    #[serde(default)]
    pub database: String,
    /// Whether something in the image could not be read; `faults` says what.
    #[serde(default)]
    pub partial: bool,
    /// What could not be read, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// How long it took, in milliseconds.
    #[serde(default)]
    pub duration_ms: u64,
}

impl EventData for ImageScanned {
    const TYPE: EventType = EventType::ImageScanned;
}

/// `build.image.findings-changed`, keyed by image digest: another advisory database gave another result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FindingsChanged {
    /// The image.
    pub digest: Digest,
    /// Findings that are new, at most [`MAX_FINDINGS`].
    #[serde(default)]
    pub added: Vec<Finding>,
    /// Findings that stood before with another severity, fixed version or status; with `added` at most [`MAX_FINDINGS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<Finding>,
    /// Findings left out of `added` and `changed`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: u64,
    /// Ids that no package of the image has any more, at most [`MAX_REMOVED`].
    #[serde(default)]
    pub removed: Vec<String>,
    /// Ids left out of `removed`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub removed_omitted: u64,
    /// Findings that are gone, also of ids that other packages still have; at most [`MAX_FINDINGS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<GoneFinding>,
    /// All findings that stand now, by severity.
    #[serde(default)]
    pub counts: SeverityCounts,
    /// Advisory data that was matched.
    #[serde(default)]
    pub database: String,
}

/// Which finding is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GoneFinding {
    /// Advisory id.
    pub id: String,
    /// Package.
    pub package: String,
    /// Installed version.
    pub installed_version: String,
    /// File in the image that says that the package is there.
    pub path: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl EventData for FindingsChanged {
    const TYPE: EventType = EventType::FindingsChanged;
}

/// `build.image.scan-failed`, keyed by a hash of the reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ScanFailed {
    /// What was asked for.
    pub image: String,
    /// What went wrong, in one line.
    pub reason: String,
    /// What can be done about it.
    #[serde(default)]
    pub remedy: String,
    /// Whether the same scan may work later.
    #[serde(default)]
    pub retryable: bool,
}

impl EventData for ScanFailed {
    const TYPE: EventType = EventType::ScanFailed;
}
