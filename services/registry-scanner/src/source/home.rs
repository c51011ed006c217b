//! What the package managers of the user who scans keep outside of a project, and where Maven may ask for more.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use image_inventory::maven::Settings;
use image_inventory::{Cache, Fetched, Outside};
use model::{Fault, FaultKind};

use crate::config::Maven;
use crate::source::maven::Repositories;

/// Package caches in the home of the user who scans.
pub(crate) struct Home {
    home: Option<PathBuf>,
    settings: Settings,
    mirrors: BTreeMap<String, Vec<String>>,
    /// Asks repositories, where that is wanted.
    repositories: Option<Repositories>,
    unreadable: Vec<Fault>,
}

impl Home {
    /// Of the user who scans `project`.
    pub(crate) fn of_this_user(project: &Path, maven: &Maven) -> Self {
        let home = std::env::home_dir();
        let (settings, unreadable) = settings(home.as_deref(), project);
        let repositories = maven.fetch.then(|| Repositories::new(&settings));
        Self { home, settings, mirrors: maven.mirrors.clone(), repositories, unreadable }
    }

    /// What went wrong so far.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let of_repositories = self.repositories.iter().flat_map(Repositories::faults);
        of_repositories.chain(self.unreadable.iter().cloned()).collect()
    }

    fn root(&self, cache: Cache) -> Option<PathBuf> {
        if cache == Cache::MavenLocal && !self.settings.local_repository.is_empty() {
            return Some(PathBuf::from(&self.settings.local_repository));
        }
        let below = match cache {
            Cache::MavenLocal => ".m2/repository",
            Cache::Gradle => ".gradle/caches/modules-2/files-2.1",
            Cache::GoModules => "go/pkg/mod",
            Cache::NuGet => ".nuget/packages",
            Cache::Pub => ".pub-cache",
            Cache::Conan => ".conan2/p",
            Cache::Python => return None,
        };
        Some(self.home.as_ref()?.join(below))
    }
}

impl Outside for Home {
    fn read(&self, cache: Cache, path: &str) -> Option<Vec<u8>> {
        bounded(&self.root(cache)?.join(path))
    }

    fn fetch(&self, repository: &str, path: &str) -> Fetched {
        self.repositories.as_ref().map_or(Fetched::Absent, |repositories| repositories.fetch(repository, path))
    }

    fn maven(&self) -> image_inventory::Maven {
        image_inventory::Maven { settings: self.settings.clone(), mirrors: self.mirrors.clone() }
    }

    fn list(&self, cache: Cache, folder: &str) -> Vec<String> {
        let Some(root) = self.root(cache) else { return Vec::new() };
        let mut found = Vec::new();
        let mut pending = vec![(root.join(folder), 0_usize)];
        while let Some((one, depth)) = pending.pop() {
            for entry in fs::read_dir(one).into_iter().flatten().filter_map(Result::ok) {
                let Ok(kind) = entry.file_type() else { continue };
                let path = entry.path();
                if kind.is_dir() && depth < MAX_DEPTH {
                    pending.push((path, depth.saturating_add(1)));
                } else if kind.is_file() && found.len() < MAX_LISTED {
                    found.extend(path.strip_prefix(&root).ok().and_then(Path::to_str).map(str::to_owned));
                }
            }
        }
        found.sort();
        found
    }
}

/// The settings of Maven: the user's go before the project's, and those before the installation's. `${env.NAME}` is the environment of
/// whoever scans in the two that the project does not bring: what a project says must not read it.
fn settings(home: Option<&Path>, project: &Path) -> (Settings, Vec<Fault>) {
    let installed = std::env::var_os("MAVEN_HOME").map_or_else(|| PathBuf::from("/usr/share/maven"), PathBuf::from);
    let files = [
        (home.map(|home| home.join(".m2/settings.xml")), true),
        (Some(project.join(".mvn/settings.xml")), false),
        (Some(installed.join("conf/settings.xml")), true),
    ];
    let (mut settings, mut faults) = (Settings::default(), Vec::new());
    for (path, is_trusted) in files {
        let Some((path, bytes)) = path.and_then(|path| Some((path.clone(), bounded(&path)?))) else { continue };
        let variable = |name: &str| std::env::var_os(name).filter(|_| is_trusted)?.into_string().ok();
        match Settings::parse(&bytes, &variable) {
            // Mirrors and servers of a project would lead the credentials of the user astray.
            Ok(one) if is_trusted => settings.merge(one),
            Ok(one) => settings.merge(Settings {
                repositories: one.repositories,
                profiles: one.profiles,
                active_profiles: one.active_profiles,
                ..Settings::default()
            }),
            Err(error) => {
                let fault = Fault::new(FaultKind::Invalid, &path.display().to_string(), error.to_string());
                faults.push(fault.cure("correct the settings of Maven"));
            }
        }
    }
    (settings, faults)
}

fn bounded(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_CACHED_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

const MAX_DEPTH: usize = 128;
const MAX_LISTED: usize = 200_000;
const MAX_CACHED_BYTES: u64 = 8 << 20;
