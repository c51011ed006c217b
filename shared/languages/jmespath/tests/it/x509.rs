//! Certificates against what Go's encoder writes for them.

use jmespath::EvalError;
use serde_json::{Value, json};

use crate::grammar::search;

const CERTIFICATE: &str = include_str!("../fixtures/x509/certificate.pem");
const REQUEST: &str = include_str!("../fixtures/x509/request.pem");
const ELLIPTIC: &str = include_str!("../fixtures/x509/elliptic.pem");
const MODULUS: &str = "143752712084519621223091140200784154488362606681634812457535983438107273036138062138406983352549542939832657011964158306185241658386060996464912732693700814040783048883478644890629257340610428621736175227923747406550753800281644696475369779232978196060879173368847629218887274091335316174662397648306442578463";

#[test]
fn decodes_as_go_does() {
    for (pem, expected) in [
        (CERTIFICATE, include_str!("../fixtures/x509/certificate.json")),
        (REQUEST, include_str!("../fixtures/x509/request.json")),
    ] {
        let mut expected: Value = serde_json::from_str(expected).unwrap();
        expected["PublicKey"] = json!({"N": MODULUS, "E": 65537});
        let decoded = search("x509_decode(@)", &json!(pem)).unwrap();
        for (key, value) in expected.as_object().unwrap() {
            let got = decoded.get(key);
            // A URL has more fields in Go than policies look at.
            if key == "URIs" && value.is_array() {
                assert_eq!(got.unwrap()[0], json!({"Scheme": "spiffe", "Host": "x.example", "Path": "/sa"}));
            } else {
                assert!(got.is_some_and(|got| jmespath::equal(got, value)), "{key}: {got:?} {value}");
            }
        }
    }
}

#[test]
fn refuses_what_is_no_certificate_with_an_rsa_key() {
    let truncated = CERTIFICATE.replacen("MIIC", "MIIB", 1);
    for text in [
        ELLIPTIC,
        "",
        "-----BEGIN X-----\nAAAA\n-----END X-----",
        truncated.as_str(),
        "-----BEGIN CERTIFICATE-----\n####\n-----END CERTIFICATE-----",
    ] {
        let error = search("x509_decode(@)", &json!(text)).unwrap_err();
        assert!(matches!(error, EvalError::Function { .. }), "{error}");
    }
}
