//! A reader of DER (ITU-T X.690), as far as keys and certificates need it. Nothing is copied and nothing recurses.

/// One element: its tag, what is in it, and all of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'d> {
    pub(super) tag: u8,
    pub(super) content: &'d [u8],
    pub(super) whole: &'d [u8],
}

pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const SEQUENCE: u8 = 0x30;

/// Reads elements one after the other; ends where the data ends or is no DER.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'d> {
    rest: &'d [u8],
}

impl<'d> Reader<'d> {
    pub(super) fn new(data: &'d [u8]) -> Self {
        Self { rest: data }
    }

    /// The next element, when it has this tag.
    pub(super) fn read(&mut self, tag: u8) -> Option<Element<'d>> {
        (self.rest.first() == Some(&tag)).then(|| self.next()).flatten()
    }
}

impl<'d> Iterator for Reader<'d> {
    type Item = Element<'d>;

    fn next(&mut self) -> Option<Element<'d>> {
        let (&tag, rest) = self.rest.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let (bytes, rest) =
                rest.split_at_checked(usize::from(first & 0x7f)).filter(|(bytes, _)| bytes.len() <= 4)?;
            (bytes.iter().fold(0_usize, |length, byte| (length << 8) | usize::from(*byte)), rest)
        };
        let (content, after) = rest.split_at_checked(length)?;
        let (whole, _) = self.rest.split_at_checked(self.rest.len() - after.len())?;
        self.rest = after;
        Some(Element { tag, content, whole })
    }
}

impl<'d> Element<'d> {
    pub(super) fn reader(&self) -> Reader<'d> {
        Reader::new(self.content)
    }
}

/// `content` as an element with `tag`.
pub(super) fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    if let Some(short) = u8::try_from(content.len()).ok().filter(|length| *length < 0x80) {
        out.push(short);
    } else {
        let bytes = content.len().to_be_bytes();
        let from = bytes.iter().position(|byte| *byte != 0).unwrap_or(0);
        let bytes = bytes.get(from..).unwrap_or_default();
        out.push(0x80 | u8::try_from(bytes.len()).unwrap_or(0));
        out.extend_from_slice(bytes);
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::{Reader, SEQUENCE, wrap};

    #[test]
    fn what_is_wrapped_is_read_again() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let bytes = wrap(SEQUENCE, &vec![7; length]);
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
}
