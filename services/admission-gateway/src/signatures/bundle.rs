//! Bundles of Sigstore, v0.1 to v0.3 (`dev.sigstore.bundle`, JSON of Protocol Buffers): what was signed, the signature, who holds the key,
//! and what logs and timestamp authorities say of it, in one document.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde_json::Value;

use super::certificate::Certificate;
use super::checkpoint::InclusionProof;
use super::cosign::{MAX_CHAIN, Signed, encoded_for_signing};
use super::entry::LogEntry;

/// What bundles are called, before their version.
pub(super) const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle";

/// Reads a bundle; `manifest` is the manifest of the image, which a signature without a statement is over.
///
/// # Errors
/// Why it is none that can be verified.
pub(super) fn read(bytes: &[u8], manifest: Option<&[u8]>) -> Result<Signed, String> {
    let bundle: Value = serde_json::from_slice(bytes).map_err(|error| format!("it is not JSON: {error}"))?;
    let version = version(field(&bundle, "mediaType").and_then(Value::as_str).unwrap_or_default())?;
    let material = field(&bundle, "verificationMaterial").ok_or("it has no `verificationMaterial`")?;
    let (certificate, chain) = certificates(material, version)?;
    let mut signed = match (field(&bundle, "dsseEnvelope"), field(&bundle, "messageSignature")) {
        (Some(envelope), None) => enveloped(envelope).ok_or("its envelope is malformed, or has not one signature")?,
        (None, Some(signature)) => {
            let manifest = manifest.ok_or("it signs the image's manifest, which is not at hand")?;
            let signature = bytes_of(signature, "signature").ok_or("its signature is malformed")?;
            Signed::of_manifest(manifest, signature)
        }
        _ => return Err("it needs one of `dsseEnvelope` and `messageSignature`".to_owned()),
    };
    (signed.certificate, signed.chain, signed.is_bundle) = (certificate, chain, true);
    signed.entries = entries(material, version)?;
    signed.timestamps = timestamps(material)?;
    Ok(signed)
}

/// The number behind `0.` in a media type.
fn version(media_type: &str) -> Result<u8, String> {
    let rest = media_type.strip_prefix(MEDIA_TYPE).unwrap_or_default();
    let rest = rest.strip_prefix("+json;version=").or_else(|| rest.strip_prefix(".v")?.strip_suffix("+json"));
    match rest.map(|version| version.split('.').take(2).collect::<Vec<_>>().join(".")).as_deref() {
        Some("0.1") => Ok(1),
        Some("0.2") => Ok(2),
        Some("0.3") => Ok(3),
        _ => Err(format!("its version is not verified: {}", media_type.chars().take(100).collect::<String>())),
    }
}

/// The certificate of who signed and what lies between it and its authority; none for the holder of a key.
fn certificates(material: &Value, version: u8) -> Result<(Option<Certificate>, Vec<Vec<u8>>), String> {
    let read = |certificate: &Value| bytes_of(certificate, "rawBytes");
    let mut ders: Vec<Vec<u8>> = match (field(material, "certificate"), field(material, "x509CertificateChain")) {
        (Some(certificate), None) => vec![read(certificate).ok_or("its certificate is malformed")?],
        (None, Some(chain)) if version < 3 => {
            let list = field(chain, "certificates").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            if list.len() > MAX_CHAIN {
                return Err(format!("its chain has more than {MAX_CHAIN} certificates"));
            }
            list.iter().map(read).collect::<Option<_>>().ok_or("its chain is malformed")?
        }
        (None, None) if field(material, "publicKey").is_some() => return Ok((None, Vec::new())),
        _ => return Err("it names neither a certificate nor a key".to_owned()),
    };
    if ders.is_empty() {
        return Err("its chain is empty".to_owned());
    }
    let leaf =
        Certificate::from_der(ders.remove(0)).ok_or("its certificate is malformed, or for a key of another kind")?;
    Ok((Some(leaf), ders))
}

/// A statement in an envelope (DSSE), which has one signature.
fn enveloped(envelope: &Value) -> Option<Signed> {
    let kind = field(envelope, "payloadType")?.as_str().filter(|kind| *kind == "application/vnd.in-toto+json")?;
    let payload = bytes_of(envelope, "payload")?;
    let [signature] = field(envelope, "signatures")?.as_array()?.as_slice() else { return None };
    let signature = bytes_of(signature, "sig")?;
    let document = serde_json::from_slice(&payload).ok()?;
    Some(Signed::of_statement(encoded_for_signing(kind, &payload), vec![signature], document))
}

fn entries(material: &Value, version: u8) -> Result<Vec<LogEntry>, String> {
    let list = field(material, "tlogEntries").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if list.len() > MOST_ENTRIES {
        return Err(format!("it has more than {MOST_ENTRIES} entries of logs"));
    }
    let entries: Vec<LogEntry> =
        list.iter().map(entry).collect::<Option<_>>().ok_or("an entry of a log is malformed")?;
    let is_whole = |entry: &LogEntry| if version == 1 { entry.promise.is_some() } else { entry.proof.is_some() };
    match entries.iter().all(is_whole) {
        true => Ok(entries),
        false if version == 1 => Err("an entry of a log has no promise".to_owned()),
        false => Err("an entry of a log has no proof of inclusion".to_owned()),
    }
}

fn entry(entry: &Value) -> Option<LogEntry> {
    let body = bytes_of(entry, "canonicalizedBody")?;
    let log = bytes_of(field(entry, "logId")?, "keyId")?;
    let promise = match field(entry, "inclusionPromise") {
        Some(promise) => Some(bytes_of(promise, "signedEntryTimestamp")?).filter(|promise| !promise.is_empty()),
        None => None,
    };
    let proof = match field(entry, "inclusionProof") {
        Some(given) => Some(proof(given)?),
        None => None,
    };
    Some(LogEntry {
        body: STANDARD.encode(body),
        time: number(entry, "integratedTime").unwrap_or(0),
        log: log.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}")),
        index: number(entry, "logIndex").unwrap_or(0),
        promise,
        proof,
    })
}

fn proof(proof: &Value) -> Option<InclusionProof> {
    let hashes = field(proof, "hashes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let hash = |hash: &Value| decoded(hash.as_str()?)?.try_into().ok();
    Some(InclusionProof {
        index: number(proof, "logIndex").unwrap_or(0),
        path: hashes.iter().take(MOST_HASHES).map(hash).collect::<Option<_>>()?,
        checkpoint: field(field(proof, "checkpoint")?, "envelope")?.as_str()?.to_owned(),
    })
}

fn timestamps(material: &Value) -> Result<Vec<Vec<u8>>, String> {
    let list = field(material, "timestampVerificationData").and_then(|data| field(data, "rfc3161Timestamps"));
    let list = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if list.len() > MOST_ENTRIES {
        return Err(format!("it has more than {MOST_ENTRIES} timestamps"));
    }
    let read = |one: &Value| bytes_of(one, "signedTimestamp");
    list.iter().map(read).collect::<Option<_>>().ok_or_else(|| "a timestamp is malformed".to_owned())
}

/// A field by its name in JSON, or as the definition has it; null stands for none.
pub(super) fn field<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let snake = || {
        name.chars().fold(String::new(), |text, letter| match letter.is_ascii_uppercase() {
            true => format!("{text}_{}", letter.to_ascii_lowercase()),
            false => format!("{text}{letter}"),
        })
    };
    value.get(name).or_else(|| value.get(snake())).filter(|value| !value.is_null())
}

/// Bytes in any kind of base64.
pub(super) fn bytes_of(value: &Value, name: &str) -> Option<Vec<u8>> {
    decoded(field(value, name)?.as_str()?)
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    const ANY: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    ANY.decode(text.replace('-', "+").replace('_', "/")).ok()
}

/// Numbers of 64 bits are texts in JSON, but need not be.
fn number(value: &Value, name: &str) -> Option<u64> {
    let value = field(value, name)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// No bundle has more entries of logs or timestamps: upstream's bound.
const MOST_ENTRIES: usize = 32;
/// No tree is deeper.
const MOST_HASHES: usize = 64;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::read;

    fn bundle() -> Value {
        let proof = json!({"logIndex": "1", "hashes": [format!("{}=", "A".repeat(43))], "checkpoint": {"envelope": "a\n1\nAAAA\n\n\u{2014} a AAAAAAAA\n"}});
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "publicKey": {"hint": "h"},
                "tlogEntries": [{"logIndex": "7", "logId": {"keyId": "AAAA"}, "canonicalizedBody": "e30=",
                    "integratedTime": 3, "inclusionPromise": {"signedEntryTimestamp": "AA-_"}, "inclusionProof": proof}],
                "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": "MAA"}]},
            },
            "dsseEnvelope": {"payload": "e30", "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": "AAAA"}]},
        })
    }

    /// What is said about a bundle with one part replaced.
    fn why(pointer: &str, value: Value) -> String {
        let mut bundle = bundle();
        *bundle.pointer_mut(pointer).unwrap() = value;
        read(bundle.to_string().as_bytes(), None).err().unwrap_or_default()
    }

    #[test]
    fn what_is_wrong_with_a_bundle_is_told() {
        let material = "/verificationMaterial";
        let entry = bundle()["verificationMaterial"]["tlogEntries"][0].clone();
        let mut unproven = entry.clone();
        unproven["inclusionProof"] = Value::Null;
        assert_eq!(why(&format!("{material}/publicKey/hint"), json!("k")), "");
        for (pointer, value, words) in [
            (
                "/mediaType".to_owned(),
                json!("application/vnd.dev.sigstore.bundle.v0.4+json"),
                "version is not verified",
            ),
            ("/mediaType".to_owned(), json!(7), "version is not verified"),
            ("/dsseEnvelope".to_owned(), Value::Null, "one of `dsseEnvelope` and `messageSignature`"),
            ("/dsseEnvelope/signatures".to_owned(), json!([{"sig": "AAAA"}, {"sig": "AAAA"}]), "has not one signature"),
            ("/dsseEnvelope/payloadType".to_owned(), json!("text/plain"), "its envelope is malformed"),
            (format!("{material}/publicKey"), Value::Null, "neither a certificate nor a key"),
            (format!("{material}/tlogEntries"), Value::from(vec![entry; 33]), "more than 32 entries of logs"),
            (format!("{material}/tlogEntries"), json!([unproven]), "no proof of inclusion"),
            (
                format!("{material}/tlogEntries/0/inclusionProof/hashes/0"),
                json!("AAAA"),
                "an entry of a log is malformed",
            ),
            (
                format!("{material}/timestampVerificationData/rfc3161Timestamps"),
                json!([{}]),
                "a timestamp is malformed",
            ),
            (material.to_owned(), json!({"certificate": {"rawBytes": "AAAA"}}), "its certificate is malformed"),
            (
                material.to_owned(),
                json!({"x509CertificateChain": {"certificates": []}}),
                "neither a certificate nor a key",
            ),
        ] {
            let said = why(&pointer, value);
            assert!(said.contains(words), "{pointer}: {said}");
        }
    }

    #[test]
    fn bytes_of_all_kinds_are_read_or_refused() {
        let bytes = bundle().to_string().into_bytes();
        for (at, _) in bytes.iter().enumerate() {
            for other in [b'"', b'0', b'{', 0xff] {
                let mut changed = bytes.clone();
                changed[at] = other;
                drop(read(&changed, Some(b"{}")));
            }
        }
    }
}
