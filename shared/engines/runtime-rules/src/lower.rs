//! From typed conditions to the program: comparisons of the event's type are folded away, equal parts become one node, and parts
//! are put into the order in which they decide soonest for the least work.

use std::collections::HashMap;

use crate::ast::Operator;
use crate::catalogue::FieldId;
use crate::comparison::{Against, Comparison};
use crate::cost::{self, Estimate};
use crate::event::{Event, Value};
use crate::event_type::EventType;
use crate::fields::{Field, FieldArgument};
use crate::literals::{Gathered, Pass};
use crate::program::{Entry, Link, Node, OfType, Program};
use crate::source::Source;
use crate::typed;
use crate::types::EventTypes;

/// The program while it is built.
#[derive(Debug, Default)]
pub(crate) struct Lowering {
    pub(crate) program: Program,
    pub(crate) estimates: Vec<Estimate>,
    pub(crate) groups: HashMap<(bool, Vec<Link>), Link>,
    pub(crate) unions: HashMap<Vec<Link>, Link>,
    leaves: HashMap<String, Link>,
    fields: HashMap<Field, usize>,
    /// How many literals the unions hold.
    pub(crate) united: usize,
    gathered: Vec<Gathered>,
    by_type: HashMap<EventType, Vec<Entry>>,
}

/// A literal and how it is compared.
pub(crate) type Sought = (Operator, Vec<u8>);

/// A condition whose comparisons are nodes already, but those of the event's type are not folded yet.
pub(crate) enum Tree<'a> {
    And(Vec<Tree<'a>>),
    Or(Vec<Tree<'a>>),
    Not(Box<Tree<'a>>),
    Node(Link),
    ByType(&'a Comparison),
    Constant(bool),
}

/// A condition for one event type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Folded {
    Constant(bool),
    Node(Link),
}

impl Lowering {
    /// Adds a rule to the types for which it can be true.
    pub(crate) fn rule(&mut self, rule: u32, condition: &typed::Node, types: &EventTypes) {
        let tree = self.tree(condition);
        let mut named = EventTypes::none();
        names(&tree, &mut named);
        // All types that the rule does not name are alike to it.
        let mut other = None;
        for event_type in types.iter() {
            let folded = if named.contains(event_type) {
                self.fold(&tree, event_type)
            } else {
                match other {
                    Some(folded) => folded,
                    None => *other.insert(self.fold(&tree, event_type)),
                }
            };
            let root = match folded {
                Folded::Constant(false) => continue,
                Folded::Constant(true) => None,
                Folded::Node(node) => Some(node),
            };
            self.by_type.entry(event_type).or_default().push(Entry { rule, root });
        }
    }

    /// The program.
    pub(crate) fn finish(mut self) -> Program {
        // Types that no rule names have the same rules.
        let mut known: HashMap<Vec<Entry>, OfType> = HashMap::new();
        for event_type in EventType::all() {
            let entries = self.by_type.remove(&event_type).unwrap_or_default();
            let of_type = known.get(&entries).copied().unwrap_or_else(|| self.of_type(&entries));
            known.insert(entries, of_type);
            self.program.by_type.push(of_type);
        }
        self.program.literals = self.gathered.into_iter().filter_map(Gathered::build).collect();
        self.program
    }

    fn of_type(&mut self, entries: &[Entry]) -> OfType {
        let guards = self.guards(entries);
        let from = place(self.program.entries.len());
        self.program.entries.extend(entries);
        OfType { entries: (from, place(self.program.entries.len())), guards }
    }

    fn tree<'a>(&mut self, condition: &'a typed::Node) -> Tree<'a> {
        match condition {
            typed::Node::And(children) => Tree::And(children.iter().map(|child| self.tree(child)).collect()),
            typed::Node::Or(children) => Tree::Or(children.iter().map(|child| self.tree(child)).collect()),
            typed::Node::Not(child) => Tree::Not(Box::new(self.tree(child))),
            typed::Node::Exists(Source::Field(field)) if field.id.is_answered_by_engine() => Tree::Constant(true),
            typed::Node::Exists(source) => Tree::Node(self.exists(source)),
            typed::Node::Compare(comparison) => match decided_by(comparison) {
                Decided::Never => Tree::Constant(false),
                Decided::ByType => Tree::ByType(comparison),
                Decided::ByEvent => self.comparison(comparison),
            },
        }
    }

    fn exists(&mut self, source: &Source) -> Link {
        let key = format!("{source:?} exists");
        if let Some(known) = self.leaves.get(&key) {
            return *known;
        }
        self.program.sources.push(source.clone());
        let node = Node::Exists(place(self.program.sources.len() - 1));
        self.leaf(key, node, cost::of_exists(source))
    }

    fn comparison<'a>(&mut self, comparison: &Comparison) -> Tree<'a> {
        let Against::Constants(constants, texts) = &comparison.against else {
            return Tree::Node(self.lazy(comparison));
        };
        let is_plain = !texts.contains([].as_slice()) && (!comparison.all || constants.len() == 1);
        match (&comparison.left, Pass::of(comparison.operator)) {
            (Source::Field(field), Some(pass))
                if comparison.kind.is_text()
                    && comparison.kind != crate::catalogue::FieldType::TextList
                    && !field.id.is_answered_by_engine()
                    && is_plain =>
            {
                Tree::Node(self.literal(comparison, field, pass))
            }
            _ => Tree::Node(self.lazy(comparison)),
        }
    }

    /// A leaf that the pass over the field's literals decides.
    fn literal(&mut self, comparison: &Comparison, field: &Field, pass: Pass) -> Link {
        let key = key(comparison);
        if let Some(known) = self.leaves.get(&key) {
            return *known;
        }
        let next = self.gathered.len();
        let index = *self.fields.entry(field.clone()).or_insert(next);
        if index == next {
            self.gathered.push(Gathered::new(field.clone()));
        }
        let sought = match &comparison.against {
            Against::Constants(constants, _) => {
                constants.iter().map(|constant| (comparison.operator, constant.text.clone())).collect()
            }
            Against::Source(_) => Vec::new(),
        };
        let leaf = self.seek(index, pass, sought, cost::of(comparison));
        self.leaves.insert(key, leaf);
        leaf
    }

    /// A new leaf that holds when the pass finds any of what is sought.
    pub(crate) fn seek(&mut self, field: usize, pass: Pass, sought: Vec<Sought>, estimate: Estimate) -> Link {
        let leaf = self.push(Node::Literal(place(field), pass), estimate);
        if let Some(gathered) = self.gathered.get_mut(field) {
            sought.iter().for_each(|(operator, text)| gathered.add(*operator, text, place(leaf.place())));
        }
        self.program.sought.insert(leaf.place(), sought);
        leaf
    }

    fn lazy(&mut self, comparison: &Comparison) -> Link {
        let key = key(comparison);
        if let Some(known) = self.leaves.get(&key) {
            return *known;
        }
        self.program.comparisons.push(comparison.clone());
        let node = Node::Compare(place(self.program.comparisons.len() - 1));
        self.leaf(key, node, cost::of(comparison))
    }

    fn leaf(&mut self, key: String, node: Node, estimate: Estimate) -> Link {
        let at = self.push(node, estimate);
        self.leaves.insert(key, at);
        at
    }

    pub(crate) fn push(&mut self, node: Node, estimate: Estimate) -> Link {
        self.program.nodes.push(node);
        self.estimates.push(estimate);
        Link::to(place(self.program.nodes.len() - 1))
    }

    pub(crate) fn fold(&mut self, tree: &Tree<'_>, event_type: EventType) -> Folded {
        match tree {
            Tree::Constant(truth) => Folded::Constant(*truth),
            Tree::Node(node) => Folded::Node(*node),
            Tree::ByType(comparison) => Folded::Constant(comparison.holds(&TypeOnly(event_type))),
            Tree::Not(child) => match self.fold(child, event_type) {
                Folded::Constant(truth) => Folded::Constant(!truth),
                Folded::Node(node) => Folded::Node(node.negated()),
            },
            Tree::And(children) => self.group(children, event_type, true),
            Tree::Or(children) => self.group(children, event_type, false),
        }
    }
}

enum Decided {
    Never,
    ByType,
    ByEvent,
}

/// What has to be known to decide a comparison.
fn decided_by(comparison: &Comparison) -> Decided {
    let (Source::Field(field), Against::Constants(constants, texts)) = (&comparison.left, &comparison.against) else {
        return Decided::ByEvent;
    };
    use FieldId as F;
    match field.id {
        F::EvtType | F::SyscallType | F::EvtTypeIs | F::EvtSource | F::EvtDir | F::EvtCount | F::EvtIsAsync => {
            Decided::ByType
        }
        // The placeholder of the rules files for "never": events are counted from 1.
        F::EvtNum
            if comparison.operator == Operator::Equal && constants.len() == 1 && texts.contains(b"0".as_slice()) =>
        {
            Decided::Never
        }
        _ => Decided::ByEvent,
    }
}

/// Event types that the condition treats in a way of their own.
fn names(tree: &Tree<'_>, found: &mut EventTypes) {
    match tree {
        Tree::And(children) | Tree::Or(children) => children.iter().for_each(|child| names(child, found)),
        Tree::Not(child) => names(child, found),
        Tree::ByType(comparison) => {
            for event_type in EventType::all() {
                let by_prefix = !matches!(comparison.operator, Operator::Equal | Operator::NotEqual | Operator::In);
                let is_named = match &comparison.against {
                    Against::Constants(_, texts) => texts.contains(event_type.name().as_bytes()),
                    Against::Source(_) => true,
                };
                let by_argument = matches!(&comparison.left, Source::Field(field) if field.id == FieldId::EvtTypeIs);
                if by_prefix || is_named || by_argument {
                    found.insert(event_type);
                }
            }
        }
        Tree::Node(_) | Tree::Constant(_) => {}
    }
}

/// An event of which only the type is known.
struct TypeOnly(EventType);

impl Event for TypeOnly {
    fn event_type(&self) -> EventType {
        self.0
    }

    fn timestamp_ns(&self) -> u64 {
        0
    }

    fn field(&self, _: FieldId, _: Option<&FieldArgument>) -> Option<Value<'_>> {
        None
    }
}

/// What makes two comparisons the same.
fn key(comparison: &Comparison) -> String {
    let Comparison { left, operator, against, all, .. } = comparison;
    match against {
        Against::Source(source) => format!("{left:?} {operator:?} {source:?}"),
        Against::Constants(_, texts) => format!("{left:?} {operator:?} {all} {texts:?}"),
    }
}

pub(crate) fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
