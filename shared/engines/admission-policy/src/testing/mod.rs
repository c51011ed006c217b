//! Runs `kyverno-test.yaml` files, strictly: a row that nothing answers is told apart, kinds are compared, and every resource
//! of a row is a check of its own.
//!
//! File access goes through [`Files`], so that the command line passes the real file system and tests pass texts.

mod checks;
mod compare;
mod format;
mod given;
mod grade;
mod mocks;
mod reading;
mod run;
mod session;
mod shape;
mod values;

use model::Fault;

use crate::outcome::Status;
use crate::snapshot::{MissingFact, Snapshot};

pub use given::{Answer, Explained, Given};
pub use run::run;
pub use session::{Session, Surroundings};

/// Why a file has no text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nothing has this path.
    #[error("there is no such file")]
    Absent,
    /// The path is that of a folder.
    #[error("it is a folder without YAML files")]
    Folder,
    /// It is there, but cannot be read, for this reason.
    #[error("{0}")]
    Unreadable(String),
}

/// Where the files of a test come from. Paths are `/`-separated and normalized.
pub trait Files {
    /// The text of a file.
    ///
    /// # Errors
    /// A file that is not there or cannot be read.
    fn read(&self, path: &str) -> Result<String, ReadError>;
    /// The YAML files directly in a folder, sorted; empty when it is no folder.
    fn list(&self, folder: &str) -> Vec<String>;
    /// Finds out what an evaluation missed, and puts it into the facts; whether there is anything new. By default nothing: a
    /// test then has its files alone.
    fn gather(&self, missing: &[MissingFact], facts: &mut Snapshot) -> bool {
        let _ = (missing, facts);
        false
    }
}

/// The result of one test document.
#[derive(Clone, Debug)]
pub struct TestReport {
    /// Path of the test file.
    pub path: String,
    /// Name of the test.
    pub name: String,
    /// Why the test could not run at all.
    pub error: Option<String>,
    /// What was set aside of its policies.
    pub faults: Vec<Fault>,
    /// The rows of the test's results.
    pub rows: Vec<Row>,
}

impl TestReport {
    /// Whether every row passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.error.is_none() && self.rows.iter().all(|row| row.verdict() == CheckVerdict::Pass)
    }
}

/// One row of `results`.
#[derive(Clone, Debug)]
pub struct Row {
    /// Policy, as the row names it.
    pub policy: String,
    /// Rule, as the row names it; empty for all rules.
    pub rule: String,
    /// Kind of the resources; empty for any.
    pub kind: String,
    /// The expected result.
    pub expected: Status,
    /// One check for each resource.
    pub checks: Vec<Check>,
}

impl Row {
    /// The verdict of the row: the worst of its checks.
    #[must_use]
    pub fn verdict(&self) -> CheckVerdict {
        let has = |wanted| self.checks.iter().any(|check| check.verdict == wanted);
        if has(CheckVerdict::Fail) {
            CheckVerdict::Fail
        } else if self.checks.is_empty() || has(CheckVerdict::Vacuous) {
            CheckVerdict::Vacuous
        } else {
            CheckVerdict::Pass
        }
    }
}

/// One resource of a row.
#[derive(Clone, Debug)]
pub struct Check {
    /// The resource, as the row names it.
    pub resource: String,
    /// What came of the rule; `None` when no rule answered.
    pub got: Option<Status>,
    /// The rule's message.
    pub message: String,
    /// The verdict.
    pub verdict: CheckVerdict,
    /// Why, in a few words.
    pub reason: String,
}

/// The verdict of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckVerdict {
    /// As expected.
    Pass,
    /// Not as expected.
    Fail,
    /// Nothing answered, so nothing is proven.
    Vacuous,
}
