//! Decoding strategies.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::SecretBytes;

/// How a fetched value is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DecodingStrategy {
    /// Taken as it is.
    #[default]
    None,
    /// Standard base64 with padding.
    Base64,
    /// Base64 for URLs with padding.
    Base64Url,
    /// Base64 if it is that, else base64 for URLs if it is that, else as it is.
    Auto,
}

impl DecodingStrategy {
    /// The strategy that a manifest names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "" | "None" => Self::None,
            "Base64" => Self::Base64,
            "Base64URL" => Self::Base64Url,
            "Auto" => Self::Auto,
            _ => return None,
        })
    }
}

/// A value is not encoded as its manifest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value is not valid {0}")]
pub struct DecodeError(&'static str);

/// Decodes one value.
///
/// # Errors
/// When the value is not in the encoding that the strategy demands.
pub fn decode(strategy: DecodingStrategy, value: SecretBytes) -> Result<SecretBytes, DecodeError> {
    match strategy {
        DecodingStrategy::None => Ok(value),
        DecodingStrategy::Base64 => with(&STANDARD, &value).ok_or(DecodeError("base64")),
        DecodingStrategy::Base64Url => with(&URL, &value).ok_or(DecodeError("base64 for URLs")),
        DecodingStrategy::Auto => Ok(with(&STANDARD, &value).or_else(|| with(&URL, &value)).unwrap_or(value)),
    }
}

fn with(engine: &GeneralPurpose, value: &SecretBytes) -> Option<SecretBytes> {
    // Go's decoder skips line ends inside the text.
    let is_text = |byte: &u8| !matches!(byte, b'\r' | b'\n');
    let text = SecretBytes::new(value.expose().iter().copied().filter(is_text).collect());
    engine.decode(text.expose()).ok().map(SecretBytes::new)
}

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
