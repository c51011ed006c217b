//! Functions that External Secrets adds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Call, Entry, Returned, text, yaml};
use crate::crypto::certificate::Certificate;
use crate::crypto::jwk::{self, Key};
use crate::crypto::key::PrivateKey;
use crate::crypto::pkcs12::{self, Salts};
use crate::crypto::{chain, pem};
use crate::value::{Text, Value};

pub(super) const TABLE: &[Entry] = &[
    ("pkcs12key", "s", |call| store_key(call, ("", 0))),
    ("pkcs12keyPass", "ss", |call| store_key(call, (&call.text(0), 1))),
    ("pkcs12cert", "s", |call| store_certificates(call, ("", 0))),
    ("pkcs12certPass", "ss", |call| store_certificates(call, (&call.text(0), 1))),
    ("pemToPkcs12", "ss", |call| close(call, "", false)),
    ("pemToPkcs12Pass", "sss", |call| {
        let password = call.text(2);
        close(call, &password, false)
    }),
    ("fullPemToPkcs12", "ss", |call| close(call, "", true)),
    ("fullPemToPkcs12Pass", "sss", |call| {
        let password = call.text(2);
        close(call, &password, true)
    }),
    ("pemTruststoreToPKCS12", "s", |call| close_trusted(call, "")),
    ("pemTruststoreToPKCS12Pass", "ss", |call| {
        let password = call.text(1);
        close_trusted(call, &password)
    }),
    ("filterPEM", "ss", filter_pem),
    ("filterCertChain", "ss", filter_chain),
    ("certSANs", "s", alternative_names),
    ("jwkPublicKeyPem", "s", |call| match jwk::parse(call.bytes(0))? {
        Key::Public(key) => text(pem::encode("PUBLIC KEY", &key)),
        Key::Private(_, kind) => Err(format!("x509: unsupported public key type: {kind}")),
    }),
    ("jwkPrivateKeyPem", "s", |call| match jwk::parse(call.bytes(0))? {
        Key::Private(key, _) => text(pem::encode("PRIVATE KEY", &key.to_pkcs8())),
        Key::Public(_) => Err("x509: unknown key type while marshaling PKCS#8".to_owned()),
    }),
    ("toYaml", "a", |call| text(yaml::write(&call.value(0)))),
    ("fromYaml", "s", |call| Ok(yaml::map(&call.text(0)))),
    ("rsaDecrypt", "ssss", rsa_decrypt),
];

fn store_key(call: &Call<'_>, (password, argument): (&str, usize)) -> Returned {
    let store = pkcs12::open(call.bytes(argument), password);
    let store = store.map_err(|what| format!("unable to decode pkcs12 with password: {what}"))?;
    text(pem::encode("PRIVATE KEY", &Zeroizing::new(store.key.to_pkcs8())))
}

fn store_certificates(call: &Call<'_>, (password, argument): (&str, usize)) -> Returned {
    let store = pkcs12::open(call.bytes(argument), password);
    let store = store.map_err(|what| format!("unable to decode pkcs12 certificate with password: {what}"))?;
    let unordered = pems(&store.certificates);
    // Certificates that are not one chain stay in the order of the store.
    text(chain::ordered(unordered.as_bytes()).map_or(unordered, |ordered| pems(&ordered)))
}

fn pems<'a>(certificates: impl IntoIterator<Item = &'a Certificate>) -> String {
    certificates.into_iter().map(|certificate| pem::encode("CERTIFICATE", &certificate.raw)).collect()
}

const NIL: &str = "runtime error: invalid memory address or nil pointer dereference";

fn certificates(text: &[u8]) -> Result<Vec<Certificate>, String> {
    let (mut all, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (block, after) = pem::decode(rest);
        all.push(Certificate::parse(&block.ok_or(NIL)?.bytes)?);
        rest = after;
    }
    Ok(all)
}

fn close(call: &mut Call<'_>, password: &str, is_full: bool) -> Returned {
    let (block, rest) = pem::decode(call.bytes(0));
    let mut all = vec![Certificate::parse(&block.ok_or(NIL)?.bytes)?];
    if is_full {
        all.extend(certificates(rest)?);
    }
    let (block, _) = pem::decode(call.bytes(1));
    let key = PrivateKey::parse(&Zeroizing::new(block.ok_or(NIL)?.bytes)).ok_or("unable to parse private key type")?;
    let salts = Salts(call.chance.bytes(Salts::BYTES)?);
    let store = pkcs12::close(&key, &all, password, &salts).ok_or("the key store cannot be written")?;
    text(STANDARD.encode(store))
}

fn close_trusted(call: &mut Call<'_>, password: &str) -> Returned {
    let all = certificates(call.bytes(0))?;
    let salts = Salts(call.chance.bytes(Salts::BYTES)?);
    let store = pkcs12::close_trusted(&all, password, &salts).ok_or("the key store cannot be written")?;
    text(STANDARD.encode(store))
}

/// What stands before the first block does not count.
fn without_junk(bytes: &[u8]) -> &[u8] {
    let start = super::strings::find(bytes, b"-----BEGIN").unwrap_or(0);
    bytes.get(start..).unwrap_or_default()
}

fn filter_pem(call: &mut Call<'_>) -> Returned {
    let wanted = call.text(0);
    let (mut out, mut rest) = (String::new(), without_junk(call.bytes(1)));
    while let (Some(block), after) = pem::decode(rest) {
        rest = after;
        if block.kind.eq_ignore_ascii_case(&wanted) {
            out.push_str(&pem::encode_block(&block));
        }
    }
    if out.is_empty() && !rest.is_empty() {
        return Err("error filtering pem: found junk".to_owned());
    }
    text(out)
}

fn filter_chain(call: &mut Call<'_>) -> Returned {
    let ordered = chain::ordered(call.bytes(1))?;
    let kept = match call.bytes(0) {
        b"leaf" => ordered.get(..1).filter(|leaf| leaf.iter().all(|leaf| !leaf.is_root())),
        b"intermediate" => {
            let above = ordered.get(1..).unwrap_or_default();
            let end = above.iter().position(Certificate::is_root).unwrap_or(above.len());
            above.get(..end)
        }
        b"root" => ordered.get(ordered.len().saturating_sub(1)..).filter(|root| root.iter().all(Certificate::is_root)),
        _ => None,
    };
    text(pems(kept.unwrap_or_default()))
}

fn alternative_names(call: &mut Call<'_>) -> Returned {
    let (Some(block), _) = pem::decode(without_junk(call.bytes(0))) else {
        return Err("failed to decode PEM block".to_owned());
    };
    let certificate =
        Certificate::parse(&block.bytes).map_err(|what| format!("failed to parse certificate: {what}"))?;
    let names = [certificate.dns_names, certificate.addresses, certificate.emails, certificate.uris].concat();
    Ok(Value::texts(names.into_iter().map(String::into_bytes)))
}

fn rsa_decrypt(call: &mut Call<'_>) -> Returned {
    match call.bytes(0) {
        b"None" => return Ok(call.value(2)),
        b"RSA-OAEP" => {}
        _ => return Err(format!("decryption scheme {} is not supported", call.text(0))),
    }
    let (Some(block), _) = pem::decode(call.bytes(3)) else { return Err("failed to decode PEM block".to_owned()) };
    let bytes = Zeroizing::new(block.bytes);
    let key = PrivateKey::parse(&bytes).ok_or("could not parse private key: unable to parse private key type")?;
    let PrivateKey::Rsa(key) = key else { return Err("could not parse RSA private key".to_owned()) };
    let padding = match call.bytes(1) {
        b"SHA1" => rsa::Oaep::new::<sha1::Sha1>(),
        b"SHA512" => rsa::Oaep::new::<sha2::Sha512>(),
        _ => rsa::Oaep::new::<sha2::Sha256>(),
    };
    let opened = key.decrypt(padding, call.bytes(2));
    let opened = opened.map_err(|_| "error decrypting data with RSA: crypto/rsa: decryption error")?;
    Ok(Value::Text(Text::new(opened)))
}
