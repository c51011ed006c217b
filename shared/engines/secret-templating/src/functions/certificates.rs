//! Certificates made by templates.

use std::net::IpAddr;
use std::sync::Arc;

use super::keys::{new_rsa, parse};
use super::{Call, Entry, Returned, encoding};
use crate::crypto::certificate::Certificate;
use crate::crypto::issue::{Request, issue};
use crate::crypto::key::PrivateKey;
use crate::crypto::pem;
use crate::time::Moment;
use crate::value::{KeyPair, Text, Value};

pub(super) const TABLE: &[Entry] = &[
    ("genCA", "si", |call| authority(call, false)),
    ("genCAWithKey", "sis", |call| authority(call, true)),
    ("genSelfSignedCert", "slli", |call| self_signed(call, false)),
    ("genSelfSignedCertWithKey", "sllis", |call| self_signed(call, true)),
    ("genSignedCert", "sllic", |call| signed(call, false)),
    ("genSignedCertWithKey", "sllics", |call| signed(call, true)),
    ("buildCustomCert", "ss", custom),
];

/// The key that argument `index` holds, or a new one.
fn key(call: &mut Call<'_>, given: Option<usize>) -> Result<PrivateKey, String> {
    match given {
        Some(index) => parse(call.bytes(index)).map_err(|what| format!("parsing private key: {what}")),
        None => new_rsa(call, 2048),
    }
}

fn request<'a>(
    call: &mut Call<'_>,
    common_name: &'a str,
    lists: Option<(usize, usize)>,
    days: usize,
) -> Result<Request<'a>, String> {
    let now = call.environment.now_unix_ns.ok_or("the present moment is not known here")?;
    let items = |index: usize| call.value(index).items().unwrap_or_default().to_vec();
    let (mut addresses, mut dns_names) = (Vec::new(), Vec::new());
    if let Some((address_list, name_list)) = lists {
        for item in items(address_list) {
            let Value::Text(text) = item else { return Err("error parsing ip: not a string".to_owned()) };
            let address: Result<IpAddr, _> = text.expose_str().parse();
            addresses.push(address.map_err(|_| "invalid IP address")?);
        }
        for item in items(name_list) {
            let Value::Text(text) = item else {
                return Err("error processing alternate dns name: not a string".to_owned());
            };
            dns_names.push(text.expose_str().into_owned());
        }
    }
    let from = Moment::utc(go_time::Moment::from_unix(now.div_euclid(1_000_000_000)));
    let serial = call.chance.bytes(16)?;
    Ok(Request { common_name, addresses, dns_names, from, days: call.int(days), is_authority: false, serial })
}

fn pair(certificate: Option<Vec<u8>>, key: &PrivateKey) -> Returned {
    let certificate = certificate.ok_or("error creating certificate")?;
    let cert = Text::from(pem::encode("CERTIFICATE", &certificate).as_str());
    Ok(Value::KeyPair(Arc::new(KeyPair { cert, key: Text::from(key.to_pem().as_str()) })))
}

fn authority(call: &mut Call<'_>, has_key: bool) -> Returned {
    let key = key(call, has_key.then_some(2))?;
    let name = call.text(0);
    let mut request = request(call, &name, None, 1)?;
    request.is_authority = true;
    pair(issue(&request, &key, (None, &key)), &key)
}

fn self_signed(call: &mut Call<'_>, has_key: bool) -> Returned {
    let key = key(call, has_key.then_some(4))?;
    let name = call.text(0);
    let request = request(call, &name, Some((1, 2)), 3)?;
    pair(issue(&request, &key, (None, &key)), &key)
}

fn signed(call: &mut Call<'_>, has_key: bool) -> Returned {
    let Value::KeyPair(authority) = call.value(4) else { return Err("unable to decode certificate".to_owned()) };
    let key = key(call, has_key.then_some(5))?;
    let (Some(block), _) = pem::decode(authority.cert.expose()) else {
        return Err("unable to decode certificate".to_owned());
    };
    let issuer = Certificate::parse(&block.bytes).map_err(|what| format!("error parsing certificate: {what}"))?;
    let signer = parse(authority.key.expose()).map_err(|what| format!("error parsing private key: {what}"))?;
    let name = call.text(0);
    let request = request(call, &name, Some((1, 2)), 3)?;
    pair(issue(&request, &key, (Some(&issuer), &signer)), &key)
}

fn custom(call: &mut Call<'_>) -> Returned {
    let cert = encoding::decode_base64(call.bytes(0)).map_err(|_| "unable to decode base64 certificate")?;
    let key = encoding::decode_base64(call.bytes(1)).map_err(|_| "unable to decode base64 private key")?;
    let (Some(block), _) = pem::decode(&cert) else { return Err("unable to decode certificate".to_owned()) };
    Certificate::parse(&block.bytes).map_err(|what| format!("error parsing certificate: {what}"))?;
    parse(&key).map_err(|what| format!("error parsing private key: {what}"))?;
    Ok(Value::KeyPair(Arc::new(KeyPair { cert: Text::new(cert), key: Text::new(key) })))
}
