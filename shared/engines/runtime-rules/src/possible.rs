//! What may still hold when only some of an event's fields are known: so that events that no rule can match need not be made at all.

use crate::comparison::Against;
use crate::event::Event;
use crate::fields::Field;
use crate::program::{Link, Node, Program, Run, Scratch};
use crate::source::Source;

/// What a node may turn out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct May {
    hold: bool,
    fail: bool,
}

impl May {
    const OPEN: Self = Self { hold: true, fail: true };

    fn be(holds: bool) -> Self {
        Self { hold: holds, fail: !holds }
    }

    fn negated(self) -> Self {
        Self { hold: self.fail, fail: self.hold }
    }
}

impl Program {
    /// Whether a rule may hold for an event that agrees with this one in its type and in the fields that `is_known` names.
    pub(crate) fn may_match<E: Event + ?Sized>(
        &self,
        event: &E,
        scratch: &mut Scratch,
        is_known: &dyn Fn(&Field) -> bool,
    ) -> bool {
        let entries = self.entries_of(event.event_type());
        scratch.begin(self);
        let mut partly = Partly { run: Run { program: self, event, scratch }, is_known };
        entries.iter().any(|entry| entry.root.is_none_or(|root| partly.may(root).hold))
    }

    /// Whether a node asks for known fields only.
    fn is_decided(&self, node: Node, is_known: &dyn Fn(&Field) -> bool) -> bool {
        let of_source = |source: &Source| {
            let mut fields = Vec::new();
            source.fields(&mut fields);
            fields.into_iter().all(is_known)
        };
        match node {
            Node::Literal(field, _) => self.literals.get(field as usize).is_some_and(|found| is_known(&found.field)),
            Node::Exists(source) => self.sources.get(source as usize).is_some_and(of_source),
            Node::Compare(at) => self.comparisons.get(at as usize).is_some_and(|comparison| {
                let right = match &comparison.against {
                    Against::Source(source) => of_source(source),
                    Against::Constants(..) => true,
                };
                right && of_source(&comparison.left)
            }),
            Node::And(..) | Node::Or(..) => false,
        }
    }
}

/// An event that is known in part, on its way through the program.
struct Partly<'a, E: ?Sized> {
    run: Run<'a, E>,
    is_known: &'a dyn Fn(&Field) -> bool,
}

impl<E: Event + ?Sized> Partly<'_, E> {
    /// The depth of nodes is bounded by the depth of conditions.
    fn may(&mut self, link: Link) -> May {
        let program = self.run.program;
        let Some(node) = program.nodes.get(link.place()).copied() else { return May::be(link.is_negated()) };
        let truth = match node {
            Node::And(from, to) => self.group(from, to, true),
            // One holds unless all fail.
            Node::Or(from, to) => self.group(from, to, false).negated(),
            leaf if program.is_decided(leaf, self.is_known) => return May::be(self.run.holds(link)),
            _ => May::OPEN,
        };
        if link.is_negated() { truth.negated() } else { truth }
    }

    /// Whether all parts may hold; or, when `positive` is not set, whether all may fail.
    fn group(&mut self, from: u32, to: u32, positive: bool) -> May {
        let children = self.run.program.children.get(from as usize..to as usize).unwrap_or_default();
        let mut all = May::be(true);
        for child in children {
            let child = self.may(*child);
            let child = if positive { child } else { child.negated() };
            all = May { hold: all.hold && child.hold, fail: all.fail || child.fail };
            if !all.hold {
                break;
            }
        }
        all
    }
}
