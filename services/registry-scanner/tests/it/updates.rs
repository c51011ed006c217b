//! The service keeps its database new by itself: from a real registry, beside a mirror that is not there.

use std::path::Path;
use std::time::{Duration, Instant};

use model::Digest;
use serde_json::json;
use testkit::bbolt;

use crate::database::{LAYER, push_as};
use crate::images::{gzip, layout, sha256, story, tar_of};
use crate::service::{LIMIT, ask, connect, event, start};

/// A database built on a day of November; only the later ones know zlib. Its next one is due since long.
fn database(day: u32) -> Option<Vec<u8>> {
    let pip = json!({ "urllib3": { "CVE-2021-33503": r#"{"PatchedVersions":["1.26.5"],"VulnerableVersions":["<1.26.5"]}"# } });
    let debian = json!({ "zlib": { "CVE-2023-45853": r#"{"FixedVersion":"","Severity":3,"Status":2}"# } });
    let mut content = json!({
        "pip::GitHub Security Advisory Pip": pip,
        "vulnerability": { "CVE-2021-33503": r#"{"Title":"t","Severity":"HIGH"}"#, "CVE-2023-45853": r#"{"Title":"t"}"# },
    });
    if day > 1 {
        content["debian 12"] = debian;
    }
    let metadata = format!(r#"{{"Version":2,"NextUpdate":"2020-01-01T00:00:00Z","UpdatedAt":"{}"}}"#, built(day));
    Some(gzip(&tar_of(&[("metadata.json", metadata.as_bytes()), ("trivy.db", &bbolt::write(&content)?)])))
}

fn built(day: u32) -> String {
    format!("2026-11-{day:02}T06:00:00Z")
}

/// Waits until the log of the service has a line with all these words.
async fn logged(folder: &Path, words: &[&str]) -> String {
    let begun = Instant::now();
    loop {
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        if let Some(line) = log.lines().find(|line| words.iter().all(|word| line.contains(word))) {
            return line.to_owned();
        }
        assert!(begun.elapsed() < LIMIT, "no {words:?} in {log}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Breaks a blob in the store of a registry.
fn rot(store: &Path, digest: &Digest) {
    let hex = digest.hex();
    let path = store.join(format!("blobs/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]));
    let mut bytes = std::fs::read(&path).unwrap();
    // A byte of the gzip header that says nothing: only the digest can tell.
    bytes[9] ^= 0xff;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_is_pulled_swapped_in_and_what_it_changes_is_told() {
    let (Some(nats), Some(registry)) = (testkit::parts::nats(), testkit::parts::registry()) else { return };
    let (Some(first), Some(rotten), Some(last)) = (database(1), database(2), database(3)) else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("osv")).unwrap();
    let image = folder.path().join("image");
    layout(&image, &story());
    let publish = async |archive: &[u8]| push_as((&registry.address, "trivy-db", LAYER), archive).await;
    publish(&first).await;
    // The mirror comes first, and nobody listens there.
    let sources = format!("['127.0.0.1:1/mirror/trivy-db:2', '{}/trivy-db:2']", registry.address);
    let more = format!("  pull: {{ retries: 0 }}\n  database: {{ sources: {sources}, every_s: 1 }}\n");
    let _scanner = start(folder.path(), &nats.url(), &more);
    let bus = connect(&nats.url()).await;
    logged(folder.path(), &["advisories loaded", &built(1)]).await;
    let reply = ask(&bus, image.to_str().unwrap()).await.unwrap();
    assert_eq!((reply.counts.high, reply.packages), (1, 2));
    let scanned = event(&bus, "scanned").await;
    assert_eq!(scanned["database"], format!("trivy-db:{}", built(1)));

    // Half an archive, then one whose bytes are not those of its digest: what is in force stays.
    publish(&first[..first.len() / 2]).await;
    let said = logged(folder.path(), &["database is not updated", "archive of the database cannot be read"]).await;
    assert!(said.contains("127.0.0.1:1/mirror"), "what the mirror said is told, too: {said}");
    publish(&rotten).await;
    rot(registry.folder(), &sha256(&rotten));
    logged(folder.path(), &["database is not updated", "instead of sha256:"]).await;
    assert_eq!(ask(&bus, image.to_str().unwrap()).await.unwrap().counts.high, 1);
    let left = std::fs::read_dir(folder.path().join("osv")).unwrap().flatten().map(|entry| entry.file_name());
    let left: Vec<String> =
        left.map(|name| name.into_string().unwrap()).filter(|name| !name.starts_with(".new-")).collect();
    assert_eq!(left.len(), 4, "{left:?}");

    // Somebody else's file that is not written to its end.
    let place = folder.path().join("osv/trivy.db");
    let whole = std::fs::read(&place).unwrap();
    std::fs::write(&place, &whole[..8_192]).unwrap();
    logged(folder.path(), &["a database cannot be used, the one before stays in force", &built(1)]).await;
    let reply = ask(&bus, image.to_str().unwrap()).await.unwrap();
    assert_eq!((reply.counts.high, reply.partial), (1, false));

    publish(&last).await;
    let changed = event(&bus, "findings-changed").await;
    assert_eq!(changed["added"][0]["id"], "CVE-2023-45853");
    assert_eq!(changed["database"], format!("trivy-db:{}", built(3)));
    assert_eq!(changed["added"].as_array().unwrap().len(), 1, "what was known is not told again");
}
