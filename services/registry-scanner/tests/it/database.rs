//! Trivy's database: pulled from a real registry, imported from files, and matched with.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use oci_client::Reference;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use registry_scanner::{
    Advisories, DatabaseKind, Fingerprint, Making, Options, Pull, Shown, document, import_database, read_bill,
    scan_once, update_database,
};
use serde_json::json;
use testkit::bbolt;

use crate::images::{gzip, layout, options, sha256, story, tar_of};

pub(crate) const LAYER: &str = "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip";
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
    push_as((address, "trivy-db", LAYER), archive).await;
}

pub(crate) async fn push_as((address, name, layer): (&str, &str, &str), archive: &[u8]) {
    service::install_crypto();
    let client = Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() });
    let reference = Reference::with_tag(address.to_owned(), name.to_owned(), "2".to_owned());
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
        "layers": [{ "mediaType": layer, "digest": sha256(archive), "size": archive.len() }],
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
    let update =
        async || update_database(DatabaseKind::Vulnerabilities, &sources, &advisories, &Pull::default()).await.unwrap();
    let updated = update().await;
    assert_eq!((updated.metadata.updated_at.as_str(), updated.is_new), ("2026-11-20T06:00:00Z", true));
    // The archive that is in force is not fetched again, unless what came of it is gone.
    let blob = registry.folder().join("blobs/docker/registry/v2/blobs/sha256");
    let hex = sha256(&archive(&database)).hex().to_owned();
    let blob = blob.join(&hex[..2]).join(&hex);
    fs::rename(&blob, blob.with_extension("hidden")).unwrap();
    assert_eq!(update().await, registry_scanner::Updated { is_new: false, ..updated.clone() });
    fs::rename(blob.with_extension("hidden"), &blob).unwrap();
    fs::write(advisories.join("trivy.db"), "half of it").unwrap();
    assert!(update().await.is_new);
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
    assert_eq!(import_database(&at("good.tar.gz"), &advisories).unwrap()[0].1.version, 2);
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
    assert_eq!(left.len(), 3, "nothing is left behind: {left:?}");
    // Trivy's cache has no metadata here: the database is taken, and its age is not claimed.
    assert_eq!(import_database(&at("cache"), &advisories).unwrap()[0].1.updated_at, "");
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

const JAVA_LAYER: &str = "application/vnd.aquasec.trivy.javadb.layer.v1.tar+gzip";

/// An archive without members, and a database that knows it.
const EMPTY_JAR: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const JAVA_DATABASE: &str = r#"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("CREATE TABLE artifacts(id INTEGER PRIMARY KEY, group_id TEXT, artifact_id TEXT)")
db.execute("CREATE TABLE indices(artifact_id INTEGER, version TEXT, sha1 BLOB, archive_type TEXT)")
db.execute("INSERT INTO artifacts VALUES (7, 'org.example', 'lib')")
db.execute("INSERT INTO indices VALUES (7, '2.5', x'b04f3ee8f5e43fa3b162981b50bb72fe1acabb33', 'jar')")
db.commit()
"#;

fn java_database(folder: &Path) -> Option<Vec<u8>> {
    let path = folder.join("made.db");
    let made = std::process::Command::new("python3").arg("-c").arg(JAVA_DATABASE).arg(&path).status();
    if !made.is_ok_and(|status| status.success()) {
        testkit::require::skip("python", "no SQLite database can be made");
        return None;
    }
    Some(fs::read(path).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_java_database_is_pulled_and_names_archives() {
    let folder = tempfile::tempdir().unwrap();
    let (Some(registry), Some(database)) = (testkit::parts::registry(), java_database(folder.path())) else { return };
    let archive = gzip(&tar_of(&[("metadata.json", METADATA.as_bytes()), ("trivy-java.db", &database)]));
    push_as((&registry.address, "trivy-java-db", JAVA_LAYER), &archive).await;
    let (db, image) = (folder.path().join("db"), folder.path().join("image"));
    let pull = Pull::default();
    let source = [format!("{}/trivy-java-db:2", registry.address)];
    update_database(DatabaseKind::Java, &source, &db, &pull).await.unwrap();
    let kept: Vec<_> = fs::read_dir(db.join("java-db")).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(kept.len(), 3, "the index, its metadata and its digest: {kept:?}");
    layout(&image, &[crate::images::layer(&[("app/unknown.jar", EMPTY_JAR)], crate::images::Packing::Gzip)]);
    let osv =
        r#"{"id":"X-1","affected":[{"package":{"ecosystem":"Maven","name":"org.example:lib"},"versions":["2.5"]}]}"#;
    fs::write(db.join("x.json"), osv).unwrap();
    let scan = async |advisories: &Path| {
        let (advisories, faults) = Advisories::load(advisories, &Fingerprint::of(advisories));
        assert_eq!(faults, []);
        let options = Options { advisories: Arc::new(advisories), ..options(folder.path()) };
        let report = scan_once(&image.display().to_string(), &options).await.unwrap();
        let names: Vec<String> =
            report.inventory.all_packages().map(|one| format!("{} {}", one.name, one.version)).collect();
        (report.database, names, report.findings.len())
    };
    let (name, packages, findings) = scan(&db).await;
    assert!(name.starts_with("java-db:2026-11-20T06:00:00Z osv:1 advisories:"), "{name}");
    assert_eq!((packages, findings), (vec!["org.example:lib 2.5".to_owned()], 1));
    // A database that is put there as it is works, too.
    let dropped = folder.path().join("dropped/java-db");
    fs::create_dir_all(&dropped).unwrap();
    fs::write(dropped.join("trivy-java.db"), &database).unwrap();
    fs::write(folder.path().join("dropped/x.json"), osv).unwrap();
    assert_eq!(scan(&folder.path().join("dropped")).await.1, ["org.example:lib 2.5"]);
    let imported = import_database(&dropped.join("trivy-java.db"), &folder.path().join("imported")).unwrap();
    assert_eq!(imported.len(), 1);
    let error = update_database(DatabaseKind::Vulnerabilities, &source, &db, &pull).await.unwrap_err().to_string();
    assert!(error.contains("it has no layer of the type application/vnd.aquasec.trivy.db"), "{error}");
}

#[test]
fn archives_of_advisories_and_security_databases_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let secdb =
        r#"{"distroversion":"v3.20","packages":[{"pkg":{"name":"zlib","secfixes":{"1.2-r0":["CVE-1-1","CVE-1-2"]}}}]}"#;
    fs::write(folder.path().join("main.json"), secdb).unwrap();
    let zipped = std::process::Command::new("python3").arg("-c").arg(OSV_ARCHIVE).current_dir(folder.path()).status();
    if !zipped.is_ok_and(|status| status.success()) {
        return testkit::require::skip("python", "no archive can be made");
    }
    let (advisories, faults) = Advisories::load(folder.path(), &Fingerprint::of(folder.path()));
    assert!(advisories.name().starts_with("osv:4 advisories:"), "{}", advisories.name());
    let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("all.zip/broken.json"), "{said:?}");
    assert!(said[1].contains("cut.zip") && said[1].contains("not a valid zip file"), "{said:?}");
}

const OSV_ARCHIVE: &str = r#"
import zipfile
one = '{"id":"%s","affected":[{"package":{"ecosystem":"PyPI","name":"a"},"versions":["1"]}]}'
with zipfile.ZipFile("all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
    for name in ("A-1", "A-2"):
        archive.writestr(name + ".json", one % name)
    archive.writestr("broken.json", "{")
    archive.writestr("README", "no advisory")
open("cut.zip", "wb").write(open("all.zip", "rb").read()[:50])
"#;

#[test]
fn the_packed_form_is_made_once_and_again_for_another_database() {
    let Some(database) = database() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("trivy.db"), &database).unwrap();
    let load = || Advisories::load(folder.path(), &Fingerprint::of(folder.path()));
    assert_eq!(load().1, []);
    let first = fs::metadata(at("trivy.index")).unwrap().modified().unwrap();
    assert_eq!(load().1, []);
    assert_eq!(fs::metadata(at("trivy.index")).unwrap().modified().unwrap(), first, "it is made once");
    // One that was written in part, and one of another database, are made again.
    let good = fs::read(at("trivy.index")).unwrap();
    fs::write(at("other"), &good[..good.len() / 2]).unwrap();
    fs::rename(at("other"), at("trivy.index")).unwrap();
    assert_eq!(load().1, []);
    assert_eq!(fs::read(at("trivy.index")).unwrap().len(), good.len());
    let before = fs::metadata(at("trivy.index")).unwrap().modified().unwrap();
    fs::write(at("trivy.db"), [database.as_slice(), &[0; 4096]].concat()).unwrap();
    assert_eq!(load().1, []);
    assert!(fs::metadata(at("trivy.index")).unwrap().modified().unwrap() > before);
}
