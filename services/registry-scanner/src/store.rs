//! Inventories that were taken before: layers by diff id, images by digest. Content-addressed, so that any number of scans and
//! processes may write it at the same time.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use image_inventory::{ImageInventory, LayerInventory};
use model::Digest;
use schemas::build::v1::Finding;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::ScanError;

/// The store; without a folder it keeps nothing.
#[derive(Clone, Debug, Default)]
pub struct Store {
    folder: Option<PathBuf>,
}

/// One image that was scanned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KnownImage {
    /// What was asked for.
    pub image: String,
    /// Manifest digest.
    pub digest: Digest,
    /// Digest of the index that it was chosen from.
    #[serde(default)]
    pub index_digest: Option<Digest>,
    /// Its merged inventory, without the files of packages.
    pub inventory: ImageInventory,
    /// What was found last.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Database that the findings were first seen with.
    #[serde(default)]
    pub database: String,
}

impl Store {
    /// A store in `folder`, which is made when absent.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: Option<&Path>) -> Result<Self, ScanError> {
        if let Some(folder) = folder {
            for part in ["layers", "images"] {
                let path = folder.join(part);
                std::fs::create_dir_all(&path).map_err(|source| ScanError::Store { path, source })?;
            }
        }
        Ok(Self { folder: folder.map(Path::to_owned) })
    }

    /// The inventory of a layer; `None` when it is not there, was written by another version, or cannot be read.
    #[must_use]
    pub fn layer(&self, diff_id: &Digest) -> Option<LayerInventory> {
        let inventory: LayerInventory = read(&self.path("layers", diff_id)?)?;
        (inventory.version == LayerInventory::VERSION).then_some(inventory)
    }

    /// Keeps the inventory of a layer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_layer(&self, diff_id: &Digest, inventory: &LayerInventory) -> Result<(), ScanError> {
        self.path("layers", diff_id).map_or(Ok(()), |path| write(&path, inventory))
    }

    /// Keeps an image.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_image(&self, image: &KnownImage) -> Result<(), ScanError> {
        self.path("images", &image.digest).map_or(Ok(()), |path| write(&path, image))
    }

    /// Whether an image of this manifest digest was kept.
    #[must_use]
    pub fn has_image(&self, digest: &Digest) -> bool {
        self.path("images", digest).is_some_and(|path| path.is_file())
    }

    /// Every image that was kept; files that cannot be read are passed over.
    pub fn images(&self) -> impl Iterator<Item = KnownImage> + use<> {
        self.image_files().into_iter().filter_map(|path| read(&path))
    }

    /// The files of the images that were kept.
    pub(crate) fn image_files(&self) -> Vec<PathBuf> {
        let folder = self.folder.as_ref().map(|folder| folder.join("images"));
        let entries = folder.and_then(|folder| std::fs::read_dir(folder).ok());
        let paths = entries.into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "zst")).collect()
    }

    /// The image in one of [`Self::image_files`]; `None` when it cannot be read.
    pub(crate) fn image_of(path: &Path) -> Option<KnownImage> {
        read(path)
    }

    /// Which images were matched with a database, when all that there were then are.
    pub(crate) fn matched_with(&self, database: &str) -> Option<MatchedWith> {
        let path = self.matched_path()?;
        let is_same = std::fs::read_to_string(&path).is_ok_and(|known| known == database);
        is_same.then(|| MatchedWith { at: changed(&path) }).filter(|matched| matched.at.is_some())
    }

    /// Notes that all images are matched with a database.
    pub(crate) fn keep_matched_with(&self, database: &str) -> Result<(), ScanError> {
        self.matched_path().map_or(Ok(()), |path| replace(&path, database.as_bytes()))
    }

    fn matched_path(&self) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join("images").join("matched-with"))
    }

    fn path(&self, part: &str, digest: &Digest) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(part).join(format!("{}-{}.json.zst", digest.algorithm(), digest.hex())))
    }
}

/// When all images were matched.
pub(crate) struct MatchedWith {
    at: Option<SystemTime>,
}

impl MatchedWith {
    /// Whether the image in a file is among them. One that was kept since may come from a scan that began before, with older advisories.
    pub(crate) fn covers(&self, image: &Path) -> bool {
        changed(image).is_some_and(|kept| Some(kept) < self.at)
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let packed = std::fs::File::open(path).ok()?;
    // JSON is read several times faster from a slice than from a stream.
    let read = zstd::decode_all(packed).and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::from));
    match read {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "stored inventory cannot be read, it is taken again");
            None
        }
    }
}

fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), ScanError> {
    let fault = |source| ScanError::Store { path: path.to_owned(), source };
    let text = serde_json::to_vec(value).map_err(|error| fault(error.into()))?;
    let packed = zstd::encode_all(text.as_slice(), 1).map_err(fault)?;
    replace(path, &packed)
}

/// Writes beside and renames: a reader sees all of it or nothing.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), ScanError> {
    let fault = |source| ScanError::Store { path: path.to_owned(), source };
    let unique = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let temporary = path.with_extension(format!("{}-{unique}.tmp", std::process::id()));
    std::fs::write(&temporary, bytes).map_err(fault)?;
    std::fs::rename(&temporary, path).map_err(fault)
}

static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
