//! A finding with the database's word on it.

use std::ops::Deref;

use schemas::build::v1::Finding;
use vulnerability_matching::database::DataSource;
use vulnerability_matching::filter::Filtered;

/// A finding as events have it, and what only reports tell. Reads like the finding itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// The finding.
    pub finding: Finding,
    /// `fixed`, `affected`, `will_not_fix`, ...
    pub status: &'static str,
    /// Whose severity it is; empty when nobody's in particular.
    pub severity_source: String,
    /// The page to read first; empty when there is none.
    pub primary_url: String,
    /// Who says that the package is vulnerable; `None` when the advisory itself is all there is.
    pub source: Option<DataSource>,
}

impl From<Finding> for Match {
    /// An advisory that tells no status is fixed where it names a fix.
    fn from(finding: Finding) -> Self {
        let status = if finding.fixed_version.is_empty() { "affected" } else { "fixed" };
        Self { finding, status, severity_source: String::new(), primary_url: String::new(), source: None }
    }
}

impl Deref for Match {
    type Target = Finding;

    fn deref(&self) -> &Finding {
        &self.finding
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

    fn severity(&self) -> model::Severity {
        self.finding.severity
    }
}
