//! Inventories that were taken before: layers by diff id, images by digest. Content-addressed, so that any number of scans and
//! processes may write it at the same time.
//!
//! ```text
//! layers/sha256-<diff id>.json.zst     what is in a layer                  written once
//!                        .packages.json.zst, .programs.json.zst: the same with hashes of these
//! images/sha256-<digest>.json.zst      what is in an image                 written when it is scanned
//! findings/sha256-<digest>.zst         what was told of the image, and     written when the bus has it
//!                                      before it what that rests on
//! ```

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use image_inventory::{Hashes, ImageInventory, LayerInventory};
use model::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::basis::{self, Basis};
use crate::error::ScanError;
use crate::matches::Match;
use crate::scan::Report;
use crate::told::Told;

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
}

impl Store {
    /// A store in `folder`, which is made when absent. What a write that was cut short left behind is removed.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: Option<&Path>) -> Result<Self, ScanError> {
        if let Some(folder) = folder {
            for part in ["layers", "images", "findings"] {
                let path = folder.join(part);
                std::fs::create_dir_all(&path).map_err(|source| ScanError::Store { path: path.clone(), source })?;
                sweep(&path);
            }
        }
        Ok(Self { folder: folder.map(Path::to_owned) })
    }

    /// The inventory of a layer; `None` when it is not there, was written by another version, or cannot be read.
    #[must_use]
    pub fn layer(&self, diff_id: &Digest, hashes: Hashes) -> Option<LayerInventory> {
        let inventory: LayerInventory = read(&self.layer_path(diff_id, hashes)?)?;
        (inventory.version == LayerInventory::VERSION).then_some(inventory)
    }

    /// Keeps the inventory of a layer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_layer(&self, diff_id: &Digest, hashes: Hashes, inventory: &LayerInventory) -> Result<(), ScanError> {
        self.layer_path(diff_id, hashes).map_or(Ok(()), |path| write(&path, inventory))
    }

    fn layer_path(&self, diff_id: &Digest, hashes: Hashes) -> Option<PathBuf> {
        let path = self.path("layers", diff_id)?;
        // Of the same layer another inventory: what was asked for before must not change what a report tells.
        Some(match hashes {
            Hashes::None => path,
            Hashes::Packages => with_part(&path, "packages"),
            Hashes::Programs => with_part(&path, "programs"),
        })
    }

    /// Keeps an image.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_image(&self, image: &KnownImage) -> Result<(), ScanError> {
        self.keep_stamped(image).map(drop)
    }

    /// Keeps an image, and says what the file is told from others by that are kept of the same image.
    pub(crate) fn keep_stamped(&self, image: &KnownImage) -> Result<u64, ScanError> {
        let Some(path) = self.path("images", &image.digest) else { return Ok(0) };
        write(&path, image)?;
        Ok(basis::stamp(&path))
    }

    /// Whether an image of this manifest digest was kept, and what is in it was told.
    #[must_use]
    pub fn has_told(&self, digest: &Digest) -> bool {
        let paths = [self.path("images", digest), self.told_path(digest)];
        paths.into_iter().all(|path| path.is_some_and(|path| path.is_file()))
    }

    /// Notes that the findings of a report were told: matching again tells what changed since.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_told(&self, report: &Report) -> Result<(), ScanError> {
        let told = Told::of(&report.database, report.findings.iter().map(Match::line));
        self.keep_told(&report.digest, &told, report.basis.as_ref())
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

    /// What was told of an image; `None` when nothing was, or it cannot be read.
    pub(crate) fn told(&self, image: &Digest) -> Option<Told> {
        let path = self.told_path(image)?;
        let read = zstd::decode_all(std::fs::File::open(&path).ok()?);
        match read.and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other)) {
            Ok(text) => Some(Told::from_text(text)),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "what was told of an image cannot be read, all is told again");
                None
            }
        }
    }

    /// What that which was told of the image in one of [`Self::image_files`] rests on; `None` when that is not known.
    pub(crate) fn basis_of(&self, image: &Path) -> Option<Basis> {
        let mut file = std::fs::File::open(self.told_beside(image)?).ok()?;
        let mut head = [0; 8];
        file.read_exact(&mut head).ok()?;
        let length = head.strip_prefix(&SKIPPED)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))?;
        let mut bytes = Vec::new();
        file.take(u64::from(length)).read_to_end(&mut bytes).ok()?;
        (bytes.len() as u64 == u64::from(length)).then(|| Basis::of_bytes(&bytes))?
    }

    /// Keeps what was told of an image, and what it rests on: a frame that unpacking passes over, before the packed text.
    pub(crate) fn keep_told(&self, image: &Digest, told: &Told, basis: Option<&Basis>) -> Result<(), ScanError> {
        let Some(path) = self.told_path(image) else { return Ok(()) };
        let packed = zstd::encode_all(told.text().as_bytes(), 1);
        let packed = packed.map_err(|source| ScanError::Store { path: path.clone(), source })?;
        let basis = basis.map(Basis::to_bytes).unwrap_or_default();
        match u32::try_from(basis.len()) {
            Ok(length) if length > 0 => {
                replace(&path, &[SKIPPED.as_slice(), &length.to_le_bytes(), &basis, &packed].concat(), false)
            }
            _ => replace(&path, &packed, false),
        }
    }

    /// Where that is which was told of the image in a file.
    fn told_beside(&self, image: &Path) -> Option<PathBuf> {
        let name = image.file_name()?.to_str()?.replace(".json", "");
        Some(self.folder.as_ref()?.join("findings").join(name))
    }

    fn told_path(&self, image: &Digest) -> Option<PathBuf> {
        let name = format!("{}-{}.zst", image.algorithm(), image.hex());
        Some(self.folder.as_ref()?.join("findings").join(name))
    }

    fn path(&self, part: &str, digest: &Digest) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(part).join(format!("{}-{}.json.zst", digest.algorithm(), digest.hex())))
    }
}

/// `<digest>.json.zst` as `<digest>.<part>.json.zst`.
fn with_part(path: &Path, part: &str) -> PathBuf {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    path.with_file_name(name.replacen(".json", &format!(".{part}.json"), 1))
}

/// Removes what killed processes left behind. Others may be writing at this moment: what is young stays.
fn sweep(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    for path in entries.filter(|path| path.extension().is_some_and(|extension| extension == TEMPORARY)) {
        let age = changed(&path).and_then(|written| written.elapsed().ok());
        if age.is_some_and(|age| age > LONGEST_WRITE)
            && let Err(error) = std::fs::remove_file(&path)
        {
            tracing::warn!(path = %path.display(), %error, "what a killed process left behind cannot be removed");
        }
    }
}

/// No write takes as long.
const LONGEST_WRITE: Duration = Duration::from_secs(3_600);
const TEMPORARY: &str = "tmp";
/// How a frame begins that unpacking passes over (RFC 8878, 3.1.2); its length follows.
const SKIPPED: [u8; 4] = [0x5b, 0x2a, 0x4d, 0x18];

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
    replace(path, &packed, true)
}

/// Writes beside and renames: a reader sees all of it or nothing. With `synced` that holds also when the power fails: of an inventory
/// whose name is there but not its bytes nobody would take another one. What was told need not be: unreadable, it is told again.
fn replace(path: &Path, bytes: &[u8], synced: bool) -> Result<(), ScanError> {
    let unique = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let temporary = path.with_extension(format!("{}-{unique}.{TEMPORARY}", std::process::id()));
    let write = || {
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        if synced {
            file.sync_data()?;
        }
        std::fs::rename(&temporary, path)
    };
    write().map_err(|source| {
        // On a full disk half a file is in the way of the next one.
        drop(std::fs::remove_file(&temporary));
        ScanError::Store { path: path.to_owned(), source }
    })
}

static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_write_left_behind_goes_when_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        Store::open(Some(folder.path())).unwrap();
        let place = |name: &str| folder.path().join("findings").join(name);
        for (name, age_s) in [("sha256-a.1-1.tmp", 7_200), ("sha256-b.1-2.tmp", 0), ("sha256-c.zst", 7_200)] {
            let file = std::fs::File::create(place(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age_s)).unwrap();
        }
        Store::open(Some(folder.path())).unwrap();
        let is_there = ["sha256-a.1-1.tmp", "sha256-b.1-2.tmp", "sha256-c.zst"].map(|name| place(name).exists());
        assert_eq!(is_there, [false, true, true]);
    }
}
