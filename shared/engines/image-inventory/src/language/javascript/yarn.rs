//! `yarn.lock`, classic and berry.

use std::collections::BTreeMap;

use crate::language::graph::{package, unique};
use crate::package::{LineRange, Package};
use crate::text::{ParseError, line_number, text};

/// Parses a lock file. Packages that do not come from a registry (git, file, link, workspace) are left out.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    parse_with_patterns(bytes).map(|(packages, _)| packages)
}

/// Packages, and which pattern (`name@range`) stands for which id.
pub(crate) fn parse_with_patterns(bytes: &[u8]) -> Result<(Vec<Package>, BTreeMap<String, String>), ParseError> {
    let content = text(bytes);
    let mut patterns: BTreeMap<String, String> = BTreeMap::new();
    let mut found: Vec<(Package, Vec<String>)> = Vec::new();
    for block in blocks(&content) {
        let Some((name, protocol, ranges)) = patterns_of(block.header) else { continue };
        let known = matches!(protocol.as_str(), "" | "npm");
        if block.version.is_empty() || !known {
            continue;
        }
        let mut package = package(&name, block.version);
        package.locations = vec![block.lines];
        patterns.extend(ranges.into_iter().map(|range| (range, package.id.clone())));
        found.push((package, block.needs));
    }
    let resolve = |(mut package, needs): (Package, Vec<String>)| {
        package.depends_on = needs.iter().filter_map(|need| patterns.get(need).cloned()).collect();
        package
    };
    let packages = unique(found.into_iter().map(resolve).collect());
    Ok((packages, patterns))
}

struct Block<'a> {
    header: &'a str,
    version: &'a str,
    needs: Vec<String>,
    lines: LineRange,
}

fn blocks(content: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut in_needs = false;
    for (index, line) in content.lines().enumerate() {
        let number = line_number(index.saturating_add(1));
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if !line.starts_with(' ') {
            in_needs = false;
            blocks.push(Block {
                header: line,
                version: "",
                needs: Vec::new(),
                lines: LineRange { start: number, end: number },
            });
            continue;
        }
        let Some(block) = blocks.last_mut() else { continue };
        block.lines.end = number;
        let indent = line.len().saturating_sub(line.trim_start().len());
        let field = line.trim();
        if indent <= 2 {
            in_needs = matches!(field, "dependencies:" | "optionalDependencies:");
            let (key, value) = field.split_once([' ', ':']).unwrap_or((field, ""));
            if key.trim_matches('"') == "version" {
                block.version = value.trim_start_matches(':').trim().trim_matches('"');
            }
        } else if in_needs
            && indent == 4
            && let Some((name, range, _)) = need_of(line)
        {
            block.needs.push(format!("{name}@{range}"));
        }
    }
    blocks
}

/// One line of `dependencies`: name, range, protocol.
pub(crate) fn need_of(line: &str) -> Option<(String, String, String)> {
    let field = line.trim();
    let (name, range) = match field.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        Some(split) => split,
        None => field.split_once([' ', ':'])?,
    };
    let range = range.trim_start_matches(':').trim().trim_matches('"');
    let (protocol, range) = match range.split_once(':') {
        Some((protocol, rest)) if protocol.chars().all(|c| c.is_ascii_alphanumeric() || c == '+') => (protocol, rest),
        _ => ("", range),
    };
    Some((name.to_owned(), range.to_owned(), protocol.to_owned()))
}

/// One pattern: name, protocol, range.
pub(crate) fn pattern_of(target: &str) -> Option<(String, String, String)> {
    let pattern = target.trim().trim_end_matches(':').trim_matches('"');
    let at = pattern.get(1..)?.find('@')?.saturating_add(1);
    let (name, rest) = pattern.split_at_checked(at)?;
    let rest = rest.strip_prefix('@')?;
    // `patch:` and aliases hold a whole pattern again; their protocol is what counts.
    let (protocol, range) = match rest.split_once(':') {
        Some((protocol, range)) if protocol.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-')) => {
            (protocol, range)
        }
        _ => ("", rest),
    };
    Some((name.to_owned(), protocol.to_owned(), range.to_owned()))
}

/// The patterns of a header: name and protocol of the first, and all as `name@range`.
pub(crate) fn patterns_of(header: &str) -> Option<(String, String, Vec<String>)> {
    let header = header.trim().trim_end_matches(':');
    let mut parts = header.split(", ").map(|part| part.trim().trim_matches('"'));
    let first = pattern_of(parts.next()?)?;
    let mut patterns = vec![format!("{}@{}", first.0, first.2)];
    patterns.extend(parts.filter_map(pattern_of).map(|(name, _, range)| format!("{name}@{range}")));
    Some((first.0, first.1, patterns))
}
