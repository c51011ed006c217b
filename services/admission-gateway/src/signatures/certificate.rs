//! Certificates that bind a key to an identity for minutes, as Fulcio issues them (RFC 5280; the extensions are
//! <https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md>), and the authorities behind them.

use std::time::Duration;

use asn1::{BOOLEAN, Element, OCTET_STRING, OID, Reader, SEQUENCE, UTC_TIME, UTF8_STRING};
use go_time::Moment;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::key::{PublicKey, pem_blocks};

/// A certificate, with what of it is looked at.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    der: Vec<u8>,
    /// The key that it is for.
    pub(super) key: PublicKey,
    /// Mail addresses and URIs that it is for.
    pub(super) subjects: Vec<String>,
    /// Extensions by their object identifiers (DER).
    extensions: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Certificate {
    /// The first certificate of a PEM text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn from_pem(text: &str) -> Result<Self, String> {
        let ders = pem_blocks(text, "CERTIFICATE")?;
        let der = ders.into_iter().next().ok_or("not a PEM block `CERTIFICATE`")?;
        Self::from_der(der).ok_or_else(|| "the certificate is malformed, or for a key that is not verified".to_owned())
    }

    pub(super) fn from_der(der: Vec<u8>) -> Option<Self> {
        let parts = Parts::of(&der)?;
        let key = PublicKey::from_der(parts.key.whole)?;
        let extensions: Vec<(Vec<u8>, Vec<u8>)> = parts
            .extensions
            .iter()
            .filter_map(|one| named(one).map(|(name, value)| (name.to_vec(), value.to_vec())))
            .collect();
        let find = |oid: &[u8]| extensions.iter().find(|(name, _)| name == oid).map(|(_, value)| value.as_slice());
        let subjects = find(ALTERNATIVE_NAMES).map(names).unwrap_or_default();
        Some(Self { key, subjects, extensions, der })
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    /// When it begins to be good, in seconds since 1970; 0 where that cannot be read.
    pub(super) fn not_before(&self) -> u64 {
        Parts::of(&self.der).and_then(|parts| seconds(parts.validity.reader().next()?)).unwrap_or(0)
    }

    /// The value of an extension, by the object identifier's bytes.
    pub(super) fn extension(&self, oid: &[u8]) -> Option<&[u8]> {
        self.extensions.iter().find(|(name, _)| name == oid).map(|(_, value)| value.as_slice())
    }

    /// Who vouched for the identity: an OpenID Connect issuer.
    pub(super) fn issuer(&self) -> Option<String> {
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
        let newer = self.extension(&fulcio(ISSUER_AS_TEXT)).and_then(|value| Reader::new(value).read(UTF8_STRING));
        newer.and_then(|value| text(value.content)).or_else(|| self.fact(ISSUER))
    }

    /// One of the older extensions of Fulcio, which hold bare text: 1 issuer, 2 trigger, 3 commit, 4 workflow, 5 repository,
    /// 6 reference.
    pub(super) fn fact(&self, number: u8) -> Option<String> {
        std::str::from_utf8(self.extension(&fulcio(number))?).ok().map(str::to_owned)
    }

    /// The key of who issued it (SubjectPublicKeyInfo), when one of the authorities did so for signing code, seen from the time
    /// `at` (seconds since 1970).
    ///
    /// # Errors
    /// Why it does not count.
    pub(super) fn issued_by(&self, authorities: &Authorities, more: &[Vec<u8>], at: u64) -> Result<Vec<u8>, String> {
        self.issued_for(CODE_SIGNING, (authorities, more), at)
    }

    /// The same for another purpose.
    ///
    /// # Errors
    /// Why it does not count.
    pub(super) fn issued_for(
        &self,
        purpose: &'static [u8],
        (authorities, more): (&Authorities, &[Vec<u8>]),
        at: u64,
    ) -> Result<Vec<u8>, String> {
        let purposes = self.extension(KEY_PURPOSES).and_then(|value| Reader::new(value).read(SEQUENCE));
        if !purposes.is_some_and(|list| list.reader().any(|one| one.tag == OID && one.content == purpose)) {
            let what = if purpose == CODE_SIGNING { "signing code" } else { "timestamps" };
            return Err(format!("its certificate is not for {what}"));
        }
        let said = |error: webpki::Error| format!("no trusted authority issued its certificate: {error}");
        let der = CertificateDer::from_slice(&self.der);
        let between: Vec<CertificateDer<'_>> =
            authorities.between.iter().chain(more).map(|one| CertificateDer::from_slice(one)).collect();
        let end = EndEntityCert::try_from(&der).map_err(said)?;
        let path = end.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &authorities.anchors,
            &between,
            UnixTime::since_unix_epoch(Duration::from_secs(at)),
            KeyUsage::required_if_present(purpose),
            None,
            None,
        );
        path.map(|path| path.issuer_spki().as_ref().to_vec()).map_err(said)
    }
}

/// Who may issue certificates.
#[derive(Clone, Debug, Default)]
pub(super) struct Authorities {
    anchors: Vec<TrustAnchor<'static>>,
    /// Certificates between the anchors and what they issue.
    between: Vec<Vec<u8>>,
}

impl Authorities {
    /// Whether nobody may.
    pub(super) fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// Adds the certificates of a PEM text: those that signed themselves are anchors, the others lie between. Where none
    /// did, all are anchors, as policies give them.
    ///
    /// # Errors
    /// What is wrong with one.
    pub(super) fn add(&mut self, pem: &str) -> Result<(), String> {
        self.add_all(pem_blocks(pem, "CERTIFICATE")?)
    }

    /// The same from certificates.
    ///
    /// # Errors
    /// What is wrong with one.
    pub(super) fn add_all(&mut self, ders: Vec<Vec<u8>>) -> Result<(), String> {
        if ders.is_empty() {
            return Err("not a PEM block `CERTIFICATE`".to_owned());
        }
        if ders.len() > MOST_CERTIFICATES {
            return Err(format!("more than {MOST_CERTIFICATES} certificates of authorities in one place"));
        }
        let is_root = |der: &Vec<u8>| Parts::of(der).is_some_and(|parts| parts.issuer.content == parts.subject.content);
        let all = !ders.iter().any(is_root);
        for der in ders {
            if all || is_root(&der) {
                let certificate = CertificateDer::from(der);
                let anchor = anchor_from_trusted_cert(&certificate);
                let anchor = anchor.map_err(|error| format!("a root certificate cannot be used: {error:?}"))?;
                self.anchors.push(anchor.to_owned());
            } else {
                self.between.push(der);
            }
        }
        Ok(())
    }
}

/// The parts of a certificate, as they lie in it.
pub(super) struct Parts<'d> {
    /// What was signed.
    pub(super) signed: Element<'d>,
    issuer: Element<'d>,
    validity: Element<'d>,
    subject: Element<'d>,
    key: Element<'d>,
    pub(super) extensions: Vec<Element<'d>>,
}

impl<'d> Parts<'d> {
    pub(super) fn of(der: &'d [u8]) -> Option<Self> {
        let signed = Reader::new(der).read(SEQUENCE)?.reader().read(SEQUENCE)?;
        let mut fields = signed.reader();
        fields.read(VERSION);
        fields.next()?;
        fields.read(SEQUENCE)?;
        let (issuer, validity) = (fields.read(SEQUENCE)?, fields.read(SEQUENCE)?);
        let (subject, key) = (fields.read(SEQUENCE)?, fields.read(SEQUENCE)?);
        let list = fields.find(|field| field.tag == EXTENSIONS).and_then(|field| field.reader().read(SEQUENCE));
        let extensions = list.map(|list| list.reader().collect()).unwrap_or_default();
        Some(Self { signed, issuer, validity, subject, key, extensions })
    }
}

/// The object identifier of an extension, and what is in its octets.
pub(super) fn named<'d>(extension: &Element<'d>) -> Option<(&'d [u8], &'d [u8])> {
    let mut fields = extension.reader();
    let name = fields.read(OID)?.content;
    let value = fields.find(|field| field.tag == OCTET_STRING)?;
    Some((name, value.content))
}

/// Whether a certificate is of an authority (RFC 5280, section 4.2.1.9).
pub(super) fn is_authority(der: &[u8]) -> bool {
    let extensions = Parts::of(der).map(|parts| parts.extensions).unwrap_or_default();
    let constraints = extensions.iter().filter_map(named).find(|(name, _)| *name == BASIC_CONSTRAINTS);
    let fields = constraints.and_then(|(_, value)| Reader::new(value).read(SEQUENCE));
    fields.and_then(|fields| fields.reader().read(BOOLEAN)).is_some_and(|truth| truth.content != [0])
}

/// Mail addresses and URIs among alternative names.
fn names(value: &[u8]) -> Vec<String> {
    const MAIL: u8 = 0x81;
    const URI: u8 = 0x86;
    let list = Reader::new(value).read(SEQUENCE).map(|list| list.reader());
    let texts = list.into_iter().flatten().filter(|name| matches!(name.tag, MAIL | URI));
    texts.filter_map(|name| String::from_utf8(name.content.to_vec()).ok()).collect()
}

/// UTCTime or GeneralizedTime (RFC 5280, section 4.1.2.5) in seconds since 1970.
pub(super) fn seconds(time: Element<'_>) -> Option<u64> {
    let text = std::str::from_utf8(time.content).ok()?;
    // Timestamps may have fractions of a second.
    let text = text.split_once('.').map_or_else(|| text.to_owned(), |(whole, _)| format!("{whole}Z"));
    let century = match (time.tag, text.bytes().next()?) {
        (UTC_TIME, b'5'..) => "19",
        (UTC_TIME, _) => "20",
        _ => "",
    };
    let moment = Moment::parse("20060102150405Z", &format!("{century}{text}")).ok()?;
    u64::try_from(moment.as_unix()).ok()
}

/// 1.3.6.1.4.1.57264.1 and a number.
fn fulcio(number: u8) -> [u8; 10] {
    [0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01, number]
}

pub(super) const ISSUER: u8 = 1;
const ISSUER_AS_TEXT: u8 = 8;
/// The version field of a certificate's signed part.
const VERSION: u8 = 0xa0;
/// The extensions of a certificate's signed part.
pub(super) const EXTENSIONS: u8 = 0xa3;
/// 2.5.29.17
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
/// 2.5.29.37
const KEY_PURPOSES: &[u8] = &[0x55, 0x1d, 0x25];
/// 1.3.6.1.5.5.7.3.3
const CODE_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03];
/// 1.3.6.1.5.5.7.3.8
pub(super) const TIME_STAMPING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];
/// 2.5.29.19
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
/// No place names more.
const MOST_CERTIFICATES: usize = 100;

#[cfg(test)]
mod tests {
    use asn1::{Reader, tlv};

    use super::seconds;

    #[test]
    fn times_of_both_forms_are_read() {
        for (tag, text, expected) in [
            (0x17, "700101000000Z", 0),
            (0x17, "240229123456Z", 1_709_210_096),
            (0x18, "20240229123456Z", 1_709_210_096),
            (0x18, "20500101000000Z", 2_524_608_000),
            (0x18, "21000301000000Z", 4_107_542_400),
        ] {
            let bytes = tlv(tag, text.as_bytes());
            assert_eq!(seconds(Reader::new(&bytes).next().unwrap()), Some(expected), "{text}");
        }
    }
}
