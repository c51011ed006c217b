//! Replays every seed of every target, and mutations of it that are the same in each run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs;

use fuzz_targets::TARGETS;
use testkit::corpus::workspace_root;

/// Mutations of each seed.
const MUTATIONS: u64 = 400;

#[test]
fn seeds_and_their_mutations_are_survived() {
    for (name, target) in TARGETS {
        let folder = workspace_root().join("tests/fuzz/seeds").join(name);
        let mut seeds: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .flatten()
            .map(|entry| fs::read(entry.path()).unwrap())
            .collect();
        seeds.sort();
        assert!(!seeds.is_empty(), "{name} has no seeds");
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
        for seed in &seeds {
            target(seed);
            for _ in 0..MUTATIONS {
                target(&mutated(seed, &seeds, &mut chance));
            }
        }
    }
}

/// Marsaglia's xorshift: enough to vary, the same everywhere.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % limit.max(1)
    }
}

/// One to eight small changes: a byte, a cut, a repeat, a piece of another seed, a token that grammars know.
fn mutated(seed: &[u8], seeds: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=chance.below(8) {
        let at = chance.below(bytes.len() + 1);
        let end = (at + chance.below(24)).min(bytes.len());
        match chance.below(6) {
            0 if at < bytes.len() => bytes[at] = u8::try_from(chance.below(256)).unwrap(),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            3 => {
                let other = &seeds[chance.below(seeds.len())];
                let from = chance.below(other.len() + 1);
                let to = (from + chance.below(64)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            4 => {
                let token = TOKENS[chance.below(TOKENS.len())];
                bytes.splice(at..at, token.bytes());
            }
            _ if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            _ => {}
        }
    }
    bytes
}

const TOKENS: [&str; 28] = [
    "\0",
    "\n",
    " ",
    ":",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "'",
    "{{",
    "}}",
    "*",
    "&a ",
    "*a",
    "|",
    ">=",
    "~",
    "null",
    "-1",
    "99999999999999999999",
    "1e308",
    "é",
    "\u{202e}",
    "../",
];
