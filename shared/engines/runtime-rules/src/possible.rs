//! What may still hold when only some of an event's fields are known: so that events that no rule can match need not be made at all.

use crate::comparison::Against;
use crate::event::{Event, Value};
use crate::fields::Field;
use crate::folder::Folder;
use crate::program::{Link, Node, Program, Run, Scratch};
use crate::source::{Source, field_value};

/// What is known of a field of events that are like another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    /// Nothing.
    Nothing,
    /// Its text goes like that of the other up to the last slash, if there is one. Behind it stands any name: of at least one byte,
    /// without a slash, and without a dot at the front.
    Folder,
    /// It has the same value, or none like the other.
    Value,
}

/// What a node may turn out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct May {
    pub(crate) hold: bool,
    pub(crate) fail: bool,
}

impl May {
    pub(crate) const OPEN: Self = Self { hold: true, fail: true };

    pub(crate) fn be(holds: bool) -> Self {
        Self { hold: holds, fail: !holds }
    }

    pub(crate) fn negated(self) -> Self {
        Self { hold: self.fail, fail: self.hold }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self { hold: self.hold && other.hold, fail: self.fail || other.fail }
    }

    pub(crate) fn or(self, other: Self) -> Self {
        self.negated().and(other.negated()).negated()
    }
}

impl Program {
    /// Whether a rule may hold for an event that agrees with this one in its type and in what is `known` of its fields.
    pub(crate) fn may_match<E: Event + ?Sized>(
        &self,
        event: &E,
        scratch: &mut Scratch,
        known: &dyn Fn(&Field) -> Known,
    ) -> bool {
        let entries = self.entries_of(event.event_type());
        scratch.begin(self);
        let mut partly = Partly { run: Run { program: self, event, scratch }, known };
        entries.iter().any(|entry| entry.root.is_none_or(|root| partly.may(root).hold))
    }

    /// Whether a leaf asks for nothing but values that are known.
    fn is_decided(&self, leaf: Node, known: &dyn Fn(&Field) -> Known) -> bool {
        let of_source = |source: &Source| {
            let mut fields = Vec::new();
            source.fields(&mut fields);
            fields.into_iter().all(|field| known(field) == Known::Value)
        };
        match leaf {
            Node::Literal(..) => self.field_of(leaf).is_some_and(|field| known(field) == Known::Value),
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

    /// The field that a leaf asks for as it is.
    fn field_of(&self, leaf: Node) -> Option<&Field> {
        let source = match leaf {
            Node::Literal(field, _) => return self.literals.get(field as usize).map(|found| &found.field),
            Node::Exists(source) => self.sources.get(source as usize)?,
            Node::Compare(at) => &self.comparisons.get(at as usize)?.left,
            Node::And(..) | Node::Or(..) => return None,
        };
        if let Source::Field(field) = source { Some(field) } else { None }
    }

    /// What a leaf may be for texts in a folder.
    fn of_folder(&self, at: usize, leaf: Node, folder: Folder<'_>) -> May {
        match leaf {
            Node::Literal(..) => {
                let sought = self.sought.get(&at).map(Vec::as_slice).unwrap_or_default();
                sought.iter().map(|(operator, text)| folder.compare(*operator, text)).fold(May::be(false), May::or)
            }
            Node::Exists(_) => May::be(true),
            Node::Compare(at) => self.comparisons.get(at as usize).map_or(May::OPEN, |known| folder.meets(known)),
            Node::And(..) | Node::Or(..) => May::OPEN,
        }
    }
}

/// An event that is known in part, on its way through the program.
struct Partly<'a, E: ?Sized> {
    run: Run<'a, E>,
    known: &'a dyn Fn(&Field) -> Known,
}

impl<E: Event + ?Sized> Partly<'_, E> {
    /// The depth of nodes is bounded by the depth of conditions.
    fn may(&mut self, link: Link) -> May {
        let Some(node) = self.run.program.nodes.get(link.place()).copied() else { return May::be(link.is_negated()) };
        let truth = match node {
            Node::And(from, to) => self.group(from, to, true),
            // One holds unless all fail.
            Node::Or(from, to) => self.group(from, to, false).negated(),
            leaf if self.run.program.is_decided(leaf, self.known) => return May::be(self.run.holds(link)),
            leaf => self.in_folder(link.place(), leaf),
        };
        if link.is_negated() { truth.negated() } else { truth }
    }

    /// What a leaf may be that is about a folder, as far as that is known.
    fn in_folder(&self, at: usize, leaf: Node) -> May {
        let field = self.run.program.field_of(leaf).filter(|field| (self.known)(field) == Known::Folder);
        match field.and_then(|field| field_value(field, self.run.event)) {
            Some(Value::Text(text)) => self.run.program.of_folder(at, leaf, Folder::of(&text)),
            _ => May::OPEN,
        }
    }

    /// Whether all parts may hold; or, when `positive` is not set, whether all may fail.
    fn group(&mut self, from: u32, to: u32, positive: bool) -> May {
        let children = self.run.program.children.get(from as usize..to as usize).unwrap_or_default();
        let mut all = May::be(true);
        for child in children {
            let child = self.may(*child);
            all = all.and(if positive { child } else { child.negated() });
            if !all.hold {
                break;
            }
        }
        all
    }
}
