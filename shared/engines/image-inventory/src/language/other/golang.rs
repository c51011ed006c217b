//! `go.mod` and `go.sum`.

use std::collections::BTreeMap;

use crate::language::graph::package;
use crate::package::{Package, Reference, Relationship};
use crate::text::{ParseError, text};

/// One parsed `go.mod`.
#[derive(Debug, Default)]
pub(crate) struct Module {
    pub(crate) packages: Vec<Package>,
}

/// `go.mod`; with `replace`, its replacements are applied; with `toolchain`, the standard library is a package.
pub(crate) fn module(bytes: &[u8], replace: bool, toolchain: bool) -> Result<Module, ParseError> {
    let content = text(bytes);
    let mut root = String::new();
    let (mut go, mut chain) = (String::new(), String::new());
    let mut required: Vec<(String, String, bool)> = Vec::new();
    let mut replaced: Vec<[String; 4]> = Vec::new();
    for (directive, words, indirect) in statements(&content) {
        match (directive.as_str(), words.as_slice()) {
            ("module", [name]) if root.is_empty() => root.clone_from(name),
            ("go", [version]) => go.clone_from(version),
            ("toolchain", [name]) => chain.clone_from(name),
            ("require", [name, version]) if canonical(version).is_some() => {
                required.push((name.clone(), canonical(version).unwrap_or_default(), indirect));
            }
            ("replace", words) if replacement(words).is_some() => replaced.extend(replacement(words)),
            ("exclude" | "retract" | "tool" | "godebug" | "ignore", _) => {}
            _ => {
                return Err(ParseError::new(format!(
                    "go.mod parse error: no statement is `{directive} {}`",
                    words.join(" ")
                )));
            }
        }
    }
    // Before Go 1.17 what is needed indirectly is not listed in full; a file without a version is as old.
    if go.is_empty() || less_than(&go, 17) {
        required.retain(|(_, _, indirect)| !indirect);
    }
    let mut packages: BTreeMap<String, Package> = BTreeMap::new();
    let one = |name: &str, version: &str, relationship| Package {
        references: vcs(name),
        relationship,
        ..named(name, version)
    };
    let library = toolchain_version(&go, &chain);
    if toolchain && !library.is_empty() {
        let version = format!("v{library}");
        packages.insert("stdlib".to_owned(), one("stdlib", &version, Relationship::Direct));
    }
    for (name, version, indirect) in required {
        packages.insert(name.clone(), one(&name, &version, Relationship::direct(!indirect)));
    }
    for [old, old_version, new, new_version] in replaced.iter().filter(|_| replace) {
        let is_meant = packages.get(old).is_some_and(|one| old_version.is_empty() || one.version == *old_version);
        let Some(known) = is_meant.then(|| packages.remove(old)).flatten() else { continue };
        // A folder in the place of a module is no package.
        if !new_version.is_empty() {
            packages.insert(new.clone(), one(new, new_version, known.relationship));
        }
    }
    if !root.is_empty() {
        let direct = packages.values().filter(|one| one.relationship == Relationship::Direct);
        let mut needs: Vec<String> = direct.map(|one| one.id.clone()).collect();
        needs.sort();
        packages.insert(root.clone(), Package { depends_on: needs, ..one(&root, "", Relationship::Root) });
    }
    Ok(Module { packages: packages.into_values().collect() })
}

/// A module with its id.
pub(crate) fn named(name: &str, version: &str) -> Package {
    Package { id: id(name, version), ..package(name, version) }
}

/// Versions in the ids of modules begin with `v`.
pub(crate) fn id(name: &str, version: &str) -> String {
    let letter = if version.is_empty() || version.starts_with('v') { "" } else { "v" };
    crate::language::graph::id(name, &format!("{letter}{version}"))
}

/// Statements with their directive, blocks in parentheses included, and whether `// indirect` follows.
fn statements(content: &str) -> Vec<(String, Vec<String>, bool)> {
    let (mut statements, mut block) = (Vec::new(), String::new());
    for line in content.lines() {
        let (code, comment) = line.split_once("//").unwrap_or((line, ""));
        let mut words: Vec<String> =
            code.split_whitespace().map(|word| word.trim_matches(['"', '`']).to_owned()).collect();
        let remark: Vec<&str> = comment.split_whitespace().collect();
        let indirect = matches!(remark[..], ["indirect"] | ["indirect;", _, ..]);
        match words.first().map(String::as_str) {
            None => continue,
            Some(")") => block.clear(),
            Some(_) if words.last().is_some_and(|last| last == "(") => block = words.swap_remove(0),
            Some(_) if !block.is_empty() => statements.push((block.clone(), words, indirect)),
            Some(_) => {
                let directive = words.remove(0);
                statements.push((directive, words, indirect));
            }
        }
    }
    statements
}

/// `old [version] => new [version]`.
fn replacement(words: &[String]) -> Option<[String; 4]> {
    let arrow = words.iter().position(|word| word == "=>").filter(|arrow| matches!(arrow, 1 | 2))?;
    if !(arrow.saturating_add(2)..=arrow.saturating_add(3)).contains(&words.len()) {
        return None;
    }
    let word = |at: usize| words.get(at).cloned().unwrap_or_default();
    let version = |at: usize| canonical(&word(at)).unwrap_or_else(|| word(at));
    let old_version = if arrow > 1 { version(1) } else { String::new() };
    Some([word(0), old_version, word(arrow.saturating_add(1)), version(arrow.saturating_add(2))])
}

/// `v` and three numbers, those at the end being 0 where they are left out (`golang.org/x/mod/semver`). What was built it does not say,
/// but for `+incompatible`.
fn canonical(version: &str) -> Option<String> {
    let (text, build) = version.split_once('+').map_or((version, None), |(text, build)| (text, Some(build)));
    let (core, release) = text.split_once('-').map_or((text, None), |(core, release)| (core, Some(release)));
    let numbers = core.strip_prefix('v')?;
    let missing = match numbers.split('.').count() {
        3 => "",
        _ if release.is_some() || build.is_some() => return None,
        2 => ".0",
        1 => ".0.0",
        _ => return None,
    };
    let build = if build == Some("incompatible") { "+incompatible" } else { "" };
    let is_sound = numbers.split('.').all(|part| part.parse::<u64>().is_ok());
    is_sound.then(|| format!("{text}{missing}{build}"))
}

/// Whether a version of the form `1.N` is below `1.minor`. Any other form came later.
fn less_than(go: &str, minor: u32) -> bool {
    let Some((Ok(major), Ok(found))) = go.split_once('.').map(|(a, b)| (a.parse::<u32>(), b.parse::<u32>())) else {
        return false;
    };
    major <= 1 && found < minor
}

/// The version of the standard library: of the toolchain line, else of the go line since 1.21, when it began to name one.
pub(crate) fn toolchain_version(go: &str, toolchain: &str) -> String {
    if !toolchain.is_empty() {
        let version = toolchain.trim_start_matches("go");
        return version.split('-').next().unwrap_or_default().to_owned();
    }
    let parts: Vec<&str> = go.split('.').collect();
    let (short, full) = match (parts.as_slice(), go.split_once("rc")) {
        ([major, minor, _, ..], _) => (format!("{major}.{minor}"), go.to_owned()),
        (_, Some((before, _))) => (before.to_owned(), go.to_owned()),
        _ => (go.to_owned(), format!("{go}.0")),
    };
    if go.is_empty() || less_than(&short, 21) { String::new() } else { full }
}

/// Modules of this host live where they are named, without their major version; gopkg.in names them in a way of its own.
fn vcs(name: &str) -> Vec<Reference> {
    let path = match name.strip_prefix("gopkg.in/") {
        Some(rest) => match rest.split_once('/') {
            Some((user, package)) => package.split_once('.').map(|(package, _)| format!("{user}/{package}")),
            None => rest.split_once('.').map(|(package, _)| format!("go-{package}/{package}")),
        },
        None => name.strip_prefix("github.com/").map(|path| without_major(path).to_owned()),
    };
    let reference = |path| Reference { kind: "vcs".to_owned(), url: format!("https://github.com/{path}") };
    path.map(reference).into_iter().collect()
}

/// Without `/v2` at the end.
fn without_major(path: &str) -> &str {
    let is_major = |last: &str| {
        last.strip_prefix('v').is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()))
    };
    path.rsplit_once('/').filter(|(_, last)| is_major(last)).map_or(path, |(path, _)| path)
}

/// `go.sum`: the highest version of each module wins, for the file also lists versions that were only looked at.
pub(crate) fn sum(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let mut versions: BTreeMap<String, String> = BTreeMap::new();
    for line in text(bytes).lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(version)) = (words.next(), words.next()) else { continue };
        // Lines are in ascending order of versions.
        versions.insert(name.to_owned(), version.strip_suffix("/go.mod").unwrap_or(version).to_owned());
    }
    let one = |(name, version): (String, String)| named(&name, &version);
    Ok(versions.into_iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_filled_up_and_lose_what_says_nothing() {
        for (given, expected) in [
            ("v1", Some("v1.0.0")),
            ("v1.2", Some("v1.2.0")),
            ("v1.2.3", Some("v1.2.3")),
            ("v2.0.0+incompatible", Some("v2.0.0+incompatible")),
            ("v2.0.0+meta", Some("v2.0.0")),
            ("v0.0.0-20200101000000-abcdefabcdef", Some("v0.0.0-20200101000000-abcdefabcdef")),
            ("v1.2.3-rc.1+meta", Some("v1.2.3-rc.1")),
            ("v1-rc.1", None),
            ("v1.2+meta", None),
            ("v1.2.3.4", None),
            ("v1.x", None),
            ("1.2.3", None),
            ("master", None),
            ("v", None),
        ] {
            assert_eq!(canonical(given).as_deref(), expected, "{given}");
        }
        let text = "module m\nrequire (\n a.b/c v1\n a.b/d v1.1\n)\nreplace a.b/d v1.1.0 => a.b/e v2\ngo 1.22\n";
        let found = module(text.as_bytes(), true, false).unwrap().packages;
        let names: Vec<String> = found.iter().map(|one| format!("{}@{}", one.name, one.version)).collect();
        assert_eq!(names, ["a.b/c@v1.0.0", "a.b/e@v2.0.0", "m@"]);
    }
}
