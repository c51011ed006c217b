//! All rules as one program: equal comparisons and equal groups of them are one node, computed at most once per event.

use crate::comparison::Comparison;
use crate::event::Event;
use crate::event_type::EventType;
use crate::literals::{FieldLiterals, Pass};
use crate::lower::Lowering;
use crate::set::Rule;
use crate::source::Source;

/// The compiled rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    pub(crate) nodes: Vec<Node>,
    pub(crate) children: Vec<Link>,
    pub(crate) comparisons: Vec<Comparison>,
    pub(crate) sources: Vec<Source>,
    pub(crate) literals: Vec<FieldLiterals>,
    /// By event type: which entries are its rules.
    pub(crate) by_type: Vec<(u32, u32)>,
    pub(crate) entries: Vec<Entry>,
}

/// A rule for one event type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Place of the rule in the set.
    pub(crate) rule: u32,
    /// What has to hold; `None` when nothing is left to ask.
    pub(crate) root: Option<Link>,
}

/// A node, or its negation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Link(u32);

impl Link {
    pub(crate) fn to(node: u32) -> Self {
        Self(node << 1)
    }

    pub(crate) fn negated(self) -> Self {
        Self(self.0 ^ 1)
    }

    pub(crate) fn is_negated(self) -> bool {
        self.0 & 1 == 1
    }

    pub(crate) fn place(self) -> usize {
        (self.0 >> 1) as usize
    }
}

/// One thing to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    /// All of a range of the children.
    And(u32, u32),
    /// One of a range of the children.
    Or(u32, u32),
    /// Decided by a pass over the literals of a field.
    Literal(u32, Pass),
    /// A source has a value.
    Exists(u32),
    /// A comparison of its own.
    Compare(u32),
}

/// Working memory of the evaluation, kept between events so that none is allocated.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    known: Vec<u64>,
    truth: Vec<u64>,
    passed: Vec<u64>,
}

impl Program {
    /// Compiles rules.
    pub(crate) fn of(rules: &[Rule]) -> Self {
        let mut lowering = Lowering::default();
        for (place, rule) in rules.iter().enumerate() {
            lowering.rule(u32::try_from(place).unwrap_or(u32::MAX), &rule.node, &rule.types);
        }
        lowering.finish()
    }

    /// Whether any rule can be true for a type.
    pub(crate) fn wants(&self, event_type: EventType) -> bool {
        self.by_type.get(event_type.index()).is_some_and(|(from, to)| from < to)
    }

    /// The rules that can be true for a type.
    pub(crate) fn entries_of(&self, event_type: EventType) -> &[Entry] {
        let (from, to) = self.by_type.get(event_type.index()).copied().unwrap_or_default();
        self.entries.get(from as usize..to as usize).unwrap_or_default()
    }

    /// Calls `matched` with the place of every rule that holds, in order, until it returns false.
    pub(crate) fn evaluate<E: Event + ?Sized>(
        &self,
        event: &E,
        scratch: &mut Scratch,
        mut matched: impl FnMut(usize) -> bool,
    ) {
        let entries = self.entries_of(event.event_type());
        if entries.is_empty() {
            return;
        }
        scratch.clear(self);
        let mut run = Run { program: self, event, scratch };
        for entry in entries {
            if entry.root.is_none_or(|root| run.holds(root)) && !matched(entry.rule as usize) {
                return;
            }
        }
    }
}

impl Scratch {
    pub(crate) fn clear(&mut self, program: &Program) {
        let words = program.nodes.len().div_ceil(64);
        let passes = (program.literals.len() * Pass::COUNT).div_ceil(64);
        for (bits, words) in [(&mut self.known, words), (&mut self.truth, words), (&mut self.passed, passes)] {
            if bits.len() == words {
                bits.fill(0);
            } else {
                bits.clear();
                bits.resize(words, 0);
            }
        }
    }
}

fn is_set(bits: &[u64], at: u32) -> bool {
    bits.get(at as usize / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
}

fn set(bits: &mut [u64], at: u32) {
    if let Some(word) = bits.get_mut(at as usize / 64) {
        *word |= 1 << (at % 64);
    }
}

/// One event on its way through the program.
pub(crate) struct Run<'a, E: ?Sized> {
    pub(crate) program: &'a Program,
    pub(crate) event: &'a E,
    pub(crate) scratch: &'a mut Scratch,
}

impl<E: Event + ?Sized> Run<'_, E> {
    /// Whether a node holds. The depth of nodes is bounded by the depth of conditions.
    pub(crate) fn holds(&mut self, link: Link) -> bool {
        let Some(node) = self.program.nodes.get(link.place()) else { return link.is_negated() };
        let at = link.0 >> 1;
        if let Node::Literal(field, pass) = node {
            self.pass(*field, *pass);
            return is_set(&self.scratch.truth, at) != link.is_negated();
        }
        if is_set(&self.scratch.known, at) {
            return is_set(&self.scratch.truth, at) != link.is_negated();
        }
        let truth = self.compute(*node);
        set(&mut self.scratch.known, at);
        if truth {
            set(&mut self.scratch.truth, at);
        }
        truth != link.is_negated()
    }

    fn compute(&mut self, node: Node) -> bool {
        let program = self.program;
        let children = |from: u32, to: u32| program.children.get(from as usize..to as usize).unwrap_or_default();
        match node {
            Node::And(from, to) => children(from, to).iter().all(|child| self.holds(*child)),
            Node::Or(from, to) => children(from, to).iter().any(|child| self.holds(*child)),
            Node::Exists(source) => {
                program.sources.get(source as usize).is_some_and(|source| source.exists(self.event))
            }
            Node::Compare(comparison) => {
                program.comparisons.get(comparison as usize).is_some_and(|comparison| comparison.holds(self.event))
            }
            Node::Literal(..) => false,
        }
    }

    /// Goes over the literals of a field once, and remembers every leaf that holds.
    fn pass(&mut self, field: u32, pass: Pass) {
        let number = field * Pass::COUNT as u32 + pass as u32;
        if is_set(&self.scratch.passed, number) {
            return;
        }
        set(&mut self.scratch.passed, number);
        let Some(literals) = self.program.literals.get(field as usize) else { return };
        let value = self.event.field(literals.field.id, literals.field.argument.as_ref());
        if let Some(value) = value {
            literals.run(pass, &value, &mut |leaf| set(&mut self.scratch.truth, leaf));
        }
    }
}
