//! A reader of DER, as far as certificates need it. Nothing is copied and nothing recurses.

/// One element: its tag, what is in it, and all of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'d> {
    pub(crate) tag: u8,
    pub(crate) content: &'d [u8],
    pub(crate) whole: &'d [u8],
}

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OID: u8 = 0x06;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const SEQUENCE: u8 = 0x30;

/// Reads elements one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'d> {
    rest: &'d [u8],
}

impl<'d> Reader<'d> {
    pub(crate) const fn new(data: &'d [u8]) -> Self {
        Self { rest: data }
    }

    /// The tag of the next element.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next element; `None` at the end and where the data is no DER.
    pub(crate) fn next(&mut self) -> Option<Element<'d>> {
        let (tag, short) = (*self.rest.first()?, *self.rest.get(1)?);
        let (start, length) = match short {
            0..=0x7f => (2, usize::from(short)),
            0x81..=0x84 => {
                let count = usize::from(short & 0x7f);
                let bytes = self.rest.get(2..2 + count)?;
                (2 + count, bytes.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte)))
            }
            _ => return None,
        };
        let end = start.checked_add(length)?;
        let (whole, content) = (self.rest.get(..end)?, self.rest.get(start..end)?);
        self.rest = self.rest.get(end..)?;
        Some(Element { tag, content, whole })
    }

    /// The next element, when it has this tag.
    pub(crate) fn read(&mut self, tag: u8) -> Option<Element<'d>> {
        (self.peek() == Some(tag)).then(|| self.next()).flatten()
    }
}

impl<'d> Iterator for Reader<'d> {
    type Item = Element<'d>;

    fn next(&mut self) -> Option<Element<'d>> {
        Reader::next(self)
    }
}

impl<'d> Element<'d> {
    pub(crate) const fn reader(&self) -> Reader<'d> {
        Reader::new(self.content)
    }

    /// The bytes of a bit string with whole bytes.
    pub(crate) fn bits(&self) -> Option<&'d [u8]> {
        (self.tag == BIT_STRING).then(|| self.content.get(1..)).flatten()
    }

    /// The arcs of an object identifier.
    pub(crate) fn arcs(&self) -> Vec<u64> {
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
    pub(crate) fn oid(&self) -> String {
        self.arcs().iter().map(u64::to_string).collect::<Vec<_>>().join(".")
    }
}

/// An unsigned big-endian number in decimal digits.
pub(crate) fn decimal(bytes: &[u8]) -> String {
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
