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
        // The end record has a comment of at most 64 KiB behind it.
        let from = bytes.len().saturating_sub(22 + 65_535);
        let tail = bytes.get(from..).unwrap_or_default();
        let end = memrchr(tail, b"PK\x05\x06").ok_or_else(broken)?;
        let end = tail.get(end..).unwrap_or_default();
        let (count, mut at) = (u16_at(end, 10).ok_or_else(broken)?, u32_at(end, 16).ok_or_else(broken)?);
        let mut members = Vec::new();
        for _ in 0..count {
            let header = bytes.get(at..).filter(|header| header.starts_with(b"PK\x01\x02")).ok_or_else(broken)?;
            let field = |place| u16_at(header, place).map(usize::from).ok_or_else(broken);
            let (name, extra, comment) = (field(28)?, field(30)?, field(32)?);
            let number = |place| u32_at(header, place).ok_or_else(broken);
            let text = header.get(46..46_usize.saturating_add(name)).ok_or_else(broken)?;
            members.push(Member {
                name: String::from_utf8_lossy(text).into_owned(),
                method: u16_at(header, 10).ok_or_else(broken)?,
                packed: number(20)?,
                size: number(24)?,
                offset: number(42)?,
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

fn memrchr(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    (0..=bytes.len().checked_sub(wanted.len())?)
        .rev()
        .find(|at| bytes.get(*at..).is_some_and(|rest| rest.starts_with(wanted)))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.saturating_add(2))?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let value = bytes.get(at..at.saturating_add(4))?.try_into().ok().map(u32::from_le_bytes)?;
    usize::try_from(value).ok()
}
