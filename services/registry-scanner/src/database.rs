//! Fetching Trivy's databases: from a registry, or from a file. What is in force stays until the new one has been opened.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::config::Pull;
use crate::error::ScanError;
use crate::java;
use crate::limits::Limits;
use crate::source::registry::Registry;
use crate::tar::Walk;
use crate::trivy::{self, DatabaseFileError, Metadata, TrivyDatabase};

/// Which of Trivy's databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseKind {
    /// Vulnerabilities: `trivy.db`.
    Vulnerabilities,
    /// Java archives by their SHA-1: `trivy-java.db`.
    Java,
}

impl DatabaseKind {
    /// Media type of the one layer of its artifact.
    fn layer(self) -> &'static str {
        match self {
            Self::Vulnerabilities => "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip",
            Self::Java => "application/vnd.aquasec.trivy.javadb.layer.v1.tar+gzip",
        }
    }

    /// Its file, as it comes.
    fn file(self) -> &'static str {
        match self {
            Self::Vulnerabilities => "trivy.db",
            Self::Java => java::DATABASE,
        }
    }

    /// What it was made of: the digest of the archive that it came in.
    fn origin(self) -> &'static str {
        match self {
            Self::Vulnerabilities => "trivy.db.digest",
            Self::Java => "trivy-java.db.digest",
        }
    }

    /// Where it is kept in a folder of advisories, with its metadata beside.
    fn place(self, folder: &Path) -> PathBuf {
        match self {
            Self::Vulnerabilities => folder.to_owned(),
            Self::Java => folder.join("java-db"),
        }
    }
}

/// What is known of the making of the database in a folder of advisories; `None` when there is none.
#[must_use]
pub fn freshness(kind: DatabaseKind, folder: &Path) -> Option<Metadata> {
    let place = kind.place(folder);
    let is_there = match kind {
        DatabaseKind::Vulnerabilities => place.join(kind.file()).is_file(),
        DatabaseKind::Java => place.join(java::INDEX).is_file() || place.join(java::DATABASE).is_file(),
    };
    is_there.then(|| trivy::read_metadata(&place.join("metadata.json")).unwrap_or_default())
}

/// What came of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updated {
    /// How the database in force was made.
    pub metadata: Metadata,
    /// Whether it was fetched. The archive that is in force already is not fetched again.
    pub is_new: bool,
}

/// How the database in force was made, when it came in the archive of this digest and can be used.
fn in_force(kind: DatabaseKind, folder: &Path, archive: &model::Digest) -> Option<Metadata> {
    let place = kind.place(folder);
    let origin = fs::read_to_string(place.join(kind.origin())).ok()?;
    let is_usable = match kind {
        DatabaseKind::Vulnerabilities => TrivyDatabase::open(&place.join(kind.file())).is_ok(),
        DatabaseKind::Java => java::open_index(&place).is_ok(),
    };
    freshness(kind, folder).filter(|_| is_usable && origin == archive.to_string())
}

/// Most bytes of the unpacked database; those of today have below one gibibyte.
const MOST_BYTES: u64 = 8 << 30;

/// Pulls the database from the first of `sources` that has it and puts it in `folder`, unless that very one is in force.
///
/// # Errors
/// When none of the sources has a database that can be used; what is in `folder` stays as it is.
pub async fn update_database(
    kind: DatabaseKind,
    sources: &[String],
    folder: &Path,
    pull: &Pull,
) -> Result<Updated, UpdateError> {
    let mut failures = Vec::new();
    for source in sources {
        match pull_database(kind, source, (folder, pull)).await {
            Ok(updated) => return Ok(updated),
            Err(error) => failures.push(format!("{source}: {error}")),
        }
    }
    Err(UpdateError::NoSource { failures: failures.join("; ") })
}

async fn pull_database(
    kind: DatabaseKind,
    source: &str,
    (folder, pull): (&Path, &Pull),
) -> Result<Updated, UpdateError> {
    let image =
        source.parse().map_err(|error| ScanError::Target { target: source.to_owned(), what: format!("{error}") })?;
    let registry = Registry::new(image, pull, &Limits::default());
    let layer = registry.artifact(kind.layer()).await?;
    if let Some(metadata) = layer.digest.as_ref().and_then(|archive| in_force(kind, folder, archive)) {
        return Ok(Updated { metadata, is_new: false });
    }
    let blob = registry.open(&layer).await?;
    let (folder, digest) = (folder.to_owned(), layer.digest.clone());
    let installed = tokio::task::spawn_blocking(move || {
        let mut hashed = Hashed { stream: blob, hash: ring::digest::Context::new(&ring::digest::SHA256) };
        let new = unpack(&mut hashed, &folder)?;
        // The digest is that of all bytes, also of those behind the archive.
        io::copy(&mut hashed, &mut io::sink())
            .map_err(|source| UpdateError::File { path: folder.to_path_buf(), source })?;
        let got = format!("sha256:{}", hex(hashed.hash.finish().as_ref()));
        match digest {
            Some(digest) if digest.as_str() != got => Err(UpdateError::Digest { expected: digest.to_string(), got }),
            _ => {
                new.write(kind.origin(), &got)?;
                new.put_in_force(kind, &folder)
            }
        }
    });
    let metadata = installed.await.map_err(|error| UpdateError::Ended { what: error.to_string() })??;
    Ok(Updated { metadata, is_new: true })
}

/// Takes databases from a file: `trivy.db`, `trivy-java.db`, a folder that has them (such as Trivy's own cache), or the archive of an
/// artifact. Says of each that was found how it was made.
///
/// # Errors
/// When there is no database that can be used; what is in `folder` stays as it is.
pub fn import_database(from: &Path, folder: &Path) -> Result<Vec<(DatabaseKind, Metadata)>, UpdateError> {
    let kinds = [DatabaseKind::Vulnerabilities, DatabaseKind::Java];
    let mut imported = Vec::new();
    if from.is_dir() {
        for kind in kinds {
            let places =
                [from.join(kind.file()), from.join("db").join(kind.file()), from.join("java-db").join(kind.file())];
            if let Some(file) = places.iter().find(|path| path.is_file()) {
                imported.push((kind, import_file(kind, file, folder)?));
            }
        }
    } else if from.is_file() {
        let unreadable = |source| UpdateError::File { path: from.to_owned(), source };
        let mut magic = [0_u8; 2];
        let mut stream = File::open(from).map_err(unreadable)?;
        if stream.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b] {
            let new = unpack(File::open(from).map_err(unreadable)?, folder)?;
            let kind = kinds.into_iter().find(|kind| new.folder.path().join(kind.file()).is_file());
            let kind = kind.ok_or_else(|| UpdateError::Nothing { path: from.to_owned() })?;
            imported.push((kind, new.put_in_force(kind, folder)?));
        } else {
            let is_java = from.file_name().is_some_and(|name| name == java::DATABASE);
            let kind = if is_java { DatabaseKind::Java } else { DatabaseKind::Vulnerabilities };
            imported.push((kind, import_file(kind, from, folder)?));
        }
    }
    if imported.is_empty() { Err(UpdateError::Nothing { path: from.to_owned() }) } else { Ok(imported) }
}

fn import_file(kind: DatabaseKind, file: &Path, folder: &Path) -> Result<Metadata, UpdateError> {
    let new = New::make(folder)?;
    new.copy(file, kind.file())?;
    let metadata = file.with_file_name("metadata.json");
    if metadata.is_file() {
        new.copy(&metadata, "metadata.json")?;
    }
    new.put_in_force(kind, folder)
}

/// A file that is being written beside its place, as readable as others are.
pub(crate) fn beside(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    tempfile::Builder::new().prefix(".new-").permissions(readable).tempfile_in(folder)
}

/// A database that is not in force yet, in a folder beside the one that is.
struct New {
    folder: tempfile::TempDir,
}

impl New {
    fn make(beside: &Path) -> Result<Self, UpdateError> {
        let made =
            fs::create_dir_all(beside).and_then(|()| tempfile::Builder::new().prefix(".new-").tempdir_in(beside));
        let folder = made.map_err(|source| UpdateError::File { path: beside.to_owned(), source })?;
        Ok(Self { folder })
    }

    fn copy(&self, from: &Path, name: &str) -> Result<(), UpdateError> {
        // Whoever made it may have kept it to himself; the service runs as another user.
        let to = self.folder.path().join(name);
        let readable: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        let copied = fs::copy(from, &to).and_then(|_| fs::set_permissions(&to, readable));
        copied.map_err(|source| UpdateError::File { path: from.to_owned(), source })
    }

    fn write(&self, name: &str, text: &str) -> Result<(), UpdateError> {
        let path = self.folder.path().join(name);
        fs::write(&path, text).map_err(|source| UpdateError::File { path, source })
    }

    /// Opens it, which makes its packed form, and only then takes the place of the old one.
    fn put_in_force(&self, kind: DatabaseKind, folder: &Path) -> Result<Metadata, UpdateError> {
        let (new, place) = (self.folder.path(), kind.place(folder));
        let metadata = match kind {
            DatabaseKind::Vulnerabilities => TrivyDatabase::open(&new.join(kind.file()))?.metadata().clone(),
            DatabaseKind::Java => {
                java::pack(&new.join(kind.file()), new)?;
                java::open_index(new)?;
                trivy::read_metadata(&new.join("metadata.json"))?
            }
        };
        fs::create_dir_all(&place).map_err(|source| UpdateError::File { path: place.clone(), source })?;
        // The database behind what belongs to it: whoever watches the folder reads it when it changes. What it was made of comes last:
        // it is true of a database that is there. The Java database itself is not kept: its index holds everything that is asked of it.
        let names = match kind {
            DatabaseKind::Vulnerabilities => ["metadata.json", trivy::PACKED, kind.file(), kind.origin()],
            DatabaseKind::Java => ["metadata.json", java::DATABASE, java::INDEX, kind.origin()],
        };
        for name in names {
            let (from, to) = (new.join(name), place.join(name));
            let moved = if name == java::DATABASE { fs::remove_file(&from) } else { fs::rename(&from, &to) };
            match moved {
                Err(error) if error.kind() == io::ErrorKind::NotFound && name != kind.file() => {
                    // An old one would tell of a database that is gone.
                    drop(fs::remove_file(&to));
                }
                Err(source) => return Err(UpdateError::File { path: to, source }),
                Ok(()) if name == java::DATABASE => drop(fs::remove_file(&to)),
                Ok(()) => {}
            }
        }
        Ok(metadata)
    }
}

fn unpack(stream: impl Read, folder: &Path) -> Result<New, UpdateError> {
    let new = New::make(folder)?;
    let broken = |source| UpdateError::Archive { source };
    let mut walk = Walk::new(GzDecoder::new(stream));
    while let Some(header) = walk.next().map_err(broken)? {
        let name = String::from_utf8_lossy(&header.path).rsplit('/').next().unwrap_or_default().to_owned();
        if !matches!(name.as_str(), "trivy.db" | java::DATABASE | "metadata.json") {
            continue;
        }
        if header.size > MOST_BYTES {
            return Err(UpdateError::TooLarge { name, bytes: header.size });
        }
        let path = new.folder.path().join(&name);
        let written = File::create(&path).and_then(|mut file| {
            io::copy(&mut walk.content(), &mut file)?;
            file.flush()
        });
        written.map_err(broken)?;
    }
    Ok(new)
}

struct Hashed<R> {
    stream: R,
    hash: ring::digest::Context,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The database was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// None of the sources has one.
    #[error("no source has a database that can be used: {failures}")]
    NoSource {
        /// What was wrong with each.
        failures: String,
    },
    /// There is nothing at the path.
    #[error("{} is neither a trivy.db, a folder with one, nor its archive", path.display())]
    Nothing {
        /// The path.
        path: PathBuf,
    },
    /// The registry does not give it.
    #[error(transparent)]
    Registry(#[from] ScanError),
    /// A file cannot be read or written.
    #[error("cannot read or write {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why; part of the line.
        source: io::Error,
    },
    /// The archive is broken.
    #[error("the archive of the database cannot be read: {source}")]
    Archive {
        /// Why; part of the line.
        source: io::Error,
    },
    /// A file of the archive is too large.
    #[error("`{name}` in the archive has {bytes} bytes, over the limit of {MOST_BYTES}")]
    TooLarge {
        /// The file.
        name: String,
        /// Its size.
        bytes: u64,
    },
    /// The bytes are not those that the manifest names.
    #[error("the archive has the digest {got} instead of {expected}")]
    Digest {
        /// What the manifest says.
        expected: String,
        /// What came.
        got: String,
    },
    /// What came is no database.
    #[error(transparent)]
    Database(#[from] DatabaseFileError),
    /// The work was cut short.
    #[error("the update was cut short: {what}")]
    Ended {
        /// Why.
        what: String,
    },
}
