//! Inventories that were taken before: layers by diff id, images by digest. Content-addressed, so that any number of scans and
//! processes may write it at the same time.
//!
//! ```text
//! layers/sha256-<diff id>.json.zst     what is in a layer                  written once
//! images/sha256-<digest>.json.zst      what is in an image                 written when it is scanned
//! findings/sha256-<digest>.zst         what was told of the image          written when the bus has it
//! findings/matched-with                the database that all were matched with, and since when
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use image_inventory::{ImageInventory, LayerInventory};
use model::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

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
        self.keep_told(&report.digest, &told)
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

    /// Keeps what was told of an image.
    pub(crate) fn keep_told(&self, image: &Digest, told: &Told) -> Result<(), ScanError> {
        let Some(path) = self.told_path(image) else { return Ok(()) };
        let packed = zstd::encode_all(told.text().as_bytes(), 1);
        replace(&path, &packed.map_err(|source| ScanError::Store { path: path.clone(), source })?)
    }

    /// Which images were matched with a database, when all that there were then are.
    pub(crate) fn matched_with(&self, database: &str) -> Option<MatchedWith> {
        let path = self.matched_path()?;
        let is_same = std::fs::read_to_string(&path).is_ok_and(|known| known == database);
        changed(&path).filter(|_| is_same).map(|since| MatchedWith { since })
    }

    /// Notes that all images that there were at a time are matched with a database.
    pub(crate) fn keep_matched_with(&self, database: &str, since: SystemTime) -> Result<(), ScanError> {
        let Some(path) = self.matched_path() else { return Ok(()) };
        replace(&path, database.as_bytes())?;
        let dated = std::fs::File::options().append(true).open(&path).and_then(|file| file.set_modified(since));
        dated.map_err(|source| ScanError::Store { path, source })
    }

    /// Whether an image is among those that were matched. What was told of it since may come from a scan that began before, with
    /// older advisories.
    pub(crate) fn is_matched(&self, image: &Path, matched: &MatchedWith) -> bool {
        let told = image.file_name().and_then(|name| name.to_str()).map(|name| name.replace(".json", ""));
        let told = self.folder.as_ref().zip(told).map(|(folder, name)| folder.join("findings").join(name));
        told.and_then(|told| changed(&told)).is_some_and(|told| told < matched.since)
    }

    fn matched_path(&self) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join("findings").join("matched-with"))
    }

    fn told_path(&self, image: &Digest) -> Option<PathBuf> {
        let name = format!("{}-{}.zst", image.algorithm(), image.hex());
        Some(self.folder.as_ref()?.join("findings").join(name))
    }

    fn path(&self, part: &str, digest: &Digest) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(part).join(format!("{}-{}.json.zst", digest.algorithm(), digest.hex())))
    }
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

/// When matching all images began.
pub(crate) struct MatchedWith {
    since: SystemTime,
}

impl MatchedWith {
    /// The time to note for what begins now. File systems may date what is written a moment later a little before it.
    pub(crate) fn now() -> SystemTime {
        let now = SystemTime::now();
        now.checked_sub(Duration::from_secs(1)).unwrap_or(now)
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
    let temporary = path.with_extension(format!("{}-{unique}.{TEMPORARY}", std::process::id()));
    std::fs::write(&temporary, bytes).map_err(fault)?;
    std::fs::rename(&temporary, path).map_err(fault)
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
