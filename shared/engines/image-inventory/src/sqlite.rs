//! Rows of one table of an SQLite file (file format, sections 1.6 and 2), read only, every page bounds-checked and visited once.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::text::ParseError;

/// The first blob of every row of `table`.
pub(crate) fn blobs(bytes: &[u8], table: &str) -> Result<Vec<Vec<u8>>, ParseError> {
    let file = Sqlite::open(bytes)?;
    let mut blobs = Vec::new();
    file.each(file.table(table)?, &mut |_, columns| {
        blobs.extend(columns.iter().find(|one| matches!(one, Column::Bytes(_))).map(|one| one.bytes().to_vec()));
        Ok(())
    })?;
    Ok(blobs)
}

/// What a visit of a table does with each row: its key, its columns.
pub(crate) type Row<'v> = dyn FnMut(u64, &[Column<'_>]) -> Result<(), ParseError> + 'v;

/// An open file.
pub(crate) struct Sqlite<'a> {
    bytes: &'a [u8],
    page_size: usize,
    usable: usize,
}

/// One column of a row.
pub(crate) enum Column<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Null,
}

impl Column<'_> {
    /// A text or blob; empty for others.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(_) | Self::Null => &[],
        }
    }

    /// A number that is not negative.
    pub(crate) fn number(&self) -> Option<usize> {
        match self {
            Self::Number(number) => usize::try_from(*number).ok(),
            Self::Bytes(_) | Self::Null => None,
        }
    }
}

impl<'a> Sqlite<'a> {
    /// Opens a file.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let page_size = match number(bytes, 16, 2) {
            Some(1) => 65_536,
            Some(size) if size >= 512 && size.is_power_of_two() => size,
            _ => return Err(broken("its page size")),
        };
        let reserved = number(bytes, 20, 1).ok_or_else(|| broken("its header"))?;
        let usable =
            page_size.checked_sub(reserved).filter(|usable| *usable >= 480).ok_or_else(|| broken("its header"))?;
        Ok(Self { bytes, page_size, usable })
    }

    fn page(&self, number: usize) -> Result<&'a [u8], ParseError> {
        let start = number.checked_sub(1).and_then(|index| index.checked_mul(self.page_size));
        let page = start.and_then(|start| self.bytes.get(start..start.checked_add(self.page_size)?));
        page.ok_or_else(|| broken("a page that is not there"))
    }

    /// The first page of a table.
    pub(crate) fn table(&self, name: &str) -> Result<usize, ParseError> {
        let mut root = None;
        // type, name, tbl_name, rootpage, sql
        self.each(1, &mut |_, columns| {
            let is = |place: usize, text: &str| columns.get(place).is_some_and(|one| one.bytes() == text.as_bytes());
            if is(0, "table") && is(1, name) {
                root = columns.get(3).and_then(Column::number);
            }
            Ok(())
        })?;
        root.ok_or_else(|| ParseError::new(format!("the database has no table `{name}`")))
    }

    /// Visits the rows of a table, in the order of its keys.
    pub(crate) fn each(&self, root: usize, visit: &mut Row<'_>) -> Result<(), ParseError> {
        let (mut visited, mut pending) = (HashSet::new(), vec![root]);
        while let Some(at) = pending.pop() {
            if !visited.insert(at) {
                return Err(broken("a page that is its own ancestor"));
            }
            let page = self.page(at)?;
            // The first page begins with the header of the file.
            let head = if at == 1 { 100 } else { 0 };
            let kind = number(page, head, 1).ok_or_else(|| broken("a page"))?;
            let cells = number(page, head.saturating_add(3), 2).ok_or_else(|| broken("a page"))?;
            let leaf = kind == LEAF;
            let array = head.saturating_add(if leaf { 8 } else { 12 });
            let mut children = Vec::new();
            for cell in 0..cells {
                let place =
                    number(page, array.saturating_add(cell.saturating_mul(2)), 2).ok_or_else(|| broken("a cell"))?;
                if leaf {
                    let (key, payload) = self.payload(page, place)?;
                    visit(key, &columns(&payload)?)?;
                } else {
                    children.push(number(page, place, 4).ok_or_else(|| broken("a cell"))?);
                }
            }
            if !leaf {
                if kind != INTERIOR {
                    return Err(broken("a page of another kind"));
                }
                children.push(number(page, head.saturating_add(8), 4).ok_or_else(|| broken("a page"))?);
                pending.extend(children.into_iter().rev());
            }
        }
        Ok(())
    }

    /// Key and payload of a leaf cell, its overflow pages included.
    fn payload(&self, page: &'a [u8], place: usize) -> Result<(u64, Cow<'a, [u8]>), ParseError> {
        let cell = page.get(place..).ok_or_else(|| broken("a cell"))?;
        let (size, rest) = varint(cell).ok_or_else(|| broken("a cell"))?;
        let (key, rest) = varint(rest).ok_or_else(|| broken("a cell"))?;
        let size =
            usize::try_from(size).ok().filter(|size| *size <= self.bytes.len()).ok_or_else(|| broken("a cell"))?;
        let local = self.local(size);
        let payload = rest.get(..local).ok_or_else(|| broken("a cell"))?;
        if local == size {
            return Ok((key, Cow::Borrowed(payload)));
        }
        let mut payload = payload.to_vec();
        let mut next = number(rest, local, 4).unwrap_or(0);
        while payload.len() < size {
            let page = self.page(next)?;
            next = number(page, 0, 4).unwrap_or(0);
            let wanted = size.saturating_sub(payload.len()).min(self.usable.saturating_sub(4));
            payload.extend_from_slice(page.get(4..wanted.saturating_add(4)).ok_or_else(|| broken("an overflow page"))?);
        }
        Ok((key, Cow::Owned(payload)))
    }

    /// How much of a payload is in the cell itself.
    fn local(&self, size: usize) -> usize {
        let most = self.usable.saturating_sub(35);
        if size <= most {
            return size;
        }
        let least = (self.usable.saturating_sub(12)).saturating_mul(32).wrapping_div(255).saturating_sub(23);
        let fit =
            least.saturating_add(size.saturating_sub(least).checked_rem(self.usable.saturating_sub(4)).unwrap_or(0));
        if fit <= most { fit } else { least }
    }
}

/// The columns of a record.
fn columns(record: &[u8]) -> Result<Vec<Column<'_>>, ParseError> {
    let (length, _) = varint(record).ok_or_else(|| broken("a record"))?;
    let length =
        usize::try_from(length).ok().filter(|length| *length <= record.len()).ok_or_else(|| broken("a record"))?;
    let (header, mut body) = record.split_at_checked(length).ok_or_else(|| broken("a record"))?;
    let (_, mut kinds) = varint(header).ok_or_else(|| broken("a record"))?;
    let mut columns = Vec::new();
    while let Some((kind, rest)) = varint(kinds) {
        kinds = rest;
        let size = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).unwrap_or(0),
            5 => 6,
            6 | 7 => 8,
            kind => usize::try_from(kind.saturating_sub(12) / 2).map_err(|_| broken("a record"))?,
        };
        let (value, rest) = body.split_at_checked(size).ok_or_else(|| broken("a record"))?;
        body = rest;
        columns.push(match kind {
            0 => Column::Null,
            8 | 9 => Column::Number(kind.saturating_sub(8)),
            1..=6 => Column::Number(value.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte))),
            7 => Column::Null,
            _ => Column::Bytes(value),
        });
    }
    Ok(columns)
}

/// Seven bits a byte, the ninth byte whole.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(9) {
        let rest = || bytes.get(index.saturating_add(1)..);
        if index == 8 {
            return Some(((value << 8) | u64::from(*byte), rest()?));
        }
        value = (value << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, rest()?));
        }
    }
    None
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(length)?)?;
    Some(field.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte)))
}

fn broken(what: &str) -> ParseError {
    ParseError::new(format!("the SQLite database is broken: {what}"))
}

const LEAF: usize = 0x0d;
const INTERIOR: usize = 0x05;
