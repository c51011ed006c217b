//! Entries of transparency logs (Rekor, both versions): which signature they are about, and what a log promises or proves of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::certificate::Certificate;
use super::checkpoint::InclusionProof;
use super::cosign::Signed;
use super::key::{PublicKey, pem_blocks};

/// An entry, as it came with a signature.
#[derive(Clone, Debug)]
pub(super) struct LogEntry {
    /// What the log took up (base64).
    pub(super) body: String,
    /// When it did so, in seconds since 1970; 0 when it does not say.
    pub(super) time: u64,
    /// The log's name for itself, and its number of the entry.
    pub(super) log: String,
    pub(super) index: u64,
    /// The log's signature under all that.
    pub(super) promise: Option<Vec<u8>>,
    pub(super) proof: Option<InclusionProof>,
}

impl LogEntry {
    /// Reads the annotation that lies beside a signature of cosign's older form.
    pub(super) fn of_annotation(bundle: &Value) -> Option<Self> {
        let payload = bundle.get("Payload")?;
        let text = |key: &str| payload.get(key).and_then(Value::as_str).map(str::to_owned);
        let number = |key: &str| payload.get(key).and_then(Value::as_u64);
        let promise = STANDARD.decode(bundle.get("SignedEntryTimestamp")?.as_str()?).ok()?;
        Some(Self {
            body: text("body")?,
            time: number("integratedTime")?,
            log: text("logID")?,
            index: number("logIndex")?,
            promise: Some(promise),
            proof: None,
        })
    }

    /// Whether one of the logs has this very entry, and it is about the signature (and the certificate, where there is one). The time at
    /// which the log took it up comes along, where the log signed for that.
    pub(super) fn vouches(
        &self,
        (signed, signature): (&Signed, &[u8]),
        certificate: Option<&Certificate>,
        logs: &[PublicKey],
    ) -> Option<Option<u64>> {
        let body = STANDARD.decode(&self.body).ok()?;
        let parsed: Value = serde_json::from_slice(&body).ok()?;
        if !Body(&parsed).is_about(signed, signature, certificate) {
            return None;
        }
        let time = match &self.promise {
            Some(promise) => {
                let text = self.promised();
                logs.iter().find(|log| log.is_good_at(self.time) && log.verifies(text.as_bytes(), promise))?;
                Some(self.time)
            }
            None => None,
        };
        match &self.proof {
            Some(proof) => drop(proof.holder(&body, logs)?),
            None => drop(time?),
        }
        Some(time)
    }

    /// What the log signs as its promise: JSON with sorted keys and no spaces.
    fn promised(&self) -> String {
        format!(
            "{{\"body\":{},\"integratedTime\":{},\"logID\":{},\"logIndex\":{}}}",
            Value::from(self.body.as_str()),
            self.time,
            Value::from(self.log.as_str()),
            self.index
        )
    }
}

/// What a log took up.
struct Body<'b>(&'b Value);

impl Body<'_> {
    fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer).and_then(Value::as_str)
    }

    fn list(&self, pointer: &str) -> &[Value] {
        self.0.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    fn is_about(&self, signed: &Signed, signature: &[u8], certificate: Option<&Certificate>) -> bool {
        let encoded = STANDARD.encode(signature);
        let is_it = match (self.text("/kind"), self.text("/apiVersion")) {
            (Some("hashedrekord" | "dsse"), Some("0.0.2")) => return self.is_second(signed, &encoded, certificate),
            (Some("hashedrekord"), _) => {
                let algorithm = self.text("/spec/data/hash/algorithm").unwrap_or("sha256");
                self.text("/spec/data/hash/value") == digest(algorithm, &signed.message).map(hex).as_deref()
                    && self.text("/spec/signature/content") == Some(&encoded)
            }
            (Some("intoto" | "dsse"), _) => {
                let hash = hex(Sha256::digest(signed.document_bytes()).to_vec());
                ["/spec/content/payloadHash/value", "/spec/payloadHash/value"]
                    .iter()
                    .any(|at| self.text(at) == Some(&hash))
                    && (!signed.is_bundle || self.has_signature(&encoded))
            }
            _ => false,
        };
        is_it && certificate.is_none_or(|certificate| self.names(certificate))
    }

    /// Whether the entry has the signature of an envelope; some versions of the log encode it twice.
    fn has_signature(&self, encoded: &str) -> bool {
        let twice = STANDARD.encode(encoded);
        let of = |pointer: &str, key: &str, wanted: &str| {
            self.list(pointer).first().and_then(|one| one.get(key)?.as_str()) == Some(wanted)
        };
        of("/spec/signatures", "signature", encoded) || of("/spec/content/envelope/signatures", "sig", &twice)
    }

    /// The second version of the log: the hash of what was signed, the signature, and the certificate or key.
    fn is_second(&self, signed: &Signed, encoded: &str, certificate: Option<&Certificate>) -> bool {
        let is_hashed = |pointer: &str, message: &[u8]| {
            let hash = self.text(&format!("{pointer}/algorithm")).and_then(|name| digest(name, message));
            hash.is_some()
                && self.text(&format!("{pointer}/digest")) == hash.map(|hash| STANDARD.encode(hash)).as_deref()
        };
        let (is_it, signature) = match self.text("/kind") {
            Some("dsse") => (
                is_hashed("/spec/dsseV002/payloadHash", &signed.document_bytes()),
                self.0.pointer("/spec/dsseV002/signatures/0"),
            ),
            _ => (
                is_hashed("/spec/hashedRekordV002/data", &signed.message),
                self.0.pointer("/spec/hashedRekordV002/signature"),
            ),
        };
        let text = |pointer: &str| signature.and_then(|one| one.pointer(pointer)?.as_str());
        let is_named = |certificate: &Certificate| {
            text("/verifier/x509Certificate/rawBytes") == Some(&STANDARD.encode(certificate.der()))
        };
        is_it && text("/content") == Some(encoded) && certificate.is_none_or(is_named)
    }

    /// Whether the entry names the certificate: else who holds an old certificate's key could pass off the entry of another.
    fn names(&self, certificate: &Certificate) -> bool {
        let single =
            ["/spec/signature/publicKey/content", "/spec/publicKey"].into_iter().filter_map(|at| self.text(at));
        let of =
            |pointer: &str, key: &'static str| self.list(pointer).iter().filter_map(move |one| one.get(key)?.as_str());
        let of_signatures = of("/spec/signatures", "verifier");
        let of_envelope = of("/spec/content/envelope/signatures", "publicKey");
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
        single.chain(of_signatures).chain(of_envelope).any(|text| is_it(text) == Some(true))
    }
}

/// A hash by either of its names.
fn digest(algorithm: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    Some(match algorithm {
        "sha256" | "SHA2_256" => Sha256::digest(bytes).to_vec(),
        "sha384" | "SHA2_384" => Sha384::digest(bytes).to_vec(),
        "sha512" | "SHA2_512" => Sha512::digest(bytes).to_vec(),
        _ => return None,
    })
}

fn hex(bytes: Vec<u8>) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
