//! One item of somebody's input that was set aside, with the place and the cure.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why one policy, rule, manifest or advisory was set aside while the rest went on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Fault {
    /// What kind of fault it is.
    pub kind: FaultKind,
    /// File the item came from, as the user named it.
    pub file: String,
    /// Line in that file, from 1; 0 when unknown.
    pub line: u32,
    /// Column in that line, from 1; 0 when unknown.
    pub column: u32,
    /// The item: a policy or rule name, `ExternalSecret default/db`, an advisory id.
    pub subject: String,
    /// What is wrong, in the user's terms.
    pub what: String,
    /// What the user can do about it; empty when nothing is known.
    pub remedy: String,
}

/// The kinds of [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The text breaks its format or its language.
    Invalid,
    /// The text is fine, but uses what this build does not do.
    Unsupported,
    /// It works, but probably not as meant.
    Warning,
}

impl Fault {
    /// A fault of `kind` in `file`; add the rest with the `at`, `about` and `cure` methods.
    #[must_use]
    pub fn new(kind: FaultKind, file: &str, what: impl Into<String>) -> Self {
        Self {
            kind,
            file: file.to_owned(),
            line: 0,
            column: 0,
            subject: String::new(),
            what: what.into(),
            remedy: String::new(),
        }
    }

    /// Sets the place, both from 1.
    #[must_use]
    pub fn at(mut self, line: u32, column: u32) -> Self {
        (self.line, self.column) = (line, column);
        self
    }

    /// Sets the item that is concerned.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    /// Sets the remedy.
    #[must_use]
    pub fn cure(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}

impl fmt::Display for Fault {
    /// `unsupported: generate rules at policies/a.yaml:12 (policy add-quota): remove the rule`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FaultKind::Invalid => "invalid",
            FaultKind::Unsupported => "unsupported",
            FaultKind::Warning => "warning",
        };
        write!(f, "{kind}: {} at {}", self.what, self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        if !self.subject.is_empty() {
            write!(f, " ({})", self.subject)?;
        }
        if !self.remedy.is_empty() {
            write!(f, ": {}", self.remedy)?;
        }
        Ok(())
    }
}
