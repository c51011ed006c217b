//! What cosign v3 writes, made here: bundles with entries of both versions of the log and timestamps of an authority, attached to an image
//! as what refers to it.

use asn1::{INTEGER, NULL, OCTET_STRING, Reader, SEQUENCE, SET, integer, oid, sequence, tlv};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, SigningKey as _,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::signatures::{Shelf, hex};

pub(crate) const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";

/// A log, with what its checkpoints begin with.
pub(crate) struct Log {
    pub(crate) key: KeyPair,
    origin: &'static str,
}

impl Log {
    pub(crate) fn first() -> Self {
        Self { key: KeyPair::generate().unwrap(), origin: "log.example - 2605736670972794746" }
    }

    pub(crate) fn second() -> Self {
        Self { key: KeyPair::generate().unwrap(), origin: "log2.example" }
    }

    fn id(&self) -> Vec<u8> {
        Sha256::digest(self.key.subject_public_key_info()).to_vec()
    }

    /// The proof that an entry is the second of three.
    fn proof(&self, body: &[u8]) -> Value {
        let leaf = |bytes: &[u8]| Sha256::digest([&[0][..], bytes].concat()).to_vec();
        let node = |left: &[u8], right: &[u8]| Sha256::digest([&[1][..], left, right].concat()).to_vec();
        let (before, after) = (leaf(b"before"), leaf(b"after"));
        let root = node(&node(&before, &leaf(body)), &after);
        let text = format!("{}\n3\n{}\n", self.origin, STANDARD.encode(&root));
        let signature = [&[1, 2, 3, 4][..], &self.key.sign(text.as_bytes()).unwrap()].concat();
        let name = self.origin.split(' ').next().unwrap();
        json!({
            "logIndex": "1", "treeSize": "3", "rootHash": STANDARD.encode(&root),
            "hashes": [STANDARD.encode(before), STANDARD.encode(after)],
            "checkpoint": { "envelope": format!("{text}\n\u{2014} {name} {}\n", STANDARD.encode(signature)) },
        })
    }

    fn entry(&self, (kind, version): (&str, &str), body: &Value) -> Value {
        let body = body.to_string();
        json!({
            "logIndex": "77", "logId": { "keyId": STANDARD.encode(self.id()) }, "kindVersion": { "kind": kind, "version": version },
            "inclusionProof": self.proof(body.as_bytes()), "canonicalizedBody": STANDARD.encode(&body),
        })
    }

    /// An entry of the first version: the log promises it with a time.
    pub(crate) fn took(&self, envelope: &Envelope, verifier: &str, time: u64) -> Value {
        let body = json!({"apiVersion": "0.0.1", "kind": "dsse", "spec": {
            "envelopeHash": {"algorithm": "sha256", "value": "00"},
            "payloadHash": {"algorithm": "sha256", "value": hex(envelope.payload.as_bytes())},
            "signatures": [{"signature": STANDARD.encode(&envelope.signature), "verifier": STANDARD.encode(verifier)}],
        }});
        let mut entry = self.entry(("dsse", "0.0.1"), &body);
        let id: String = self.id().iter().map(|byte| format!("{byte:02x}")).collect();
        let body = entry["canonicalizedBody"].as_str().unwrap();
        let promised = format!("{{\"body\":\"{body}\",\"integratedTime\":{time},\"logID\":\"{id}\",\"logIndex\":77}}");
        let promise = STANDARD.encode(self.key.sign(promised.as_bytes()).unwrap());
        entry["inclusionPromise"] = json!({ "signedEntryTimestamp": promise });
        entry["integratedTime"] = json!(time.to_string());
        entry
    }

    /// An entry of the second version, which has no time.
    pub(crate) fn took_hash(&self, envelope: &Envelope, verifier: Value) -> Value {
        let mut named = verifier;
        named["keyDetails"] = json!("PKIX_ECDSA_P256_SHA_256");
        let body = json!({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": {
            "data": {"algorithm": "SHA2_256", "digest": STANDARD.encode(Sha256::digest(&envelope.message))},
            "signature": {"content": STANDARD.encode(&envelope.signature), "verifier": named},
        }}});
        self.entry(("hashedrekord", "0.0.2"), &body)
    }
}

/// A signed statement.
pub(crate) struct Envelope {
    pub(crate) payload: String,
    pub(crate) message: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl Envelope {
    pub(crate) fn sign(image: &str, (kind, predicate): (&str, Value), key: &KeyPair) -> Self {
        let payload = json!({
            "_type": "https://in-toto.io/Statement/v1", "predicateType": kind, "predicate": predicate,
            "subject": [{"digest": {"sha256": image.trim_start_matches("sha256:")}, "annotations": {"team": "a"}}],
        })
        .to_string();
        let kind = "application/vnd.in-toto+json";
        let message = format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len()).into_bytes();
        let signature = key.sign(&message).unwrap();
        Self { payload, message, signature }
    }

    /// The bundle of this version, around what holds the key, with entries of logs and timestamps.
    pub(crate) fn bundle(
        &self,
        version: &str,
        holder: Value,
        (entries, timestamps): (Vec<Value>, Vec<Vec<u8>>),
    ) -> Value {
        let media_type = match version {
            "0.3" => "application/vnd.dev.sigstore.bundle.v0.3+json".to_owned(),
            older => format!("application/vnd.dev.sigstore.bundle+json;version={older}"),
        };
        let mut material = holder;
        material["tlogEntries"] = json!(entries);
        let timestamps: Vec<Value> =
            timestamps.iter().map(|one| json!({ "signedTimestamp": STANDARD.encode(one) })).collect();
        material["timestampVerificationData"] = json!({ "rfc3161Timestamps": timestamps });
        json!({
            "mediaType": media_type, "verificationMaterial": material,
            "dsseEnvelope": {
                "payload": STANDARD.encode(&self.payload), "payloadType": "application/vnd.in-toto+json",
                "signatures": [{ "sig": STANDARD.encode(&self.signature) }],
            },
        })
    }
}

/// What holds the key of a bundle: a hint at a key, or a certificate (DER).
pub(crate) fn holder(certificate: Option<&[u8]>) -> Value {
    match certificate {
        Some(der) => json!({ "certificate": { "rawBytes": STANDARD.encode(der) } }),
        None => json!({ "publicKey": { "hint": "k" } }),
    }
}

/// The bytes in a PEM block.
pub(crate) fn der_of(pem: &str) -> Vec<u8> {
    let lines: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(lines).unwrap()
}

/// An authority that says when it saw a signature.
pub(crate) struct Clock {
    pub(crate) root: CertifiedIssuer<'static, KeyPair>,
    key: KeyPair,
    certificate: Vec<u8>,
}

const SHA_256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const ECDSA_SHA_256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const TIMESTAMP_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];

impl Clock {
    pub(crate) fn new(purpose: ExtendedKeyUsagePurpose) -> Self {
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.distinguished_name.push(DnType::CommonName, "clock root");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "clock");
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &root).unwrap().der().to_vec();
        Self { root, key, certificate }
    }

    pub(crate) fn chain(&self) -> String {
        let encoded = STANDARD.encode(&self.certificate);
        format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n{}", self.root.pem())
    }

    pub(crate) fn certificates(&self) -> [&[u8]; 2] {
        [&self.certificate, self.root.der()]
    }

    /// That it saw `signature` at a time, as `YYYYMMDDhhmmssZ`.
    pub(crate) fn saw(&self, signature: &[u8], time: &str) -> Vec<u8> {
        let hash = sequence(&[&oid(SHA_256), NULL]);
        let octets = |bytes: &[u8]| tlv(OCTET_STRING, bytes);
        let imprint = sequence(&[&hash, &octets(&Sha256::digest(signature))]);
        let fact = sequence(&[&integer(&[1]), &oid(&[0x2a, 3]), &imprint, &integer(&[9]), &tlv(0x18, time.as_bytes())]);
        let attribute = |name: &[u8], value: &[u8]| sequence(&[&oid(name), &tlv(SET, value)]);
        let attributes =
            [attribute(CONTENT_TYPE, &oid(TIMESTAMP_INFO)), attribute(MESSAGE_DIGEST, &octets(&Sha256::digest(&fact)))]
                .concat();
        let made = self.key.sign(&tlv(SET, &attributes)).unwrap();
        let (issuer, serial) = named(&self.certificate);
        let signer = sequence(&[
            &integer(&[1]),
            &sequence(&[&issuer, &serial]),
            &sequence(&[&oid(SHA_256)]),
            &tlv(0xa0, &attributes),
            &sequence(&[&oid(ECDSA_SHA_256)]),
            &octets(&made),
        ]);
        let data = sequence(&[
            &integer(&[3]),
            &tlv(SET, &hash),
            &sequence(&[&oid(TIMESTAMP_INFO), &tlv(0xa0, &octets(&fact))]),
            &tlv(0xa0, &self.certificate),
            &tlv(SET, &signer),
        ]);
        sequence(&[&sequence(&[&integer(&[0])]), &sequence(&[&oid(SIGNED_DATA), &tlv(0xa0, &data)])])
    }
}

/// Name of the issuer and serial number of a certificate, as they lie in it.
fn named(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut fields = Reader::new(der).read(SEQUENCE).unwrap().reader().read(SEQUENCE).unwrap().reader();
    fields.read(0xa0);
    let serial = fields.read(INTEGER).unwrap().whole.to_vec();
    fields.read(SEQUENCE).unwrap();
    (fields.read(SEQUENCE).unwrap().whole.to_vec(), serial)
}

impl Shelf {
    /// Attaches a bundle to an image: as what refers to it, in the index under the tag of its digest.
    pub(crate) async fn attach(&self, image: &str, bundle: &Value) {
        let kind = "application/vnd.dev.sigstore.bundle.v0.3+json";
        let bytes = bundle.to_string().into_bytes();
        let empty =
            json!({"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": self.blob(b"{}").await});
        let layer = json!({"mediaType": kind, "size": bytes.len(), "digest": self.blob(&bytes).await});
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_type, "artifactType": kind, "config": empty, "layers": [layer],
            "subject": {"mediaType": media_type, "size": 1, "digest": image},
        })
        .to_string();
        let digest = format!("sha256:{}", hex(manifest.as_bytes()));
        let size = manifest.len();
        self.put(&digest, media_type, manifest).await;
        let tag = image.replace(':', "-");
        let index_type = "application/vnd.oci.image.index.v1+json";
        let known = self.client.get(format!("http://{}/v2/app/manifests/{tag}", self.address));
        let known = known.header("Accept", index_type).send().await.unwrap();
        let mut index = match known.status().is_success() {
            true => known.json().await.unwrap(),
            false => json!({"schemaVersion": 2, "mediaType": index_type, "manifests": []}),
        };
        let entry = json!({"mediaType": media_type, "digest": digest, "size": size, "artifactType": kind});
        index["manifests"].as_array_mut().unwrap().push(entry);
        self.put(&tag, index_type, index.to_string()).await;
    }

    async fn put(&self, name: &str, media_type: &str, body: String) {
        let put = self.client.put(format!("http://{}/v2/app/manifests/{name}", self.address));
        let answer = put.header("Content-Type", media_type).body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }
}
