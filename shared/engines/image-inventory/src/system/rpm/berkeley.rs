//! Values of a BerkeleyDB hash file (`Packages` of rpm before 4.16), read only: all pages in a row, as the order of a hash says nothing.
//! Every page and every chain is bounds-checked and followed once.

use crate::text::ParseError;

/// Whether the file is a BerkeleyDB hash.
pub(crate) fn is_one(bytes: &[u8]) -> bool {
    Berkeley::open(bytes).is_some()
}

/// All values that are longer than a number; the first record is the number of the last package.
pub(crate) fn blobs(bytes: &[u8]) -> Result<Vec<Vec<u8>>, ParseError> {
    let file = Berkeley::open(bytes).ok_or_else(|| broken("its head"))?;
    let mut blobs = Vec::new();
    let mut budget = bytes.len();
    for number in 1..=file.last_page {
        let page = file.page(number)?;
        if !matches!(page.get(25), Some(&HASH_UNSORTED | &HASH)) {
            continue;
        }
        let entries = file.short(page, 20).ok_or_else(|| broken("a page"))?;
        // Entries are keys and values in turn.
        for index in (1..entries).step_by(2) {
            let value = file.value(page, index, &mut budget)?;
            blobs.extend((value.len() > 8).then_some(value));
        }
    }
    Ok(blobs)
}

struct Berkeley<'a> {
    bytes: &'a [u8],
    page_size: usize,
    last_page: usize,
    big: bool,
}

impl<'a> Berkeley<'a> {
    fn open(bytes: &'a [u8]) -> Option<Self> {
        let magic = bytes.get(12..16)?;
        let big = match magic {
            [0x61, 0x15, 0x06, 0x00] => false,
            [0x00, 0x06, 0x15, 0x61] => true,
            _ => return None,
        };
        let mut file = Self { bytes, page_size: 0, last_page: 0, big };
        file.page_size = file.word(bytes, 20).filter(|size| (512..=65_536).contains(size) && size.is_power_of_two())?;
        file.last_page = file.word(bytes, 32)?;
        let is_plain = bytes.get(24) == Some(&0) && bytes.get(25) == Some(&HASH_META);
        (is_plain && file.last_page.checked_mul(file.page_size)? < bytes.len()).then_some(file)
    }

    fn page(&self, number: usize) -> Result<&'a [u8], ParseError> {
        let start = number.checked_mul(self.page_size);
        let page = start.and_then(|start| self.bytes.get(start..start.checked_add(self.page_size)?));
        page.ok_or_else(|| broken("a page that is not there"))
    }

    /// An entry reaches up to the one before it, for entries are filled in from the end of the page.
    fn value(&self, page: &[u8], index: usize, budget: &mut usize) -> Result<Vec<u8>, ParseError> {
        let place = |index: usize| self.short(page, HEADER.saturating_add(index.saturating_mul(2)));
        let start = place(index).ok_or_else(|| broken("an entry"))?;
        let end = place(index.saturating_sub(1)).ok_or_else(|| broken("an entry"))?;
        let entry = page.get(start..end).ok_or_else(|| broken("an entry"))?;
        match entry.split_first() {
            Some((&KEY_DATA, data)) => Ok(data.to_vec()),
            Some((&OFF_PAGE, _)) => {
                let first = self.word(entry, 4).ok_or_else(|| broken("an entry"))?;
                let length = self.word(entry, 8).ok_or_else(|| broken("an entry"))?;
                self.overflow(first, length, budget)
            }
            _ => Ok(Vec::new()),
        }
    }

    fn overflow(&self, first: usize, length: usize, budget: &mut usize) -> Result<Vec<u8>, ParseError> {
        // Values share no pages, so together they are no longer than the file.
        *budget = budget.checked_sub(length).ok_or_else(|| broken("values that overlap"))?;
        let (mut value, mut next) = (Vec::with_capacity(length), first);
        while value.len() < length {
            let page = self.page(next)?;
            if page.get(25) != Some(&OVERFLOW) {
                return Err(broken("a page of another kind"));
            }
            next = self.word(page, 16).ok_or_else(|| broken("a page"))?;
            let held = if next == 0 {
                self.short(page, 22).ok_or_else(|| broken("a page"))?
            } else {
                self.page_size.saturating_sub(HEADER)
            };
            let wanted = held.min(length.saturating_sub(value.len()));
            let content = page.get(HEADER..HEADER.saturating_add(wanted)).ok_or_else(|| broken("a page"))?;
            value.extend_from_slice(content);
            if wanted == 0 || (next == 0 && value.len() < length) {
                return Err(broken("a value that ends too early"));
            }
        }
        Ok(value)
    }

    fn word(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let four = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        usize::try_from(if self.big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }).ok()
    }

    fn short(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let two = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(usize::from(if self.big { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) }))
    }
}

fn broken(what: &str) -> ParseError {
    ParseError::new(format!("the BerkeleyDB database is broken: {what}"))
}

/// Bytes before the entries of a page.
const HEADER: usize = 26;
const HASH_UNSORTED: u8 = 2;
const OVERFLOW: u8 = 7;
const HASH_META: u8 = 8;
const HASH: u8 = 13;
const KEY_DATA: u8 = 1;
const OFF_PAGE: u8 = 3;
