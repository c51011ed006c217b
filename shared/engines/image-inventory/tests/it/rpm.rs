//! The rpm database. The fixture was written by SQLite itself, with small pages: inner pages and overflow chains are in it.

use image_inventory::analyze;

const DATABASE: &[u8] = include_bytes!("../fixtures/rpmdb.sqlite");

#[test]
fn every_package_of_the_database_is_found() {
    let found = analyze("rpm", [("var/lib/rpm/rpmdb.sqlite", DATABASE)]);
    assert_eq!(found.faults, []);
    let packages = &found.package_lists[0].packages;
    assert_eq!(packages.len(), 24, "the key of the repository is no package");
    let two = &packages[2];
    assert_eq!((two.id.as_str(), two.full_version().as_str()), ("package2@1.2-2.el9.x86_64", "7:1.2-2.el9"));
    assert_eq!((two.source_name.as_str(), two.full_source_version().as_str()), ("source2", "7:1.2-2.el9"));
    assert_eq!(two.digest, format!("md5:{}", "02".repeat(16)));
    assert_eq!(
        (two.licenses.join(""), two.third_party, packages[3].third_party),
        ("MIT".to_owned(), Some(false), Some(true))
    );
    assert_eq!(two.depends_on, ["package3@1.3-2.el9.x86_64"]);
    assert_eq!(packages[5].modularity, "nodejs:18:9040020240301:rhel9");
    assert_eq!(packages[0].installed_files.len(), 120);
    assert_eq!(packages[1].installed_files[2], "/usr/lib/p1/file1-2");
    assert!(found.system_files.contains(&"/usr/lib/p0/file0-119".to_owned()));
    assert!(
        !found.system_files.iter().any(|file| file.starts_with("/usr/lib/p3/")),
        "files of other vendors count as such"
    );
}

#[test]
fn a_broken_database_is_a_fault() {
    for length in (1..DATABASE.len()).step_by(997) {
        let found = analyze("rpm", [("var/lib/rpm/rpmdb.sqlite", &DATABASE[..length])]);
        assert!(found.package_lists.is_empty() && found.faults.len() == 1, "{length}");
    }
    let mut bytes = DATABASE.to_vec();
    for at in (100..bytes.len()).step_by(61) {
        bytes[at] ^= 0xff;
        let _ = analyze("rpm", [("var/lib/rpm/rpmdb.sqlite", bytes.as_slice())]);
    }
}

/// Written by libdb 5.3 with the headers of the SQLite fixture, on small pages: values within pages and on chains of pages.
const BERKELEY: &[u8] = include_bytes!("../fixtures/Packages.bdb");

#[test]
fn berkeley_databases_list_the_same_packages() {
    let sqlite = analyze("rpm", [("var/lib/rpm/rpmdb.sqlite", DATABASE)]);
    let berkeley = analyze("rpm", [("var/lib/rpm/Packages", BERKELEY)]);
    assert_eq!(berkeley.faults, []);
    let packages = &berkeley.package_lists[0].packages;
    assert!(packages.len() >= 7, "{}", packages.len());
    for one in packages {
        let same = sqlite.package_lists[0].packages.iter().find(|other| other.id == one.id).unwrap();
        assert_eq!(
            (&one.licenses, &one.installed_files, &one.digest),
            (&same.licenses, &same.installed_files, &same.digest)
        );
    }
}

/// An ndb file with the headers of `blobs`, by its description in rpm's sources.
fn ndb(blobs: &[Vec<u8>]) -> Vec<u8> {
    let number = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
    let mut slots =
        [b"RpmP".to_vec(), [0; 4].to_vec(), number(1).to_vec(), number(1).to_vec(), [0; 16].to_vec()].concat();
    let mut data = Vec::new();
    for (index, blob) in blobs.iter().enumerate() {
        let place = (4096 + data.len()) / 16;
        let blocks = (blob.len() + 16 + 12).div_ceil(16);
        slots.extend(
            [b"Slot".to_vec(), number(index + 1).to_vec(), number(place).to_vec(), number(blocks).to_vec()].concat(),
        );
        let start = data.len();
        data.extend(
            [b"BlbS".to_vec(), number(index + 1).to_vec(), number(0).to_vec(), number(blob.len()).to_vec()].concat(),
        );
        data.extend(blob);
        data.resize(start + blocks * 16, 0);
    }
    while slots.len() < 4096 {
        slots.extend([b"Slot".to_vec(), [0; 12].to_vec()].concat());
    }
    [slots, data].concat()
}

/// A header with these texts.
fn header(texts: &[(u32, &str)]) -> Vec<u8> {
    let (mut index, mut store) = (Vec::new(), Vec::new());
    for (tag, text) in texts {
        for number in [*tag, 6, u32::try_from(store.len()).unwrap(), 1] {
            index.extend(number.to_be_bytes());
        }
        store.extend([text.as_bytes(), b"\0"].concat());
    }
    let counts = [texts.len(), store.len()].map(|count| u32::try_from(count).unwrap().to_be_bytes());
    [counts.concat(), index, store].concat()
}

#[test]
fn ndb_databases_are_read() {
    let blobs: Vec<Vec<u8>> = (0..5)
        .map(|number| {
            let name = format!("n{number}");
            header(&[
                (1000, &name),
                (1001, "1.0"),
                (1002, "2"),
                (1022, "noarch"),
                (1011, "SUSE LLC"),
                (1044, "s-1.0-2.src.rpm"),
            ])
        })
        .collect();
    let file = ndb(&blobs);
    let found = analyze("rpm", [("usr/lib/sysimage/rpm/Packages.db", file.as_slice())]);
    assert_eq!(found.faults, []);
    let ids: Vec<&str> = found.package_lists[0].packages.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["n0@1.0-2.noarch", "n1@1.0-2.noarch", "n2@1.0-2.noarch", "n3@1.0-2.noarch", "n4@1.0-2.noarch"]);
    for length in (1..file.len()).step_by(97) {
        let _ = analyze("rpm", [("usr/lib/sysimage/rpm/Packages.db", &file[..length])]);
    }
}

#[test]
fn broken_older_forms_are_faults() {
    for length in (1..BERKELEY.len()).step_by(257) {
        let found = analyze("rpm", [("var/lib/rpm/Packages", &BERKELEY[..length])]);
        assert!(found.package_lists.is_empty() && found.faults.len() == 1, "{length}");
    }
    let mut bytes = BERKELEY.to_vec();
    for at in (0..bytes.len()).step_by(37) {
        bytes[at] ^= 0xff;
        let _ = analyze("rpm", [("var/lib/rpm/Packages", bytes.as_slice())]);
    }
    let found = analyze("rpm", [("var/lib/rpm/Packages", &b"no database"[..])]);
    assert!(found.faults[0].to_string().contains("no package database of rpm"), "{}", found.faults[0]);
}
