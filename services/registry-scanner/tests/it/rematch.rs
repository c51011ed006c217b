//! Matching again touches only images that ask for what changed, and comes to what matching everything comes to.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use image_inventory::{Application, ApplicationKind, ImageInventory, OperatingSystem, Package, purl};
use model::Digest;
use registry_scanner::{Advisories, Fingerprint, KnownImage, Options, Rematched, Store, rematch, scan_once};
use schemas::build::v1::{Finding, FindingsChanged};
use serde_json::{Value, json};
use testkit::bbolt;

use crate::images::{layout, options, sha256, story};

/// The same numbers each time (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

const NAMES: u64 = 30;

/// An image of Debian 12 with three packages and two node modules.
fn image(number: u64) -> KnownImage {
    let mut random = Random((number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut package = || {
        let (name, version) = (format!("p{}", random.below(NAMES)), format!("{}.0.0", random.below(3) + 1));
        let (source_name, source_version) = (name.clone(), version.clone());
        Package { name, version, source_name, source_version, ..Package::default() }
    };
    let mut packages = [package(), package(), package()].to_vec();
    let mut modules = [package(), package()].to_vec();
    let system = OperatingSystem::new("debian", "12");
    packages.iter_mut().for_each(|one| one.purl = purl::system(one, Some(&system)));
    modules.iter_mut().for_each(|one| one.purl = purl::language(one, ApplicationKind::Npm));
    let file_path = "app/package-lock.json".to_owned();
    KnownImage {
        image: format!("registry.example/app{number}:1"),
        digest: sha256(&number.to_le_bytes()),
        index_digest: None,
        inventory: ImageInventory {
            packages,
            applications: vec![Application { kind: ApplicationKind::Npm, file_path, packages: modules }],
            operating_system: Some(system),
            ..ImageInventory::default()
        },
    }
}

/// Changes some advisories and details of a database.
fn change(content: &mut Value, random: &mut Random, times: usize) {
    for _ in 0..times {
        let (name, id) = (format!("p{}", random.below(NAMES)), format!("CVE-{}", random.below(12)));
        let fixed = random.below(4);
        let (place, value) = match random.below(7) {
            0..3 => (&mut content["debian 12"][name], json!({ "FixedVersion": format!("{fixed}.0.0"), "Severity": 2 })),
            3..5 => {
                let versions = json!({ "VulnerableVersions": [format!("<{fixed}.0.0")], "PatchedVersions": [format!("{fixed}.0.0")] });
                (&mut content["npm::one"][name], versions)
            }
            5 => (&mut content["npm::two"][name], json!({ "VulnerableVersions": [format!("={fixed}.0.0")] })),
            _ => {
                let detail = json!({ "Title": format!("title {fixed}"), "VendorSeverity": { "nvd": fixed } });
                content["vulnerability"][id] = detail.to_string().into();
                continue;
            }
        };
        match (random.below(4), place.as_object_mut()) {
            (0, Some(advisories)) => drop(advisories.remove(&id)),
            _ => place[id] = value.to_string().into(),
        }
    }
}

/// Writes a database and opens it; `None` where none can be written.
fn database(folder: &Path, content: &Value, built: usize) -> Option<Advisories> {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("trivy.db"), bbolt::write(content)?).unwrap();
    let metadata = json!({ "Version": 2, "UpdatedAt": format!("2026-11-{built:02}T00:00:00Z") });
    fs::write(folder.join("metadata.json"), metadata.to_string()).unwrap();
    let (advisories, faults) = Advisories::load(folder, &Fingerprint::of(folder));
    assert_eq!(faults, []);
    Some(advisories)
}

/// What somebody knows who heard every event.
#[derive(Default)]
struct Heard(Mutex<BTreeMap<Digest, BTreeMap<[String; 4], String>>>);

fn key(finding: &Finding) -> [String; 4] {
    [&finding.id, &finding.package, &finding.installed_version, &finding.path].map(Clone::clone)
}

fn said(finding: &Finding) -> String {
    format!("{} {} {}", finding.severity, finding.fixed_version, finding.status)
}

impl Heard {
    fn hear(&self, change: &FindingsChanged) {
        let mut heard = self.0.lock().unwrap();
        let known = heard.entry(change.digest.clone()).or_default();
        for gone in &change.gone {
            let gone = [&gone.id, &gone.package, &gone.installed_version, &gone.path].map(Clone::clone);
            assert!(known.remove(&gone).is_some(), "{gone:?} was not known");
        }
        for finding in &change.added {
            assert_eq!(known.insert(key(finding), said(finding)), None, "{finding:?} was known");
        }
        for finding in &change.changed {
            let before = known.insert(key(finding), said(finding));
            assert!(before.is_some_and(|before| before != said(finding)), "{finding:?} did not change");
        }
    }

    fn rematch(&self, store: &Store, advisories: &Advisories) -> Rematched {
        let tell = |_: &KnownImage, change| {
            self.hear(&change);
            true
        };
        rematch(store, advisories, tell).unwrap()
    }
}

#[test]
fn what_was_heard_is_what_matching_everything_finds() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Some(&folder.path().join("store"))).unwrap();
    let images: Vec<KnownImage> = (0..60).map(image).collect();
    images.iter().for_each(|one| store.keep_image(one).unwrap());
    let mut content = json!({ "debian 12": {}, "npm::one": {}, "npm::two": {}, "vulnerability": {},
        "data-source": { "npm::one": r#"{"ID":"ghsa"}"# } });
    let (mut random, heard) = (Random(7), Heard::default());
    let mut touched = Vec::new();
    for (built, changes) in [200, 1, 3, 10, 0, 60].into_iter().enumerate() {
        change(&mut content, &mut random, changes);
        let Some(advisories) = database(&folder.path().join("db"), &content, built + 1) else { return };
        let done = heard.rematch(&store, &advisories);
        assert_eq!((done.images, done.untold), (60, 0));
        touched.push(done.matched);
        for one in &images {
            let all = advisories.findings(&one.inventory).0;
            let all: BTreeMap<_, _> = all.iter().map(|found| (key(found), said(found))).collect();
            assert_eq!(heard.0.lock().unwrap().get(&one.digest).cloned().unwrap_or_default(), all, "{}", one.image);
        }
        assert_eq!(heard.rematch(&store, &advisories), Rematched { images: 60, ..Rematched::default() });
    }
    let [first, one, few, more, none, many] = touched[..] else { panic!("{touched:?}") };
    assert!(first == 60 && none == 0 && one < 20 && few < 40 && more <= 60 && many > 30, "{touched:?}");
}

#[tokio::test]
async fn whatever_else_findings_rest_on_has_an_image_matched_again() {
    let folder = tempfile::tempdir().unwrap();
    let (place, image) = (folder.path().join("db"), folder.path().join("image"));
    let content = json!({ "debian 12": { "zlib": { "CVE-2023-45853": r#"{"Severity":1}"# } } });
    let Some(advisories) = database(&place, &content, 1) else { return };
    layout(&image, &story());
    let options = Options { advisories: Arc::new(advisories), ..options(folder.path()) };
    let report = scan_once(image.to_str().unwrap(), &options).await.unwrap();
    assert_eq!(report.findings.len(), 1);
    options.store.note_told(&report).unwrap();
    let heard = Heard::default();
    heard.hear(&FindingsChanged { added: report.wire_findings(), ..change_of(&report.digest) });
    let again = |advisories: &Advisories| {
        let done = heard.rematch(&options.store, advisories);
        (done.matched, done.changed)
    };
    // What a scan told needs no matching, with this database or with another that says the same of the image.
    assert_eq!(again(&options.advisories), (0, 0));
    let other = json!({ "debian 12": { "zlib": { "CVE-2023-45853": r#"{"Severity":1}"# }, "x": { "CVE-1": "{}" } } });
    let other = database(&place, &other, 2).unwrap();
    assert_eq!(again(&other), (0, 0));
    // Advisories in other forms.
    crate::images::advisories(&place.join("osv"), true);
    let load = || Advisories::load(&place, &Fingerprint::of(&place)).0;
    assert_eq!((again(&load()), again(&load())), ((1, 1), (0, 0)));
    // An inventory that was taken anew, such as by another version of the program.
    let known = options.store.images().next().unwrap();
    options.store.keep_image(&known).unwrap();
    assert_eq!((again(&load()), again(&load())), ((1, 0), (0, 0)));
    let mut more = known.clone();
    more.inventory.packages.clear();
    options.store.keep_image(&more).unwrap();
    assert_eq!((again(&load()), again(&load())), ((1, 1), (0, 0)));
    // A database that is gone, and a file of what was told that is of an older version or broken.
    fs::remove_file(place.join("trivy.db")).unwrap();
    assert_eq!((again(&load()), again(&load())), ((1, 0), (0, 0)));
    let told = folder.path().join(format!("store/findings/sha256-{}.zst", report.digest.hex()));
    let bytes = fs::read(&told).unwrap();
    let length = 8 + usize::try_from(u32::from_le_bytes(bytes[4..8].try_into().unwrap())).unwrap();
    for (cut, changed) in [(&bytes[length..], 0), (&bytes[..length - 3], 1)] {
        fs::write(&told, cut).unwrap();
        heard.0.lock().unwrap().retain(|_, _| changed == 0);
        assert_eq!((again(&load()), again(&load())), ((1, changed), (0, 0)));
    }
}

fn change_of(digest: &Digest) -> FindingsChanged {
    serde_json::from_value(json!({ "digest": digest, "database": "", "counts": {} })).unwrap()
}

#[tokio::test]
async fn a_database_that_is_written_in_part_makes_results_partial_and_tells_nothing_as_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (place, image) = (folder.path().join("db"), folder.path().join("image"));
    let mut content = json!({ "debian 12": { "zlib": { "CVE-2023-45853": r#"{"Severity":1}"# } } });
    for number in 0..2_000 {
        content["debian 12"][format!("other{number}")] = json!({ "CVE-1": r#"{"FixedVersion":"1"}"# });
    }
    let Some(advisories) = database(&place, &content, 1) else { return };
    layout(&image, &story());
    let options = Options { advisories: Arc::new(advisories), ..options(folder.path()) };
    let report = scan_once(image.to_str().unwrap(), &options).await.unwrap();
    assert_eq!((report.findings.len(), report.partial), (1, false));
    options.store.note_told(&report).unwrap();
    let whole = fs::read(place.join("trivy.db")).unwrap();
    fs::write(place.join("trivy.db"), &whole[..32_768]).unwrap();
    let (half, faults) = Advisories::load(&place, &Fingerprint::of(&place));
    assert!(faults[0].to_string().contains("is not complete: it has 32768 bytes of"), "{faults:?}");
    let heard = Heard::default();
    let done = heard.rematch(&options.store, &half);
    assert_eq!((done.matched, done.changed), (1, 0));
    let again =
        scan_once(image.to_str().unwrap(), &Options { advisories: Arc::new(half), ..options.clone() }).await.unwrap();
    assert!(
        again.partial && again.faults.iter().any(|fault| fault.to_string().contains("trivy.db")),
        "{:?}",
        again.faults
    );
    // The whole one is there again.
    fs::write(place.join("trivy.db"), &whole).unwrap();
    let done = heard.rematch(&options.store, &Advisories::load(&place, &Fingerprint::of(&place)).0);
    assert_eq!(done.changed, 0);
}
