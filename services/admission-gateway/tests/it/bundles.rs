//! Images signed as cosign v3 signs them: bundles that refer to the image, by key and keyless, with entries of both versions of the log
//! and timestamps, in both families of policies.

use rcgen::{ExtendedKeyUsagePurpose, KeyPair};
use reqwest::Client;
use serde_json::{Value, json};
use testkit::parts;

use crate::keyless::{BUILDER, Flaw, ISSUER, THEN, World};
use crate::logins::{loaded, pod};
use crate::signatures::Shelf;
use crate::sigstore::{Clock, Envelope, Log, SIGNED, der_of, holder};
use crate::{start_with, write};

/// The moment of [`THEN`], and one that the certificates do not reach.
const MOMENT: &str = "20231114221320Z";
const LATER: &str = "20231120221320Z";

/// Who signs and who vouches.
struct Stage {
    shelf: Shelf,
    world: World,
    key: KeyPair,
    first: Log,
    second: Log,
    clock: Clock,
}

/// What comes with a bundle.
#[derive(Clone, Copy)]
struct With {
    /// In the certificate's place the hint at a key.
    by_key: bool,
    first: bool,
    second: bool,
    time: Option<&'static str>,
}

const KEY: With = With { by_key: true, first: false, second: false, time: None };
const KEYLESS: With = With { by_key: false, first: true, second: false, time: None };
const NEWEST: With = With { by_key: false, first: false, second: true, time: Some(MOMENT) };

impl Stage {
    fn new(address: &str) -> Self {
        let client = Client::builder().no_proxy().build().unwrap();
        Self {
            shelf: Shelf { client, address: address.to_owned() },
            world: World::new(),
            key: KeyPair::generate().unwrap(),
            first: Log::first(),
            second: Log::second(),
            clock: Clock::new(ExtendedKeyUsagePurpose::TimeStamping),
        }
    }

    /// A bundle about an image; `about` is what it says it is for.
    fn bundle(&self, about: &str, what: (&str, Value), (version, with): (&str, With)) -> Value {
        let fresh = KeyPair::generate().unwrap();
        let pem = self.world.certify(&fresh, BUILDER, Flaw::Nothing);
        let key = if with.by_key { &self.key } else { &fresh };
        let envelope = Envelope::sign(about, what, key);
        let (verifier, certificate) = match with.by_key {
            true => (self.key.public_key_pem(), None),
            false => (pem.clone(), Some(der_of(&pem))),
        };
        let mut entries = Vec::new();
        if with.first {
            entries.push(self.first.took(&envelope, &verifier, THEN));
        }
        if with.second {
            let raw = |der: &[u8]| json!({ "rawBytes": base64_of(der) });
            let verifier = match &certificate {
                Some(der) => json!({ "x509Certificate": raw(der) }),
                None => json!({ "publicKey": raw(&der_of(&verifier)) }),
            };
            entries.push(self.second.took_hash(&envelope, verifier));
        }
        let timestamps = with.time.map(|time| self.clock.saw(&envelope.signature, time)).into_iter().collect();
        envelope.bundle(version, holder(certificate.as_deref()), (entries, timestamps))
    }

    /// An image with a bundle about itself.
    async fn signed(&self, tag: &str, version: &str, with: With) -> String {
        let image = self.shelf.image(tag).await;
        self.shelf.attach(&image, &self.bundle(&image, (SIGNED, json!({})), (version, with))).await;
        image
    }

    /// The same with something changed in it.
    async fn changed(&self, tag: &str, with: With, change: impl Fn(&mut Value)) {
        let image = self.shelf.image(tag).await;
        let mut bundle = self.bundle(&image, (SIGNED, json!({})), ("0.3", with));
        change(&mut bundle);
        self.shelf.attach(&image, &bundle).await;
    }

    /// The logs and authorities as one document.
    fn trusted_root(&self) -> String {
        let log = |log: &Log| {
            json!({"baseUrl": "https://log.example", "publicKey": {"rawBytes": base64_of(&der_of(&log.key.public_key_pem())),
            "validFor": {"start": "2020-01-01T00:00:00Z"}}})
        };
        let chain = |ders: &[&[u8]]| {
            let certificates: Vec<Value> = ders.iter().map(|der| json!({ "rawBytes": base64_of(der) })).collect();
            json!({"certChain": {"certificates": certificates}, "validFor": {"start": "2020-01-01T00:00:00.000Z"}})
        };
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(&self.first), log(&self.second)],
            "ctlogs": [{"publicKey": {"rawBytes": base64_of(&der_of(&self.world.certificate_log.public_key_pem()))}}],
            "certificateAuthorities": [chain(&[self.world.between.der(), self.world.root.der()])],
            "timestampAuthorities": [chain(&self.clock.certificates())],
        })
        .to_string()
    }

    fn keys(&self, more: Value) -> Value {
        let mut keys = json!({ "publicKeys": self.key.public_key_pem() });
        keys.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "keys": keys })
    }
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn keyless(more: Value) -> Value {
    let mut fields = json!({"subject": "https://ci.example/acme/*", "issuer": ISSUER});
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "keyless": fields })
}

/// A rule for images with this tag whose signatures are bundles.
fn rule(address: &str, tag: &str, entry: &Value) -> Value {
    json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": tag}, "spec": {"rules": [{
        "name": "signed", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]},
        "verifyImages": [{"type": "SigstoreBundle", "imageReferences": [format!("{address}/app:{tag}")],
            "failureAction": "Enforce", "attestors": [{"entries": [entry]}]}],
    }]}})
}

/// The same for an attestation that says `passed`.
fn attested(address: &str, tag: &str, entry: &Value) -> Value {
    let mut rule = rule(address, tag, entry);
    let verify = &mut rule["spec"]["rules"][0]["verifyImages"][0];
    let attestors = verify["attestors"].take();
    verify["attestations"] = json!([{"type": "https://example.dev/test/v1", "attestors": attestors,
        "conditions": [{"all": [{"key": "{{ passed }}", "operator": "Equals", "value": true}]}]}]);
    verify.as_object_mut().unwrap().remove("attestors");
    rule
}

/// The same in the newer family, which finds out by itself what form signatures have.
fn cel(address: &str, tag: &str, cosign: Value, expression: &str) -> Value {
    json!({"apiVersion": "policies.kyverno.io/v1alpha1", "kind": "ImageValidatingPolicy", "metadata": {"name": tag}, "spec": {
        "validationActions": ["Deny"],
        "matchConstraints": {"resourceRules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]},
        "matchImageReferences": [{"glob": format!("{address}/app:{tag}")}],
        "validationConfigurations": {"mutateDigest": false, "verifyDigest": false},
        "attestors": [{"name": "a", "cosign": cosign}],
        "attestations": [{"name": "test", "intoto": {"type": "https://example.dev/test/v1"}}],
        "validations": [{"message": "not signed", "expression": expression}],
    }})
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_are_verified_by_key_identity_logs_and_time() {
    service::install_crypto();
    let (Some(nats), Some(registry)) = (parts::nats(), parts::registry()) else { return };
    let address = registry.address.clone();
    let stage = Stage::new(&address);
    let root = nats.folder().join("trusted_root.json");
    std::fs::write(&root, stage.trusted_root()).unwrap();
    let gateway = start_with(&nats, &json!({"insecure_registries": [address], "trusted_roots": [root]}));
    let mut cases: Vec<(String, bool)> = Vec::new();
    let mut case = |rule: Value, tag: &str, allowed: bool| {
        write(nats.folder(), &format!("{tag}.yaml"), &rule.to_string());
        cases.push((tag.to_owned(), allowed));
    };
    let ignored = json!({"rekor": {"ignoreTlog": true}});

    // By key.
    for version in ["0.1", "0.2", "0.3"] {
        let tag = format!("key-{version}");
        stage.signed(&tag, version, KEY).await;
        case(rule(&address, &tag, &stage.keys(ignored.clone())), &tag, true);
    }
    stage.signed("key-logged", "0.3", With { first: true, ..KEY }).await;
    case(rule(&address, "key-logged", &stage.keys(json!({}))), "key-logged", true);
    stage.signed("key-logged-second", "0.3", With { second: true, ..KEY }).await;
    case(rule(&address, "key-logged-second", &stage.keys(json!({}))), "key-logged-second", true);
    stage.signed("key-unlogged", "0.3", KEY).await;
    case(rule(&address, "key-unlogged", &stage.keys(json!({}))), "key-unlogged", false);
    stage.signed("key-other", "0.3", KEY).await;
    let other =
        json!({"keys": {"publicKeys": KeyPair::generate().unwrap().public_key_pem(), "rekor": {"ignoreTlog": true}}});
    case(rule(&address, "key-other", &other), "key-other", false);
    let image = stage.shelf.image("key-moved").await;
    let about = format!("sha256:{}", "0".repeat(64));
    stage.shelf.attach(&image, &stage.bundle(&about, (SIGNED, json!({})), ("0.3", KEY))).await;
    case(rule(&address, "key-moved", &stage.keys(ignored.clone())), "key-moved", false);
    stage.signed("key-by-certificate", "0.3", KEYLESS).await;
    case(rule(&address, "key-by-certificate", &stage.keys(ignored.clone())), "key-by-certificate", false);
    for (tag, team, allowed) in [("annotated", "a", true), ("annotated-else", "b", false)] {
        stage.signed(tag, "0.3", KEY).await;
        let mut entry = stage.keys(ignored.clone());
        entry["annotations"] = json!({ "team": team });
        case(rule(&address, tag, &entry), tag, allowed);
    }
    stage.signed("old-type", "0.3", KEY).await;
    let mut old = rule(&address, "old-type", &stage.keys(ignored.clone()));
    old["spec"]["rules"][0]["verifyImages"][0]["type"] = json!("Cosign");
    case(old, "old-type", false);

    // Keyless.
    let elsewhere = Stage::new(&address);
    let elsewhere_bundle = |image: &str| elsewhere.bundle(image, (SIGNED, json!({})), ("0.3", KEYLESS));
    stage.signed("keyless", "0.3", KEYLESS).await;
    stage.signed("keyless-newest", "0.3", NEWEST).await;
    stage.signed("keyless-both", "0.3", With { first: true, ..NEWEST }).await;
    stage.signed("keyless-untimed", "0.3", With { time: None, ..NEWEST }).await;
    stage.signed("keyless-late", "0.3", With { time: Some(LATER), ..NEWEST }).await;
    stage.signed("keyless-late-too", "0.3", With { first: true, time: Some(LATER), ..NEWEST }).await;
    stage.signed("keyless-unlogged", "0.3", With { second: false, ..NEWEST }).await;
    stage.signed("keyless-timed", "0.3", With { second: false, ..NEWEST }).await;
    let image = stage.shelf.image("keyless-elsewhere").await;
    stage.shelf.attach(&image, &elsewhere_bundle(&image)).await;
    let entry = |bundle: &mut Value, at: &str, value: Value| *bundle.pointer_mut(at).unwrap() = value;
    let (promise, proof) = (
        "/verificationMaterial/tlogEntries/0/inclusionPromise/signedEntryTimestamp",
        "/verificationMaterial/tlogEntries/0/inclusionProof",
    );
    stage.changed("keyless-promise", KEYLESS, |bundle| entry(bundle, promise, json!("AAAA"))).await;
    stage.changed("keyless-index", KEYLESS, |bundle| entry(bundle, &format!("{proof}/logIndex"), json!("2"))).await;
    stage
        .changed("keyless-path", NEWEST, |bundle| {
            entry(bundle, &format!("{proof}/hashes/0"), json!(base64_of(&[7; 32])))
        })
        .await;
    let stolen = elsewhere.bundle(&image, (SIGNED, json!({})), ("0.3", NEWEST));
    for (tag, part) in [("keyless-stolen-entry", "tlogEntries"), ("keyless-stolen-time", "timestampVerificationData")] {
        let taken = stage.bundle(&image, (SIGNED, json!({})), ("0.3", NEWEST))["verificationMaterial"][part].clone();
        assert_ne!(taken, stolen["verificationMaterial"][part]);
        stage.changed(tag, NEWEST, |bundle| bundle["verificationMaterial"][part] = taken.clone()).await;
    }
    for (tag, allowed) in [
        ("keyless", true),
        ("keyless-newest", true),
        ("keyless-both", true),
        ("keyless-untimed", false),
        ("keyless-late", false),
        ("keyless-late-too", false),
        ("keyless-unlogged", false),
        ("keyless-elsewhere", false),
        ("keyless-promise", false),
        ("keyless-index", false),
        ("keyless-path", false),
        ("keyless-stolen-entry", false),
        ("keyless-stolen-time", false),
    ] {
        case(rule(&address, tag, &keyless(json!({}))), tag, allowed);
    }
    case(rule(&address, "keyless-timed", &keyless(ignored.clone())), "keyless-timed", true);
    let chain = json!({"rekor": {"ignoreTlog": true}, "ctlog": {"tsaCertChain": elsewhere.clock.chain(),
        "pubkey": stage.world.certificate_log.public_key_pem()}});
    stage.signed("keyless-other-clock", "0.3", NEWEST).await;
    case(rule(&address, "keyless-other-clock", &keyless(chain)), "keyless-other-clock", false);

    // Attestations, and the newer family.
    for (tag, passed) in [("attested", true), ("attested-not", false)] {
        let image = stage.shelf.image(tag).await;
        let test = ("https://example.dev/test/v1", json!({ "passed": passed }));
        stage.shelf.attach(&image, &stage.bundle(&image, (SIGNED, json!({})), ("0.3", NEWEST))).await;
        stage.shelf.attach(&image, &stage.bundle(&image, test.clone(), ("0.3", NEWEST))).await;
        case(attested(&address, tag, &keyless(json!({}))), tag, passed);
        let tag = format!("cel-{tag}");
        let image = stage.shelf.image(&tag).await;
        stage.shelf.attach(&image, &stage.bundle(&image, test, ("0.3", NEWEST))).await;
        let identities = json!({"keyless": {"identities": [{"subject": BUILDER, "issuer": ISSUER}]}});
        let expression = "images.containers.all(i, verifyAttestationSignatures(i, attestations.test, [attestors.a]) > 0 && \
            extractPayload(i, attestations.test).predicate.passed)";
        case(cel(&address, &tag, identities, expression), &tag, passed);
    }
    let by_key = json!({"key": {"data": stage.key.public_key_pem()}, "ctlog": {"insecureIgnoreTlog": true}});
    let signed = "images.containers.all(i, verifyImageSignatures(i, [attestors.a]) > 0)";
    stage.signed("cel-key", "0.3", KEY).await;
    case(cel(&address, "cel-key", by_key.clone(), signed), "cel-key", true);
    stage.signed("cel-keyless", "0.3", KEYLESS).await;
    case(cel(&address, "cel-keyless", by_key, signed), "cel-keyless", false);

    loaded(&gateway, nats.folder()).await;
    let log = || std::fs::read_to_string(nats.folder().join("gateway.log")).unwrap_or_default();
    for (tag, allowed) in cases {
        let answer = gateway.review("validate", pod(&format!("{address}/app:{tag}"), &[])).await["response"].clone();
        assert_eq!(answer["allowed"], json!(allowed), "{tag}: {answer}\n{}", gateway.log());
    }
    assert!(log().contains("only a rule of the type `SigstoreBundle` looks at them"));
}
