//! A file in mapped memory, read only: what is asked for is loaded by the kernel, and shared by all processes.

#![allow(unsafe_code, reason = "mapping a file is unsafe by its nature; the one place of the project where it is done")]

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::{Advice, Mmap};

/// A mapped file.
#[derive(Debug)]
pub(crate) struct Mapped(Mmap);

impl Mapped {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// When it cannot be opened or mapped.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: mapped bytes must not change. Only files of this program's own making are mapped: each is written beside its place,
        // renamed into it when it is whole, and never written to again; another one that takes its place is another file, and this
        // mapping keeps the old one. Readers check every bound and hold no reference across calls.
        let mapped = unsafe { Mmap::map(&file)? };
        // Look-ups jump about: reading ahead would load what nobody asked for. A kernel that does not take the advice is as good.
        drop(mapped.advise(Advice::Random));
        Ok(Self(mapped))
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
