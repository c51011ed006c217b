//! Encryption by password, as key stores use it.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit as _};
use asn1::{INTEGER, NULL, OCTET_STRING, OID, Reader, SEQUENCE, integer, sequence, tlv};
use hmac::Mac as _;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

const SHA_3DES: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01, 0x03];
const SHA_RC2_128: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01, 0x05];
const SHA_RC2_40: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01, 0x06];
const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];
const HMAC_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x07];
const HMAC_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09];
const HMAC_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x0b];
const AES_128: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x02];
const AES_192: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x16];
const AES_256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];

/// More rounds than a key store needs; each is work that whoever wrote the store makes us do.
const MAX_ROUNDS: u32 = 1_000_000;

/// A password as key stores spell it: UTF-16 with a zero at its end. Another spelling of the empty one is no bytes at all.
pub(crate) fn spelled(password: &str) -> Zeroizing<Vec<u8>> {
    let units = password.encode_utf16().chain([0]);
    Zeroizing::new(units.flat_map(u16::to_be_bytes).collect())
}

/// Derives `size` bytes as appendix B of RFC 7292 says. `block` is the hash's block size.
pub(crate) fn derive<D: Digest>(
    purpose: u8,
    (password, salt): (&[u8], &[u8]),
    rounds: u32,
    (size, block): (usize, usize),
) -> Option<Zeroizing<Vec<u8>>> {
    if rounds > MAX_ROUNDS || rounds == 0 {
        return None;
    }
    let fill = |bytes: &[u8]| -> Vec<u8> {
        let length = bytes.len().div_ceil(block).saturating_mul(block);
        bytes.iter().copied().cycle().take(if bytes.is_empty() { 0 } else { length }).collect()
    };
    let diversifier = vec![purpose; block];
    let mut input = Zeroizing::new([fill(salt), fill(password)].concat());
    let mut out = Zeroizing::new(Vec::new());
    while out.len() < size {
        let mut hash = D::new().chain_update(&diversifier).chain_update(input.as_slice()).finalize();
        for _ in 1..rounds {
            hash = D::digest(&hash);
        }
        out.extend_from_slice(&hash);
        let addend: Vec<u8> = hash.iter().copied().cycle().take(block).collect();
        for chunk in input.chunks_mut(block) {
            let mut carry = 1_u16;
            for (byte, add) in chunk.iter_mut().zip(&addend).rev() {
                let sum = u16::from(*byte) + u16::from(*add) + carry;
                let [high, low] = sum.to_be_bytes();
                (*byte, carry) = (low, high.into());
            }
        }
    }
    out.truncate(size);
    Some(out)
}

/// Decrypts by the algorithm that `identifier` (a sequence's content) names.
pub(crate) fn decrypt(identifier: Reader<'_>, password: &[u8], bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut identifier = identifier;
    let oid = identifier.read(OID)?.content;
    if oid == PBES2 {
        return decrypt_pbes2(identifier.read(SEQUENCE)?.reader(), password, bytes);
    }
    let mut parameters = identifier.read(SEQUENCE)?.reader();
    let (salt, rounds) = (parameters.read(OCTET_STRING)?.content, parameters.small()?);
    let size = match oid {
        SHA_3DES => 24,
        SHA_RC2_128 => 16,
        SHA_RC2_40 => 5,
        _ => return None,
    };
    let key = derive::<Sha1>(1, (password, salt), rounds, (size, 64))?;
    let iv = derive::<Sha1>(2, (password, salt), rounds, (8, 64))?;
    if oid == SHA_3DES {
        return opened(cbc::Decryptor::<des::TdesEde3>::new_from_slices(&key, &iv).ok()?, bytes);
    }
    let cipher = rc2::Rc2::new_with_eff_key_len(&key, size.saturating_mul(8));
    opened(cbc::Decryptor::inner_iv_init(cipher, iv.as_slice().into()), bytes)
}

use aes::cipher::InnerIvInit as _;

fn opened(cipher: impl BlockDecryptMut, bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    cipher.decrypt_padded_vec_mut::<Pkcs7>(bytes).ok().map(Zeroizing::new)
}

fn decrypt_pbes2(mut parameters: Reader<'_>, password: &[u8], bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut derivation = parameters.read(SEQUENCE)?.reader();
    let mut scheme = parameters.read(SEQUENCE)?.reader();
    (derivation.read(OID)?.content == PBKDF2).then_some(())?;
    let mut derivation = derivation.read(SEQUENCE)?.reader();
    let (salt, rounds) = (derivation.read(OCTET_STRING)?.content, derivation.small()?);
    derivation.read(INTEGER);
    let hash = match derivation.read(SEQUENCE) {
        Some(hash) => hash.reader().read(OID)?.content,
        None => HMAC_SHA1,
    };
    let (cipher, iv) = (scheme.read(OID)?.content, scheme.read(OCTET_STRING)?.content);
    let size = match cipher {
        AES_128 => 16,
        AES_192 => 24,
        AES_256 => 32,
        _ => return None,
    };
    // PBES2 takes the password as it is, not as key stores spell it.
    let plain = utf8(password)?;
    let mut key = Zeroizing::new(vec![0; size]);
    (1..=MAX_ROUNDS).contains(&rounds).then_some(())?;
    match hash {
        HMAC_SHA1 => pbkdf2::pbkdf2_hmac::<Sha1>(plain.as_bytes(), salt, rounds, &mut key),
        HMAC_SHA256 => pbkdf2::pbkdf2_hmac::<Sha256>(plain.as_bytes(), salt, rounds, &mut key),
        HMAC_SHA512 => pbkdf2::pbkdf2_hmac::<Sha512>(plain.as_bytes(), salt, rounds, &mut key),
        _ => return None,
    }
    match size {
        16 => opened(cbc::Decryptor::<aes::Aes128>::new_from_slices(&key, iv).ok()?, bytes),
        24 => opened(cbc::Decryptor::<aes::Aes192>::new_from_slices(&key, iv).ok()?, bytes),
        _ => opened(cbc::Decryptor::<aes::Aes256>::new_from_slices(&key, iv).ok()?, bytes),
    }
}

fn utf8(spelled: &[u8]) -> Option<Zeroizing<String>> {
    let units: Vec<u16> =
        spelled.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(u16::from_be_bytes)).collect();
    let units = units.strip_suffix(&[0]).unwrap_or(&units);
    String::from_utf16(units).ok().map(Zeroizing::new)
}

/// Rounds of what we encrypt.
pub(crate) const ROUNDS: u32 = 2048;

/// Encrypts with AES-256 and a key derived by PBKDF2; returns the algorithm's identifier and the cipher text.
pub(crate) fn encrypt(password: &str, (salt, iv): (&[u8], &[u8]), bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut key = Zeroizing::new(vec![0; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, ROUNDS, &mut key);
    let sealed = cbc::Encryptor::<aes::Aes256>::new_from_slices(&key, iv).ok()?.encrypt_padded_vec_mut::<Pkcs7>(bytes);
    let hash = sequence(&[&asn1::oid(HMAC_SHA256), NULL]);
    let derivation = sequence(&[&tlv(OCTET_STRING, salt), &integer(&ROUNDS.to_be_bytes()), &hash]);
    let derivation = sequence(&[&asn1::oid(PBKDF2), &derivation]);
    let scheme = sequence(&[&asn1::oid(AES_256), &tlv(OCTET_STRING, iv)]);
    Some((sequence(&[&asn1::oid(PBES2), &sequence(&[&derivation, &scheme])]), sealed))
}

pub(crate) const SHA1_OID: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
pub(crate) const SHA256_OID: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const SHA384_OID: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
const SHA512_OID: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03];

/// The code that shows that a key store was not changed.
pub(crate) fn code(oid: &[u8], (password, salt): (&[u8], &[u8]), rounds: u32, bytes: &[u8]) -> Option<Vec<u8>> {
    macro_rules! code {
        ($hash:ty, $size:expr, $block:expr) => {{
            let key = derive::<$hash>(3, (password, salt), rounds, ($size, $block))?;
            let mut mac = <hmac::Hmac<$hash> as hmac::Mac>::new_from_slice(&key).ok()?;
            mac.update(bytes);
            Some(mac.finalize().into_bytes().to_vec())
        }};
    }
    match oid {
        SHA1_OID => code!(Sha1, 20, 64),
        SHA256_OID => code!(Sha256, 32, 64),
        SHA384_OID => code!(Sha384, 48, 128),
        SHA512_OID => code!(Sha512, 64, 128),
        _ => None,
    }
}
