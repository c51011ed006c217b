//! Signed certificate timestamps inside a certificate (RFC 6962, section 3.2): a public log has seen it.

use super::certificate::{Certificate, EXTENSIONS, Parts, named};
use super::key::{Hash, PublicKey};
use asn1::{OCTET_STRING, Reader, SEQUENCE, tlv};
use sha2::{Digest as _, Sha256};

/// Whether one of the logs has signed for the certificate; `issuer` is the key of who issued it (SubjectPublicKeyInfo).
pub(super) fn is_logged(certificate: &Certificate, issuer: &[u8], logs: &[PublicKey]) -> bool {
    let Some(list) = certificate.extension(TIMESTAMPS).and_then(|value| Reader::new(value).read(OCTET_STRING)) else {
        return false;
    };
    let Some(before) = before_logging(certificate) else { return false };
    let timestamps = list_of(list.content);
    timestamps.iter().any(|one| one.was_made_for(&before, issuer, logs))
}

/// One timestamp, as it is on the wire.
struct Timestamp<'d> {
    /// SHA-256 of the log's key.
    log: &'d [u8],
    time: &'d [u8],
    extensions: &'d [u8],
    signature: &'d [u8],
    hash: Hash,
}

impl<'d> Timestamp<'d> {
    fn read(bytes: &'d [u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (log, rest) = rest.split_at_checked(32)?;
        let (time, rest) = rest.split_at_checked(8)?;
        let (extensions, rest) = prefixed(rest)?;
        let (algorithms, rest) = rest.split_at_checked(2)?;
        let (signature, rest) = prefixed(rest)?;
        // Of TLS 1.2: SHA-256, 384, 512, signed with RSA or ECDSA.
        let hash = match algorithms {
            [4, 1 | 3] => Hash::Sha256,
            [5, 1 | 3] => Hash::Sha384,
            [6, 1 | 3] => Hash::Sha512,
            _ => return None,
        };
        (*version == 0 && rest.is_empty()).then_some(Self { log, time, extensions, signature, hash })
    }

    fn was_made_for(&self, before: &[u8], issuer: &[u8], logs: &[PublicKey]) -> bool {
        const PRECERTIFICATE: [u8; 2] = [0, 1];
        let length = u32::try_from(before.len()).unwrap_or(u32::MAX).to_be_bytes();
        let extensions = u16::try_from(self.extensions.len()).unwrap_or(u16::MAX).to_be_bytes();
        let mut message = vec![0, 0];
        for part in [
            self.time,
            &PRECERTIFICATE,
            &Sha256::digest(issuer),
            length.get(1..).unwrap_or_default(),
            before,
            &extensions,
            self.extensions,
        ] {
            message.extend_from_slice(part);
        }
        let is_by = |log: &&PublicKey| Sha256::digest(log.der()).as_slice() == self.log;
        logs.iter().filter(is_by).any(|log| log.verifies_with(self.hash, &message, self.signature))
    }
}

/// The timestamps of a list; those that cannot be read are none.
fn list_of(bytes: &[u8]) -> Vec<Timestamp<'_>> {
    let mut rest = prefixed(bytes).map(|(list, _)| list).unwrap_or_default();
    let mut found = Vec::new();
    while let Some((one, after)) = prefixed(rest) {
        found.extend(Timestamp::read(one));
        rest = after;
    }
    found
}

/// Bytes with their length, of two bytes, before them; and what follows.
fn prefixed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// The signed part of the certificate as the log has seen it: without the timestamps.
fn before_logging(certificate: &Certificate) -> Option<Vec<u8>> {
    let parts = Parts::of(certificate.der())?;
    let others = parts.extensions.iter().filter(|one| named(one).is_none_or(|(name, _)| name != TIMESTAMPS));
    let extensions: Vec<u8> = others.flat_map(|one| one.whole).copied().collect();
    let mut content = Vec::new();
    for field in parts.signed.reader() {
        if field.tag == EXTENSIONS {
            content.extend(tlv(EXTENSIONS, &tlv(SEQUENCE, &extensions)));
        } else {
            content.extend_from_slice(field.whole);
        }
    }
    Some(tlv(SEQUENCE, &content))
}

/// 1.3.6.1.4.1.11129.2.4.2
const TIMESTAMPS: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x02];
