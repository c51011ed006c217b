//! The header of one package: an index of tags over a store of values, all numbers big-endian.

use std::fmt::Write as _;

use crate::text::ParseError;

/// A parsed header.
#[derive(Debug)]
pub(crate) struct Header {
    index: Vec<Tag>,
    store: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Tag {
    tag: u32,
    kind: u32,
    offset: usize,
    count: usize,
}

impl Header {
    /// Parses a header as the database keeps it, without its magic.
    pub(crate) fn parse(blob: &[u8]) -> Result<Self, ParseError> {
        let broken = || ParseError::new("a header of an rpm is broken");
        let count = word(blob, 0).ok_or_else(broken)?;
        let length = word(blob, 4).ok_or_else(broken)?;
        if count > MAX_TAGS {
            return Err(ParseError::new(format!("a header of an rpm has {count} tags")));
        }
        let start = 8_usize.saturating_add(count.saturating_mul(16));
        let store = blob.get(start..start.saturating_add(length)).ok_or_else(broken)?;
        let mut index = Vec::with_capacity(count);
        for number in 0..count {
            let at = 8_usize.saturating_add(number.saturating_mul(16));
            let field = |offset: usize| word(blob, at.saturating_add(offset)).ok_or_else(broken);
            let small = |value: usize| u32::try_from(value).unwrap_or(0);
            index.push(Tag { tag: small(field(0)?), kind: small(field(4)?), offset: field(8)?, count: field(12)? });
        }
        Ok(Self { index, store: store.to_vec() })
    }

    /// Bytes of a header without its magic, by its first words.
    pub(crate) fn length(blob: &[u8]) -> Option<usize> {
        let (count, length) = (word(blob, 0)?, word(blob, 4)?);
        Some(8_usize.saturating_add(count.saturating_mul(16)).saturating_add(length))
    }

    /// First text of a tag; empty when it is absent.
    pub(crate) fn text(&self, tag: u32) -> &str {
        self.texts(tag).next().unwrap_or_default()
    }

    /// All texts of a tag.
    pub(crate) fn texts(&self, tag: u32) -> impl Iterator<Item = &str> {
        let found = self.find(tag).filter(|found| matches!(found.kind, STRING | STRING_ARRAY | I18N_STRING));
        let rest = found.and_then(|found| self.store.get(found.offset..)).unwrap_or_default();
        let count = found.map_or(0, |found| found.count);
        rest.split(|byte| *byte == 0).take(count).map(|text| std::str::from_utf8(text).unwrap_or_default())
    }

    /// First number of a tag.
    pub(crate) fn number(&self, tag: u32) -> Option<u32> {
        self.numbers(tag).next()
    }

    /// All numbers of a tag.
    pub(crate) fn numbers(&self, tag: u32) -> impl Iterator<Item = u32> {
        let found = self.find(tag).filter(|found| found.kind == INT32);
        let end = found.map(|found| found.offset.saturating_add(found.count.saturating_mul(4)));
        let bytes = found.zip(end).and_then(|(found, end)| self.store.get(found.offset..end)).unwrap_or_default();
        bytes.chunks_exact(4).filter_map(|four| four.try_into().ok().map(u32::from_be_bytes))
    }

    /// Bytes of a tag in hex.
    pub(crate) fn hex(&self, tag: u32) -> Option<String> {
        let found = self.find(tag).filter(|found| found.kind == BINARY)?;
        let bytes = self.store.get(found.offset..found.offset.saturating_add(found.count))?;
        let mut text = String::new();
        for byte in bytes {
            // Writing to a String never fails.
            let _ = write!(text, "{byte:02x}");
        }
        Some(text)
    }

    fn find(&self, tag: u32) -> Option<Tag> {
        self.index.iter().find(|one| one.tag == tag).copied()
    }
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at.saturating_add(4))?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(four)).ok()
}

const INT32: u32 = 4;
const STRING: u32 = 6;
const BINARY: u32 = 7;
const STRING_ARRAY: u32 = 8;
const I18N_STRING: u32 = 9;
/// As rpm itself allows.
const MAX_TAGS: usize = 0xffff;
