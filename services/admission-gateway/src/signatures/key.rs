//! Public keys as PEM: ECDSA on P-256, P-384 and P-521, RSA, Ed25519 (RFC 5280, 5480, 8410).

use asn1::{BIT_STRING, OID, Reader, SEQUENCE};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey,
    VerificationAlgorithm,
};
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};

/// A public key.
#[derive(Clone)]
pub(super) struct PublicKey {
    kind: Kind,
    bytes: Vec<u8>,
    /// The key with its algorithm (SubjectPublicKeyInfo).
    der: Vec<u8>,
    /// From when until when it is believed, in seconds since 1970.
    valid: (u64, u64),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    P256,
    P384,
    P521,
    Rsa,
    Edwards,
}

/// How a message is hashed before it is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hash {
    Sha224,
    #[default]
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// Reads the word that policies use; nothing stands for SHA-256.
    ///
    /// # Errors
    /// For a hash that is not verified.
    pub(super) fn parse(word: &str) -> Result<Self, String> {
        match word {
            "" | "sha256" => Ok(Self::Sha256),
            "sha224" => Ok(Self::Sha224),
            "sha384" => Ok(Self::Sha384),
            "sha512" => Ok(Self::Sha512),
            other => Err(format!("signature algorithm {other} is not verified: use sha224, sha256, sha384 or sha512")),
        }
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublicKey").field("kind", &self.kind).finish_non_exhaustive()
    }
}

const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EDWARDS: &[u8] = &[0x2b, 0x65, 0x70];

impl PublicKey {
    /// Reads a PEM block `PUBLIC KEY`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn from_pem(text: &str) -> Result<Self, String> {
        let ders = pem_blocks(text, "PUBLIC KEY")?;
        let der = ders.first().ok_or("not a PEM block `PUBLIC KEY`")?;
        Self::from_der(der).ok_or_else(|| "not a key of ECDSA (P-256, P-384, P-521), RSA or Ed25519".to_owned())
    }

    /// Reads a SubjectPublicKeyInfo.
    pub(super) fn from_der(der: &[u8]) -> Option<Self> {
        let mut parts = Reader::new(der).read(SEQUENCE)?.reader();
        let mut algorithm = parts.read(SEQUENCE)?.reader();
        let key = parts.read(BIT_STRING)?.content.strip_prefix(&[0])?;
        let oid = algorithm.read(OID)?.content;
        let kind = match (oid, algorithm.read(OID).map(|curve| curve.content)) {
            (EC, Some(P256)) => Kind::P256,
            (EC, Some(P384)) => Kind::P384,
            (EC, Some(P521)) => Kind::P521,
            (RSA, _) => Kind::Rsa,
            (EDWARDS, _) => Kind::Edwards,
            _ => return None,
        };
        Some(Self { kind, bytes: key.to_vec(), der: der.to_vec(), valid: (0, u64::MAX) })
    }

    /// The same key, believed only for a time.
    pub(super) fn valid_within(self, valid: (u64, u64)) -> Self {
        Self { valid, ..self }
    }

    /// Whether it was believed at a time.
    pub(super) fn is_good_at(&self, time: u64) -> bool {
        (self.valid.0..=self.valid.1).contains(&time)
    }

    /// The key with its algorithm (SubjectPublicKeyInfo, DER).
    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether `signature` over the SHA-256 of `message` (or over the message itself, for Ed25519) was made with this key.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifies_with(Hash::Sha256, message, signature)
    }

    /// As [`verifies`](Self::verifies), with another hash.
    pub(super) fn verifies_with(&self, hash: Hash, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match (self.kind, hash) {
            (Kind::P256, Hash::Sha256) => &ECDSA_P256_SHA256_ASN1,
            (Kind::P256, Hash::Sha384) => &ECDSA_P256_SHA384_ASN1,
            (Kind::P384, Hash::Sha256) => &ECDSA_P384_SHA256_ASN1,
            (Kind::P384, Hash::Sha384) => &ECDSA_P384_SHA384_ASN1,
            (Kind::Rsa, Hash::Sha256) => &RSA_PKCS1_2048_8192_SHA256,
            (Kind::Rsa, Hash::Sha384) => &RSA_PKCS1_2048_8192_SHA384,
            (Kind::Rsa, Hash::Sha512) => &RSA_PKCS1_2048_8192_SHA512,
            (Kind::Edwards, _) => &ED25519,
            (Kind::P256 | Kind::P384 | Kind::P521, _) => {
                return self.made_on_curve(&hash.of(message), signature) == Some(true);
            }
            (Kind::Rsa, Hash::Sha224) => return false,
        };
        UnparsedPublicKey::new(algorithm, &self.bytes).verify(message, signature).is_ok()
    }
}

impl Hash {
    /// The hash of a message.
    pub(super) fn of(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha224 => Sha224::digest(message).to_vec(),
            Self::Sha256 => Sha256::digest(message).to_vec(),
            Self::Sha384 => Sha384::digest(message).to_vec(),
            Self::Sha512 => Sha512::digest(message).to_vec(),
        }
    }
}

impl PublicKey {
    /// The same for pairs of curve and hash that are seldom used: whether the signature is over a hash.
    fn made_on_curve(&self, digest: &[u8], signature: &[u8]) -> Option<bool> {
        let bytes = &self.bytes;
        Some(match self.kind {
            Kind::P256 => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(bytes).ok()?;
                key.verify_prehash(digest, &p256::ecdsa::Signature::from_der(signature).ok()?).is_ok()
            }
            Kind::P384 => {
                let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(bytes).ok()?;
                key.verify_prehash(digest, &p384::ecdsa::Signature::from_der(signature).ok()?).is_ok()
            }
            Kind::P521 => {
                let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(bytes).ok()?;
                // Short hashes are the same number with zeros before them.
                let mut number = [0; 66];
                number.get_mut(66_usize.checked_sub(digest.len())?..)?.copy_from_slice(digest);
                key.verify_prehash(&number, &p521::ecdsa::Signature::from_der(signature).ok()?).is_ok()
            }
            Kind::Rsa | Kind::Edwards => return None,
        })
    }
}

/// The contents of all PEM blocks with a label.
///
/// # Errors
/// A block that is not base64.
pub(super) fn pem_blocks(text: &str, label: &str) -> Result<Vec<Vec<u8>>, String> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(&begin) {
        let Some((body, after)) = after.split_once(&end) else { break };
        let base64: String = body.split_whitespace().collect();
        blocks.push(STANDARD.decode(base64).map_err(|error| format!("the PEM block is not base64: {error}"))?);
        rest = after;
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use p256::ecdsa::signature::hazmat::{PrehashSigner as _, RandomizedPrehashSigner as _};
    use p521::elliptic_curve::rand_core::{CryptoRng, Error, RngCore};

    use super::{Hash, PublicKey};

    /// Good enough for a test.
    struct Counter(u8);

    impl RngCore for Counter {
        fn next_u32(&mut self) -> u32 {
            0
        }

        fn next_u64(&mut self) -> u64 {
            0
        }

        fn fill_bytes(&mut self, bytes: &mut [u8]) {
            for byte in bytes {
                self.0 = self.0.wrapping_mul(5).wrapping_add(1);
                *byte = self.0;
            }
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
            self.fill_bytes(bytes);
            Ok(())
        }
    }

    impl CryptoRng for Counter {}

    /// Object identifiers of the curves.
    const CURVES: [&[u8]; 3] = [super::P256, super::P384, super::P521];

    /// A key in PEM from its point.
    fn pem(curve: &[u8], point: &[u8]) -> String {
        let algorithm = asn1::sequence(&[&asn1::oid(super::EC), &asn1::oid(curve)]);
        let der = asn1::sequence(&[&algorithm, &asn1::bits(point)]);
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }

    #[test]
    fn every_curve_goes_with_every_hash() {
        let (small, middle, large) = (
            p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap(),
            p384::ecdsa::SigningKey::from_slice(&[7; 48]).unwrap(),
            p521::ecdsa::SigningKey::from_slice(&[&[0; 2][..], &[7; 64]].concat()).unwrap(),
        );
        let points = [
            small.verifying_key().to_encoded_point(false).as_bytes().to_vec(),
            middle.verifying_key().to_encoded_point(false).as_bytes().to_vec(),
            p521::ecdsa::VerifyingKey::from(&large).to_encoded_point(false).as_bytes().to_vec(),
        ];
        let keys: Vec<PublicKey> =
            CURVES.iter().zip(&points).map(|(curve, point)| PublicKey::from_pem(&pem(curve, point)).unwrap()).collect();
        for word in ["sha224", "sha256", "sha384", "sha512"] {
            let hash = Hash::parse(word).unwrap();
            let digest = hash.of(b"message");
            let long = [vec![0; 66 - digest.len()], digest.clone()].concat();
            let by_small: p256::ecdsa::Signature = small.sign_prehash(&digest).unwrap();
            let by_middle: p384::ecdsa::Signature = middle.sign_prehash(&digest).unwrap();
            let by_large: p521::ecdsa::Signature = large.sign_prehash_with_rng(&mut Counter(0), &long).unwrap();
            let made = [
                by_small.to_der().as_bytes().to_vec(),
                by_middle.to_der().as_bytes().to_vec(),
                by_large.to_der().as_bytes().to_vec(),
            ];
            for (key, signature) in keys.iter().zip(&made) {
                assert!(key.verifies_with(hash, b"message", signature), "{word} {key:?}");
                assert!(!key.verifies_with(hash, b"massage", signature), "{word} {key:?}");
            }
        }
        assert!(Hash::parse("md5").is_err());
    }
}
