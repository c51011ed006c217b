//! A finding with the database's word on it.

use std::ops::Deref;
use std::sync::Arc;

use image_inventory::Package;
use model::{Severity, Timestamp};
use schemas::build::v1::Finding;
use vulnerability_matching::assess::primary_url;
use vulnerability_matching::database::{DataSource, VulnerabilityDetail};
use vulnerability_matching::filter::Filtered;

use crate::told::Line;

/// A finding as events have it, and what only reports tell. Reads like the finding itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// The finding.
    pub finding: Finding,
    /// Whose severity it is; empty when nobody's in particular.
    pub severity_source: String,
    /// The page to read first; empty when there is none.
    pub primary_url: String,
    /// Who says that the package is vulnerable; `None` when the advisory itself is all there is.
    pub source: Option<Arc<DataSource>>,
}

impl Deref for Match {
    type Target = Finding;

    fn deref(&self) -> &Finding {
        &self.finding
    }
}

impl Match {
    /// What is compared when the image is matched again.
    pub(crate) fn line(&self) -> Line<'_> {
        Line {
            id: &self.id,
            package: &self.package,
            installed_version: &self.installed_version,
            path: &self.path,
            severity: self.severity,
            fixed_version: &self.fixed_version,
            status: &self.status,
        }
    }
}

impl Filtered for &Match {
    fn id(&self) -> &str {
        &self.finding.id
    }

    fn package(&self) -> &str {
        &self.finding.package
    }

    fn installed_version(&self) -> &str {
        &self.finding.installed_version
    }

    fn fixed_version(&self) -> &str {
        &self.finding.fixed_version
    }

    fn path(&self) -> &str {
        &self.finding.path
    }

    fn severity(&self) -> Severity {
        self.finding.severity
    }
}

/// A finding as matching makes it: all that is compared, and where to find what only readers want. Of a thousand images that are
/// matched again most findings stay as they are, and get no further.
#[derive(Debug)]
pub(crate) struct Found<'i> {
    pub(crate) package: &'i Package,
    /// File that says that the package is there.
    pub(crate) path: &'i str,
    pub(crate) id: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) installed_version: String,
    pub(crate) fixed_version: String,
    pub(crate) severity: Severity,
    pub(crate) status: &'static str,
    pub(crate) severity_source: String,
    pub(crate) words: Words,
}

/// What is told of a vulnerability, by whoever knows it.
#[derive(Debug)]
pub(crate) enum Words {
    /// Trivy's database.
    Trivy { detail: Option<Arc<VulnerabilityDetail>>, source: Option<Arc<DataSource>> },
    /// The advisory itself.
    Advisory { title: String, published: Option<Timestamp> },
}

impl Found<'_> {
    pub(crate) fn line(&self) -> Line<'_> {
        Line {
            id: &self.id,
            package: &self.package.name,
            installed_version: &self.installed_version,
            path: self.path,
            severity: self.severity,
            fixed_version: &self.fixed_version,
            status: self.status,
        }
    }

    /// The finding as events have it.
    pub(crate) fn finding(&self) -> Finding {
        let (title, published) = match &self.words {
            Words::Trivy { detail, .. } => {
                let detail = detail.as_deref();
                let published = detail.and_then(|detail| detail.published.as_deref()?.parse().ok());
                (detail.map(VulnerabilityDetail::line).unwrap_or_default(), published)
            }
            Words::Advisory { title, published } => (title.clone(), *published),
        };
        Finding {
            id: self.id.clone(),
            aliases: self.aliases.clone(),
            package: self.package.name.clone(),
            purl: self.package.purl.clone(),
            installed_version: self.installed_version.clone(),
            fixed_version: self.fixed_version.clone(),
            status: self.status.to_owned(),
            severity: self.severity,
            title,
            published,
            layer: self.package.layer.clone(),
            path: self.path.to_owned(),
        }
    }
}

impl From<Found<'_>> for Match {
    fn from(found: Found<'_>) -> Self {
        let finding = found.finding();
        let (primary_url, source) = match found.words {
            Words::Trivy { detail, source } => {
                let references = detail.as_deref().map(|detail| detail.references.as_slice()).unwrap_or_default();
                (primary_url(&found.id, references, source.as_deref()), source)
            }
            Words::Advisory { .. } => (String::new(), None),
        };
        Self { finding, severity_source: found.severity_source, primary_url, source }
    }
}
