//! Trivy's database: pulled from a real registry, imported from files, and matched with.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use oci_client::Reference;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use registry_scanner::{
    Advisories, Fingerprint, Making, Options, Pull, Shown, document, import_database, read_bill, scan_once,
    update_database,
};
use serde_json::json;
use testkit::bbolt;

use crate::images::{gzip, layout, options, sha256, story, tar_of};

const LAYER: &str = "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip";
const METADATA: &str = r#"{"Version":2,"NextUpdate":"2099-01-01T00:00:00Z","UpdatedAt":"2026-11-20T06:00:00Z","DownloadedAt":"2026-11-20T07:00:00Z"}"#;

/// A database that knows the story's zlib and urllib3.
fn database() -> Option<Vec<u8>> {
    bbolt::write(&json!({
        "debian 12": { "zlib": { "CVE-2023-45853": r#"{"FixedVersion":"","Severity":1,"Status":5}"# } },
        "pip::GitHub Security Advisory Pip": {
            "urllib3": { "CVE-2021-33503": r#"{"PatchedVersions":["1.26.5"],"VulnerableVersions":["<1.26.5"],"VendorIDs":["GHSA-q2q7-5pp4-w6pg"]}"# },
        },
        "data-source": {
            "debian 12": r#"{"ID":"debian","Name":"Debian Security Tracker","URL":"https://example.org"}"#,
            "pip::GitHub Security Advisory Pip": r#"{"ID":"ghsa","Name":"GitHub","URL":"https://example.org"}"#,
        },
        "vulnerability": {
            "CVE-2021-33503": r#"{"Title":"catastrophic backtracking","Severity":"LOW","VendorSeverity":{"ghsa":3,"nvd":4},"PublishedDate":"2021-06-29T11:15:00Z"}"#,
            "CVE-2023-45853": r#"{"Title":"integer overflow","VendorSeverity":{"nvd":4}}"#,
        },
    }))
}

fn archive(database: &[u8]) -> Vec<u8> {
    gzip(&tar_of(&[("metadata.json", METADATA.as_bytes()), ("trivy.db", database)]))
}

/// Pushes the artifact as the public one is made: one layer, no image configuration.
async fn push(address: &str, archive: &[u8]) {
    service::install_crypto();
    let client = Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() });
    let reference = Reference::with_tag(address.to_owned(), "trivy-db".to_owned(), "2".to_owned());
    client.store_auth_if_needed(address, &RegistryAuth::Anonymous).await;
    let config = b"{}".to_vec();
    for bytes in [archive.to_vec(), config.clone()] {
        let digest = sha256(&bytes).to_string();
        client.push_blob(&reference, Bytes::from(bytes), &digest).await.unwrap();
    }
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.aquasec.trivy.config.v1+json",
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(&config), "size": config.len() },
        "layers": [{ "mediaType": LAYER, "digest": sha256(archive), "size": archive.len() }],
    });
    let kind = "application/vnd.oci.image.manifest.v1+json".parse().unwrap();
    client.push_manifest_raw(&reference, manifest.to_string().into_bytes(), kind).await.unwrap();
}

async fn findings(folder: &Path, advisories: &Path) -> (String, Vec<String>) {
    let image = folder.join("image");
    layout(&image, &story());
    let (advisories, faults) = Advisories::load(advisories, &Fingerprint::of(advisories));
    assert_eq!(faults, []);
    let options = Options { advisories: Arc::new(advisories), ..options(folder) };
    let report = scan_once(&image.display().to_string(), &options).await.unwrap();
    let line = |finding: &registry_scanner::Match| {
        format!("{} {} {} {:?} {}", finding.id, finding.package, finding.severity, finding.fixed_version, finding.title)
    };
    assert_eq!(report.faults, []);
    (report.database, report.findings.iter().map(line).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_pulled_and_matched_with() {
    let (Some(registry), Some(database)) = (testkit::parts::registry(), database()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let advisories = folder.path().join("db");
    push(&registry.address, &archive(&database)).await;
    let sources = [format!("{}/no/such:2", registry.address), format!("{}/trivy-db:2", registry.address)];
    let metadata = update_database(&sources, &advisories, &Pull::default()).await.unwrap();
    assert_eq!(metadata.updated_at, "2026-11-20T06:00:00Z");
    let (name, found) = findings(folder.path(), &advisories).await;
    assert_eq!(name, "trivy-db:2026-11-20T06:00:00Z");
    assert_eq!(
        found,
        [
            "CVE-2021-33503 urllib3 HIGH \"1.26.5\" catastrophic backtracking",
            "CVE-2023-45853 zlib1g LOW \"\" integer overflow",
        ]
    );
    // OSV files beside it say the same again, and are not counted twice.
    crate::images::advisories(&advisories.join("osv"), true);
    let (_, found) = findings(folder.path(), &advisories).await;
    assert_eq!(found.len(), 2, "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_database_leaves_the_old_one_in_force() {
    let Some(database) = database() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("good.tar.gz"), archive(&database)).unwrap();
    fs::write(at("cut.tar.gz"), &archive(&database)[..500]).unwrap();
    fs::write(at("nonsense.tar.gz"), archive(&[7; 100_000])).unwrap();
    fs::write(at("text"), "hello, this is no database").unwrap();
    fs::create_dir_all(at("cache/db")).unwrap();
    fs::write(at("cache/db/trivy.db"), &database).unwrap();
    let advisories = at("advisories");
    assert_eq!(import_database(&at("good.tar.gz"), &advisories).unwrap().version, 2);
    for (name, wanted) in [
        ("cut.tar.gz", "archive of the database cannot be read"),
        ("nonsense.tar.gz", "neither meta page is valid"),
        ("text", "neither meta page is valid"),
        ("missing", "neither a trivy.db, a folder with one, nor its archive"),
    ] {
        let error = import_database(&at(name), &advisories).unwrap_err().to_string();
        assert!(error.contains(wanted), "{name}: {error}");
        assert_eq!(fs::read(advisories.join("trivy.db")).unwrap(), database, "{name}: the old one stays");
    }
    let left: Vec<_> = fs::read_dir(&advisories).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left.len(), 2, "nothing is left behind: {left:?}");
    // Trivy's cache has no metadata here: the database is taken, and its age is not claimed.
    assert_eq!(import_database(&at("cache"), &advisories).unwrap().updated_at, "");
    let (name, _) = findings(folder.path(), &advisories).await;
    assert_eq!(name, "trivy-db:of unknown age");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bill_of_material_that_is_written_and_read_gives_the_same_findings() {
    let Some(database) = database() else { return };
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    fs::create_dir(folder.path().join("db")).unwrap();
    fs::write(folder.path().join("db/trivy.db"), &database).unwrap();
    layout(&image, &story());
    let advisories = Arc::new(Advisories::load(folder.path(), &Fingerprint::of(&folder.path().join("db"))).0);
    let options = Options { advisories: advisories.clone(), ..options(folder.path()) };
    let report = scan_once(&image.display().to_string(), &options).await.unwrap();
    let making = Making {
        created: "2026-11-23T10:00:00Z".parse().unwrap(),
        uuid: "5f0c6f4e-8a53-4c7e-9d0c-0f5a4d1f2b3c".to_owned(),
        version: "0".to_owned(),
    };
    let shown = Shown { findings: report.findings.iter().collect(), ..Shown::default() };
    let document = document(&report, &shown, &advisories, making);
    assert_eq!(document.lists.iter().map(|list| list.findings.len()).sum::<usize>(), 2);
    let key = |one: &registry_scanner::Match| {
        (one.id.clone(), one.package.clone(), one.installed_version.clone(), one.path.clone(), one.severity)
    };
    let wanted: Vec<_> = report.findings.iter().map(key).collect();
    for bill in [scan_report::cyclonedx::render(&document), scan_report::spdx::render(&document)] {
        let (_, inventory) = read_bill(bill.to_string().as_bytes()).unwrap();
        let (again, faults) = advisories.findings(&inventory);
        assert_eq!(faults, []);
        assert_eq!(again.iter().map(key).collect::<Vec<_>>(), wanted, "{bill:#}");
    }
}
