//! Cosign's signatures (simple signing) and attestations (DSSE envelopes around in-toto statements), and the entries of a
//! transparency log that come with them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::certificate::Certificate;
use super::key::{PublicKey, pem_blocks};

/// One signed document beside an image.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    /// What was signed, byte for byte.
    pub(super) message: Vec<u8>,
    pub(super) signatures: Vec<Vec<u8>>,
    /// The document: cosign's payload, or the in-toto statement.
    document: Value,
    /// The log's entry, as it came in the annotation.
    bundle: Option<Value>,
    /// The certificate of who signed without a key of their own.
    pub(super) certificate: Option<Certificate>,
    /// Certificates between that and its authority.
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) is_statement: bool,
}

/// A layer as the manifest describes it, and its bytes.
pub(super) struct Layer<'a> {
    pub(super) annotations: &'a Value,
    pub(super) bytes: &'a [u8],
}

fn annotation<'a>(layer: &Layer<'a>, name: &str) -> Option<&'a str> {
    layer.annotations.get(name).and_then(Value::as_str)
}

fn certificate(layer: &Layer<'_>) -> Option<Certificate> {
    Certificate::from_pem(annotation(layer, "dev.sigstore.cosign/certificate")?).ok()
}

fn chain(layer: &Layer<'_>) -> Vec<Vec<u8>> {
    let pem = annotation(layer, "dev.sigstore.cosign/chain").unwrap_or_default();
    pem_blocks(pem, "CERTIFICATE").unwrap_or_default().into_iter().take(MAX_CHAIN).collect()
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
        certificate: certificate(layer),
        chain: chain(layer),
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
        certificate: certificate(layer),
        chain: chain(layer),
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

impl Signed {
    /// A manifest that was signed, with what came beside the signature.
    pub(super) fn manifest(message: &[u8], (certificate, bundle): (Option<Certificate>, Option<Value>)) -> Self {
        Self {
            message: message.to_vec(),
            signatures: Vec::new(),
            document: Value::Null,
            bundle,
            certificate,
            chain: Vec::new(),
            is_statement: false,
        }
    }

    /// Whether the payload says something besides which image it is about.
    pub(super) fn says(&self, name: &str, value: &Value) -> bool {
        self.document.get("optional").and_then(|optional| optional.get(name)) == Some(value)
    }

    /// When one of the logs took up an entry about this very signature (and certificate, where there is one), in seconds since
    /// 1970; `None` when none did.
    pub(super) fn logged_at(
        &self,
        signature: &[u8],
        certificate: Option<&Certificate>,
        logs: &[PublicKey],
    ) -> Option<u64> {
        let bundle = self.bundle.as_ref()?;
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
        logs.iter().find(|log| log.verifies(text.as_bytes(), &stamp))?;
        let body: Value = serde_json::from_slice(&STANDARD.decode(payload.get("body")?.as_str()?).ok()?).ok()?;
        let is_about = self.is_entry(&body, signature) && certificate.is_none_or(|one| names_certificate(&body, one));
        is_about.then(|| payload.get("integratedTime").and_then(Value::as_u64)).flatten()
    }

    /// Whether a log's entry is about this document: its hash, and for a `hashedrekord` the signature too.
    fn is_entry(&self, body: &Value, signature: &[u8]) -> bool {
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
        match text("/kind") {
            Some("hashedrekord") => {
                text("/spec/data/hash/value") == Some(&hex(&self.message))
                    && text("/spec/signature/content") == Some(&STANDARD.encode(signature))
            }
            Some("intoto" | "dsse") => {
                let hash = hex(&self.document_bytes());
                ["/spec/content/payloadHash/value", "/spec/payloadHash/value"].iter().any(|at| text(at) == Some(&hash))
            }
            _ => false,
        }
    }

    /// The statement inside the envelope.
    fn document_bytes(&self) -> Vec<u8> {
        // The encoding ends with the payload; its length stands before it.
        let mut parts = self.message.splitn(5, |byte| *byte == b' ');
        parts.nth(4).map(<[u8]>::to_vec).unwrap_or_default()
    }
}

/// Whether a log's entry names the certificate: else who holds an old certificate's key could pass off the entry of another.
fn names_certificate(body: &Value, certificate: &Certificate) -> bool {
    let list = |pointer: &str| body.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let single = ["/spec/signature/publicKey/content", "/spec/publicKey"].into_iter().filter_map(|at| body.pointer(at));
    let of_signatures = list("/spec/signatures").iter().filter_map(|one| one.get("verifier"));
    let of_envelope = list("/spec/content/envelope/signatures").iter().filter_map(|one| one.get("publicKey"));
    let is_it = |encoded: &str| {
        let mut decoded = STANDARD.decode(encoded).ok()?;
        // Some versions of the log encode it twice.
        if !decoded.starts_with(b"-----") {
            decoded = STANDARD.decode(&decoded).ok()?;
        }
        let pem = String::from_utf8(decoded).ok()?;
        let ders = pem_blocks(&pem, "CERTIFICATE").ok()?;
        Some(ders.first().is_some_and(|der| der == certificate.der()))
    };
    single.chain(of_signatures).chain(of_envelope).filter_map(Value::as_str).any(|text| is_it(text) == Some(true))
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// More certificates than this lie between none and its authority.
const MAX_CHAIN: usize = 8;
