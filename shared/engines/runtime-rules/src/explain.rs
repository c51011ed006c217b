//! What people ask about rules: which fields there are, which rules, what a rule means, why it matched or did not.

use std::fmt;

use crate::ast::Condition;
use crate::catalogue::{Bracket, FieldId, FieldType};
use crate::event::Event;
use crate::fields::Field;
use crate::set::{Rule, RuleSet};
use crate::source::field_value;
use crate::typed::{Node, typed};

/// A line of the catalogue of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldEntry {
    /// The field.
    pub id: FieldId,
    /// As conditions name it.
    pub name: &'static str,
    /// How its values compare.
    pub field_type: FieldType,
    /// Whether it takes an argument.
    pub bracket: Bracket,
}

/// Every field, by class and name; with `part` only those whose name has it.
#[must_use]
pub fn catalogue(part: &str) -> Vec<FieldEntry> {
    let entry =
        |id: &FieldId| FieldEntry { id: *id, name: id.name(), field_type: id.field_type(), bracket: id.bracket() };
    let mut entries: Vec<_> = FieldId::ALL.iter().map(entry).filter(|entry| entry.name.contains(part)).collect();
    entries.sort_by_key(|entry| entry.name);
    entries
}

/// What a rule means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Its condition, everything expanded, one part of it per line.
    pub condition: String,
    /// Names of the event types for which it is judged; `None` when it is judged for all.
    pub event_types: Option<Vec<&'static str>>,
    /// Fields that the condition asks for.
    pub condition_fields: Vec<Field>,
    /// Fields that the output asks for.
    pub output_fields: Vec<Field>,
    /// How many comparisons the condition has.
    pub comparisons: usize,
}

/// What became of each part of a condition for one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How deep the part lies.
    pub depth: usize,
    /// `and`, `or`, `not` or the comparison.
    pub part: String,
    /// Whether it holds.
    pub holds: bool,
    /// The fields that a comparison asks for, with what the event has for them; `None`: nothing, so the comparison is false.
    pub values: Vec<(Field, Option<String>)>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.holds { "+" } else { "-" };
        write!(f, "{:indent$}{sign} {}", "", self.part, indent = self.depth * 2)?;
        for (place, (field, value)) in self.values.iter().enumerate() {
            let before = if place == 0 { "   [" } else { ", " };
            write!(f, "{before}{field}: {}", value.as_deref().unwrap_or("<NA>"))?;
        }
        if self.values.is_empty() { Ok(()) } else { f.write_str("]") }
    }
}

impl RuleSet {
    /// The rule of a name.
    #[must_use]
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.rules().iter().find(|rule| rule.name == name)
    }
}

impl Rule {
    /// What it means.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        let mut asked = Vec::new();
        self.node.fields(&mut asked);
        let mut condition = String::new();
        let mut comparisons = 0;
        lines(&self.condition, 0, &mut condition, &mut comparisons);
        let types = (!self.types.is_broad()).then(|| self.types.iter().map(crate::EventType::name).collect());
        Meaning {
            condition,
            event_types: types,
            condition_fields: distinct(asked),
            output_fields: distinct(self.output.fields()),
            comparisons,
        }
    }

    /// Why it matches an event, or does not: every part of the condition with its truth.
    #[must_use]
    pub fn steps<E: Event + ?Sized>(&self, event: &E) -> Vec<Step> {
        let mut steps = Vec::new();
        judge(&self.condition, event, 0, &mut steps);
        steps
    }
}

fn distinct(mut fields: Vec<&Field>) -> Vec<Field> {
    fields.sort();
    fields.dedup();
    fields.into_iter().cloned().collect()
}

fn lines(condition: &Condition, depth: usize, out: &mut String, comparisons: &mut usize) {
    out.extend(std::iter::repeat_n(' ', depth * 2));
    match condition {
        Condition::And(children) | Condition::Or(children) => {
            out.push_str(if matches!(condition, Condition::And(_)) { "and\n" } else { "or\n" });
            children.iter().for_each(|child| lines(child, depth + 1, out, comparisons));
        }
        Condition::Not(child) => {
            out.push_str("not\n");
            lines(child, depth + 1, out, comparisons);
        }
        leaf => {
            *comparisons += 1;
            out.push_str(&leaf.to_string());
            out.push('\n');
        }
    }
}

/// What an event has for the fields of a comparison, as outputs print it but without anything a terminal would obey.
fn asked<E: Event + ?Sized>(node: &Node, event: &E) -> Vec<(Field, Option<String>)> {
    let mut fields = Vec::new();
    node.fields(&mut fields);
    let shown = |field: &Field| {
        let value = field_value(field, event)?;
        Some(String::from_utf8_lossy(&value.as_bytes()).escape_debug().to_string())
    };
    distinct(fields).into_iter().map(|field| (field.clone(), shown(&field))).collect()
}

fn judge<E: Event + ?Sized>(condition: &Condition, event: &E, depth: usize, steps: &mut Vec<Step>) -> bool {
    let at = steps.len();
    steps.push(Step { depth, part: String::new(), holds: false, values: Vec::new() });
    let mut values = Vec::new();
    let (part, holds) = match condition {
        Condition::And(children) => {
            let truths: Vec<_> = children.iter().map(|child| judge(child, event, depth + 1, steps)).collect();
            ("and".to_owned(), truths.iter().all(|truth| *truth))
        }
        Condition::Or(children) => {
            let truths: Vec<_> = children.iter().map(|child| judge(child, event, depth + 1, steps)).collect();
            ("or".to_owned(), truths.iter().any(|truth| *truth))
        }
        Condition::Not(child) => ("not".to_owned(), !judge(child, event, depth + 1, steps)),
        leaf => {
            let node = typed(leaf);
            values = node.as_ref().map(|node| asked(node, event)).unwrap_or_default();
            (leaf.to_string(), node.is_ok_and(|node| node.holds(event)))
        }
    };
    if let Some(step) = steps.get_mut(at) {
        (step.part, step.holds, step.values) = (part, holds, values);
    }
    holds
}
