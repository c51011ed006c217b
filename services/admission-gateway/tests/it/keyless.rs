//! Images signed without a key of one's own: an authority made here vouches for an identity, a log made here promises the entry, and
//! the gateway verifies both, and the timestamp of a log for certificates, in both families of policies.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType, SerialNumber, SigningKey as _, date_time_ymd,
};
use reqwest::Client;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testkit::parts;

use crate::signatures::{Shelf, ask, hex, logged};
use crate::{start_with, write};

pub(crate) const BUILDER: &str = "https://ci.example/acme/app/.github/workflows/release.yaml@refs/heads/main";
pub(crate) const ISSUER: &str = "https://issuer.example";
/// Within the certificates' only day.
pub(crate) const THEN: u64 = 1_700_000_000;

/// A root, what it lets issue certificates, and the logs.
pub(crate) struct World {
    pub(crate) root: CertifiedIssuer<'static, KeyPair>,
    pub(crate) between: CertifiedIssuer<'static, KeyPair>,
    pub(crate) certificate_log: KeyPair,
    pub(crate) log: KeyPair,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

impl World {
    pub(crate) fn new() -> Self {
        let root = CertifiedIssuer::self_signed(authority("root"), KeyPair::generate().unwrap()).unwrap();
        let mut params = authority("intermediate");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        let between = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &root).unwrap();
        Self { root, between, certificate_log: KeyPair::generate().unwrap(), log: KeyPair::generate().unwrap() }
    }

    /// A certificate for `subject`, good for one day long ago; with the timestamp of the log for certificates.
    pub(crate) fn certify(&self, key: &KeyPair, subject: &str, what: Flaw) -> String {
        let params = |timestamps: Option<Vec<u8>>| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.subject_alt_names = vec![SanType::URI(subject.try_into().unwrap())];
            params.serial_number = Some(SerialNumber::from(7_u64));
            (params.not_before, params.not_after) = (date_time_ymd(2023, 11, 14), date_time_ymd(2023, 11, 15));
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            let purpose = ExtendedKeyUsagePurpose::CodeSigning;
            params.extended_key_usages =
                vec![if what == Flaw::Purpose { ExtendedKeyUsagePurpose::ServerAuth } else { purpose }];
            let fact = |number, text: &str| {
                CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, number], text.as_bytes().to_vec())
            };
            params.custom_extensions = vec![fact(1, ISSUER), fact(5, "acme/app")];
            params.custom_extensions.extend(
                timestamps.map(|list| CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2], list)),
            );
            params
        };
        if what == Flaw::Timestamp {
            return params(None).signed_by(key, &self.between).unwrap().pem();
        }
        let before = params(None).signed_by(key, &self.between).unwrap();
        params(Some(self.timestamps(signed_part(before.der())))).signed_by(key, &self.between).unwrap().pem()
    }

    /// A list of one signed certificate timestamp (RFC 6962) in its octet string.
    fn timestamps(&self, before: &[u8]) -> Vec<u8> {
        let log = Sha256::digest(self.certificate_log.subject_public_key_info());
        let issuer = Sha256::digest(self.between.key().subject_public_key_info());
        let time = (THEN * 1_000).to_be_bytes();
        let length = u32::try_from(before.len()).unwrap().to_be_bytes();
        let message = [&[0, 0][..], &time, &[0, 1], &issuer, &length[1..], before, &[0, 0]].concat();
        let signature = self.certificate_log.sign(&message).unwrap();
        let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
        let one = [&[0][..], &log, &time, &[0, 0], &[4, 3], &sized(&signature)].concat();
        let list = sized(&sized(&one));
        let length = u8::try_from(list.len()).unwrap();
        let header = if length < 0x80 { vec![0x04, length] } else { vec![0x04, 0x81, length] };
        [header, list].concat()
    }
}

/// The part of a certificate that is signed: the first element of its content.
fn signed_part(der: &[u8]) -> &[u8] {
    let long = |at: usize| usize::from(u16::from_be_bytes([der[at], der[at + 1]]));
    assert_eq!((der[1], der[5]), (0x82, 0x82), "both lengths take two bytes");
    &der[4..8 + long(6)]
}

/// What is wrong with a signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    Nothing,
    /// The certificate is for servers.
    Purpose,
    /// No log has seen the certificate.
    Timestamp,
    /// No log has seen the signature.
    Log,
    /// The log saw it when the certificate was good no longer.
    Late,
    /// The log saw the signature with another certificate.
    Foreign,
}

/// Signs an image as somebody with an account does: a fresh key, certified for the identity.
async fn sign(shelf: &Shelf, world: &World, tag: &str, (subject, flaw): (&str, Flaw)) {
    let image = shelf.image(tag).await;
    let key = KeyPair::generate().unwrap();
    let certificate = world.certify(&key, subject, flaw);
    let payload = json!({
        "critical": {"identity": {"docker-reference": "app"}, "image": {"docker-manifest-digest": image},
            "type": "cosign container image signature"},
        "optional": null,
    })
    .to_string();
    let signature = STANDARD.encode(key.sign(payload.as_bytes()).unwrap());
    let named =
        if flaw == Flaw::Foreign { world.certify(&key, "mailto:x", Flaw::Nothing) } else { certificate.clone() };
    let entry = json!({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
        "data": {"hash": {"algorithm": "sha256", "value": hex(payload.as_bytes())}},
        "signature": {"content": signature, "publicKey": {"content": STANDARD.encode(named)}},
    }});
    let mut annotations = json!({
        "dev.cosignproject.cosign/signature": signature, "dev.sigstore.cosign/certificate": certificate,
        "dev.sigstore.cosign/chain": format!("{}{}", world.between.pem(), world.root.pem()),
    });
    if flaw != Flaw::Log {
        let time = if flaw == Flaw::Late { THEN + 400_000 } else { THEN };
        let bundle = logged(&entry, time, |text| world.log.sign(text).unwrap());
        annotations["dev.sigstore.cosign/bundle"] = json!(bundle);
    }
    shelf.push(&format!("{}.sig", image.replace(':', "-")), &[(payload.as_bytes(), annotations)]).await;
}

/// Attests something about an image, keyless.
async fn attest(shelf: &Shelf, world: &World, tag: &str, subject: &str) {
    let image = shelf.image(tag).await;
    let key = KeyPair::generate().unwrap();
    let certificate = world.certify(&key, subject, Flaw::Nothing);
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://example.dev/test/v1",
        "subject": [{"name": "app", "digest": {"sha256": image.trim_start_matches("sha256:")}}],
        "predicate": {"passed": true},
    })
    .to_string();
    let kind = "application/vnd.in-toto+json";
    let encoded = format!("DSSEv1 {} {kind} {} {statement}", kind.len(), statement.len());
    let signature = STANDARD.encode(key.sign(encoded.as_bytes()).unwrap());
    let envelope =
        json!({"payloadType": kind, "payload": STANDARD.encode(&statement), "signatures": [{"sig": signature}]});
    let entry = json!({"apiVersion": "0.0.1", "kind": "dsse", "spec": {
        "payloadHash": {"algorithm": "sha256", "value": hex(statement.as_bytes())},
        "signatures": [{"signature": signature, "verifier": STANDARD.encode(&certificate)}],
    }});
    let annotations = json!({
        "dev.sigstore.cosign/certificate": certificate,
        "dev.sigstore.cosign/bundle": logged(&entry, THEN, |text| world.log.sign(text).unwrap()),
    });
    let tag = format!("{}.att", image.replace(':', "-"));
    shelf.push(&tag, &[(envelope.to_string().as_bytes(), annotations)]).await;
}

/// A rule about images whose tag begins so, with an attestor's entry.
fn rule(name: &str, pattern: &str, entry: &Value, attested: bool) -> String {
    let attestors = json!([{"entries": [entry]}]);
    let mut wanted = json!({"imageReferences": [pattern], "failureAction": "Enforce"});
    if attested {
        wanted["attestations"] = json!([{"type": "https://example.dev/test/v1", "attestors": attestors,
            "conditions": [{"all": [{"key": "{{ passed }}", "operator": "Equals", "value": true}]}]}]);
    } else {
        wanted["attestors"] = attestors;
    }
    json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": name}, "spec": {"rules": [{
        "name": "signed", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]}, "verifyImages": [wanted],
    }]}})
    .to_string()
}

/// The same in the newer family, by one identity.
fn cel(name: &str, pattern: &str, cosign: &Value) -> String {
    json!({"apiVersion": "policies.kyverno.io/v1alpha1", "kind": "ImageValidatingPolicy", "metadata": {"name": name}, "spec": {
        "validationActions": ["Deny"],
        "matchConstraints": {"resourceRules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]},
        "matchImageReferences": [{"glob": pattern}],
        "validationConfigurations": {"mutateDigest": false, "verifyDigest": false},
        "attestors": [{"name": "builder", "cosign": cosign}],
        "validations": [{"message": "not signed by the builder",
            "expression": "images.containers.all(i, verifyImageSignatures(i, [attestors.builder]) > 0)"}],
    }})
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_are_verified_by_authority_and_logs() {
    service::install_crypto();
    let (Some(nats), Some(registry)) = (parts::nats(), parts::registry()) else { return };
    let shelf = Shelf { client: Client::builder().no_proxy().build().unwrap(), address: registry.address.clone() };
    let (world, elsewhere) = (World::new(), World::new());
    let file = |name: &str, text: String| {
        std::fs::write(nats.folder().join(name), text).unwrap();
        nats.folder().join(name)
    };
    let gateway = start_with(
        &nats,
        &json!({
            "insecure_registries": [registry.address],
            "transparency_log_keys": [file("log.pem", world.log.public_key_pem())],
            "certificate_log_keys": [file("ct.pem", world.certificate_log.public_key_pem())],
            "fulcio_roots": [file("root.pem", world.root.pem()), file("between.pem", format!("{}{}", world.root.pem(), world.between.pem()))],
        }),
    );
    let flaws = [Flaw::Nothing, Flaw::Purpose, Flaw::Timestamp, Flaw::Log, Flaw::Late, Flaw::Foreign];
    for (name, flaw) in ["good", "purpose", "unseen", "unlogged", "late", "foreign"].into_iter().zip(flaws) {
        for prefix in ["", "cel-"] {
            sign(&shelf, &world, &format!("{prefix}{name}"), (BUILDER, flaw)).await;
        }
    }
    sign(&shelf, &world, "other", ("https://ci.example/mallory/app", Flaw::Nothing)).await;
    sign(&shelf, &world, "cel-other", ("https://ci.example/mallory/app", Flaw::Nothing)).await;
    sign(&shelf, &elsewhere, "outsider", (BUILDER, Flaw::Nothing)).await;
    for name in ["lax-unseen", "wrong-issuer", "wrong-fact", "kms", "cel-exact", "own-roots"] {
        let flaw = if name == "lax-unseen" { Flaw::Timestamp } else { Flaw::Nothing };
        sign(&shelf, if name == "own-roots" { &elsewhere } else { &world }, name, (BUILDER, flaw)).await;
    }
    attest(&shelf, &world, "attested", BUILDER).await;
    attest(&shelf, &world, "attested-by-other", "https://ci.example/mallory/app").await;

    let address = &registry.address;
    let pattern = |tag: &str| format!("{address}/app:{tag}");
    let who = json!({"subject": "https://ci.example/acme/*", "issuer": ISSUER, "additionalExtensions": {"githubWorkflowRepository": "acme/*"}});
    let keyless = |changes: Value| {
        let mut fields = who.clone();
        fields.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        json!({"keyless": fields})
    };
    let put = |name: &str, text: String| write(nats.folder(), &format!("{name}.yaml"), &text);
    for name in ["good", "purpose", "unseen", "unlogged", "late", "foreign", "other", "outsider"] {
        put(name, rule(name, &pattern(name), &keyless(json!({})), false));
    }
    put("lax", rule("lax", &pattern("lax-*"), &keyless(json!({"ctlog": {"ignoreSCT": true}})), false));
    put(
        "issuer",
        rule("issuer", &pattern("wrong-issuer"), &keyless(json!({"issuer": "https://other.example"})), false),
    );
    let fact = json!({"additionalExtensions": {"githubWorkflowRepository": "acme/other"}});
    put("fact", rule("fact", &pattern("wrong-fact"), &keyless(fact), false));
    let roots = json!({
        "roots": elsewhere.root.pem(), "rekor": {"pubkey": elsewhere.log.public_key_pem()},
        "ctlog": {"pubkey": elsewhere.certificate_log.public_key_pem()},
    });
    put("roots", rule("roots", &pattern("own-roots"), &keyless(roots), false));
    put("kms", rule("kms", &pattern("kms"), &json!({"keys": {"kms": "awskms:///alias/x"}}), false));
    put("attested", rule("attested", &pattern("attested*"), &keyless(json!({})), true));
    let identities = |identity: Value| json!({"keyless": {"identities": [identity]}});
    let regular = identities(json!({"subjectRegExp": "^https://ci\\.example/acme/", "issuer": ISSUER}));
    for name in ["good", "purpose", "unseen", "unlogged", "late", "foreign", "other"] {
        put(&format!("cel-{name}"), cel(&format!("cel-{name}"), &pattern(&format!("cel-{name}")), &regular));
    }
    let wildcard = identities(json!({"subject": "https://ci.example/acme/*", "issuer": ISSUER}));
    put("cel-exact", cel("cel-exact", &pattern("cel-exact"), &wildcard));

    // The policies are loaded together, once the folder was looked at after the last of them came.
    let at = |tag: &str| format!("{address}/app:{tag}");
    for _ in 0..200 {
        if ask(&gateway, "validate", &at("cel-exact")).await["allowed"] == json!(false) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(gateway.faults().await, "[]");
    for (tag, allowed) in [
        ("good", true),
        ("purpose", false),
        ("unseen", false),
        ("unlogged", false),
        ("late", false),
        ("foreign", false),
        ("other", false),
        ("outsider", false),
        ("lax-unseen", true),
        ("wrong-issuer", false),
        ("wrong-fact", false),
        ("own-roots", true),
        ("attested", true),
        ("attested-by-other", false),
        ("cel-good", true),
        ("cel-purpose", false),
        ("cel-unseen", false),
        ("cel-unlogged", false),
        ("cel-late", false),
        ("cel-foreign", false),
        ("cel-other", false),
        ("cel-exact", false),
    ] {
        let answer = ask(&gateway, "validate", &at(tag)).await;
        assert_eq!(answer["allowed"], json!(allowed), "{tag}: {answer}\n{}", gateway.log());
    }
    let answer = ask(&gateway, "validate", &at("kms")).await;
    let said = answer["status"]["message"].as_str().unwrap();
    assert!(said.contains("keys from a key management service are not verified"), "{answer}");
}
