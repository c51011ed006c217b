//! Lock files of Gradle with what stands beside them: `build.gradle` says what is asked for, the module cache has the projects of the
//! artifacts with their licences and needs.

use std::collections::BTreeMap;

use crate::analyzer::Files;
use crate::found::Found;
use crate::language::files::sort;
use crate::language::formats::parse;
use crate::language::java::pom::{Pom, evaluate};
use crate::outside::Cache;
use crate::package::{ApplicationKind, Relationship};
use crate::text::{ParseError, beside, file_name, text};

pub(crate) fn wants(path: &str, _mode: u32) -> bool {
    path.ends_with("gradle.lockfile") || matches!(file_name(path), "build.gradle" | "build.gradle.kts")
}

pub(crate) fn analyze(files: &Files<'_>, found: &mut Found) {
    let mut poms: Option<BTreeMap<String, Pom>> = None;
    for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with("gradle.lockfile")) {
        let mut packages = match parse("gradle", bytes) {
            Ok(packages) => packages,
            Err(error) => {
                found.set_aside(path, "gradle", &error);
                continue;
            }
        };
        let direct = ["build.gradle", "build.gradle.kts"]
            .iter()
            .find_map(|name| files.get(&beside(path, name)))
            .map(|bytes| asked_for(&text(bytes)));
        let poms = poms.get_or_insert_with(|| cached(files));
        let ids: Vec<String> = packages.iter().map(|one| one.id.clone()).collect();
        for package in &mut packages {
            if let Some(direct) = &direct {
                package.relationship = Relationship::direct(direct.contains(&package.id));
            }
            if let Some(pom) = poms.get(&package.id) {
                package.licenses.clone_from(&pom.licenses);
                let needs =
                    pom.dependencies.iter().map(|one| format!("{}:{}:{}", one.group, one.artifact, one.version));
                package.depends_on = needs.filter(|id| ids.contains(id)).collect();
            }
        }
        sort(&mut packages);
        found.application(ApplicationKind::Gradle, path, packages);
    }
}

/// Coordinates that a build script names, in both notations: `'group:name:version'` and `group: 'g', name: 'n', version: 'v'`.
pub(crate) fn asked_for(script: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in script.lines() {
        let quoted: Vec<&str> = line.split(['\'', '"']).skip(1).step_by(2).collect();
        let plain = quoted.iter().find(|text| text.split(':').count() >= 3);
        if let Some(text) = plain {
            let parts: Vec<&str> = text.split(':').collect();
            found.push(parts.get(..3).unwrap_or_default().join(":"));
            continue;
        }
        let value = |key: &str| {
            let at = line.find(&format!("{key}:")).or_else(|| line.find(&format!("{key} =")))?;
            line.get(at..)?.split(['\'', '"']).nth(1)
        };
        if let (Some(group), Some(name), Some(version)) = (value("group"), value("name"), value("version")) {
            found.push(format!("{group}:{name}:{version}"));
        }
    }
    found
}

/// Projects of the module cache, by id.
fn cached(files: &Files<'_>) -> BTreeMap<String, Pom> {
    let listed = files.outside.list(Cache::Gradle, "");
    let read = |path: &String| {
        let pom = of_cache(path, &files.outside.read(Cache::Gradle, path)?).ok()?;
        Some((format!("{}:{}:{}", pom.group, pom.artifact, pom.version), pom))
    };
    listed.iter().filter(|path| path.ends_with(".pom")).take(MAX_POMS).filter_map(read).collect()
}

/// A project of the cache: `.../group/artifact/version/hash/file.pom`. The path has the coordinates that the file leaves to its parent.
pub(crate) fn of_cache(path: &str, bytes: &[u8]) -> Result<Pom, ParseError> {
    let mut pom = Pom::parse(path, bytes, false)?;
    let parts: Vec<&str> = path.split('/').rev().collect();
    let part = |at: usize| parts.get(at).copied().unwrap_or_default().to_owned();
    for (field, at) in [(&mut pom.version, 2), (&mut pom.artifact, 3), (&mut pom.group, 4)] {
        if field.is_empty() {
            *field = part(at);
        }
    }
    let properties = pom.all_properties();
    for dependency in &mut pom.dependencies {
        for field in [&mut dependency.group, &mut dependency.artifact, &mut dependency.version] {
            *field = evaluate(field, &properties, &|_| None);
        }
    }
    Ok(pom)
}

const MAX_POMS: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_name_coordinates() {
        let script = "implementation 'a.b:c:1.0'\n  testImplementation(\"d:e:2@aar\")\nruntimeOnly group: 'g', name: 'n', version: '3'\n// x\n";
        assert_eq!(asked_for(script), ["a.b:c:1.0", "d:e:2@aar", "g:n:3"]);
    }
}
