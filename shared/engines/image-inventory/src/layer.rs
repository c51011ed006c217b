//! The reading of one layer.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;

use model::{Fault, FaultKind};
use serde::{Deserialize, Serialize};

use crate::analyzer::{Analyzer, File, Files, Hashes, Kept, Run, Scope, hashing, table_of, uninstalled};
use crate::entry::{Entry, EntryKind, normal_path};
use crate::found::Found;
use crate::limits::Limits;
use crate::outside::{Nothing, Outside};
use crate::text::{file_name, folder, join};

/// What one layer holds: its packages, and what it does to the layers below. Serialisable, so that it can be kept by diff id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LayerInventory {
    /// Version of this form; an inventory of another version must be taken again.
    pub version: u32,
    /// What analyzers found.
    pub found: Found,
    /// Paths that this layer removes from those below.
    pub whiteouts: BTreeSet<String>,
    /// Folders whose content below is hidden.
    pub opaque_folders: BTreeSet<String>,
    /// Paths that hide what the layers below have there: files that analyzers looked at, and links in the place of folders.
    pub replaced: BTreeSet<String>,
    /// Entries seen.
    pub entries: u64,
    /// Whether something could not be read.
    pub partial: bool,
}

impl LayerInventory {
    /// Version of the form of this build. It changes with the form, or when analyzers find more.
    pub const VERSION: u32 = 4;
}

/// Reads the entries of one layer, in any order.
#[derive(Debug)]
pub struct LayerReader {
    limits: Limits,
    scope: Scope,
    name: String,
    inventory: LayerInventory,
    kept: BTreeMap<&'static str, Kept>,
    hashes: Hashes,
    uninstalled: bool,
    kept_bytes: u64,
    faults_omitted: u64,
}

impl LayerReader {
    /// A reader for the layer called `name` in faults.
    #[must_use]
    pub fn new(name: &str, limits: Limits) -> Self {
        let inventory = LayerInventory { version: LayerInventory::VERSION, ..LayerInventory::default() };
        Self {
            limits,
            scope: Scope::Image,
            name: name.to_owned(),
            inventory,
            kept: BTreeMap::new(),
            hashes: Hashes::None,
            uninstalled: false,
            kept_bytes: 0,
            faults_omitted: 0,
        }
    }

    /// The same reader for another scope.
    #[must_use]
    pub fn with_scope(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// The same reader, which also hashes.
    #[must_use]
    pub fn with_hashes(self, hashes: Hashes) -> Self {
        Self { hashes, ..self }
    }

    /// The same reader, which also takes packages that lie there without being installed: files of rpm.
    #[must_use]
    pub fn with_uninstalled(self) -> Self {
        Self { uninstalled: true, ..self }
    }

    fn analyzers(&self) -> impl Iterator<Item = &'static Analyzer> + use<> {
        let (are_uninstalled, are_hashed) = (self.uninstalled, self.hashes == Hashes::Programs);
        let more = uninstalled().filter(move |_| are_uninstalled).chain(hashing().filter(move |_| are_hashed));
        table_of(self.scope).chain(more)
    }

    /// Takes one entry; reads from `content` only if an analyzer wants the bytes.
    ///
    /// # Errors
    /// When `content` cannot be read, or the layer has too many entries: then nothing more of it can be taken, but
    /// [`LayerReader::finish`] still gives what was found so far.
    pub fn offer(&mut self, entry: &Entry<'_>, content: &mut dyn Read) -> Result<(), ReadError> {
        self.inventory.entries = self.inventory.entries.saturating_add(1);
        if self.inventory.entries > self.limits.max_entries {
            return Err(ReadError::TooManyEntries { layer: self.name.clone(), limit: self.limits.max_entries });
        }
        let path = match normal_path(entry.path, &self.limits) {
            Ok(path) => path,
            Err(refused) => {
                let shown: String = String::from_utf8_lossy(entry.path).chars().take(200).collect();
                self.refuse(&shown, &refused.to_string(), "no program should trust this image; rebuild it");
                return Ok(());
            }
        };
        if self.is_whiteout(&path) {
            return Ok(());
        }
        match entry.kind {
            EntryKind::File => self.file(&path, entry, content),
            EntryKind::Symlink | EntryKind::HardLink => {
                self.inventory.replaced.insert(path);
                Ok(())
            }
            EntryKind::Folder | EntryKind::Other => Ok(()),
        }
    }

    /// Notes that the layer could not be read to its end.
    pub fn broken(&mut self, what: &str, remedy: &str) {
        let name = self.name.clone();
        self.refuse(&name, what, remedy);
    }

    /// Notes a file that could not be read.
    pub fn set_aside(&mut self, path: &str, what: &str, remedy: &str) {
        self.refuse(path, what, remedy);
    }

    /// Runs the analyzers that wait for the whole layer, and gives the inventory.
    #[must_use]
    pub fn finish(self) -> LayerInventory {
        self.finish_with(&Nothing)
    }

    /// The same, with files outside of the layer that tell more about what is in it.
    #[must_use]
    pub fn finish_with(mut self, outside: &dyn Outside) -> LayerInventory {
        for analyzer in table_of(self.scope) {
            if let (Run::Together(run), Some(files)) = (&analyzer.run, self.kept.get(analyzer.name)) {
                let checksums = self.hashes != Hashes::None;
                run(&Files { own: files, outside, checksums }, &mut self.inventory.found);
            }
        }
        let found = &mut self.inventory.found;
        let lists = found.package_lists.iter_mut().flat_map(|list| &mut list.packages);
        for package in lists.chain(found.applications.iter_mut().flat_map(|one| &mut one.packages)) {
            package.licenses = crate::license::normal_all(&package.licenses);
        }
        let surplus = found.count() > self.limits.max_packages;
        if surplus {
            found.applications.clear();
            let what = format!("more than {} packages are listed", self.limits.max_packages);
            found.faults.push(Fault::new(FaultKind::Invalid, &self.name, what).cure("raise the limit of packages"));
        }
        found.sort();
        self.inventory.partial |= found.faults.iter().any(|fault| fault.kind != FaultKind::Warning);
        let kept = self.limits.max_faults;
        self.faults_omitted = self.faults_omitted.saturating_add(found.faults.len().saturating_sub(kept) as u64);
        found.faults.truncate(kept);
        if self.faults_omitted > 0 {
            let what = format!("{} more entries were set aside", self.faults_omitted);
            found.faults.push(Fault::new(FaultKind::Warning, &self.name, what));
        }
        self.inventory
    }

    /// Whiteouts of the OCI image specification: `.wh.name` removes, `.wh..wh..opq` hides the content of its folder.
    fn is_whiteout(&mut self, path: &str) -> bool {
        let Some(removed) = file_name(path).strip_prefix(".wh.") else { return false };
        if removed == ".wh..opq" {
            self.inventory.opaque_folders.insert(folder(path).to_owned());
        } else if !removed.starts_with(".wh.") && !removed.is_empty() {
            self.inventory.whiteouts.insert(join(folder(path), removed));
        }
        true
    }

    fn file(&mut self, path: &str, entry: &Entry<'_>, content: &mut dyn Read) -> Result<(), ReadError> {
        let wanting: Vec<&'static Analyzer> = self.analyzers().filter(|one| (one.wants)(path, entry.mode)).collect();
        if wanting.is_empty() {
            return Ok(());
        }
        // Where all of them decide by the first bytes, nothing else is read of most files.
        let head: Option<Vec<u64>> = wanting.iter().map(|analyzer| analyzer.run.head()).collect();
        let head = head.and_then(|heads| heads.into_iter().max());
        let mut bytes = Vec::new();
        if let Some(head) = head {
            read_up_to(content, head, &mut bytes).map_err(|source| self.unreadable(path, source))?;
            if !wanting.iter().any(|analyzer| analyzer.run.takes(&bytes)) {
                return Ok(());
            }
        }
        let limit = if head.is_some() { self.limits.max_executable_bytes } else { self.limits.max_file_bytes };
        self.inventory.replaced.insert(path.to_owned());
        if entry.size > limit {
            let what = format!("it has {} bytes, more than the limit of {limit}", entry.size);
            self.refuse(path, &what, "raise the limit if the file is genuine");
            return Ok(());
        }
        let rest = limit.saturating_sub(bytes.len() as u64).saturating_add(1);
        read_up_to(content, rest, &mut bytes).map_err(|source| self.unreadable(path, source))?;
        if bytes.len() as u64 > limit {
            let what = format!("it has more than the limit of {limit} bytes, though it is said to have {}", entry.size);
            self.refuse(path, &what, "raise the limit if the file is genuine");
            return Ok(());
        }
        self.hand_out(path, bytes, &wanting);
        Ok(())
    }

    fn hand_out(&mut self, path: &str, bytes: Vec<u8>, wanting: &[&'static Analyzer]) {
        let bytes: Arc<[u8]> = Arc::from(bytes);
        if wanting.iter().any(|one| matches!(one.run, Run::Together(_))) && !self.has_room(path, bytes.len()) {
            return;
        }
        for analyzer in wanting {
            let file = File { path, bytes: &bytes, checksums: self.hashes != Hashes::None };
            let result = match analyzer.run {
                _ if !analyzer.run.takes(&bytes) => Ok(()),
                Run::Each(run) | Run::Program(run) | Run::Binary(run) => run(file, &mut self.inventory.found),
                Run::Together(_) => {
                    self.kept.entry(analyzer.name).or_default().insert(path.to_owned(), Arc::clone(&bytes));
                    Ok(())
                }
            };
            if let Err(error) = result {
                self.inventory.found.set_aside(path, analyzer.name, &error);
            }
        }
        // A hostile layer must not collect faults without end.
        let surplus = self.inventory.found.faults.len().saturating_sub(self.limits.max_faults);
        if surplus > 0 {
            self.inventory.found.faults.truncate(self.limits.max_faults);
            self.faults_omitted = self.faults_omitted.saturating_add(surplus as u64);
        }
    }

    /// Whether one more file may be kept; several analyzers share it.
    fn has_room(&mut self, path: &str, bytes: usize) -> bool {
        let sum = self.kept_bytes.saturating_add(bytes as u64);
        if sum > self.limits.max_kept_bytes {
            let what = format!("the files that must be seen together exceed {} bytes", self.limits.max_kept_bytes);
            self.refuse(path, &what, "raise the limit of kept bytes");
            return false;
        }
        self.kept_bytes = sum;
        true
    }

    fn unreadable(&self, path: &str, source: std::io::Error) -> ReadError {
        ReadError::Content { layer: self.name.clone(), path: path.to_owned(), source }
    }

    fn refuse(&mut self, path: &str, what: &str, remedy: &str) {
        self.inventory.partial = true;
        if self.inventory.found.faults.len() < self.limits.max_faults {
            let fault = Fault::new(FaultKind::Invalid, path, what).cure(remedy);
            // A fault of the whole layer is named once.
            let of_file = path != self.name;
            let fault = if of_file { fault.about(format!("layer {}", self.name)) } else { fault };
            self.inventory.found.faults.push(fault);
        } else {
            self.faults_omitted = self.faults_omitted.saturating_add(1);
        }
    }
}

fn read_up_to(content: &mut dyn Read, limit: u64, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    content.take(limit).read_to_end(bytes).map(|_| ())
}

/// A layer cannot be read any further.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes of a file stop or fail.
    #[error("cannot read `{path}` of layer {layer}: {source}")]
    Content {
        /// The layer.
        layer: String,
        /// The file.
        path: String,
        /// Why; part of the line, for it becomes a fault.
        source: std::io::Error,
    },
    /// There are more entries than allowed.
    #[error("layer {layer} has more than {limit} entries")]
    TooManyEntries {
        /// The layer.
        layer: String,
        /// The limit.
        limit: u64,
    },
}
