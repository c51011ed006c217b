//! What lies outside of a scan, as tests give it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use image_inventory::{Cache, Outside};

/// Folders and files in the place of caches, by the name of the cache.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) folders: Vec<(String, PathBuf)>,
    pub(crate) files: BTreeMap<(String, String), Vec<u8>>,
    pub(crate) variables: BTreeMap<String, String>,
}

pub(crate) fn name(cache: Cache<'_>) -> String {
    match cache {
        Cache::MavenLocal => "maven".to_owned(),
        Cache::MavenRemote(address) => address.to_owned(),
        Cache::Gradle => "gradle".to_owned(),
        Cache::GoModules => "go".to_owned(),
        Cache::NuGet => "nuget".to_owned(),
        Cache::Pub => "pub".to_owned(),
        Cache::Python => "python".to_owned(),
        Cache::Conan => "conan".to_owned(),
    }
}

impl Outside for Given {
    fn read(&self, cache: Cache<'_>, path: &str) -> Option<Vec<u8>> {
        let name = name(cache);
        if let Some(bytes) = self.files.get(&(name.clone(), path.to_owned())) {
            return Some(bytes.clone());
        }
        let folders = self.folders.iter().filter(|(known, _)| *known == name);
        folders.map(|(_, folder)| folder.join(path)).find_map(|path| std::fs::read(path).ok())
    }

    fn list(&self, cache: Cache<'_>, folder: &str) -> Vec<String> {
        let name = name(cache);
        let mut found: Vec<String> = self
            .files
            .keys()
            .filter(|(known, path)| *known == name && (folder.is_empty() || path.starts_with(&format!("{folder}/"))))
            .map(|(_, path)| path.clone())
            .collect();
        for (_, root) in self.folders.iter().filter(|(known, _)| *known == name) {
            let mut pending = vec![root.join(folder)];
            while let Some(one) = pending.pop() {
                for entry in std::fs::read_dir(one).into_iter().flatten().flatten() {
                    let path = entry.path();
                    if path.is_dir() {
                        pending.push(path);
                    } else if let Ok(path) = path.strip_prefix(root) {
                        found.push(path.to_string_lossy().into_owned());
                    }
                }
            }
        }
        found.sort();
        found
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}
