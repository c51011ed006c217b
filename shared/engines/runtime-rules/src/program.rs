//! All rules as one program: equal comparisons and equal groups of them are one node, computed at most once per event.

use std::collections::HashMap;

use crate::comparison::Comparison;
use crate::event::Event;
use crate::event_type::EventType;
use crate::guards::Guard;
use crate::literals::{FieldLiterals, Pass};
use crate::lower::{Lowering, Sought};
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
    pub(crate) by_type: Vec<OfType>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) guards: Vec<Guard>,
    /// What each leaf that a pass decides looks for.
    pub(crate) sought: HashMap<usize, Vec<Sought>>,
}

/// What belongs to an event type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OfType {
    /// Where its rules stand among the entries.
    pub(crate) entries: (u32, u32),
    /// Where what is asked before them stands among the guards.
    pub(crate) guards: (u32, u32),
}

/// A rule for one event type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// Working memory of the evaluation, kept between events so that none is allocated and nothing has to be wiped: what was noted for an
/// earlier event is told by its turn.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// By node: the turn in which it was decided, and whether it holds.
    decided: Vec<u32>,
    /// By field and pass: the turn in which that pass was made.
    passed: Vec<u32>,
    /// Bit by bit: which entries may still hold.
    pub(crate) left: Vec<u64>,
    turn: u32,
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
        !self.entries_of(event_type).is_empty()
    }

    /// The rules that can be true for a type.
    pub(crate) fn entries_of(&self, event_type: EventType) -> &[Entry] {
        let (from, to) = self.of_type(event_type).entries;
        self.entries.get(from as usize..to as usize).unwrap_or_default()
    }

    fn of_type(&self, event_type: EventType) -> OfType {
        self.by_type.get(event_type.index()).copied().unwrap_or_default()
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
        scratch.begin(self);
        let mut run = Run { program: self, event, scratch };
        let (from, to) = self.of_type(event.event_type()).guards;
        run.sieve(self.guards.get(from as usize..to as usize).unwrap_or_default(), entries.len());
        for (word, entries) in entries.chunks(64).enumerate() {
            let mut left = run.scratch.left.get(word).copied().unwrap_or_default();
            while let Some(entry) = entries.get(left.trailing_zeros() as usize) {
                left &= left - 1;
                if entry.root.is_none_or(|root| run.holds(root)) && !matched(entry.rule as usize) {
                    return;
                }
            }
        }
    }
}

impl Scratch {
    /// Begins the next event.
    pub(crate) fn begin(&mut self, program: &Program) {
        let (nodes, passes) = (program.nodes.len(), program.literals.len() * Pass::COUNT);
        if self.decided.len() != nodes || self.passed.len() != passes || self.turn >= u32::MAX >> 1 {
            self.turn = 0;
            for (notes, length) in [(&mut self.decided, nodes), (&mut self.passed, passes)] {
                notes.clear();
                notes.resize(length, 0);
            }
        }
        self.turn += 1;
    }

    /// Whether a node holds, when that was decided for this event.
    #[inline(always)]
    fn known(&self, at: usize) -> Option<bool> {
        let decided = self.decided.get(at).copied().unwrap_or(0);
        (decided >> 1 == self.turn).then_some(decided & 1 == 1)
    }

    fn note(&mut self, at: usize, holds: bool) {
        if let Some(decided) = self.decided.get_mut(at) {
            *decided = self.turn << 1 | u32::from(holds);
        }
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
    #[inline(always)]
    pub(crate) fn holds(&mut self, link: Link) -> bool {
        let at = link.place();
        let holds = self.scratch.known(at).unwrap_or_else(|| self.decide(at));
        holds != link.is_negated()
    }

    /// Apart from `holds`, so that asking for what is known already makes no call; and apart from `compute`, so that asking for a
    /// literal makes a small one. What a pass did not find is not noted: to find the note would be no less work.
    #[inline(never)]
    fn decide(&mut self, at: usize) -> bool {
        match self.program.nodes.get(at) {
            Some(Node::Literal(field, pass)) => {
                self.pass(*field, *pass);
                self.scratch.known(at).unwrap_or(false)
            }
            Some(node) => self.compute(*node, at),
            None => false,
        }
    }

    #[inline(never)]
    fn compute(&mut self, node: Node, at: usize) -> bool {
        let holds = self.computed(node);
        self.scratch.note(at, holds);
        holds
    }

    fn computed(&mut self, node: Node) -> bool {
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
            // Decided before this is asked.
            Node::Literal(..) => false,
        }
    }

    /// Goes over the literals of a field once, and notes every leaf that holds.
    fn pass(&mut self, field: u32, pass: Pass) {
        let Some(passed) = self.scratch.passed.get_mut(field as usize * Pass::COUNT + pass as usize) else { return };
        if std::mem::replace(passed, self.scratch.turn) != self.scratch.turn {
            self.make_pass(field, pass);
        }
    }

    #[inline(never)]
    fn make_pass(&mut self, field: u32, pass: Pass) {
        let Some(literals) = self.program.literals.get(field as usize) else { return };
        let value = self.event.field(literals.field.id, literals.field.argument.as_ref());
        if let Some(value) = value {
            literals.run(pass, &value, &mut |leaf| self.scratch.note(leaf as usize, true));
        }
    }
}
