//! Files outside of what is scanned that tell more about it: caches and local repositories of package managers on the machine where a
//! project was built.

/// A place outside of what is scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache<'a> {
    /// Local repository of Maven (`~/.m2/repository`): `org/example/api/1.0/api-1.0.pom`.
    MavenLocal,
    /// A remote repository of Maven, by its address. Nobody has to fetch: a project is resolved as far as files are there.
    MavenRemote(&'a str),
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
    fn read(&self, cache: Cache<'_>, path: &str) -> Option<Vec<u8>>;

    /// Paths of all files below a folder, when there are any.
    fn list(&self, cache: Cache<'_>, folder: &str) -> Vec<String>;

    /// An environment variable that a project names.
    fn variable(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }
}

/// Nothing outside: what an image is scanned with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

impl Outside for Nothing {
    fn read(&self, _cache: Cache<'_>, _path: &str) -> Option<Vec<u8>> {
        None
    }

    fn list(&self, _cache: Cache<'_>, _folder: &str) -> Vec<String> {
        Vec::new()
    }
}
