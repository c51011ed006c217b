//! A real registry.

use bytes::Bytes;
use model::Digest;
use oci_client::Reference;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use registry_scanner::{Store, scan_once};

use crate::images::{Blob, config, index, manifest, options, sha256, story};

/// Pushes an image under a tag; returns its manifest digest.
pub(crate) async fn push(address: &str, name: &str, layers: &[Blob], with_index: bool) -> Digest {
    service::install_crypto();
    let client = Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() });
    let reference = Reference::with_tag(address.to_owned(), name.to_owned(), "1".to_owned());
    client.store_auth_if_needed(address, &RegistryAuth::Anonymous).await;
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
