//! A folder that is no image: a project with its lock files, or the root of a system. Links are not followed, and other file systems
//! that a running system mounts are left out.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use image_inventory::{FolderReader, ImageInventory, Scope};

use crate::error::ScanError;
use crate::scan::Options;
use crate::source::home::Home;

/// Whether a path is a folder with something in it, and no OCI layout.
pub(crate) fn is_plain(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
        && !path.join("index.json").is_file()
        && !path.join("oci-layout").is_file()
}

/// Takes the inventory of a folder.
///
/// # Errors
/// When the folder itself cannot be read, or holds more files than allowed.
pub(crate) fn read(root: &Path, options: &Options) -> Result<ImageInventory, ScanError> {
    let (limits, skip) = (&options.limits, &options.skip);
    let unreadable = |source: io::Error| ScanError::File { path: root.to_owned(), source };
    fs::read_dir(root).map_err(unreadable)?;
    let is_system = root.join("etc/os-release").exists() || root.join("var/lib/dpkg").exists();
    let bounds = image_inventory::Limits {
        max_entries: limits.max_entries,
        max_file_bytes: limits.max_file_bytes,
        ..image_inventory::Limits::default()
    };
    let scope = if is_system { Scope::Image } else { Scope::Sources };
    let mut reader = FolderReader::new(&root.display().to_string(), scope, bounds).with_hashes(options.hashes);
    if options.uninstalled {
        reader = reader.with_uninstalled();
    }
    let mut pending = vec![(root.to_owned(), 0_usize)];
    while let Some((folder, depth)) = pending.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                reader.set_aside(&shown(root, &folder), &error.to_string(), "let this user read the folder");
                continue;
            }
        };
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            // `DirEntry::metadata` does not follow links.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                if depth >= MAX_DEPTH {
                    reader.set_aside(&shown(root, &path), "it lies too deep", "scan the folder by itself");
                } else if !is_left_out(root, &path) && !skip.is_left_out(below(root, &path)) {
                    pending.push((path, depth.saturating_add(1)));
                }
            } else if metadata.is_file() {
                if skip.is_left_out(below(root, &path)) {
                    continue;
                }
                let mut content = Lazy { path: &path, file: None };
                let mode = metadata.permissions().mode() & 0o7777;
                let offered = reader.offer(below(root, &path), metadata.len(), mode, &mut content);
                offered.map_err(|error| unreadable(io::Error::new(io::ErrorKind::FileTooLarge, error.to_string())))?;
            }
        }
    }
    let mut maven = options.pull.maven.clone();
    maven.fetch &= !options.is_offline;
    let home = Home::of_this_user(root, &maven);
    let mut inventory = reader.finish(&home);
    let faults = home.faults();
    inventory.partial |= !faults.is_empty();
    inventory.faults.extend(faults.into_iter().chain(home.left_unasked()));
    Ok(inventory)
}

/// The path in the folder.
fn below<'p>(root: &Path, path: &'p Path) -> &'p [u8] {
    path.strip_prefix(root).unwrap_or(path).as_os_str().as_bytes()
}

fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// Histories of version control, and what a running system mounts.
fn is_left_out(root: &Path, path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name == ".git" || (path.parent() == Some(root) && (name == "proc" || name == "sys" || name == "dev"))
}

/// Opens the file at the first read.
struct Lazy<'a> {
    path: &'a Path,
    file: Option<File>,
}

impl Read for Lazy<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let file = match self.file.take() {
            Some(file) => file,
            None => File::open(self.path)?,
        };
        self.file.insert(file).read(buffer)
    }
}

const MAX_DEPTH: usize = 128;
