//! Who signed a manifest: the signatures that came with it in its annotations, as `kubectl sigstore sign` makes them.

use admission_policy::{ManifestClaim, ManifestSignature};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::attestor::{Attestor, Trust};
use super::certificate::Certificate;
use super::cosign::Signed;

/// Who signed, by the name in their certificate; empty for the holder of a key. `now` in seconds since 1970.
///
/// # Errors
/// Why no signature counts.
pub(super) fn verify(claim: &ManifestClaim, trust: &Trust, now: u64) -> Result<String, String> {
    let entry: Value = serde_json::from_str(&claim.attestor).map_err(|_| "the attestor is not JSON".to_owned())?;
    let mut whys = Vec::new();
    for (index, signature) in claim.signatures.iter().enumerate() {
        match one(&entry, (&claim.message, signature), trust, now) {
            Ok(signer) => return Ok(signer),
            Err(why) => whys.push(format!("[signature {}/{}] {why}", index + 1, claim.signatures.len())),
        }
    }
    Err(format!("verification failed for {} signature. all trials: {}", claim.signatures.len(), whys.join("; ")))
}

fn one(
    entry: &Value,
    (message, given): (&[u8], &ManifestSignature),
    trust: &Trust,
    now: u64,
) -> Result<String, String> {
    let signature = STANDARD.decode(given.signature.trim()).map_err(|_| "it is not base64".to_owned())?;
    let certificate = match given.certificate.as_str() {
        "" => None,
        pem => Some(Certificate::from_pem(pem)?),
    };
    let bundle = match given.bundle.as_str() {
        "" => None,
        json => Some(serde_json::from_str(json).map_err(|_| "the log's entry is not JSON".to_owned())?),
    };
    // Only who signs with a certificate of minutes, or says to be in a log, has to be in one.
    let is_logged = certificate.is_some() || bundle.is_some();
    let attestor = Attestor::of_manifest(entry, trust, is_logged)?;
    let signed = Signed::manifest(message, (certificate, bundle));
    if !attestor.made(&signature, &signed, now)? {
        return Err("it was not made by the attestor over this message".to_owned());
    }
    Ok(signed.certificate.and_then(|certificate| certificate.subjects.into_iter().next()).unwrap_or_default())
}
