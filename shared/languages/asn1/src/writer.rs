//! Writing.

use crate::{BIT_STRING, INTEGER, OID, SEQUENCE};

/// The element that says nothing.
pub const NULL: &[u8] = &[0x05, 0x00];

/// An element with a tag.
#[must_use]
pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    if length < 0x80 {
        out.push(u8::try_from(length).unwrap_or(0));
    } else {
        let digits: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        out.push(0x80 | u8::try_from(digits.len()).unwrap_or(0));
        out.extend(digits);
    }
    out.extend_from_slice(content);
    out
}

/// A sequence of elements.
#[must_use]
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(SEQUENCE, &parts.concat())
}

/// A number that is not negative.
#[must_use]
pub fn integer(bytes: &[u8]) -> Vec<u8> {
    let mut digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    if digits.first().is_none_or(|first| *first >= 0x80) {
        digits.insert(0, 0);
    }
    tlv(INTEGER, &digits)
}

/// An object identifier from its encoded content.
#[must_use]
pub fn oid(content: &[u8]) -> Vec<u8> {
    tlv(OID, content)
}

/// Whole bytes as bits.
#[must_use]
pub fn bits(content: &[u8]) -> Vec<u8> {
    tlv(BIT_STRING, &[&[0], content].concat())
}
