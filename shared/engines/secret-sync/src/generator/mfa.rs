//! One-time passwords by time (RFC 6238).

use hmac::{Hmac, Mac};
use model::Timestamp;
use serde_json::{Map, Value};
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

use super::GeneratorError;
use crate::provider::Keys;
use crate::value::SecretBytes;

/// How one-time passwords are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Secret that holds the seed, in base32.
    pub secret: (String, String),
    /// Digits.
    pub length: u32,
    /// For how long one holds, in seconds.
    pub period_s: u64,
    /// Hash.
    pub algorithm: Algorithm,
    /// The time to make it for; now when absent.
    pub at: Option<Timestamp>,
}

/// Hashes of one-time passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-1, what nearly everybody uses.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Settings {
    /// Reads a `spec`: six digits, thirty seconds and SHA-1 where it says nothing.
    ///
    /// # Errors
    /// When it names no seed, or a setting cannot be used.
    pub fn read(spec: &Map<String, Value>) -> Result<Self, GeneratorError> {
        let refused = |what: &str| GeneratorError::Refused(what.to_owned());
        let secret = spec.get("secret").and_then(Value::as_object);
        let part = |name: &str| secret.and_then(|secret| secret.get(name)?.as_str()).unwrap_or_default().to_owned();
        let secret = (part("name"), part("key"));
        if secret.0.is_empty() || secret.1.is_empty() {
            return Err(refused("secret reference is required: name and key of the Secret that holds the seed"));
        }
        let number = |name: &str, default: u64| match spec.get(name) {
            None | Some(Value::Null) => Some(default),
            Some(value) => value.as_u64(),
        };
        let length = number("length", 6).filter(|length| (6..=10).contains(length));
        let period_s = number("timePeriod", 30).filter(|period| (1..=86_400).contains(period));
        let algorithm = match spec.get("algorithm").and_then(Value::as_str).unwrap_or("sha1") {
            "sha1" => Algorithm::Sha1,
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(refused("algorithm is none of sha1, sha256, sha512")),
        };
        let at = match spec.get("when").and_then(Value::as_str) {
            Some(when) => Some(when.parse().map_err(|_| refused("when is no time"))?),
            None => None,
        };
        Ok(Self {
            secret,
            length: length
                .and_then(|length| u32::try_from(length).ok())
                .ok_or_else(|| refused("length is no number from 6 to 10"))?,
            period_s: period_s.ok_or_else(|| refused("timePeriod is no number of seconds"))?,
            algorithm,
            at,
        })
    }

    /// The password for `now` under `token`, and how many seconds it still holds under `timeLeft`.
    ///
    /// # Errors
    /// When the seed is not base32, or is empty.
    pub fn generate(&self, seed: &SecretBytes, now: Timestamp) -> Result<Keys, GeneratorError> {
        let no_seed = || GeneratorError::Refused("the seed is not base32".to_owned());
        let seed = unbase32(seed.expose()).filter(|seed| !seed.is_empty()).ok_or_else(no_seed)?;
        let seconds = u64::try_from(self.at.unwrap_or(now).as_nanos() / 1_000_000_000).unwrap_or(0);
        let counter = (seconds / self.period_s).to_be_bytes();
        let hash = match self.algorithm {
            Algorithm::Sha1 => hashed::<Hmac<sha1::Sha1>>(&seed, &counter),
            Algorithm::Sha256 => hashed::<Hmac<Sha256>>(&seed, &counter),
            Algorithm::Sha512 => hashed::<Hmac<Sha512>>(&seed, &counter),
        };
        let start = usize::from(hash.last().copied().unwrap_or(0) & 15);
        let four = hash.get(start..start.saturating_add(4)).and_then(|four| <[u8; 4]>::try_from(four).ok());
        let number = u64::from(u32::from_be_bytes(four.unwrap_or_default()) & 0x7fff_ffff);
        let digits = usize::try_from(self.length).unwrap_or(6);
        let token = Zeroizing::new(format!("{:0digits$}", number % 10_u64.pow(self.length)));
        let left = self.period_s.saturating_sub(seconds % self.period_s).to_string();
        Ok(Keys::from([
            ("token".to_owned(), SecretBytes::from(token.as_str())),
            ("timeLeft".to_owned(), SecretBytes::from(left.as_str())),
        ]))
    }
}

fn hashed<M: Mac + hmac::digest::KeyInit>(key: &[u8], text: &[u8]) -> Zeroizing<Vec<u8>> {
    // A key of any length is taken.
    let Ok(mut mac) = <M as Mac>::new_from_slice(key) else { return Zeroizing::default() };
    mac.update(text);
    Zeroizing::new(mac.finalize().into_bytes().to_vec())
}

/// The letters of base32.
pub(super) const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Base32 with or without padding, spaces and capitals.
fn unbase32(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    let (mut bits, mut count) = (0_u32, 0_u32);
    for letter in text.iter().filter(|letter| !letter.is_ascii_whitespace() && **letter != b'=') {
        let value = BASE32.iter().position(|known| *known == letter.to_ascii_uppercase())?;
        bits = bits << 5 & 0xffff | u32::try_from(value).ok()?;
        count = count.saturating_add(5);
        if count >= 8 {
            count = count.saturating_sub(8);
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tokens_by_the_vectors_of_the_standard() {
        // RFC 6238, appendix B: the seed is ASCII, as long as the hash.
        let cases = [
            ("sha1", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "1970-01-01T00:00:59Z", "94287082"),
            ("sha1", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "2005-03-18T01:58:29Z", "07081804"),
            ("sha256", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA====", "1970-01-01T00:00:59Z", "46119246"),
        ];
        for (algorithm, seed, at, expected) in cases {
            let spec =
                json!({ "secret": { "name": "s", "key": "k" }, "length": 8, "algorithm": algorithm, "when": at });
            let settings = Settings::read(spec.as_object().unwrap()).unwrap();
            let keys = settings.generate(&SecretBytes::from(seed), at.parse().unwrap()).unwrap();
            assert_eq!(keys["token"].expose_str(), Some(expected), "{algorithm} {at}");
            assert_eq!(keys["timeLeft"].expose_str(), Some("1"));
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for spec in [
            json!({}),
            json!({ "secret": { "name": "s" } }),
            json!({ "secret": { "name": "s", "key": "k" }, "length": 99 }),
        ] {
            assert!(Settings::read(spec.as_object().unwrap()).is_err(), "{spec}");
        }
        let spec = json!({ "secret": { "name": "s", "key": "k" } });
        let settings = Settings::read(spec.as_object().unwrap()).unwrap();
        for seed in ["", "not base32!", "18"] {
            assert!(settings.generate(&SecretBytes::from(seed), "2026-01-01T00:00:00Z".parse().unwrap()).is_err());
        }
    }
}
