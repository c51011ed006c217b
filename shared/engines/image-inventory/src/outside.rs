//! Files outside of what is scanned that tell more about it: caches and local repositories of package managers on the machine where a
//! project was built.

use std::collections::BTreeMap;

use crate::language::java::settings::Settings;

/// A place outside of what is scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Local repository of Maven (`~/.m2/repository`): `org/example/api/1.0/api-1.0.pom`.
    MavenLocal,
    /// Module files of Gradle (`~/.gradle/caches/modules-2/files-2.1`).
    Gradle,
    /// Modules of Go (`$GOPATH/pkg/mod`).
    GoModules,
    /// Packages of NuGet (`~/.nuget/packages`).
    NuGet,
    /// Packages of Pub (`~/.pub-cache`).
    Pub,
    /// `site-packages` of the Python of the project.
    Python,
    /// Packages of Conan (`~/.conan/data` or `~/.conan2/p`).
    Conan,
}

/// Reads files outside of what is scanned. Paths are relative to the cache, with `/`, and never hold `..`.
pub trait Outside {
    /// The bytes of a file, when it is there.
    fn read(&self, cache: Cache, path: &str) -> Option<Vec<u8>>;

    /// Paths of all files below a folder, when there are any.
    fn list(&self, cache: Cache, folder: &str) -> Vec<String>;

    /// A file of a remote repository of Maven, by the address of the repository, which may hold credentials. Nobody has to fetch: a
    /// project is resolved as far as files are there.
    fn fetch(&self, repository: &str, path: &str) -> Fetched {
        let _ = (repository, path);
        Fetched::Absent
    }

    /// How Maven is set up.
    fn maven(&self) -> Maven {
        Maven::default()
    }

    /// An environment variable that a project names.
    fn variable(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }
}

/// What came of asking a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The file.
    Found(Vec<u8>),
    /// It does not have it, or cannot be asked.
    Absent,
    /// It would have to be asked later: why, in one line.
    Busy(String),
}

/// How Maven is set up.
#[derive(Clone, Debug, Default)]
pub struct Maven {
    /// The settings of the user, the project and the installation together.
    pub settings: Settings,
    /// Mirrors by the address of the repository that they stand for.
    pub mirrors: BTreeMap<String, Vec<String>>,
}

/// Nothing outside: what an image is scanned with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

impl Outside for Nothing {
    fn read(&self, _cache: Cache, _path: &str) -> Option<Vec<u8>> {
        None
    }

    fn list(&self, _cache: Cache, _folder: &str) -> Vec<String> {
        Vec::new()
    }
}
