//! Analyzers of single files: their names, and what lists the packages.

use crate::analyzer::{Analyzer, File, Files, Run};
use crate::found::Found;
use crate::language::formats::parse;
use crate::language::java::{gradle, jar, project};
use crate::language::{javascript, other, program, python, rust};
use crate::package::{ApplicationKind as Kind, Package, Relationship};
use crate::text::{ParseError, beside, file_name, folder};
use crate::tree::json;

/// Files of installed packages: what an image runs with.
pub(crate) static INSTALLED: &[Analyzer] = &[
    python::metadata::ANALYZER,
    Analyzer {
        name: "node-pkg",
        wants: javascript::package_json::wants,
        run: Run::Each(javascript::package_json::analyze),
    },
    Analyzer { name: "jar", wants: jar::wants, run: Run::Each(jar::analyze) },
    Analyzer { name: "gobinary", wants: program::wants, run: Run::Program(program::analyze_go) },
    Analyzer { name: "rustbinary", wants: program::wants, run: Run::Program(program::analyze_rust) },
    Analyzer {
        name: "gemspec",
        wants: |path, _| path.ends_with(".gemspec") && path.contains("specifications/"),
        run: Run::Each(|file, found| own(file, found, Kind::GemSpec, "gemspec")),
    },
    Analyzer {
        name: "conda-pkg",
        wants: |path, _| {
            path.ends_with(".json")
                && path.contains("envs/")
                && file_name(folder(path)) == "conda-meta"
                && file_name(path).matches('-').count() >= 2
        },
        run: Run::Each(|file, found| own(file, found, Kind::CondaPkg, "conda-pkg")),
    },
    Analyzer {
        name: "composer-vendor",
        wants: |path, _| file_name(path) == "installed.json",
        run: Run::Each(|file, found| list(file, found, Kind::ComposerVendor, "composer")),
    },
    Analyzer { name: "sbom", wants: crate::sbom::wants, run: Run::Each(crate::sbom::analyze) },
    Analyzer {
        name: "wordpress",
        wants: |path, _| path.ends_with("wp-includes/version.php"),
        run: Run::Each(|file, found| list(file, found, Kind::Wordpress, "wordpress")),
    },
];

/// Programs, when they are to be hashed.
pub(crate) static HASHED: &[Analyzer] =
    &[Analyzer { name: "executable", wants: program::wants, run: Run::Binary(program::hash) }];

/// Files that are read everywhere: what they list is installed with them, or listed nowhere else.
pub(crate) static EITHER: &[Analyzer] = &[
    Analyzer { name: "cargo", wants: rust::wants, run: Run::Together(rust::analyze) },
    Analyzer {
        name: "python-egg",
        wants: |path, _| path.ends_with(".egg"),
        run: Run::Each(python::metadata::analyze_egg),
    },
    Analyzer {
        name: "dotnet-core",
        wants: |path, _| path.ends_with(".deps.json"),
        run: Run::Each(|file, found| list(file, found, Kind::DotnetCore, "dotnet-core")),
    },
    Analyzer {
        name: "nuget",
        wants: |path, _| is(path, "packages.lock.json") || is(path, "packages.config"),
        run: Run::Together(other::beside::nuget),
    },
    Analyzer {
        name: "packages-props",
        wants: |path, _| file_name(path).to_ascii_lowercase().ends_with("packages.props"),
        run: Run::Each(|file, found| list(file, found, Kind::PackagesProps, "packages-props")),
    },
    Analyzer {
        name: "julia",
        wants: |path, _| is(path, "Manifest.toml") || is(path, "Project.toml"),
        run: Run::Together(other::beside::julia),
    },
];

/// Lock files and manifests: what a project asks for. Read in folders of sources, not in images.
pub(crate) static DECLARED: &[Analyzer] = &[
    Analyzer {
        name: "bun",
        wants: |path, _| {
            is(path, "bun.lock") || javascript::licenses::is_below_modules(path) && is(path, "package.json")
        },
        run: Run::Together(javascript::project::bun),
    },
    Analyzer {
        name: "bundler",
        wants: |path, _| is(path, "Gemfile.lock"),
        run: Run::Each(|file, found| list(file, found, Kind::Bundler, "bundler")),
    },
    Analyzer {
        name: "cocoapods",
        wants: |path, _| is(path, "Podfile.lock"),
        run: Run::Each(|file, found| list(file, found, Kind::Cocoapods, "cocoapods")),
    },
    Analyzer {
        name: "composer",
        wants: |path, _| {
            let is_vendored = path.split('/').any(|folder| folder == "vendor");
            (is(path, "composer.lock") || is(path, "composer.json")) && !is_vendored
        },
        run: Run::Together(composer),
    },
    Analyzer { name: "conan", wants: |path, _| is(path, "conan.lock"), run: Run::Together(other::beside::conan) },
    Analyzer {
        name: "conda-environment",
        wants: |path, _| is(path, "environment.yaml") || is(path, "environment.yml"),
        run: Run::Each(|file, found| list(file, found, Kind::CondaEnvironment, "conda-environment")),
    },
    Analyzer {
        name: "gomod",
        wants: |path, _| {
            let is_vendored = format!("/{path}").contains("/vendor/");
            is(path, "go.mod") || is(path, "go.sum") || (is_vendored && other::beside::is_go_license(path))
        },
        run: Run::Together(other::beside::go),
    },
    Analyzer { name: "gradle", wants: gradle::wants, run: Run::Together(gradle::analyze) },
    Analyzer { name: "pom", wants: |path, _| is(path, "pom.xml"), run: Run::Together(maven) },
    Analyzer {
        name: "hex",
        wants: |path, _| is(path, "mix.lock"),
        run: Run::Each(|file, found| list(file, found, Kind::Hex, "hex")),
    },
    Analyzer {
        name: "npm",
        wants: |path, _| {
            let name = if javascript::licenses::is_below_modules(path) { "package.json" } else { "package-lock.json" };
            is(path, name)
        },
        run: Run::Together(javascript::project::npm),
    },
    Analyzer { name: "pip", wants: |path, _| is(path, "requirements.txt"), run: Run::Together(other::beside::pip) },
    Analyzer {
        name: "pipenv",
        wants: |path, _| is(path, "Pipfile.lock"),
        run: Run::Each(|file, found| list(file, found, Kind::Pipenv, "pipenv")),
    },
    Analyzer {
        name: "pnpm",
        wants: |path, _| {
            let name = if javascript::licenses::is_below_modules(path) { "package.json" } else { "pnpm-lock.yaml" };
            is(path, name)
        },
        run: Run::Together(javascript::project::pnpm),
    },
    Analyzer {
        name: "poetry",
        wants: |path, _| is(path, "poetry.lock") || is(path, "pyproject.toml"),
        run: Run::Together(python::project::poetry),
    },
    Analyzer { name: "pub", wants: |path, _| is(path, "pubspec.lock"), run: Run::Together(other::beside::pub_lock) },
    Analyzer {
        name: "pylock",
        wants: |path, _| python::project::is_pylock(file_name(path)) || is(path, "pyproject.toml"),
        run: Run::Together(python::project::pylock),
    },
    Analyzer {
        name: "sbt",
        wants: |path, _| is(path, "build.sbt.lock"),
        run: Run::Each(|file, found| list(file, found, Kind::Sbt, "sbt")),
    },
    Analyzer {
        name: "swift",
        wants: |path, _| is(path, "Package.resolved"),
        run: Run::Each(|file, found| list(file, found, Kind::Swift, "swift")),
    },
    Analyzer {
        name: "uv",
        wants: |path, _| is(path, "uv.lock"),
        run: Run::Each(|file, found| list(file, found, Kind::Uv, "uv")),
    },
    Analyzer {
        name: "yarn",
        wants: |path, _| {
            javascript::project::is_yarn_lock(path)
                || is(path, "package.json")
                || file_name(path).to_ascii_lowercase().starts_with("license")
                || javascript::licenses::is_archive(path)
        },
        run: Run::Together(javascript::project::yarn),
    },
];

fn is(path: &str, name: &str) -> bool {
    file_name(path) == name
}

fn list(file: File<'_>, found: &mut Found, kind: Kind, format: &str) -> Result<(), ParseError> {
    let mut packages = parse(format, file.bytes)?;
    sort(&mut packages);
    found.application(kind, file.path, packages);
    Ok(())
}

/// A file that describes just itself.
fn own(file: File<'_>, found: &mut Found, kind: Kind, format: &str) -> Result<(), ParseError> {
    let mut packages = parse(format, file.bytes)?;
    for package in &mut packages {
        file.path.clone_into(&mut package.file_path);
        package.digest = file.digest();
    }
    found.application(kind, file.path, packages);
    Ok(())
}

/// Each `pom.xml`, with the others of the folder as its parents and modules.
fn maven(files: &Files<'_>, found: &mut Found) {
    for path in files.keys() {
        match project::resolve(path, &|path| files.get(path).map(|bytes| bytes.to_vec()), files.outside) {
            Ok(mut packages) => {
                // Projects below `src/it` are there to test a plugin with.
                let tested = format!("/{path}").contains("/src/it/");
                for package in packages.iter_mut().filter(|_| tested) {
                    package.development = true;
                }
                sort(&mut packages);
                found.application(Kind::Pom, path, packages);
            }
            Err(error) => found.set_aside(path, "pom", &error),
        }
    }
}

/// `composer.lock`, with `composer.json` for what is asked for directly.
fn composer(files: &Files<'_>, found: &mut Found) {
    for (path, bytes) in files.iter().filter(|(path, _)| is(path, "composer.lock")) {
        let mut packages = match parse("composer", bytes) {
            Ok(packages) => packages,
            Err(error) => {
                found.set_aside(path, "composer", &error);
                continue;
            }
        };
        if let Some(Ok(project)) = files.get(&beside(path, "composer.json")).map(|bytes| json(bytes, false)) {
            let asked =
                |name: &str| ["require", "require-dev"].iter().any(|group| !project.get(group).get(name).is_null());
            for package in &mut packages {
                package.relationship = Relationship::direct(asked(&package.name));
            }
        }
        sort(&mut packages);
        found.application(Kind::Composer, path, packages);
    }
}

/// By name.
pub(crate) fn sort(packages: &mut [Package]) {
    packages.sort_by(|a, b| (&a.name, &a.version, &a.file_path).cmp(&(&b.name, &b.version, &b.file_path)));
}
