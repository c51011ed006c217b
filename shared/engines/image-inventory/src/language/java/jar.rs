//! Java archives: `pom.properties` first, then the manifest. Archives within archives are followed, with a bound on depth and on
//! bytes. Class files are never inflated. An archive that says nothing about itself is kept with its SHA-1, by which the Java index of a
//! vulnerability database knows it.

use std::collections::BTreeMap;

use sha1::{Digest as _, Sha1};

use crate::analyzer::{File, sha1_of};
use crate::found::{Found, UnidentifiedArchive};
use crate::language::java::manifest::Manifest;
use crate::language::java::pom::license_name;
use crate::language::zip::Zip;
use crate::license::classify;
use crate::package::{ApplicationKind, Package};
use crate::text::{ParseError, file_name, folder, hex, text};
use crate::xml;

pub(crate) fn wants(path: &str, _mode: u32) -> bool {
    let name = file_name(path).to_ascii_lowercase();
    [".jar", ".war", ".ear", ".par", ".hpi", ".jpi"].iter().any(|suffix| name.ends_with(suffix))
}

/// Archives that are followed within others.
fn is_inner(name: &str) -> bool {
    [".jar", ".war", ".ear"].iter().any(|suffix| name.ends_with(suffix))
}

pub(crate) fn analyze(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    let mut reading = Reading::new(file.checksums);
    let packages = reading.archive(file.path, file.bytes, 0)?;
    let packages = distinct(packages);
    let outer = |one| UnidentifiedArchive { outer: file.path.to_owned(), ..one };
    found.unidentified.extend(reading.unidentified.into_iter().map(outer));
    found.application(ApplicationKind::Jar, file.path, packages);
    for (path, error) in reading.broken {
        found.set_aside(&path, "jar", &error);
    }
    Ok(())
}

/// The packages of an archive and of the archives in it.
pub(crate) fn parse(path: &str, bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    Reading::new(false).archive(path, bytes, 0).map(distinct)
}

/// One of each name, file and version; `1.2` and `1.2.0` are one version.
fn distinct(packages: Vec<Package>) -> Vec<Package> {
    let mut kept: Vec<Package> = Vec::new();
    let mut known: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for package in packages {
        let version = package.version.trim_end_matches(".0").to_ascii_lowercase();
        let versions = known.entry((package.name.clone(), package.file_path.clone())).or_default();
        if !versions.contains(&version) {
            versions.push(version);
            kept.push(package);
        }
    }
    kept
}

struct Reading {
    budget: usize,
    members: usize,
    checksums: bool,
    unidentified: Vec<UnidentifiedArchive>,
    broken: Vec<(String, ParseError)>,
}

impl Reading {
    fn new(checksums: bool) -> Self {
        Self { budget: MAX_NESTED_BYTES, members: MAX_MEMBERS, checksums, unidentified: Vec::new(), broken: Vec::new() }
    }

    fn archive(&mut self, path: &str, bytes: &[u8], depth: usize) -> Result<Vec<Package>, ParseError> {
        let zip = Zip::open(bytes)?;
        self.members = self.members.checked_sub(zip.members.len()).ok_or_else(|| {
            ParseError::new(format!("the archive and those within have more than {MAX_MEMBERS} members"))
        })?;
        let (artifact, version) = of_file_name(file_name(path));
        let mut packages: Vec<Package> = Vec::new();
        let mut manifest = Manifest::default();
        let mut licensed: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut license_files = Vec::new();
        let mut has_own = false;
        for member in &zip.members {
            let name = member.name.as_str();
            if file_name(name) == "pom.xml" {
                let Some(coordinates) = pom_of(name) else { continue };
                let content = zip.read(member, MAX_TEXT_BYTES).unwrap_or_default();
                let names = licenses_in(&content);
                licensed.extend((!names.is_empty()).then_some((coordinates, names)));
            } else if is_license(name) {
                license_files.push(member);
            } else if file_name(name) == "pom.properties" {
                if let Some(found) = properties(&text(&zip.read(member, MAX_TEXT_BYTES)?)) {
                    has_own |= found.name.rsplit_once(':').is_some_and(|(_, name)| name == artifact)
                        && found.version == version;
                    packages.push(Package { file_path: path.to_owned(), ..found });
                }
            } else if file_name(name) == "MANIFEST.MF" {
                manifest = Manifest::parse(&text(&zip.read(member, MAX_MANIFEST_BYTES)?));
            } else if is_inner(name) {
                self.inner(&zip, member, path, depth, &mut packages);
            }
        }
        // What `pom.properties` names is the archive itself or what was packed into it; a manifest is asked only without one.
        let manifest_package = manifest.package().filter(|_| !has_own);
        let coordinates = |own: &Package| (own.name.clone(), own.version.clone());
        let stated = manifest_package.as_ref().filter(|_| !packages.iter().any(|one| one.file_path == path));
        let mut unidentified = (!has_own).then(|| UnidentifiedArchive {
            file_path: path.to_owned(),
            sha1: hex(&Sha1::digest(bytes)),
            artifact: artifact.to_owned(),
            version: version.to_owned(),
            manifest: manifest_package.as_ref().map(coordinates),
            stated: stated.map(coordinates),
            ..UnidentifiedArchive::default()
        });
        packages.extend(stated.map(|own| Package { file_path: path.to_owned(), ..own.clone() }));
        for package in packages.iter_mut().filter(|package| package.licenses.is_empty()) {
            package.licenses = licensed.get(&package.name).cloned().unwrap_or_default();
        }
        let own_licenses = || {
            let stated = manifest.licenses();
            match license_files.as_slice() {
                [file] if stated.is_empty() => classify::classify(&zip.read(file, MAX_TEXT_BYTES).unwrap_or_default()),
                _ => stated,
            }
        };
        if let Some(own) = own_package(&mut packages, path) {
            own.licenses = own_licenses();
        }
        if let Some(one) = &mut unidentified {
            one.licenses = own_licenses();
        }
        if self.checksums {
            mark(&mut packages, unidentified.as_mut(), bytes);
        }
        self.unidentified.extend(unidentified);
        Ok(packages)
    }

    /// A broken archive within is no reason to give up the others.
    fn inner(
        &mut self,
        zip: &Zip<'_>,
        member: &crate::language::zip::Member,
        path: &str,
        depth: usize,
        packages: &mut Vec<Package>,
    ) {
        let name = member.name.trim_start_matches('/');
        let inner = format!("{path}/{name}");
        if name.split('/').any(|segment| segment == "..") {
            self.broken.push((inner, ParseError::new("its path leaves the archive by `..`")));
            return;
        }
        if depth >= MAX_DEPTH {
            self.broken.push((inner, ParseError::new(format!("it lies more than {MAX_DEPTH} archives deep"))));
            return;
        }
        let read = zip.read(member, self.budget).and_then(|content| {
            self.budget = self.budget.saturating_sub(content.len());
            self.archive(&inner, &content, depth.saturating_add(1))
        });
        match read {
            Ok(found) => packages.extend(found),
            Err(error) => self.broken.push((inner, error)),
        }
    }
}

/// Gives what has no digest that of the archive.
fn mark(packages: &mut [Package], unidentified: Option<&mut UnidentifiedArchive>, bytes: &[u8]) {
    let digest = sha1_of(bytes);
    if let Some(one) = unidentified {
        one.digest.clone_from(&digest);
    }
    for package in packages.iter_mut().filter(|package| package.digest.is_empty()) {
        package.digest.clone_from(&digest);
    }
}

/// The one package of the archive itself, when it is one and has no licence yet.
fn own_package<'a>(packages: &'a mut [Package], path: &str) -> Option<&'a mut Package> {
    let mut own = packages.iter_mut().filter(|package| package.file_path == path);
    let first = own.next()?;
    (own.next().is_none() && first.licenses.is_empty()).then_some(first)
}

/// A licence at the top of the archive or in `META-INF`; those of vendored parts lie deeper or have a prefix.
pub(crate) fn is_license(member: &str) -> bool {
    matches!(folder(member), "" | "META-INF") && !is_inner(member) && classify::is_license_name(member)
}

/// `META-INF/maven/<group>/<artifact>/pom.xml` is the project of that artifact.
pub(crate) fn pom_of(member: &str) -> Option<String> {
    let inner = member.strip_prefix("META-INF/maven/")?.strip_suffix("/pom.xml")?;
    let (group, artifact) = inner.split_once('/')?;
    (!group.is_empty() && !artifact.is_empty()).then(|| format!("{group}:{artifact}"))
}

/// Names of the licences that a project states itself.
pub(crate) fn licenses_in(pom: &[u8]) -> Vec<String> {
    let Ok(project) = xml::parse(pom) else { return Vec::new() };
    let licenses = project.child("licenses");
    let name = |license: &xml::Element| license_name(&license.child("name").text, license.field("url"));
    licenses.all("license").map(name).filter(|name| !name.is_empty()).collect()
}

fn properties(content: &str) -> Option<Package> {
    let value = |wanted: &str| {
        let pairs = content.lines().filter_map(|line| line.trim().split_once('='));
        pairs.filter(|(key, _)| *key == wanted).map(|(_, value)| value.trim()).next_back().unwrap_or_default()
    };
    let (group, artifact, version) = (value("groupId"), value("artifactId"), value("version"));
    let good = !group.is_empty() && !artifact.is_empty() && !version.is_empty();
    good.then(|| Package { name: format!("{group}:{artifact}"), version: version.to_owned(), ..Package::default() })
}

/// `artifact-1.2.3.jar`: the version begins at the last `-` before a digit.
pub(crate) fn of_file_name(name: &str) -> (&str, &str) {
    let Some(stem) = name.strip_suffix(".jar") else { return ("", "") };
    let is_name = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    let fits = |(artifact, rest): &(&str, &str)| {
        let version = rest.get(1..).unwrap_or_default();
        version.starts_with(|c: char| c.is_ascii_digit())
            && !version.contains(char::is_whitespace)
            && !artifact.is_empty()
            && !artifact.ends_with('-')
            && is_name(artifact)
    };
    let mut splits = stem.match_indices('-').filter_map(|(at, _)| stem.split_at_checked(at)).filter(fits);
    splits.next_back().map_or(("", ""), |(artifact, rest)| (artifact, rest.get(1..).unwrap_or_default()))
}

const MAX_DEPTH: usize = 16;
const MAX_MEMBERS: usize = 2_000_000;
const MAX_TEXT_BYTES: usize = 1 << 20;
const MAX_MANIFEST_BYTES: usize = 10 << 20;
const MAX_NESTED_BYTES: usize = 512 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_have_artifact_and_version() {
        let check = |name: &str, expected: (&str, &str)| assert_eq!(of_file_name(name), expected, "{name}");
        check("spring-core-5.3.4-SNAPSHOT.jar", ("spring-core", "5.3.4-SNAPSHOT"));
        check("a-1.jar", ("a", "1"));
        check("a.jar", ("", ""));
        check("a-1.war", ("", ""));
    }
}
