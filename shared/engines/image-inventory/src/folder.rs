//! A folder of sources, or a root filesystem that is not packed: the same reading as of a layer, without layers.

use std::io::Read;

use model::Digest;

use crate::analyzer::{Hashes, Scope};
use crate::entry::{Entry, EntryKind};
use crate::image::{ImageInventory, merge};
use crate::layer::{LayerReader, ReadError};
use crate::limits::Limits;
use crate::outside::Outside;

/// How a folder is read.
#[derive(Debug)]
pub struct FolderReader {
    reader: LayerReader,
}

impl FolderReader {
    /// A reader for the folder called `name` in faults. `scope` is [`Scope::Sources`] for a project, [`Scope::Image`] for the root of a
    /// system.
    #[must_use]
    pub fn new(name: &str, scope: Scope, limits: Limits) -> Self {
        Self { reader: LayerReader::new(name, limits).with_scope(scope) }
    }

    /// The same reader, which also takes packages that lie there without being installed: files of rpm.
    #[must_use]
    pub fn with_uninstalled(self) -> Self {
        Self { reader: self.reader.with_uninstalled() }
    }

    /// The same reader, which also hashes.
    #[must_use]
    pub fn with_hashes(self, hashes: Hashes) -> Self {
        Self { reader: self.reader.with_hashes(hashes) }
    }

    /// Takes one file by its path in the folder; `content` is read only if an analyzer wants the bytes, so it may open the file at
    /// the first read. Links and anything else that is no regular file need not be offered.
    ///
    /// # Errors
    /// When there are too many files: nothing more can be taken. A file that cannot be read is set aside, and the rest goes on.
    pub fn offer(&mut self, path: &[u8], size: u64, mode: u32, content: &mut dyn Read) -> Result<(), ReadError> {
        let entry = Entry { path, kind: EntryKind::File, size, mode };
        match self.reader.offer(&entry, content) {
            Err(ReadError::Content { path, source, .. }) => {
                self.reader.set_aside(&path, &source.to_string(), "let this user read the file");
                Ok(())
            }
            other => other,
        }
    }

    /// Notes a folder or file that could not even be offered.
    pub fn set_aside(&mut self, path: &str, what: &str, remedy: &str) {
        self.reader.set_aside(path, what, remedy);
    }

    /// Everything that is in the folder; `outside` has the caches of package managers.
    #[must_use]
    pub fn finish(self, outside: &dyn Outside) -> ImageInventory {
        let inventory = self.reader.finish_with(outside);
        let mut whole = merge([(&Digest::from_sha256(&[0; 32]), &inventory)]);
        // A folder has no layers to come from.
        let packages = whole.packages.iter_mut();
        for package in packages.chain(whole.applications.iter_mut().flat_map(|one| &mut one.packages)) {
            package.layer = None;
        }
        whole
    }
}

/// Reads a whole folder from a stream of files: path, size in bytes, permission bits and content. See [`FolderReader`].
///
/// # Errors
/// When there are too many files.
pub fn read_folder<R: Read>(
    mut reader: FolderReader,
    files: impl IntoIterator<Item = (Vec<u8>, u64, u32, R)>,
    outside: &dyn Outside,
) -> Result<ImageInventory, ReadError> {
    for (path, size, mode, mut content) in files {
        reader.offer(&path, size, mode, &mut content)?;
    }
    Ok(reader.finish(outside))
}
