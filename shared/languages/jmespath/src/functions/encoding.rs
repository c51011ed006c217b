//! Kyverno's functions on encodings and digests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{Arguments, Function, Outcome, TEXT, function, x509};
use crate::item::Item;

pub(super) const FUNCTIONS: &[Function] = &[
    function("base64_decode", &[TEXT], base64_decode),
    function("base64_encode", &[TEXT], |arguments| arguments.produce(STANDARD.encode(arguments.text(0)))),
    function("sha256", &[TEXT], |arguments| arguments.produce(hex::encode(Sha256::digest(arguments.text(0))))),
    function("sha1", &[TEXT], |arguments| arguments.produce(hex::encode(Sha1::digest(arguments.text(0))))),
    function("md5", &[TEXT], |arguments| arguments.produce(hex::encode(Md5::digest(arguments.text(0))))),
    function("parse_json", &[TEXT], parse_json),
    function("parse_yaml", &[TEXT], parse_yaml),
    function("x509_decode", &[TEXT], x509::decode),
];

fn base64_decode<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    // Go's decoder skips line ends.
    let text: String = arguments.text(0).chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let bytes = STANDARD.decode(text).map_err(|error| arguments.fail(format!("illegal base64 data: {error}")))?;
    arguments.produce(String::from_utf8_lossy(&bytes))
}

fn parse_json<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let text = arguments.text(0);
    arguments.evaluation.charge(text.len() as u64 / 8)?;
    serde_json::from_str(text).map(Item::Owned).map_err(|error| arguments.fail(error.to_string()))
}

fn parse_yaml<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let text = arguments.text(0);
    arguments.evaluation.charge(text.len() as u64 / 8)?;
    match arguments.evaluation.context.environment.parse_yaml(text) {
        Some(parsed) => parsed.map(Item::Owned).map_err(|what| arguments.fail(what)),
        None => Err(arguments.unavailable("a YAML reader")),
    }
}
