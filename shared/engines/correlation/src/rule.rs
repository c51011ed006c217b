//! Incident rules as they were written: checked one by one, not yet compiled into a set.

use std::time::Duration;

use model::{Fault, Severity};

use crate::event::Phase;
use crate::selection::{Selection, Test};
use crate::spec;

/// One rule, read and checked.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) severity: Severity,
    pub(crate) tags: Vec<String>,
    pub(crate) story: String,
    pub(crate) join: Join,
    pub(crate) selections: Vec<Selection>,
    pub(crate) correlation: Option<Correlation>,
    pub(crate) phases: Vec<PhaseClause>,
    pub(crate) quiet: Duration,
    pub(crate) resolve_when: Vec<String>,
    pub(crate) respond: Vec<String>,
    /// The text that the rule came from, for its fingerprint.
    pub(crate) source: String,
}

impl Rule {
    /// Reads all rules of one YAML text, which `file` names in faults. What cannot be read is set aside as a fault; documents of
    /// another kind are left alone.
    #[must_use]
    pub fn parse(file: &str, text: &str) -> (Vec<Self>, Vec<Fault>) {
        spec::read(file, text)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One line that says what an incident of it means.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Severity of its incidents.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// The story whose incident it shares; its own name when it names none.
    #[must_use]
    pub fn story(&self) -> &str {
        &self.story
    }

    /// File and line that it starts at.
    #[must_use]
    pub fn place(&self) -> (&str, u32) {
        (&self.file, self.line)
    }
}

/// What events must have in common to belong to one subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Join {
    /// The pod, by its uid; an admission review joins by the review's uid once the pod is known.
    #[default]
    Pod,
    /// The workload that owns the pod.
    Workload,
    /// The image, by digest.
    Image,
    /// The node.
    Node,
}

/// Whether a phase must have been seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// It must have been seen.
    #[default]
    Required,
    /// It is evidence when it was seen.
    Optional,
    /// It must not have been seen; known when the watermark has passed.
    Absent,
}

/// One entry of `phases`.
#[derive(Clone, Debug)]
pub(crate) struct PhaseClause {
    pub(crate) line: u32,
    pub(crate) phase: Phase,
    pub(crate) presence: Presence,
    pub(crate) select: Vec<String>,
    pub(crate) facts: Vec<Test>,
    pub(crate) within: Option<Duration>,
}

/// `correlation`, with the keywords and the meaning of Sigma.
#[derive(Clone, Debug)]
pub(crate) struct Correlation {
    pub(crate) line: u32,
    pub(crate) kind: CorrelationKind,
    pub(crate) rules: Vec<String>,
    pub(crate) group_by: Vec<String>,
    pub(crate) timespan: Duration,
    /// Least number that satisfies it.
    pub(crate) threshold: u32,
    pub(crate) field: Option<String>,
    /// Alias, selection, field.
    pub(crate) aliases: Vec<(String, String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CorrelationKind {
    EventCount,
    ValueCount,
    Temporal,
    TemporalOrdered,
}
