//! Chance, from the entropy that the engine was given.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{CryptoRng, RngCore, SeedableRng};

use super::{Call, Entry, Returned, text};
use crate::Environment;
use crate::value::Value;

pub(super) const TABLE: &[Entry] = &[
    ("randAlphaNum", "i", |call| letters(call, u8::is_ascii_alphanumeric)),
    ("randAlpha", "i", |call| letters(call, u8::is_ascii_alphabetic)),
    ("randNumeric", "i", |call| letters(call, u8::is_ascii_digit)),
    ("randAscii", "i", |call| letters(call, |byte| (32..=126).contains(byte))),
    ("randInt", "ii", |call| {
        let (least, end) = (call.int(0), call.int(1));
        let span = end.checked_sub(least).and_then(|span| u64::try_from(span).ok()).filter(|span| *span > 0);
        let span = span.ok_or("invalid argument to Intn")?;
        let drawn = i64::try_from(call.chance.below(span)?).unwrap_or(0);
        Ok(Value::int(least.saturating_add(drawn)))
    }),
    ("randBytes", "i", |call| {
        let count = usize::try_from(call.int(0)).map_err(|_| "runtime error: makeslice: len out of range")?;
        call.check_length(count.saturating_mul(2))?;
        text(STANDARD.encode(call.chance.bytes(count)?))
    }),
    ("shuffle", "s", |call| {
        let mut letters: Vec<char> = call.text(0).chars().collect();
        for index in (1..letters.len()).rev() {
            let other = call.chance.below(u64::try_from(index).unwrap_or(0).saturating_add(1))?;
            letters.swap(index, usize::try_from(other).unwrap_or(0));
        }
        text(letters.into_iter().collect::<String>())
    }),
    ("uuidv4", "", |call| {
        let mut bytes = call.chance.bytes(16)?;
        for (index, mask, set) in [(6, 0x0f, 0x40), (8, 0x3f, 0x80)] {
            if let Some(byte) = bytes.get_mut(index) {
                *byte = *byte & mask | set;
            }
        }
        let hex = hex::encode(&bytes);
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        text(format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)))
    }),
];

/// A stream of chance for one rendering.
#[derive(Debug)]
pub(crate) struct Chance(Option<ChaCha20Rng>);

impl Chance {
    pub(crate) fn new(environment: &Environment) -> Self {
        Self(environment.entropy.map(ChaCha20Rng::from_seed))
    }

    /// The source itself, for keys.
    pub(crate) fn source(&mut self) -> Result<&mut (impl CryptoRng + RngCore + use<>), String> {
        self.0.as_mut().ok_or_else(|| "there is no entropy here".to_owned())
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; count];
        self.source()?.fill_bytes(&mut bytes);
        Ok(bytes)
    }

    /// A number below `end`, each as likely as the others.
    pub(crate) fn below(&mut self, end: u64) -> Result<u64, String> {
        let whole = u64::MAX.checked_div(end).unwrap_or(1).saturating_mul(end);
        let source = self.source()?;
        loop {
            let drawn = source.next_u64();
            if drawn < whole {
                return Ok(drawn.checked_rem(end).unwrap_or(0));
            }
        }
    }
}

fn letters(call: &mut Call<'_>, is_wanted: fn(&u8) -> bool) -> Returned {
    let count = usize::try_from(call.int(0)).unwrap_or(0);
    call.check_length(count)?;
    let alphabet: Vec<u8> = (0..128).filter(is_wanted).collect();
    let end = u64::try_from(alphabet.len()).unwrap_or(1);
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        let index = usize::try_from(call.chance.below(end)?).unwrap_or(0);
        out.extend(alphabet.get(index));
    }
    text(out)
}
