//! Generators: what makes a value up. Chance is an argument, so that the same chance makes the same value.
//!
//! Each takes the whole object as the cluster has it and reads its `spec`; errors are in upstream's words and never hold a value.

pub mod mfa;
pub mod password;
pub mod ssh_key;
pub mod vault_dynamic;

use serde_json::{Map, Value};

use crate::provider::Keys;
use crate::value::SecretBytes;

/// Fills bytes with chance; false when there is none.
pub type Entropy<'a> = &'a mut dyn FnMut(&mut [u8]) -> bool;

/// A generator makes nothing. Never holds a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GeneratorError {
    /// There is no object.
    #[error("no config spec provided")]
    NoSpec,
    /// The object cannot be read.
    #[error("unable to parse spec: {0}")]
    Malformed(String),
    /// What it asks for cannot be made.
    #[error("{0}")]
    Refused(String),
    /// There is no chance on this machine.
    #[error("no randomness")]
    NoEntropy,
}

/// The `spec` of a generator as it is written; an empty one where it has none.
///
/// # Errors
/// When there is no object, or it is none.
pub fn spec(object: Option<&[u8]>) -> Result<Map<String, Value>, GeneratorError> {
    let text = object.ok_or(GeneratorError::NoSpec)?;
    // The library's words may quote what it read.
    let parsed: Value =
        serde_saphyr::from_slice(text).map_err(|_| GeneratorError::Malformed("it is no YAML".to_owned()))?;
    let Value::Object(mut fields) = parsed else {
        return Err(GeneratorError::Malformed("it is no object".to_owned()));
    };
    match fields.remove("spec") {
        Some(Value::Object(spec)) => Ok(spec),
        None | Some(Value::Null) => Ok(Map::new()),
        Some(_) => Err(GeneratorError::Malformed("its spec is no object".to_owned())),
    }
}

/// The values that stand in a fake generator.
///
/// # Errors
/// When a value is no text.
pub fn fake(spec: &Map<String, Value>) -> Result<Keys, GeneratorError> {
    let fields = spec.get("data").and_then(Value::as_object);
    let text = |(key, value): (&String, &Value)| match value.as_str() {
        Some(text) => Ok((key.clone(), SecretBytes::from(text))),
        None => Err(GeneratorError::Malformed(format!("data.{key} is no text"))),
    };
    fields.into_iter().flatten().map(text).collect()
}

/// A random UUID (RFC 9562, version 4) under the key `uuid`.
///
/// # Errors
/// When there is no chance.
pub fn uuid(entropy: Entropy<'_>) -> Result<Keys, GeneratorError> {
    let mut bytes = [0_u8; 16];
    if !entropy(&mut bytes) {
        return Err(GeneratorError::NoEntropy);
    }
    let number = u128::from_be_bytes(bytes) & !(0xf000_u128 << 64) & !(0xc000_u128 << 48);
    let number = number | 0x4000_u128 << 64 | 0x8000_u128 << 48;
    let text = format!("{number:032x}");
    let ends = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
    let parts: Vec<&str> = ends.iter().filter_map(|(start, end)| text.get(*start..*end)).collect();
    Ok(Keys::from([("uuid".to_owned(), SecretBytes::from(parts.join("-").as_str()))]))
}

/// A number below `bound`, each as likely as any other.
pub(crate) fn below(bound: usize, entropy: Entropy<'_>) -> Result<usize, GeneratorError> {
    let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
    let fair = u64::MAX - u64::MAX % bound;
    // Each try succeeds with more than even chance.
    for _ in 0..256 {
        let mut bytes = [0_u8; 8];
        if !entropy(&mut bytes) {
            return Err(GeneratorError::NoEntropy);
        }
        let number = u64::from_be_bytes(bytes);
        if number < fair {
            return Ok(usize::try_from(number % bound).unwrap_or(0));
        }
    }
    Err(GeneratorError::NoEntropy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_carry_version_and_variant() {
        for byte in [0x00, 0xff, 0x5a] {
            let keys = uuid(&mut |bytes: &mut [u8]| {
                bytes.fill(byte);
                true
            })
            .unwrap();
            let text = keys["uuid"].expose_str().unwrap().to_owned();
            assert_eq!((text.len(), &text[14..15]), (36, "4"), "{text}");
            assert!("89ab".contains(&text[19..20]), "{text}");
        }
        assert_eq!(uuid(&mut |_: &mut [u8]| false), Err(GeneratorError::NoEntropy));
    }
}
