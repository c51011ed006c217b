//! Scans of what has no layers to read: a folder, a bill of material, an image whose inventory is kept already.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use image_inventory::Hashes;
use model::{Fault, FaultKind};
use scan_report::ArtifactKind;

use crate::bill::{BillForm, bill_form, read_bill, scanned_bill};
use crate::error::ScanError;
use crate::scan::{Options, Report, blocking};
use crate::source::{folder, hash, layout::bounded};

/// Scans a folder that is no image, or a bill of material; `None` when the target is neither.
pub(crate) async fn scan(target: &str, options: &Options, started: Instant) -> Result<Option<Report>, ScanError> {
    if let Some(path) = target.strip_prefix("sbom:") {
        let bytes = bill_bytes(Path::new(path))?;
        return bill(target, (path, bytes), options, started).await.map(Some);
    }
    let path = PathBuf::from(target);
    if folder::is_plain(&path) {
        return folder(target, path, options, started).await.map(Some);
    }
    if path.is_file() && is_json(&path) {
        let bytes = bill_bytes(&path)?;
        if bill_form(&bytes).is_some() {
            return bill(target, (target, bytes), options, started).await.map(Some);
        }
    }
    Ok(None)
}

/// A folder as it is: a project, or the root of a system. It has no identity, so nothing of it is kept.
async fn folder(target: &str, path: PathBuf, options: &Options, started: Instant) -> Result<Report, ScanError> {
    let owned = options.clone();
    let inventory = blocking(target, move || folder::read(&path, &owned)).await??;
    let listed: Vec<String> =
        inventory.all_packages().map(|one| format!("{}@{}", one.name, one.full_version())).collect();
    let digest = hash(listed.join("\n").as_bytes());
    Ok(Report::matched((target, ArtifactKind::Filesystem, digest), inventory, &options.advisories, started))
}

async fn bill(
    target: &str,
    (path, bytes): (&str, Vec<u8>),
    options: &Options,
    started: Instant,
) -> Result<Report, ScanError> {
    let digest = hash(&bytes);
    let no_bill = |what: String| ScanError::NoBill { path: PathBuf::from(path), what };
    let (read, scanned) = blocking(target, move || (read_bill(&bytes), scanned_bill(&bytes))).await?;
    let (form, inventory) = read.map_err(|error| no_bill(error.to_string()))?;
    let kind = match form {
        BillForm::CycloneDx => ArtifactKind::CycloneDx,
        BillForm::Spdx => ArtifactKind::Spdx,
    };
    let report = Report::matched((path, kind, digest), inventory, &options.advisories, started);
    Ok(Report { bill: scanned, ..report })
}

/// An image of a registry, by what is known of it: the newest scan by its name, or any by its digest.
pub(crate) async fn known(target: &str, options: &Options, started: Instant) -> Result<Report, ScanError> {
    let (store, wanted) = (options.store.clone(), target.to_owned());
    let found = blocking(target, move || {
        store.images().find(|image| {
            let is_pinned = |digest: &model::Digest| wanted.ends_with(&format!("@{digest}"));
            image.image == wanted || is_pinned(&image.digest) || image.index_digest.as_ref().is_some_and(is_pinned)
        })
    });
    let image = found.await?.ok_or_else(|| ScanError::Offline { image: target.to_owned() })?;
    let subject = (target, ArtifactKind::ContainerImage, image.digest);
    let mut report = Report::matched(subject, image.inventory, &options.advisories, started);
    if options.hashes != Hashes::None {
        let what = "of an image that is known from before, digests are told as far as they were kept";
        report.faults.push(Fault::new(FaultKind::Warning, target, what).cure("scan it without --offline"));
    }
    Ok(Report { index_digest: image.index_digest, ..report })
}

fn bill_bytes(path: &Path) -> Result<Vec<u8>, ScanError> {
    let fault = |source| ScanError::File { path: path.to_owned(), source };
    bounded(File::open(path).map_err(fault)?, MAX_BILL_BYTES).map_err(fault)
}

/// Archives of images do not begin as JSON does.
fn is_json(path: &Path) -> bool {
    let mut head = [0_u8; 16];
    let count = File::open(path).and_then(|mut file| file.read(&mut head)).unwrap_or(0);
    let text = head.get(..count).unwrap_or_default();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    text.trim_ascii_start().first() == Some(&b'{')
}

/// 256 MiB: bills of half a million packages.
const MAX_BILL_BYTES: u64 = 256 << 20;
