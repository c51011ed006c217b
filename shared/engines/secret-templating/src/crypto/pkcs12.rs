//! PKCS#12 key stores (RFC 7292).

use asn1::{NULL, OCTET_STRING, OID, Reader, SEQUENCE, SET, integer, sequence, tlv};
use sha1::Digest as _;
use zeroize::Zeroizing;

use super::certificate::Certificate;
use super::key::PrivateKey;
use super::pbe;

const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
const ENCRYPTED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x06];
const KEY_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x01];
const SHROUDED_KEY_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x02];
const CERT_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x03];
const X509: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x16, 0x01];
const LOCAL_KEY_ID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x15];
const FRIENDLY_NAME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x14];
/// Java's mark of a certificate that is trusted, and any use of it.
const TRUSTED_KEY_USAGE: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x86, 0xf9, 0x66, 0xad, 0xca, 0x7b, 0x01, 0x01];
const ANY_USAGE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];

/// A key, its certificate, and the others of the store.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) key: PrivateKey,
    pub(crate) certificates: Vec<Certificate>,
}

/// Opens a store.
///
/// # Errors
/// When it cannot be read, its password is another, or key or certificate is missing.
pub(crate) fn open(bytes: &[u8], password: &str) -> Result<Store, String> {
    let malformed = || "error reading P12 data: malformed".to_owned();
    let spelled = pbe::spelled(password);
    let (content, password) = verified(bytes, &spelled).ok_or_else(malformed)??;
    let mut found = Found::default();
    let safes = Reader::single(content, SEQUENCE).ok_or_else(malformed)?;
    for safe in safes {
        found
            .safe(safe.reader(), password)
            .ok_or("decryption password incorrect, or an algorithm that is not supported")?;
    }
    let certificates: Result<Vec<_>, _> = found.certificates.iter().map(|raw| Certificate::parse(raw)).collect();
    let certificates = certificates?;
    if certificates.is_empty() {
        return Err("pkcs12: certificate missing".to_owned());
    }
    let key = found.key.ok_or("pkcs12: private key missing")?;
    Ok(Store { key, certificates })
}

/// Content and password.
type Verified<'a> = (&'a [u8], &'a [u8]);

/// The content of a store, and the spelling of the password that fits its code.
fn verified<'a>(bytes: &'a [u8], password: &'a [u8]) -> Option<Result<Verified<'a>, String>> {
    let mut outer = Reader::single(bytes, SEQUENCE)?;
    (outer.small()? == 3).then_some(())?;
    let mut safe = outer.read(SEQUENCE)?.reader();
    (safe.read(OID)?.content == DATA).then_some(())?;
    let content = safe.read(0xa0)?.reader().read(OCTET_STRING)?.content;
    let Some(mac) = outer.read(SEQUENCE) else {
        let is_empty = password == [0, 0];
        return Some(if is_empty { Ok((content, password)) } else { Err("pkcs12: no MAC in data".to_owned()) });
    };
    let mut mac = mac.reader();
    let mut digest = mac.read(SEQUENCE)?.reader();
    let oid = digest.read(SEQUENCE)?.reader().read(OID)?.content;
    let expected = digest.read(OCTET_STRING)?.content;
    let salt = mac.read(OCTET_STRING)?.content;
    let rounds = mac.small().unwrap_or(1);
    let spellings: &[&'a [u8]] = if password == [0, 0] { &[password, &[]] } else { &[password] };
    for spelling in spellings {
        let Some(code) = pbe::code(oid, (spelling, salt), rounds, content) else {
            return Some(Err("pkcs12: unknown digest algorithm".to_owned()));
        };
        if code == expected {
            return Some(Ok((content, spelling)));
        }
    }
    Some(Err("pkcs12: decryption password incorrect".to_owned()))
}

#[derive(Default)]
struct Found {
    key: Option<PrivateKey>,
    certificates: Vec<Vec<u8>>,
}

impl Found {
    fn safe(&mut self, mut safe: Reader<'_>, password: &[u8]) -> Option<()> {
        match safe.read(OID)?.content {
            DATA => self.bags(safe.read(0xa0)?.reader().read(OCTET_STRING)?.content, password),
            ENCRYPTED_DATA => {
                let mut data = safe.read(0xa0)?.reader().read(SEQUENCE)?.reader();
                data.small()?;
                let mut info = data.read(SEQUENCE)?.reader();
                (info.read(OID)?.content == DATA).then_some(())?;
                let algorithm = info.read(SEQUENCE)?.reader();
                let sealed = info.next()?;
                // A cipher text may come in pieces.
                let sealed = match sealed.tag {
                    0x80 => sealed.content.to_vec(),
                    0xa0 => {
                        let (pieces, mut all) = (sealed.reader(), Vec::new());
                        for piece in pieces {
                            all.extend_from_slice(piece.content);
                        }
                        all
                    }
                    _ => return None,
                };
                let opened = pbe::decrypt(algorithm, password, &sealed)?;
                self.bags(&opened, password)
            }
            _ => None,
        }
    }

    fn bags(&mut self, content: &[u8], password: &[u8]) -> Option<()> {
        let bags = Reader::single(content, SEQUENCE)?;
        for bag in bags {
            let mut bag = bag.reader();
            let oid = bag.read(OID)?.content;
            let mut value = bag.read(0xa0)?.reader();
            match oid {
                CERT_BAG => {
                    let mut certificate = value.read(SEQUENCE)?.reader();
                    (certificate.read(OID)?.content == X509).then_some(())?;
                    self.certificates.push(certificate.read(0xa0)?.reader().read(OCTET_STRING)?.content.to_vec());
                }
                SHROUDED_KEY_BAG => {
                    let mut shrouded = value.read(SEQUENCE)?.reader();
                    let algorithm = shrouded.read(SEQUENCE)?.reader();
                    let opened = pbe::decrypt(algorithm, password, shrouded.read(OCTET_STRING)?.content)?;
                    let key = PrivateKey::from_pkcs8(&opened)?;
                    self.key.get_or_insert(key);
                }
                KEY_BAG => {
                    let key = PrivateKey::from_pkcs8(value.read(SEQUENCE)?.whole)?;
                    self.key.get_or_insert(key);
                }
                _ => {}
            }
        }
        Some(())
    }
}

/// Salts of a new store.
pub(crate) struct Salts(pub(crate) Vec<u8>);

impl Salts {
    /// How many bytes of chance a store needs.
    pub(crate) const BYTES: usize = 80;

    fn part(&self, index: usize) -> &[u8] {
        self.0.get(index.saturating_mul(16)..index.saturating_add(1).saturating_mul(16)).unwrap_or_default()
    }
}

/// Closes a store: a key with its certificate, and the certificates above it. Two such stores differ by their salts.
pub(crate) fn close(key: &PrivateKey, certificates: &[Certificate], password: &str, salts: &Salts) -> Option<Vec<u8>> {
    let id = certificates.first().map(|leaf| sha1::Sha1::digest(&leaf.raw).to_vec())?;
    let id = attribute(LOCAL_KEY_ID, &tlv(OCTET_STRING, &id));
    let bags = certificates
        .iter()
        .enumerate()
        .map(|(index, certificate)| certificate_bag(certificate, if index == 0 { &id } else { &[] }));
    let bags: Vec<Vec<u8>> = bags.collect();
    let certificate_safe = sealed_safe(
        &sequence(&bags.iter().map(Vec::as_slice).collect::<Vec<_>>()),
        password,
        (salts.part(0), salts.part(1)),
    )?;
    let pkcs8 = Zeroizing::new(key.to_pkcs8());
    let (algorithm, sealed) = pbe::encrypt(password, (salts.part(2), salts.part(3)), &pkcs8)?;
    let shrouded = sequence(&[&algorithm, &tlv(OCTET_STRING, &sealed)]);
    let bag = sequence(&[&asn1::oid(SHROUDED_KEY_BAG), &tlv(0xa0, &shrouded), &tlv(SET, &id)]);
    let key_safe = sequence(&[&asn1::oid(DATA), &tlv(0xa0, &tlv(OCTET_STRING, &sequence(&[&bag])))]);
    finished(&sequence(&[&certificate_safe, &key_safe]), password, salts.part(4))
}

/// Closes a store of certificates that are trusted.
pub(crate) fn close_trusted(certificates: &[Certificate], password: &str, salts: &Salts) -> Option<Vec<u8>> {
    let bags: Vec<Vec<u8>> = certificates
        .iter()
        .map(|certificate| {
            let name = tlv(
                0x1e,
                &common_name(&certificate.subject).encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>(),
            );
            let name = attribute(FRIENDLY_NAME, &name);
            let trust = attribute(TRUSTED_KEY_USAGE, &asn1::oid(ANY_USAGE));
            certificate_bag(certificate, &[name, trust].concat())
        })
        .collect();
    let bags = sequence(&bags.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let safe = sealed_safe(&bags, password, (salts.part(0), salts.part(1)))?;
    finished(&sequence(&[&safe]), password, salts.part(4))
}

/// The last common name of an encoded name; the whole in hexadecimal where it has none.
fn common_name(subject: &[u8]) -> String {
    let mut found = None;
    let sets = Reader::single(subject, SEQUENCE).unwrap_or(Reader::new(&[]));
    for set in sets {
        let mut pair = set.reader().read(SEQUENCE).map_or(Reader::new(&[]), |pair| pair.reader());
        if pair.read(OID).is_some_and(|oid| oid.content == [0x55, 0x04, 0x03]) {
            found = pair.next().map(|value| format!("CN={}", String::from_utf8_lossy(value.content)));
        }
    }
    found.unwrap_or_else(|| hex::encode(subject))
}

fn attribute(oid: &[u8], value: &[u8]) -> Vec<u8> {
    sequence(&[&asn1::oid(oid), &tlv(SET, value)])
}

fn certificate_bag(certificate: &Certificate, attributes: &[u8]) -> Vec<u8> {
    let value = sequence(&[&asn1::oid(X509), &tlv(0xa0, &tlv(OCTET_STRING, &certificate.raw))]);
    let attributes = if attributes.is_empty() { Vec::new() } else { tlv(SET, attributes) };
    sequence(&[&asn1::oid(CERT_BAG), &tlv(0xa0, &value), &attributes])
}

fn sealed_safe(bags: &[u8], password: &str, salts: (&[u8], &[u8])) -> Option<Vec<u8>> {
    let (algorithm, sealed) = pbe::encrypt(password, salts, bags)?;
    let info = sequence(&[&asn1::oid(DATA), &algorithm, &tlv(0x80, &sealed)]);
    let data = sequence(&[&integer(&[0]), &info]);
    Some(sequence(&[&asn1::oid(ENCRYPTED_DATA), &tlv(0xa0, &data)]))
}

fn finished(content: &[u8], password: &str, salt: &[u8]) -> Option<Vec<u8>> {
    let code = pbe::code(pbe::SHA256_OID, (&pbe::spelled(password), salt), pbe::ROUNDS, content)?;
    let algorithm = sequence(&[&asn1::oid(pbe::SHA256_OID), NULL]);
    let digest = sequence(&[&algorithm, &tlv(OCTET_STRING, &code)]);
    let mac = sequence(&[&digest, &tlv(OCTET_STRING, salt), &integer(&pbe::ROUNDS.to_be_bytes())]);
    let safe = sequence(&[&asn1::oid(DATA), &tlv(0xa0, &tlv(OCTET_STRING, content))]);
    Some(sequence(&[&integer(&[3]), &safe, &mac]))
}
