//! From names to typed comparisons: what a condition means for one event.

use crate::ast::{Condition, Operand, Operator, Quantifier, Right};
use crate::catalogue::{FieldId, FieldType};
use crate::comparison::{Against, Comparison};
use crate::event::Event;
use crate::event_type::EventType;
use crate::fields::Field;
use crate::source::{Source, source};

/// A condition that can be evaluated.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Exists(Source),
    Compare(Box<Comparison>),
}

impl Node {
    /// Whether the condition holds: the plain meaning, each leaf computed where it stands.
    pub(crate) fn holds<E: Event + ?Sized>(&self, event: &E) -> bool {
        match self {
            Self::And(children) => children.iter().all(|child| child.holds(event)),
            Self::Or(children) => children.iter().any(|child| child.holds(event)),
            Self::Not(child) => !child.holds(event),
            Self::Exists(source) => source.exists(event),
            Self::Compare(comparison) => comparison.holds(event),
        }
    }
}

impl Node {
    /// Every field that it asks for.
    pub(crate) fn fields<'a>(&'a self, found: &mut Vec<&'a Field>) {
        match self {
            Self::And(children) | Self::Or(children) => children.iter().for_each(|child| child.fields(found)),
            Self::Not(child) => child.fields(found),
            Self::Exists(source) => source.fields(found),
            Self::Compare(comparison) => {
                comparison.left.fields(found);
                if let Against::Source(source) = &comparison.against {
                    source.fields(found);
                }
            }
        }
    }
}

/// Types a condition without macros.
///
/// # Errors
/// The first field, operator or constant that does not fit, in one line.
pub(crate) fn typed(condition: &Condition) -> Result<Node, String> {
    Ok(match condition {
        Condition::And(children) => Node::And(children.iter().map(typed).collect::<Result<_, _>>()?),
        Condition::Or(children) => Node::Or(children.iter().map(typed).collect::<Result<_, _>>()?),
        Condition::Not(child) => Node::Not(Box::new(typed(child)?)),
        Condition::Macro(name) => return Err(format!("Undefined macro '{name}' used in filter.")),
        Condition::Exists(operand) => Node::Exists(source(operand)?.0),
        Condition::Compare { left, operator, right } => {
            let (left_source, kind) = source(left)?;
            let (against, all) = match right {
                Right::Operand(operand) => (Against::Source(other_side(operand, kind)?), false),
                Right::Text(text) => {
                    check_event_types(left, *operator, std::slice::from_ref(text))?;
                    (Against::constants(*operator, kind, std::slice::from_ref(text))?, false)
                }
                Right::List(list) => {
                    check_event_types(left, *operator, list)?;
                    (Against::constants(*operator, kind, list)?, false)
                }
                Right::Quantified(quantifier, list) => {
                    (Against::constants(*operator, kind, list)?, *quantifier == Quantifier::AllOf)
                }
            };
            let comparison = Comparison { left: left_source, kind, operator: *operator, against, all };
            comparison.check()?;
            Node::Compare(Box::new(comparison))
        }
    })
}

fn other_side(operand: &Operand, kind: FieldType) -> Result<Source, String> {
    let (right, right_kind) = source(operand)?;
    let fits = kind == right_kind || (kind.is_text() && right_kind.is_text());
    if fits { Ok(right) } else { Err(format!("filter error: the types of both sides of '{operand}' differ")) }
}

/// A comparison of `evt.type` with a type that nobody knows is a spelling mistake.
fn check_event_types(left: &Operand, operator: Operator, names: &[String]) -> Result<(), String> {
    let Operand::Field(field) = left else { return Ok(()) };
    let is_type = field.name == FieldId::EvtType.name() || field.name == FieldId::SyscallType.name();
    let is_whole = matches!(operator, Operator::Equal | Operator::NotEqual | Operator::In | Operator::Intersects);
    if !is_type || !is_whole {
        return Ok(());
    }
    match names.iter().find(|name| EventType::named(name).is_none()) {
        Some(name) => Err(format!("unknown event type {name}")),
        None => Ok(()),
    }
}
