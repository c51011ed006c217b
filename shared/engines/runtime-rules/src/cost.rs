//! What a comparison costs and how often it holds: rough estimates that order the parts of a condition.

use crate::ast::Operator;
use crate::catalogue::{FieldId, FieldType};
use crate::comparison::{Against, Comparison};
use crate::source::Source;

/// Estimated work and probability of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    /// Work, about in nanoseconds.
    work: f32,
    /// How often it holds, above 0 and below 1.
    truth: f32,
}

impl Default for Estimate {
    fn default() -> Self {
        Self { work: 10.0, truth: 0.5 }
    }
}

impl Estimate {
    fn new(work: f32, truth: f32) -> Self {
        Self { work: work.clamp(0.5, 1e6), truth: truth.clamp(0.01, 0.99) }
    }

    /// Of the negation.
    pub(crate) fn negated(self) -> Self {
        Self::new(self.work, 1.0 - self.truth)
    }

    /// Expected work, about in nanoseconds.
    pub(crate) fn work(self) -> f32 {
        self.work
    }

    /// How often it does not hold.
    pub(crate) fn fails(self) -> f32 {
        1.0 - self.truth
    }

    /// Parts with the least rank come first: least work for the most decisions.
    pub(crate) fn rank(self, is_and: bool) -> f32 {
        self.work / if is_and { 1.0 - self.truth } else { self.truth }
    }

    /// Of literals that one pass finds.
    pub(crate) fn of_union(parts: impl Iterator<Item = Self>) -> Self {
        let (mut work, mut fails) = (0.0_f32, 1.0);
        for part in parts {
            work = work.max(part.work);
            fails *= 1.0 - part.truth;
        }
        // The parts exclude each other more often than not: a path has one beginning.
        Self::new(work, (1.0 - fails).min(MOST_OF_UNION))
    }

    /// Of parts in the order in which they are computed.
    pub(crate) fn of_group(parts: impl Iterator<Item = Self>, is_and: bool) -> Self {
        let (mut work, mut reached) = (0.0, 1.0);
        for part in parts {
            work += reached * part.work;
            reached *= if is_and { part.truth } else { 1.0 - part.truth };
        }
        Self::new(work, if is_and { reached } else { 1.0 - reached })
    }
}

/// Of a comparison.
pub(crate) fn of(comparison: &Comparison) -> Estimate {
    let (count, source) = match &comparison.against {
        Against::Constants(constants, _) => (constants.len() as f32, 0.0),
        Against::Source(source) => (1.0, work_of(source)),
    };
    let (work, truth) = match comparison.operator {
        Operator::Equal if comparison.kind == FieldType::Boolean => (1.0, 0.3),
        Operator::Equal | Operator::In | Operator::Intersects => (1.0, 0.03 + 0.01 * count.min(20.0)),
        Operator::NotEqual => (1.0, 0.85),
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => (1.0, 0.6),
        Operator::StartsWith | Operator::BStartsWith | Operator::EndsWith => (1.5, 0.1),
        Operator::Contains | Operator::BContains | Operator::IContains => (6.0, 0.1),
        Operator::PMatch => (10.0, 0.2),
        Operator::Glob | Operator::IGlob | Operator::Regex => (20.0 * count, 0.1),
    };
    let truth = usual(comparison).unwrap_or(truth);
    Estimate::new(work * work_of(&comparison.left) + source, truth)
}

/// How often it holds, where that is known of the field: nearly every call succeeds, and files are read far more often than written.
fn usual(comparison: &Comparison) -> Option<f32> {
    let Source::Field(field) = &comparison.left else { return None };
    let Against::Constants(constants, _) = &comparison.against else { return None };
    let is_positive = match comparison.operator {
        Operator::Equal | Operator::In | Operator::Intersects | Operator::GreaterOrEqual | Operator::Greater => true,
        Operator::NotEqual | Operator::Less | Operator::LessOrEqual => false,
        _ => return None,
    };
    let is_one_of = |text: &[u8]| constants.iter().any(|constant| constant.text == text);
    let truth = match field.id {
        FieldId::EvtIsOpenRead => {
            if is_one_of(b"true") {
                0.85
            } else {
                0.15
            }
        }
        FieldId::EvtIsOpenWrite => {
            if is_one_of(b"true") {
                0.2
            } else {
                0.8
            }
        }
        FieldId::EvtIsOpenExec | FieldId::EvtFailed => {
            if is_one_of(b"true") {
                0.03
            } else {
                0.97
            }
        }
        FieldId::FdTypechar | FieldId::FdType => 0.9,
        FieldId::FdNum | FieldId::EvtRawres => {
            if constants.iter().any(|constant| constant.text.starts_with(b"-")) {
                0.1
            } else {
                0.9
            }
        }
        FieldId::EvtRes => {
            if is_one_of(b"SUCCESS") {
                0.9
            } else {
                0.1
            }
        }
        _ => return None,
    };
    Some(if is_positive { truth } else { 1.0 - truth })
}

/// Of a test for a value.
pub(crate) fn of_exists(source: &Source) -> Estimate {
    Estimate::new(work_of(source), 0.8)
}

fn work_of(source: &Source) -> f32 {
    match source {
        Source::Field(field) => match field.id {
            FieldId::ProcAname | FieldId::ProcAexe | FieldId::ProcAexepath if field.argument.is_none() => 60.0,
            FieldId::ProcAcmdline | FieldId::ProcAenv | FieldId::ProcAargs => 100.0,
            FieldId::ProcAname | FieldId::ProcAexe | FieldId::ProcAexepath | FieldId::ProcApid => 8.0,
            FieldId::ProcCmdline | FieldId::ProcPcmdline | FieldId::ProcArgs | FieldId::ProcExeline => 25.0,
            FieldId::ProcEnv | FieldId::EvtBuffer | FieldId::EvtArgs | FieldId::EvtInfo => 80.0,
            FieldId::FdCipName | FieldId::FdSipName | FieldId::FdLipName | FieldId::FdRipName => 100.0,
            FieldId::ContainerMounts | FieldId::ContainerMountDest | FieldId::ContainerMountSource => 40.0,
            // One pass finds all literals; nearly every event needs these passes anyway.
            FieldId::FdName | FieldId::ProcName => 3.0,
            FieldId::FdNameraw | FieldId::FdDirectory | FieldId::ProcCwd => 12.0,
            id => match id.field_type() {
                FieldType::Number | FieldType::Decimal | FieldType::Boolean | FieldType::Address => 2.0,
                FieldType::Text | FieldType::Path | FieldType::TextList => 6.0,
            },
        },
        Source::Text(_) => 0.5,
        Source::Transform(_, sources) => 20.0 + sources.iter().map(work_of).sum::<f32>(),
        Source::Option { arguments, .. } => 40.0 + work_of(arguments),
    }
}

/// A union holds this often at most.
const MOST_OF_UNION: f32 = 0.4;
