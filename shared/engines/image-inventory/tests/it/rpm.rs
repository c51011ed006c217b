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
    for length in (0..DATABASE.len()).step_by(997) {
        let found = analyze("rpm", [("var/lib/rpm/rpmdb.sqlite", &DATABASE[..length])]);
        assert!(found.package_lists.is_empty() && found.faults.len() == 1, "{length}");
    }
    let mut bytes = DATABASE.to_vec();
    for at in (100..bytes.len()).step_by(61) {
        bytes[at] ^= 0xff;
        let _ = analyze("rpm", [("var/lib/rpm/rpmdb.sqlite", bytes.as_slice())]);
    }
}

#[test]
fn older_forms_are_said_to_be_unsupported() {
    let found = analyze("rpm", [("var/lib/rpm/Packages", &b"\0\0"[..])]);
    assert!(
        found.faults[0]
            .to_string()
            .starts_with("unsupported: rpm databases in the form BerkeleyDB at var/lib/rpm/Packages")
    );
}
