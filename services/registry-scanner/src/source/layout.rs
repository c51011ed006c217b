//! OCI layout folders (OCI image layout specification 1.0).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use model::Digest;

use crate::error::ScanError;
use crate::layer::{Layer, Place};
use crate::limits::Limits;
use crate::manifest::{Descriptor, Document, Platform, choose, configuration, layers, parse};
use crate::source::Image;

pub(crate) struct Layout {
    folder: PathBuf,
    limits: Limits,
}

impl Layout {
    pub(crate) fn open(folder: &Path, limits: &Limits) -> Self {
        Self { folder: folder.to_owned(), limits: limits.clone() }
    }

    pub(crate) fn resolve(&self, platform: &Platform) -> Result<Image, ScanError> {
        let index = self.folder.join("index.json");
        if !index.is_file() {
            return Err(ScanError::NoImage { path: self.folder.clone(), what: "it has no index.json".to_owned() });
        }
        let bytes = self.small(&index)?;
        resolve(&self.folder.display().to_string(), &bytes, platform, &self.limits, |digest| {
            let bytes = self.small(&self.blob(digest))?;
            verify(digest, &bytes).map(|()| bytes)
        })
    }

    pub(crate) fn open_layer(&self, layer: &Layer) -> Result<Box<dyn Read + Send>, ScanError> {
        let (Place::Digest, Some(digest)) = (&layer.place, &layer.digest) else {
            return Err(ScanError::NoImage { path: self.folder.clone(), what: "a layer has no digest".to_owned() });
        };
        let path = self.blob(digest);
        let file = File::open(&path).map_err(|source| ScanError::File { path, source })?;
        Ok(Box::new(file))
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs").join(digest.algorithm()).join(digest.hex())
    }

    fn small(&self, path: &Path) -> Result<Vec<u8>, ScanError> {
        let fault = |source| ScanError::File { path: path.to_owned(), source };
        let file = File::open(path).map_err(fault)?;
        bounded(file, self.limits.max_manifest_bytes).map_err(fault)
    }
}

/// Reads at most `limit` bytes; more is an error.
pub(crate) fn bounded(reader: impl Read, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let what = format!("it is longer than the limit of {limit} bytes for manifests");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, what));
    }
    Ok(bytes)
}

/// Refuses bytes that are not what their digest says.
pub(crate) fn verify(digest: &Digest, bytes: &[u8]) -> Result<(), ScanError> {
    if digest.algorithm() != "sha256" || sha256(bytes) == *digest {
        return Ok(());
    }
    let what = format!("its bytes have the digest {}", sha256(bytes));
    Err(ScanError::Manifest { subject: digest.to_string(), what })
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    let mut hash = [0_u8; 32];
    hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    Digest::from_sha256(&hash)
}

/// Goes from an index to the image of a platform; `read` gives the verified bytes of a small blob.
pub(crate) fn resolve(
    subject: &str,
    index: &[u8],
    platform: &Platform,
    limits: &Limits,
    read: impl Fn(&Digest) -> Result<Vec<u8>, ScanError>,
) -> Result<Image, ScanError> {
    let mut index_digest = None;
    let mut document = parse(subject, index)?;
    // An index may point to an index; more than two levels have no meaning.
    for _ in 0..3 {
        let chosen: Descriptor = match &document {
            Document::Index(manifests) => choose(subject, manifests, platform)?.clone(),
            Document::Manifest { .. } => break,
        };
        let bytes = read(&chosen.digest)?;
        document = parse(subject, &bytes)?;
        match &document {
            Document::Index(_) => index_digest = Some(chosen.digest),
            Document::Manifest { config, layers: described } => {
                let (configuration, diff_ids) = configuration(subject, &read(&config.digest)?)?;
                let layers = layers(subject, described, &diff_ids, limits)?;
                let image_id = config.digest.clone();
                return Ok(Image { digest: chosen.digest, index_digest, image_id, config: configuration, layers });
            }
        }
    }
    let what = "it has no image within three levels of indexes".to_owned();
    Err(ScanError::Manifest { subject: subject.to_owned(), what })
}
