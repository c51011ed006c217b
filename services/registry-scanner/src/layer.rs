//! One layer: verify, inflate, walk, all in one pass over the stream.
//!
//! ```text
//! blob -> count + digest -> gzip | zstd | plain -> bounds + diff id -> tar walk -> LayerReader
//! ```

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use image_inventory::{Entry, Hashes, LayerInventory, LayerReader};
use model::Digest;

use crate::limits::Limits;
use crate::skip::Skip;
use crate::tar::Walk;

/// One layer as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    /// Digest of the blob; `None` where the source has none (`docker save`).
    pub(crate) digest: Option<Digest>,
    /// Digest of the unpacked archive.
    pub(crate) diff_id: Digest,
    /// Size of the blob in bytes; 0 when unknown.
    pub(crate) size: u64,
    /// Where the source keeps it.
    pub(crate) place: Place,
}

/// Where a source keeps a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Under its digest.
    Digest,
    /// Under a path in an archive.
    Path(String),
}

impl Layer {
    /// The name of the layer in faults: the digest of its blob.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        self.digest.as_ref().unwrap_or(&self.diff_id).as_str()
    }
}

/// What came of one layer.
#[derive(Debug)]
pub(crate) struct LayerRead {
    pub(crate) inventory: LayerInventory,
    /// Whether all bytes were seen and both digests hold: only then it may be kept by its diff id.
    pub(crate) verified: bool,
}

/// Takes the inventory of a layer. A layer that cannot be read to its end gives what was found so far, with a fault.
pub(crate) fn read(
    layer: &Layer,
    blob: Box<dyn Read + Send>,
    limits: &Limits,
    (skip, hashes): (&Skip, Hashes),
) -> LayerRead {
    let bounds = image_inventory::Limits {
        max_entries: limits.max_entries,
        max_file_bytes: limits.max_file_bytes,
        ..image_inventory::Limits::default()
    };
    let mut reader = LayerReader::new(layer.name(), bounds).with_hashes(hashes);
    let verified = match walk(layer, (blob, skip), limits, &mut reader) {
        Ok(()) => true,
        Err(error) => {
            let remedy = match error.kind() {
                io::ErrorKind::FileTooLarge => "raise the limit if the image is to be trusted; else do not run it",
                _ => "push or pull the image again; packages of this layer may be missing from the result",
            };
            reader.broken(&error.to_string(), remedy);
            false
        }
    };
    LayerRead { inventory: reader.finish(), verified }
}

fn walk(
    layer: &Layer,
    (blob, skip): (Box<dyn Read + Send>, &Skip),
    limits: &Limits,
    reader: &mut LayerReader,
) -> io::Result<()> {
    let packed = Rc::new(RefCell::new(Tally::default()));
    let unpacked = Rc::new(RefCell::new(Tally::default()));
    let counted = BufReader::with_capacity(BUFFER, Counted { inner: blob, tally: packed.clone(), bound: None });
    let bound = Bound { packed: packed.clone(), limits: limits.clone() };
    let inflated = Counted { inner: inflate(counted)?, tally: unpacked.clone(), bound: Some(bound) };
    let mut entries = Walk::new(BufReader::with_capacity(BUFFER, inflated));
    while let Some(header) = entries.next()? {
        if skip.is_left_out(&header.path) {
            continue;
        }
        let entry = Entry { path: &header.path, kind: header.kind, size: header.size, mode: header.mode };
        let offered = reader.offer(&entry, &mut entries.content());
        offered.map_err(|error| io::Error::new(kind_of(&error), error.to_string()))?;
    }
    // The digests cover what follows the archive, too.
    let mut inflated = entries.into_inner().into_inner();
    io::copy(&mut inflated, &mut io::sink())?;
    let mut blob = inflated.inner.into_blob();
    io::copy(&mut blob, &mut io::sink())?;
    check("blob", layer.digest.as_ref(), &packed)?;
    check("unpacked layer", Some(&layer.diff_id), &unpacked)
}

fn kind_of(error: &image_inventory::ReadError) -> io::ErrorKind {
    match error {
        image_inventory::ReadError::Content { source, .. } => source.kind(),
        image_inventory::ReadError::TooManyEntries { .. } => io::ErrorKind::FileTooLarge,
    }
}

fn check(what: &str, expected: Option<&Digest>, tally: &Rc<RefCell<Tally>>) -> io::Result<()> {
    let Some(expected) = expected else { return Ok(()) };
    let found = tally.borrow_mut().digest();
    if expected.algorithm() == "sha256" && found != *expected {
        let what = format!("the digest of its {what} is {found}, not {expected}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(())
}

/// Bytes that went by.
struct Tally {
    bytes: u64,
    hash: ring::digest::Context,
}

impl Default for Tally {
    fn default() -> Self {
        Self { bytes: 0, hash: ring::digest::Context::new(&ring::digest::SHA256) }
    }
}

impl Tally {
    fn digest(&mut self) -> Digest {
        let mut bytes = [0_u8; 32];
        bytes.copy_from_slice(self.hash.clone().finish().as_ref());
        Digest::from_sha256(&bytes)
    }
}

struct Bound {
    packed: Rc<RefCell<Tally>>,
    limits: Limits,
}

impl Bound {
    fn check(&self, unpacked: u64) -> io::Result<()> {
        let limits = &self.limits;
        if unpacked > limits.max_layer_bytes {
            return Err(too_large(format!("it unpacks to more than the limit of {} bytes", limits.max_layer_bytes)));
        }
        let packed = self.packed.borrow().bytes.max(1);
        if unpacked > limits.ratio_from_bytes && unpacked > packed.saturating_mul(limits.max_ratio) {
            let what = format!(
                "it unpacks to {unpacked} bytes from {packed}, more than the limit of {} for one",
                limits.max_ratio
            );
            return Err(too_large(what));
        }
        Ok(())
    }
}

fn too_large(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, what)
}

struct Counted<R> {
    inner: R,
    tally: Rc<RefCell<Tally>>,
    bound: Option<Bound>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let mut tally = self.tally.borrow_mut();
        tally.bytes = tally.bytes.saturating_add(count as u64);
        tally.hash.update(buffer.get(..count).unwrap_or_default());
        match &self.bound {
            Some(bound) => bound.check(tally.bytes).map(|()| count),
            None => Ok(count),
        }
    }
}

type Packed = BufReader<Counted<Box<dyn Read + Send>>>;

/// The stream inflated by what its first bytes say; media types are not always right.
enum Inflated {
    Gzip(Box<flate2::bufread::MultiGzDecoder<Packed>>),
    Zstd(Box<zstd::Decoder<'static, Packed>>),
    Plain(Packed),
}

fn inflate(mut packed: Packed) -> io::Result<Inflated> {
    let head = packed.fill_buf()?;
    if head.starts_with(&[0x1f, 0x8b]) {
        return Ok(Inflated::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(packed))));
    }
    // A skippable frame may come first (zstd:chunked).
    let is_zstd = head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
        || head.get(1..4) == Some(&[0x2a, 0x4d, 0x18]) && head.first().is_some_and(|byte| byte & 0xf0 == 0x50);
    if is_zstd {
        let mut decoder = zstd::Decoder::with_buffer(packed)?;
        decoder.window_log_max(MAX_WINDOW_LOG)?;
        return Ok(Inflated::Zstd(Box::new(decoder)));
    }
    Ok(Inflated::Plain(packed))
}

impl Inflated {
    fn into_blob(self) -> Packed {
        match self {
            Self::Gzip(decoder) => decoder.into_inner(),
            Self::Zstd(decoder) => decoder.finish(),
            Self::Plain(packed) => packed,
        }
    }
}

impl Read for Inflated {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
            Self::Plain(packed) => packed.read(buffer),
        }
    }
}

const BUFFER: usize = 128 << 10;
/// 128 MiB: the most that `zstd -19 --long` and image builders use.
const MAX_WINDOW_LOG: u32 = 27;
