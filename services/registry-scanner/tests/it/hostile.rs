//! Layers that lie, break or explode: the rest goes on, and the report says so.

use registry_scanner::{Limits, Options, Report, scan_once};

use crate::images::{Blob, Packing, gzip, layer, layout, options, sha256, story, tar_of};

async fn scan(layers: &[Blob], change: impl FnOnce(&mut Options, &std::path::Path)) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    layout(&image, layers);
    let mut options = options(folder.path());
    change(&mut options, &image.join("blobs/sha256"));
    scan_once(image.to_str().unwrap(), &options).await.unwrap()
}

fn said(report: &Report) -> String {
    report.faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn with(blob: Blob) -> Vec<Blob> {
    let mut layers = story();
    layers.push(blob);
    layers
}

#[tokio::test]
async fn a_layer_that_leaves_the_root_and_explodes() {
    let mut tar = tar_of(&[("../../etc/passwd", b"root")]);
    tar.truncate(1024);
    let mut header = tar::Header::new_gnu();
    header.set_path("zero").unwrap();
    header.set_size(1 << 30);
    header.set_mode(0o644);
    header.set_cksum();
    tar.extend_from_slice(header.as_bytes());
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packed, &tar).unwrap();
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), 1 << 25), &mut packed).unwrap();
    let bytes = packed.finish().unwrap();
    let name = sha256(&bytes).to_string();
    let bomb =
        Blob { media_type: "application/vnd.oci.image.layer.v1.tar+gzip".to_owned(), bytes, diff_id: sha256(&tar) };
    let report = scan(&with(bomb), |options, _| {
        options.limits = Limits { ratio_from_bytes: 4 << 20, ..Limits::default() };
    })
    .await;
    assert!(report.partial);
    assert_eq!(report.findings.len(), 2, "the other layers go on");
    let said = said(&report);
    assert!(said.contains("leaves the root of the image by `..` at ../../etc/passwd"), "{said}");
    assert!(said.contains(&format!("at {name}")) && said.contains("more than the limit of 250 for one"), "{said}");
}

#[tokio::test]
async fn wrong_digest_truncated_and_missing_blobs_are_named() {
    let extra = layer(&[("opt/x.dist-info/METADATA", &crate::images::wheel("x", "1"))], Packing::Gzip);
    let name = sha256(&extra.bytes);
    let path = name.hex().to_owned();
    let report = scan(&with(extra.clone()), |_, blobs| {
        let other = gzip(&tar_of(&[("a", b"b")]));
        std::fs::write(blobs.join(&path), other).unwrap();
    })
    .await;
    assert!(said(&report).contains("the digest of its blob is sha256:") && said(&report).contains(name.as_str()));
    assert_eq!((report.partial, report.findings.len()), (true, 2));

    let report = scan(&with(extra.clone()), |_, blobs| {
        std::fs::write(blobs.join(name.hex()), &extra.bytes[..extra.bytes.len() / 2]).unwrap();
    })
    .await;
    assert!(report.partial && said(&report).contains(name.as_str()), "{}", said(&report));

    let report = scan(&with(extra.clone()), |_, blobs| std::fs::remove_file(blobs.join(name.hex())).unwrap()).await;
    assert!(report.partial && said(&report).contains("cannot read"), "{}", said(&report));
}

#[tokio::test]
async fn a_layer_cannot_pose_as_another_one() {
    let base = story().remove(0);
    let mut liar = layer(&[("var/lib/dpkg/status", b"")], Packing::Gzip);
    liar.diff_id = base.diff_id.clone();
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let (bad, good) = (folder.path().join("bad"), folder.path().join("good"));
    layout(&bad, &[liar]);
    layout(&good, &[base]);
    let report = scan_once(bad.to_str().unwrap(), &options).await.unwrap();
    assert!(said(&report).contains("the digest of its unpacked layer"), "{}", said(&report));
    let report = scan_once(good.to_str().unwrap(), &options).await.unwrap();
    assert_eq!((report.layers_known, report.packages()), (0, 1), "the lie was not kept");
}

#[tokio::test]
async fn too_many_entries_and_broken_archives() {
    let many: Vec<(String, Vec<u8>)> = (0..50).map(|number| (format!("f{number}"), Vec::new())).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    let report = scan(&with(layer(&many, Packing::Zstd)), |options, _| options.limits.max_entries = 40).await;
    assert!(said(&report).contains("has more than 40 entries"), "{}", said(&report));

    let bytes = vec![7_u8; 2048];
    let noise =
        Blob { media_type: "application/vnd.oci.image.layer.v1.tar".to_owned(), diff_id: sha256(&bytes), bytes };
    let report = scan(&with(noise), |_, _| {}).await;
    assert!(said(&report).contains("wrong checksum"), "{}", said(&report));
    assert_eq!(report.findings.len(), 2);
}

fn odd_entry(builder: &mut tar::Builder<Vec<u8>>, name: &[u8], kind: tar::EntryType, link: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_mode(0o644);
    header.set_entry_type(kind);
    // Written as it is: the crate refuses such names.
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    builder.append(&header, std::io::empty()).unwrap();
}

#[tokio::test]
async fn nodes_links_in_circles_and_odd_names_hurt_nothing() {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, link) in [
        (&b"dev/sda"[..], tar::EntryType::Block, ""),
        (b"dev/null", tar::EntryType::Char, ""),
        (b"run/pipe", tar::EntryType::Fifo, ""),
        (b"a", tar::EntryType::Link, "b"),
        (b"b", tar::EntryType::Link, "a"),
        (b"var/lib/dpkg/status.d/x", tar::EntryType::Link, "var/lib/dpkg/status.d/x"),
        (b"loop", tar::EntryType::Symlink, "loop"),
        (b"/opt/absolute", tar::EntryType::Regular, ""),
        (b"opt/\xff\xfe.dist-info/METADATA", tar::EntryType::Regular, ""),
        (b"opt/./././x", tar::EntryType::Regular, ""),
    ] {
        odd_entry(&mut builder, name, kind, link);
    }
    let bytes = builder.into_inner().unwrap();
    let odd = Blob { media_type: "application/vnd.oci.image.layer.v1.tar".to_owned(), diff_id: sha256(&bytes), bytes };
    let report = scan(&with(odd), |_, _| {}).await;
    assert_eq!((report.findings.len(), report.packages()), (2, 2), "{}", said(&report));
    assert_eq!(report.layers, 4);
}

#[tokio::test]
async fn a_zstd_bomb_and_a_file_over_the_limit_are_named_with_the_limit() {
    let zeros = vec![0; 64 << 20];
    let bomb = layer(&[("opt/zeros", &zeros)], Packing::Zstd);
    let name = sha256(&bomb.bytes);
    let report = scan(&with(bomb), |options, _| {
        options.limits = Limits { ratio_from_bytes: 4 << 20, ..Limits::default() };
    })
    .await;
    let told = said(&report);
    assert!(report.partial && told.contains(name.as_str()) && told.contains("the limit of 250 for one"), "{told}");
    assert_eq!(report.findings.len(), 2);

    let long = [crate::images::wheel("long", "1"), vec![b'x'; 2 << 20]].concat();
    let path = "opt/long-1.dist-info/METADATA";
    let report = scan(&with(layer(&[(path, &long)], Packing::Gzip)), |options, _| {
        options.limits = Limits { max_file_bytes: 1 << 20, ..Limits::default() };
    })
    .await;
    let told = said(&report);
    assert!(report.partial && told.contains(path) && told.contains("1048576"), "{told}");
    assert_eq!(report.findings.len(), 2);
}

/// A layer with a package database that GNU tar itself stored as a sparse file, in one of its forms.
fn sparse(form: &[&str]) -> Option<Blob> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("opt/long-1.dist-info/METADATA");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = std::fs::File::create(&path).unwrap();
    std::io::Write::write_all(&mut file, &crate::images::wheel("long", "1")).unwrap();
    for place in [1_u64 << 16, 1 << 19, 3 << 20] {
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(place)).unwrap();
        std::io::Write::write_all(&mut file, b"more\n").unwrap();
    }
    file.set_len(4 << 20).unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "behind").unwrap();
    let output = folder.path().join("layer.tar");
    let tar = std::process::Command::new("tar")
        .args(["--sparse", "--hole-detection=raw"])
        .args(form)
        .args(["-C", folder.path().to_str()?, "-cf", output.to_str()?, "opt", "plain"])
        .status();
    if !tar.is_ok_and(|status| status.success()) {
        testkit::require::skip("tar", "no sparse archive can be made");
        return None;
    }
    let bytes = std::fs::read(output).unwrap();
    assert!(bytes.len() < 1 << 20, "it is sparse: {} bytes", bytes.len());
    Some(Blob { media_type: "application/vnd.oci.image.layer.v1.tar".to_owned(), diff_id: sha256(&bytes), bytes })
}

#[tokio::test]
async fn sparse_files_are_read_with_their_holes_and_bounded() {
    let forms: [&[&str]; 4] = [
        &["--format=gnu"],
        &["--format=posix", "--sparse-version=0.0"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=1.0"],
    ];
    for form in forms {
        let Some(layer) = sparse(form) else { return };
        let report = scan(&with(layer.clone()), |_, _| {}).await;
        assert_eq!((report.partial, report.packages()), (false, 3), "{form:?}: {}", said(&report));
        // A file of four mebibytes, though the archive has a few kilobytes only.
        let report = scan(&with(layer.clone()), |options, _| options.limits.max_file_bytes = 1 << 20).await;
        assert!(said(&report).contains("1048576"), "{form:?}: {}", said(&report));
        assert_eq!((report.partial, report.packages()), (true, 2), "{form:?}");
        // A map that says more than there is.
        let mut broken = layer;
        let at = broken.bytes.windows(5).position(|five| five == b"more\n").unwrap();
        broken.bytes.truncate(at);
        broken.diff_id = sha256(&broken.bytes);
        let report = scan(&with(broken), |_, _| {}).await;
        assert!(report.partial && report.packages() >= 2, "{form:?}: {}", said(&report));
    }
}
