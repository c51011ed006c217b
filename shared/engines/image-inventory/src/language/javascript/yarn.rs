//! `yarn.lock`, classic and berry.

use std::collections::BTreeMap;

use crate::language::graph::{id, package, unique};
use crate::package::{LineRange, Package};
use crate::text::{ParseError, line_number, text};

/// Parses a lock file. Packages that do not come from a registry (git, file, link, workspace) are left out.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    parse_with_patterns(bytes).map(|(packages, _)| packages)
}

/// The patterns (`name@range`) that each id stands for.
pub(crate) type Patterns = BTreeMap<String, Vec<String>>;

/// Packages, and the patterns that each stands for.
pub(crate) fn parse_with_patterns(bytes: &[u8]) -> Result<(Vec<Package>, Patterns), ParseError> {
    let content = text(bytes);
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    let mut patterns = Patterns::new();
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut packages: Vec<Package> = Vec::new();
    for block in blocks(&content) {
        let Some(entry) = block.entry() else { continue };
        let mut one = package(&entry.name, &entry.version);
        one.locations = vec![block.lines()];
        ids.extend(entry.patterns.iter().map(|pattern| (pattern.clone(), one.id.clone())));
        patterns.insert(one.id.clone(), entry.patterns);
        if !entry.needs.is_empty() {
            needs.insert(one.id.clone(), entry.needs);
        }
        packages.push(one);
    }
    let mut packages = unique(packages);
    for one in &mut packages {
        let wanted = needs.get(&one.id).into_iter().flatten();
        one.depends_on = wanted.filter_map(|need| ids.get(need).cloned()).collect();
        one.depends_on.sort();
        one.depends_on.dedup();
    }
    Ok((packages, patterns))
}

/// Lines between empty lines.
struct Block<'a> {
    lines: Vec<&'a str>,
    /// Number of its first line.
    start: usize,
}

fn blocks(content: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut is_open = false;
    for (index, line) in content.lines().enumerate() {
        if line.is_empty() {
            is_open = false;
            continue;
        }
        match blocks.last_mut().filter(|_| is_open) {
            Some(block) => block.lines.push(line),
            None => blocks.push(Block { lines: vec![line], start: index.saturating_add(1) }),
        }
        is_open = true;
    }
    blocks
}

#[derive(Default)]
struct Lines {
    name: String,
    version: String,
    patterns: Vec<String>,
    needs: Vec<String>,
}

impl Block<'_> {
    fn lines(&self) -> LineRange {
        let end = self.start.saturating_add(self.lines.len()).saturating_sub(1);
        LineRange { start: line_number(self.start), end: line_number(end) }
    }

    /// What the block says; nothing when it is no package of a registry.
    fn entry(&self) -> Option<Lines> {
        let mut found = Lines::default();
        let mut lines = self.lines.iter();
        while let Some(line) = lines.next() {
            if line.starts_with('#') {
                continue;
            }
            if line.starts_with("__metadata") {
                return None;
            }
            let field = line.trim();
            let field = field.strip_prefix('"').unwrap_or(field);
            if field.starts_with("version") {
                found.version = version_of(field)?.to_owned();
            } else if field.starts_with("dependencies:") {
                let wanted = lines.by_ref().map_while(|line| need_of(line));
                let registry = wanted.filter(|(name, ..)| !name.is_empty());
                found.needs = registry.map(|(name, range, _)| id(&name, &range)).collect();
            } else if let Some((name, protocol, patterns)) = patterns_of(field) {
                if !is_registry(&protocol) {
                    return None;
                }
                (found.name, found.patterns) = (name, patterns);
            }
        }
        (!found.name.is_empty()).then_some(found)
    }
}

fn is_registry(protocol: &str) -> bool {
    matches!(protocol, "" | "npm")
}

/// `version "1.0.0"`, `version: 1.0.0`
fn version_of(field: &str) -> Option<&str> {
    let rest = field.strip_prefix("version")?;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let rest = rest.strip_prefix('"').unwrap_or(rest);
    let value = rest.trim_start();
    if value.len() == rest.len() {
        return None;
    }
    let value = value.strip_prefix('"').unwrap_or(value);
    value.split('"').next().filter(|value| !value.is_empty())
}

/// One line of `dependencies`: name, range, protocol. Name and range are empty where the protocol is none of a registry.
pub(crate) fn need_of(line: &str) -> Option<(String, String, String)> {
    let indent = line.find(|c: char| !c.is_ascii_whitespace())?;
    if indent < 4 {
        return None;
    }
    let field = line.get(indent..)?;
    let field = field.strip_prefix('"').unwrap_or(field);
    let blank = field.char_indices().skip(1).find(|(_, c)| c.is_ascii_whitespace()).map(|(at, _)| at)?;
    let (name, rest) = field.split_at_checked(blank)?;
    let name = name.strip_suffix(':').unwrap_or(name);
    let name = name.strip_suffix('"').unwrap_or(name);
    let value = rest.get(1..)?;
    let value = value.strip_prefix('"').unwrap_or(value);
    let (protocol, range) = split_protocol(value);
    let range = range.split('"').next().filter(|range| !range.is_empty())?;
    if !is_registry(protocol) {
        return Some((String::new(), String::new(), protocol.to_owned()));
    }
    Some((name.to_owned(), range.to_owned(), protocol.to_owned()))
}

/// `protocol:` before a range: no blanks before the first colon, and something behind it.
fn split_protocol(text: &str) -> (&str, &str) {
    match text.split_once(':') {
        Some((protocol, rest))
            if !protocol.is_empty()
                && !protocol.contains(|c: char| c.is_ascii_whitespace())
                && !rest.trim_matches(['"', ':', '\\']).is_empty() =>
        {
            (protocol, rest)
        }
        _ => ("", text),
    }
}

/// One pattern: name, protocol, range.
pub(crate) fn pattern_of(target: &str) -> Option<(String, String, String)> {
    let pattern = target.strip_prefix(|c: char| c.is_ascii_whitespace()).unwrap_or(target);
    let pattern = pattern.strip_prefix('\\').unwrap_or(pattern);
    let pattern = pattern.strip_prefix('"').unwrap_or(pattern);
    let pattern = pattern.strip_suffix(':').unwrap_or(pattern);
    let pattern = pattern.strip_suffix('"').unwrap_or(pattern);
    let pattern = pattern.strip_suffix('\\').unwrap_or(pattern);
    // The name may begin with the sign that ends it.
    let at = pattern.char_indices().skip(1).find(|(_, c)| *c == '@').map(|(at, _)| at)?;
    let (name, rest) = pattern.split_at_checked(at)?;
    let rest = rest.get(1..).filter(|rest| !rest.is_empty())?;
    if name.contains(|c: char| c.is_ascii_whitespace()) {
        return None;
    }
    let (protocol, range) = split_protocol(rest);
    Some((name.to_owned(), protocol.to_owned(), range.to_owned()))
}

/// The patterns of a header: name and protocol of the first, and all as `name@range`.
pub(crate) fn patterns_of(header: &str) -> Option<(String, String, Vec<String>)> {
    let (name, protocol, _) = pattern_of(header.split(", ").next()?)?;
    let ranges = header.split(", ").map(|part| pattern_of(part).map(|(_, _, range)| range).unwrap_or_default());
    let patterns = ranges.map(|range| id(&name, &range)).collect();
    Some((name, protocol, patterns))
}
