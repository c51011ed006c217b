//! Hashes, passwords and symmetric encryption.

use aes::cipher::block_padding::{NoPadding, Pkcs7};
use aes::cipher::{BlockDecryptMut as _, BlockEncryptMut as _, KeyIvInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac as _;
use sha2::Digest as _;
use zeroize::Zeroizing;

use super::{Call, Entry, Returned, text};

pub(super) const TABLE: &[Entry] = &[
    ("sha1sum", "s", |call| text(hex::encode(sha1::Sha1::digest(call.bytes(0))))),
    ("sha256sum", "s", |call| text(hex::encode(sha2::Sha256::digest(call.bytes(0))))),
    ("sha512sum", "s", |call| text(hex::encode(sha2::Sha512::digest(call.bytes(0))))),
    ("adler32sum", "s", |call| text(adler2::adler32_slice(call.bytes(0)).to_string())),
    ("bcrypt", "s", |call| {
        let password = Zeroizing::new(call.bytes(0).to_vec());
        text(bcrypt_of(call, &password)?)
    }),
    ("htpasswd", "sss", htpasswd),
    ("derivePassword", "ussss", derive_password),
    ("encryptAES", "ss", encrypt),
    ("decryptAES", "ss", decrypt),
];

fn bcrypt_of(call: &mut Call<'_>, password: &[u8]) -> Result<String, String> {
    if password.len() > 72 {
        return Ok("failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes".to_owned());
    }
    let salt = call.chance.bytes(16)?.try_into().map_err(|_| "no salt")?;
    let hash = bcrypt::hash_with_salt(password, 10, salt).map_err(|_| "failed to encrypt string with bcrypt")?;
    Ok(hash.format_for_version(bcrypt::Version::TwoA))
}

fn htpasswd(call: &mut Call<'_>) -> Returned {
    let user = call.text(0);
    if user.contains(':') {
        return text(format!("invalid username: {user}"));
    }
    if call.bytes(2) == b"sha" {
        let hash = STANDARD.encode(sha1::Sha1::digest(call.bytes(1)));
        return text(format!("{user}:{{SHA}}{hash}"));
    }
    let password = Zeroizing::new(call.bytes(1).to_vec());
    let hash = bcrypt_of(call, &password)?;
    text(format!("{user}:{hash}"))
}

/// Patterns of passwords by their kind.
const PATTERNS: &[(&str, &[&str])] = &[
    ("maximum", &["anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"]),
    (
        "long",
        &[
            "CvcvnoCvcvCvcv",
            "CvcvCvcvnoCvcv",
            "CvcvCvcvCvcvno",
            "CvccnoCvcvCvcv",
            "CvccCvcvnoCvcv",
            "CvccCvcvCvcvno",
            "CvcvnoCvccCvcv",
            "CvcvCvccnoCvcv",
            "CvcvCvccCvcvno",
            "CvcvnoCvcvCvcc",
            "CvcvCvcvnoCvcc",
            "CvcvCvcvCvccno",
            "CvccnoCvccCvcv",
            "CvccCvccnoCvcv",
            "CvccCvccCvcvno",
            "CvcvnoCvccCvcc",
            "CvcvCvccnoCvcc",
            "CvcvCvccCvccno",
            "CvccnoCvcvCvcc",
            "CvccCvcvnoCvcc",
            "CvccCvcvCvccno",
        ],
    ),
    ("medium", &["CvcnoCvc", "CvcCvcno"]),
    ("short", &["Cvcn"]),
    ("basic", &["aaanaaan", "aannaaan", "aaannaaa"]),
    ("pin", &["nnnn"]),
];

fn alphabet(letter: u8) -> &'static [u8] {
    match letter {
        b'V' => b"AEIOU",
        b'C' => b"BCDFGHJKLMNPQRSTVWXYZ",
        b'v' => b"aeiou",
        b'c' => b"bcdfghjklmnpqrstvwxyz",
        b'A' => b"AEIOUBCDFGHJKLMNPQRSTVWXYZ",
        b'a' => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        b'n' => b"0123456789",
        b'o' => b"@&%?,=[]_:-+*$#!'^~;()/.",
        _ => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}

/// The Master Password algorithm: counter, kind, password, user, site.
fn derive_password(call: &mut Call<'_>) -> Returned {
    const SCOPE: &[u8] = b"com.lyndir.masterpassword";
    let kind = call.text(1);
    let Some((_, patterns)) = PATTERNS.iter().find(|(name, _)| *name == kind) else {
        return text(format!("cannot find password template {kind}"));
    };
    let counter = u32::try_from(call.int(0)).unwrap_or(u32::MAX);
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
    let (user, site) = (call.bytes(3), call.bytes(4));
    let salt = [SCOPE, &length(user), user].concat();
    let parameters = scrypt::Params::new(15, 8, 2, 64).map_err(|_| "failed to derive password")?;
    let mut key = Zeroizing::new([0_u8; 64]);
    scrypt::scrypt(call.bytes(2), &salt, &parameters, key.as_mut_slice()).map_err(|_| "failed to derive password")?;
    let mut mac = <hmac::Hmac<sha2::Sha256> as hmac::Mac>::new_from_slice(key.as_slice())
        .map_err(|_| "failed to derive password")?;
    mac.update(&[SCOPE, &length(site), site, &counter.to_be_bytes()].concat());
    let seed = mac.finalize().into_bytes();
    let drawn =
        |index: usize, count: usize| usize::from(seed.get(index).copied().unwrap_or(0)).checked_rem(count).unwrap_or(0);
    let pattern = patterns.get(drawn(0, patterns.len())).copied().unwrap_or_default();
    let letters = pattern.bytes().enumerate().filter_map(|(index, letter)| {
        let letters = alphabet(letter);
        letters.get(drawn(index.saturating_add(1), letters.len())).copied()
    });
    text(letters.collect::<Vec<u8>>())
}

/// The first 32 bytes of a password, filled with zeros.
fn key(password: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(password.to_vec());
    key.resize(32, 0);
    key
}

fn encrypt(call: &mut Call<'_>) -> Returned {
    if call.bytes(1).is_empty() {
        return text("");
    }
    let iv = call.chance.bytes(16)?;
    let cipher =
        cbc::Encryptor::<aes::Aes256>::new_from_slices(&key(call.bytes(0)), &iv).map_err(|_| "invalid key size")?;
    let sealed = cipher.encrypt_padded_vec_mut::<Pkcs7>(call.bytes(1));
    text(STANDARD.encode([iv, sealed].concat()))
}

fn decrypt(call: &mut Call<'_>) -> Returned {
    if call.bytes(1).is_empty() {
        return text("");
    }
    let bytes = super::encoding::decode_base64(call.bytes(1))?;
    let (iv, sealed) = bytes.split_at_checked(16).ok_or("illegal base64 data")?;
    let cipher =
        cbc::Decryptor::<aes::Aes256>::new_from_slices(&key(call.bytes(0)), iv).map_err(|_| "invalid key size")?;
    let opened =
        cipher.decrypt_padded_vec_mut::<NoPadding>(sealed).map_err(|_| "crypto/cipher: input not full blocks")?;
    let opened = Zeroizing::new(opened);
    // The last byte says how many are padding; whether the others agree is not asked, as in the original.
    let padding = usize::from(opened.last().copied().unwrap_or(0));
    let end = opened.len().checked_sub(padding).ok_or("runtime error: slice bounds out of range")?;
    text(opened.get(..end).unwrap_or_default())
}
