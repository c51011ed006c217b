//! Content digests as OCI writes them: `algorithm:hex`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A content digest, `sha256:` or `sha512:` followed by lower-case hex (OCI image specification, "Digests").
///
/// ```
/// let text = format!("sha256:{}", "a".repeat(64));
/// assert_eq!(text.parse::<model::Digest>().unwrap().to_string(), text);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Digest(String);

impl Digest {
    /// Makes a SHA-256 digest from the 32 bytes of its hash.
    #[must_use]
    pub fn from_sha256(bytes: &[u8; 32]) -> Self {
        use fmt::Write as _;
        let mut text = String::with_capacity(71);
        text.push_str("sha256:");
        for byte in bytes {
            // Writing to a String never fails.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// The hash algorithm: `sha256` or `sha512`.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        self.0.split_once(':').map_or("", |(algorithm, _)| algorithm)
    }

    /// The hash in lower-case hex, without the algorithm.
    #[must_use]
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, hex)| hex)
    }

    /// The whole digest, `algorithm:hex`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = || DigestError { text: text.chars().take(80).collect() };
        let (algorithm, hex) = text.split_once(':').ok_or_else(fault)?;
        let length = match algorithm {
            "sha256" => 64,
            "sha512" => 128,
            _ => return Err(fault()),
        };
        let is_hex = hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if hex.len() == length && is_hex { Ok(Self(text.to_owned())) } else { Err(fault()) }
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text is no digest.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not a digest of the form sha256:<64 hex> or sha512:<128 hex>")]
pub struct DigestError {
    text: String,
}
