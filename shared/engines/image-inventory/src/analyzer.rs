//! The table of analyzers: which files each wants, and what it makes of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha1::{Digest as _, Sha1};

use crate::found::Found;
use crate::outside::{Nothing, Outside};
use crate::text::{ParseError, hex};
use crate::{language, os, system};

/// One wanted file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File<'a> {
    pub(crate) path: &'a str,
    pub(crate) bytes: &'a [u8],
    /// Whether packages that are one file get its digest.
    pub(crate) checksums: bool,
}

impl File<'_> {
    /// The digest of a package that is this file; empty unless that is wanted.
    pub(crate) fn digest(&self) -> String {
        if self.checksums { sha1_of(self.bytes) } else { String::new() }
    }
}

/// `sha1:` and the hash in hex.
pub(crate) fn sha1_of(bytes: &[u8]) -> String {
    format!("sha1:{}", hex(&Sha1::digest(bytes)))
}

/// Files that one analyzer sees together, by path, and what lies outside of them.
pub(crate) struct Files<'a> {
    pub(crate) own: &'a Kept,
    pub(crate) outside: &'a dyn Outside,
    pub(crate) checksums: bool,
}

/// Bytes that several analyzers may hold.
pub(crate) type Kept = BTreeMap<String, Arc<[u8]>>;

impl std::ops::Deref for Files<'_> {
    type Target = Kept;

    fn deref(&self) -> &Self::Target {
        self.own
    }
}

/// One analyzer.
pub(crate) struct Analyzer {
    pub(crate) name: &'static str,
    /// Whether it wants a file of this path and these permission bits.
    pub(crate) wants: fn(&str, u32) -> bool,
    pub(crate) run: Run,
}

/// What is hashed besides what package managers say themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hashes {
    /// Nothing.
    #[default]
    None,
    /// Packages that are one file: archives of Java, metadata of Python, manifests of Node and Ruby.
    Packages,
    /// Those, and programs.
    Programs,
}

/// How an analyzer is run.
pub(crate) enum Run {
    /// Each file by itself, as it comes by.
    Each(fn(File<'_>, &mut Found) -> Result<(), ParseError>),
    /// Each file by itself, if it is an executable program by its first bytes.
    Program(fn(File<'_>, &mut Found) -> Result<(), ParseError>),
    /// Each file by itself, if its first bytes are no text.
    Binary(fn(File<'_>, &mut Found) -> Result<(), ParseError>),
    /// All its files at the end of the layer.
    Together(fn(&Files<'_>, &mut Found)),
}

impl Run {
    /// How many of the first bytes of a file decide whether the rest is wanted; `None` where all of it is in any case.
    pub(crate) fn head(&self) -> Option<u64> {
        match self {
            Self::Program(_) => Some(4),
            Self::Binary(_) => Some(BINARY_HEAD as u64),
            Self::Each(_) | Self::Together(_) => None,
        }
    }

    /// Whether a file that begins so is wanted.
    pub(crate) fn takes(&self, head: &[u8]) -> bool {
        match self {
            Self::Program(_) => is_program(head),
            Self::Binary(_) => is_binary(head),
            Self::Each(_) | Self::Together(_) => true,
        }
    }
}

/// What is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// What an image runs with: package databases, installed packages, programs. Most lock files are passed over, for what they list
    /// need not be there.
    #[default]
    Image,
    /// What a folder of sources asks for: lock files and manifests. Installed packages are passed over, for the lock files list them.
    Sources,
    /// Both.
    Everything,
}

/// The analyzers of a scope.
pub(crate) fn table_of(scope: Scope) -> impl Iterator<Item = &'static Analyzer> {
    let declared: &[Analyzer] = if scope == Scope::Image { &[] } else { language::DECLARED };
    let installed: &[Analyzer] = if scope == Scope::Sources { &[] } else { language::INSTALLED };
    os::ANALYZERS.iter().chain(system::ANALYZERS).chain(language::EITHER).chain(installed).chain(declared)
}

/// The analyzers of packages that lie there without being installed.
pub(crate) fn uninstalled() -> impl Iterator<Item = &'static Analyzer> {
    system::UNINSTALLED.iter()
}

/// The analyzers of programs that are hashed.
pub(crate) fn hashing() -> impl Iterator<Item = &'static Analyzer> {
    language::HASHED.iter()
}

fn table() -> impl Iterator<Item = &'static Analyzer> {
    table_of(Scope::Everything).chain(uninstalled()).chain(hashing())
}

/// Names of all analyzers.
pub fn analyzers() -> impl Iterator<Item = &'static str> {
    table().map(|analyzer| analyzer.name)
}

/// Whether the analyzer `name` wants a file of this path and these permission bits. An unknown name wants nothing.
#[must_use]
pub fn wants(name: &str, path: &str, mode: u32) -> bool {
    table().any(|analyzer| analyzer.name == name && (analyzer.wants)(path, mode))
}

/// Runs the one analyzer `name` over `files`, wanted or not. Files that break their format are in the faults.
#[must_use]
pub fn analyze<'a>(name: &str, files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Found {
    analyze_with(name, files, &Nothing, false)
}

/// The same with what lies outside, and with digests of packages that are one file if `checksums` is set.
#[must_use]
pub fn analyze_with<'a>(
    name: &str,
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    outside: &dyn Outside,
    checksums: bool,
) -> Found {
    let mut found = Found::default();
    let files: Vec<(&str, &[u8])> = files.into_iter().collect();
    for analyzer in table().filter(|analyzer| analyzer.name == name) {
        match analyzer.run {
            Run::Each(run) | Run::Program(run) | Run::Binary(run) => {
                for (path, bytes) in &files {
                    if let Err(error) = run(File { path, bytes, checksums }, &mut found) {
                        found.set_aside(path, analyzer.name, &error);
                    }
                }
            }
            Run::Together(run) => {
                let own = files.iter().map(|(path, bytes)| ((*path).to_owned(), Arc::from(*bytes))).collect();
                run(&Files { own: &own, outside, checksums }, &mut found);
            }
        }
    }
    found.sort();
    found
}

/// Whether bytes begin as an executable program: ELF, PE or Mach-O.
pub(crate) fn is_program(head: &[u8]) -> bool {
    let magics: [&[u8]; 7] = [
        b"\x7fELF",
        b"MZ",
        b"\xfe\xed\xfa\xce",
        b"\xfe\xed\xfa\xcf",
        b"\xce\xfa\xed\xfe",
        b"\xcf\xfa\xed\xfe",
        b"\xca\xfe\xba\xbe",
    ];
    magics.iter().any(|magic| head.starts_with(magic))
}

/// Whether bytes begin as no text does: with a control character other than those of texts (as `file` tells it).
pub(crate) fn is_binary(head: &[u8]) -> bool {
    let of_texts = |byte: u8| matches!(byte, 7..=10 | 12 | 13 | 27 | 0x20..=0x7e | 0x80..);
    head.iter().take(BINARY_HEAD).any(|byte| !of_texts(*byte))
}

/// Bytes that tell a text from other files.
const BINARY_HEAD: usize = 300;

impl std::fmt::Debug for Analyzer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Analyzer").field("name", &self.name).finish_non_exhaustive()
    }
}
