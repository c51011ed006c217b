//! Every literal that any rule compares a field with, in one structure per field: one pass over the value finds all that hold.

use aho_corasick::automaton::Automaton;
use aho_corasick::{Anchored, StartKind, dfa, nfa::contiguous, packed};

use crate::ast::Operator;
use crate::event::Value;
use crate::fields::Field;

/// The place of a leaf in the program.
pub(crate) type Leaf = u32;

/// The literals of one field.
#[derive(Clone, Debug)]
pub(crate) struct FieldLiterals {
    pub(crate) field: Field,
    beginnings: Trie,
    endings: Trie,
    parts: Parts,
    parts_of_any_case: Parts,
}

/// The passes over a value; a leaf needs one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Pass {
    /// `=`, `in`, `startswith`.
    Beginnings,
    /// `endswith`.
    Endings,
    /// `contains`.
    Parts,
    /// `icontains`.
    PartsOfAnyCase,
}

impl Pass {
    pub(crate) const COUNT: usize = 4;

    /// The pass that decides an operator, when one does.
    pub(crate) fn of(operator: Operator) -> Option<Self> {
        match operator {
            Operator::Equal | Operator::In | Operator::Intersects | Operator::StartsWith | Operator::BStartsWith => {
                Some(Self::Beginnings)
            }
            Operator::EndsWith => Some(Self::Endings),
            Operator::Contains | Operator::BContains => Some(Self::Parts),
            Operator::IContains => Some(Self::PartsOfAnyCase),
            _ => None,
        }
    }
}

/// Literals of one field while they are gathered.
#[derive(Clone, Debug)]
pub(crate) struct Gathered {
    field: Field,
    literals: Vec<(Operator, Vec<u8>, Leaf)>,
}

impl Gathered {
    pub(crate) fn new(field: Field) -> Self {
        Self { field, literals: Vec::new() }
    }

    pub(crate) fn add(&mut self, operator: Operator, literal: &[u8], leaf: Leaf) {
        self.literals.push((operator, literal.to_vec(), leaf));
    }

    /// Builds the structures. `None` when an automaton cannot be built, which its sizes rule out.
    pub(crate) fn build(self) -> Option<FieldLiterals> {
        let (mut beginnings, mut endings) = (TrieBuilder::default(), TrieBuilder::default());
        let (mut parts, mut parts_of_any_case) = (Vec::new(), Vec::new());
        for (operator, literal, leaf) in self.literals {
            match Pass::of(operator)? {
                Pass::Beginnings => {
                    let is_prefix = matches!(operator, Operator::StartsWith | Operator::BStartsWith);
                    beginnings.add(literal.iter().copied(), leaf, is_prefix);
                }
                Pass::Endings => endings.add(literal.iter().rev().copied(), leaf, true),
                Pass::Parts => parts.push((literal, leaf)),
                Pass::PartsOfAnyCase => parts_of_any_case.push((literal, leaf)),
            }
        }
        Some(FieldLiterals {
            field: self.field,
            beginnings: beginnings.build(),
            endings: endings.build(),
            parts: Parts::build(parts, false)?,
            parts_of_any_case: Parts::build(parts_of_any_case, true)?,
        })
    }
}

impl FieldLiterals {
    /// Calls `hit` for every leaf of the pass that holds for the value; a leaf may be called twice.
    pub(crate) fn run(&self, pass: Pass, value: &Value<'_>, hit: &mut impl FnMut(Leaf)) {
        match value {
            Value::Any(items) | Value::List(items) => items.iter().for_each(|item| self.one(pass, item, hit)),
            value => self.one(pass, value, hit),
        }
    }

    fn one(&self, pass: Pass, value: &Value<'_>, hit: &mut impl FnMut(Leaf)) {
        let text = value.as_bytes();
        match pass {
            Pass::Beginnings => self.beginnings.walk(text.iter(), hit),
            Pass::Endings => self.endings.walk(text.iter().rev(), hit),
            Pass::Parts => self.parts.find(&text, hit),
            Pass::PartsOfAnyCase => self.parts_of_any_case.find(&text, hit),
        }
    }
}

/// Literals that may stand anywhere in a text.
#[derive(Clone, Debug)]
struct Parts {
    /// Says of many bytes at once whether any literal is among them; most often none is, and the automaton need not be asked. Only
    /// for a few literals, and texts of some length.
    sieve: Option<packed::Searcher>,
    automaton: Finder,
    leaves: Vec<Leaf>,
}

/// Texts are short: nothing that looks for single rare bytes ahead of the automaton pays off.
#[derive(Clone, Debug)]
enum Finder {
    Nothing,
    Full(dfa::DFA),
    Compact(contiguous::NFA),
}

impl Parts {
    fn build(literals: Vec<(Vec<u8>, Leaf)>, any_case: bool) -> Option<Self> {
        let (texts, leaves): (Vec<_>, Vec<_>) = literals.into_iter().unzip();
        let bytes: usize = texts.iter().map(Vec::len).sum();
        let is_sieved = !any_case && texts.iter().all(|text| text.len() >= MIN_SIEVED);
        let sieve = if is_sieved { packed::Searcher::new(&texts) } else { None };
        let automaton = if texts.is_empty() {
            Finder::Nothing
        } else if bytes <= MAX_DFA_BYTES {
            let mut builder = dfa::DFA::builder();
            builder.ascii_case_insensitive(any_case).prefilter(false).start_kind(StartKind::Unanchored);
            Finder::Full(builder.build(texts).ok()?)
        } else {
            let mut builder = contiguous::NFA::builder();
            Finder::Compact(builder.ascii_case_insensitive(any_case).prefilter(false).build(texts).ok()?)
        };
        Some(Self { sieve, automaton, leaves })
    }

    fn find(&self, text: &[u8], hit: &mut impl FnMut(Leaf)) {
        if let Some(sieve) = &self.sieve
            && text.len() >= sieve.minimum_len()
            && sieve.find(text).is_none()
        {
            return;
        }
        match &self.automaton {
            Finder::Nothing => {}
            Finder::Full(automaton) => self.scan(automaton, text, hit),
            Finder::Compact(automaton) => self.scan(automaton, text, hit),
        }
    }

    /// Every literal at every place, the overlapping ones too.
    fn scan(&self, automaton: &impl Automaton, text: &[u8], hit: &mut impl FnMut(Leaf)) {
        let Ok(mut state) = automaton.start_state(Anchored::No) else { return };
        for byte in text {
            state = automaton.next_state(Anchored::No, state, *byte);
            if !automaton.is_special(state) || !automaton.is_match(state) {
                continue;
            }
            for at in 0..automaton.match_len(state) {
                let literal = automaton.match_pattern(state, at).as_usize();
                self.leaves.get(literal).copied().into_iter().for_each(&mut *hit);
            }
        }
    }
}

/// Literals by their first bytes.
#[derive(Clone, Debug, Default)]
struct Trie {
    nodes: Vec<TrieNode>,
    /// The bytes that lead on, node by node, with where they lead beside them.
    edges: Vec<u8>,
    targets: Vec<u32>,
    /// The targets of nodes with many edges, 256 for each: 0 leads nowhere, for nothing leads back to the first node.
    by_byte: Vec<u32>,
    stems: Vec<u8>,
    leaves: Vec<Leaf>,
}

/// How a node leads on.
#[derive(Clone, Copy, Debug)]
enum Edges {
    /// By these, which are looked through.
    Few(u32, u32),
    /// By the targets of every byte that begin here.
    Many(u32),
}

#[derive(Clone, Copy, Debug)]
struct TrieNode {
    /// Bytes that have to follow before anything is decided.
    stem: (u32, u32),
    edges: Edges,
    /// Leaves that hold when the text goes on or ends here.
    prefix: (u32, u32),
    /// Leaves that hold when the text ends here.
    exact: (u32, u32),
}

impl Trie {
    fn walk<'t>(&self, mut text: impl Iterator<Item = &'t u8>, hit: &mut impl FnMut(Leaf)) {
        let Some(mut node) = self.nodes.first() else { return };
        loop {
            let stem = self.stems.get(node.stem.0 as usize..node.stem.1 as usize).unwrap_or_default();
            if stem.iter().any(|byte| text.next() != Some(byte)) {
                return;
            }
            self.report(node.prefix, hit);
            let Some(byte) = text.next() else { return self.report(node.exact, hit) };
            let Some(next) = self.next(node.edges, *byte) else { return };
            node = next;
        }
    }

    /// The node that a byte leads to.
    fn next(&self, edges: Edges, byte: u8) -> Option<&TrieNode> {
        let target = match edges {
            Edges::Few(from, to) => {
                let at = self.edges.get(from as usize..to as usize)?.iter().position(|edge| *edge == byte)?;
                *self.targets.get(from as usize + at)?
            }
            Edges::Many(from) => *self.by_byte.get(from as usize + usize::from(byte)).filter(|target| **target != 0)?,
        };
        self.nodes.get(target as usize)
    }

    /// Adds the edges of one node, to nodes that follow each other.
    fn lead_on(&mut self, bytes: &[u8], first: usize) -> Edges {
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let from = place(self.edges.len());
        let targets = bytes.iter().zip(first..).map(|(byte, target)| (*byte, place(target)));
        if bytes.len() > MAX_FEW {
            let from = self.by_byte.len();
            self.by_byte.resize(from + 256, 0);
            for (byte, target) in targets {
                self.by_byte.get_mut(from + usize::from(byte)).into_iter().for_each(|place| *place = target);
            }
            return Edges::Many(place(from));
        }
        self.edges.extend(bytes);
        self.targets.extend(targets.map(|(_, target)| target));
        Edges::Few(from, place(self.edges.len()))
    }

    fn report(&self, range: (u32, u32), hit: &mut impl FnMut(Leaf)) {
        if range.0 < range.1 {
            let leaves = self.leaves.get(range.0 as usize..range.1 as usize).unwrap_or_default();
            leaves.iter().copied().for_each(hit);
        }
    }
}

#[derive(Debug, Default)]
struct TrieBuilder {
    nodes: Vec<BuilderNode>,
}

#[derive(Debug, Default)]
struct BuilderNode {
    edges: Vec<(u8, usize)>,
    prefix: Vec<Leaf>,
    exact: Vec<Leaf>,
}

impl TrieBuilder {
    fn add(&mut self, literal: impl Iterator<Item = u8>, leaf: Leaf, is_prefix: bool) {
        if self.nodes.is_empty() {
            self.nodes.push(BuilderNode::default());
        }
        let mut at = 0;
        for byte in literal {
            let fresh = self.nodes.len();
            let Some(node) = self.nodes.get_mut(at) else { return };
            match node.edges.iter().find(|(edge, _)| *edge == byte) {
                Some((_, next)) => at = *next,
                None => {
                    node.edges.push((byte, fresh));
                    self.nodes.push(BuilderNode::default());
                    at = fresh;
                }
            }
        }
        let Some(node) = self.nodes.get_mut(at) else { return };
        let leaves = if is_prefix { &mut node.prefix } else { &mut node.exact };
        if !leaves.contains(&leaf) {
            leaves.push(leaf);
        }
    }

    /// Nodes that only lead on become the stem of the next one.
    fn build(self) -> Trie {
        let mut trie = Trie::default();
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        // Nodes whose place in the trie is given, but that are not built yet.
        let mut waiting = std::collections::VecDeque::from([0]);
        let mut given: usize = 1;
        while let Some(mut node) = waiting.pop_front().and_then(|at: usize| self.nodes.get(at)) {
            let stem = place(trie.stems.len());
            while let ([(byte, next)], true, true) =
                (node.edges.as_slice(), node.prefix.is_empty(), node.exact.is_empty())
            {
                let Some(next) = self.nodes.get(*next) else { break };
                trie.stems.push(*byte);
                node = next;
            }
            waiting.extend(node.edges.iter().map(|(_, next)| *next));
            let bytes: Vec<u8> = node.edges.iter().map(|(byte, _)| *byte).collect();
            let edges = trie.lead_on(&bytes, given);
            given += node.edges.len();
            let leaves = place(trie.leaves.len());
            trie.leaves.extend(&node.prefix);
            let between = place(trie.leaves.len());
            trie.leaves.extend(&node.exact);
            trie.nodes.push(TrieNode {
                stem: (stem, place(trie.stems.len())),
                edges,
                prefix: (leaves, between),
                exact: (between, place(trie.leaves.len())),
            });
        }
        trie
    }
}

/// Nodes of a trie with more edges than this find them by the byte.
const MAX_FEW: usize = 6;

/// A single byte is found too often for a sieve to spare the automaton.
const MIN_SIEVED: usize = 2;

/// A full automaton of more literals than this would be large; a compact one is built then.
const MAX_DFA_BYTES: usize = 4096;
