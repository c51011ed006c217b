//! Trivy's Java database, in the form that is made of it once: which archive has which SHA-1.

use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use image_inventory::jars::{self, JarIndex};

use crate::mapped::Mapped;
use crate::trivy::DatabaseFileError;

/// Name of the database as it comes.
pub(crate) const DATABASE: &str = "trivy-java.db";

/// Name of the index that is made of it.
pub(crate) const INDEX: &str = "trivy-java.index";

/// Opens the index in `folder`. Where there is a database that is newer, the index is made of it first, which takes minutes.
///
/// # Errors
/// When neither can be used.
pub(crate) fn open(folder: &Path) -> Result<JarIndex<Mapped>, DatabaseFileError> {
    let (database, index) = (folder.join(DATABASE), folder.join(INDEX));
    let changed = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    if database.is_file() && changed(&index) < changed(&database) {
        // Somebody else's file may change while it is mapped: a copy does not.
        let copy = tempfile::Builder::new().prefix(".java-").tempfile_in(folder);
        let copy = copy.map_err(|source| DatabaseFileError::Pack { path: index.clone(), source })?;
        fs::copy(&database, copy.path())
            .map_err(|source| DatabaseFileError::Read { path: database.clone(), source })?;
        pack(copy.path(), folder)?;
    }
    open_index(folder)
}

/// Opens the index in `folder` as it is.
///
/// # Errors
/// When it cannot be used.
pub(crate) fn open_index(folder: &Path) -> Result<JarIndex<Mapped>, DatabaseFileError> {
    let index = folder.join(INDEX);
    let mapped = Mapped::open(&index).map_err(|source| DatabaseFileError::Read { path: index.clone(), source })?;
    JarIndex::open(mapped).map_err(|source| DatabaseFileError::Java { path: index, source })
}

/// Makes the index of `database`, a file of this program's own, and puts it into `folder` when it is whole.
///
/// # Errors
/// When `database` is none, or the index cannot be written.
pub(crate) fn pack(database: &Path, folder: &Path) -> Result<(), DatabaseFileError> {
    let index = folder.join(INDEX);
    let unwritable = |source| DatabaseFileError::Pack { path: index.clone(), source };
    let mapped =
        Mapped::open(database).map_err(|source| DatabaseFileError::Read { path: database.to_owned(), source })?;
    let made = crate::database::beside(folder).map_err(unwritable)?;
    let write = || -> io::Result<()> {
        let mut out = BufWriter::new(made.as_file());
        jars::write(mapped.as_ref(), &mut out)?;
        out.flush()?;
        made.as_file().sync_all()
    };
    write().map_err(unwritable)?;
    made.persist(&index).map_err(|error| unwritable(error.error))?;
    Ok(())
}

/// Whether a file is the database or its index.
pub(crate) fn is_java(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == DATABASE || name == INDEX)
}
