//! A real registry.

use bytes::Bytes;
use model::Digest;
use oci_client::Reference;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use registry_scanner::{Pull, Statements, Store, attached_documents, scan_once};

use crate::images::{Blob, config, index, manifest, options, sha256, story};

/// Pushes an image under a tag; returns its manifest digest.
pub(crate) async fn push(address: &str, name: &str, layers: &[Blob], with_index: bool) -> Digest {
    push_as(&RegistryAuth::Anonymous, (address, name), layers, with_index).await
}

async fn push_as(auth: &RegistryAuth, (address, name): (&str, &str), layers: &[Blob], with_index: bool) -> Digest {
    service::install_crypto();
    let client = Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() });
    let reference = Reference::with_tag(address.to_owned(), name.to_owned(), "1".to_owned());
    client.store_auth_if_needed(address, auth).await;
    for bytes in layers.iter().map(|layer| layer.bytes.clone()).chain([config(layers)]) {
        let digest = sha256(&bytes).to_string();
        client.push_blob(&reference, Bytes::from(bytes), &digest).await.unwrap();
    }
    let manifest = manifest(layers);
    let digest = sha256(&manifest);
    let put = async |reference: &Reference, bytes: Vec<u8>, kind: &'static str| {
        client.push_manifest_raw(reference, bytes, kind.parse().unwrap()).await.unwrap();
    };
    if with_index {
        let pinned = Reference::with_digest(address.to_owned(), name.to_owned(), digest.to_string());
        put(&pinned, manifest.clone(), "application/vnd.oci.image.manifest.v1+json").await;
        put(&reference, index(&[(&manifest, "amd64")]), "application/vnd.oci.image.index.v1+json").await;
    } else {
        put(&reference, manifest, "application/vnd.oci.image.manifest.v1+json").await;
    }
    digest
}

#[tokio::test(flavor = "multi_thread")]
async fn images_of_a_registry_are_scanned_by_tag_digest_and_platform() {
    let Some(registry) = testkit::parts::registry() else { return };
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let digest = push(&registry.address, "team/app", &story(), false).await;
    let target = format!("{}/team/app:1", registry.address);
    let report = scan_once(&target, &options).await.unwrap();
    assert_eq!((report.digest.clone(), report.index_digest, report.partial), (digest.clone(), None, false));
    assert_eq!(report.findings.len(), 2);

    let pinned = format!("{}/team/app@{digest}", registry.address);
    let report = scan_once(&pinned, &options).await.unwrap();
    assert_eq!((report.digest, report.layers_known), (digest.clone(), 3));

    push(&registry.address, "team/many", &story(), true).await;
    let many = format!("{}/team/many:1", registry.address);
    let fresh = registry_scanner::Options { store: Store::default(), ..options.clone() };
    let report = scan_once(&many, &fresh).await.unwrap();
    assert_eq!(report.digest, digest);
    assert!(report.index_digest.is_some());
    let other = registry_scanner::Options { platform: "linux/s390x".parse().unwrap(), ..options.clone() };
    let error = scan_once(&many, &other).await.unwrap_err().to_string();
    assert!(error.ends_with("has no image for linux/s390x; it has linux/amd64"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_registry_does_not_have_is_said() {
    let Some(registry) = testkit::parts::registry() else { return };
    service::install_crypto();
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let target = format!("{}/no/such:1", registry.address);
    let error = scan_once(&target, &options).await.unwrap_err();
    assert_eq!(error.to_string(), format!("`{target}` is not in its registry"));
    assert!(!error.is_retryable());
    drop(registry);
    let error = scan_once(&target, &options).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("onnection refused"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_rotted_in_the_registry_is_a_fault() {
    let Some(registry) = testkit::parts::registry() else { return };
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    push(&registry.address, "rot", &story(), false).await;
    let victim = sha256(&story()[0].bytes);
    let path = format!("blobs/docker/registry/v2/blobs/sha256/{}/{}/data", &victim.hex()[..2], victim.hex());
    let path = registry.folder().join(path);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 20);
    std::fs::write(&path, bytes).unwrap();
    let report = scan_once(&format!("{}/rot:1", registry.address), &options).await.unwrap();
    assert!(report.partial);
    let said: String = report.faults.iter().map(ToString::to_string).collect();
    assert!(said.contains(victim.as_str()), "{said}");
    assert_eq!(report.findings[0].package, "urllib3");
}

/// User `robot` with the password `secret`.
const USERS: &str = "robot:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_from_configuration_and_pull_secret() {
    let Some(registry) = testkit::parts::registry_for_users(USERS) else { return };
    let folder = tempfile::tempdir().unwrap();
    let address = registry.address.as_str();
    let basic = RegistryAuth::Basic("robot".to_owned(), "secret".to_owned());
    push_as(&basic, (address, "team/app"), &story(), false).await;
    let target = format!("{address}/team/app:1");
    let scan = async |pull: Pull| {
        let options = registry_scanner::Options { pull, store: Store::default(), ..options(folder.path()) };
        scan_once(&target, &options).await.map(|report| report.findings.len()).map_err(|error| error.to_string())
    };
    let denied = scan(Pull::default()).await.unwrap_err();
    assert!(denied.contains("does not let us read"), "{denied}");
    let written = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    };
    let entry =
        |password: &str| format!(r#"{{"auths":{{"{address}":{{"username":"robot","password":"{password}"}}}}}}"#);
    let config = |path| Pull { docker_config: Some(path), ..Pull::default() };
    let denied = scan(config(written("wrong.json", entry("other")))).await.unwrap_err();
    assert!(denied.contains("does not let us read") && !denied.contains("other"), "{denied}");
    assert_eq!(scan(config(written("config.json", entry("secret")))).await, Ok(2));
    let auth = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "robot:secret");
    let encoded = format!(r#"{{"auths":{{"http://{address}":{{"auth":"{auth}"}}}}}}"#);
    assert_eq!(scan(config(written("encoded.json", encoded))).await, Ok(2));
    let secret = written("secrets/team/.dockerconfigjson", entry("secret"));
    let secrets = secret.parent().unwrap().parent().unwrap().to_owned();
    assert_eq!(scan(Pull { pull_secrets: Some(secrets), ..Pull::default() }).await, Ok(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn attached_statements_are_found_by_referrer_and_by_tag() {
    let Some(registry) = testkit::parts::registry() else { return };
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let (address, name) = (registry.address.as_str(), "team/vex");
    let digest = push(address, name, &story(), false).await;
    let target = format!("{address}/{name}:1");
    let report = scan_once(&target, &options).await.unwrap();
    assert_eq!(attached_documents(&report, &options.pull).await.unwrap(), []);

    let purl = format!("pkg:oci/vex@{digest}?repository_url={address}/{name}");
    let vex = |vulnerability: &str| {
        serde_json::json!({
            "@context": "https://openvex.dev/ns/v0.2.0", "@id": "x", "author": "a", "timestamp": "2024-01-01T00:00:00Z", "version": 1,
            "statements": [{ "vulnerability": { "name": vulnerability }, "products": [{ "@id": purl }], "status": "not_affected",
                "justification": "vulnerable_code_not_present" }],
        })
    };
    let statement = |kind: &str, predicate: serde_json::Value| {
        let statement = serde_json::json!({ "_type": "https://in-toto.io/Statement/v1", "predicateType": kind, "predicate": predicate });
        let payload = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, statement.to_string());
        serde_json::json!({ "payloadType": "application/vnd.in-toto+json", "payload": payload, "signatures": [] })
            .to_string()
    };
    let first = report.findings[0].id.clone();
    let envelope = statement("https://openvex.dev/ns/v0.2.0", vex(&first));
    let other = statement("https://slsa.dev/provenance/v1", serde_json::json!({ "buildType": "x" }));
    let tag = format!("sha256-{}.att", digest.hex());
    attach((address, name, &tag), &[&envelope, &other], None).await;
    let attached = attached_documents(&report, &options.pull).await.unwrap();
    assert_eq!(attached.len(), 1, "the provenance is no statement");
    let documents = attached.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
    let verdicts = Statements::parse(documents, &report).unwrap().verdicts(&report);
    assert_eq!(verdicts.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);

    // As a referrer, in a bundle; the registry may know no referrers, then they stand under a tag.
    let inner: serde_json::Value = serde_json::from_str(&statement("https://openvex.dev/ns", vex("CVE-1-1"))).unwrap();
    let bundle =
        serde_json::json!({ "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": inner })
            .to_string();
    let referrer = attach((address, name, "some"), &[&bundle], Some(&digest)).await;
    let listed = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": referrer.0, "size": referrer.1 }],
    });
    let client = Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() });
    let fallback = Reference::with_tag(address.to_owned(), name.to_owned(), format!("sha256-{}", digest.hex()));
    let kind = "application/vnd.oci.image.index.v1+json".parse().unwrap();
    client.push_manifest_raw(&fallback, listed.to_string().into_bytes(), kind).await.unwrap();
    let attached = attached_documents(&report, &options.pull).await.unwrap();
    assert_eq!(attached.len(), 2, "{attached:?}");
}

/// Pushes an artifact of these layers under a tag, perhaps about another manifest; returns its digest and size.
async fn attach(
    (address, name, tag): (&str, &str, &str),
    layers: &[&str],
    subject: Option<&Digest>,
) -> (Digest, usize) {
    let client = Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() });
    let reference = Reference::with_tag(address.to_owned(), name.to_owned(), tag.to_owned());
    client.store_auth_if_needed(address, &RegistryAuth::Anonymous).await;
    for bytes in layers.iter().copied().chain(["{}"]) {
        let digest = sha256(bytes.as_bytes()).to_string();
        client.push_blob(&reference, Bytes::from(bytes.to_owned()), &digest).await.unwrap();
    }
    let described = |kind: &str, bytes: &str| serde_json::json!({ "mediaType": kind, "digest": sha256(bytes.as_bytes()), "size": bytes.len() });
    let layers: Vec<_> = layers.iter().map(|bytes| described("application/vnd.dsse.envelope.v1+json", bytes)).collect();
    let mut manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("application/vnd.oci.empty.v1+json", "{}"), "layers": layers,
    });
    if let Some(subject) = subject {
        manifest["subject"] = serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": subject, "size": 1,
        });
    }
    let bytes = manifest.to_string().into_bytes();
    let (digest, size) = (sha256(&bytes), bytes.len());
    let kind = "application/vnd.oci.image.manifest.v1+json".parse().unwrap();
    client.push_manifest_raw(&reference, bytes, kind).await.unwrap();
    (digest, size)
}
