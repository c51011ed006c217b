//! The demo's image: busybox and old Python packages, built and pushed by hand: one layer, one config, one manifest.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use parts::Tool;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// The root filesystem in a folder, which the container runs from too.
pub(crate) fn root_filesystem(folder: &Path) -> anyhow::Result<PathBuf> {
    let root = folder.join("rootfs");
    for name in ["bin", "etc", "proc", "tmp", "usr/lib/python3/dist-packages", "var/run/secrets/db"] {
        fs::create_dir_all(root.join(name))?;
    }
    let busybox = parts::find(Tool::Busybox)?;
    fs::copy(&busybox, root.join("bin/busybox"))?;
    for applet in ["sh", "cat", "nc", "sleep"] {
        let link = root.join("bin").join(applet);
        if !link.exists() {
            std::os::unix::fs::symlink("busybox", link)?;
        }
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/:/bin/sh\n")?;
    fs::write(root.join("etc/shadow"), "root:!:20000:0:99999:7:::\n")?;
    fs::write(root.join("etc/os-release"), "ID=biotope-demo\nNAME=\"biotope demo\"\nVERSION_ID=1\n")?;
    let packages = parts::tools_folder().join("demo-packages-1");
    anyhow::ensure!(
        packages.is_dir(),
        "the demo's Python packages are missing in {}: run `make tools`",
        packages.display()
    );
    copy(&packages, &root.join("usr/lib/python3/dist-packages"))?;
    Ok(root)
}

/// Packs the filesystem and pushes it. Returns the manifest digest.
pub(crate) async fn push(root: &Path, reference: &str) -> anyhow::Result<String> {
    let tar = pack(root)?;
    let diff_id = digest(&tar);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&tar)?;
    let layer = gzip.finish()?;
    let config = serde_json::to_vec(&json!({
        "architecture": "amd64", "os": "linux",
        "config": { "Cmd": ["/bin/sh"], "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
    }))?;
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(&config), "size": config.len() },
        "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest(&layer), "size": layer.len() }],
    }))?;
    let (registry, rest) = reference.split_once('/').context("a reference with a registry")?;
    let (repository, tag) = rest.rsplit_once(':').context("a reference with a tag")?;
    let base = format!("http://{registry}/v2/{repository}");
    let client = reqwest::Client::builder().no_proxy().build()?;
    for blob in [layer, config] {
        let started = client.post(format!("{base}/blobs/uploads/")).send().await?.error_for_status()?;
        let place = started
            .headers()
            .get("location")
            .and_then(|place| place.to_str().ok())
            .context("the registry names no place for an upload")?;
        let place = if place.starts_with('/') { format!("http://{registry}{place}") } else { place.to_owned() };
        let separator = if place.contains('?') { '&' } else { '?' };
        let url = format!("{place}{separator}digest={}", digest(&blob));
        client
            .put(url)
            .header("Content-Type", "application/octet-stream")
            .body(blob)
            .send()
            .await?
            .error_for_status()?;
    }
    let pushed = digest(&manifest);
    client
        .put(format!("{base}/manifests/{tag}"))
        .header("Content-Type", MANIFEST)
        .body(manifest)
        .send()
        .await?
        .error_for_status()?;
    Ok(pushed)
}

fn pack(root: &Path) -> anyhow::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    tar.mode(tar::HeaderMode::Deterministic);
    tar.follow_symlinks(false);
    for name in ["bin", "etc", "usr"] {
        tar.append_dir_all(name, root.join(name))?;
    }
    Ok(tar.into_inner()?)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
