//! Fetching Trivy's database: from a registry, or from a file. What is in force stays until the new one has been opened.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::config::Pull;
use crate::error::ScanError;
use crate::limits::Limits;
use crate::source::registry::Registry;
use crate::tar::Walk;
use crate::trivy::{DatabaseFileError, Metadata, TrivyDatabase};

/// Media type of the one layer of a database artifact.
const LAYER: &str = "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip";

/// Most bytes of the unpacked database; those of today have below one gibibyte.
const MOST_BYTES: u64 = 8 << 30;

/// Pulls the database from the first of `sources` that has it and puts it in `folder`.
///
/// # Errors
/// When none of the sources has a database that can be used; what is in `folder` stays as it is.
pub async fn update_database(sources: &[String], folder: &Path, pull: &Pull) -> Result<Metadata, UpdateError> {
    let mut failures = Vec::new();
    for source in sources {
        match pull_database(source, folder, pull).await {
            Ok(metadata) => return Ok(metadata),
            Err(error) => failures.push(format!("{source}: {error}")),
        }
    }
    Err(UpdateError::NoSource { failures: failures.join("; ") })
}

async fn pull_database(source: &str, folder: &Path, pull: &Pull) -> Result<Metadata, UpdateError> {
    let image =
        source.parse().map_err(|error| ScanError::Target { target: source.to_owned(), what: format!("{error}") })?;
    let registry = Registry::new(image, pull, &Limits::default());
    let layer = registry.artifact(LAYER).await?;
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
            _ => new.put_in_force(&folder),
        }
    });
    installed.await.map_err(|error| UpdateError::Ended { what: error.to_string() })?
}

/// Takes the database from a file: `trivy.db`, a folder that has one (such as Trivy's own cache), or the archive of the artifact.
///
/// # Errors
/// When there is no database that can be used; what is in `folder` stays as it is.
pub fn import_database(from: &Path, folder: &Path) -> Result<Metadata, UpdateError> {
    let unreadable = |source| UpdateError::File { path: from.to_owned(), source };
    let found = [from.join("trivy.db"), from.join("db/trivy.db"), from.to_owned()];
    let file =
        found.iter().find(|path| path.is_file()).ok_or_else(|| UpdateError::Nothing { path: from.to_owned() })?;
    let mut stream = File::open(file).map_err(unreadable)?;
    let mut magic = [0_u8; 2];
    let is_gzip = stream.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    if is_gzip {
        let whole = File::open(file).map_err(unreadable)?;
        return unpack(whole, folder)?.put_in_force(folder);
    }
    let new = New::make(folder)?;
    new.copy(file, "trivy.db")?;
    let metadata = file.with_file_name("metadata.json");
    if metadata.is_file() {
        new.copy(&metadata, "metadata.json")?;
    }
    new.put_in_force(folder)
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
        let copied = fs::copy(from, self.folder.path().join(name));
        copied.map(drop).map_err(|source| UpdateError::File { path: from.to_owned(), source })
    }

    /// Opens it, and only then takes the place of the old one.
    fn put_in_force(&self, folder: &Path) -> Result<Metadata, UpdateError> {
        let metadata = TrivyDatabase::open(&self.folder.path().join("trivy.db"))?.metadata().clone();
        // The database last: whoever watches the folder reads it when it changes.
        for name in ["metadata.json", "trivy.db"] {
            let (from, to) = (self.folder.path().join(name), folder.join(name));
            match fs::rename(&from, &to) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && name == "metadata.json" => {
                    // An old one would tell of a database that is gone.
                    drop(fs::remove_file(&to));
                }
                Err(source) => return Err(UpdateError::File { path: to, source }),
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
        if !matches!(name.as_str(), "trivy.db" | "metadata.json") {
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
