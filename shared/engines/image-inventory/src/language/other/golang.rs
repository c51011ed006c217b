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
            ("module", [name, ..]) => root.clone_from(name),
            ("go", [version, ..]) => go.clone_from(version),
            ("toolchain", [name, ..]) => chain.clone_from(name),
            ("require", [name, version, ..]) => required.push((name.clone(), version.clone(), indirect)),
            ("replace", words) => replaced.extend(replacement(words)),
            _ => {}
        }
    }
    if root.is_empty() && required.is_empty() && !content.trim().is_empty() {
        return Err(ParseError::new("go.mod parse error: it names no module"));
    }
    let is_complete = at_least(&go, 17);
    if !is_complete {
        required.retain(|(_, _, indirect)| !indirect);
    }
    let mut packages = Vec::new();
    for (mut name, mut version, indirect) in required {
        if replace
            && let Some(new) = replaced.iter().find(|one| one[0] == name && (one[1].is_empty() || one[1] == version))
        {
            // A folder in the place of a module is no package.
            if new[3].is_empty() {
                continue;
            }
            (name, version) = (new[2].clone(), new[3].clone());
        }
        let relationship = Relationship::direct(!indirect);
        packages.push(Package { relationship, references: vcs(&name), ..package(&name, &version) });
    }
    let library = toolchain_version(&go, &chain);
    if toolchain && !library.is_empty() {
        let version = format!("v{library}");
        packages.push(Package { relationship: Relationship::Direct, ..package("stdlib", &version) });
    }
    if !root.is_empty() {
        let mut needs: Vec<String> =
            packages.iter().filter(|one| one.relationship == Relationship::Direct).map(|one| one.id.clone()).collect();
        needs.sort();
        let references = vcs(&root);
        packages.push(Package {
            relationship: Relationship::Root,
            depends_on: needs,
            references,
            ..package(&root, "")
        });
    }
    Ok(Module { packages })
}

/// Statements with their directive, blocks in parentheses included, and whether `// indirect` follows.
fn statements(content: &str) -> Vec<(String, Vec<String>, bool)> {
    let (mut statements, mut block) = (Vec::new(), String::new());
    for line in content.lines() {
        let (code, comment) = line.split_once("//").unwrap_or((line, ""));
        let mut words: Vec<String> =
            code.split_whitespace().map(|word| word.trim_matches(['"', '`']).to_owned()).collect();
        let indirect = comment.trim().starts_with("indirect");
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
    let arrow = words.iter().position(|word| word == "=>")?;
    let word = |at: usize| words.get(at).cloned().unwrap_or_default();
    let old_version = if arrow > 1 { word(1) } else { String::new() };
    Some([word(0), old_version, word(arrow.saturating_add(1)), word(arrow.saturating_add(2))])
}

fn at_least(go: &str, minor: u32) -> bool {
    let mut parts = go.split('.');
    let major = parts.next().and_then(|part| part.parse::<u32>().ok()).unwrap_or(0);
    let found: String = parts.next().unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
    major > 1 || (major == 1 && found.parse::<u32>().is_ok_and(|found| found >= minor))
}

/// The version of the standard library: of the toolchain line, else of the go line since 1.21, when it began to name one.
pub(crate) fn toolchain_version(go: &str, toolchain: &str) -> String {
    if !toolchain.is_empty() {
        let version = toolchain.trim_start_matches("go");
        return version.split('-').next().unwrap_or_default().to_owned();
    }
    if !at_least(go, 21) {
        return String::new();
    }
    let is_short = go.split('.').count() == 2 && go.chars().all(|c| c.is_ascii_digit() || c == '.');
    if is_short { format!("{go}.0") } else { go.to_owned() }
}

/// Modules of this host live where they are named, and gopkg.in names them in a way of its own.
fn vcs(name: &str) -> Vec<Reference> {
    let vanity = name.strip_prefix("gopkg.in/").and_then(|rest| {
        let (path, _) = rest.rsplit_once(".v")?;
        Some(if path.contains('/') { path.to_owned() } else { format!("go-{path}/{path}") })
    });
    if let Some(path) = vanity {
        return vec![Reference { kind: "vcs".to_owned(), url: format!("https://github.com/{path}") }];
    }
    let mut parts = name.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("github.com"), Some(owner), Some(repository)) => {
            vec![Reference { kind: "vcs".to_owned(), url: format!("https://github.com/{owner}/{repository}") }]
        }
        _ => Vec::new(),
    }
}

/// `go.sum`: the highest version of each module wins, for the file also lists versions that were only looked at.
pub(crate) fn sum(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let mut versions: BTreeMap<String, String> = BTreeMap::new();
    for line in text(bytes).lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(version)) = (words.next(), words.next()) else { continue };
        // Lines are in ascending order of versions.
        versions.insert(name.to_owned(), version.trim_end_matches("/go.mod").to_owned());
    }
    let one = |(name, version): (String, String)| Package { id: String::new(), ..package(&name, &version) };
    Ok(versions.into_iter().map(one).collect())
}
