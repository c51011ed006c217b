//! Archives: an OCI layout in a tar file, and what `docker save` writes. Nothing is unpacked: the first pass notes where each member
//! lies, a layer is then read from its place.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use image_inventory::EntryKind;
use model::Digest;
use serde::Deserialize;

use crate::error::ScanError;
use crate::layer::{Layer, Place};
use crate::limits::Limits;
use crate::manifest::{Platform, configuration};
use crate::source::Image;
use crate::source::layout::{bounded, resolve, sha256, verify};
use crate::tar::Walk;

pub(crate) struct Archive {
    path: PathBuf,
    members: HashMap<String, (u64, u64)>,
    limits: Limits,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    layers: Vec<String>,
}

impl Archive {
    pub(crate) fn open(path: &Path, limits: &Limits) -> Result<Self, ScanError> {
        let fault = |source| ScanError::File { path: path.to_owned(), source };
        let mut head = [0_u8; 2];
        let mut file = File::open(path).map_err(fault)?;
        let count = file.read(&mut head).map_err(fault)?;
        if count == 2 && head == [0x1f, 0x8b] {
            let what = "it is compressed: unpack it with `gzip -d` first, for its layers are read in place".to_owned();
            return Err(ScanError::NoImage { path: path.to_owned(), what });
        }
        file.seek(SeekFrom::Start(0)).map_err(fault)?;
        let members = members(file, limits).map_err(fault)?;
        Ok(Self { path: path.to_owned(), members, limits: limits.clone() })
    }

    pub(crate) fn resolve(&self, platform: &Platform) -> Result<Image, ScanError> {
        let subject = self.path.display().to_string();
        if self.members.contains_key("index.json") {
            return resolve(&subject, &self.small("index.json")?, platform, &self.limits, |digest| {
                let bytes = self.small(&blob(digest))?;
                verify(digest, &bytes).map(|()| bytes)
            });
        }
        if !self.members.contains_key("manifest.json") {
            let what = "it has neither index.json nor manifest.json".to_owned();
            return Err(ScanError::NoImage { path: self.path.clone(), what });
        }
        self.saved(&subject)
    }

    /// `docker save`: `manifest.json` lists configuration and layers by path.
    fn saved(&self, subject: &str) -> Result<Image, ScanError> {
        let fault = |what: String| ScanError::Manifest { subject: subject.to_owned(), what };
        let bytes = self.small("manifest.json")?;
        let mut images: Vec<Saved> = serde_json::from_slice(&bytes).map_err(|error| fault(error.to_string()))?;
        if images.len() != 1 {
            return Err(fault(format!("it holds {} images, and one is expected: save them one by one", images.len())));
        }
        let Some(saved) = images.pop() else { return Err(fault("it holds no image".to_owned())) };
        let config = self.small(&saved.config)?;
        let (configuration, diff_ids) = configuration(subject, &config)?;
        if diff_ids.len() != saved.layers.len() || diff_ids.len() > self.limits.max_layers {
            return Err(fault(format!("{} layers, {} diff ids", saved.layers.len(), diff_ids.len())));
        }
        let layer = |(path, diff_id): (String, Digest)| {
            let size = self.members.get(&path).map_or(0, |(_, size)| *size);
            Layer { digest: None, diff_id, size, place: Place::Path(path) }
        };
        let layers = saved.layers.into_iter().zip(diff_ids).map(layer).collect();
        let digest = sha256(&config);
        Ok(Image { image_id: digest.clone(), digest, index_digest: None, config: configuration, layers })
    }

    pub(crate) fn open_layer(&self, layer: &Layer) -> Result<Box<dyn Read + Send>, ScanError> {
        let path = match (&layer.place, &layer.digest) {
            (Place::Path(path), _) => path.clone(),
            (Place::Digest, Some(digest)) => blob(digest),
            (Place::Digest, None) => return Err(self.missing("a layer without digest")),
        };
        self.member(&path)
    }

    fn member(&self, path: &str) -> Result<Box<dyn Read + Send>, ScanError> {
        let (offset, size) = self.members.get(path).copied().ok_or_else(|| self.missing(path))?;
        let fault = |source| ScanError::File { path: self.path.clone(), source };
        let mut file = File::open(&self.path).map_err(fault)?;
        file.seek(SeekFrom::Start(offset)).map_err(fault)?;
        Ok(Box::new(file.take(size)))
    }

    fn missing(&self, path: &str) -> ScanError {
        ScanError::NoImage { path: self.path.clone(), what: format!("`{path}` is not in it") }
    }

    fn small(&self, path: &str) -> Result<Vec<u8>, ScanError> {
        let fault = |source| ScanError::File { path: self.path.clone(), source };
        bounded(self.member(path)?, self.limits.max_manifest_bytes).map_err(fault)
    }
}

fn blob(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

/// Place and size of each member of an archive.
fn members(file: File, limits: &Limits) -> std::io::Result<HashMap<String, (u64, u64)>> {
    let bounds = image_inventory::Limits::default();
    let mut members = HashMap::new();
    let mut walk = Walk::new(BufReader::with_capacity(64 << 10, file));
    let mut entries = 0_u64;
    while let Some(header) = walk.next()? {
        entries = entries.saturating_add(1);
        if entries > limits.max_entries {
            let what = format!("it has more than {} entries", limits.max_entries);
            return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, what));
        }
        let offset = walk.position();
        let Ok(path) = image_inventory::normal_path(&header.path, &bounds) else { continue };
        if header.kind == EntryKind::File {
            members.insert(path, (offset, header.size));
        }
    }
    Ok(members)
}
