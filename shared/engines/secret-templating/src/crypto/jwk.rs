//! JSON web keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zeroize::Zeroizing;

use super::key::{Curve, PrivateKey, ec_public, ed25519_public, rsa_public};

/// A key: public, or private.
pub(crate) enum Key {
    /// As certificates hold it.
    Public(Vec<u8>),
    Private(PrivateKey, &'static str),
}

/// Reads a key.
///
/// # Errors
/// What is missing or wrong, without the value.
pub(crate) fn parse(text: &[u8]) -> Result<Key, String> {
    let json: Value = serde_json::from_slice(text).map_err(|_| "failed to unmarshal JSON into key hint")?;
    let kind = json.get("kty").and_then(Value::as_str).unwrap_or_default();
    match kind {
        "RSA" => rsa(&json),
        "EC" => elliptic(&json),
        "OKP" => octets(&json),
        "oct" => Err("x509: unknown key type while marshaling PKCS#8: []uint8".to_owned()),
        _ => Err("invalid key type from JSON".to_owned()),
    }
}

fn part(json: &Value, name: &str) -> Result<Option<Vec<u8>>, String> {
    let Some(text) = json.get(name).and_then(Value::as_str) else { return Ok(None) };
    let decoded = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
    decoded.map(Some).map_err(|_| format!("failed to decode value for key {name}"))
}

fn needed(json: &Value, name: &str) -> Result<Vec<u8>, String> {
    part(json, name)?.ok_or_else(|| format!("required field {name} is missing"))
}

fn rsa(json: &Value) -> Result<Key, String> {
    let (n, e) = (needed(json, "n")?, needed(json, "e")?);
    let Some(d) = part(json, "d")?.map(Zeroizing::new) else { return Ok(Key::Public(rsa_public(&n, &e))) };
    let (p, q) = (Zeroizing::new(needed(json, "p")?), Zeroizing::new(needed(json, "q")?));
    let key = PrivateKey::rsa(&n, &e, &d, &[&p, &q]).ok_or("the parts of the RSA key do not fit together")?;
    Ok(Key::Private(key, "*rsa.PrivateKey"))
}

fn elliptic(json: &Value) -> Result<Key, String> {
    let curve = match json.get("crv").and_then(Value::as_str) {
        Some("P-256") => Curve::P256,
        Some("P-384") => Curve::P384,
        Some("P-521") => Curve::P521,
        _ => return Err("invalid curve algorithm".to_owned()),
    };
    if let Some(d) = part(json, "d")?.map(Zeroizing::new) {
        let key = PrivateKey::elliptic(curve, &d).ok_or("the private part of the key does not fit its curve")?;
        return Ok(Key::Private(key, "*ecdsa.PrivateKey"));
    }
    let padded = |bytes: Vec<u8>| {
        let missing = curve.size().saturating_sub(bytes.len());
        [vec![0; missing], bytes].concat()
    };
    let point = [vec![4], padded(needed(json, "x")?), padded(needed(json, "y")?)].concat();
    if !curve.has(&point) {
        return Err("the key is no point of its curve".to_owned());
    }
    Ok(Key::Public(ec_public(curve, &point)))
}

fn octets(json: &Value) -> Result<Key, String> {
    if json.get("crv").and_then(Value::as_str) != Some("Ed25519") {
        return Err("invalid curve algorithm".to_owned());
    }
    if let Some(d) = part(json, "d")?.map(Zeroizing::new) {
        let seed: [u8; 32] = d.as_slice().try_into().map_err(|_| "the private part of the key has the wrong length")?;
        return Ok(Key::Private(PrivateKey::Ed25519 { seed: Zeroizing::new(seed) }, "ed25519.PrivateKey"));
    }
    let key = needed(json, "x")?;
    if key.len() == 32 { Ok(Key::Public(ed25519_public(&key))) } else { Err("the key has the wrong length".to_owned()) }
}
