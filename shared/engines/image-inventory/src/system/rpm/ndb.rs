//! Packages of an ndb file (`Packages.db`, rpm's own form, used by SUSE), read only: pages of slots, each of which leads to a blob.

use crate::text::ParseError;

/// Whether the file is an ndb.
pub(crate) fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(b"RpmP")
}

/// The blob of every slot in use.
pub(crate) fn blobs(bytes: &[u8]) -> Result<Vec<Vec<u8>>, ParseError> {
    if word(bytes, 4) != Some(0) {
        return Err(broken("it has a version that is not known"));
    }
    let pages = word(bytes, 12).ok_or_else(|| broken("its head"))?;
    let slots = pages.checked_mul(PAGE).and_then(|end| bytes.get(SLOTS..end)).ok_or_else(|| broken("its slots"))?;
    let mut blobs = Vec::new();
    let mut budget = bytes.len();
    for slot in slots.chunks_exact(SLOT) {
        if !slot.starts_with(b"Slot") {
            return Err(broken("a slot"));
        }
        let package = word(slot, 4).unwrap_or(0);
        if package == 0 {
            continue;
        }
        let start = word(slot, 8).and_then(|block| block.checked_mul(BLOCK)).ok_or_else(|| broken("a slot"))?;
        let head = bytes.get(start..).filter(|head| head.starts_with(b"BlbS")).ok_or_else(|| broken("a blob"))?;
        if word(head, 4) != Some(package) {
            return Err(broken("a blob of another package"));
        }
        let length = word(head, 12).ok_or_else(|| broken("a blob"))?;
        budget = budget.checked_sub(length).ok_or_else(|| broken("blobs that overlap"))?;
        let end = BLOCK.saturating_add(length);
        blobs.push(head.get(BLOCK..end).ok_or_else(|| broken("a blob"))?.to_vec());
    }
    Ok(blobs)
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(four)).ok()
}

fn broken(what: &str) -> ParseError {
    ParseError::new(format!("the ndb database is broken: {what}"))
}

const PAGE: usize = 4096;
/// The head of the file takes the room of two slots.
const SLOTS: usize = 32;
const SLOT: usize = 16;
/// Unit of places, and length of the head of a blob.
const BLOCK: usize = 16;
