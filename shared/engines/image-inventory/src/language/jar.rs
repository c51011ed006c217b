//! Java archives: `pom.properties` first, then the manifest, then the file name. Archives within archives are followed, with a bound on
//! depth and on bytes. Class files are never inflated.

use std::collections::{BTreeMap, BTreeSet};

use crate::analyzer::File;
use crate::found::Found;
use crate::language::zip::Zip;
use crate::package::{ApplicationKind, Package};
use crate::text::{Fields, ParseError, file_name, text};

pub(crate) fn wants(path: &str, _mode: u32) -> bool {
    let name = file_name(path).to_ascii_lowercase();
    is_archive(&name)
}

fn is_archive(name: &str) -> bool {
    [".jar", ".war", ".ear", ".par", ".hpi", ".jpi"].iter().any(|suffix| name.ends_with(suffix))
}

pub(crate) fn analyze(file: File<'_>, found: &mut Found) -> Result<(), ParseError> {
    let packages = parse(file.path, file.bytes)?;
    found.application(ApplicationKind::Jar, file.path, packages);
    Ok(())
}

/// The packages of an archive and of the archives in it.
pub(crate) fn parse(path: &str, bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let mut budget = MAX_NESTED_BYTES;
    let mut packages = Vec::new();
    archive(path, bytes, 0, &mut budget, &mut packages)?;
    let mut seen = BTreeSet::new();
    packages.retain(|one| seen.insert((one.name.clone(), one.version.clone(), one.file_path.clone())));
    Ok(packages)
}

fn archive(
    path: &str,
    bytes: &[u8],
    depth: usize,
    budget: &mut usize,
    packages: &mut Vec<Package>,
) -> Result<(), ParseError> {
    let zip = Zip::open(bytes)?;
    let mut stated = Vec::new();
    let mut manifest = Package::default();
    let mut licensed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for member in &zip.members {
        let name = member.name.as_str();
        if file_name(name) == "pom.properties" {
            stated.extend(properties(&text(&zip.read(member, MAX_TEXT_BYTES)?)));
        } else if file_name(name) == "MANIFEST.MF" {
            manifest = of_manifest(&text(&zip.read(member, MAX_TEXT_BYTES)?));
        } else if let Some(coordinates) = pom_of(name) {
            let names = licenses(&text(&zip.read(member, MAX_TEXT_BYTES)?));
            licensed.extend((!names.is_empty()).then_some((coordinates, names)));
        } else if is_archive(&name.to_ascii_lowercase()) {
            let inner = format!("{path}/{name}");
            if depth >= MAX_DEPTH {
                return Err(ParseError::new(format!("`{inner}` lies more than {MAX_DEPTH} archives deep")));
            }
            let content = zip.read(member, *budget)?;
            *budget = budget.saturating_sub(content.len());
            // A broken archive within is no reason to give up the others.
            drop(archive(&inner, &content, depth.saturating_add(1), budget, packages));
        }
    }
    let (artifact, version) = of_file_name(file_name(path));
    let own = stated.iter().any(|one: &Package| {
        one.name.rsplit_once(':').is_some_and(|(_, name)| name == artifact)
            && (one.version == version || version.is_empty())
    });
    let guess = if own { None } else { guess(&manifest, artifact, version) };
    let set = |one: Package| {
        let licenses = licensed.get(&one.name).cloned().unwrap_or_default();
        Package { file_path: path.to_owned(), licenses, ..one }
    };
    let use_guess = stated.is_empty();
    packages.extend(stated.into_iter().map(set));
    packages.extend(guess.filter(|_| use_guess).map(set));
    Ok(())
}

/// `META-INF/maven/<group>/<artifact>/pom.xml` is the project of that artifact.
pub(crate) fn pom_of(member: &str) -> Option<String> {
    let inner = member.strip_prefix("META-INF/maven/")?.strip_suffix("/pom.xml")?;
    let (group, artifact) = inner.split_once('/')?;
    (!group.is_empty() && !artifact.is_empty() && !artifact.contains('/')).then(|| format!("{group}:{artifact}"))
}

/// Names of the licences that a project states itself.
pub(crate) fn licenses(pom: &str) -> Vec<String> {
    let between = |text: &'_ str, tag: &str| -> Option<(usize, usize)> {
        let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
        let start = text.find(&open)?.saturating_add(open.len());
        let end = text.get(start..)?.find(&close)?.saturating_add(start);
        Some((start, end))
    };
    let Some(mut block) = between(pom, "licenses").and_then(|(start, end)| pom.get(start..end)) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    while let Some((start, end)) = between(block, "license") {
        let license = block.get(start..end).unwrap_or_default();
        let name = between(license, "name").and_then(|(start, end)| license.get(start..end)).unwrap_or_default();
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        if !name.is_empty() {
            names.push(name);
        }
        block = block.get(end..).unwrap_or_default();
    }
    names
}

fn properties(content: &str) -> Option<Package> {
    let value = |wanted: &str| {
        let pairs = content.lines().filter_map(|line| line.split_once('='));
        pairs.filter(|(key, _)| key.trim() == wanted).map(|(_, value)| value.trim()).next().unwrap_or_default()
    };
    let (group, artifact, version) = (value("groupId"), value("artifactId"), value("version"));
    let good = !group.is_empty() && !artifact.is_empty() && !version.is_empty();
    good.then(|| Package { name: format!("{group}:{artifact}"), version: version.to_owned(), ..Package::default() })
}

/// Group (or vendor), artifact and version of a manifest, as far as it states them.
fn of_manifest(content: &str) -> Package {
    let unfolded = content.replace("\r\n ", "").replace("\n ", "").replace('\r', "");
    let fields = Fields::parse(&unfolded);
    let first = |names: &[&str]| {
        let found = names.iter().map(|name| fields.first(name)).find(|value| !value.is_empty() && !value.contains(' '));
        found.unwrap_or_default().to_owned()
    };
    let group = {
        let bundle = fields.first("Bundle-SymbolicName").split(';').next().unwrap_or_default();
        let stated = first(&["Implementation-Vendor-Id"]);
        match bundle.rsplit_once('.') {
            _ if !stated.is_empty() => stated,
            Some((group, _)) => group.to_owned(),
            None => first(&["Implementation-Vendor", "Specification-Vendor"]),
        }
    };
    let artifact = first(&["Implementation-Title", "Specification-Title", "Bundle-Name"]);
    let version = first(&["Implementation-Version", "Specification-Version", "Bundle-Version"]);
    Package { source_name: group, name: artifact, version, ..Package::default() }
}

/// `artifact-1.2.3.jar`; the version begins at a digit behind the last fitting `-`.
fn of_file_name(name: &str) -> (&str, &str) {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let starts = stem.match_indices('-').map(|(at, _)| at);
    let split = starts
        .filter_map(|at| stem.split_at_checked(at))
        .find(|(_, rest)| rest.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit()));
    split.map_or((stem, ""), |(artifact, version)| (artifact, version.trim_start_matches('-')))
}

fn guess(manifest: &Package, artifact: &str, version: &str) -> Option<Package> {
    let group = manifest.source_name.as_str();
    let version = if manifest.version.is_empty() { version } else { &manifest.version };
    let artifact = if manifest.name.is_empty() { artifact } else { &manifest.name };
    // Without a group nothing can be looked up.
    let good = !group.is_empty() && !artifact.is_empty() && !version.is_empty();
    good.then(|| Package { name: format!("{group}:{artifact}"), version: version.to_owned(), ..Package::default() })
}

const MAX_DEPTH: usize = 16;
const MAX_TEXT_BYTES: usize = 1 << 20;
const MAX_NESTED_BYTES: usize = 256 << 20;
