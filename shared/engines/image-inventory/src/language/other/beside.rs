//! Lock files with what stands beside them: manifests of the project, and package caches for licences and needs.

use std::collections::{BTreeMap, BTreeSet};

use crate::analyzer::Files;
use crate::found::Found;
use crate::language::files::sort;
use crate::language::formats::parse;
use crate::language::javascript::bun::reach;
use crate::language::other::golang;
use crate::license::classify;
use crate::outside::Cache;
use crate::package::{ApplicationKind as Kind, Package, Relationship};
use crate::text::{beside, file_name, folder, join, text};
use crate::tree::{toml, yaml};
use crate::xml;

/// Runs `fill` over the packages of each file that `is_lock` takes.
fn each(
    files: &Files<'_>,
    found: &mut Found,
    (kind, name): (Kind, &str),
    is_lock: impl Fn(&str) -> bool,
    format: impl Fn(&str) -> &'static str,
    mut fill: impl FnMut(&str, &mut Vec<Package>),
) {
    for (path, bytes) in files.iter().filter(|(path, _)| is_lock(path)) {
        match parse(format(path), bytes) {
            Ok(mut packages) => {
                fill(path, &mut packages);
                sort(&mut packages);
                found.application(kind, path, packages);
            }
            Err(error) => found.set_aside(path, name, &error),
        }
    }
}

/// `conan.lock`, with licences of the recipes in the cache.
pub(crate) fn conan(files: &Files<'_>, found: &mut Found) {
    let mut licenses: Option<BTreeMap<String, String>> = None;
    each(
        files,
        found,
        (Kind::Conan, "conan"),
        |path| file_name(path) == "conan.lock",
        |_| "conan",
        |_, packages| {
            let licenses = licenses.get_or_insert_with(|| recipes(files));
            for package in packages {
                package.licenses = licenses.get(&package.name).cloned().into_iter().collect();
            }
        },
    );
}

fn recipes(files: &Files<'_>) -> BTreeMap<String, String> {
    let listed = files.outside.list(Cache::Conan, "");
    let recipes = listed.iter().filter(|path| file_name(path) == "conanfile.py").take(MAX_CACHED);
    let one = |path: &String| {
        let content = files.outside.read(Cache::Conan, path)?;
        let content = text(&content);
        let first = |name: &str| {
            content.lines().map(|line| recipe_attribute(name, line.trim())).find(|value| !value.is_empty())
        };
        Some((first("name")?.to_owned(), first("license")?.to_owned()))
    };
    recipes.filter_map(one).collect()
}

/// Value of `name = "value"` in a recipe of Conan; empty for any other line.
pub(crate) fn recipe_attribute<'a>(name: &str, line: &'a str) -> &'a str {
    let value = line.split_once('=').filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim());
    value.unwrap_or_default().trim_matches('"')
}

/// `pubspec.lock`, with the needs that the packages in the cache state.
pub(crate) fn pub_lock(files: &Files<'_>, found: &mut Found) {
    let listed = files.outside.list(Cache::Pub, "");
    let mut specs: Option<BTreeMap<String, Vec<String>>> = None;
    each(
        files,
        found,
        (Kind::Pub, "pub"),
        |path| file_name(path) == "pubspec.lock",
        |_| "pub",
        |_, packages| {
            let ids: BTreeMap<String, String> = packages.iter().map(|one| (one.name.clone(), one.id.clone())).collect();
            let specs = specs.get_or_insert_with(|| needs_of_cache(files, &listed));
            for package in packages {
                let needs = specs.get(&package.id).into_iter().flatten();
                package.depends_on = needs.filter_map(|name| ids.get(name).cloned()).collect();
                package.depends_on.sort();
            }
        },
    );
}

/// Names of what each package in the cache needs, by its id.
fn needs_of_cache(files: &Files<'_>, listed: &[String]) -> BTreeMap<String, Vec<String>> {
    let specs = listed.iter().filter(|path| file_name(path) == "pubspec.yaml").take(MAX_CACHED);
    let one = |path: &String| {
        let spec = yaml(&files.outside.read(Cache::Pub, path)?).ok()?;
        let (name, version) = (spec.get("name").text(), spec.get("version").text());
        let needs: Vec<String> = spec.get("dependencies").entries().map(|(need, _)| need.to_owned()).collect();
        (!version.is_empty()).then(|| (crate::language::graph::id(name, version), needs))
    };
    specs.filter_map(one).collect()
}

/// `packages.lock.json` and `packages.config`, with licences of the packages in the cache.
pub(crate) fn nuget(files: &Files<'_>, found: &mut Found) {
    let format = |path: &str| if file_name(path) == "packages.config" { "nuget-config" } else { "nuget" };
    each(
        files,
        found,
        (Kind::Nuget, "nuget"),
        |_| true,
        format,
        |_, packages| {
            for package in packages {
                package.licenses = nuspec_license(files, &package.name, &package.version).unwrap_or_default();
            }
        },
    );
}

fn nuspec_license(files: &Files<'_>, name: &str, version: &str) -> Option<Vec<String>> {
    let (name, version) = (name.to_lowercase(), version.to_lowercase());
    if [&name, &version].iter().any(|part| part.is_empty() || part.contains('/') || *part == "..") {
        return None;
    }
    let spec = files.outside.read(Cache::NuGet, &format!("{name}/{version}/{name}.nuspec"))?;
    let spec = xml::parse(&spec).ok()?;
    let license = spec.child("metadata").child("license");
    let text = license.text.trim();
    match license.attribute("type") {
        "file" => {
            let file = text.replace('\\', "/");
            let safe = !file.split('/').any(|segment| segment == "..");
            let content = files.outside.read(Cache::NuGet, &format!("{name}/{version}/{file}")).filter(|_| safe)?;
            Some(classify::classify(&content))
        }
        _ => (!text.is_empty()).then(|| vec![text.to_owned()]),
    }
}

/// `Manifest.toml` of Julia, with the `Project.toml` that says what is asked for, and for what.
pub(crate) fn julia(files: &Files<'_>, found: &mut Found) {
    each(
        files,
        found,
        (Kind::Julia, "julia"),
        |path| file_name(path) == "Manifest.toml",
        |_| "julia",
        |path, packages| {
            let Some(Ok(project)) = files.get(&beside(path, "Project.toml")).map(|bytes| toml(bytes)) else { return };
            let direct: BTreeSet<&str> = project.get("deps").entries().map(|(_, uuid)| uuid.text()).collect();
            let develop: BTreeSet<&str> = project.get("extras").entries().map(|(_, uuid)| uuid.text()).collect();
            let used = reach(packages, |one| direct.contains(one.id.as_str()));
            let developed = reach(packages, |one| develop.contains(one.id.as_str()));
            packages.retain(|one| used.contains(&one.id) || developed.contains(&one.id));
            for one in packages {
                let asked = direct.contains(one.id.as_str()) || develop.contains(one.id.as_str());
                one.relationship = Relationship::direct(asked);
                one.development = !used.contains(&one.id);
            }
        },
    );
}

/// `go.mod`; before Go 1.17 what is needed indirectly stands in `go.sum` only. Licences and needs come from the vendor folder and the
/// module cache.
pub(crate) fn go(files: &Files<'_>, found: &mut Found) {
    let is_module = |path: &str| file_name(path) == "go.mod" && !format!("/{path}").contains("/vendor/");
    each(
        files,
        found,
        (Kind::GoModule, "gomod"),
        is_module,
        |_| "gomod",
        |path, packages| {
            if !packages.iter().any(|one| one.relationship == Relationship::Indirect) {
                let sum = files.get(&beside(path, "go.sum")).map(|bytes| golang::sum(bytes).unwrap_or_default());
                for one in sum.unwrap_or_default() {
                    if !packages.iter().any(|known| known.name == one.name) {
                        packages.push(Package { relationship: Relationship::Indirect, ..one });
                    }
                }
            }
            let ids: BTreeMap<String, String> = packages.iter().map(|one| (one.name.clone(), one.id.clone())).collect();
            for package in packages.iter_mut().filter(|one| one.relationship != Relationship::Root) {
                let home = format!("{}@{}", escaped(&package.name), package.version);
                if home.split('/').any(|segment| segment == "..") {
                    continue;
                }
                package.licenses = cached_license(files, &home);
                if package.licenses.is_empty() {
                    let vendor = join(folder(path), &format!("vendor/{}", package.name));
                    package.licenses = vendored_license(files, &vendor).unwrap_or_default();
                }
                let module = files.outside.read(Cache::GoModules, &format!("{home}/go.mod"));
                let Some(Ok(module)) = module.map(|bytes| golang::module(&bytes, false, false)) else { continue };
                let needs = module.packages.iter().filter(|one| one.relationship == Relationship::Direct);
                package.depends_on = needs.filter_map(|one| ids.get(&one.name).cloned()).collect();
                package.depends_on.sort();
            }
            adopt(packages);
        },
    );
}

/// What is needed by nothing that is known is needed by the root.
fn adopt(packages: &mut [Package]) {
    let needed: BTreeSet<String> = packages
        .iter()
        .filter(|one| one.relationship != Relationship::Root)
        .flat_map(|one| one.depends_on.iter().cloned())
        .collect();
    let orphans = packages.iter().filter(|one| one.relationship == Relationship::Indirect && !needed.contains(&one.id));
    let orphans: Vec<String> = orphans.map(|one| one.id.clone()).collect();
    if let Some(root) = packages.iter_mut().find(|one| one.relationship == Relationship::Root) {
        root.depends_on.extend(orphans);
        root.depends_on.sort();
        root.depends_on.dedup();
    }
}

/// Names of files that may hold the licence of a Go module.
pub(crate) fn is_go_license(path: &str) -> bool {
    let name = file_name(path).to_ascii_lowercase();
    ["license", "licence", "unlicense", "unlicence", "copying", "readme", "notice"]
        .iter()
        .any(|known| name.starts_with(known))
}

fn vendored_license(files: &Files<'_>, home: &str) -> Option<Vec<String>> {
    let below = format!("{home}/");
    let in_it = files.range(below.clone()..).take_while(|(path, _)| path.starts_with(&below));
    in_it
        .filter(|(path, _)| is_go_license(path))
        .map(|(_, bytes)| classify::classify(bytes))
        .find(|found| !found.is_empty())
}

fn cached_license(files: &Files<'_>, home: &str) -> Vec<String> {
    let listed = files.outside.list(Cache::GoModules, home);
    let named = listed.iter().filter(|path| is_go_license(path)).take(MAX_LICENSES);
    let read = named.filter_map(|path| files.outside.read(Cache::GoModules, path));
    read.map(|bytes| classify::classify(&bytes)).find(|found| !found.is_empty()).unwrap_or_default()
}

/// The module cache writes upper case as `!` and lower case.
fn escaped(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_uppercase() {
            escaped.push('!');
        }
        escaped.extend(c.to_lowercase());
    }
    escaped
}

/// `requirements.txt`, with licences of the distributions in the environment of the project.
pub(crate) fn pip(files: &Files<'_>, found: &mut Found) {
    let mut licenses: Option<BTreeMap<(String, String), Vec<String>>> = None;
    each(
        files,
        found,
        (Kind::Pip, "pip"),
        |_| true,
        |_| "pip",
        |_, packages| {
            let licenses = licenses.get_or_insert_with(|| distributions(files));
            for package in packages {
                let key = (crate::language::python::normal_name(&package.name, true), package.version.clone());
                package.licenses = licenses.get(&key).cloned().unwrap_or_default();
            }
        },
    );
}

fn distributions(files: &Files<'_>) -> BTreeMap<(String, String), Vec<String>> {
    let listed = files.outside.list(Cache::Python, "");
    let metadata = listed.iter().filter(|path| path.ends_with(".dist-info/METADATA")).take(MAX_CACHED);
    let one = |path: &String| {
        let package = crate::language::python::metadata::parse(&files.outside.read(Cache::Python, path)?).ok()?;
        Some(((crate::language::python::normal_name(&package.name, true), package.version), package.licenses))
    };
    metadata.filter_map(one).collect()
}

const MAX_CACHED: usize = 20_000;
const MAX_LICENSES: usize = 20;
