//! Sparse files in tar streams (GNU tar manual, "Storing Sparse Files"; old GNU headers, pax 0.0, 0.1 and 1.0): pieces with their places,
//! and zeros between them. Maps are bounded and must fit, for the stream is not to be trusted.

use std::collections::VecDeque;
use std::io::{self, Read};

/// The map of one file, and how far it was read.
#[derive(Debug, Default)]
pub(crate) struct Sparse {
    /// Offset and length of what is stored, in order.
    pieces: VecDeque<(u64, u64)>,
    at: u64,
    size: u64,
}

/// What to give next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// So many zeros.
    Zeros(u64),
    /// So many bytes of the stream, at most.
    Stored(u64),
    /// The file is read.
    End,
}

impl Sparse {
    /// A map of pieces in a file of `size` bytes, of which `stored` are in the stream.
    pub(crate) fn new(pieces: Vec<(u64, u64)>, size: u64, stored: u64) -> io::Result<Self> {
        let (mut end, mut total) = (0_u64, 0_u64);
        for (offset, length) in &pieces {
            let next = offset.checked_add(*length).filter(|next| *offset >= end && *next <= size);
            end = next.ok_or_else(|| invalid("the map of a sparse file does not fit the file"))?;
            total = total.saturating_add(*length);
        }
        if total > stored {
            return Err(invalid("the map of a sparse file names more than is stored"));
        }
        Ok(Self { pieces: pieces.into_iter().filter(|(_, length)| *length > 0).collect(), at: 0, size })
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn next(&self) -> Next {
        match self.pieces.front() {
            Some((offset, _)) if self.at < *offset => Next::Zeros(offset.saturating_sub(self.at)),
            Some((offset, length)) => Next::Stored(offset.saturating_add(*length).saturating_sub(self.at)),
            None if self.at < self.size => Next::Zeros(self.size.saturating_sub(self.at)),
            None => Next::End,
        }
    }

    /// Says how much of what was next is given.
    pub(crate) fn advance(&mut self, count: u64) {
        self.at = self.at.saturating_add(count);
        let is_past = |(offset, length): &(u64, u64)| self.at >= offset.saturating_add(*length);
        if self.pieces.front().is_some_and(is_past) {
            self.pieces.pop_front();
        }
    }
}

/// What pax headers say of a sparse file.
#[derive(Debug, Default)]
pub(crate) struct PaxSparse {
    pub(crate) is_one: bool,
    major: u64,
    size: u64,
    /// Offsets and lengths in turn.
    map: Vec<u64>,
}

impl PaxSparse {
    /// Takes one record `GNU.sparse.<key>`.
    pub(crate) fn record(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.is_one = true;
        match key {
            b"major" => self.major = number(value)?,
            b"size" | b"realsize" => self.size = number(value)?,
            b"offset" | b"numbytes" => self.map.push(number(value)?),
            b"map" => self.map = value.split(|byte| *byte == b',').map(number).collect::<io::Result<_>>()?,
            _ => {}
        }
        if self.map.len() > MAX_PIECES.saturating_mul(2) {
            return Err(invalid("a sparse file has too many pieces"));
        }
        Ok(())
    }

    /// The map; of version 1.0 it stands before the content. Also how many bytes of `stored` that took.
    pub(crate) fn map(self, stream: &mut impl Read, stored: u64) -> io::Result<(Sparse, u64)> {
        if self.major == 0 {
            return Ok((Sparse::new(pairs(&self.map), self.size, stored)?, 0));
        }
        let mut taken = 0_u64;
        let mut line = || -> io::Result<u64> {
            let mut digits = Vec::new();
            loop {
                let mut byte = [0_u8];
                if taken >= stored {
                    return Err(invalid("the map of a sparse file has no end"));
                }
                stream.read_exact(&mut byte)?;
                taken = taken.saturating_add(1);
                match byte {
                    [b'\n'] => return number(&digits),
                    [digit] => digits.push(digit),
                }
                if digits.len() > 20 {
                    return Err(invalid("the map of a sparse file has a number that is none"));
                }
            }
        };
        let count = usize::try_from(line()?).ok().filter(|count| *count <= MAX_PIECES);
        let count = count.ok_or_else(|| invalid("a sparse file has too many pieces"))?;
        let map = (0..count.saturating_mul(2)).map(|_| line()).collect::<io::Result<Vec<u64>>>()?;
        let padding = 512_u64.saturating_sub(taken % 512) % 512;
        io::copy(&mut stream.take(padding), &mut io::sink())?;
        let taken = taken.saturating_add(padding);
        Ok((Sparse::new(pairs(&map), self.size, stored.saturating_sub(taken))?, taken))
    }
}

fn pairs(map: &[u64]) -> Vec<(u64, u64)> {
    map.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.last()?))).collect()
}

fn number(digits: &[u8]) -> io::Result<u64> {
    let text = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
    text.ok_or_else(|| invalid("the map of a sparse file has a number that is none"))
}

pub(crate) fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// More than any tool writes.
pub(crate) const MAX_PIECES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_that_do_not_fit_are_refused() {
        for (pieces, size, stored) in [
            (vec![(0, 5)], 4, 5),
            (vec![(4, 1), (2, 1)], 9, 9),
            (vec![(0, 4), (3, 2)], 9, 9),
            (vec![(u64::MAX, 2)], u64::MAX, 9),
            (vec![(0, 9)], 20, 8),
        ] {
            assert!(Sparse::new(pieces.clone(), size, stored).is_err(), "{pieces:?}");
        }
        assert_eq!(Sparse::new(Vec::new(), 0, 0).unwrap().next(), Next::End);
    }
}
