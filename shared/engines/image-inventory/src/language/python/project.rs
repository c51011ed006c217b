//! Lock files seen together with the file of the project.

use std::collections::BTreeSet;

use crate::analyzer::Files;
use crate::found::Found;
use crate::language::files::sort;
use crate::language::javascript::bun::reach;
use crate::language::python::lock;
use crate::language::python::pyproject::PythonProject;
use crate::package::{ApplicationKind, Package, Relationship};
use crate::text::{beside, file_name};

/// `poetry.lock`, with `pyproject.toml` for what is asked for directly.
pub(crate) fn poetry(files: &Files<'_>, found: &mut Found) {
    for (path, bytes) in files.iter().filter(|(path, _)| file_name(path) == "poetry.lock") {
        let mut packages = match lock::poetry(bytes) {
            Ok(packages) => packages,
            Err(error) => {
                found.set_aside(path, "poetry", &error);
                continue;
            }
        };
        let project = beside(path, "pyproject.toml");
        match files.get(&project).map(|bytes| PythonProject::parse(bytes)).transpose() {
            Ok(Some(project)) => relate(&mut packages, &project.main(), &project.all()),
            Err(error) => found.set_aside(&project, "poetry", &error),
            Ok(None) => {}
        }
        sort(&mut packages);
        found.application(ApplicationKind::Poetry, path, packages);
    }
}

/// What is asked for is direct; what the main group does not lead to is for development.
fn relate(packages: &mut [Package], main: &BTreeSet<String>, direct: &BTreeSet<String>) {
    for package in packages.iter_mut() {
        package.relationship = Relationship::direct(direct.contains(&package.name));
    }
    let reached = reach(packages, |one| main.contains(&one.name));
    for package in packages.iter_mut() {
        package.development |= !reached.contains(&package.id);
    }
}

/// `pylock.toml`, or `pylock.<name>.toml` with a name without dots (PEP 751).
pub(crate) fn is_pylock(name: &str) -> bool {
    let middle = name.strip_prefix("pylock.").and_then(|rest| rest.strip_suffix(".toml"));
    name == "pylock.toml" || middle.is_some_and(|middle| !middle.is_empty() && !middle.contains('.'))
}

/// Lock files of PEP 751, with `pyproject.toml` for what is asked for directly.
pub(crate) fn pylock(files: &Files<'_>, found: &mut Found) {
    for (path, bytes) in files.iter().filter(|(path, _)| is_pylock(file_name(path))) {
        let mut packages = match lock::pylock(bytes) {
            Ok(packages) => packages,
            Err(error) => {
                found.set_aside(path, "pylock", &error);
                continue;
            }
        };
        let project = beside(path, "pyproject.toml");
        match files.get(&project).map(|bytes| PythonProject::parse(bytes)).transpose() {
            Ok(Some(project)) => ask(&mut packages, &project.main()),
            Err(error) => found.set_aside(&project, "pylock", &error),
            Ok(None) => {}
        }
        sort(&mut packages);
        found.application(ApplicationKind::Pylock, path, packages);
    }
}

/// Marks what is asked for; the project needs just that.
fn ask(packages: &mut [Package], direct: &BTreeSet<String>) {
    let mut needs = Vec::new();
    for one in packages.iter_mut().filter(|one| one.relationship != Relationship::Root) {
        one.relationship = Relationship::direct(direct.contains(&one.name));
        if one.relationship == Relationship::Direct {
            needs.push(one.id.clone());
        }
    }
    if let Some(root) = packages.iter_mut().find(|one| one.relationship == Relationship::Root) {
        root.depends_on = needs;
    }
}
