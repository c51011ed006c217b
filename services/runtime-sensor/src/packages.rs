//! Which files of an image belong to a package that a scan found something in, and which of these packages a container has used.
//!
//! Scans tell findings with the file that says the package is there. From that follow the package's own files where they lie beside it:
//! a jar and a program are their package, a Python package lies beside its `.dist-info`, a Node package around its `package.json`, a gem
//! beside its specification. The files of an operating system's packages are not told by scans, and so not known here.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bus::{Bus, From, Stored};
use model::{ContainerId, Digest, PackageUrl};
use schemas::EventType;
use schemas::build::v1::{Finding, ImageScanned};
use service::Context;

/// The files of scanned images. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packages {
    images: Arc<RwLock<HashMap<Digest, Arc<Files>>>>,
    /// Counts what was learnt; 0 while nobody follows the scans.
    age: Arc<AtomicU64>,
}

/// The files of one image.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Files {
    files: HashMap<String, PackageUrl>,
    /// With a slash at the end.
    folders: HashMap<String, PackageUrl>,
    /// The folders that the files are in, with a slash at the end.
    around: HashSet<String>,
}

impl Packages {
    /// Follows the scans for as long as the service lives.
    pub(crate) fn follow(context: &Context, bus: &Bus) -> Self {
        let packages = Self::default();
        packages.age.store(1, Ordering::Release);
        let (reader, shutdown) = (packages.clone(), context.shutdown.clone());
        let filter = format!("biotope.v1.{}.{}.*", bus.origin().cluster, EventType::ImageScanned.path());
        let mut cursor = bus.cursor("BIOTOPE_BUILD", From::LastPerSubject, vec![filter]);
        context.spawn_vital("packages", async move {
            while !shutdown.is_cancelled() {
                let batch = tokio::select! {
                    () = shutdown.cancelled() => break,
                    batch = cursor.next_batch(100, Duration::from_secs(1)) => batch,
                };
                batch.iter().for_each(|stored| reader.learn(stored));
            }
            Ok(())
        });
        packages
    }

    fn learn(&self, stored: &Stored) {
        let event = bus::decode_any(&stored.payload).map_err(|error| error.to_string());
        let event = event.and_then(|event| event.into_typed::<ImageScanned>().map_err(|error| error.to_string()));
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(subject = stored.subject, error, "a scan cannot be read");
                return;
            }
        };
        let files = Arc::new(Files::of(&event.data.findings));
        let mut images = self.images.write().unwrap_or_else(PoisonError::into_inner);
        if images.len() >= MAX_IMAGES {
            images.clear();
        }
        for digest in event.identity.index_digest.into_iter().chain([event.data.digest]) {
            images.insert(digest, files.clone());
        }
        drop(images);
        self.age.fetch_add(1, Ordering::AcqRel);
    }

    /// Changes whenever more files are known.
    pub(crate) fn age(&self) -> u64 {
        self.age.load(Ordering::Acquire)
    }

    /// Whether files of packages are known at all, or will be.
    pub(crate) fn is_followed(&self) -> bool {
        self.age() > 0
    }

    /// The files of an image that was scanned.
    pub(crate) fn of(&self, image: &Digest) -> Option<Arc<Files>> {
        self.images.read().unwrap_or_else(PoisonError::into_inner).get(image).cloned()
    }
}

impl Files {
    fn of(findings: &[Finding]) -> Self {
        let mut found = Self::default();
        for finding in findings {
            let Some(purl) = &finding.purl else { continue };
            let path = format!("/{}", finding.path.trim_start_matches('/'));
            match place(&path, &purl.kind, &finding.package) {
                Some(Place::File(file)) => drop(found.files.insert(file, purl.clone())),
                Some(Place::Beside(folder)) => {
                    found.files.insert(format!("{folder}.py"), purl.clone());
                    found.folders.insert(format!("{folder}/"), purl.clone());
                }
                Some(Place::Folder(folder)) => drop(found.folders.insert(folder, purl.clone())),
                None => {}
            }
        }
        found.around = found.files.keys().filter_map(|file| Some(folder_of(file)?.to_owned())).collect();
        found
    }

    /// Whether any file beside this one, or this one itself, belongs to a package.
    pub(crate) fn has_beside(&self, path: &str) -> bool {
        let above = || {
            path.rmatch_indices('/')
                .any(|(at, _)| path.get(..=at).is_some_and(|folder| self.folders.contains_key(folder)))
        };
        folder_of(path).is_some_and(|folder| self.around.contains(folder)) || above()
    }

    /// The package that a file belongs to: of nested ones the innermost.
    pub(crate) fn owner(&self, path: &str) -> Option<&PackageUrl> {
        let above = || path.rmatch_indices('/').filter_map(|(at, _)| self.folders.get(path.get(..=at)?));
        self.files.get(path).or_else(|| above().next())
    }
}

/// The folder of a file, with a slash at the end.
fn folder_of(path: &str) -> Option<&str> {
    path.get(..=path.rfind('/')?)
}

/// Where the files of a package are.
#[derive(Debug, PartialEq)]
enum Place {
    File(String),
    /// A folder with a slash at the end.
    Folder(String),
    /// A Python module: a folder, or a file, of this name.
    Beside(String),
}

fn place(path: &str, kind: &str, package: &str) -> Option<Place> {
    let (folder, file) = path.rsplit_once('/')?;
    match kind {
        "maven" => {
            // A jar in a jar is opened with the outer one.
            let end =
                [".jar", ".war", ".ear", ".par"].iter().filter_map(|end| Some(path.find(end)? + end.len())).min()?;
            Some(Place::File(path.get(..end)?.to_owned()))
        }
        "golang" | "cargo" if !file.contains(".lock") && !file.starts_with("go.") => Some(Place::File(path.to_owned())),
        "npm" if file == "package.json" => Some(Place::Folder(format!("{folder}/"))),
        "pypi" if matches!(file, "METADATA" | "PKG-INFO") => {
            let site = folder.rsplit_once('/')?.0;
            Some(Place::Beside(format!("{site}/{}", package.to_lowercase().replace(['-', '.'], "_"))))
        }
        "gem" => {
            let (home, name) = (folder.strip_suffix("/specifications")?, file.strip_suffix(".gemspec")?);
            Some(Place::Folder(format!("{home}/gems/{name}/")))
        }
        _ => None,
    }
}

/// Which packages were told of already, by container.
#[derive(Debug, Default)]
pub(crate) struct Told {
    by_container: HashMap<ContainerId, HashSet<PackageUrl>>,
    count: usize,
}

impl Told {
    /// Whether this is the first time.
    pub(crate) fn is_new(&mut self, container: &ContainerId, package: &PackageUrl) -> bool {
        if self.by_container.get(container).is_some_and(|told| told.contains(package)) {
            return false;
        }
        // What is told twice does less harm than a table without bounds.
        if self.count >= MAX_TOLD {
            *self = Self::default();
        }
        self.count = self.count.saturating_add(1);
        self.by_container.entry(container.clone()).or_default().insert(package.clone())
    }

    /// A container has ended.
    pub(crate) fn forget(&mut self, container: &ContainerId) {
        let gone = self.by_container.remove(container).map_or(0, |told| told.len());
        self.count = self.count.saturating_sub(gone);
    }
}

const MAX_IMAGES: usize = 4_096;
const MAX_TOLD: usize = 200_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(kind: &str, package: &str, path: &str) -> Finding {
        Finding {
            id: "CVE-2020-1".to_owned(),
            package: package.to_owned(),
            purl: Some(PackageUrl::new(kind, "", package, "1")),
            path: path.to_owned(),
            ..serde_json::from_str(r#"{"id":"","package":"","installed_version":""}"#).unwrap()
        }
    }

    #[test]
    fn a_file_belongs_to_the_package_that_the_scan_found_beside_it() {
        let site = "usr/lib/python3/dist-packages";
        let files = Files::of(&[
            finding("pypi", "ruamel.yaml", &format!("{site}/ruamel.yaml-0.1.dist-info/METADATA")),
            finding("pypi", "six", &format!("{site}/six-1.dist-info/METADATA")),
            finding("npm", "outer", "app/node_modules/outer/package.json"),
            finding("npm", "inner", "app/node_modules/outer/node_modules/inner/package.json"),
            finding("npm", "locked", "app/package-lock.json"),
            finding("maven", "log4j", "opt/app.war/WEB-INF/lib/log4j.jar"),
            finding("golang", "x/net", "usr/bin/tool"),
            finding("golang", "x/text", "src/go.sum"),
            finding("gem", "rack", "usr/lib/gems/3/specifications/rack-2.1.gemspec"),
            finding("deb", "libc6", "var/lib/dpkg/status"),
        ]);
        for (path, expected) in [
            (format!("/{site}/ruamel_yaml/main.py"), Some("ruamel.yaml")),
            (format!("/{site}/six.py"), Some("six")),
            (format!("/{site}/sixty.py"), None),
            ("/app/node_modules/outer/index.js".to_owned(), Some("outer")),
            ("/app/node_modules/outer/node_modules/inner/lib/a.js".to_owned(), Some("inner")),
            ("/app/index.js".to_owned(), None),
            ("/opt/app.war".to_owned(), Some("log4j")),
            ("/usr/bin/tool".to_owned(), Some("x/net")),
            ("/src/go.sum".to_owned(), None),
            ("/usr/lib/gems/3/gems/rack-2.1/lib/rack.rb".to_owned(), Some("rack")),
            ("/lib/libc.so.6".to_owned(), None),
        ] {
            assert_eq!(files.owner(&path).map(|purl| purl.name.as_str()), expected, "{path}");
            assert!(expected.is_none() || files.has_beside(&path), "{path}");
        }
        for (path, expected) in [
            (format!("/{site}/other.py"), true),
            ("/app/node_modules/outer/new.js".to_owned(), true),
            ("/usr/bin/other".to_owned(), true),
            ("/usr/lib/libc.so.6".to_owned(), false),
            ("/app/index.js".to_owned(), false),
            ("relative".to_owned(), false),
        ] {
            assert_eq!(files.has_beside(&path), expected, "{path}");
        }
    }

    #[test]
    fn a_package_is_told_of_once_a_container() {
        let mut told = Told::default();
        let [one, other] = ["a", "b"].map(|digit| digit.repeat(64).parse::<ContainerId>().unwrap());
        let package = PackageUrl::new("npm", "", "x", "1");
        assert!(told.is_new(&one, &package) && !told.is_new(&one, &package) && told.is_new(&other, &package));
        told.forget(&one);
        assert!(told.is_new(&one, &package) && told.count == 2);
    }
}
