//! Certificates: what of them functions ask for.

use std::net::{Ipv4Addr, Ipv6Addr};

use asn1::{BIT_STRING, INTEGER, OCTET_STRING, OID, Reader, SEQUENCE};

/// A certificate.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(crate) raw: Vec<u8>,
    /// The name, encoded.
    pub(crate) subject: Vec<u8>,
    pub(crate) subject_key: Vec<u8>,
    pub(crate) authority_key: Option<Vec<u8>>,
    pub(crate) dns_names: Vec<String>,
    pub(crate) addresses: Vec<String>,
    pub(crate) emails: Vec<String>,
    pub(crate) uris: Vec<String>,
}

const SUBJECT_KEY: &[u8] = &[0x55, 0x1d, 0x0e];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 0x23];

impl Certificate {
    /// Reads the syntax of a certificate; signature and dates are not looked at.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        Self::read(bytes).ok_or_else(|| "x509: malformed certificate".to_owned())
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut outer = Reader::single(bytes, SEQUENCE)?;
        let mut inner = outer.read(SEQUENCE)?.reader();
        outer.read(SEQUENCE)?;
        outer.read(BIT_STRING)?;
        inner.read(0xa0);
        inner.read(INTEGER)?;
        inner.read(SEQUENCE)?;
        inner.read(SEQUENCE)?;
        inner.read(SEQUENCE)?;
        let subject = inner.read(SEQUENCE)?.whole.to_vec();
        inner.read(SEQUENCE)?;
        inner.read(0x81);
        inner.read(0x82);
        let mut certificate = Self {
            raw: bytes.to_vec(),
            subject,
            subject_key: Vec::new(),
            authority_key: None,
            dns_names: Vec::new(),
            addresses: Vec::new(),
            emails: Vec::new(),
            uris: Vec::new(),
        };
        if let Some(extensions) = inner.read(0xa3) {
            let extensions = extensions.reader().read(SEQUENCE)?.reader();
            for extension in extensions {
                let mut extension = extension.reader();
                let oid = extension.read(OID)?.content;
                extension.read(0x01);
                certificate.extension(oid, extension.read(OCTET_STRING)?.content)?;
            }
        }
        Some(certificate)
    }

    fn extension(&mut self, oid: &[u8], value: &[u8]) -> Option<()> {
        match oid {
            SUBJECT_KEY => self.subject_key = Reader::new(value).read(OCTET_STRING)?.content.to_vec(),
            AUTHORITY_KEY => {
                let mut parts = Reader::new(value).read(SEQUENCE)?.reader();
                self.authority_key = parts.read(0x80).map(|key| key.content.to_vec());
            }
            ALTERNATIVE_NAMES => {
                let names = Reader::new(value).read(SEQUENCE)?.reader();
                for name in names {
                    let text = || String::from_utf8(name.content.to_vec()).ok();
                    match name.tag {
                        0x81 => self.emails.push(text()?),
                        0x82 => self.dns_names.push(text()?),
                        0x86 => self.uris.push(text()?),
                        0x87 => self.addresses.push(address(name.content)?),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Some(())
    }

    pub(crate) fn is_root(&self) -> bool {
        self.authority_key.as_ref().is_none_or(|key| *key == self.subject_key)
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).to_string());
    }
    let address = Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?);
    Some(address.to_ipv4_mapped().map_or_else(|| address.to_string(), |four| four.to_string()))
}
