//! What lies outside of a scan, as tests give it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use image_inventory::{Cache, Fetched, Maven, Outside};

/// Folders and files in the place of caches, by the name of the cache.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) folders: Vec<(String, PathBuf)>,
    pub(crate) files: BTreeMap<(String, String), Vec<u8>>,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) maven: Maven,
    /// Repositories that would be asked later.
    pub(crate) busy: BTreeMap<String, String>,
    /// Repositories that were asked.
    pub(crate) asked: Mutex<Vec<String>>,
}

pub(crate) fn name(cache: Cache) -> String {
    match cache {
        Cache::MavenLocal => "maven".to_owned(),
        Cache::Gradle => "gradle".to_owned(),
        Cache::GoModules => "go".to_owned(),
        Cache::NuGet => "nuget".to_owned(),
        Cache::Pub => "pub".to_owned(),
        Cache::Python => "python".to_owned(),
        Cache::Conan => "conan".to_owned(),
    }
}

impl Given {
    fn file(&self, name: &str, path: &str) -> Option<Vec<u8>> {
        if let Some(bytes) = self.files.get(&(name.to_owned(), path.to_owned())) {
            return Some(bytes.clone());
        }
        let folders = self.folders.iter().filter(|(known, _)| *known == name);
        folders.map(|(_, folder)| folder.join(path)).find_map(|path| std::fs::read(path).ok())
    }
}

impl Outside for Given {
    fn read(&self, cache: Cache, path: &str) -> Option<Vec<u8>> {
        self.file(&name(cache), path)
    }

    fn list(&self, cache: Cache, folder: &str) -> Vec<String> {
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

    fn fetch(&self, repository: &str, path: &str) -> Fetched {
        self.asked.lock().unwrap().push(repository.to_owned());
        if let Some(why) = self.busy.get(repository) {
            return Fetched::Busy(why.clone());
        }
        self.file(repository, path).map_or(Fetched::Absent, Fetched::Found)
    }

    fn maven(&self) -> Maven {
        self.maven.clone()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}

#[test]
fn bills_with_values_of_the_wrong_kind_are_refused() {
    let read = |fields: &str| {
        let bill = format!(r#"{{"bomFormat":"CycloneDX","specVersion":"1.5",{fields}}}"#);
        image_inventory::sbom::read(bill.as_bytes()).map_err(|error| error.to_string())
    };
    assert!(
        read(r#""serialNumber":"urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79","version":1,"components":[]"#).is_ok()
    );
    for (fields, wanted) in [
        (r#""serialNumber":1000000"#, "`serialNumber` is not a text"),
        (r#""version":"1""#, "`version` is not a number"),
        (r#""components":{}"#, "`components` is not a list"),
        (r#""components":[{"name":7}]"#, "`name` is not a text"),
        (r#""components":[{"components":[{"purl":["a"]}]}]"#, "`purl` is not a text"),
    ] {
        let error = read(fields).unwrap_err();
        assert!(error.contains("CycloneDX decode error") && error.contains(wanted), "{fields}: {error}");
    }
}
