//! Encodings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Entry, text};

pub(super) const TABLE: &[Entry] = &[
    ("b64enc", "s", |call| text(STANDARD.encode(call.bytes(0)))),
    // An error's text is the value: External Secrets keeps it so.
    ("b64dec", "s", |call| text(decode_base64(call.bytes(0)).unwrap_or_else(String::into_bytes))),
    ("b32enc", "s", |call| text(encode_base32(call.bytes(0)))),
    ("b32dec", "s", |call| text(decode_base32(call.bytes(0)).unwrap_or_else(String::into_bytes))),
    ("hexdec", "s", |call| match hex::decode(call.bytes(0)) {
        Ok(bytes) => text(bytes),
        Err(hex::FromHexError::OddLength) => Err("encoding/hex: odd length hex string".to_owned()),
        Err(_) => Err("encoding/hex: invalid byte".to_owned()),
    }),
];

/// Base64 with padding, line ends left out.
pub(crate) fn decode_base64(encoded: &[u8]) -> Result<Vec<u8>, String> {
    let solid: Vec<u8> = encoded.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    LENIENT.decode(&solid).map_err(|_| format!("illegal base64 data at input byte {}", wrong_at(encoded)))
}

/// Bits that padding leaves over are ignored, as Go does.
const LENIENT: base64::engine::GeneralPurpose = base64::engine::GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    base64::engine::GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Where Go finds the fault: at a byte of no meaning, else behind the last whole group.
fn wrong_at(encoded: &[u8]) -> usize {
    let mut letters = 0_usize;
    for (index, byte) in encoded.iter().enumerate() {
        match byte {
            b'\r' | b'\n' => {}
            b'=' => {
                let place = letters % 4;
                let after = encoded.get(index.saturating_add(1)..).unwrap_or_default();
                let solid: Vec<(usize, u8)> =
                    after.iter().copied().enumerate().filter(|(_, byte)| !matches!(byte, b'\r' | b'\n')).collect();
                return match (place, solid.first()) {
                    (0 | 1, _) => index,
                    (2, None) => encoded.len(),
                    (2, Some((at, byte))) if *byte != b'=' => index.saturating_add(1).saturating_add(*at),
                    (2, _) => solid.get(1).map_or(index, |(at, _)| index.saturating_add(1).saturating_add(*at)),
                    (_, Some((at, _))) => index.saturating_add(1).saturating_add(*at),
                    (_, None) => index,
                };
            }
            _ if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/') => letters = letters.saturating_add(1),
            _ => return index,
        }
    }
    let left = letters % 4;
    encoded.len().saturating_sub(left)
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn encode_base32(bytes: &[u8]) -> String {
    let mut out = String::new();
    for group in bytes.chunks(5) {
        let mut bits = 0_u64;
        for index in 0..5 {
            bits = bits << 8 | u64::from(group.get(index).copied().unwrap_or(0));
        }
        let letters = (group.len().saturating_mul(8)).div_ceil(5);
        for index in 0..8_usize {
            let shift = 35_usize.saturating_sub(index.saturating_mul(5));
            let letter = BASE32.get(usize::try_from(bits >> shift & 31).unwrap_or(0)).copied().unwrap_or(b'=');
            out.push(char::from(if index < letters { letter } else { b'=' }));
        }
    }
    out
}

fn decode_base32(encoded: &[u8]) -> Result<Vec<u8>, String> {
    let solid: Vec<u8> = encoded.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let wrong = |at: usize| format!("illegal base32 data at input byte {at}");
    let padding = solid.iter().rev().take_while(|byte| **byte == b'=').count();
    let letters = solid.get(..solid.len().saturating_sub(padding)).unwrap_or_default();
    let (mut out, mut bits, mut count) = (Vec::new(), 0_u32, 0_u32);
    for (index, byte) in letters.iter().enumerate() {
        let digit = BASE32.iter().position(|letter| letter == byte).and_then(|digit| u32::try_from(digit).ok());
        bits = bits << 5 | digit.ok_or_else(|| wrong(index))?;
        count = count.saturating_add(5);
        if count >= 8 {
            count = count.saturating_sub(8);
            out.push(u8::try_from(bits >> count & 0xff).unwrap_or(0));
            bits &= (1 << count) - 1;
        }
    }
    let expected = match letters.len() % 8 {
        0 => 0,
        2 => 6,
        4 => 4,
        5 => 3,
        7 => 1,
        _ => return Err(wrong(letters.len())),
    };
    if padding == expected { Ok(out) } else { Err(wrong(solid.len())) }
}
