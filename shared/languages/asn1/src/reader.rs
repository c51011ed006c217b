//! Reading.

use crate::{BIT_STRING, INTEGER};

/// One element: its tag, what is in it, and all of it.
#[derive(Clone, Copy, Debug)]
pub struct Element<'d> {
    /// The tag's byte, with its class.
    pub tag: u8,
    /// What is in it.
    pub content: &'d [u8],
    /// All of it: tag, length and content.
    pub whole: &'d [u8],
}

/// Reads elements one after the other; ends where the data ends or is no DER.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'d> {
    rest: &'d [u8],
}

impl<'d> Reader<'d> {
    /// Reads elements of `data`.
    #[must_use]
    pub const fn new(data: &'d [u8]) -> Self {
        Self { rest: data }
    }

    /// Reads what is in the only element of `data`; `None` when it has another tag or something follows it.
    #[must_use]
    pub fn single(data: &'d [u8], tag: u8) -> Option<Self> {
        let mut reader = Self::new(data);
        let element = reader.read(tag)?;
        reader.rest.is_empty().then(|| element.reader())
    }

    /// The tag of the next element.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next element, when it has this tag; else nothing is read.
    pub fn read(&mut self, tag: u8) -> Option<Element<'d>> {
        (self.peek() == Some(tag)).then(|| self.next()).flatten()
    }

    /// The next element as a number below 2^32.
    pub fn small(&mut self) -> Option<u32> {
        let content = self.read(INTEGER)?.content;
        (content.len() <= 5).then_some(())?;
        u32::try_from(content.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))).ok()
    }
}

impl<'d> Iterator for Reader<'d> {
    type Item = Element<'d>;

    fn next(&mut self) -> Option<Element<'d>> {
        let (&tag, rest) = self.rest.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (digits.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, after) = rest.split_at_checked(length)?;
        let whole = self.rest.get(..self.rest.len().saturating_sub(after.len()))?;
        self.rest = after;
        Some(Element { tag, content, whole })
    }
}

impl<'d> Element<'d> {
    /// Reads the elements in it.
    #[must_use]
    pub const fn reader(&self) -> Reader<'d> {
        Reader::new(self.content)
    }

    /// The bytes of a bit string with whole bytes.
    #[must_use]
    pub fn bits(&self) -> Option<&'d [u8]> {
        (self.tag == BIT_STRING).then(|| self.content.get(1..)).flatten()
    }

    /// The arcs of an object identifier.
    #[must_use]
    pub fn arcs(&self) -> Vec<u64> {
        let mut arcs = Vec::new();
        let mut value: u64 = 0;
        for byte in self.content {
            value = value << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 != 0 {
                continue;
            }
            if arcs.is_empty() {
                let first = (value / 40).min(2);
                arcs.extend([first, value - first * 40]);
            } else {
                arcs.push(value);
            }
            value = 0;
        }
        arcs
    }

    /// The object identifier with dots.
    #[must_use]
    pub fn oid(&self) -> String {
        self.arcs().iter().map(u64::to_string).collect::<Vec<_>>().join(".")
    }
}

/// An unsigned big-endian number in decimal digits.
#[must_use]
pub fn decimal(bytes: &[u8]) -> String {
    const BASE: u64 = 1_000_000_000;
    let mut limbs: Vec<u64> = vec![0];
    for byte in bytes {
        let mut carry = u64::from(*byte);
        for limb in &mut limbs {
            let value = *limb * 256 + carry;
            *limb = value % BASE;
            carry = value / BASE;
        }
        if carry > 0 {
            limbs.push(carry);
        }
    }
    let mut digits = limbs.pop().unwrap_or(0).to_string();
    for limb in limbs.iter().rev() {
        digits.push_str(&format!("{limb:09}"));
    }
    digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{OID, SEQUENCE, oid, tlv};

    #[test]
    fn what_is_written_is_read_again() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let bytes = tlv(SEQUENCE, &vec![7; length]);
            let mut reader = Reader::new(&bytes);
            let element = reader.read(SEQUENCE).unwrap();
            assert_eq!((element.content.len(), element.whole.len()), (length, bytes.len()));
            assert!(reader.next().is_none());
        }
    }

    #[test]
    fn broken_lengths_end_the_reading() {
        for bytes in [&[][..], &[0x30], &[0x30, 0x05, 0x00], &[0x30, 0x85, 1, 1, 1, 1, 1], &[0x30, 0x84, 0xff, 0xff]] {
            assert!(Reader::new(bytes).next().is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn identifiers_have_arcs() {
        let bytes = oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]);
        assert_eq!(Reader::new(&bytes).read(OID).unwrap().oid(), "1.2.840.113549");
        assert_eq!(decimal(&[0x01, 0, 0, 0, 0, 0, 0, 0, 0]), "18446744073709551616");
        assert_eq!(decimal(&[]), "0");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let read: usize = Reader::new(&bytes).map(|element| element.whole.len()).sum();
            prop_assert!(read <= bytes.len());
        }
    }
}
