//! Images that the tests build themselves.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::Digest;
use registry_scanner::{Advisories, Fingerprint, Limits, Options, Platform, Pull, Store};
use serde_json::{Value, json};

/// How a layer is packed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Packing {
    Gzip,
    Zstd,
    Plain,
}

/// One blob with its descriptor's media type.
#[derive(Clone)]
pub(crate) struct Blob {
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) diff_id: Digest,
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    let mut hash = [0_u8; 32];
    hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    Digest::from_sha256(&hash)
}

pub(crate) fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        if path.starts_with("..") {
            // The crate refuses such names, for good reason.
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        } else {
            builder.append_data(&mut header, path, *content).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn layer(files: &[(&str, &[u8])], packing: Packing) -> Blob {
    let tar = tar_of(files);
    let diff_id = sha256(&tar);
    let (suffix, bytes) = match packing {
        Packing::Gzip => ("+gzip", gzip(&tar)),
        Packing::Zstd => ("+zstd", zstd::encode_all(tar.as_slice(), 3).unwrap()),
        Packing::Plain => ("", tar),
    };
    Blob { media_type: format!("application/vnd.oci.image.layer.v1.tar{suffix}"), bytes, diff_id }
}

pub(crate) fn config(layers: &[Blob]) -> Vec<u8> {
    let diff_ids: Vec<&Digest> = layers.iter().map(|layer| &layer.diff_id).collect();
    let config = json!({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    config.to_string().into_bytes()
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": sha256(bytes), "size": bytes.len()})
}

pub(crate) fn manifest(layers: &[Blob]) -> Vec<u8> {
    let described: Vec<Value> = layers.iter().map(|layer| descriptor(&layer.media_type, &layer.bytes)).collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config(layers)),
        "layers": described,
    });
    manifest.to_string().into_bytes()
}

pub(crate) fn index(manifests: &[(&[u8], &str)]) -> Vec<u8> {
    let described: Vec<Value> = manifests
        .iter()
        .map(|(bytes, architecture)| {
            let mut one = descriptor("application/vnd.oci.image.manifest.v1+json", bytes);
            one["platform"] = json!({"os": "linux", "architecture": architecture});
            one
        })
        .collect();
    json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": described})
        .to_string()
        .into_bytes()
}

/// Writes an OCI layout folder with one image; returns its manifest digest.
pub(crate) fn layout(folder: &Path, layers: &[Blob]) -> Digest {
    let manifest = manifest(layers);
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let mut all: Vec<Vec<u8>> = layers.iter().map(|layer| layer.bytes.clone()).collect();
    all.extend([manifest.clone(), config(layers)]);
    for bytes in all {
        std::fs::write(blobs.join(sha256(&bytes).hex()), bytes).unwrap();
    }
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    std::fs::write(folder.join("index.json"), index(&[(&manifest, "amd64")])).unwrap();
    sha256(&manifest)
}

pub(crate) const DEBIAN: &str = "Package: zlib1g\nStatus: install ok installed\nVersion: 1:1.2.13.dfsg-1\nArchitecture: amd64\nSource: zlib\nMaintainer: M <m@debian.org>\n\n";

pub(crate) fn wheel(name: &str, version: &str) -> Vec<u8> {
    format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n").into_bytes()
}

/// A base layer of Debian and one with a Python package.
pub(crate) fn story() -> Vec<Blob> {
    let base = layer(&[("etc/debian_version", b"12.5\n"), ("var/lib/dpkg/status", DEBIAN.as_bytes())], Packing::Gzip);
    let application = layer(
        &[("usr/lib/python3/dist-packages/urllib3-1.26.4.dist-info/METADATA", &wheel("urllib3", "1.26.4"))],
        Packing::Zstd,
    );
    vec![base, application, layer(&[("srv/app.txt", b"hello")], Packing::Plain)]
}

/// A folder of advisories for the story, written by hand.
pub(crate) fn advisories(folder: &Path, with_zlib: bool) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    let urllib3 = json!({
        "id": "GHSA-test-0001", "aliases": ["CVE-2021-33503"], "summary": "regular expression takes very long",
        "database_specific": {"severity": "HIGH"},
        "affected": [{"package": {"ecosystem": "PyPI", "name": "urllib3"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.26.5"}]}]}],
    });
    std::fs::write(folder.join("urllib3.json"), urllib3.to_string()).unwrap();
    if with_zlib {
        let zlib = json!({
            "id": "DEBIAN-CVE-2023-45853", "aliases": ["CVE-2023-45853"],
            "affected": [{"package": {"ecosystem": "Debian:12", "name": "zlib"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}],
        });
        std::fs::write(folder.join("zlib.json"), zlib.to_string()).unwrap();
    }
    folder.to_owned()
}

pub(crate) fn options(folder: &Path) -> Options {
    let advisories = advisories(&folder.join("advisories"), true);
    Options {
        platform: "linux/amd64".parse::<Platform>().unwrap(),
        pull: Pull { retries: 1, ..Pull::default() },
        limits: Limits::default(),
        store: Store::open(Some(&folder.join("store"))).unwrap(),
        advisories: Arc::new(Advisories::load(&advisories, &Fingerprint::of(&advisories)).0),
        ..Options::default()
    }
}
