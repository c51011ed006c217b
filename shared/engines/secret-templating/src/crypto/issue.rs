//! New certificates.

use std::net::IpAddr;

use asn1::{NULL, OCTET_STRING, SET, UTF8_STRING, integer, sequence, tlv};
use ed25519_dalek::Signer as _;
use go_time::GoDuration;
use p256::ecdsa::signature::hazmat::{PrehashSigner as _, RandomizedPrehashSigner as _};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use sha1::Digest as _;

use super::certificate::Certificate;
use super::key::{Curve, OID_ED25519, PrivateKey, public_bits};
use crate::time::Moment;

const RSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
const ECDSA_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];

/// What a certificate says.
pub(crate) struct Request<'a> {
    pub(crate) common_name: &'a str,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) dns_names: Vec<String>,
    pub(crate) from: Moment,
    pub(crate) days: i64,
    pub(crate) is_authority: bool,
    /// Sixteen bytes of chance.
    pub(crate) serial: Vec<u8>,
}

/// Issues a certificate for `key`, signed by `signer`; `issuer` is the signer's own certificate, unless it signs itself.
pub(crate) fn issue(
    request: &Request<'_>,
    key: &PrivateKey,
    (issuer, signer): (Option<&Certificate>, &PrivateKey),
) -> Option<Vec<u8>> {
    let subject = name(request.common_name);
    let until = request.from.plus(GoDuration::from_nanos(request.days.checked_mul(86_400_000_000_000)?));
    let validity = sequence(&[&time(&request.from), &time(&until)]);
    let public = key.public();
    let algorithm = algorithm(signer);
    let issuer_name = issuer.map_or(subject.as_slice(), |issuer| &issuer.subject);
    let extensions =
        tlv(0xa3, &sequence(&[&extensions(request, &public, issuer.filter(|issuer| issuer.subject != subject))?]));
    let body = sequence(&[
        &tlv(0xa0, &integer(&[2])),
        &integer(&request.serial),
        &algorithm,
        issuer_name,
        &validity,
        &subject,
        &public,
        &extensions,
    ]);
    let signature = sign(signer, &body)?;
    Some(sequence(&[&body, &algorithm, &asn1::bits(&signature)]))
}

fn name(common_name: &str) -> Vec<u8> {
    if common_name.is_empty() {
        return sequence(&[]);
    }
    let is_printable =
        common_name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" '()+,-./:=?*&".contains(&byte));
    let value = tlv(if is_printable { 0x13 } else { UTF8_STRING }, common_name.as_bytes());
    sequence(&[&tlv(SET, &sequence(&[&asn1::oid(COMMON_NAME), &value]))])
}

fn time(moment: &Moment) -> Vec<u8> {
    let year = moment.fields().year;
    if (1950..2050).contains(&year) {
        tlv(0x17, moment.format("060102150405Z").as_bytes())
    } else {
        tlv(0x18, moment.format("20060102150405Z").as_bytes())
    }
}

fn extensions(request: &Request<'_>, public: &[u8], issuer: Option<&Certificate>) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    let mut add = |id: u8, is_critical: bool, value: Vec<u8>| {
        let critical: &[u8] = if is_critical { &[0x01, 0x01, 0xff] } else { &[] };
        all.extend(sequence(&[&asn1::oid(&[0x55, 0x1d, id]), critical, &tlv(OCTET_STRING, &value)]));
    };
    // Digital signature and key encipherment; an authority signs certificates too.
    add(0x0f, true, tlv(asn1::BIT_STRING, if request.is_authority { &[0x02, 0xa4] } else { &[0x05, 0xa0] }));
    add(0x25, false, sequence(&[&asn1::oid(SERVER_AUTH), &asn1::oid(CLIENT_AUTH)]));
    add(0x13, true, if request.is_authority { sequence(&[&[0x01, 0x01, 0xff]]) } else { sequence(&[]) });
    if request.is_authority {
        let hash = sha2::Sha256::digest(public_bits(public)?);
        add(0x0e, false, tlv(OCTET_STRING, hash.get(..20)?));
    }
    if let Some(issuer) = issuer.filter(|issuer| !issuer.subject_key.is_empty()) {
        add(0x23, false, sequence(&[&tlv(0x80, &issuer.subject_key)]));
    }
    let names = request.dns_names.iter().map(|name| tlv(0x82, name.as_bytes()));
    let addresses = request.addresses.iter().map(|address| match address {
        IpAddr::V4(four) => tlv(0x87, &four.octets()),
        IpAddr::V6(six) => tlv(0x87, &six.octets()),
    });
    let names: Vec<u8> = names.chain(addresses).flatten().collect();
    if !names.is_empty() {
        add(0x11, request.common_name.is_empty(), tlv(asn1::SEQUENCE, &names));
    }
    Some(all)
}

fn algorithm(signer: &PrivateKey) -> Vec<u8> {
    match signer {
        PrivateKey::Rsa(_) => sequence(&[&asn1::oid(RSA_SHA256), NULL]),
        PrivateKey::Ec { curve: Curve::P256, .. } => sequence(&[&asn1::oid(ECDSA_SHA256)]),
        PrivateKey::Ec { curve: Curve::P384, .. } => sequence(&[&asn1::oid(ECDSA_SHA384)]),
        PrivateKey::Ec { curve: Curve::P521, .. } => sequence(&[&asn1::oid(ECDSA_SHA512)]),
        PrivateKey::Ed25519 { .. } => sequence(&[&asn1::oid(OID_ED25519)]),
    }
}

fn sign(signer: &PrivateKey, body: &[u8]) -> Option<Vec<u8>> {
    match signer {
        PrivateKey::Rsa(key) => {
            let digest = sha2::Sha256::digest(body);
            key.sign(rsa::Pkcs1v15Sign::new::<sha2::Sha256>(), &digest).ok()
        }
        PrivateKey::Ec { curve: Curve::P256, scalar, .. } => {
            let key = p256::ecdsa::SigningKey::from_slice(scalar).ok()?;
            let signature: p256::ecdsa::Signature = key.sign_prehash(&sha2::Sha256::digest(body)).ok()?;
            Some(signature.to_der().as_bytes().to_vec())
        }
        PrivateKey::Ec { curve: Curve::P384, scalar, .. } => {
            let key = p384::ecdsa::SigningKey::from_slice(scalar).ok()?;
            let signature: p384::ecdsa::Signature = key.sign_prehash(&sha2::Sha384::digest(body)).ok()?;
            Some(signature.to_der().as_bytes().to_vec())
        }
        PrivateKey::Ec { curve: Curve::P521, scalar, .. } => {
            let digest = sha2::Sha512::digest(body);
            // The nonce depends on key and message alone, as with the other curves.
            let seed = sha2::Sha256::new().chain_update(scalar.as_slice()).chain_update(digest).finalize();
            let mut nonce = ChaCha20Rng::from_seed(seed.into());
            let key = p521::ecdsa::SigningKey::from_slice(scalar).ok()?;
            let signature: p521::ecdsa::Signature = key.sign_prehash_with_rng(&mut nonce, &digest).ok()?;
            Some(signature.to_der().as_bytes().to_vec())
        }
        PrivateKey::Ed25519 { seed } => {
            Some(ed25519_dalek::SigningKey::from_bytes(seed).sign(body).to_bytes().to_vec())
        }
    }
}
