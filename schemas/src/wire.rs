//! Limits of the wire, checked on the bytes before any decoder sees them.

/// Most bytes of one message.
pub const MAX_BYTES: usize = 256 * 1024;

/// Most levels of maps and arrays.
pub const MAX_DEPTH: usize = 32;

/// Checks that `bytes` are exactly one complete MessagePack value within the limits (MessagePack specification, "Formats").
///
/// The walk is a loop over a stack of counts that is never deeper than [`MAX_DEPTH`]; a length that promises more than there is ends
/// it at once, so that hostile bytes cost neither memory nor more than one pass.
///
/// # Errors
/// One error for each way in which bytes can be wrong.
pub fn check(bytes: &[u8]) -> Result<(), WireError> {
    if bytes.len() > MAX_BYTES {
        return Err(WireError::TooLarge { bytes: bytes.len() });
    }
    let mut rest = bytes;
    let mut open: Vec<u64> = vec![1];
    while let Some(left) = open.last_mut() {
        if *left == 0 {
            open.pop();
            continue;
        }
        *left = left.saturating_sub(1);
        let (payload, children) = head(&mut rest)?;
        take(&mut rest, payload)?;
        if children > 0 {
            if open.len() > MAX_DEPTH {
                return Err(WireError::TooDeep);
            }
            open.push(children);
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(WireError::TrailingBytes { bytes: rest.len() }) }
}

/// Reads one format byte with its length: how many bytes of payload follow, and how many values.
fn head(rest: &mut &[u8]) -> Result<(usize, u64), WireError> {
    let format = number(rest, 1)?;
    Ok(match format {
        0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => (0, 0),
        0x80..=0x8f => (0, (format & 0x0f).saturating_mul(2)),
        0x90..=0x9f => (0, format & 0x0f),
        0xa0..=0xbf => (length(format & 0x1f), 0),
        0xc4 | 0xd9 => (length(number(rest, 1)?), 0),
        0xc5 | 0xda => (length(number(rest, 2)?), 0),
        0xc6 | 0xdb => (length(number(rest, 4)?), 0),
        0xc7 => (length(number(rest, 1)?).saturating_add(1), 0),
        0xc8 => (length(number(rest, 2)?).saturating_add(1), 0),
        0xc9 => (length(number(rest, 4)?).saturating_add(1), 0),
        0xcc | 0xd0 => (1, 0),
        0xcd | 0xd1 => (2, 0),
        0xca | 0xce | 0xd2 => (4, 0),
        0xcb | 0xcf | 0xd3 => (8, 0),
        0xd4 => (2, 0),
        0xd5 => (3, 0),
        0xd6 => (5, 0),
        0xd7 => (9, 0),
        0xd8 => (17, 0),
        0xdc => (0, number(rest, 2)?),
        0xdd => (0, number(rest, 4)?),
        0xde => (0, number(rest, 2)?.saturating_mul(2)),
        0xdf => (0, number(rest, 4)?.saturating_mul(2)),
        _ => return Err(WireError::ReservedByte),
    })
}

fn number(rest: &mut &[u8], width: usize) -> Result<u64, WireError> {
    let bytes = take(rest, width)?;
    Ok(bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], WireError> {
    let (taken, left) = rest.split_at_checked(count).ok_or(WireError::Truncated)?;
    *rest = left;
    Ok(taken)
}

fn length(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// What is wrong with the bytes of a message. The name is also the reason on its dead letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// More than [`MAX_BYTES`].
    #[error("message of {bytes} bytes is over the limit of {MAX_BYTES}: put large bodies into the object store")]
    TooLarge {
        /// Its length in bytes.
        bytes: usize,
    },
    /// More levels than [`MAX_DEPTH`].
    #[error("message is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The bytes end inside a value.
    #[error("message is truncated")]
    Truncated,
    /// More bytes follow the value.
    #[error("message has {bytes} bytes after its end")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
    /// The format byte 0xc1, which MessagePack never uses.
    #[error("message holds the reserved byte 0xc1")]
    ReservedByte,
    /// Right MessagePack, but not an event.
    #[error("message is not an event: {what}")]
    NotAnEvent {
        /// What the decoder said.
        what: String,
    },
}

impl WireError {
    /// The reason as a subject token.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::TooDeep => "too-deep",
            Self::Truncated => "truncated",
            Self::TrailingBytes { .. } => "trailing-bytes",
            Self::ReservedByte => "reserved-byte",
            Self::NotAnEvent { .. } => "not-an-event",
        }
    }
}
