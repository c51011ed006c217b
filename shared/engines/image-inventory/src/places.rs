//! Where package managers keep what they fetched, by the environment that they would be started in.

use std::path::{Path, PathBuf};

use crate::outside::Cache;

/// An environment: the home folder of a user, and the variables that are set.
pub struct Environment<'a> {
    /// Home folder, when there is one.
    pub home: Option<&'a Path>,
    /// The value of a variable, when it is set.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Environment<'_> {
    /// The folders that a cache may lie in: the first that is there is used. Python has none here, for its folder has to be looked for:
    /// see [`Self::python_libraries`].
    #[must_use]
    pub fn places(&self, cache: Cache) -> Vec<PathBuf> {
        let one = |place: Option<PathBuf>| place.into_iter().collect();
        match cache {
            Cache::MavenLocal => one(self.at_home(".m2/repository")),
            Cache::Gradle => one(self.named("GRADLE_USER_HOME", "").or_else(|| self.at_home(".gradle")))
                .into_iter()
                .map(|home: PathBuf| home.join("caches/modules-2/files-2.1"))
                .collect(),
            Cache::GoModules => one(self
                .named("GOMODCACHE", "")
                .or_else(|| self.set("GOPATH").and_then(|paths| first(&paths).map(|path| path.join("pkg/mod"))))
                .or_else(|| self.at_home("go/pkg/mod"))),
            Cache::NuGet => one(self.named("NUGET_PACKAGES", "").or_else(|| self.at_home(".nuget/packages"))),
            // The first is where Dart has it, the second where Trivy looks for it.
            Cache::Pub => match self.named("PUB_CACHE", "") {
                Some(named) => vec![named],
                None => [".pub-cache", ".pub_cache"].iter().filter_map(|below| self.at_home(below)).collect(),
            },
            // Version 2, then version 1, each with a folder of its own below what the variable names.
            Cache::Conan => [
                self.named("CONAN_HOME", "p"),
                self.named("CONAN_USER_HOME", ".conan/data"),
                self.at_home(".conan2/p"),
                self.at_home(".conan/data"),
            ]
            .into_iter()
            .flatten()
            .collect(),
            Cache::Python => Vec::new(),
        }
    }

    /// The folders that may hold `python3.12/site-packages`: those of the virtual environment, else those beside the Python that would
    /// be started; `is_program` says whether a file is there that can be run.
    #[must_use]
    pub fn python_libraries(&self, is_program: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
        let beside = |program: PathBuf| program.parent().map(|folder| folder.join("../lib"));
        let started = self.python(is_program).and_then(beside);
        self.named("VIRTUAL_ENV", "lib").into_iter().chain(started).collect()
    }

    /// The Python that would be started.
    #[must_use]
    pub fn python(&self, is_program: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
        let path = self.set("PATH")?;
        let in_path = |name: &&str| {
            let folders = path.split(':').filter(|folder| !folder.is_empty());
            folders.map(|folder| Path::new(folder).join(name)).find(|program| is_program(program))
        };
        ["python3", "python", "python2"].iter().find_map(in_path)
    }

    /// A variable that is set to nothing counts as not set.
    fn set(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    fn named(&self, name: &str, below: &str) -> Option<PathBuf> {
        let folder = PathBuf::from(self.set(name)?);
        Some(if below.is_empty() { folder } else { folder.join(below) })
    }

    fn at_home(&self, below: &str) -> Option<PathBuf> {
        Some(self.home?.join(below))
    }
}

impl std::fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").field("home", &self.home).finish_non_exhaustive()
    }
}

/// Of the folders `python3.9`, `python3.12` and their like, the newest first; others are left out.
#[must_use]
pub fn newest_python_first(names: &[String]) -> Vec<&str> {
    let version = |name: &&String| -> Option<Vec<u32>> {
        name.strip_prefix("python")?.split('.').map(|number| number.parse().ok()).collect()
    };
    let mut known: Vec<(Vec<u32>, &str)> =
        names.iter().filter_map(|name| Some((version(&name)?, name.as_str()))).collect();
    known.sort_unstable_by(|a, b| b.cmp(a));
    known.into_iter().map(|(_, name)| name).collect()
}

fn first(paths: &str) -> Option<PathBuf> {
    paths.split(':').find(|path| !path.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(variables: &[(&str, &str)], cache: Cache) -> Vec<String> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let environment = Environment { home: Some(Path::new("/home/me")), variable: &variable };
        environment.places(cache).iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn what_the_environment_names_goes_before_the_home_folder() {
        for (variables, cache, expected) in [
            (&[][..], Cache::GoModules, &["/home/me/go/pkg/mod"][..]),
            (&[("GOPATH", "/one:/two")], Cache::GoModules, &["/one/pkg/mod"]),
            (&[("GOPATH", "/one"), ("GOMODCACHE", "/mods")], Cache::GoModules, &["/mods"]),
            (&[("GOMODCACHE", "")], Cache::GoModules, &["/home/me/go/pkg/mod"]),
            (&[("GRADLE_USER_HOME", "/g")], Cache::Gradle, &["/g/caches/modules-2/files-2.1"]),
            (&[("NUGET_PACKAGES", "/n")], Cache::NuGet, &["/n"]),
            (&[("PUB_CACHE", "/p")], Cache::Pub, &["/p"]),
            (&[], Cache::Pub, &["/home/me/.pub-cache", "/home/me/.pub_cache"]),
            (
                &[("CONAN_USER_HOME", "/c")],
                Cache::Conan,
                &["/c/.conan/data", "/home/me/.conan2/p", "/home/me/.conan/data"],
            ),
            (&[], Cache::MavenLocal, &["/home/me/.m2/repository"]),
        ] {
            assert_eq!(places(variables, cache), expected, "{variables:?} {cache:?}");
        }
    }

    #[test]
    fn python_is_looked_for_as_a_shell_does() {
        let variable = |name: &str| match name {
            "PATH" => Some("/usr/bin::/opt/bin".to_owned()),
            "VIRTUAL_ENV" => Some("/venv".to_owned()),
            _ => None,
        };
        let environment = Environment { home: None, variable: &variable };
        let is_program = |path: &Path| path == Path::new("/opt/bin/python3") || path == Path::new("/usr/bin/python");
        assert_eq!(environment.python(&is_program), Some(PathBuf::from("/opt/bin/python3")));
        let libraries: Vec<String> =
            environment.python_libraries(&is_program).iter().map(|path| path.display().to_string()).collect();
        assert_eq!(libraries, ["/venv/lib", "/opt/bin/../lib"]);
        assert_eq!(environment.python(&|_| false), None);
        let names = ["python3.9", "python3.12", "pythonx", "python2.7", "node"].map(str::to_owned);
        assert_eq!(newest_python_first(&names), ["python3.12", "python3.9", "python2.7"]);
    }
}
