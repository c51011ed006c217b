//! What the findings of an image rest on, kept with what was told of them: as long as it holds, matching the image again would find the
//! same, so nothing of it is read but this.
//!
//! ```text
//! program, Java database, kept inventory, which sources     equal as a whole, or all is matched again
//! the time at which extended maintenance begins             not passed
//! questions to the sources, what they answered in short     8 bytes each, 8 bytes for all answers
//! ```

use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;
use std::time::UNIX_EPOCH;

use crate::advisories::Advisories;

/// What findings rest on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Basis {
    /// Whether the Java database was asked.
    pub(crate) asks_java: bool,
    /// Everything that is compared as a whole: see [`Advisories::surroundings`].
    pub(crate) surroundings: u64,
    /// The kept inventory; 0 before it is kept.
    pub(crate) inventory: u64,
    /// When they hold, in seconds since 1970-01-01.
    pub(crate) holds_s: Range<i64>,
    /// What the database answered.
    pub(crate) answers: u64,
    /// What it was asked, sorted.
    pub(crate) questions: Vec<u64>,
}

impl Basis {
    /// Whether an image that is kept as `inventory` has the same findings still.
    pub(crate) fn holds(&self, advisories: &Advisories, inventory: u64, now_s: i64) -> bool {
        self.inventory == inventory
            && inventory != 0
            && self.holds_s.contains(&now_s)
            && advisories.surroundings(self.asks_java) == self.surroundings
            && advisories.answers(&self.questions) == Some(self.answers)
    }

    /// As bytes, which [`Self::of_bytes`] reads.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + self.questions.len() * 8);
        let head = [u64::from(self.asks_java), self.surroundings, self.inventory, self.answers];
        head.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        [self.holds_s.start, self.holds_s.end].iter().for_each(|time| bytes.extend_from_slice(&time.to_le_bytes()));
        self.questions.iter().for_each(|question| bytes.extend_from_slice(&question.to_le_bytes()));
        bytes
    }

    /// `None` when the bytes are not those of a basis.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let (head, questions) = numbers.split_at_checked(HEAD / 8).filter(|_| rest.is_empty())?;
        let [asks_java, surroundings, inventory, answers, start, end] = head else { return None };
        Some(Self {
            asks_java: u64::from_le_bytes(*asks_java) != 0,
            surroundings: u64::from_le_bytes(*surroundings),
            inventory: u64::from_le_bytes(*inventory),
            holds_s: i64::from_le_bytes(*start)..i64::from_le_bytes(*end),
            answers: u64::from_le_bytes(*answers),
            questions: questions.iter().map(|question| u64::from_le_bytes(*question)).collect(),
        })
    }
}

/// Bytes before the questions.
const HEAD: usize = 6 * 8;

/// Eight bytes of a hash of some texts.
pub(crate) fn short(texts: &[&[u8]]) -> u64 {
    let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
    for text in texts {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.finish().as_ref().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// A file as it is now, by size and time of change; 0 when there is none.
pub(crate) fn stamp(path: &Path) -> u64 {
    let Ok(metadata) = std::fs::metadata(path) else { return 0 };
    let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    short(&[&metadata.len().to_le_bytes(), &changed.as_nanos().to_le_bytes()]).max(1)
}

/// This program: another version may match otherwise.
pub(crate) static PROGRAM: LazyLock<u64> = LazyLock::new(|| {
    let own = std::env::current_exe().map_or(0, |path| stamp(&path));
    short(&[env!("CARGO_PKG_VERSION").as_bytes(), &own.to_le_bytes()])
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_was_written() {
        let basis = Basis {
            asks_java: true,
            surroundings: 1,
            inventory: 2,
            holds_s: i64::MIN..i64::MAX,
            answers: 3,
            questions: vec![4, u64::MAX],
        };
        let bytes = basis.to_bytes();
        assert_eq!(Basis::of_bytes(&bytes), Some(basis));
        assert_eq!(Basis::of_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Basis::of_bytes(&bytes[..HEAD - 8]), None);
    }
}
