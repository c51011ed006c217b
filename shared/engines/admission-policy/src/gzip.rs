//! Gzip within bounds: who may write an object may pack a large text into a small one.

use std::io::{Read as _, Write as _};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// Why a text was not unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GzipError {
    /// It is no gzip stream, or a broken one.
    Broken,
    /// It is longer than [`MAX_UNPACKED`].
    TooLong,
}

impl std::fmt::Display for GzipError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broken => f.write_str("gzip: invalid header or data"),
            Self::TooLong => write!(f, "it is larger than {MAX_UNPACKED} bytes when unpacked"),
        }
    }
}

/// The content of all members of a stream.
///
/// # Errors
/// See [`GzipError`].
pub(crate) fn unpack(bytes: &[u8]) -> Result<Vec<u8>, GzipError> {
    let mut content = Vec::new();
    let most = u64::try_from(MAX_UNPACKED).unwrap_or(u64::MAX);
    let read = MultiGzDecoder::new(bytes).take(most.saturating_add(1)).read_to_end(&mut content);
    read.map_err(|_| GzipError::Broken)?;
    if content.len() > MAX_UNPACKED { Err(GzipError::TooLong) } else { Ok(content) }
}

/// A stream of one member without a time: the same bytes for the same content.
///
/// # Errors
/// Never: the stream is written to memory.
pub(crate) fn pack(content: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content)?;
    encoder.finish()
}

/// Largest text that is unpacked, in bytes; an annotation holds at most 256 KiB, an object 3 MiB.
pub(crate) const MAX_UNPACKED: usize = 4 << 20;
