//! Timestamps of an authority (RFC 3161): when a signature was there, vouched for by a certificate for timestamping.

use asn1::{Element, INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, SET, tlv};

use super::certificate::{Authorities, Certificate, TIME_STAMPING, is_authority, seconds};
use super::key::{Hash, pem_blocks};

/// Who tells the time.
#[derive(Clone, Debug)]
pub(super) struct Timestamper {
    authorities: Authorities,
    /// The only certificate that it signs with, where that is known.
    signer: Option<Vec<u8>>,
    /// When it is believed, in seconds since 1970.
    valid: (u64, u64),
}

impl Timestamper {
    /// Reads the certificates of a PEM text: at most one that signs, what lies between, and a root.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn from_pem(pem: &str) -> Result<Self, String> {
        Self::new(pem_blocks(pem, "CERTIFICATE")?, (0, u64::MAX))
    }

    /// The same from certificates, believed for a time.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem).
    pub(super) fn new(ders: Vec<Vec<u8>>, valid: (u64, u64)) -> Result<Self, String> {
        if ders.len() > MOST_CERTIFICATES {
            return Err(format!("a timestamp authority has more than {MOST_CERTIFICATES} certificates"));
        }
        let (authorities, mut signers): (Vec<_>, Vec<_>) = ders.into_iter().partition(|der| is_authority(der));
        if signers.len() > 1 || authorities.is_empty() {
            return Err("a timestamp authority needs a root certificate, and at most one that signs".to_owned());
        }
        let mut known = Authorities::default();
        known.add_all(authorities)?;
        Ok(Self { authorities: known, signer: signers.pop(), valid })
    }

    /// When the authority saw `signature`, in seconds since 1970.
    ///
    /// # Errors
    /// Why the timestamp does not count.
    pub(super) fn saw(&self, response: &[u8], signature: &[u8]) -> Result<u64, String> {
        let token = Token::of(response).ok_or("the timestamp is malformed, or says that there is none")?;
        let fact = Fact::of(token.content).ok_or("what the timestamp says is malformed")?;
        if hashed(fact.hash, signature).as_deref() != Some(fact.imprint) {
            return Err("the timestamp is for another signature".to_owned());
        }
        let certificate = self.certificate_of(&token).ok_or("the timestamp does not say who signed it")?;
        if !token.is_signed_by(&certificate) {
            return Err("the timestamp was not signed by who it says".to_owned());
        }
        certificate.issued_for(TIME_STAMPING, (&self.authorities, &token.certificates), fact.time)?;
        let (from, until) = self.valid;
        if (from..=until).contains(&fact.time) {
            Ok(fact.time)
        } else {
            Err("the timestamp is from when its authority was not believed".to_owned())
        }
    }

    /// The certificate that the token says it was signed by.
    fn certificate_of(&self, token: &Token<'_>) -> Option<Certificate> {
        let is_meant = |der: &&Vec<u8>| token.signer.names(der);
        let der = match &self.signer {
            Some(signer) => Some(signer).filter(is_meant)?,
            None => token.certificates.iter().find(is_meant)?,
        };
        Certificate::from_der(der.clone())
    }
}

/// Reads bytes as a timestamp, and asks about all of it.
pub(super) fn read_any(bytes: &[u8]) {
    let Some(token) = Token::of(bytes) else { return };
    drop(Fact::of(token.content).and_then(|fact| hashed(fact.hash, bytes)));
    for der in &token.certificates {
        let is_by = |certificate: Certificate| token.signer.names(der) && token.is_signed_by(&certificate);
        let _ = Certificate::from_der(der.clone()).map(is_by);
    }
}

/// A signed token (CMS SignedData, RFC 5652), as far as it is looked at.
struct Token<'d> {
    /// What it says (TSTInfo).
    content: &'d [u8],
    certificates: Vec<Vec<u8>>,
    signer: Signer<'d>,
}

/// Who signed a token, and how.
struct Signer<'d> {
    /// Name of the issuer and serial number of the certificate.
    issuer: &'d [u8],
    serial: &'d [u8],
    digest: &'d [u8],
    attributes: Element<'d>,
    algorithm: &'d [u8],
    signature: &'d [u8],
}

impl<'d> Token<'d> {
    fn of(response: &'d [u8]) -> Option<Self> {
        let mut fields = Reader::new(response).read(SEQUENCE)?.reader();
        let status = fields.read(SEQUENCE)?.reader().small()?;
        (status <= GRANTED_WITH_CHANGES).then_some(())?;
        let mut outer = fields.read(SEQUENCE)?.reader();
        (outer.read(OID)?.content == SIGNED_DATA).then_some(())?;
        let mut data = outer.read(FIRST)?.reader().read(SEQUENCE)?.reader();
        data.read(INTEGER)?;
        data.read(SET)?;
        let mut inner = data.read(SEQUENCE)?.reader();
        (inner.read(OID)?.content == TIMESTAMP_INFO).then_some(())?;
        let content = inner.read(FIRST)?.reader().read(OCTET_STRING)?.content;
        let certificates = data.read(FIRST).map(|list| list.reader()).into_iter().flatten();
        let certificates = certificates.take(MOST_CERTIFICATES).map(|one| one.whole.to_vec()).collect();
        data.read(SECOND);
        let signer = Signer::of(data.read(SET)?.reader().read(SEQUENCE)?)?;
        Some(Self { content, certificates, signer })
    }

    /// Whether the signature is by the certificate's key, over attributes that name the content.
    fn is_signed_by(&self, certificate: &Certificate) -> bool {
        let digest = self.signer.attribute(MESSAGE_DIGEST, OCTET_STRING);
        let kind = self.signer.attribute(CONTENT_TYPE, OID);
        if kind != Some(TIMESTAMP_INFO)
            || digest.is_none()
            || digest != hashed(self.signer.digest, self.content).as_deref()
        {
            return false;
        }
        // What is signed is the attributes as the set that they are.
        let message = tlv(SET, self.signer.attributes.content);
        let hash = hash_of(self.signer.algorithm).or_else(|| hash_of(self.signer.digest));
        hash.is_some_and(|hash| certificate.key.verifies_with(hash, &message, self.signer.signature))
    }
}

impl<'d> Signer<'d> {
    fn of(element: Element<'d>) -> Option<Self> {
        let mut fields = element.reader();
        fields.read(INTEGER)?;
        let mut named = fields.read(SEQUENCE)?.reader();
        let (issuer, serial) = (named.read(SEQUENCE)?.whole, named.read(INTEGER)?.content);
        let digest = fields.read(SEQUENCE)?.reader().read(OID)?.content;
        let attributes = fields.read(FIRST)?;
        let algorithm = fields.read(SEQUENCE)?.reader().read(OID)?.content;
        let signature = fields.read(OCTET_STRING)?.content;
        Some(Self { issuer, serial, digest, attributes, algorithm, signature })
    }

    /// Whether it is this certificate that is meant.
    fn names(&self, der: &[u8]) -> bool {
        let found = || {
            let mut fields = Reader::new(der).read(SEQUENCE)?.reader().read(SEQUENCE)?.reader();
            fields.read(FIRST);
            let serial = fields.read(INTEGER)?.content;
            fields.read(SEQUENCE)?;
            Some((fields.read(SEQUENCE)?.whole, serial))
        };
        found() == Some((self.issuer, self.serial))
    }

    /// The only value of an attribute.
    fn attribute(&self, name: &[u8], tag: u8) -> Option<&'d [u8]> {
        let is_it = |attribute: &Element<'d>| attribute.reader().read(OID).is_some_and(|oid| oid.content == name);
        let attribute = self.attributes.reader().find(is_it)?;
        let mut fields = attribute.reader();
        fields.read(OID)?;
        Some(fields.read(SET)?.reader().read(tag)?.content)
    }
}

/// What a timestamp says (TSTInfo).
struct Fact<'d> {
    hash: &'d [u8],
    imprint: &'d [u8],
    time: u64,
}

impl<'d> Fact<'d> {
    fn of(content: &'d [u8]) -> Option<Self> {
        let mut fields = Reader::new(content).read(SEQUENCE)?.reader();
        fields.read(INTEGER)?;
        fields.read(OID)?;
        let mut imprint = fields.read(SEQUENCE)?.reader();
        let hash = imprint.read(SEQUENCE)?.reader().read(OID)?.content;
        let imprint = imprint.read(OCTET_STRING)?.content;
        fields.read(INTEGER)?;
        Some(Self { hash, imprint, time: seconds(fields.next()?)? })
    }
}

/// The hash that an algorithm's name stands for, be it of a hash or of a signature with one.
fn hash_of(algorithm: &[u8]) -> Option<Hash> {
    let (last, front) = algorithm.split_last()?;
    let first = match front {
        SHA_2 => 1,
        ECDSA_WITH => 2,
        RSA_WITH => 11,
        ED25519 if *last == 112 => return Some(Hash::Sha512),
        _ => return None,
    };
    match last.checked_sub(first)? {
        0 => Some(Hash::Sha256),
        1 => Some(Hash::Sha384),
        2 => Some(Hash::Sha512),
        _ => None,
    }
}

fn hashed(algorithm: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    Some(hash_of(algorithm)?.of(bytes))
}

/// `[0]` and `[1]`, constructed.
const FIRST: u8 = 0xa0;
const SECOND: u8 = 0xa1;
/// The last status that comes with a timestamp.
const GRANTED_WITH_CHANGES: u32 = 1;
/// No authority has more certificates: Kyverno's bound.
const MOST_CERTIFICATES: usize = 12;
/// 1.2.840.113549.1.7.2
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
/// 1.2.840.113549.1.9.16.1.4
const TIMESTAMP_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];
/// 1.2.840.113549.1.9.3
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
/// 1.2.840.113549.1.9.4
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
/// 2.16.840.1.101.3.4.2
const SHA_2: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];
/// 1.2.840.10045.4.3
const ECDSA_WITH: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
/// 1.2.840.113549.1.1
const RSA_WITH: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
/// 1.3.101
const ED25519: &[u8] = &[0x2b, 0x65];
