//! SSH keys, in the files of OpenSSH
//! (<https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key>).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::SigningKey;
use p256::elliptic_curve::rand_core::{RngCore, SeedableRng as _};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use rand_chacha::ChaCha20Rng;
use rsa::RsaPrivateKey;
use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Entropy, GeneratorError};
use crate::provider::Keys;
use crate::value::SecretBytes;

/// How a key pair is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    kind: KeyKind,
    comment: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyKind {
    Rsa(usize),
    Ed25519,
    P256,
    P384,
    P521,
}

impl Settings {
    /// Reads a `spec`: RSA of 2048 bits where it says nothing.
    ///
    /// # Errors
    /// When the kind of key is not known, or its size cannot be used.
    pub fn read(spec: &Map<String, Value>) -> Result<Self, GeneratorError> {
        let text = |name: &str| spec.get(name).and_then(Value::as_str).unwrap_or_default();
        let size = match spec.get("keySize") {
            None | Some(Value::Null) => None,
            Some(size) => Some(
                size.as_u64()
                    .and_then(|size| usize::try_from(size).ok())
                    .ok_or_else(|| GeneratorError::Malformed("keySize is no number of bits".to_owned()))?,
            ),
        };
        let kind = match (text("keyType"), size) {
            ("" | "rsa", size) => {
                let bits = size.unwrap_or(2_048);
                if !SIZES.contains(&bits) {
                    let what = "unable to generate SSH key: keySize of an RSA key is from 1024 to 8192 bits";
                    return Err(GeneratorError::Refused(what.to_owned()));
                }
                KeyKind::Rsa(bits)
            }
            ("ed25519", _) => KeyKind::Ed25519,
            ("ecdsa", Some(384)) => KeyKind::P384,
            ("ecdsa", Some(521)) => KeyKind::P521,
            ("ecdsa", _) => KeyKind::P256,
            (other, _) => {
                let what = format!("unable to generate SSH key: unsupported key type: {other}");
                return Err(GeneratorError::Refused(what));
            }
        };
        Ok(Self { kind, comment: text("comment").to_owned() })
    }

    /// A key pair: `privateKey` and `publicKey`.
    ///
    /// # Errors
    /// When there is no chance.
    pub fn generate(&self, entropy: Entropy<'_>) -> Result<Keys, GeneratorError> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        if !entropy(seed.as_mut()) {
            return Err(GeneratorError::NoEntropy);
        }
        let mut chance = ChaCha20Rng::from_seed(*seed);
        let pair = match self.kind {
            KeyKind::Rsa(bits) => rsa(bits, &mut chance)?,
            KeyKind::Ed25519 => ed25519(&mut chance),
            KeyKind::P256 => {
                let key = p256::SecretKey::random(&mut chance);
                let point = key.public_key().to_encoded_point(false);
                ecdsa("nistp256", point.as_bytes(), &Zeroizing::new(key.to_bytes().to_vec()))
            }
            KeyKind::P384 => {
                let key = p384::SecretKey::random(&mut chance);
                let point = key.public_key().to_encoded_point(false);
                ecdsa("nistp384", point.as_bytes(), &Zeroizing::new(key.to_bytes().to_vec()))
            }
            KeyKind::P521 => {
                let key = p521::SecretKey::random(&mut chance);
                let point = key.public_key().to_encoded_point(false);
                ecdsa("nistp521", point.as_bytes(), &Zeroizing::new(key.to_bytes().to_vec()))
            }
        };
        Ok(Keys::from([
            ("privateKey".to_owned(), self.private_file(&pair, chance.next_u32())),
            ("publicKey".to_owned(), self.public_line(&pair)),
        ]))
    }

    /// `openssh-key-v1`, without a passphrase.
    fn private_file(&self, pair: &Pair, check: u32) -> SecretBytes {
        let mut secret = Wire::default();
        // The same number twice tells that nothing was decrypted wrongly.
        secret.number(check).number(check);
        secret.0.extend_from_slice(&pair.secret.0);
        secret.text(self.comment.as_bytes());
        let mut padding = 1_u8;
        while secret.0.len() % 8 != 0 {
            secret.0.push(padding);
            padding = padding.saturating_add(1);
        }
        let mut file = Wire::default();
        file.0.extend_from_slice(b"openssh-key-v1\0");
        file.text(b"none").text(b"none").text(b"").number(1).text(&pair.public.0).text(&secret.0);
        let encoded = Zeroizing::new(BASE64_STANDARD.encode(file.0.as_slice()));
        let mut text = Zeroizing::new(String::with_capacity(encoded.len().saturating_add(128)));
        text.push_str("-----BEGIN OPENSSH PRIVATE KEY-----\n");
        for line in encoded.as_bytes().chunks(64) {
            text.push_str(std::str::from_utf8(line).unwrap_or_default());
            text.push('\n');
        }
        text.push_str("-----END OPENSSH PRIVATE KEY-----\n");
        SecretBytes::from(text.as_str())
    }

    fn public_line(&self, pair: &Pair) -> SecretBytes {
        let encoded = BASE64_STANDARD.encode(pair.public.0.as_slice());
        let comment = if self.comment.is_empty() { String::new() } else { format!(" {}", self.comment) };
        SecretBytes::from(format!("{} {encoded}{comment}\n", pair.name).as_str())
    }
}

/// A key pair in the forms that go into the files.
struct Pair {
    name: String,
    public: Wire,
    secret: Wire,
}

fn rsa(bits: usize, chance: &mut ChaCha20Rng) -> Result<Pair, GeneratorError> {
    let failed = || GeneratorError::Refused("unable to generate SSH key".to_owned());
    let key = RsaPrivateKey::new(chance, bits).map_err(|_| failed())?;
    let (first, second) = key.primes().first().zip(key.primes().get(1)).ok_or_else(failed)?;
    let inverse = key.crt_coefficient().ok_or_else(failed)?;
    let (n, e) = (key.n().to_bytes_be(), key.e().to_bytes_be());
    let number = |number: &rsa::BigUint| Zeroizing::new(number.to_bytes_be());
    let (mut public, mut secret) = (Wire::default(), Wire::default());
    public.text(b"ssh-rsa").integer(&e).integer(&n);
    secret.text(b"ssh-rsa").integer(&n).integer(&e).integer(&number(key.d()));
    secret.integer(&number(&inverse)).integer(&number(first)).integer(&number(second));
    Ok(Pair { name: "ssh-rsa".to_owned(), public, secret })
}

fn ed25519(chance: &mut ChaCha20Rng) -> Pair {
    let mut seed = Zeroizing::new([0_u8; 32]);
    chance.fill_bytes(seed.as_mut());
    let key = SigningKey::from_bytes(&seed);
    let verifying = key.verifying_key();
    let both = Zeroizing::new([seed.as_slice(), verifying.as_bytes().as_slice()].concat());
    let (mut public, mut secret) = (Wire::default(), Wire::default());
    public.text(b"ssh-ed25519").text(verifying.as_bytes());
    secret.text(b"ssh-ed25519").text(verifying.as_bytes()).text(&both);
    Pair { name: "ssh-ed25519".to_owned(), public, secret }
}

fn ecdsa(curve: &str, point: &[u8], scalar: &[u8]) -> Pair {
    let name = format!("ecdsa-sha2-{curve}");
    let (mut public, mut secret) = (Wire::default(), Wire::default());
    public.text(name.as_bytes()).text(curve.as_bytes()).text(point);
    secret.text(name.as_bytes()).text(curve.as_bytes()).text(point).integer(scalar);
    Pair { name, public, secret }
}

/// SSH's encoding of texts and numbers (RFC 4251, section 5).
#[derive(Default)]
struct Wire(Zeroizing<Vec<u8>>);

impl Wire {
    fn number(&mut self, number: u32) -> &mut Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    fn text(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(bytes);
        self
    }

    /// A number that is not negative: without zeros before it, but for one where it would read as negative.
    fn integer(&mut self, bytes: &[u8]) -> &mut Self {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let bytes = bytes.get(zeros..).unwrap_or_default();
        let is_high = bytes.first().is_some_and(|byte| *byte >= 0x80);
        let spelled = Zeroizing::new([if is_high { [0_u8].as_slice() } else { &[] }, bytes].concat());
        self.text(&spelled)
    }
}

/// Bits of RSA keys.
const SIZES: std::ops::RangeInclusive<usize> = 1_024..=8_192;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn made(spec: &Value) -> Keys {
        let mut entropy = |bytes: &mut [u8]| {
            bytes.fill(7);
            true
        };
        Settings::read(spec.as_object().unwrap()).unwrap().generate(&mut entropy).unwrap()
    }

    /// OpenSSH itself tells the public key of each private one.
    #[test]
    fn openssh_reads_every_kind() {
        let is_there = std::process::Command::new("ssh-keygen").arg("-?").output().is_ok();
        for spec in [
            json!({ "keyType": "rsa", "keySize": 1024 }),
            json!({ "keyType": "ed25519", "comment": "ada@example.com" }),
            json!({ "keyType": "ecdsa" }),
            json!({ "keyType": "ecdsa", "keySize": 384 }),
            json!({ "keyType": "ecdsa", "keySize": 521, "comment": "x" }),
        ] {
            let keys = made(&spec);
            let public = keys["publicKey"].expose_str().unwrap().trim_end().to_owned();
            assert!(keys["privateKey"].expose_str().unwrap().starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"));
            if !is_there {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("key");
            std::fs::write(&path, keys["privateKey"].expose()).unwrap();
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            let said = std::process::Command::new("ssh-keygen").args(["-y", "-f"]).arg(&path).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&said.stdout).trim_end(), public, "{spec}");
        }
    }

    #[test]
    fn what_cannot_be_made_is_refused() {
        for spec in [
            json!({ "keyType": "dsa" }),
            json!({ "keySize": 512 }),
            json!({ "keySize": 99_999 }),
            json!({ "keySize": "x" }),
        ] {
            assert!(Settings::read(spec.as_object().unwrap()).is_err(), "{spec}");
        }
        let settings = Settings::read(&Map::new()).unwrap();
        assert_eq!(settings.generate(&mut |_: &mut [u8]| false), Err(GeneratorError::NoEntropy));
    }
}
