//! Rules files as they lie on the disk: which there are, what is in them, and whether they changed.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use model::{Fault, FaultKind};
use runtime_rules::{LoadOptions, Loaded, RuleSet, SourceFile};
use sha2::Digest as _;

/// Loads files, and those of folders.
pub(super) fn load(files: &[PathBuf], options: &LoadOptions) -> Loaded {
    let mut set_aside = Vec::new();
    let mut texts = Vec::new();
    for path in found(files, &mut set_aside) {
        match read(&path, options.max_file_bytes) {
            Ok(text) => texts.push((path.display().to_string(), text)),
            Err(fault) => set_aside.push(fault),
        }
    }
    let sources: Vec<_> = texts.iter().map(|(name, text)| SourceFile { name, text }).collect();
    let mut loaded = RuleSet::load(&sources, options);
    loaded.faults.extend(set_aside);
    loaded
}

fn read(path: &Path, most: usize) -> Result<String, Fault> {
    let fault = |what: String| Fault::new(FaultKind::Invalid, &path.display().to_string(), what);
    let bytes = bytes(path, most).map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "check the path, or what is mounted",
            io::ErrorKind::PermissionDenied => "let the user that this runs as read it",
            _ => "",
        };
        fault(format!("the file cannot be read: {error}")).cure(remedy)
    })?;
    if bytes.len() > most {
        return Err(
            fault(format!("the file has more than the {most} bytes that a rules file may have")).cure("split it")
        );
    }
    String::from_utf8(bytes).map_err(|error| {
        let (good, rest) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + good.rsplit(|byte| *byte == b'\n').next().map_or(0, <[u8]>::len);
        let at = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let what = format!("the file is no UTF-8 text: byte 0x{:02x}", rest.first().copied().unwrap_or_default());
        fault(what).at(at(line), at(column)).cure("save it as UTF-8")
    })
}

/// What is in a file, and at most one byte more than it may have: a device has no end.
fn bytes(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The files, those of folders in the order of their names. A folder without rules files is a fault: nobody means that.
fn found(paths: &[PathBuf], set_aside: &mut Vec<Fault>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in paths {
        let Ok(entries) = path.read_dir() else {
            found.push(path.clone());
            continue;
        };
        // A volume of Kubernetes has its files twice: below a hidden folder, and as links to them.
        let is_rules = |path: &PathBuf| {
            let is_hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
            let extension = path.extension().and_then(|extension| extension.to_str());
            !is_hidden && matches!(extension, Some("yaml" | "yml")) && path.is_file()
        };
        let mut below: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_rules).collect();
        below.sort();
        if below.is_empty() {
            let fault = Fault::new(FaultKind::Invalid, &path.display().to_string(), "the folder has no rules file");
            set_aside.push(fault.cure("put files that end in .yaml or .yml there, or check what is mounted"));
        }
        found.extend(below);
    }
    found
}

/// Name and SHA-256 of each file.
pub(crate) fn hashes(files: &[PathBuf]) -> Vec<(String, String)> {
    let hash = |path: PathBuf| {
        let text = std::fs::read(&path).ok()?;
        Some((path.file_name()?.to_string_lossy().into_owned(), format!("{:x}", sha2::Sha256::digest(text))))
    };
    found(files, &mut Vec::new()).into_iter().filter_map(hash).collect()
}

/// What shows that a file is another one or has other content.
pub(super) type Stamp = (PathBuf, Option<(u64, u64, SystemTime)>);

pub(super) fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |path: PathBuf| {
        let meta = path.metadata().ok();
        let stamp = meta.and_then(|meta| Some((meta.ino(), meta.len(), meta.modified().ok()?)));
        (path, stamp)
    };
    found(files, &mut Vec::new()).into_iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_no_text_is_told_with_its_place_and_the_rest_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let good = "- rule: r\n  desc: d\n  condition: evt.type = open\n  output: x\n  priority: INFO\n";
        fs::write(folder.path().join("a.yaml"), good).unwrap();
        fs::write(folder.path().join("b.yaml"), b"- list: l\n  items: [\xffx]\n").unwrap();
        fs::write(folder.path().join("notes.txt"), b"\xff").unwrap();
        let loaded = load(&[folder.path().to_owned()], &LoadOptions::default());
        assert_eq!(loaded.rules.rules().len(), 1);
        let [fault] = loaded.faults.as_slice() else { panic!("{:?}", loaded.faults) };
        assert_eq!((fault.line, fault.column), (2, 11));
        assert!(fault.file.ends_with("b.yaml") && fault.what.ends_with("byte 0xff"), "{fault}");
    }

    #[test]
    fn files_that_are_not_there_too_large_or_without_end_are_faults() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        fs::create_dir(&empty).unwrap();
        let options = LoadOptions { max_file_bytes: 100, ..LoadOptions::default() };
        for (path, expected) in [
            (folder.path().join("missing.yaml"), "cannot be read"),
            (PathBuf::from("/dev/zero"), "more than the 100 bytes"),
            (empty, "no rules file"),
        ] {
            let loaded = load(std::slice::from_ref(&path), &options);
            let [fault] = loaded.faults.as_slice() else { panic!("{path:?}: {:?}", loaded.faults) };
            assert!(fault.what.contains(expected) && !fault.remedy.is_empty(), "{fault}");
            assert!(loaded.rules.rules().is_empty());
        }
    }

    /// As a volume of Kubernetes does: the link to the folder is exchanged, the file behind the link is another.
    #[test]
    fn an_exchanged_link_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["..1", "..2"] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("r.yaml"), name).unwrap();
        }
        std::os::unix::fs::symlink("..1", at("..data")).unwrap();
        std::os::unix::fs::symlink("..data/r.yaml", at("r.yaml")).unwrap();
        let files = [folder.path().to_owned()];
        let (before, hashed) = (stamps(&files), hashes(&files));
        assert_eq!(before.len(), 1, "the files below hidden folders are not taken twice");
        std::os::unix::fs::symlink("..2", at("..new")).unwrap();
        fs::rename(at("..new"), at("..data")).unwrap();
        assert_ne!(stamps(&files), before);
        assert_ne!(hashes(&files), hashed);
    }
}
