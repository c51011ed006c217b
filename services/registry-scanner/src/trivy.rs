//! Trivy's own database, `trivy.db` (schema 2), and the packed form that is made of it once and then read in mapped memory.
//!
//! What surprises: the packed form names the `trivy.db` that it was made of by size and time of change. Another one, or none, and it is
//! made again; where it cannot be written, `trivy.db` itself is read, which is slower.

use std::fs::File;
use std::io::{self, BufWriter};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use image_inventory::{Application, ImageInventory, OperatingSystem, Package};
use model::{Fault, FaultKind};
use serde::Deserialize;
use vulnerability_matching::Remembered;
use vulnerability_matching::assess::{severity_of, status};
use vulnerability_matching::bolt::{Bolt, BoltError, Pages};
use vulnerability_matching::database::{Buckets, VulnerabilityDetail, detail};
use vulnerability_matching::detect::{
    BuildOrigin, Detection, LanguagePackage, SystemPackage, Target, Version, detect, detect_language, is_supported,
    judged_alike,
};

use vulnerability_matching::packed::{Packed, Packing};

use crate::mapped::Mapped;
use crate::matches::{Found, Words};

/// An open database.
#[derive(Debug)]
pub struct TrivyDatabase {
    data: Data,
    path: PathBuf,
    metadata: Metadata,
}

#[derive(Debug)]
enum Data {
    Packed(Packed<Mapped>),
    Bolt(Bolt<FilePages>),
}

impl Data {
    fn buckets(&self) -> &(dyn Buckets + Sync) {
        match self {
            Self::Packed(packed) => packed,
            Self::Bolt(bolt) => bolt,
        }
    }
}

/// Name of the packed form, beside `trivy.db`.
pub(crate) const PACKED: &str = "trivy.index";

/// `metadata.json` beside the database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Metadata {
    /// Version of the schema: 2.
    pub version: u64,
    /// When it was built, RFC 3339.
    pub updated_at: String,
    /// When a newer one is expected, RFC 3339.
    pub next_update: String,
    /// When it was fetched, RFC 3339.
    pub downloaded_at: String,
}

impl Metadata {
    /// Whether no newer database is to be expected at `now`, by its own word.
    #[must_use]
    pub fn is_fresh(&self, now: model::Timestamp) -> bool {
        self.next_update.parse::<model::Timestamp>().is_ok_and(|next| next > now)
    }
}

/// The file, read page by page: the operating system keeps what is hot.
#[derive(Debug)]
struct FilePages {
    file: File,
    size: u64,
}

impl Pages for FilePages {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        // The reader asks for no more than the file has, so that a broken size cannot ask for memory.
        if offset.checked_add(length as u64)? > self.size {
            return None;
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    }
}

impl TrivyDatabase {
    /// Opens `trivy.db` at `path`, with the `metadata.json` beside it where there is one. The first time the packed form is made beside
    /// it, which takes some seconds.
    ///
    /// # Errors
    /// When the file cannot be read, is no database, or is of a schema that this version does not know.
    pub fn open(path: &Path) -> Result<Self, DatabaseFileError> {
        let metadata = read_metadata(&path.with_file_name("metadata.json"))?;
        if !matches!(metadata.version, 0 | 2) {
            return Err(DatabaseFileError::Schema { path: path.to_owned(), version: metadata.version });
        }
        let data = match open_packed(path) {
            Some(packed) => Data::Packed(packed),
            None => match pack(path) {
                Ok(()) => {
                    open_packed(path).map_or_else(|| open_bolt(path).map(Data::Bolt), |one| Ok(Data::Packed(one)))?
                }
                Err(error @ (DatabaseFileError::Format { .. } | DatabaseFileError::Read { .. })) => return Err(error),
                Err(error) => {
                    tracing::info!(%error, "the database is read as it is, which is slower");
                    Data::Bolt(open_bolt(path)?)
                }
            },
        };
        Ok(Self { data, path: path.to_owned(), metadata })
    }

    /// Whether the packed form is in use.
    #[must_use]
    pub fn is_packed(&self) -> bool {
        matches!(self.data, Data::Packed(_))
    }

    /// What is known of its making.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Name for reports: when it was built.
    #[must_use]
    pub fn name(&self) -> String {
        let built = if self.metadata.updated_at.is_empty() { "of unknown age" } else { &self.metadata.updated_at };
        format!("trivy-db:{built}")
    }

    /// What is known of a vulnerability; `None` also when that cannot be read.
    #[must_use]
    pub fn detail(&self, id: &str) -> Option<VulnerabilityDetail> {
        detail(self.data.buckets(), id).ok().flatten()
    }

    /// The database, remembering what it is asked.
    pub(crate) fn remembered(&self) -> Remembered<'_> {
        Remembered::new(self.data.buckets())
    }

    /// Its short answers to some questions, with those of `others` to questions that it was not asked; `None` when it has no packed form.
    pub(crate) fn answers(&self, questions: &[u64], others: impl Fn(u64) -> u64) -> Option<u64> {
        match &self.data {
            Data::Packed(packed) => {
                let answer = |question| packed.answer(question) ^ others(question);
                Some(vulnerability_matching::answers(questions, answer))
            }
            Data::Bolt(_) => None,
        }
    }

    /// Everything that the database, asked through `asked`, says of an image at a time, in no order, and what of it could not be read.
    pub(crate) fn found<'i>(
        &self,
        asked: &dyn Buckets,
        image: &'i ImageInventory,
        now_s: i64,
    ) -> (Vec<Found<'i>>, Vec<Fault>) {
        let mut all = All { database: self, asked, now_s, found: Vec::new(), faults: Vec::new() };
        all.system(image);
        for application in &image.applications {
            all.application(application);
        }
        (all.found, all.faults)
    }
}

struct All<'d, 'i> {
    database: &'d TrivyDatabase,
    asked: &'d dyn Buckets,
    now_s: i64,
    found: Vec<Found<'i>>,
    faults: Vec<Fault>,
}

impl<'i> All<'_, 'i> {
    fn system(&mut self, image: &'i ImageInventory) {
        let Some(system) = &image.operating_system else { return };
        let release = judged_release(system);
        let repository = image.repository.as_ref().filter(|repository| repository.family == system.family);
        let now_s = self.now_s;
        let target = Target {
            family: &system.family,
            release: &release,
            repository_release: repository.map(|repository| repository.release.as_str()),
            supplier: &image.supplier,
            now_s,
        };
        if !is_supported(&system.family, &release, now_s) {
            let what = format!("{} {release} is no longer supported by its makers", system.family);
            let fault = Fault::new(FaultKind::Warning, &format!("{} {release}", system.family), what);
            self.faults.push(fault.cure("newer vulnerabilities may be missing: move to a supported release"));
        }
        let packages: Vec<SystemPackage> =
            image.packages.iter().map(|package| system_package(package, image)).collect();
        match detect(self.asked, &target, &packages) {
            Ok(found) => {
                for detection in found {
                    let Some(package) = image.packages.get(detection.package) else { continue };
                    self.add(detection, package, &package.file_path);
                }
            }
            Err(error) => self.unreadable(&error),
        }
    }

    fn application(&mut self, application: &'i Application) {
        for package in &application.packages {
            let version = package.full_version();
            let asked = LanguagePackage { kind: application.kind.as_str(), name: &package.name, version: &version };
            let own = package.file_path.as_str();
            let path = if own.is_empty() { application.file_path.as_str() } else { own };
            match detect_language(self.asked, &asked) {
                Ok(found) => found.into_iter().for_each(|detection| self.add(detection, package, path)),
                Err(error) => self.unreadable(&error),
            }
        }
    }

    fn add(&mut self, detection: Detection, package: &'i Package, path: &'i str) {
        let detail = match self.asked.brief(&detection.id) {
            Ok(detail) => detail,
            Err(error) => {
                self.unreadable(&error);
                None
            }
        };
        let (severity, severity_source) = severity_of(&detection, detail.as_deref(), &["auto"]);
        self.found.push(Found {
            package,
            path,
            severity,
            severity_source,
            status: status(&detection),
            id: detection.id,
            aliases: detection.vendor_ids,
            installed_version: detection.installed_version,
            fixed_version: detection.fixed_version,
            words: Words::Trivy { detail, source: detection.source },
        });
    }

    fn unreadable(&mut self, error: &dyn std::error::Error) {
        // One broken database says the same for every package: a few lines tell it.
        if self.faults.len() < MOST_FAULTS {
            let fault = Fault::new(FaultKind::Invalid, &self.database.path.display().to_string(), error.to_string());
            self.faults.push(fault.cure("fetch the database again: `biotope db update`"));
        }
    }
}

fn system_package(package: &Package, image: &ImageInventory) -> SystemPackage {
    let (nvr, arch) = image.build.clone().unwrap_or_default();
    let is_built = image.build.is_some() || !image.content_sets.is_empty();
    SystemPackage {
        id: package.id.clone(),
        name: package.name.clone(),
        version: version(package.epoch, &package.version, &package.release),
        arch: package.arch.clone(),
        source_name: package.source_name.clone(),
        source_version: version(package.source_epoch, &package.source_version, &package.source_release),
        modularity_label: package.modularity.clone(),
        build: is_built.then(|| BuildOrigin { content_sets: image.content_sets.clone(), nvr, arch }),
        is_third_party: package.third_party == Some(true),
    }
}

fn version(epoch: u32, version: &str, release: &str) -> Version {
    Version { epoch: u64::from(epoch), version: version.to_owned(), release: release.to_owned() }
}

/// The release that the drivers know, of a system with extended maintenance another one.
fn judged_release(system: &OperatingSystem) -> String {
    if system.extended { format!("{}-ESM", system.release) } else { system.release.clone() }
}

/// When what is found in an image at a time holds by the same database, in seconds since 1970-01-01.
pub(crate) fn holds_s(image: &ImageInventory, now_s: i64) -> Range<i64> {
    let system = image.operating_system.as_ref();
    system.map_or(i64::MIN..i64::MAX, |system| judged_alike(&system.family, &judged_release(system), now_s))
}

/// Now, in seconds since 1970-01-01.
pub(crate) fn now_s() -> i64 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds).unwrap_or(0)
}

fn open_bolt(path: &Path) -> Result<Bolt<FilePages>, DatabaseFileError> {
    let unreadable = |source| DatabaseFileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    Bolt::open(FilePages { file, size }).map_err(|source| DatabaseFileError::Format { path: path.to_owned(), source })
}

/// The packed form beside `path`, when it was made of the file that is there.
fn open_packed(path: &Path) -> Option<Packed<Mapped>> {
    let packed = Packed::open(Mapped::open(&path.with_file_name(PACKED)).ok()?).ok()?;
    let made_of = packed.value(&[ORIGIN], "made-of")?.into_owned();
    (made_of == identity(path).ok()?.as_bytes()).then_some(packed)
}

/// Size and time of change.
fn identity(path: &Path) -> io::Result<String> {
    let meta = std::fs::metadata(path)?;
    let changed = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    Ok(format!("{} bytes, {changed}", meta.len()))
}

/// Makes the packed form beside `path`. It takes its place only when it is whole.
///
/// # Errors
/// When `path` is no database, or the packed form cannot be written.
pub(crate) fn pack(path: &Path) -> Result<(), DatabaseFileError> {
    let bolt = open_bolt(path)?;
    let unwritable = |source| DatabaseFileError::Pack { path: path.with_file_name(PACKED), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = crate::database::beside(folder).map_err(unwritable)?;
    let write = || {
        let mut packing = Packing::new(BufWriter::new(file.as_file()))?;
        bolt.each(&mut |path, key, value| packing.put(path, key, value))?;
        packing.put(&[ORIGIN], "made-of", identity(path)?.as_bytes())?;
        packing.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    };
    write().map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => DatabaseFileError::Read { path: path.to_owned(), source: error },
        _ => unwritable(error),
    })?;
    file.persist(path.with_file_name(PACKED)).map_err(|error| unwritable(error.error))?;
    Ok(())
}

pub(crate) fn read_metadata(path: &Path) -> Result<Metadata, DatabaseFileError> {
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|source| DatabaseFileError::Metadata { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Metadata::default()),
        Err(source) => Err(DatabaseFileError::Read { path: path.to_owned(), source }),
    }
}

/// A database file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseFileError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why; part of the line, for only it tells.
        source: io::Error,
    },
    /// It is no database.
    #[error("{}: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Why; part of the line.
        source: BoltError,
    },
    /// What stands beside it cannot be read.
    #[error("{}: {source}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// Why; part of the line.
        source: serde_json::Error,
    },
    /// The packed form cannot be made.
    #[error("cannot write {}: {source}", path.display())]
    Pack {
        /// The file.
        path: PathBuf,
        /// Why; part of the line.
        source: io::Error,
    },
    /// It is no index of Java archives.
    #[error("{}: {source}", path.display())]
    Java {
        /// The file.
        path: PathBuf,
        /// Why; part of the line.
        source: image_inventory::jars::NoIndex,
    },
    /// It is of another schema.
    #[error("{}: schema {version} is not known, only 2 is", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        version: u64,
    },
}

const MOST_FAULTS: usize = 5;

/// Bucket of what the packed form says of itself.
const ORIGIN: &str = "biotope";
