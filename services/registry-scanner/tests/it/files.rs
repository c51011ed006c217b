//! Layout folders and archives, the store, matching again.

use std::sync::Mutex;

use registry_scanner::{Advisories, Fingerprint, KnownImage, Store, rematch, scan_once};
use schemas::build::v1::FindingsChanged;
use serde_json::json;

use crate::images::{Packing, advisories, config, gzip, layer, layout, options, sha256, story, tar_of};

#[tokio::test]
async fn a_layout_folder_is_scanned_and_its_layers_are_known_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    let digest = layout(&image, &story());
    let options = options(folder.path());
    let report = scan_once(image.to_str().unwrap(), &options).await.unwrap();
    assert_eq!((report.digest.clone(), report.partial, report.layers, report.layers_known), (digest, false, 3, 0));
    assert_eq!(report.packages(), 2);
    let found: Vec<_> = report.findings.iter().map(|one| (one.id.as_str(), one.package.as_str())).collect();
    assert_eq!(found, [("CVE-2021-33503", "urllib3"), ("CVE-2023-45853", "zlib1g")]);
    assert_eq!(report.findings[0].fixed_version, "1.26.5");
    assert_eq!(report.findings[0].layer.as_ref(), Some(&story()[1].diff_id));
    assert_eq!(
        report.findings[1].purl.as_ref().unwrap().to_string(),
        "pkg:deb/debian/zlib1g@1.2.13.dfsg-1?arch=amd64&distro=debian-12.5&epoch=1"
    );

    // Without its blobs the image can still be scanned, for every layer is known.
    for blob in story() {
        std::fs::remove_file(image.join("blobs/sha256").join(sha256(&blob.bytes).hex())).unwrap();
    }
    let again = scan_once(image.to_str().unwrap(), &options).await.unwrap();
    assert_eq!((again.layers_known, again.findings), (3, report.findings));
}

#[tokio::test]
async fn archives_of_both_kinds_are_read_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let image = folder.path().join("image");
    let digest = layout(&image, &story());
    let mut builder = tar::Builder::new(std::fs::File::create(folder.path().join("oci.tar")).unwrap());
    builder.append_dir_all(".", &image).unwrap();
    builder.finish().unwrap();
    let report = scan_once(folder.path().join("oci.tar").to_str().unwrap(), &options).await.unwrap();
    assert_eq!((report.digest, report.findings.len(), report.partial), (digest, 2, false));

    let layers = story();
    let config = config(&layers);
    let name = format!("{}.json", sha256(&config).hex());
    let manifest =
        json!([{"Config": name, "RepoTags": ["a:b"], "Layers": ["1/layer.tar", "2/layer.tar", "3/layer.tar"]}]);
    let manifest = manifest.to_string();
    let files: Vec<(&str, &[u8])> = vec![
        (&name, &config),
        ("1/layer.tar", &layers[0].bytes),
        ("2/layer.tar", &layers[1].bytes),
        ("3/layer.tar", &layers[2].bytes),
        ("manifest.json", manifest.as_bytes()),
    ];
    let saved = folder.path().join("saved.tar");
    std::fs::write(&saved, tar_of(&files)).unwrap();
    let fresh = registry_scanner::Options { store: Store::default(), ..options.clone() };
    let report = scan_once(saved.to_str().unwrap(), &fresh).await.unwrap();
    assert_eq!((report.digest, report.findings.len(), report.layers_known), (sha256(&config), 2, 0));

    std::fs::write(&saved, gzip(b"x")).unwrap();
    let error = scan_once(saved.to_str().unwrap(), &options).await.unwrap_err().to_string();
    assert!(error.contains("unpack it with `gzip -d`"), "{error}");
}

#[tokio::test]
async fn a_changed_database_tells_only_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    let digest = layout(&image, &story());
    let mut options = options(folder.path());
    let path = folder.path().join("few");
    let load = |with_zlib| {
        let path = advisories(&path, with_zlib);
        Advisories::load(&path, &Fingerprint::of(&path)).0
    };
    options.advisories = std::sync::Arc::new(load(false));
    let report = scan_once(image.to_str().unwrap(), &options).await.unwrap();
    assert_eq!(report.findings.len(), 1);
    options.store.note_told(&report).unwrap();

    let changes = |advisories: &Advisories| {
        let changes = Mutex::new(Vec::new());
        let tell = |_: &KnownImage, change| {
            changes.lock().unwrap().push(change);
            true
        };
        let done = rematch(&options.store, advisories, tell).unwrap();
        (done.images, changes.into_inner().unwrap())
    };
    let more = load(true);
    let (images, told) = changes(&more);
    assert_eq!((images, told.len(), told[0].digest.clone()), (1, 1, digest));
    assert_eq!((told[0].added.len(), told[0].removed.len(), told[0].counts.total()), (1, 0, 2));
    assert_eq!(told[0].added[0].id, "CVE-2023-45853");
    assert_eq!(changes(&more).1.len(), 0, "the second time nothing changed");
    std::fs::remove_file(path.join("zlib.json")).unwrap();
    let (_, told) = changes(&load(false));
    assert_eq!(told[0].removed, ["CVE-2023-45853"]);
}

#[tokio::test]
async fn what_is_no_image_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let said = |target: String| {
        let options = options.clone();
        async move { scan_once(&target, &options).await.unwrap_err().to_string() }
    };
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert!(said(empty.to_str().unwrap().to_owned()).await.ends_with("is no image: it has no index.json"));
    assert!(said("./nowhere.tar".to_owned()).await.contains("no such file"));
    assert!(said("UPPER CASE".to_owned()).await.contains("neither an image reference"));
    let other = layer(&[("a", b"b")], Packing::Plain);
    std::fs::write(folder.path().join("a.tar"), other.bytes).unwrap();
    let path = folder.path().join("a.tar").to_str().unwrap().to_owned();
    assert!(said(path).await.contains("neither index.json nor manifest.json"));
}

#[tokio::test]
async fn a_database_that_changes_nothing_leaves_what_is_kept_as_it_is() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    layout(&image, &story());
    let options = options(folder.path());
    let report = scan_once(image.to_str().unwrap(), &options).await.unwrap();
    options.store.note_told(&report).unwrap();
    let images = folder.path().join("store/images");
    let kept = images.join(format!("sha256-{}.json.zst", report.digest.hex()));
    let file = || {
        let metadata = std::fs::metadata(&kept).unwrap();
        (metadata.ino(), metadata.mtime_nsec(), metadata.len())
    };
    let before = file();
    let more = advisories(&folder.path().join("more"), true);
    std::fs::write(
        more.join("other.json"),
        r#"{"id":"X-1","affected":[{"package":{"ecosystem":"PyPI","name":"nobody-has-it"},"versions":["1"]}]}"#,
    )
    .unwrap();
    let more = Advisories::load(&more, &Fingerprint::of(&more)).0;
    let done = rematch(&options.store, &more, |_, change| panic!("{change:?}")).unwrap();
    assert_eq!((done.images, done.changed, file()), (1, 0, before));
    assert_eq!(rematch(&options.store, &more, |_, change| panic!("{change:?}")).unwrap().matched, 0);
    assert_eq!(options.store.images().count(), 1);

    // What a scan with older advisories keeps afterwards is matched again all the same.
    let none = Advisories::default();
    let old = registry_scanner::Options { advisories: std::sync::Arc::new(none), ..options.clone() };
    let report = scan_once(image.to_str().unwrap(), &old).await.unwrap();
    assert_eq!(report.findings.len(), 0);
    old.store.note_told(&report).unwrap();
    let told = Mutex::new(Vec::new());
    let tell = |can: bool| {
        let told = &told;
        move |_: &KnownImage, change: FindingsChanged| {
            told.lock().unwrap().push(change.added.len());
            can
        }
    };
    // What could not be told is told again.
    for (can, expected) in [(false, (1, 0, 1)), (true, (1, 1, 0)), (true, (1, 0, 0))] {
        let done = rematch(&options.store, &more, tell(can)).unwrap();
        assert_eq!((done.images, done.changed, done.untold), expected);
    }
    assert_eq!(told.into_inner().unwrap(), [2, 2]);
}

#[tokio::test]
async fn a_finding_that_is_judged_otherwise_is_told_and_its_inventory_stays() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    layout(&image, &story());
    let osv = folder.path().join("judged");
    std::fs::create_dir(&osv).unwrap();
    let load = |severity: &str, fixed: &str| {
        let ranges = json!([{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }, { "fixed": fixed }] }]);
        let advisory = json!({
            "id": "CVE-2021-33503", "database_specific": { "severity": severity },
            "affected": [{ "package": { "ecosystem": "PyPI", "name": "urllib3" }, "ranges": ranges }],
        });
        std::fs::write(osv.join("one.json"), advisory.to_string()).unwrap();
        Advisories::load(&osv, &Fingerprint::of(&osv)).0
    };
    let first = std::sync::Arc::new(load("LOW", "1.26.5"));
    let options = registry_scanner::Options { advisories: first, ..options(folder.path()) };
    options.store.note_told(&scan_once(image.to_str().unwrap(), &options).await.unwrap()).unwrap();
    let told = Mutex::new(Vec::new());
    for (severity, fixed) in [("HIGH", "1.26.5"), ("HIGH", "1.26.6"), ("HIGH", "1.26.6")] {
        let tell = |_: &KnownImage, change: FindingsChanged| {
            told.lock().unwrap().push(change);
            true
        };
        rematch(&options.store, &load(severity, fixed), tell).unwrap();
    }
    let told = told.into_inner().unwrap();
    let seen: Vec<_> = told
        .iter()
        .map(|change| {
            assert_eq!((change.added.len(), change.changed.len(), change.removed.len(), change.omitted), (0, 1, 0, 0));
            let one = &change.changed[0];
            (one.severity.to_string().to_lowercase(), one.fixed_version.as_str(), one.status.as_str())
        })
        .collect();
    assert_eq!(seen, [("high".to_owned(), "1.26.5", "fixed"), ("high".to_owned(), "1.26.6", "fixed")]);
}
