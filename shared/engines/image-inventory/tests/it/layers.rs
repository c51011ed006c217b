//! Layers: reading, limits, merge.

use image_inventory::{Entry, EntryKind, LayerInventory, LayerReader, Limits, merge};
use model::Digest;
use proptest::prelude::*;

pub(crate) fn layer(files: &[(&str, &str)]) -> LayerInventory {
    layer_within(files, Limits::default())
}

fn layer_within(files: &[(&str, &str)], limits: Limits) -> LayerInventory {
    let mut reader = LayerReader::new("sha256:test", limits);
    for (path, content) in files {
        let entry = Entry { path: path.as_bytes(), kind: EntryKind::File, size: content.len() as u64, mode: 0o644 };
        reader.offer(&entry, &mut content.as_bytes()).unwrap();
    }
    reader.finish()
}

fn digest(number: u8) -> Digest {
    Digest::from_sha256(&[number; 32])
}

fn names(layers: &[&LayerInventory]) -> Vec<(String, Option<Digest>)> {
    let digests: Vec<Digest> = (1..=layers.len()).map(|number| digest(number as u8)).collect();
    let merged = merge(digests.iter().zip(layers.iter().copied()));
    merged
        .all_packages()
        .map(|package| (format!("{}@{}", package.name, package.version), package.layer.clone()))
        .collect()
}

fn status(packages: &[(&str, &str)]) -> String {
    packages.iter().fold(String::new(), |text, (name, version)| {
        text + &format!("Package: {name}\nStatus: install ok installed\nVersion: {version}\nArchitecture: amd64\n\n")
    })
}

fn wheel(name: &str, version: &str) -> String {
    format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nLicense: MIT\n\nText")
}

#[test]
fn each_package_names_the_layer_that_brought_it() {
    let below = layer(&[("etc/debian_version", "12.5\n"), ("var/lib/dpkg/status", &status(&[("a", "1"), ("b", "1")]))]);
    let above = layer(&[("./var/lib/dpkg/status", &status(&[("a", "1"), ("b", "2"), ("c", "1")]))]);
    let expected = [("a@1", 1), ("b@2", 2), ("c@1", 2)].map(|(name, layer)| (name.to_owned(), Some(digest(layer))));
    assert_eq!(names(&[&below, &above]), expected);
    let merged = merge([(&digest(1), &below), (&digest(2), &above)]);
    let system = merged.operating_system.unwrap();
    assert_eq!((system.family.as_str(), system.release.as_str()), ("debian", "12.5"));
    assert_eq!(
        merged.packages[0].purl.as_ref().unwrap().to_string(),
        "pkg:deb/debian/a@1?arch=amd64&distro=debian-12.5"
    );
}

#[test]
fn whiteouts_and_opaque_folders_hide_what_lies_below() {
    let (a, b) = ("usr/lib/python3/a-1.dist-info/METADATA", "usr/lib/python3/b-1.dist-info/METADATA");
    let below = layer(&[(a, &wheel("a", "1")), (b, &wheel("b", "1"))]);
    let left =
        |above: &[(&str, &str)]| names(&[&below, &layer(above)]).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(left(&[("usr/lib/python3/.wh.a-1.dist-info", "")]), ["b@1"]);
    assert_eq!(left(&[("usr/lib/python3/a-1.dist-info/.wh.METADATA", "")]), ["b@1"]);
    assert_eq!(left(&[("usr/.wh..wh..opq", "")]), Vec::<String>::new());
    assert_eq!(left(&[(".wh..wh..opq", "")]), Vec::<String>::new());
    assert_eq!(left(&[("usr/lib/python3/.wh..wh..opq", ""), (a, &wheel("a", "1"))]), ["a@1"]);
    assert_eq!(left(&[(b, "broken")]), ["a@1"]);
    assert_eq!(left(&[("usr/lib/python/.wh.a", "")]), ["a@1", "b@1"]);
}

/// Packages bring broken files along to test with: an image with one is no less known for it. A lock file says more than that.
#[test]
fn a_broken_file_of_one_package_is_told_and_is_no_partial_result() {
    for (path, is_partial) in [
        ("app/node_modules/a/package.json", false),
        ("opt/conda/envs/app/conda-meta/a-1-0.json", false),
        ("app/vendor/composer/installed.json", true),
    ] {
        let inventory = layer_within(&[(path, "{\"name\": \"a\"")], Limits::default());
        let faults: Vec<String> = inventory.found.faults.iter().map(ToString::to_string).collect();
        assert!(faults.len() == 1 && faults[0].contains(path), "{path}: {faults:?}");
        assert_eq!((inventory.partial, faults[0].starts_with("warning")), (is_partial, !is_partial), "{path}");
    }
}

#[test]
fn hostile_entries_are_refused_by_name() {
    let limits = Limits { max_file_bytes: 10, ..Limits::default() };
    let inventory = layer_within(&[("../../etc/passwd", "x"), ("etc/debian_version", "12.5-and-much-more")], limits);
    assert!(inventory.partial);
    let faults: Vec<String> = inventory.found.faults.iter().map(ToString::to_string).collect();
    assert!(faults[0].contains("leaves the root") && faults[0].contains("../../etc/passwd"), "{faults:?}");
    assert!(faults[1].contains("limit of 10") && faults[1].contains("etc/debian_version"), "{faults:?}");
    let mut reader = LayerReader::new("sha256:x", Limits { max_entries: 1, ..Limits::default() });
    let entry = Entry { path: b"a", kind: EntryKind::Other, size: 0, mode: 0 };
    reader.offer(&entry, &mut std::io::empty()).unwrap();
    let error = reader.offer(&entry, &mut std::io::empty()).unwrap_err();
    assert_eq!(error.to_string(), "layer sha256:x has more than 1 entries");
}

#[test]
fn apk_database_is_read() {
    let installed = "P:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\no:musl\nC:Q11otALzX1d1D0kVawy06IairTXS0=\np:so:libc.musl=1\nF:lib\nR:ld-musl.so\n\n\
        P:busybox\nV:1.36-r1\nA:x86_64\nL:GPL-2.0-only\no:busybox\nD:so:libc.musl !other\n\n";
    let inventory = layer(&[("lib/apk/db/installed", installed), ("etc/alpine-release", "3.18.4")]);
    let merged = merge([(&digest(1), &inventory)]);
    assert_eq!(merged.packages[1].depends_on, ["musl@1.2.4-r2"]);
    assert_eq!(merged.packages[0].installed_files, ["lib/ld-musl.so"]);
    let purl = merged.packages[0].purl.as_ref().unwrap().to_string();
    assert_eq!(purl, "pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64&distro=3.18.4");
}

fn operations() -> impl Strategy<Value = Vec<Vec<(u8, u8)>>> {
    // Layers of (package, version); version 0 removes the package.
    proptest::collection::vec(proptest::collection::vec((0_u8..6, 0_u8..4), 0..5), 1..5)
}

proptest! {
    #[test]
    fn merged_layers_equal_the_squashed_image(layers in operations()) {
        let path = |package: u8| format!("opt/p{package}.dist-info/METADATA");
        let mut squashed = std::collections::BTreeMap::new();
        let mut inventories = Vec::new();
        for operations in &layers {
            let last: std::collections::BTreeMap<u8, u8> = operations.iter().copied().collect();
            let files: Vec<(String, String)> = last.iter().map(|(package, version)| match version {
                0 => (format!("opt/.wh.p{package}.dist-info"), String::new()),
                _ => (path(*package), wheel(&format!("p{package}"), &version.to_string())),
            }).collect();
            for (package, version) in last {
                if version == 0 { squashed.remove(&package); } else { squashed.insert(package, version); }
            }
            let files: Vec<(&str, &str)> = files.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
            inventories.push(layer(&files));
        }
        let references: Vec<&LayerInventory> = inventories.iter().collect();
        let merged: Vec<String> = names(&references).into_iter().map(|(name, _)| name).collect();
        let expected: Vec<String> = squashed.iter().map(|(package, version)| format!("p{package}@{version}")).collect();
        prop_assert_eq!(merged, expected);
    }

    #[test]
    fn no_bytes_make_an_analyzer_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for name in image_inventory::analyzers() {
            let _ = image_inventory::analyze(name, [("var/lib/dpkg/status", bytes.as_slice()), ("x", bytes.as_slice())]);
        }
    }

    #[test]
    fn an_inventory_survives_its_store(version in "[0-9]{1,3}") {
        let inventory = layer(&[("opt/a.dist-info/METADATA", &wheel("a", &version)), ("b/.wh.c", "")]);
        let text = serde_json::to_string(&inventory).unwrap();
        prop_assert_eq!(serde_json::from_str::<LayerInventory>(&text).unwrap(), inventory);
    }
}
