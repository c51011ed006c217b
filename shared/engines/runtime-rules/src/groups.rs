//! Parts of which all or one must hold: equal groups are one node, literals of one field are one leaf, and what decides soonest for
//! the least work comes first.

use std::collections::BTreeMap;

use crate::cost::Estimate;
use crate::event_type::EventType;
use crate::literals::Pass;
use crate::lower::{Folded, Lowering, Tree, place};
use crate::program::{Link, Node};

impl Lowering {
    pub(crate) fn group(&mut self, children: &[Tree<'_>], event_type: EventType, is_and: bool) -> Folded {
        let mut parts: Vec<Link> = Vec::new();
        for child in children {
            match self.fold(child, event_type) {
                Folded::Constant(truth) if truth == is_and => {}
                Folded::Constant(truth) => return Folded::Constant(truth),
                Folded::Node(node) => self.flatten(node, is_and, &mut parts),
            }
        }
        parts.sort_unstable();
        parts.dedup();
        // A part beside its own negation decides the group.
        if parts.windows(2).any(|pair| matches!(pair, [a, b] if *a == b.negated())) {
            return Folded::Constant(!is_and);
        }
        match self.unite(parts, is_and).as_slice() {
            [] => Folded::Constant(is_and),
            [one] => Folded::Node(*one),
            parts => Folded::Node(self.shared_group(parts, is_and)),
        }
    }

    /// Literals of one field of which one has to hold, or none may, are one leaf: the pass that finds one of them finds them all.
    fn unite(&mut self, parts: Vec<Link>, is_and: bool) -> Vec<Link> {
        let mut alike: BTreeMap<(u32, Pass), Vec<Link>> = BTreeMap::new();
        let mut united = Vec::new();
        for part in parts {
            match self.program.nodes.get(part.place()) {
                Some(Node::Literal(field, pass)) if part.is_negated() == is_and => {
                    alike.entry((*field, *pass)).or_default().push(part);
                }
                _ => united.push(part),
            }
        }
        for ((field, pass), parts) in alike {
            let literals =
                parts.iter().filter_map(|part| self.program.sought.get(&part.place())).map(Vec::len).sum::<usize>();
            if parts.len() == 1 || self.united.saturating_add(literals) > MAX_UNITED {
                united.extend(parts);
            } else if is_and {
                united.push(self.union(field, pass, parts.iter().map(|part| part.negated()).collect()).negated());
            } else {
                united.push(self.union(field, pass, parts));
            }
        }
        united.sort_unstable();
        united
    }

    fn union(&mut self, field: u32, pass: Pass, parts: Vec<Link>) -> Link {
        if let Some(known) = self.unions.get(&parts) {
            return *known;
        }
        let estimate = Estimate::of_union(parts.iter().map(|part| self.estimate(*part)));
        let sought: Vec<_> =
            parts.iter().filter_map(|part| self.program.sought.get(&part.place())).flatten().cloned().collect();
        self.united = self.united.saturating_add(sought.len());
        let leaf = self.seek(field as usize, pass, sought, estimate);
        self.unions.insert(parts, leaf);
        leaf
    }

    /// Groups within groups of their kind are one group; "not one of" is "all not".
    fn flatten(&self, node: Link, is_and: bool, parts: &mut Vec<Link>) {
        let (from, to) = match (self.program.nodes.get(node.place()), is_and != node.is_negated()) {
            (Some(Node::And(from, to)), true) | (Some(Node::Or(from, to)), false) if to - from <= MAX_FLATTENED => {
                (*from as usize, *to as usize)
            }
            _ => return parts.push(node),
        };
        let children = self.program.children.get(from..to).unwrap_or_default();
        parts.extend(children.iter().map(|child| if node.is_negated() { child.negated() } else { *child }));
    }

    fn shared_group(&mut self, parts: &[Link], is_and: bool) -> Link {
        let key = (is_and, parts.to_vec());
        if let Some(known) = self.groups.get(&key) {
            return *known;
        }
        let mut ordered: Vec<(Estimate, Link)> = key.1.iter().map(|part| (self.estimate(*part), *part)).collect();
        ordered.sort_by(|(a, _), (b, _)| a.rank(is_and).total_cmp(&b.rank(is_and)));
        let estimate = Estimate::of_group(ordered.iter().map(|(estimate, _)| *estimate), is_and);
        let from = place(self.program.children.len());
        self.program.children.extend(ordered.iter().map(|(_, part)| *part));
        let to = place(self.program.children.len());
        let at = self.push(if is_and { Node::And(from, to) } else { Node::Or(from, to) }, estimate);
        self.groups.insert(key, at);
        at
    }

    pub(crate) fn estimate(&self, node: Link) -> Estimate {
        let estimate = self.estimates.get(node.place()).copied().unwrap_or_default();
        if node.is_negated() { estimate.negated() } else { estimate }
    }
}

/// Larger groups stay nodes of their own when they are part of another, so that they are shared between rules.
const MAX_FLATTENED: u32 = 8;

/// All unions together hold this many literals at most: each holds copies, and groups within groups would make copies of copies.
const MAX_UNITED: usize = 1 << 20;
