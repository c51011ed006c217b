//! Events to bytes and back.

use schemas::wire::{self, WireError};
use schemas::{AnyEvent, Event};
use serde::Serialize;
use serde::de::{DeserializeOwned, DeserializeSeed};

use crate::skim::Skim;

/// Encodes a value as a named map. Positional arrays never leave this process: they cannot grow.
///
/// # Errors
/// When the result is larger than [`wire::MAX_BYTES`], or the value has no MessagePack form.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, WireError> {
    let bytes = rmp_serde::to_vec_named(value).map_err(|error| WireError::NotAnEvent { what: error.to_string() })?;
    if bytes.len() > wire::MAX_BYTES { Err(WireError::TooLarge { bytes: bytes.len() }) } else { Ok(bytes) }
}

/// Decodes one value that must fill `bytes` exactly; size and depth are checked before the decoder runs.
///
/// # Errors
/// A [`WireError`] that names what is wrong.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    wire::check(bytes)?;
    rmp_serde::from_slice(bytes).map_err(|error| WireError::NotAnEvent { what: error.to_string() })
}

/// Reads from a message only what `seed` asks for, under the same limits as [`decode`]. It walks the bytes once: the reader keeps the
/// limits itself, and only a message that breaks one is checked again, for the name of what is wrong. Texts that the seed ignores are
/// stepped over unread.
///
/// # Errors
/// A [`WireError`] that names what is wrong.
pub fn decode_seed<'de, S: DeserializeSeed<'de>>(bytes: &'de [u8], seed: S) -> Result<S::Value, WireError> {
    if bytes.len() > wire::MAX_BYTES {
        return Err(WireError::TooLarge { bytes: bytes.len() });
    }
    let mut skim = Skim::new(bytes);
    let named = |otherwise: WireError| wire::check(bytes).err().unwrap_or(otherwise);
    let value =
        seed.deserialize(&mut skim).map_err(|error| named(WireError::NotAnEvent { what: error.to_string() }))?;
    if skim.is_at_end() { Ok(value) } else { Err(named(WireError::Truncated)) }
}

/// Decodes an event of any type, known or not.
///
/// # Errors
/// A [`WireError`] that names what is wrong.
pub fn decode_any(bytes: &[u8]) -> Result<AnyEvent, WireError> {
    decode::<Event<serde_json::Value>>(bytes)
}

/// Encodes a value for a store of one's own: a named map as on the wire, without the wire's limits.
///
/// # Errors
/// When the value has no MessagePack form.
pub fn to_stored<T: Serialize>(value: &T) -> Result<Vec<u8>, StoredError> {
    rmp_serde::to_vec_named(value).map_err(|error| StoredError(Box::new(error)))
}

/// Reads back what [`to_stored`] made.
///
/// # Errors
/// When the bytes are of another type, or damaged.
pub fn from_stored<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoredError> {
    rmp_serde::from_slice(bytes).map_err(|error| StoredError(Box::new(error)))
}

/// A value cannot be stored or read back.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoredError(Box<dyn std::error::Error + Send + Sync>);

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;

    use serde::de::IgnoredAny;

    use super::*;

    #[test]
    fn a_seed_reads_under_the_same_limits() {
        let seed = || PhantomData::<IgnoredAny>;
        let whole = encode(&serde_json::json!({ "a": [1, { "b": "c" }] })).unwrap();
        assert!(decode_seed(&whole, seed()).is_ok());
        let trailing = [whole.as_slice(), &[1]].concat();
        assert_eq!(decode_seed(&trailing, seed()).unwrap_err().reason(), "trailing-bytes");
        let cut_trailing = [whole.as_slice(), &[0xd9]].concat();
        assert_eq!(decode_seed(&cut_trailing, seed()).unwrap_err().reason(), "trailing-bytes");
        assert_eq!(decode_seed(&whole[..whole.len() - 1], seed()).unwrap_err().reason(), "truncated");
        assert_eq!(decode_seed(&[0x91; 4_000], seed()).unwrap_err().reason(), "too-deep");
        assert_eq!(decode_seed(&vec![0; wire::MAX_BYTES + 1], seed()).unwrap_err().reason(), "too-large");
        assert_eq!(decode_seed(&[0xc1], seed()).unwrap_err().reason(), "reserved-byte");
    }
}
