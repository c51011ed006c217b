//! Private keys: PKCS#1, PKCS#8 and SEC 1, read and written.

use asn1::{BIT_STRING, INTEGER, NULL, OCTET_STRING, OID, Reader, SEQUENCE, integer, sequence, tlv};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};
use rsa::{BigUint, RsaPrivateKey};
use zeroize::Zeroizing;

pub(crate) const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const OID_EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const OID_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const OID_P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const OID_P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
pub(crate) const OID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// Curves of elliptic keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    pub(crate) fn oid(self) -> &'static [u8] {
        match self {
            Self::P256 => OID_P256,
            Self::P384 => OID_P384,
            Self::P521 => OID_P521,
        }
    }

    /// Bytes of a coordinate.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    fn of_oid(oid: &[u8]) -> Option<Self> {
        [Self::P256, Self::P384, Self::P521].into_iter().find(|curve| curve.oid() == oid)
    }

    /// The public point of a scalar, uncompressed.
    fn point(self, scalar: &[u8]) -> Option<Vec<u8>> {
        Some(match self {
            Self::P256 => {
                p256::SecretKey::from_slice(scalar).ok()?.public_key().to_encoded_point(false).as_bytes().to_vec()
            }
            Self::P384 => {
                p384::SecretKey::from_slice(scalar).ok()?.public_key().to_encoded_point(false).as_bytes().to_vec()
            }
            Self::P521 => {
                p521::SecretKey::from_slice(scalar).ok()?.public_key().to_encoded_point(false).as_bytes().to_vec()
            }
        })
    }

    /// Whether a point lies on the curve.
    pub(crate) fn has(self, point: &[u8]) -> bool {
        match self {
            Self::P256 => p256::PublicKey::from_sec1_bytes(point).is_ok(),
            Self::P384 => p384::PublicKey::from_sec1_bytes(point).is_ok(),
            Self::P521 => p521::PublicKey::from_sec1_bytes(point).is_ok(),
        }
    }
}

/// A private key.
pub(crate) enum PrivateKey {
    Rsa(Box<RsaPrivateKey>),
    Ec { curve: Curve, scalar: Zeroizing<Vec<u8>>, point: Vec<u8> },
    Ed25519 { seed: Zeroizing<[u8; 32]> },
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

impl PrivateKey {
    /// An elliptic key from its scalar.
    pub(crate) fn elliptic(curve: Curve, scalar: &[u8]) -> Option<Self> {
        let missing = curve.size().checked_sub(scalar.len())?;
        let padded = Zeroizing::new([vec![0; missing], scalar.to_vec()].concat());
        let point = curve.point(&padded)?;
        Some(Self::Ec { curve, scalar: padded, point })
    }

    /// An RSA key from modulus, public exponent, private exponent and primes, checked.
    pub(crate) fn rsa(n: &[u8], e: &[u8], d: &[u8], primes: &[&[u8]]) -> Option<Self> {
        if n.len() > 2_048 {
            return None;
        }
        let number = BigUint::from_bytes_be;
        let primes = primes.iter().map(|prime| number(prime)).collect();
        let mut key = RsaPrivateKey::from_components(number(n), number(e), number(d), primes).ok()?;
        key.validate().ok()?;
        key.precompute().ok()?;
        Some(Self::Rsa(Box::new(key)))
    }

    /// Reads a key of any of the three forms.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        Self::from_pkcs1(bytes).or_else(|| Self::from_pkcs8(bytes)).or_else(|| Self::from_sec1(bytes, None))
    }

    pub(crate) fn from_pkcs1(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::single(bytes, SEQUENCE)?;
        (reader.small()? == 0).then_some(())?;
        let mut next = || reader.read(INTEGER).map(|element| element.content);
        let (n, e, d, p, q) = (next()?, next()?, next()?, next()?, next()?);
        Self::rsa(n, e, d, &[p, q])
    }

    pub(crate) fn from_pkcs8(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::single(bytes, SEQUENCE)?;
        (reader.small()? <= 1).then_some(())?;
        let mut algorithm = reader.read(SEQUENCE)?.reader();
        let inner = reader.read(OCTET_STRING)?.content;
        match algorithm.read(OID)?.content {
            OID_RSA => Self::from_pkcs1(inner),
            OID_EC => Self::from_sec1(inner, Curve::of_oid(algorithm.read(OID)?.content)),
            OID_ED25519 => {
                let seed = Reader::new(inner).read(OCTET_STRING)?.content;
                Some(Self::Ed25519 { seed: Zeroizing::new(seed.try_into().ok()?) })
            }
            _ => None,
        }
    }

    pub(crate) fn from_sec1(bytes: &[u8], curve: Option<Curve>) -> Option<Self> {
        let mut reader = Reader::single(bytes, SEQUENCE)?;
        (reader.small()? == 1).then_some(())?;
        let scalar = reader.read(OCTET_STRING)?.content;
        let named = reader.read(0xa0).and_then(|named| named.reader().read(OID)).map(|oid| oid.content);
        let curve = curve.or_else(|| Curve::of_oid(named?))?;
        let digits = scalar.iter().position(|byte| *byte != 0).and_then(|at| scalar.get(at..))?;
        Self::elliptic(curve, digits)
    }

    pub(crate) fn to_pkcs1(key: &RsaPrivateKey) -> Vec<u8> {
        let number = |number: &BigUint| integer(&number.to_bytes_be());
        let [p, q] = key.primes() else { return Vec::new() };
        let one = BigUint::from(1_u8);
        let (first, second) = (key.d() % (p - &one), key.d() % (q - &one));
        let inverse = q.modpow(&(p - &BigUint::from(2_u8)), p);
        sequence(&[
            &integer(&[0]),
            &number(key.n()),
            &number(key.e()),
            &number(key.d()),
            &number(p),
            &number(q),
            &number(&first),
            &number(&second),
            &number(&inverse),
        ])
    }

    fn to_sec1((curve, scalar, point): (Curve, &[u8], &[u8]), is_named: bool) -> Vec<u8> {
        let name = if is_named { tlv(0xa0, &asn1::oid(curve.oid())) } else { Vec::new() };
        sequence(&[&integer(&[1]), &tlv(OCTET_STRING, scalar), &name, &tlv(0xa1, &asn1::bits(point))])
    }

    pub(crate) fn to_pkcs8(&self) -> Vec<u8> {
        let (algorithm, inner) = match self {
            Self::Rsa(key) => (sequence(&[&asn1::oid(OID_RSA), NULL]), Self::to_pkcs1(key)),
            Self::Ec { curve, scalar, point } => (
                sequence(&[&asn1::oid(OID_EC), &asn1::oid(curve.oid())]),
                Self::to_sec1((*curve, scalar, point), false),
            ),
            Self::Ed25519 { seed } => (sequence(&[&asn1::oid(OID_ED25519)]), tlv(OCTET_STRING, seed.as_slice())),
        };
        sequence(&[&integer(&[0]), &algorithm, &tlv(OCTET_STRING, &inner)])
    }

    /// PEM in the form of the key's own kind.
    pub(crate) fn to_pem(&self) -> String {
        match self {
            Self::Rsa(key) => super::pem::encode("RSA PRIVATE KEY", &Self::to_pkcs1(key)),
            Self::Ec { curve, scalar, point } => {
                super::pem::encode("EC PRIVATE KEY", &Self::to_sec1((*curve, scalar, point), true))
            }
            Self::Ed25519 { .. } => super::pem::encode("PRIVATE KEY", &self.to_pkcs8()),
        }
    }

    /// The public key as certificates hold it.
    pub(crate) fn public(&self) -> Vec<u8> {
        match self {
            Self::Rsa(key) => rsa_public(&key.n().to_bytes_be(), &key.e().to_bytes_be()),
            Self::Ec { curve, point, .. } => ec_public(*curve, point),
            Self::Ed25519 { seed } => {
                ed25519_public(ed25519_dalek::SigningKey::from_bytes(seed).verifying_key().as_bytes())
            }
        }
    }
}

pub(crate) fn rsa_public(n: &[u8], e: &[u8]) -> Vec<u8> {
    let algorithm = sequence(&[&asn1::oid(OID_RSA), NULL]);
    sequence(&[&algorithm, &asn1::bits(&sequence(&[&integer(n), &integer(e)]))])
}

pub(crate) fn ec_public(curve: Curve, point: &[u8]) -> Vec<u8> {
    let algorithm = sequence(&[&asn1::oid(OID_EC), &asn1::oid(curve.oid())]);
    sequence(&[&algorithm, &asn1::bits(point)])
}

pub(crate) fn ed25519_public(key: &[u8]) -> Vec<u8> {
    sequence(&[&sequence(&[&asn1::oid(OID_ED25519)]), &asn1::bits(key)])
}

/// The bits of a public key as a certificate holds it.
pub(crate) fn public_bits(spki: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::single(spki, SEQUENCE)?;
    reader.read(SEQUENCE)?;
    reader.read(BIT_STRING)?.content.get(1..)
}
