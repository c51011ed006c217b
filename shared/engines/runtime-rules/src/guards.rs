//! Parts that rules need in any case, asked before the rules are: one that fails rules out all rules that need it at once, so that
//! few are left to be looked at one by one.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::Event;
use crate::literals::Pass;
use crate::lower::{Lowering, place};
use crate::program::{Entry, Link, Node, Program, Run};

/// A part, and entries that cannot hold without it: some of the same 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guard {
    part: Link,
    /// Which 64 of the entries.
    word: u32,
    needed_by: u64,
}

/// A part that may become a guard.
struct Candidate {
    part: Link,
    needed_by: Vec<usize>,
    /// Work for each rule that it rules out on average.
    rank: f32,
}

impl Lowering {
    /// Adds the guards of entries to the program, in the order in which they are asked, and says where they stand.
    pub(crate) fn guards(&mut self, entries: &[Entry]) -> (u32, u32) {
        let from = place(self.program.guards.len());
        let work: Vec<f32> =
            entries.iter().map(|entry| entry.root.map_or(0.0, |root| self.estimate(root).work())).collect();
        let mut chance = vec![1.0_f32; entries.len()];
        let mut passed = BTreeSet::new();
        for Candidate { part, needed_by, .. } in self.candidates(entries, &work) {
            let estimate = self.estimate(part);
            let pass = self.pass_of(part);
            let cost = if pass.is_some_and(|pass| passed.contains(&pass)) { NOTED } else { estimate.work() };
            let weighed = |entry: &usize| {
                let chance = chance.get(*entry).copied().unwrap_or(0.0);
                (chance, chance * work.get(*entry).copied().unwrap_or(0.0))
            };
            let (any, spared) = needed_by
                .iter()
                .map(weighed)
                .fold((0.0_f32, 0.0), |(any, sum), (chance, work)| (any.max(chance), sum + work));
            if spared * estimate.fails() <= cost * any {
                continue;
            }
            passed.extend(pass);
            for entry in &needed_by {
                chance.get_mut(*entry).into_iter().for_each(|chance| *chance *= 1.0 - estimate.fails());
            }
            self.guard(part, &needed_by);
        }
        (from, place(self.program.guards.len()))
    }

    fn candidates(&self, entries: &[Entry], work: &[f32]) -> Vec<Candidate> {
        let mut needed_by: BTreeMap<Link, Vec<usize>> = BTreeMap::new();
        for (at, entry) in entries.iter().enumerate() {
            let mut parts = BTreeSet::new();
            entry.root.into_iter().for_each(|root| self.program.needed(root, &mut parts));
            parts.into_iter().for_each(|part| needed_by.entry(part).or_default().push(at));
        }
        let rank = |part: Link, needed_by: &[usize]| {
            let spared: f32 = needed_by.iter().filter_map(|entry| work.get(*entry)).sum();
            self.estimate(part).work() / (spared * self.estimate(part).fails())
        };
        let mut candidates: Vec<_> = needed_by
            .into_iter()
            .map(|(part, needed_by)| Candidate { part, rank: rank(part, &needed_by), needed_by })
            .collect();
        candidates.sort_by(|a, b| a.rank.total_cmp(&b.rank));
        candidates
    }

    fn pass_of(&self, part: Link) -> Option<(u32, Pass)> {
        match self.program.nodes.get(part.place()) {
            Some(Node::Literal(field, pass)) => Some((*field, *pass)),
            _ => None,
        }
    }

    fn guard(&mut self, part: Link, needed_by: &[usize]) {
        for together in needed_by.chunk_by(|a, b| a / 64 == b / 64) {
            let word = together.first().map_or(0, |first| place(first / 64));
            let needed_by = together.iter().fold(0, |bits, entry| bits | 1 << (entry % 64));
            self.program.guards.push(Guard { part, word, needed_by });
        }
    }
}

impl Program {
    /// The parts without which a node cannot hold. The depth of nodes is bounded by the depth of conditions.
    fn needed(&self, link: Link, parts: &mut BTreeSet<Link>) {
        match (self.nodes.get(link.place()), link.is_negated()) {
            (Some(Node::And(from, to)), false) | (Some(Node::Or(from, to)), true) => {
                let children = self.children.get(*from as usize..*to as usize).unwrap_or_default();
                for child in children {
                    self.needed(if link.is_negated() { child.negated() } else { *child }, parts);
                }
            }
            _ => drop(parts.insert(link)),
        }
    }
}

impl<E: Event + ?Sized> Run<'_, E> {
    /// Notes which of so many entries no guard rules out.
    pub(crate) fn sieve(&mut self, guards: &[Guard], entries: usize) {
        self.scratch.left.clear();
        self.scratch.left.resize(entries / 64, u64::MAX);
        self.scratch.left.push((1 << (entries % 64)) - 1);
        for Guard { part, word, needed_by } in guards {
            let left = self.scratch.left.get(*word as usize).copied().unwrap_or_default();
            if left & needed_by != 0 && !self.holds(*part) {
                self.scratch.left.get_mut(*word as usize).into_iter().for_each(|left| *left &= !needed_by);
            }
        }
    }
}

/// What a part costs when the pass that decides it is made anyway.
const NOTED: f32 = 1.0;
