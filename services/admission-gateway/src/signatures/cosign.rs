//! Cosign's signatures (simple signing) and attestations (DSSE envelopes around in-toto statements), and the entries of a
//! transparency log that come with them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::key::PublicKey;

/// One signed document beside an image.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    /// What was signed, byte for byte.
    message: Vec<u8>,
    signatures: Vec<Vec<u8>>,
    /// The document: cosign's payload, or the in-toto statement.
    document: Value,
    /// The log's entry, as it came in the annotation.
    bundle: Option<Value>,
    is_statement: bool,
}

/// A layer as the manifest describes it, and its bytes.
pub(super) struct Layer<'a> {
    pub(super) annotations: &'a Value,
    pub(super) bytes: &'a [u8],
}

fn annotation<'a>(layer: &Layer<'a>, name: &str) -> Option<&'a str> {
    layer.annotations.get(name).and_then(Value::as_str)
}

fn bundle(layer: &Layer<'_>) -> Option<Value> {
    serde_json::from_str(annotation(layer, "dev.sigstore.cosign/bundle")?).ok()
}

/// Reads a signature; `None` for what is none.
pub(super) fn signature(layer: &Layer<'_>) -> Option<Signed> {
    let signature = STANDARD.decode(annotation(layer, "dev.cosignproject.cosign/signature")?).ok()?;
    Some(Signed {
        message: layer.bytes.to_vec(),
        signatures: vec![signature],
        document: serde_json::from_slice(layer.bytes).ok()?,
        bundle: bundle(layer),
        is_statement: false,
    })
}

/// Reads an attestation; `None` for what is none.
pub(super) fn attestation(layer: &Layer<'_>) -> Option<Signed> {
    let envelope: Value = serde_json::from_slice(layer.bytes).ok()?;
    let text = |key: &str| envelope.get(key).and_then(Value::as_str);
    let kind = text("payloadType").filter(|kind| *kind == "application/vnd.in-toto+json")?;
    let payload = STANDARD.decode(text("payload")?).ok()?;
    // DSSE's pre-authentication encoding.
    let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    message.extend_from_slice(&payload);
    let signatures = envelope.get("signatures").and_then(Value::as_array)?;
    let signature = |one: &Value| STANDARD.decode(one.get("sig")?.as_str()?).ok();
    Some(Signed {
        message,
        signatures: signatures.iter().take(10).filter_map(signature).collect(),
        document: serde_json::from_slice(&payload).ok()?,
        bundle: bundle(layer),
        is_statement: true,
    })
}

impl Signed {
    /// Whether the document names the image: without that a signature of another image could be put beside this one.
    pub(super) fn is_about(&self, digest: &str) -> bool {
        if !self.is_statement {
            let named = self.document.pointer("/critical/image/docker-manifest-digest").and_then(Value::as_str);
            return named == Some(digest);
        }
        let hex = digest.strip_prefix("sha256:");
        let subjects = self.document.get("subject").and_then(Value::as_array);
        subjects
            .into_iter()
            .flatten()
            .any(|subject| hex.is_some() && subject.pointer("/digest/sha256").and_then(Value::as_str) == hex)
    }

    pub(super) fn predicate_type(&self) -> String {
        self.document.get("predicateType").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    pub(super) fn predicate(&self) -> Value {
        self.document.get("predicate").cloned().unwrap_or_default()
    }
}

/// Who must have signed, from an attestor's entry.
#[derive(Debug)]
pub(super) struct Attestor {
    key: PublicKey,
    /// What the payload must say besides.
    annotations: Vec<(String, Value)>,
    ignores_log: bool,
    /// The log that the policy names.
    log: Option<PublicKey>,
}

impl Attestor {
    /// Reads an entry.
    ///
    /// # Errors
    /// What of it this verifier does not do.
    pub(super) fn new(entry: &Value) -> Result<Self, String> {
        let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        let pem = text("/keys/publicKeys").ok_or("only attestors with public keys are verified")?;
        let key = PublicKey::from_pem(pem)?;
        let key = match text("/keys/signatureAlgorithm").unwrap_or("sha256") {
            "sha256" => key,
            "sha512" => key.with_sha512(),
            other => return Err(format!("signature algorithm {other} is not verified: use sha256 or sha512")),
        };
        let annotations = entry.get("annotations").and_then(Value::as_object);
        Ok(Self {
            key,
            annotations: annotations.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect(),
            ignores_log: entry.pointer("/keys/rekor/ignoreTlog").and_then(Value::as_bool) == Some(true),
            log: text("/keys/rekor/pubkey").map(PublicKey::from_pem).transpose()?,
        })
    }

    /// Whether the attestor signed, and one of the logs has it where that is asked for.
    pub(super) fn signed(&self, signed: &Signed, logs: &[PublicKey]) -> bool {
        let says = |(name, value): &(String, Value)| {
            signed.document.get("optional").and_then(|optional| optional.get(name)) == Some(value)
        };
        let mut made = signed.signatures.iter().filter(|signature| self.key.verifies(&signed.message, signature));
        made.any(|signature| self.ignores_log || self.is_logged(signed, signature, logs))
            && (signed.is_statement || self.annotations.iter().all(says))
    }

    /// Whether a log that counts has signed for an entry about this very signature.
    fn is_logged(&self, signed: &Signed, signature: &[u8], logs: &[PublicKey]) -> bool {
        let logged = || {
            let bundle = signed.bundle.as_ref()?;
            let payload = bundle.get("Payload")?;
            let stamp = STANDARD.decode(bundle.get("SignedEntryTimestamp")?.as_str()?).ok()?;
            // The log signs the payload as JSON with sorted keys and no spaces.
            let part = |key: &str| payload.get(key).map(Value::to_string);
            let text = format!(
                "{{\"body\":{},\"integratedTime\":{},\"logID\":{},\"logIndex\":{}}}",
                part("body")?,
                part("integratedTime")?,
                part("logID")?,
                part("logIndex")?
            );
            let by_a_log = match &self.log {
                Some(own) => own.verifies(text.as_bytes(), &stamp),
                None => logs.iter().any(|log| log.verifies(text.as_bytes(), &stamp)),
            };
            let body: Value = serde_json::from_slice(&STANDARD.decode(payload.get("body")?.as_str()?).ok()?).ok()?;
            Some(by_a_log && is_entry_of(&body, signed, signature))
        };
        logged().unwrap_or(false)
    }
}

/// Whether a log's entry is about this document: its hash, and for a `hashedrekord` the signature too.
fn is_entry_of(body: &Value, signed: &Signed, signature: &[u8]) -> bool {
    let hex = |bytes: &[u8]| Sha256::digest(bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    match text("/kind") {
        Some("hashedrekord") => {
            text("/spec/data/hash/value") == Some(&hex(&signed.message))
                && text("/spec/signature/content") == Some(&STANDARD.encode(signature))
        }
        Some("intoto" | "dsse") => {
            let payload = signed.document_bytes();
            let hash = hex(&payload);
            ["/spec/content/payloadHash/value", "/spec/payloadHash/value"].iter().any(|at| text(at) == Some(&hash))
        }
        _ => false,
    }
}

impl Signed {
    /// The statement inside the envelope.
    fn document_bytes(&self) -> Vec<u8> {
        // The encoding ends with the payload; its length stands before it.
        let mut parts = self.message.splitn(5, |byte| *byte == b' ');
        parts.nth(4).map(<[u8]>::to_vec).unwrap_or_default()
    }
}
