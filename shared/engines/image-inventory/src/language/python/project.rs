//! Lock files seen together with the file of the project.

use std::collections::BTreeSet;

use crate::analyzer::Files;
use crate::found::Found;
use crate::language::files::sort;
use crate::language::javascript::bun::reach;
use crate::language::python::{lock, normal_name};
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
        let wishes = |all| files.get(&project).map(|bytes| lock::main_dependencies(bytes, all)).transpose();
        match (wishes(false), wishes(true)) {
            (Ok(Some(main)), Ok(Some(direct))) => relate(&mut packages, &main, &direct),
            (Err(error), _) => found.set_aside(&project, "poetry", &error),
            _ => {}
        }
        sort(&mut packages);
        found.application(ApplicationKind::Poetry, path, packages);
    }
}

/// What is asked for is direct; what the main group does not lead to is for development.
fn relate(packages: &mut [Package], main: &BTreeSet<String>, direct: &BTreeSet<String>) {
    for package in packages.iter_mut() {
        let name = normal_name(&package.name, true);
        package.relationship = Relationship::direct(direct.contains(&name));
    }
    let reached = reach(packages, |one| main.contains(&normal_name(&one.name, true)));
    for package in packages.iter_mut() {
        package.development = !reached.contains(&package.id);
    }
}
