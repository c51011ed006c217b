//! Java archives that do not say what they are, and an index of a database that SQLite itself wrote.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use image_inventory::jars::{JarIndex, NoIndex, identify, write};
use image_inventory::{
    Application, ApplicationKind, Found, ImageInventory, LayerInventory, Package, UnidentifiedArchive, merge,
};
use proptest::prelude::*;

const PROGRAM: &str = r#"
import sqlite3, sys
path, many = sys.argv[1], int(sys.argv[2])
db = sqlite3.connect(path)
db.execute("CREATE TABLE artifacts(id INTEGER PRIMARY KEY, group_id TEXT, artifact_id TEXT)")
db.execute("CREATE TABLE indices(artifact_id INTEGER, version TEXT, sha1 BLOB, archive_type TEXT, foreign key (artifact_id) references artifacts(id))")
db.execute("CREATE UNIQUE INDEX indices_sha1_idx ON indices(sha1)")
artifacts = [("javax.servlet", "jstl"), ("jstl", "jstl"), ("org.a", "lib"), ("org.b", "aar-only"), ("org.c", "nothing")]
db.executemany("INSERT INTO artifacts(group_id, artifact_id) VALUES (?, ?)", artifacts)
rows = [(1, "1.2", 1, "jar"), (1, "1.1", 2, "jar"), (2, "1.2", 3, "jar"), (3, "2.0", 4, "jar"), (4, "1", 5, "aar")]
rows += [(3, "9.%d" % n, 100 + n, "jar") for n in range(many)]
sha1 = lambda n: bytes([n * 7 % 256]) + n.to_bytes(19, "big")
db.executemany("INSERT INTO indices VALUES (?, ?, ?, ?)", [(a, v, sha1(n), t) for a, v, n, t in rows])
db.commit()
"#;

fn sha1(number: u64) -> String {
    let first = u8::try_from(number * 7 % 256).unwrap();
    format!("{first:02x}{number:038x}")
}

/// What the repositories that stand beside the cases of the corpus know: the answers of upstream's own server in its tests.
const KNOWN: &str = r#"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("CREATE TABLE artifacts(id INTEGER PRIMARY KEY, group_id TEXT, artifact_id TEXT)")
db.execute("CREATE TABLE indices(artifact_id INTEGER, version TEXT, sha1 BLOB, archive_type TEXT)")
artifacts = [("org.springframework", "spring-core"), ("io.quarkus.gizmo", "gizmo"), ("org.springframework", "heuristic"),
    ("com.example", "heuristic"), ("org.apache.tomcat.embed", "tomcat-embed-websocket")]
db.executemany("INSERT INTO artifacts(group_id, artifact_id) VALUES (?, ?)", artifacts)
rows = [(1, "5.3.3", "c666f5bc47eb64ed3bbd13505a26f58be71f33f0"), (2, "1.1.0", "1c78bbc4d8c58b9af8eee82b84f2c26ec48e9a2b"),
    (5, "9.0.65", "bd70dfeb39cc83c6934be24fa377b21e541dbe76")]
for artifact, many in ((3, 10), (4, 100)):
    rows += [(artifact, "1.0.0-SNAPSHOT" if n == 0 else "0.%d" % n, "%040x" % (artifact * 1000 + n)) for n in range(many)]
db.executemany("INSERT INTO indices VALUES (?, ?, ?, 'jar')", [(a, v, bytes.fromhex(h)) for a, v, h in rows])
db.commit()
"#;

/// The index that cases about archives are asked with; `None`, loudly, where there is no Python.
pub(crate) fn known() -> Option<JarIndex<&'static [u8]>> {
    static INDEX: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let made = INDEX.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trivy-java.db");
        if !Command::new("python3").arg("-c").arg(KNOWN).arg(&path).status().is_ok_and(|status| status.success()) {
            testkit::require::skip("python", "no SQLite database can be made");
            return None;
        }
        let mut bytes = Vec::new();
        write(&std::fs::read(path).unwrap(), &mut bytes).unwrap();
        Some(bytes)
    });
    JarIndex::open(made.as_deref()?).ok()
}

/// The same with what the index knows.
pub(crate) fn identified(found: Found, index: &JarIndex<&[u8]>) -> Found {
    let layer = LayerInventory { version: LayerInventory::VERSION, found, ..LayerInventory::default() };
    let mut image = merge([(&model::Digest::from_sha256(&[7; 32]), &layer)]);
    identify(&mut image, index);
    Found { applications: image.applications, ..Found::default() }
}

/// A database with `many` archives of `org.a:lib` besides; `None`, loudly, where there is no Python.
fn database(many: usize) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trivy-java.db");
    let mut python =
        match Command::new("python3").arg("-").arg(&path).arg(many.to_string()).stdin(Stdio::piped()).spawn() {
            Ok(python) => python,
            Err(error) => {
                testkit::require::skip("python", &format!("no SQLite database can be made: {error}"));
                return None;
            }
        };
    python.stdin.take().unwrap().write_all(PROGRAM.as_bytes()).unwrap();
    assert!(python.wait().unwrap().success());
    Some(std::fs::read(path).unwrap())
}

fn index() -> Option<&'static [u8]> {
    static INDEX: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let made = INDEX.get_or_init(|| {
        let mut bytes = Vec::new();
        assert_eq!(write(&database(5_000)?, &mut bytes).unwrap(), 5_005);
        Some(bytes)
    });
    made.as_deref()
}

#[test]
fn every_archive_is_found_by_its_sha1() {
    let Some(bytes) = index() else { return };
    let index = JarIndex::open(bytes).unwrap();
    assert_eq!(index.archives(), 5_005);
    let named =
        |number| index.by_sha1(&sha1(number)).map(|one| format!("{}:{}:{}", one.group, one.artifact, one.version));
    assert_eq!(named(1).as_deref(), Some("javax.servlet:jstl:1.2"));
    assert_eq!(named(5).as_deref(), Some("org.b:aar-only:1"));
    for number in 0..5_000 {
        assert_eq!(named(100 + number), Some(format!("org.a:lib:9.{number}")));
    }
    assert_eq!(named(6), None);
    assert_eq!((index.by_sha1(""), index.by_sha1("zz")), (None, None));
}

#[test]
fn groups_are_told_by_the_archives_they_have() {
    let Some(bytes) = index() else { return };
    let index = JarIndex::open(bytes).unwrap();
    assert!(index.exists("org.a", "lib") && index.exists("org.b", "aar-only"));
    assert!(!index.exists("org.c", "nothing"), "an artifact without archives is none");
    assert!(!index.exists("org.a", "jstl"));
    assert_eq!(index.group_of("jstl", "1.2"), Some("javax.servlet"), "it has more of them");
    assert_eq!(index.group_of("jstl", "1.1"), Some("javax.servlet"));
    assert_eq!(index.group_of("aar-only", "1"), None, "only `jar` archives have such names");
    assert_eq!(index.group_of("jstl", "7"), None);
}

fn archive(
    path: &str,
    number: u64,
    (artifact, version): (&str, &str),
    manifest: Option<(&str, &str)>,
) -> UnidentifiedArchive {
    let owned = |(name, version): (&str, &str)| (name.to_owned(), version.to_owned());
    UnidentifiedArchive {
        file_path: path.to_owned(),
        outer: path.split(".jar").next().map(|outer| format!("{outer}.jar")).unwrap(),
        sha1: sha1(number),
        artifact: artifact.to_owned(),
        version: version.to_owned(),
        manifest: manifest.map(owned),
        stated: manifest.map(owned),
        licenses: vec!["MIT".to_owned()],
        ..UnidentifiedArchive::default()
    }
}

fn image(archives: Vec<UnidentifiedArchive>) -> ImageInventory {
    let mut layer = LayerInventory { version: LayerInventory::VERSION, ..LayerInventory::default() };
    for one in &archives {
        let package = one.stated.clone().map(|(name, version)| Package {
            name,
            version,
            file_path: one.file_path.clone(),
            ..Package::default()
        });
        let packages = package.into_iter().collect::<Vec<_>>();
        if !packages.is_empty() {
            layer.found.applications.push(Application {
                kind: ApplicationKind::Jar,
                file_path: one.outer.clone(),
                packages,
            });
        }
    }
    layer.found.unidentified = archives;
    let digest = model::Digest::from_sha256(&[7; 32]);
    merge([(&digest, &layer)])
}

fn told(image: &ImageInventory) -> Vec<String> {
    let line = |one: &Package| {
        assert_eq!(one.purl.as_ref().unwrap().kind, "maven");
        assert!(one.layer.is_some());
        format!("{} {} {} {}", one.file_path, one.name, one.version, one.licenses.join(","))
    };
    image.applications.iter().flat_map(|application| application.packages.iter().map(line)).collect()
}

#[test]
fn archives_get_their_names() {
    let Some(bytes) = index() else { return };
    let index = JarIndex::open(bytes).unwrap();
    let mut image = image(vec![
        archive("a/by-sha1.jar", 4, ("", ""), None),
        archive("b/jstl-1.2.jar", 777_777, ("jstl", "1.2"), None),
        archive("c/real.jar", 777_778, ("", ""), Some(("org.a:lib", "3"))),
        archive("d/guess.jar", 777_779, ("", ""), Some(("Some Company:Title", "3"))),
        archive("e/guess.jar", 1, ("", ""), Some(("Some Company:Title", "3"))),
        archive("f/outer.jar/in/x.jar", 2, ("", ""), None),
    ]);
    assert_eq!(told(&image).len(), 3, "without an index, manifests are believed");
    identify(&mut image, &index);
    let wanted = [
        "a/by-sha1.jar org.a:lib 2.0 MIT",
        "b/jstl-1.2.jar javax.servlet:jstl 1.2 MIT",
        "c/real.jar org.a:lib 3 ",
        "e/guess.jar javax.servlet:jstl 1.2 MIT",
        "f/outer.jar/in/x.jar javax.servlet:jstl 1.1 MIT",
    ];
    assert_eq!(told(&image), wanted);
    assert_eq!(image.applications.last().unwrap().file_path, "f/outer.jar");
    let once = image.clone();
    identify(&mut image, &index);
    assert_eq!(image, once, "asking again changes nothing");
    // An index that knows nothing takes back what another one said.
    let mut nothing = Vec::new();
    write(&database(0).unwrap(), &mut nothing).unwrap();
    let mut other = once;
    for one in &mut other.unidentified {
        one.sha1 = sha1(888_888);
    }
    identify(&mut other, &JarIndex::open(nothing).unwrap());
    assert_eq!(told(&other), ["b/jstl-1.2.jar javax.servlet:jstl 1.2 MIT", "c/real.jar org.a:lib 3 "]);
}

#[test]
fn what_is_no_database_or_index_is_refused() {
    for bytes in [Vec::new(), vec![0; 5_000], b"SQLite format 3\0".to_vec()] {
        let error = write(&bytes, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
    }
    let Some(bytes) = index() else { return };
    for length in [0, 10, bytes.len() / 2, bytes.len() - 1] {
        assert_eq!(JarIndex::open(&bytes[..length]).unwrap_err(), NoIndex);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn damage_is_survived(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..60)) {
        let Some(bytes) = index() else { return Ok(()) };
        let mut bytes = bytes.to_vec();
        let end = bytes.len() - 8;
        for (place, value) in changes {
            bytes[8 + place.index(end - 8)] = value;
        }
        if let Ok(index) = JarIndex::open(bytes) {
            for number in 0..50 {
                drop(index.by_sha1(&sha1(number * 100)));
            }
            let _ = (index.group_of("jstl", "1.2"), index.exists("org.a", "lib"));
        }
    }

    #[test]
    fn a_damaged_database_is_survived(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40)) {
        static SMALL: OnceLock<Option<Vec<u8>>> = OnceLock::new();
        let Some(mut bytes) = SMALL.get_or_init(|| database(50)).clone() else { return Ok(()) };
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        drop(write(&bytes, &mut Vec::new()));
    }
}
