//! Events to bytes and back.

use schemas::wire::{self, WireError};
use schemas::{AnyEvent, Event};
use serde::Serialize;
use serde::de::{DeserializeOwned, DeserializeSeed};

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

/// Reads from a message only what `seed` asks for, under the same limits as [`decode`].
///
/// # Errors
/// A [`WireError`] that names what is wrong.
pub fn decode_seed<'de, S: DeserializeSeed<'de>>(bytes: &'de [u8], seed: S) -> Result<S::Value, WireError> {
    wire::check(bytes)?;
    let mut decoder = rmp_serde::Deserializer::from_read_ref(bytes);
    seed.deserialize(&mut decoder).map_err(|error| WireError::NotAnEvent { what: error.to_string() })
}

/// Decodes an event of any type, known or not.
///
/// # Errors
/// A [`WireError`] that names what is wrong.
pub fn decode_any(bytes: &[u8]) -> Result<AnyEvent, WireError> {
    decode::<Event<serde_json::Value>>(bytes)
}
