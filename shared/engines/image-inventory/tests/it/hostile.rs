//! Layers and files that lie, explode or lead round in circles.

use std::io::{Cursor, Read, Write as _};

use image_inventory::{
    Cache, Entry, EntryKind, FolderReader, LayerReader, Limits, Nothing, Outside, Scope, analyze, read_folder,
};

/// Gives bytes without end, and counts them.
struct Endless {
    given: u64,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        buffer.fill(b'a');
        self.given += buffer.len() as u64;
        Ok(buffer.len())
    }
}

fn entry(path: &str, kind: EntryKind, size: u64, mode: u32) -> Entry<'_> {
    Entry { path: path.as_bytes(), kind, size, mode }
}

/// A zip with these members, deflated.
pub(crate) fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(content).unwrap();
        let packed = packed.finish().unwrap();
        let place = u32::try_from(bytes.len()).unwrap();
        let sizes = [packed.len(), content.len()].map(|size| u32::try_from(size).unwrap().to_le_bytes()).concat();
        let name_length = u16::try_from(name.len()).unwrap().to_le_bytes();
        bytes.extend(
            [
                b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0".as_slice(),
                &sizes,
                &name_length,
                &[0, 0],
                name.as_bytes(),
                &packed,
            ]
            .concat(),
        );
        directory.extend(
            [
                b"PK\x01\x02\x14\0\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0".as_slice(),
                &sizes,
                &name_length,
                &[0; 12],
                &place.to_le_bytes(),
                name.as_bytes(),
            ]
            .concat(),
        );
    }
    let start = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let count = u16::try_from(members.len()).unwrap().to_le_bytes();
    let length = u32::try_from(directory.len()).unwrap().to_le_bytes();
    [
        bytes,
        directory,
        b"PK\x05\x06\0\0\0\0".to_vec(),
        count.to_vec(),
        count.to_vec(),
        length.to_vec(),
        start.to_vec(),
        vec![0, 0],
    ]
    .concat()
}

fn properties(artifact: &str) -> String {
    format!("groupId=g\nartifactId={artifact}\nversion=1\n")
}

#[test]
fn a_lock_file_of_two_gigabytes_is_refused_unread() {
    let mut reader = LayerReader::new("sha256:x", Limits::default()).with_scope(Scope::Everything);
    let mut content = Endless { given: 0 };
    reader.offer(&entry("app/package-lock.json", EntryKind::File, 2 << 30, 0o644), &mut content).unwrap();
    assert_eq!(content.given, 0);
    let faults = reader.finish().found.faults;
    assert!(faults[0].to_string().contains("2147483648 bytes, more than the limit of 134217728"), "{}", faults[0]);
}

#[test]
fn a_file_that_lies_about_its_size_is_refused() {
    let limits = Limits { max_file_bytes: 1 << 20, ..Limits::default() };
    let mut reader = LayerReader::new("sha256:x", limits).with_scope(Scope::Everything);
    let mut content = Endless { given: 0 };
    reader.offer(&entry("app/Cargo.lock", EntryKind::File, 10, 0o644), &mut content).unwrap();
    assert!(content.given < 4 << 20, "{}", content.given);
    let faults = reader.finish().found.faults;
    assert!(faults[0].to_string().contains("though it is said to have 10"), "{}", faults[0]);
}

#[test]
fn what_nobody_wants_is_not_read() {
    let mut reader = LayerReader::new("sha256:x", Limits::default()).with_scope(Scope::Everything);
    let mut content = Endless { given: 0 };
    for path in ["var/log/big.log", "usr/share/zeros.bin", "dev/sda"] {
        reader.offer(&entry(path, EntryKind::File, 10 << 30, 0o644), &mut content).unwrap();
    }
    assert_eq!(content.given, 0);
    // An executable is looked at to see whether it is a program.
    reader.offer(&entry("usr/bin/script", EntryKind::File, 10 << 30, 0o755), &mut content).unwrap();
    assert!(content.given <= 64, "{}", content.given);
    assert!(!reader.finish().partial);
}

#[test]
fn names_that_lead_out_are_refused_and_odd_ones_taken() {
    let mut reader = LayerReader::new("sha256:x", Limits::default());
    let refused = ["../x", "a/../../etc/passwd", "/../x", "a\0b"];
    for path in refused {
        reader.offer(&entry(path, EntryKind::File, 0, 0o644), &mut std::io::empty()).unwrap();
    }
    let deep = "d/".repeat(1000);
    reader.offer(&entry(&deep, EntryKind::File, 0, 0o644), &mut std::io::empty()).unwrap();
    let absolute = Entry { path: b"/etc//./debian_version", kind: EntryKind::File, size: 3, mode: 0o644 };
    reader.offer(&absolute, &mut Cursor::new("12\n")).unwrap();
    let odd = Entry { path: b"opt/\xff\xfe.dist-info/METADATA", kind: EntryKind::File, size: 20, mode: 0o644 };
    reader.offer(&odd, &mut Cursor::new("Name: a\nVersion: 1\n")).unwrap();
    let inventory = reader.finish();
    assert_eq!(inventory.found.faults.len(), refused.len() + 1);
    assert_eq!(inventory.found.operating_system.unwrap().release, "12");
    assert_eq!(inventory.found.applications.len(), 1);
}

#[test]
fn links_and_devices_are_not_followed() {
    let mut reader = LayerReader::new("sha256:x", Limits::default());
    let mut content = Endless { given: 0 };
    for _ in 0..3 {
        for (path, kind) in [
            ("etc/os-release", EntryKind::Symlink),
            ("a", EntryKind::HardLink),
            ("var/lib/dpkg/status", EntryKind::HardLink),
            ("lib/apk/db/installed", EntryKind::Other),
            ("etc", EntryKind::Folder),
        ] {
            reader.offer(&entry(path, kind, 1 << 40, 0o777), &mut content).unwrap();
        }
    }
    let inventory = reader.finish();
    assert_eq!((content.given, inventory.found.package_lists.len()), (0, 0));
    assert!(inventory.found.faults.is_empty());
}

#[test]
fn archives_twenty_deep_stop_at_the_bound_and_give_the_rest() {
    let mut inner = zip(&[("META-INF/maven/g/deepest/pom.properties", properties("deepest").as_bytes())]);
    for level in (0..20).rev() {
        let own = properties(&format!("level{level}"));
        inner = zip(&[("META-INF/maven/g/x/pom.properties", own.as_bytes()), ("lib/inner.jar", &inner)]);
    }
    let found = analyze("jar", [("app.jar", inner.as_slice())]);
    let names: Vec<&str> = found.applications[0].packages.iter().map(|one| one.name.as_str()).collect();
    assert!(names.contains(&"g:level0") && names.contains(&"g:level16") && !names.contains(&"g:deepest"), "{names:?}");
    assert!(found.faults[0].to_string().contains("more than 16 archives deep"), "{}", found.faults[0]);
}

#[test]
fn archives_that_lie_or_lead_out_are_set_aside() {
    let own = properties("own");
    let zeros = vec![0_u8; 1 << 20];
    let good = zip(&[
        ("META-INF/maven/g/own/pom.properties", own.as_bytes()),
        ("../../up.jar", b"PK"),
        ("lib/broken.jar", b"no zip"),
    ]);
    let found = analyze("jar", [("app.jar", good.as_slice())]);
    assert_eq!(found.applications[0].packages.len(), 1);
    let faults: Vec<String> = found.faults.iter().map(ToString::to_string).collect();
    assert!(faults.iter().any(|fault| fault.contains("leaves the archive")), "{faults:?}");
    assert!(
        faults.iter().any(|fault| fault.contains("not a valid zip file") && fault.contains("app.jar/lib/broken.jar")),
        "{faults:?}"
    );
    // The sizes that the directory states are made smaller than what is in the member.
    let mut liar = zip(&[("pom.properties", &zeros)]);
    let at = liar.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap() + 24;
    liar[at..at + 4].copy_from_slice(&100_u32.to_le_bytes());
    let found = analyze("jar", [("liar.jar", liar.as_slice())]);
    assert!(found.faults[0].to_string().contains("broken"), "{}", found.faults[0]);
    // Stated truly, it is too large for a text.
    let bomb = zip(&[("META-INF/MANIFEST.MF", &vec![b'a'; 11 << 20])]);
    let found = analyze("jar", [("bomb.jar", bomb.as_slice())]);
    assert!(found.faults[0].to_string().contains("more than the limit of 10485760"), "{}", found.faults[0]);
}

#[test]
fn kept_files_packages_and_faults_are_bounded() {
    let limits = Limits { max_kept_bytes: 100, max_packages: 3, max_faults: 5, ..Limits::default() };
    let mut reader = LayerReader::new("sha256:x", limits).with_scope(Scope::Everything);
    for number in 0..20 {
        let path = format!("m{number}/Cargo.lock");
        let content = format!("[[package]]\nname = \"p{number}\"\nversion = \"1.0.0\"\n");
        reader.offer(&entry(&path, EntryKind::File, content.len() as u64, 0o644), &mut Cursor::new(content)).unwrap();
    }
    let inventory = reader.finish();
    assert!(inventory.partial);
    assert_eq!(inventory.found.faults.len(), 6);
    let last = inventory.found.faults.last().unwrap().to_string();
    assert!(last.contains("more entries were set aside"), "{last}");
    assert!(inventory.found.faults[0].to_string().contains("exceed 100 bytes"), "{}", inventory.found.faults[0]);
}

#[test]
fn a_folder_with_an_unreadable_file_gives_the_rest() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("input/output error"))
        }
    }
    type File = (Vec<u8>, u64, u32, Box<dyn Read>);
    let files: Vec<File> = vec![
        (b"a/Cargo.lock".to_vec(), 9, 0o644, Box::new(Broken)),
        (b"requirements.txt".to_vec(), 6, 0o644, Box::new(Cursor::new("a==1.0"))),
    ];
    let reader = FolderReader::new("project", Scope::Sources, Limits::default());
    let inventory = read_folder(reader, files, &Nothing).unwrap();
    assert_eq!(inventory.all_packages().count(), 1);
    assert!(
        inventory.partial && inventory.faults[0].to_string().contains("input/output error"),
        "{:?}",
        inventory.faults
    );
}

/// A repository that has every project, each of which needs two more.
struct Everything;

impl Outside for Everything {
    fn read(&self, _cache: Cache, path: &str) -> Option<Vec<u8>> {
        let artifact = path.split('/').nth_back(2)?;
        let need = |side: char| {
            format!(
                "<dependency><groupId>g</groupId><artifactId>{artifact}{side}</artifactId><version>1</version></dependency>"
            )
        };
        let text = format!(
            "<project><groupId>g</groupId><artifactId>{artifact}</artifactId><version>1</version><parent><groupId>g</groupId><artifactId>{artifact}p</artifactId><version>1</version></parent><dependencies>{}{}</dependencies></project>",
            need('l'),
            need('r')
        );
        (artifact.len() < 4000).then(|| text.into_bytes())
    }

    fn list(&self, _cache: Cache, _folder: &str) -> Vec<String> {
        Vec::new()
    }
}

#[test]
fn a_repository_without_an_end_is_left() {
    let root = b"<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version><dependencies><dependency><groupId>g</groupId><artifactId>b</artifactId><version>1</version></dependency></dependencies></project>".to_vec();
    let resolved = image_inventory::rules::maven_project(
        "pom.xml",
        &|path| (path == "pom.xml").then(|| root.clone()),
        &Everything,
    );
    assert!(resolved.is_err() || resolved.unwrap().len() <= 100_000);
}

#[test]
fn ten_million_entries_stop_at_the_bound() {
    let mut reader = LayerReader::new("sha256:x", Limits::default());
    let most = Limits::default().max_entries;
    let mut offered = 0_u64;
    let refused = (0..10_000_000_u64).find_map(|number| {
        let path = format!("srv/data/{}/{number}", number % 1_000);
        offered += 1;
        reader.offer(&entry(&path, EntryKind::File, 1 << 40, 0o644), &mut std::io::empty()).err()
    });
    assert!(refused.unwrap().to_string().contains(&format!("more than {most} entries")));
    assert_eq!(offered, most + 1);
}
