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

/// A recipe of three packages: an epoch, a source of another name, licences, a vendor, needs and files.
const SPEC: &str = "\
Name: own
Epoch: 3
Version: 1.2
Release: 4.el9
Summary: own
License: MIT and GPLv2+
Vendor: Fedora Project
BuildArch: noarch
%description
own
%package tools
Summary: tools
License: Apache-2.0
Requires: own = 3:1.2
%description tools
tools
%package -n other
Summary: other
Version: 0.9~rc1
Epoch: 0
%description -n other
other
%install
mkdir -p %{buildroot}/usr/share/own %{buildroot}/usr/bin
echo a > %{buildroot}/usr/share/own/a
echo b > %{buildroot}/usr/bin/own-tool
echo c > %{buildroot}/usr/share/own/c
%files
/usr/share/own/a
%files tools
/usr/bin/own-tool
%files -n other
/usr/share/own/c
";

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = std::process::Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("`{program}` cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{program}` fails: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn rpm_itself_lists_the_same_packages() {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().to_str().unwrap();
    let spec = folder.path().join("own.spec");
    std::fs::write(&spec, SPEC).unwrap();
    let build = run("rpmbuild", &["-bb", "--quiet", "--define", &format!("_topdir {top}"), spec.to_str().unwrap()]);
    if let Err(why) = build {
        return testkit::require::skip("rpm", &why);
    }
    let built: Vec<String> = std::fs::read_dir(folder.path().join("RPMS/noarch"))
        .unwrap()
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(built.len(), 3);
    // Debian's rpm writes this form only.
    let (backend, file) = ("sqlite", "rpmdb.sqlite");
    let home = format!("{top}/{backend}");
    let (define, path) = (format!("_db_backend {backend}"), format!("{home}/{file}"));
    let options = ["--define", &define, "--dbpath", &home];
    let rpm = |arguments: &[&str]| run("rpm", &[&options, arguments].concat()).unwrap();
    rpm(&["--initdb"]);
    let packages: Vec<&str> = built.iter().map(String::as_str).collect();
    rpm(&[&["-i", "--justdb", "--nodeps", "--noscripts"], packages.as_slice()].concat());
    let format = "%{NAME} %{EPOCHNUM} %{VERSION} %{RELEASE} %{ARCH} %{SOURCERPM} %{VENDOR} [%{FILENAMES},] %{SIGMD5}\n";
    let listed = rpm(&["-qa", "--qf", format]);
    let expected: std::collections::BTreeSet<String> = listed.lines().map(str::to_owned).collect();
    let bytes = std::fs::read(&path).unwrap();
    let found = analyze("rpm", [(format!("var/lib/rpm/{file}").as_str(), bytes.as_slice())]);
    assert_eq!(found.faults, [], "{backend}");
    let got = found.package_lists[0].packages.iter().map(|one| {
        let source = format!("{}-{}-{}.src.rpm", one.source_name, one.source_version, one.source_release);
        let files: String = one.installed_files.iter().map(|file| format!("{file},")).collect();
        let digest = one.digest.trim_start_matches("md5:");
        format!(
            "{} {} {} {} {} {source} {} {files} {digest}",
            one.name, one.epoch, one.version, one.release, one.arch, one.maintainer
        )
    });
    assert_eq!(got.collect::<std::collections::BTreeSet<_>>(), expected, "{backend}");
    let tools = found.package_lists[0].packages.iter().find(|one| one.name == "own-tools").unwrap();
    assert_eq!(tools.depends_on, ["own@1.2-4.el9.noarch"], "{backend}");
}

/// A file of rpm with a header of these texts.
fn archive(texts: &[(u32, &str)]) -> Vec<u8> {
    let magic = b"\x8e\xad\xe8\x01\0\0\0\0".as_slice();
    let mut bytes = b"\xed\xab\xee\xdb".to_vec();
    bytes.resize(96, 0);
    // Signatures of an odd length: what follows begins on the next boundary of eight bytes.
    bytes.extend([magic, &header(&[(1000, "abc")])].concat());
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend([magic, &header(texts), b"payload"].concat());
    bytes
}

#[test]
fn a_file_of_rpm_is_the_package_that_its_header_says() {
    let bytes = archive(&[
        (1000, "socat"),
        (1001, "1.7.3.2"),
        (1002, "2.el7"),
        (1011, "Red Hat, Inc."),
        (1014, "GPLv2"),
        (1022, "x86_64"),
        (1044, "socat-1.7.3.2-2.el7.src.rpm"),
    ]);
    assert!(image_inventory::wants("rpm-archive", "mirror/socat.rpm", 0o644));
    let found = analyze("rpm-archive", [("mirror/socat.rpm", bytes.as_slice())]);
    assert_eq!(found.faults, []);
    let one = &found.package_lists[0].packages[0];
    assert_eq!((one.full_version().as_str(), one.full_source_version().as_str()), ("1.7.3.2-2.el7", "1.7.3.2-2.el7"));
    assert_eq!(
        (one.id.as_str(), one.file_path.as_str(), one.licenses.join("")),
        ("", "mirror/socat.rpm", "GPLv2".to_owned())
    );
    assert_eq!(one.purl.as_ref().unwrap().to_string(), "pkg:rpm/redhat/socat@1.7.3.2-2.el7?arch=x86_64");
    for length in 0..bytes.len() - 7 {
        let cut = analyze("rpm-archive", [("a.rpm", &bytes[..length])]);
        assert!(cut.package_lists.is_empty() && cut.faults.len() == 1, "{length}");
    }
}
