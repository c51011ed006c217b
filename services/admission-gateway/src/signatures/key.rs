//! Public keys as PEM: ECDSA on P-256 and P-384, RSA, Ed25519 (RFC 5280, 5480, 8410).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512,
    UnparsedPublicKey, VerificationAlgorithm,
};

/// A public key and how it verifies.
#[derive(Clone)]
pub(super) struct PublicKey {
    algorithm: &'static dyn VerificationAlgorithm,
    bytes: Vec<u8>,
    rsa: bool,
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublicKey").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EDWARDS: &[u8] = &[0x2b, 0x65, 0x70];

impl PublicKey {
    /// Reads a PEM block `PUBLIC KEY`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn from_pem(text: &str) -> Result<Self, String> {
        let body = text
            .split_once("-----BEGIN PUBLIC KEY-----")
            .and_then(|(_, rest)| rest.split_once("-----END PUBLIC KEY-----"))
            .ok_or("not a PEM block `PUBLIC KEY`")?
            .0;
        let base64: String = body.split_whitespace().collect();
        let der = STANDARD.decode(base64).map_err(|error| format!("the PEM block is not base64: {error}"))?;
        Self::from_der(&der).ok_or_else(|| "not a key of ECDSA (P-256, P-384), RSA or Ed25519".to_owned())
    }

    fn from_der(der: &[u8]) -> Option<Self> {
        let (whole, _) = element(der, 0x30)?;
        let (algorithm, rest) = element(whole, 0x30)?;
        let (bits, _) = element(rest, 0x03)?;
        let key = bits.strip_prefix(&[0])?;
        let (oid, parameters) = element(algorithm, 0x06)?;
        let curve = element(parameters, 0x06).map(|(curve, _)| curve);
        let algorithm: &'static dyn VerificationAlgorithm = match (oid, curve) {
            (EC, Some(P256)) => &ECDSA_P256_SHA256_ASN1,
            (EC, Some(P384)) => &ECDSA_P384_SHA384_ASN1,
            (RSA, _) => &RSA_PKCS1_2048_8192_SHA256,
            (EDWARDS, _) => &ED25519,
            _ => return None,
        };
        Some(Self { algorithm, bytes: key.to_vec(), rsa: oid == RSA })
    }

    /// The key with SHA-512 where its signatures are made with that.
    pub(super) fn with_sha512(mut self) -> Self {
        if self.rsa {
            self.algorithm = &RSA_PKCS1_2048_8192_SHA512;
        }
        self
    }

    /// Whether `signature` over `message` was made with this key.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(self.algorithm, &self.bytes).verify(message, signature).is_ok()
    }
}

/// The content of the DER element with `tag` at the front, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count > 4 {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(count)?;
        (bytes.iter().fold(0_usize, |length, byte| (length << 8) | usize::from(*byte)), rest)
    };
    let (content, after) = rest.split_at_checked(length)?;
    (found == tag).then_some((content, after))
}
