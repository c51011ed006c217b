//! Members of a zip archive in memory (APPNOTE 6.3), bounded. Only what is asked for is inflated.

use std::io::Read;

use crate::text::ParseError;

/// An archive with its central directory.
#[derive(Debug)]
pub(crate) struct Zip<'a> {
    bytes: &'a [u8],
    pub(crate) members: Vec<Member>,
}

/// One member.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    method: u16,
    packed: usize,
    pub(crate) size: usize,
    offset: usize,
}

impl<'a> Zip<'a> {
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let broken = || ParseError::new("not a valid zip file");
        let directory = Directory::find(bytes).ok_or_else(broken)?;
        let (mut at, mut members) = (directory.start, Vec::new());
        for _ in 0..directory.count {
            let header = bytes.get(at..).filter(|header| header.starts_with(b"PK\x01\x02")).ok_or_else(broken)?;
            let field = |place| u16_at(header, place).map(usize::from).ok_or_else(broken);
            let (name, extra, comment) = (field(28)?, field(30)?, field(32)?);
            let text = header.get(46..46_usize.saturating_add(name)).ok_or_else(broken)?;
            let more = header.get(46_usize.saturating_add(name)..).and_then(|rest| rest.get(..extra));
            let [size, packed, offset] = sizes(header, more.unwrap_or_default()).ok_or_else(broken)?;
            members.push(Member {
                name: String::from_utf8_lossy(text).into_owned(),
                method: u16_at(header, 10).ok_or_else(broken)?,
                packed,
                size,
                offset: directory.base.saturating_add(offset),
            });
            at = at.saturating_add(46).saturating_add(name).saturating_add(extra).saturating_add(comment);
        }
        Ok(Self { bytes, members })
    }

    /// The content of a member; an error when it is larger than `limit` or broken.
    pub(crate) fn read(&self, member: &Member, limit: usize) -> Result<Vec<u8>, ParseError> {
        let broken = || ParseError::new(format!("`{}` in the archive is broken", member.name));
        if member.size > limit {
            return Err(ParseError::new(format!("`{}` has more than the limit of {limit} bytes", member.name)));
        }
        let header =
            self.bytes.get(member.offset..).filter(|header| header.starts_with(b"PK\x03\x04")).ok_or_else(broken)?;
        let skip = |place| u16_at(header, place).map(usize::from).ok_or_else(broken);
        let start = 30_usize.saturating_add(skip(26)?).saturating_add(skip(28)?);
        let packed = header.get(start..start.saturating_add(member.packed)).ok_or_else(broken)?;
        match member.method {
            0 => Ok(packed.to_vec()),
            8 => {
                // One byte more than is said shows a member that lies about its size.
                let bound = (member.size as u64).saturating_add(1);
                let mut content = Vec::new();
                let inflated = flate2::read::DeflateDecoder::new(packed).take(bound).read_to_end(&mut content);
                inflated.map_err(|_| broken())?;
                if content.len() == member.size { Ok(content) } else { Err(broken()) }
            }
            method => Err(ParseError::new(format!("`{}` is packed by method {method}", member.name))),
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }
}

/// Where the central directory is.
struct Directory {
    count: usize,
    start: usize,
    /// What stands before the archive, such as the script of an archive that can be run: offsets count from behind it.
    base: usize,
}

impl Directory {
    fn find(bytes: &[u8]) -> Option<Self> {
        // The end record has a comment of at most 64 KiB behind it.
        let from = bytes.len().saturating_sub(22 + 65_535);
        let end_at = from.checked_add(memrchr(bytes.get(from..)?, b"PK\x05\x06")?)?;
        let end = bytes.get(end_at..)?;
        let (mut count, mut size, mut offset) = (usize::from(u16_at(end, 10)?), u32_at(end, 12)?, u32_at(end, 16)?);
        let mut directory_end = end_at;
        if count == 0xffff || size == UNKNOWN || offset == UNKNOWN {
            // Zip64 says more: a locator right before the end record tells where.
            if let Some(large) = zip64(bytes, end_at) {
                (directory_end, count, size, offset) = large;
            }
        }
        let start = directory_end.checked_sub(size)?;
        let is_there = |at: usize| count == 0 || bytes.get(at..).is_some_and(|rest| rest.starts_with(b"PK\x01\x02"));
        match start.checked_sub(offset) {
            Some(base) if is_there(start) => Some(Self { count, start, base }),
            // Bytes between directory and end record.
            _ => is_there(offset).then_some(Self { count, start: offset, base: 0 }),
        }
    }
}

/// Place of the end record of zip64, with count, size and offset of the directory.
fn zip64(bytes: &[u8], end_at: usize) -> Option<(usize, usize, usize, usize)> {
    let locator = bytes.get(end_at.checked_sub(20)?..end_at)?.strip_prefix(b"PK\x06\x07")?;
    let stated = u64_at(locator, 4)?;
    // What stands before the archive moves the record, too: then it is looked for where it usually is.
    let usual = end_at.checked_sub(20)?.checked_sub(56)?;
    let is_record = |at: &usize| bytes.get(*at..).is_some_and(|rest| rest.starts_with(b"PK\x06\x06"));
    let at = [stated, usual].into_iter().find(is_record)?;
    let record = bytes.get(at..)?;
    Some((at, u64_at(record, 32)?, u64_at(record, 40)?, u64_at(record, 48)?))
}

/// Size, packed size and offset of a member; those that do not fit stand in a field of zip64.
fn sizes(header: &[u8], mut extra: &[u8]) -> Option<[usize; 3]> {
    let mut sizes = [u32_at(header, 24)?, u32_at(header, 20)?, u32_at(header, 42)?];
    while let (Some(id), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let (field, rest) = extra.get(4..)?.split_at_checked(usize::from(length))?;
        extra = rest;
        let mut at = 0_usize;
        for size in sizes.iter_mut().filter(|size| id == 1 && **size == UNKNOWN) {
            *size = u64_at(field, at)?;
            at = at.saturating_add(8);
        }
    }
    Some(sizes)
}

/// In four bytes: see zip64.
const UNKNOWN: usize = 0xffff_ffff;

fn memrchr(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    (0..=bytes.len().checked_sub(wanted.len())?)
        .rev()
        .find(|at| bytes.get(*at..).is_some_and(|rest| rest.starts_with(wanted)))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.saturating_add(2))?.try_into().ok().map(u16::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<usize> {
    let value = bytes.get(at..at.saturating_add(8))?.try_into().ok().map(u64::from_le_bytes)?;
    usize::try_from(value).ok()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let value = bytes.get(at..at.saturating_add(4))?.try_into().ok().map(u32::from_le_bytes)?;
    usize::try_from(value).ok()
}
