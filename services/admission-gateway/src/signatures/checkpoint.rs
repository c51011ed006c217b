//! That an entry is in a transparency log: the log's signed checkpoint (a note, <https://c2sp.org/tlog-checkpoint>) and the path from the
//! entry to the root of its tree (RFC 9162, section 2.1.3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::key::PublicKey;

type Hash = [u8; 32];

/// Where an entry lies in a log.
#[derive(Clone, Debug)]
pub(super) struct InclusionProof {
    pub(super) index: u64,
    /// The hashes beside the way to the root.
    pub(super) path: Vec<Hash>,
    /// The checkpoint, as the log signed it.
    pub(super) checkpoint: String,
}

impl InclusionProof {
    /// The log that has the entry; `None` when none of these has.
    pub(super) fn holder<'l>(&self, entry: &[u8], logs: &'l [PublicKey]) -> Option<&'l PublicKey> {
        let checkpoint = Checkpoint::read(&self.checkpoint)?;
        let log = logs.iter().find(|log| checkpoint.is_by(log))?;
        let root = root_of((self.index, checkpoint.size), leaf(entry), &self.path)?;
        (root == checkpoint.root).then_some(log)
    }
}

/// What a log says of its tree.
struct Checkpoint<'t> {
    /// What was signed.
    text: &'t str,
    size: u64,
    root: Hash,
    signatures: Vec<Vec<u8>>,
}

impl<'t> Checkpoint<'t> {
    fn read(note: &'t str) -> Option<Self> {
        let at = note.find("\n\n")?;
        let (text, signed) = (note.get(..=at)?, note.get(at.checked_add(2)?..)?);
        let mut lines = text.lines();
        let origin = lines.next().filter(|origin| !origin.is_empty())?;
        let size = lines.next()?.parse().ok()?;
        let root = STANDARD.decode(lines.next()?).ok()?.try_into().ok()?;
        // A line of the signer's name, then four bytes that hint at the key and the signature. Logs sign under a part of their origin.
        let signature = |line: &str| {
            let (name, base64) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
            let bytes = STANDARD.decode(base64.trim_end()).ok()?;
            origin.starts_with(name).then(|| bytes.get(4..).map(<[u8]>::to_vec))?
        };
        let signatures = signed.lines().take(MOST_SIGNATURES).filter_map(signature).collect();
        Some(Self { text, size, root, signatures })
    }

    fn is_by(&self, log: &PublicKey) -> bool {
        self.signatures.iter().any(|signature| log.verifies(self.text.as_bytes(), signature))
    }
}

fn leaf(entry: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of a tree of `size` entries that has this leaf at `index`.
fn root_of((index, size): (u64, u64), leaf: Hash, path: &[Hash]) -> Option<Hash> {
    let (mut at, mut last) = (index, size.checked_sub(1).filter(|last| index <= *last)?);
    let mut hash = leaf;
    for beside in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            hash = node(beside, &hash);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = node(&hash, beside);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    (last == 0).then_some(hash)
}

/// A checkpoint is signed by its log and some witnesses.
const MOST_SIGNATURES: usize = 16;

#[cfg(test)]
mod tests {
    use super::{Hash, leaf, node, root_of};

    /// The root of these entries, and the path of one, by the definition.
    fn tree(entries: &[Hash], index: usize) -> (Hash, Vec<Hash>) {
        let [only] = entries else {
            let half = entries.len().next_power_of_two() / 2;
            let (left, right) = entries.split_at(half);
            let (mine, other, at) = if index < half { (left, right, index) } else { (right, left, index - half) };
            let ((own, mut path), (beside, _)) = (tree(mine, at), tree(other, 0));
            path.push(beside);
            return (if index < half { node(&own, &beside) } else { node(&beside, &own) }, path);
        };
        (*only, Vec::new())
    }

    #[test]
    fn paths_lead_to_the_root_of_trees_of_any_size() {
        for size in 1..=20_usize {
            let entries: Vec<Hash> = (0..size).map(|number| leaf(&[u8::try_from(number).unwrap()])).collect();
            for index in 0..size {
                let (root, path) = tree(&entries, index);
                let at = |index: usize| (index as u64, size as u64);
                assert_eq!(root_of(at(index), entries[index], &path), Some(root), "{index} of {size}");
                assert_ne!(root_of(at(index), leaf(b"other"), &path), Some(root));
                if size > 1 {
                    assert_ne!(root_of(at((index + 1) % size), entries[index], &path), Some(root), "{index} of {size}");
                    assert_eq!(root_of(at(index), entries[index], &path[1..]), None);
                    assert_eq!(root_of(at(size), entries[index], &path), None);
                }
            }
        }
    }
}
