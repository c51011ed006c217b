//! Private keys.

use rsa::RsaPrivateKey;
use zeroize::Zeroizing;

use super::{Call, Entry, text};
use crate::crypto::key::{Curve, PrivateKey};
use crate::crypto::pem;

pub(super) const TABLE: &[Entry] = &[("genPrivateKey", "s", |call| match call.text(0).as_str() {
    "" | "rsa" => text(new_rsa(call, 4096)?.to_pem()),
    "ecdsa" => text(new_elliptic(call)?.to_pem()),
    "ed25519" => {
        let seed = call.chance.bytes(32)?.try_into().map_err(|_| "no seed")?;
        text(PrivateKey::Ed25519 { seed: Zeroizing::new(seed) }.to_pem())
    }
    "dsa" => Err("DSA keys are not supported: ask for rsa, ecdsa or ed25519".to_owned()),
    other => text(format!("Unknown type {other}")),
})];

pub(super) fn new_rsa(call: &mut Call<'_>, bits: usize) -> Result<PrivateKey, String> {
    let key = RsaPrivateKey::new(call.chance.source()?, bits);
    key.map(|key| PrivateKey::Rsa(Box::new(key))).map_err(|_| "failed to generate private key".to_owned())
}

fn new_elliptic(call: &mut Call<'_>) -> Result<PrivateKey, String> {
    // A scalar that the curve refuses is rarer than any fault of the machine; draw again a few times all the same.
    for _ in 0..8 {
        let scalar = Zeroizing::new(call.chance.bytes(32)?);
        if let Some(key) = PrivateKey::elliptic(Curve::P256, &scalar) {
            return Ok(key);
        }
    }
    Err("failed to generate private key".to_owned())
}

/// Reads a key by the type that its PEM block names.
pub(super) fn parse(text: &[u8]) -> Result<PrivateKey, String> {
    let (Some(block), _) = pem::decode(text) else { return Err("no PEM data in input".to_owned()) };
    let bytes = Zeroizing::new(block.bytes);
    match block.kind.as_str() {
        "PRIVATE KEY" => PrivateKey::from_pkcs8(&bytes).ok_or_else(|| "decoding PEM as PKCS#8: malformed".to_owned()),
        "RSA PRIVATE KEY" => {
            PrivateKey::from_pkcs1(&bytes).ok_or_else(|| "parsing RSA private key from PEM: malformed".to_owned())
        }
        "EC PRIVATE KEY" => {
            PrivateKey::from_sec1(&bytes, None).ok_or_else(|| "parsing EC private key from PEM: malformed".to_owned())
        }
        kind if kind.ends_with(" PRIVATE KEY") => Err(format!("invalid private key type {kind}")),
        kind => Err(format!("no private key data in PEM block of type {kind}")),
    }
}
