//! What the package managers of the user who scans keep outside of a project, and where Maven may ask for more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use image_inventory::maven::Settings;
use image_inventory::{Cache, Environment, Fetched, Outside, newest_python_first};
use model::{Fault, FaultKind};

use crate::config::Maven;
use crate::source::maven::Repositories;

/// Package caches of the user who scans.
pub(crate) struct Home {
    /// The caches that are there.
    caches: Vec<(Cache, PathBuf)>,
    settings: Settings,
    mirrors: BTreeMap<String, Vec<String>>,
    /// Asks repositories, where that is wanted.
    repositories: Option<Repositories>,
    /// Projects of Maven that would have been fetched, where it is not.
    missing: Mutex<BTreeSet<String>>,
    unreadable: Vec<Fault>,
}

impl Home {
    /// Of the user who scans `project`.
    pub(crate) fn of_this_user(project: &Path, maven: &Maven) -> Self {
        let home = std::env::home_dir();
        let (settings, unreadable) = settings(home.as_deref(), project);
        let repositories = maven.fetch.then(|| Repositories::new(&settings));
        let variable = |name: &str| std::env::var_os(name)?.into_string().ok();
        let environment = Environment { home: home.as_deref(), variable: &variable };
        let mut caches: Vec<(Cache, PathBuf)> = CACHES
            .iter()
            .filter_map(|cache| {
                let mut places = environment.places(*cache);
                if *cache == Cache::MavenLocal && !settings.local_repository.is_empty() {
                    places = vec![PathBuf::from(&settings.local_repository)];
                }
                Some((*cache, places.into_iter().find(|place| place.is_dir())?))
            })
            .collect();
        caches.extend(site_packages(&environment).map(|place| (Cache::Python, place)));
        Self { caches, settings, mirrors: maven.mirrors.clone(), repositories, missing: Mutex::default(), unreadable }
    }

    /// What went wrong so far.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let of_repositories = self.repositories.iter().flat_map(Repositories::faults);
        of_repositories.chain(self.unreadable.iter().cloned()).collect()
    }

    /// What is not known because nobody wanted it to be fetched: the result is as complete as was asked for.
    pub(crate) fn left_unasked(&self) -> Option<Fault> {
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let first = missing.first()?;
        let what = match missing.len() {
            1 => "this project of Maven is not in the local repository: what it needs in turn is not known".to_owned(),
            number => format!(
                "this and {} more projects of Maven are not in the local repository: what they need in turn is not known",
                number.saturating_sub(1)
            ),
        };
        let cure = "run `mvn dependency:go-offline` before, or scan with --fetch-poms";
        Some(Fault::new(FaultKind::Warning, first, what).cure(cure))
    }

    fn root(&self, cache: Cache) -> Option<&Path> {
        self.caches.iter().find(|(known, _)| *known == cache).map(|(_, place)| place.as_path())
    }
}

/// Caches that have a folder of their own; Python's has to be looked for.
const CACHES: [Cache; 6] = [Cache::MavenLocal, Cache::Gradle, Cache::GoModules, Cache::NuGet, Cache::Pub, Cache::Conan];

/// The packages of the Python that is in use here.
fn site_packages(environment: &Environment<'_>) -> Option<PathBuf> {
    let is_program =
        |path: &Path| fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    let newest = |library: &PathBuf| {
        let names: Vec<String> = fs::read_dir(library)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        let mut places = newest_python_first(&names).into_iter().map(|name| library.join(name).join("site-packages"));
        places.find(|place| place.is_dir())
    };
    environment.python_libraries(&is_program).iter().find_map(newest)
}

impl Outside for Home {
    fn read(&self, cache: Cache, path: &str) -> Option<Vec<u8>> {
        bounded(&self.root(cache)?.join(path))
    }

    fn fetch(&self, repository: &str, path: &str) -> Fetched {
        let Some(repositories) = &self.repositories else {
            let name = path.rsplit('/').next().unwrap_or(path);
            if let Some(name) = name.strip_suffix(".pom") {
                self.missing.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
            }
            return Fetched::Absent;
        };
        repositories.fetch(repository, path)
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
                    found.extend(path.strip_prefix(root).ok().and_then(Path::to_str).map(str::to_owned));
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
