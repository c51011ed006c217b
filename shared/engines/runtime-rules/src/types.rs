//! For which event types a condition can be true: the index of the rules.

use std::collections::BTreeSet;

use crate::ast::{Condition, Operand, Operator, Right};

/// A set of event types: these, or all but these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventTypes {
    /// These.
    Only(BTreeSet<String>),
    /// All but these.
    AllBut(BTreeSet<String>),
}

impl EventTypes {
    /// Every type.
    #[must_use]
    pub fn all() -> Self {
        Self::AllBut(BTreeSet::new())
    }

    /// No type.
    #[must_use]
    pub fn none() -> Self {
        Self::Only(BTreeSet::new())
    }

    /// Whether a type is in the set.
    #[must_use]
    pub fn contains(&self, event_type: &str) -> bool {
        match self {
            Self::Only(types) => types.contains(event_type),
            Self::AllBut(types) => !types.contains(event_type),
        }
    }

    /// The types for which `condition` (macros expanded) can be true.
    #[must_use]
    pub fn of(condition: &Condition) -> Self {
        Self::judge(condition, false)
    }

    /// `negated` asks for the types for which the condition can be false: `not` is pushed down to the comparisons.
    fn judge(condition: &Condition, negated: bool) -> Self {
        match condition {
            Condition::Not(child) => Self::judge(child, !negated),
            Condition::And(children) | Condition::Or(children) => {
                let is_intersection = matches!(condition, Condition::And(_)) != negated;
                let sets = children.iter().map(|child| Self::judge(child, negated));
                if is_intersection {
                    sets.fold(Self::all(), |a, b| a.intersect(&b))
                } else {
                    sets.fold(Self::none(), |a, b| a.unite(&b))
                }
            }
            Condition::Compare { left: Operand::Field(field), operator, right } => {
                Self::compare(&field.name, *operator, right, negated)
            }
            Condition::Compare { .. } | Condition::Exists(_) | Condition::Macro(_) => Self::all(),
        }
    }

    fn compare(field: &str, operator: Operator, right: &Right, negated: bool) -> Self {
        let names = match right {
            Right::Text(text) => std::slice::from_ref(text),
            Right::List(list) => list.as_slice(),
            Right::Quantified(..) | Right::Operand(_) => return Self::all(),
        };
        let inverted = match (field, operator) {
            // The placeholder of the rules files for "never": `evt.num=0`.
            ("evt.num", Operator::Equal) if names == ["0"] => return if negated { Self::all() } else { Self::none() },
            ("evt.type" | "syscall.type", Operator::Equal | Operator::In) => negated,
            ("evt.type" | "syscall.type", Operator::NotEqual) => !negated,
            _ => return Self::all(),
        };
        let names = names.iter().cloned().collect();
        if inverted { Self::AllBut(names) } else { Self::Only(names) }
    }

    /// In both.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Only(a), Self::Only(b)) => Self::Only(a.intersection(b).cloned().collect()),
            (Self::Only(a), Self::AllBut(b)) | (Self::AllBut(b), Self::Only(a)) => {
                Self::Only(a.difference(b).cloned().collect())
            }
            (Self::AllBut(a), Self::AllBut(b)) => Self::AllBut(a.union(b).cloned().collect()),
        }
    }

    /// In either.
    #[must_use]
    pub fn unite(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Only(a), Self::Only(b)) => Self::Only(a.union(b).cloned().collect()),
            (Self::Only(a), Self::AllBut(b)) | (Self::AllBut(b), Self::Only(a)) => {
                Self::AllBut(b.difference(a).cloned().collect())
            }
            (Self::AllBut(a), Self::AllBut(b)) => Self::AllBut(a.intersection(b).cloned().collect()),
        }
    }

    /// Whether it holds so many types that a rule would be judged on nearly every event.
    #[must_use]
    pub fn is_broad(&self) -> bool {
        match self {
            Self::Only(types) => types.len() > 100,
            Self::AllBut(_) => true,
        }
    }
}
