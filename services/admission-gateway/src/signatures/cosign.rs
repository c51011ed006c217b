//! Cosign's signatures (simple signing) and attestations (DSSE envelopes around in-toto statements), and the entries of a
//! transparency log that come with them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::certificate::Certificate;
use super::entry::LogEntry;
use super::key::pem_blocks;
use super::registry::digest_of;

/// One signed document beside an image.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    /// What was signed, byte for byte.
    pub(super) message: Vec<u8>,
    pub(super) signatures: Vec<Vec<u8>>,
    /// The document: cosign's payload, or the in-toto statement.
    document: Value,
    /// Entries of transparency logs that came with it.
    pub(super) entries: Vec<LogEntry>,
    /// Timestamps of authorities (RFC 3161) that came with it.
    pub(super) timestamps: Vec<Vec<u8>>,
    /// The certificate of who signed without a key of their own.
    pub(super) certificate: Option<Certificate>,
    /// Certificates between that and its authority.
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) kind: Kind,
    /// Whether it is a bundle of Sigstore.
    pub(super) is_bundle: bool,
}

/// What kind of document was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Cosign's payload, which names the image.
    Payload,
    /// An in-toto statement, which names its subjects.
    Statement,
    /// The manifest of the image itself, or another text.
    Text,
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

fn entries(layer: &Layer<'_>) -> Vec<LogEntry> {
    let bundle = annotation(layer, "dev.sigstore.cosign/bundle").and_then(|text| serde_json::from_str(text).ok());
    bundle.as_ref().and_then(LogEntry::of_annotation).into_iter().collect()
}

fn timestamps(layer: &Layer<'_>) -> Vec<Vec<u8>> {
    let given = annotation(layer, "dev.sigstore.cosign/rfc3161timestamp");
    let read = |text: &str| {
        let given: Value = serde_json::from_str(text).ok()?;
        STANDARD.decode(given.get("SignedRFC3161Timestamp")?.as_str()?).ok()
    };
    given.and_then(read).into_iter().collect()
}

/// Reads a signature; `None` for what is none.
pub(super) fn signature(layer: &Layer<'_>) -> Option<Signed> {
    let signature = STANDARD.decode(annotation(layer, "dev.cosignproject.cosign/signature")?).ok()?;
    Some(Signed {
        message: layer.bytes.to_vec(),
        signatures: vec![signature],
        document: serde_json::from_slice(layer.bytes).ok()?,
        entries: entries(layer),
        timestamps: timestamps(layer),
        certificate: certificate(layer),
        chain: chain(layer),
        kind: Kind::Payload,
        is_bundle: false,
    })
}

/// Reads an attestation; `None` for what is none.
pub(super) fn attestation(layer: &Layer<'_>) -> Option<Signed> {
    let envelope: Value = serde_json::from_slice(layer.bytes).ok()?;
    let text = |key: &str| envelope.get(key).and_then(Value::as_str);
    let kind = text("payloadType").filter(|kind| *kind == "application/vnd.in-toto+json")?;
    let payload = STANDARD.decode(text("payload")?).ok()?;
    let signatures = envelope.get("signatures").and_then(Value::as_array)?;
    let signature = |one: &Value| STANDARD.decode(one.get("sig")?.as_str()?).ok();
    let signatures = signatures.iter().take(10).filter_map(signature).collect();
    let document = serde_json::from_slice(&payload).ok()?;
    Some(Signed {
        entries: entries(layer),
        timestamps: timestamps(layer),
        certificate: certificate(layer),
        chain: chain(layer),
        ..Signed::of_statement(encoded_for_signing(kind, &payload), signatures, document)
    })
}

/// DSSE's pre-authentication encoding.
pub(super) fn encoded_for_signing(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}

impl Signed {
    /// A document without anything besides its signatures.
    fn bare(message: Vec<u8>, signatures: Vec<Vec<u8>>, (kind, document): (Kind, Value)) -> Self {
        Self {
            message,
            signatures,
            document,
            entries: Vec::new(),
            timestamps: Vec::new(),
            certificate: None,
            chain: Vec::new(),
            kind,
            is_bundle: false,
        }
    }

    /// A statement, as it was encoded to be signed.
    pub(super) fn of_statement(message: Vec<u8>, signatures: Vec<Vec<u8>>, document: Value) -> Self {
        Self::bare(message, signatures, (Kind::Statement, document))
    }

    /// The manifest of an image.
    pub(super) fn of_manifest(manifest: &[u8], signature: Vec<u8>) -> Self {
        Self::bare(manifest.to_vec(), vec![signature], (Kind::Text, Value::Null))
    }

    /// The manifest of an object, with what came beside the signature.
    pub(super) fn manifest(message: &[u8], (certificate, bundle): (Option<Certificate>, Option<Value>)) -> Self {
        let entries = bundle.as_ref().and_then(LogEntry::of_annotation).into_iter().collect();
        Self { entries, certificate, ..Self::bare(message.to_vec(), Vec::new(), (Kind::Text, Value::Null)) }
    }
}

impl Signed {
    /// Whether the document names the image: without that a signature of another image could be put beside this one.
    pub(super) fn is_about(&self, digest: &str) -> bool {
        match self.kind {
            Kind::Payload => {
                let named = self.document.pointer("/critical/image/docker-manifest-digest").and_then(Value::as_str);
                named == Some(digest)
            }
            Kind::Statement => self.subject(digest).is_some(),
            Kind::Text => digest_of(&self.message) == digest,
        }
    }

    /// The subject of the statement with this digest.
    fn subject(&self, digest: &str) -> Option<&Value> {
        let hex = digest.strip_prefix("sha256:")?;
        let subjects = self.document.get("subject").and_then(Value::as_array)?;
        let is_it = |one: &&Value| one.pointer("/digest/sha256").and_then(Value::as_str) == Some(hex);
        subjects.iter().take(MAX_SUBJECTS).find(is_it)
    }

    pub(super) fn predicate_type(&self) -> String {
        self.document.get("predicateType").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    pub(super) fn predicate(&self) -> Value {
        self.document.get("predicate").cloned().unwrap_or_default()
    }
}

impl Signed {
    /// Whether the document says something about the image besides its name.
    pub(super) fn says(&self, digest: &str, name: &str, value: &Value) -> bool {
        let said = match self.kind {
            Kind::Payload => self.document.get("optional"),
            Kind::Statement => self.subject(digest).and_then(|subject| subject.get("annotations")),
            Kind::Text => None,
        };
        said.and_then(|said| said.get(name)) == Some(value)
    }

    /// The statement inside the envelope.
    pub(super) fn document_bytes(&self) -> Vec<u8> {
        // The encoding ends with the payload; its length stands before it.
        let mut parts = self.message.splitn(5, |byte| *byte == b' ');
        parts.nth(4).map(<[u8]>::to_vec).unwrap_or_default()
    }
}

/// More certificates than this lie between none and its authority.
pub(super) const MAX_CHAIN: usize = 10;
/// More subjects of a statement than this are not looked at: upstream's bound.
const MAX_SUBJECTS: usize = 1024;
