//! A walk over a tar stream (POSIX pax, GNU, old formats) that holds nothing but one header: no file is unpacked, and names and
//! extended headers are bounded, for the stream is not to be trusted.

use std::io::{self, Read};

use image_inventory::EntryKind;

use crate::sparse::{MAX_PIECES, Next, PaxSparse, Sparse, invalid};

/// The entries of a tar stream.
pub(crate) struct Walk<R> {
    stream: R,
    /// Content and padding of the current entry that was not read yet.
    left: u64,
    padding: u64,
    position: u64,
    /// Where the pieces of the current entry belong, when it is a sparse file.
    sparse: Option<Sparse>,
}

/// The header of one entry.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: EntryKind,
    pub(crate) size: u64,
    pub(crate) mode: u32,
}

/// What extended headers say of the entry that follows.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: PaxSparse,
}

impl<R: Read> Walk<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self { stream, left: 0, padding: 0, position: 0, sparse: None }
    }

    /// The next entry; what is left of the one before is passed over. `None` at the end of the archive.
    pub(crate) fn next(&mut self) -> io::Result<Option<Header>> {
        let mut extended = Extended::default();
        loop {
            self.skip()?;
            let Some(block) = self.block()? else { return Ok(None) };
            let size = number(field(&block, 124, 12))?;
            match block.get(156).copied().unwrap_or(0) {
                b'L' => extended.path = Some(trimmed(&self.extension(size)?).to_vec()),
                b'K' => drop(self.extension(size)?),
                b'x' => pax(&self.extension(size)?, &mut extended)?,
                b'g' => drop(self.extension(size)?),
                flag => return self.entry(&block, flag, size, extended).map(Some),
            }
        }
    }

    fn entry(&mut self, block: &[u8; BLOCK], flag: u8, size: u64, extended: Extended) -> io::Result<Header> {
        let size = extended.size.unwrap_or(size);
        let path = extended.path.unwrap_or_else(|| path_of(block));
        let kind = match flag {
            0 | b'0' | b'7' if path.ends_with(b"/") => EntryKind::Folder,
            0 | b'0' | b'7' | b'S' => EntryKind::File,
            b'1' => EntryKind::HardLink,
            b'2' => EntryKind::Symlink,
            b'5' => EntryKind::Folder,
            _ => EntryKind::Other,
        };
        // Links have no content, whatever their size field says; folders of old archives may say a size, too.
        let has_content = !matches!(flag, b'1' | b'2' | b'3' | b'4' | b'5' | b'6');
        self.left = if has_content { size } else { 0 };
        self.padding = padding(self.left);
        if flag == b'S' {
            self.sparse = Some(self.old_map(block)?);
        } else if extended.sparse.is_one && kind == EntryKind::File {
            let (map, taken) = extended.sparse.map(&mut self.stream, self.left)?;
            self.left = self.left.saturating_sub(taken);
            self.position = self.position.saturating_add(taken);
            self.sparse = Some(map);
        }
        let size = self.sparse.as_ref().map_or(self.left, Sparse::size);
        let mode = u32::try_from(number(field(block, 100, 8)).unwrap_or(0) & 0o7777).unwrap_or(0);
        Ok(Header { path, kind, size, mode })
    }

    /// Content of the current entry.
    pub(crate) fn content(&mut self) -> impl Read + '_ {
        Content(self)
    }

    /// Bytes of the stream that were read: right after `next`, the place of the content.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The stream, for what follows the archive.
    pub(crate) fn into_inner(self) -> R {
        self.stream
    }

    fn skip(&mut self) -> io::Result<()> {
        self.sparse = None;
        let wanted = self.left.saturating_add(self.padding);
        (self.left, self.padding) = (0, 0);
        let skipped = io::copy(&mut (&mut self.stream).take(wanted), &mut io::sink())?;
        self.position = self.position.saturating_add(skipped);
        if skipped < wanted { Err(truncated()) } else { Ok(()) }
    }

    /// The next header block; `None` at the end mark, or where the stream ends between entries.
    fn block(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let mut block = [0_u8; BLOCK];
        let mut filled = 0_usize;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.stream.read(rest) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(truncated()),
                Ok(count) => filled = filled.saturating_add(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.position = self.position.saturating_add(BLOCK as u64);
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) })
            .sum();
        if number(field(&block, 148, 8)).ok() != Some(sum) {
            return Err(invalid("a tar header has a wrong checksum"));
        }
        Ok(Some(block))
    }

    fn extension(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > MAX_EXTENSION {
            return Err(invalid("a tar extension header is longer than 1 MiB"));
        }
        let mut bytes = Vec::new();
        (&mut self.stream).take(size).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < size {
            return Err(truncated());
        }
        self.position = self.position.saturating_add(size);
        self.padding = padding(size);
        Ok(bytes)
    }

    /// Old GNU sparse files have four pieces in the header, and more in further blocks of 21.
    fn old_map(&mut self, block: &[u8; BLOCK]) -> io::Result<Sparse> {
        let mut pieces = Vec::new();
        let mut take = |block: &[u8; BLOCK], start: usize, count: usize| -> io::Result<bool> {
            for at in (start..).step_by(24).take(count) {
                let (offset, length) = (field(block, at, 12), field(block, at.saturating_add(12), 12));
                if offset.first() != Some(&0) {
                    pieces.push((number(offset)?, number(length)?));
                }
            }
            if pieces.len() > MAX_PIECES {
                return Err(invalid("a sparse file has too many pieces"));
            }
            let end = start.saturating_add(count.saturating_mul(24));
            Ok(block.get(end).copied().unwrap_or(0) != 0)
        };
        let mut more = take(block, 386, 4)?;
        while more {
            let mut next = [0_u8; BLOCK];
            self.stream.read_exact(&mut next)?;
            self.position = self.position.saturating_add(BLOCK as u64);
            more = take(&next, 0, 21)?;
        }
        Sparse::new(pieces, number(field(block, 483, 12))?, self.left)
    }
}

struct Content<'a, R>(&'a mut Walk<R>);

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let next = self.0.sparse.as_ref().map_or(Next::Stored(self.0.left), Sparse::next);
        let wanted = match next {
            Next::Zeros(count) | Next::Stored(count) => usize::try_from(count).unwrap_or(usize::MAX),
            Next::End => 0,
        };
        let most = wanted.min(buffer.len());
        let Some(part) = buffer.get_mut(..most).filter(|part| !part.is_empty()) else { return Ok(0) };
        if let (Next::Zeros(_), Some(sparse)) = (next, &mut self.0.sparse) {
            part.fill(0);
            sparse.advance(most as u64);
            return Ok(most);
        }
        let count = self.0.stream.read(part)?;
        if count == 0 {
            return Err(truncated());
        }
        self.0.left = self.0.left.saturating_sub(count as u64);
        if let Some(sparse) = &mut self.0.sparse {
            sparse.advance(count as u64);
        }
        self.0.position = self.0.position.saturating_add(count as u64);
        Ok(count)
    }
}

/// Records of an extended header: `length key=value\n`.
fn pax(bytes: &[u8], extended: &mut Extended) -> io::Result<()> {
    let mut rest = bytes;
    while let Some(blank) = rest.iter().position(|byte| *byte == b' ') {
        let length =
            rest.get(..blank).and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| text.parse().ok());
        let Some((record, tail)) = length.and_then(|length: usize| rest.split_at_checked(length)) else {
            return Err(invalid("an extended tar header has a wrong length"));
        };
        let record = record.get(blank.saturating_add(1)..).unwrap_or_default();
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        if let Some(equals) = record.iter().position(|byte| *byte == b'=') {
            let (key, value) = record.split_at(equals);
            let value = value.get(1..).unwrap_or_default();
            match key {
                b"path" if !extended.sparse.is_one => extended.path = Some(value.to_vec()),
                b"GNU.sparse.name" => {
                    extended.path = Some(value.to_vec());
                    extended.sparse.is_one = true;
                }
                b"size" => extended.size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()),
                key if key.starts_with(SPARSE) => {
                    extended.sparse.record(key.strip_prefix(SPARSE).unwrap_or_default(), value)?;
                }
                _ => {}
            }
        }
        rest = tail;
    }
    Ok(())
}

fn path_of(block: &[u8; BLOCK]) -> Vec<u8> {
    let name = trimmed(field(block, 0, 100));
    let prefix = trimmed(field(block, 345, 155));
    if field(block, 257, 6) == b"ustar\0" && !prefix.is_empty() { [prefix, b"/", name].concat() } else { name.to_vec() }
}

/// Octal digits, or base 256 where the first bit is set (GNU).
fn number(field: &[u8]) -> io::Result<u64> {
    if field.first().is_some_and(|first| first & 0x80 != 0) {
        let bytes = field.iter().enumerate().map(|(at, byte)| if at == 0 { byte & 0x7f } else { *byte });
        return bytes
            .map(u64::from)
            .try_fold(0_u64, |sum, byte| sum.checked_mul(256)?.checked_add(byte))
            .ok_or_else(|| invalid("a number in a tar header is too large"));
    }
    let digits = field.iter().copied().skip_while(|byte| *byte == b' ').take_while(|byte| !matches!(byte, 0 | b' '));
    digits
        .clone()
        .try_fold(0_u64, |sum, byte| match byte {
            b'0'..=b'7' => sum.checked_mul(8)?.checked_add(u64::from(byte.saturating_sub(b'0'))),
            _ => None,
        })
        .ok_or_else(|| invalid("a number in a tar header is not octal"))
}

fn field(block: &[u8; BLOCK], start: usize, length: usize) -> &[u8] {
    block.get(start..start.saturating_add(length)).unwrap_or_default()
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn padding(size: u64) -> u64 {
    (512_u64.saturating_sub(size % 512)) % 512
}

fn truncated() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the archive stops in the middle of an entry")
}

const BLOCK: usize = 512;
const MAX_EXTENSION: u64 = 1 << 20;
const SPARSE: &[u8] = b"GNU.sparse.";

impl<R> std::fmt::Debug for Walk<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk").field("left", &self.left).finish_non_exhaustive()
    }
}
