//! Kyverno's `x509_decode`: a certificate or certificate request with an RSA key, in the JSON form that Go gives it.

use std::net::{Ipv4Addr, Ipv6Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Arguments, Outcome};
use crate::item::Item;
use asn1::{BIT_STRING, BOOLEAN, Element, OID, Reader, SEQUENCE, UTC_TIME, decimal};
use go_time::Moment;

/// Longest certificate that is read, in bytes of PEM.
const MAX_BYTES: usize = 256 * 1024;
const RSA: &str = "1.2.840.113549.1.1.1";
const EXTENSION_REQUEST: &str = "1.2.840.113549.1.9.14";
const MALFORMED: &str = "x509: malformed certificate";

pub(super) fn decode<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let text = arguments.text(0);
    if text.len() > MAX_BYTES {
        return Err(arguments.fail(format!("the certificate is longer than {MAX_BYTES} bytes")));
    }
    arguments.evaluation.charge(text.len() as u64)?;
    let (label, der) = pem(text).ok_or_else(|| arguments.fail("failed to decode PEM block"))?;
    let decoded = match label {
        "CERTIFICATE" => certificate(&der),
        "CERTIFICATE REQUEST" => request(&der),
        _ => Err("PEM block neither contains a CERTIFICATE or CERTIFICATE REQUEST"),
    };
    decoded.map(|fields| Item::Owned(Value::Object(fields))).map_err(|what| arguments.fail(what))
}

/// The label and bytes of the first PEM block.
fn pem(text: &str) -> Option<(&str, Vec<u8>)> {
    let (label, rest) = text.split_once("-----BEGIN ")?.1.split_once("-----")?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    STANDARD.decode(body).ok().map(|der| (label, der))
}

type Decoded = Result<Map<String, Value>, &'static str>;

fn bytes(data: &[u8]) -> Value {
    Value::from(STANDARD.encode(data))
}

fn certificate(der: &[u8]) -> Decoded {
    parse_certificate(der).ok_or(MALFORMED)?
}

fn parse_certificate(der: &[u8]) -> Option<Decoded> {
    let outer = Reader::new(der).read(SEQUENCE)?;
    let mut parts = outer.reader();
    let (tbs, algorithm) = (parts.read(SEQUENCE)?, parts.read(SEQUENCE)?);
    let signature = parts.read(BIT_STRING)?.bits()?;
    let mut fields = tbs.reader();
    let version = match fields.read(0xa0) {
        Some(version) => version.reader().next()?.content.first().copied()?.saturating_add(1),
        None => 1,
    };
    let serial = fields.next()?;
    fields.read(SEQUENCE)?;
    let (issuer, validity, subject) = (fields.read(SEQUENCE)?, fields.read(SEQUENCE)?, fields.read(SEQUENCE)?);
    let key = fields.read(SEQUENCE)?;
    let mut times = validity.reader();
    let (not_before, not_after) = (time(times.next()?)?, time(times.next()?)?);
    let Some(public_key) = rsa_key(key) else { return Some(Err("certificate should use rsa algorithm")) };
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| drop(out.insert(name.to_owned(), value));
    put("Raw", bytes(outer.whole));
    put("RawTBSCertificate", bytes(tbs.whole));
    put("RawSubjectPublicKeyInfo", bytes(key.whole));
    put("RawSubject", bytes(subject.whole));
    put("RawIssuer", bytes(issuer.whole));
    put("Signature", bytes(signature));
    put("SignatureAlgorithm", signature_algorithm(algorithm));
    put("PublicKeyAlgorithm", json!(1));
    put("PublicKey", public_key);
    put("Version", json!(version));
    put("SerialNumber", serial_number(serial.content));
    put("Issuer", name(issuer));
    put("Subject", name(subject));
    put("NotBefore", Value::from(not_before));
    put("NotAfter", Value::from(not_after));
    let extensions = fields.find(|element| element.tag == 0xa3).and_then(|outer| outer.reader().read(SEQUENCE));
    out.extend(Extensions::read(extensions).into_fields());
    Some(Ok(out))
}

fn request(der: &[u8]) -> Decoded {
    parse_request(der).ok_or(MALFORMED)?
}

fn parse_request(der: &[u8]) -> Option<Decoded> {
    let outer = Reader::new(der).read(SEQUENCE)?;
    let mut parts = outer.reader();
    let (tbs, algorithm) = (parts.read(SEQUENCE)?, parts.read(SEQUENCE)?);
    let signature = parts.read(BIT_STRING)?.bits()?;
    let mut fields = tbs.reader();
    let version = fields.next()?.content.first().copied()?;
    let (subject, key) = (fields.read(SEQUENCE)?, fields.read(SEQUENCE)?);
    let Some(public_key) = rsa_key(key) else { return Some(Err("certificate should use rsa algorithm")) };
    let mut requested = None;
    for attribute in fields.read(0xa0).iter().flat_map(|attributes| attributes.reader()) {
        let mut pair = attribute.reader();
        if pair.next().is_some_and(|kind| kind.oid() == EXTENSION_REQUEST) {
            requested = pair.next().and_then(|set| set.reader().read(SEQUENCE));
        }
    }
    let extensions = Extensions::read(requested);
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| drop(out.insert(name.to_owned(), value));
    put("Raw", bytes(outer.whole));
    put("RawTBSCertificateRequest", bytes(tbs.whole));
    put("RawSubjectPublicKeyInfo", bytes(key.whole));
    put("RawSubject", bytes(subject.whole));
    put("Version", json!(version));
    put("Signature", bytes(signature));
    put("SignatureAlgorithm", signature_algorithm(algorithm));
    put("PublicKeyAlgorithm", json!(1));
    put("PublicKey", public_key);
    put("Subject", name(subject));
    let part = |one: &Value| json!({"Type": one.get("Id"), "Value": one.get("Value")});
    let parts: Vec<Value> = extensions.all.iter().map(part).collect();
    let attribute = json!({"Type": [1, 2, 840, 113_549, 1, 9, 14], "Value": [parts]});
    put("Attributes", if parts.is_empty() { Value::Null } else { json!([attribute]) });
    put("Extensions", list(extensions.all));
    put("ExtraExtensions", Value::Null);
    put("DNSNames", list(extensions.dns));
    put("EmailAddresses", list(extensions.emails));
    put("IPAddresses", list(extensions.addresses));
    put("URIs", list(extensions.uris));
    Some(Ok(out))
}

/// A list, or null when there is nothing in it, as Go has it.
fn list(values: Vec<Value>) -> Value {
    if values.is_empty() { Value::Null } else { Value::Array(values) }
}

/// Modulus and exponent of an RSA key; `None` for other keys.
fn rsa_key(info: Element<'_>) -> Option<Value> {
    let mut parts = info.reader();
    let algorithm = parts.read(SEQUENCE)?.reader().read(OID)?;
    if algorithm.oid() != RSA {
        return None;
    }
    let mut numbers = Reader::new(parts.read(BIT_STRING)?.bits()?).read(SEQUENCE)?.reader();
    let (modulus, exponent) = (numbers.next()?.content, numbers.next()?.content);
    let exponent: u64 = decimal(exponent).parse().ok()?;
    Some(json!({"N": decimal(modulus), "E": exponent}))
}

fn serial_number(content: &[u8]) -> Value {
    let digits = decimal(content);
    let whole = digits.parse::<u64>().map(Value::from);
    whole.unwrap_or_else(|_| digits.parse::<f64>().map_or(Value::Null, Value::from))
}

fn time(element: Element<'_>) -> Option<String> {
    let text = std::str::from_utf8(element.content).ok()?;
    let layout = if element.tag == UTC_TIME { "060102150405Z0700" } else { "20060102150405Z0700" };
    let moment = Moment::parse(layout, text).ok()?;
    // Two digits of year from 50 on are of the last century here.
    let late = element.tag == UTC_TIME && (2050..2069).contains(&moment.fields().year);
    let moment = if late { Moment::parse("20060102150405Z0700", &format!("19{text}")).ok()? } else { moment };
    Some(moment.to_string())
}

fn signature_algorithm(algorithm: Element<'_>) -> Value {
    let oid = algorithm.reader().read(OID).map(|oid| oid.oid()).unwrap_or_default();
    json!(match oid.as_str() {
        "1.2.840.113549.1.1.2" => 1,
        "1.2.840.113549.1.1.4" => 2,
        "1.2.840.113549.1.1.5" => 3,
        "1.2.840.113549.1.1.11" => 4,
        "1.2.840.113549.1.1.12" => 5,
        "1.2.840.113549.1.1.13" => 6,
        "1.2.840.10040.4.3" => 7,
        "1.2.840.10045.4.1" => 9,
        "1.2.840.10045.4.3.2" => 10,
        "1.2.840.10045.4.3.3" => 11,
        "1.2.840.10045.4.3.4" => 12,
        "1.3.101.112" => 16,
        _ => 0,
    })
}

/// A distinguished name.
fn name(sequence: Element<'_>) -> Value {
    const PARTS: [(&str, &str); 7] = [
        ("2.5.4.6", "Country"),
        ("2.5.4.10", "Organization"),
        ("2.5.4.11", "OrganizationalUnit"),
        ("2.5.4.7", "Locality"),
        ("2.5.4.8", "Province"),
        ("2.5.4.9", "StreetAddress"),
        ("2.5.4.17", "PostalCode"),
    ];
    let mut out: Map<String, Value> = PARTS.iter().map(|(_, field)| ((*field).to_owned(), Value::Null)).collect();
    out.insert("SerialNumber".to_owned(), json!(""));
    out.insert("CommonName".to_owned(), json!(""));
    let mut names = Vec::new();
    for attribute in sequence.reader().flat_map(|set| set.reader()) {
        let mut pair = attribute.reader();
        let (Some(kind), Some(value)) = (pair.next(), pair.next()) else { continue };
        let text = Value::from(text_of(value));
        let oid = kind.oid();
        names.push(json!({"Type": kind.arcs(), "Value": text}));
        match oid.as_str() {
            "2.5.4.3" => drop(out.insert("CommonName".to_owned(), text)),
            "2.5.4.5" => drop(out.insert("SerialNumber".to_owned(), text)),
            oid => {
                let field = PARTS.iter().find(|(known, _)| *known == oid).and_then(|(_, field)| out.get_mut(*field));
                match field {
                    Some(Value::Array(values)) => values.push(text),
                    Some(field) => *field = Value::Array(vec![text]),
                    None => {}
                }
            }
        }
    }
    out.insert("Names".to_owned(), list(names));
    out.insert("ExtraNames".to_owned(), Value::Null);
    Value::Object(out)
}

fn text_of(value: Element<'_>) -> String {
    match value.tag {
        // BMPString: two bytes a character.
        0x1e => {
            let units = value
                .content
                .chunks_exact(2)
                .map(|pair| pair.iter().fold(0_u16, |unit, byte| unit << 8 | u16::from(*byte)));
            String::from_utf16_lossy(&units.collect::<Vec<_>>())
        }
        _ => String::from_utf8_lossy(value.content).into_owned(),
    }
}

/// What the extensions say.
#[derive(Default)]
struct Extensions {
    all: Vec<Value>,
    key_usage: u64,
    extended: Vec<Value>,
    unknown_extended: Vec<Value>,
    constraints: Option<(bool, Option<i64>)>,
    subject_key: Option<Value>,
    authority_key: Option<Value>,
    dns: Vec<Value>,
    emails: Vec<Value>,
    addresses: Vec<Value>,
    uris: Vec<Value>,
    ocsp: Vec<Value>,
    issuers: Vec<Value>,
    policies: Vec<Value>,
    distribution: Vec<Value>,
}

impl Extensions {
    fn read(sequence: Option<Element<'_>>) -> Self {
        let mut out = Self::default();
        for extension in sequence.iter().flat_map(|sequence| sequence.reader()) {
            let mut parts = extension.reader();
            let Some(kind) = parts.read(OID) else { continue };
            let critical = parts.read(BOOLEAN).is_some_and(|flag| flag.content.first() == Some(&0xff));
            let Some(value) = parts.next() else { continue };
            out.all.push(json!({"Id": kind.arcs(), "Critical": critical, "Value": bytes(value.content)}));
            if let Some(inner) = value.reader().next() {
                out.extension(&kind.oid(), inner);
            }
        }
        out
    }

    fn extension(&mut self, kind: &str, value: Element<'_>) {
        match kind {
            "2.5.29.15" => {
                let bits = value.bits().unwrap_or_default();
                let bit = |index: usize| bits.get(index / 8).is_some_and(|byte| byte & (0x80 >> (index % 8)) != 0);
                self.key_usage = (0..9).filter(|index| bit(*index)).map(|index| 1 << index).sum();
            }
            "2.5.29.37" => value.reader().for_each(|usage| self.extended_usage(usage)),
            "2.5.29.19" => {
                let mut parts = value.reader();
                let is_ca = parts.read(BOOLEAN).is_some_and(|flag| flag.content.first() == Some(&0xff));
                let length = parts.next().and_then(|length| decimal(length.content).parse().ok());
                self.constraints = Some((is_ca, length));
            }
            "2.5.29.14" => self.subject_key = Some(bytes(value.content)),
            "2.5.29.35" => {
                self.authority_key = value.reader().find(|part| part.tag == 0x80).map(|id| bytes(id.content));
            }
            "2.5.29.17" => value.reader().for_each(|name| self.alternative_name(name)),
            "2.5.29.32" => {
                let oid = |policy: Element<'_>| policy.reader().read(OID).map(|oid| json!(oid.arcs()));
                self.policies = value.reader().filter_map(oid).collect();
            }
            "2.5.29.31" => {
                for point in value.reader() {
                    let names = first_choice(point).and_then(first_choice);
                    let uris = names.iter().flat_map(|names| names.reader()).filter(|name| name.tag == 0x86);
                    self.distribution.extend(uris.map(|uri| Value::from(text_of(uri))));
                }
            }
            "1.3.6.1.5.5.7.1.1" => {
                for access in value.reader() {
                    let mut parts = access.reader();
                    let (Some(method), Some(place)) = (parts.next(), parts.next()) else { continue };
                    match method.oid().as_str() {
                        "1.3.6.1.5.5.7.48.1" => self.ocsp.push(Value::from(text_of(place))),
                        "1.3.6.1.5.5.7.48.2" => self.issuers.push(Value::from(text_of(place))),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn extended_usage(&mut self, usage: Element<'_>) {
        const OTHER: [(&str, u64); 5] = [
            ("2.5.29.37.0", 0),
            ("1.3.6.1.4.1.311.10.3.3", 10),
            ("2.16.840.1.113730.4.1", 11),
            ("1.3.6.1.4.1.311.2.1.22", 12),
            ("1.3.6.1.4.1.311.61.1.1", 13),
        ];
        let oid = usage.oid();
        let standard = oid.strip_prefix("1.3.6.1.5.5.7.3.").and_then(|last| last.parse::<u64>().ok());
        let known = standard.filter(|number| (1..=9).contains(number));
        let known = known.or_else(|| OTHER.iter().find(|(other, _)| *other == oid).map(|(_, number)| *number));
        match known {
            Some(number) => self.extended.push(json!(number)),
            None => self.unknown_extended.push(json!(usage.arcs())),
        }
    }

    fn alternative_name(&mut self, name: Element<'_>) {
        match name.tag {
            0x81 => self.emails.push(Value::from(text_of(name))),
            0x82 => self.dns.push(Value::from(text_of(name))),
            0x86 => self.uris.push(uri(&text_of(name))),
            0x87 => {
                let four = <[u8; 4]>::try_from(name.content).map(|octets| Ipv4Addr::from(octets).to_string());
                let sixteen = || <[u8; 16]>::try_from(name.content).map(|octets| Ipv6Addr::from(octets).to_string());
                self.addresses.extend(four.or_else(|_| sixteen()).ok().map(Value::from));
            }
            _ => {}
        }
    }

    /// The fields of a certificate that follow from its extensions, in Go's order.
    fn into_fields(self) -> impl Iterator<Item = (String, Value)> {
        let (is_ca, length) = self.constraints.unwrap_or((false, Some(0)));
        let has_constraints = self.constraints.is_some();
        let length = length.unwrap_or(-1);
        let fields = [
            ("KeyUsage", json!(self.key_usage)),
            ("Extensions", list(self.all)),
            ("ExtraExtensions", Value::Null),
            ("UnhandledCriticalExtensions", Value::Null),
            ("ExtKeyUsage", list(self.extended)),
            ("UnknownExtKeyUsage", list(self.unknown_extended)),
            ("BasicConstraintsValid", json!(has_constraints)),
            ("IsCA", json!(is_ca)),
            ("MaxPathLen", json!(length)),
            ("MaxPathLenZero", json!(has_constraints && length == 0)),
            ("SubjectKeyId", self.subject_key.unwrap_or_default()),
            ("AuthorityKeyId", self.authority_key.unwrap_or_default()),
            ("OCSPServer", list(self.ocsp)),
            ("IssuingCertificateURL", list(self.issuers)),
            ("DNSNames", list(self.dns)),
            ("EmailAddresses", list(self.emails)),
            ("IPAddresses", list(self.addresses)),
            ("URIs", list(self.uris)),
            ("CRLDistributionPoints", list(self.distribution)),
            ("PolicyIdentifiers", list(self.policies)),
        ];
        // Name constraints and policy mappings are not read; Go's zero values stand for them.
        let rest = NULLS.iter().map(|name| (*name, Value::Null));
        let rest = rest
            .chain(ZEROES.iter().map(|name| (*name, json!(0))))
            .chain(FALSES.iter().map(|name| (*name, json!(false))));
        fields.into_iter().chain(rest).map(|(name, value)| (name.to_owned(), value))
    }
}

/// The part of a distribution point that is tagged 0.
fn first_choice(element: Element<'_>) -> Option<Element<'_>> {
    element.reader().find(|part| part.tag == 0xa0)
}

/// A URI in the form of Go's `url.URL`.
fn uri(text: &str) -> Value {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    json!({"Scheme": scheme, "Host": host, "Path": path})
}

const NULLS: [&str; 10] = [
    "PermittedDNSDomains",
    "ExcludedDNSDomains",
    "PermittedIPRanges",
    "ExcludedIPRanges",
    "PermittedEmailAddresses",
    "ExcludedEmailAddresses",
    "PermittedURIDomains",
    "ExcludedURIDomains",
    "Policies",
    "PolicyMappings",
];
const ZEROES: [&str; 3] = ["InhibitAnyPolicy", "InhibitPolicyMapping", "RequireExplicitPolicy"];
const FALSES: [&str; 4] =
    ["PermittedDNSDomainsCritical", "InhibitAnyPolicyZero", "InhibitPolicyMappingZero", "RequireExplicitPolicyZero"];
