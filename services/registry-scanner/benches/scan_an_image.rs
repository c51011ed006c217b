//! What a scan costs against what nobody can do without, and what knowing the answer again costs; all in one run.
//!
//! ```text
//! 250 MB of packed layers in a registry on loopback   against   gzip -dc FILE | a walk over the archive, of the same bytes
//! the same image with its layers known
//! an index of a database as large as real ones: making it, opening it, looking up in it, and the memory of that
//! a thousand stored images matched again: for the first time, with a database that changes each of them, with one in which three
//! packages of each source changed, with one that changes none
//! ```
//!
//! Each thing runs in a process of its own, so that each has a peak of memory of its own. `image MB` and `database` run one half, with
//! an image of another size.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a bench fails by panicking, and its lines are its outcome"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use image_inventory::{Application, ApplicationKind, ImageInventory, OperatingSystem, Package, purl};
use model::Digest;
use oci_client::Reference;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use registry_scanner::{
    Advisories, DatabaseKind, Fingerprint, KnownImage, Options, Store, import_database, rematch, scan_once,
};
use serde_json::{Value, json};

const RUNS: usize = 5;

// As the service has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["walk"] => walk(),
        ["scan", target, store] => scan(target, store),
        ["open", folder] => open(Path::new(folder)),
        ["rematch", folder, db] => match_again(Path::new(folder), Path::new(db)),
        ["image", megabytes] => image(tempfile::tempdir().unwrap().path(), megabytes.parse().unwrap()),
        ["database"] => database(tempfile::tempdir().unwrap().path()),
        _ => {
            image(tempfile::tempdir().unwrap().path(), PACKED_MB);
            database(tempfile::tempdir().unwrap().path());
        }
    }
}

/// Size of the image, packed.
const PACKED_MB: usize = 250;

/// This program again, in another role.
fn role(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments);
    command
}

fn said(arguments: &[&str]) -> Value {
    let output = role(arguments).stderr(Stdio::inherit()).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stdout)))
}

/// The shortest of several runs, with what it said.
fn best(run: impl Fn(usize) -> (Duration, Value)) -> (Duration, Value) {
    (0..RUNS).map(run).min_by_key(|(time, _)| *time).unwrap()
}

fn timed<T>(run: impl FnOnce() -> T) -> (Duration, T) {
    let started = Instant::now();
    let value = run();
    (started.elapsed(), value)
}

fn kib(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

fn image(folder: &Path, megabytes: usize) {
    let Some(registry) = testkit::parts::registry() else { return };
    let archive = archive(megabytes);
    let packed = {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        gzip.write_all(&archive).unwrap();
        gzip.finish().unwrap()
    };
    println!("image: one layer, {} MB, {} MB packed", archive.len() / 1_000_000, packed.len() / 1_000_000);
    let file = folder.join("layer.tar.gz");
    fs::write(&file, &packed).unwrap();
    let target = push(&registry.address, &archive, packed);
    drop(archive);
    let floor = best(|_| {
        timed(|| {
            let mut gzip = Command::new("gzip").arg("-dc").arg(&file).stdout(Stdio::piped()).spawn().unwrap();
            let walk = role(&["walk"]).stdin(gzip.stdout.take().unwrap()).output().unwrap();
            assert!(gzip.wait().unwrap().success());
            serde_json::from_slice(&walk.stdout).unwrap()
        })
    });
    let store = |run: usize| folder.join(format!("store-{run}")).display().to_string();
    let cold = best(|run| {
        let said = said(&["scan", &target, &store(run)]);
        (Duration::from_micros(said["micros"].as_u64().unwrap()), said)
    });
    let warm = best(|run| {
        let said = said(&["scan", &target, &store(run)]);
        (Duration::from_micros(said["micros"].as_u64().unwrap()), said)
    });
    let ratio = cold.0.as_secs_f64() / floor.0.as_secs_f64();
    println!("gzip -dc | walk: {:?}, peak {} MiB and gzip's", floor.0, floor.1["peak_kib"].as_u64().unwrap() >> 10);
    println!(
        "scan, cold: {:?}, {ratio:.2} of that, peak {} MiB: {}",
        cold.0,
        cold.1["peak_kib"].as_u64().unwrap() >> 10,
        cold.1
    );
    println!("scan, layers known: {:?}: {}", warm.0, warm.1);
}

/// A package database, wheels, node modules, programs, and much that nobody wants, some of it hard to pack: 420 files for each packed
/// megabyte.
fn archive(megabytes: usize) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut push = |path: &str, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        builder.append_data(&mut header, path, content).unwrap();
    };
    let status: String = (0..2_000)
        .map(|number| {
            format!(
                "Package: package{number}\nStatus: install ok installed\nVersion: 1.{number}-2\nArchitecture: amd64\n\n"
            )
        })
        .collect();
    push("var/lib/dpkg/status", 0o644, status.as_bytes());
    push("etc/os-release", 0o644, b"ID=debian\nVERSION_ID=\"12\"\n");
    for number in 0..500 {
        let path = format!("usr/lib/python3/dist-packages/p{number}-1.0.dist-info/METADATA");
        push(&path, 0o644, format!("Name: p{number}\nVersion: 1.0\n\n{}", "text ".repeat(800)).as_bytes());
        let path = format!("usr/lib/node_modules/n{number}/package.json");
        push(&path, 0o644, format!("{{\"name\":\"n{number}\",\"version\":\"1.0.0\"}}").as_bytes());
    }
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = |size: usize| -> Vec<u8> {
        let mut next = || {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise
        };
        // Words of a few bytes, as programs and texts are made of: about a third of it is left when it is packed.
        (0..size / 4)
            .flat_map(|_| [b'a' + u8::try_from(next() % 16).unwrap(), b' ', b'e', u8::try_from(next() % 64).unwrap()])
            .collect()
    };
    for number in 0..megabytes * 2 / 5 {
        let mut program = b"\x7fELF\x02\x01\x01".to_vec();
        program.extend(bytes(2 << 20));
        push(&format!("usr/bin/program{number}"), 0o755, &program);
    }
    for number in 0..megabytes * 380 {
        push(&format!("usr/share/locale/l{}/file{number}.mo", number % 90), 0o644, &bytes(4_400));
    }
    builder.into_inner().unwrap()
}

fn sha256(bytes: &[u8]) -> Digest {
    let mut hash = [0_u8; 32];
    hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    Digest::from_sha256(&hash)
}

fn push(address: &str, archive: &[u8], packed: Vec<u8>) -> String {
    service::install_crypto();
    let config = json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [sha256(archive)] } });
    let config = config.to_string().into_bytes();
    let described =
        |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": sha256(bytes), "size": bytes.len() });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("application/vnd.oci.image.config.v1+json", &config),
        "layers": [described("application/vnd.oci.image.layer.v1.tar+gzip", &packed)],
    });
    let work = async {
        let client = Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() });
        let reference = Reference::with_tag(address.to_owned(), "bench".to_owned(), "1".to_owned());
        client.store_auth_if_needed(address, &RegistryAuth::Anonymous).await;
        for bytes in [packed, config] {
            let digest = sha256(&bytes).to_string();
            client.push_blob(&reference, Bytes::from(bytes), &digest).await.unwrap();
        }
        let kind = "application/vnd.oci.image.manifest.v1+json".parse().unwrap();
        client.push_manifest_raw(&reference, manifest.to_string().into_bytes(), kind).await.unwrap();
    };
    runtime().block_on(work);
    format!("{address}/bench:1")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

/// Reads an archive from the standard input to its end.
fn walk() {
    let mut archive = tar::Archive::new(std::io::BufReader::with_capacity(1 << 16, std::io::stdin().lock()));
    let mut bytes = 0;
    for entry in archive.entries().unwrap() {
        bytes += std::io::copy(&mut entry.unwrap(), &mut std::io::sink()).unwrap();
    }
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).unwrap();
    println!("{}", json!({ "bytes": bytes, "peak_kib": kib("VmHWM") }));
}

fn scan(target: &str, store: &str) {
    service::install_crypto();
    let options = Options { store: Store::open(Some(Path::new(store))).unwrap(), ..Options::default() };
    let (time, report) = timed(|| runtime().block_on(scan_once(target, &options)).unwrap());
    assert!(!report.partial, "{:?}", report.faults);
    println!(
        "{}",
        json!({ "micros": u64::try_from(time.as_micros()).unwrap(), "packages": report.packages(), "layers_known": report.layers_known,
            "peak_kib": kib("VmHWM") })
    );
}

/// Databases with as many advisories as a real one has, in the form that they come in; in the second, a tenth of the packages is fixed
/// elsewhere.
fn database(folder: &Path) {
    let Some(first) = made(folder, "first", &|number, fixed| if number % 10 == 0 { fixed } else { fixed + 1 }) else {
        return;
    };
    let second = made(folder, "second", &|number, fixed| if number % 10 == 0 { fixed + 7 } else { fixed + 1 }).unwrap();
    let index = fs::metadata(first.join("trivy.index")).unwrap().len();
    let opened = best(|_| {
        let said = said(&["open", &first.display().to_string()]);
        (Duration::from_micros(said["micros"].as_u64().unwrap()), said)
    });
    println!("index of {} MB, opened: {:?}: {}", index >> 20, opened.0, opened.1);
    let again = |db: &Path| {
        let said = said(&["rematch", &folder.display().to_string(), &db.display().to_string()]);
        (Duration::from_micros(said["micros"].as_u64().unwrap()), said)
    };
    let told = again(&first);
    println!("{IMAGES} images matched, all findings new: {:?}: {}", told.0, told.1);
    let changed = best(|run| again(if run.is_multiple_of(2) { &second } else { &first }));
    println!("{IMAGES} images matched again, all of them changed: {:?}: {}", changed.0, changed.1);
    let last = if RUNS.is_multiple_of(2) { &first } else { &second };
    let few = made(folder, "few", &|number, fixed| match number {
        0..3 => fixed + 3,
        _ if number.is_multiple_of(10) => fixed + 7,
        _ => fixed + 1,
    })
    .unwrap();
    let changed = best(|run| again(if run.is_multiple_of(2) { &few } else { &second }));
    println!("{IMAGES} images matched again, three packages of each source changed: {:?}: {}", changed.0, changed.1);
    let last = if RUNS.is_multiple_of(2) { last } else { &few };
    let unchanged = best(|run| {
        fs::write(last.join("metadata.json"), built(u32::try_from(run).unwrap() + 2)).unwrap();
        again(last)
    });
    println!("{IMAGES} images matched again, none of them changed: {:?}: {}", unchanged.0, unchanged.1);
}

fn built(day: u32) -> String {
    format!(r#"{{"Version":2,"UpdatedAt":"2026-11-{day:02}T00:00:00Z"}}"#)
}

/// One database, imported into a folder of its own; `fixed` gives the number of the version that fixes an advisory of a package.
fn made(folder: &Path, name: &str, fixed: &dyn Fn(usize, usize) -> usize) -> Option<PathBuf> {
    let mut buckets: BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>> = BTreeMap::new();
    let mut advisories = 0_usize;
    let mut bucket = |name: &str, (packages, each): (usize, usize), value: &dyn Fn(usize, usize) -> String| {
        let advisory = |package: usize, number: usize| {
            (format!("CVE-2024-{}", (package * each + number) % DETAILS), value(package, package + number))
        };
        let package = |package: usize| {
            (format!("name{package}"), (0..each).map(|number| advisory(package, number)).collect::<BTreeMap<_, _>>())
        };
        advisories += packages * each;
        buckets.insert(name.to_owned(), (0..packages).map(package).collect::<BTreeMap<_, _>>());
    };
    for release in ["debian 11", "debian 12", "debian 13", "ubuntu 22.04", "ubuntu 24.04", "alpine 3.20"] {
        let value = |package: usize, number: usize| {
            format!(r#"{{"FixedVersion":"1.{}-1","Severity":2}}"#, fixed(package, number % 90))
        };
        bucket(release, (3_000, 15), &value);
    }
    for ecosystem in [
        "npm::GitHub Security Advisory npm",
        "pip::GitHub Security Advisory Pip",
        "maven::GitHub Security Advisory Maven",
    ] {
        let value = |package: usize, number: usize| {
            let fixed = fixed(package, number % 60);
            format!(r#"{{"PatchedVersions":["1.{fixed}.0"],"VulnerableVersions":["<1.{fixed}.0"]}}"#)
        };
        bucket(ecosystem, (5_000, 4), &value);
    }
    let detail = |number: usize| {
        let text = format!("A flaw was found in part {number}. ").repeat(20);
        json!({ "Title": format!("flaw {number}"), "Description": text, "Severity": "HIGH", "VendorSeverity": { "nvd": 3, "ghsa": 2 },
            "References": [format!("https://example.org/{number}")], "PublishedDate": "2024-01-01T00:00:00Z" })
        .to_string()
    };
    let details: BTreeMap<String, String> =
        (0..DETAILS).map(|number| (format!("CVE-2024-{number}"), detail(number))).collect();
    let mut content = json!(buckets);
    content["vulnerability"] = json!(details);
    let bytes = testkit::bbolt::write(&content)?;
    let (from, db) = (folder.join(name), folder.join(format!("{name}-db")));
    fs::create_dir_all(&from).unwrap();
    fs::write(from.join("trivy.db"), &bytes).unwrap();
    fs::write(from.join("metadata.json"), built(if name == "first" { 1 } else { 30 })).unwrap();
    let (time, imported) = timed(|| import_database(&from, &db).unwrap());
    assert_eq!(imported[0].0, DatabaseKind::Vulnerabilities);
    println!(
        "database: {advisories} advisories, {DETAILS} details, {} MB; made into an index in {time:?}",
        bytes.len() >> 20
    );
    Some(db)
}

const DETAILS: usize = 60_000;
const IMAGES: usize = 1_000;

fn open(folder: &Path) {
    let before = kib("RssAnon");
    let (time, (advisories, faults)) = timed(|| Advisories::load(folder, &Fingerprint::of(folder)));
    assert!(faults.is_empty(), "{faults:?}");
    let opened = kib("RssAnon") - before;
    let found: usize = (0..20).map(|seed| advisories.findings(&inventory(seed)).0.len()).sum();
    println!(
        "{}",
        json!({ "micros": u64::try_from(time.as_micros()).unwrap(), "own_kib": opened, "findings_of_20_images": found,
            "own_kib_then": kib("RssAnon") - before, "mapped_kib_then": kib("RssFile") })
    );
}

/// A hundred packages each of the distribution, npm and PyPI.
fn inventory(seed: usize) -> ImageInventory {
    let system = OperatingSystem::new("debian", "12");
    let package = |number: usize, release: &str| {
        let name = format!("name{}", (seed * 7 + number * 13) % 3_000);
        let version = format!("1.{}.3", 40 + (seed + number) % 50);
        Package {
            id: format!("{name}@{version}"),
            source_name: name.clone(),
            source_version: version.clone(),
            source_release: release.to_owned(),
            release: release.to_owned(),
            name,
            version,
            ..Package::default()
        }
    };
    let packages = (0..100).map(|number| package(number, "1")).map(|mut one| {
        one.purl = purl::system(&one, Some(&system));
        one
    });
    let application = |kind: ApplicationKind, path: &str| {
        let packages = (0..100).map(|number| package(number, "")).map(|mut one| {
            one.purl = purl::language(&one, kind);
            one
        });
        Application { kind, file_path: path.to_owned(), packages: packages.collect() }
    };
    ImageInventory {
        packages: packages.collect(),
        applications: vec![
            application(ApplicationKind::Npm, "app/package-lock.json"),
            application(ApplicationKind::Poetry, "app/poetry.lock"),
        ],
        operating_system: Some(system.clone()),
        ..ImageInventory::default()
    }
}

fn match_again(folder: &Path, db: &Path) {
    let store = Store::open(Some(&folder.join("store"))).unwrap();
    let (advisories, _) = Advisories::load(db, &Fingerprint::of(db));
    if store.images().next().is_none() {
        for seed in 0..IMAGES {
            let image = KnownImage {
                image: format!("registry.example/app{seed}:1"),
                digest: sha256(&seed.to_le_bytes()),
                index_digest: None,
                inventory: inventory(seed),
            };
            store.keep_image(&image).unwrap();
        }
    }
    let told = Mutex::new((0, 0));
    let (time, done) = timed(|| {
        rematch(&store, &advisories, |_, change| {
            let mut told = told.lock().unwrap();
            told.0 += change.counts.total();
            told.1 +=
                change.added.len() as u64 + change.changed.len() as u64 + change.omitted + change.gone.len() as u64;
            true
        })
        .unwrap()
    });
    let (findings, differences) = *told.lock().unwrap();
    assert_eq!(done.images, IMAGES as u64);
    println!(
        "{}",
        json!({ "micros": u64::try_from(time.as_micros()).unwrap(), "matched": done.matched, "changed": done.changed, "findings_of_changed": findings,
            "differences_told": differences, "peak_kib": kib("VmHWM") })
    );
}
