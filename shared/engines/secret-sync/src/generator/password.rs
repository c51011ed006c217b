//! Passwords.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Entropy, GeneratorError, below};
use crate::provider::Keys;
use crate::value::SecretBytes;

/// How passwords are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Characters in all.
    pub length: usize,
    /// How many of them are digits.
    pub digits: usize,
    /// How many of them are symbols.
    pub symbols: usize,
    /// Which symbols.
    pub symbol_characters: String,
    /// Whether there are no capital letters.
    pub no_upper: bool,
    /// Whether a character may stand twice.
    pub allow_repeat: bool,
    /// Keys, each with a password of its own.
    pub secret_keys: Vec<String>,
    /// How they are written: `raw`, `base64`, `base64url`, `base32`, `hex`.
    pub encoding: String,
}

impl Settings {
    /// Reads a `spec`; what it leaves open has upstream's defaults: 24 characters, a quarter digits, a quarter symbols.
    ///
    /// # Errors
    /// When a key has no name or stands twice, or a number is none.
    pub fn read(spec: &Map<String, Value>) -> Result<Self, GeneratorError> {
        let number = |name: &str| match spec.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
                number
                    .filter(|number| *number <= LONGEST)
                    .map(Some)
                    .ok_or_else(|| GeneratorError::Malformed(format!("{name} is no number from 0 to {LONGEST}")))
            }
        };
        let is = |name: &str| spec.get(name) == Some(&Value::Bool(true));
        let text = |name: &str| spec.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let length = number("length")?.filter(|length| *length > 0).unwrap_or(24);
        let names = spec.get("secretKeys").and_then(Value::as_array).into_iter().flatten();
        let secret_keys: Vec<String> = names.map(|name| name.as_str().unwrap_or_default().to_owned()).collect();
        let mut seen = BTreeSet::new();
        for (at, name) in secret_keys.iter().enumerate() {
            if name.is_empty() {
                return Err(GeneratorError::Refused(format!("secretKeys[{at}] must be non-empty")));
            }
            if !seen.insert(name) {
                return Err(GeneratorError::Refused(format!("duplicate secretKeys entry {name:?}")));
            }
        }
        Ok(Self {
            length,
            digits: number("digits")?.unwrap_or(length / 4),
            symbols: number("symbols")?.unwrap_or(length / 4),
            symbol_characters: text("symbolCharacters").unwrap_or(SYMBOLS).to_owned(),
            no_upper: is("noUpper"),
            allow_repeat: is("allowRepeat"),
            secret_keys: if secret_keys.is_empty() { vec!["password".to_owned()] } else { secret_keys },
            encoding: text("encoding").unwrap_or("raw").to_owned(),
        })
    }

    /// Makes a password for each key.
    ///
    /// # Errors
    /// When the numbers do not fit together, the encoding is unknown, or there is no chance.
    pub fn generate(&self, entropy: Entropy<'_>) -> Result<Keys, GeneratorError> {
        let mut keys = Keys::new();
        for key in &self.secret_keys {
            keys.insert(key.clone(), encoded(&self.encoding, self.one(entropy)?)?);
        }
        Ok(keys)
    }

    fn one(&self, entropy: Entropy<'_>) -> Result<Zeroizing<String>, GeneratorError> {
        let others = self.digits.saturating_add(self.symbols);
        let refused = |what: &str| Err(GeneratorError::Refused(what.to_owned()));
        let Some(letters) = self.length.checked_sub(others) else {
            return refused("number of digits and symbols must be less than total length");
        };
        let alphabet = if self.no_upper { LOWER.to_owned() } else { format!("{LOWER}{UPPER}") };
        let mut made = Zeroizing::new(Vec::with_capacity(self.length));
        let parts = [
            (letters, alphabet.as_str(), "letters"),
            (self.digits, DIGITS, "digits"),
            (self.symbols, self.symbol_characters.as_str(), "symbols"),
        ];
        for (count, characters, name) in parts {
            let mut characters: Vec<char> = characters.chars().collect();
            if !self.allow_repeat && count > characters.len() {
                return refused(&format!("number of {name} exceeds available {name} and repeats are not allowed"));
            }
            for _ in 0..count {
                let at = below(characters.len(), entropy)?;
                let letter =
                    if self.allow_repeat { characters.get(at).copied() } else { Some(characters.swap_remove(at)) };
                made.extend(letter);
            }
        }
        // Every order is as likely as any other (Fisher and Yates).
        for last in (1..made.len()).rev() {
            let other = below(last.saturating_add(1), entropy)?;
            made.swap(last, other);
        }
        Ok(Zeroizing::new(made.iter().collect()))
    }
}

fn encoded(encoding: &str, text: Zeroizing<String>) -> Result<SecretBytes, GeneratorError> {
    let encoded = match encoding {
        "raw" => text,
        "base64" => Zeroizing::new(STANDARD.encode(text.as_bytes())),
        "base64url" => Zeroizing::new(URL_SAFE.encode(text.as_bytes())),
        "hex" => Zeroizing::new(hex::encode(text.as_bytes())),
        "base32" => Zeroizing::new(base32(text.as_bytes())),
        other => return Err(GeneratorError::Refused(format!("unsupported encoding: {other}"))),
    };
    Ok(SecretBytes::from(encoded.as_str()))
}

/// Base32 with padding (RFC 4648, section 6).
fn base32(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(5) {
        let mut group = [0_u8; 8];
        for (place, byte) in group.iter_mut().skip(3).zip(chunk) {
            *place = *byte;
        }
        let bits = u64::from_be_bytes(group);
        let letters = chunk.len().saturating_mul(8).div_ceil(5);
        for at in 0..8_usize {
            let shift = 35_usize.saturating_sub(at.saturating_mul(5));
            let letter =
                super::mfa::BASE32.get(usize::try_from(bits >> shift & 31).unwrap_or(0)).copied().unwrap_or(b'=');
            text.push(if at < letters { char::from(letter) } else { '=' });
        }
    }
    text
}

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";
const SYMBOLS: &str = "~!@#$%^&*()_+`-={}|[]\\:\"<>?,./";
/// Longest password that is made.
const LONGEST: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Chance that can be had again.
    fn chance() -> impl FnMut(&mut [u8]) -> bool {
        let mut state = 7_u64;
        move |bytes| {
            for byte in bytes {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = state.to_be_bytes()[0];
            }
            true
        }
    }

    fn made(spec: &Value) -> Result<Keys, GeneratorError> {
        Settings::read(spec.as_object().unwrap())?.generate(&mut chance())
    }

    #[test]
    fn passwords_have_what_is_asked_for() {
        let keys = made(&json!({ "length": 30, "digits": 5, "symbols": 3, "symbolCharacters": "-_!", "noUpper": true, "secretKeys": ["a", "b"] })).unwrap();
        assert_eq!(keys.len(), 2);
        assert_ne!(keys["a"], keys["b"]);
        for value in keys.values() {
            let text = value.expose_str().unwrap();
            let count = |is: fn(&char) -> bool| text.chars().filter(is).count();
            assert_eq!((text.len(), count(char::is_ascii_digit), count(char::is_ascii_uppercase)), (30, 5, 0));
            assert_eq!(count(|letter| "-_!".contains(*letter)), 3);
            let distinct: BTreeSet<char> = text.chars().collect();
            assert_eq!(distinct.len(), 30, "none stands twice");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (spec, part) in [
            (json!({ "length": 4, "digits": 3, "symbols": 3 }), "less than total length"),
            (json!({ "length": 200, "digits": 0, "symbols": 0 }), "number of letters exceeds"),
            (json!({ "length": 20, "digits": 11, "symbols": 0 }), "number of digits exceeds"),
            (json!({ "length": 20, "symbols": 3, "symbolCharacters": "!" }), "number of symbols exceeds"),
            (json!({ "encoding": "rot13" }), "unsupported encoding"),
            (json!({ "length": -1 }), "length is no number"),
        ] {
            let said = made(&spec).unwrap_err().to_string();
            assert!(said.contains(part), "{spec}: {said}");
        }
        assert!(made(&json!({ "length": 200, "allowRepeat": true })).is_ok());
    }

    #[test]
    fn base32_by_the_vectors_of_its_standard() {
        for (text, expected) in [
            ("", ""),
            ("f", "MY======"),
            ("fo", "MZXQ===="),
            ("foo", "MZXW6==="),
            ("foob", "MZXW6YQ="),
            ("fooba", "MZXW6YTB"),
        ] {
            assert_eq!(base32(text.as_bytes()), expected);
        }
    }
}
