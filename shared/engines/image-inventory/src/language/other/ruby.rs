//! `Gemfile.lock` and `*.gemspec`.

use std::collections::{BTreeMap, BTreeSet};

use crate::language::graph::package;
use crate::language::other::lines::line_at;
use crate::package::{Package, Relationship};
use crate::text::{ParseError, text};

/// `Gemfile.lock`: gems stand four blanks deep, what they need six.
pub(crate) fn bundler(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let content = text(bytes);
    let mut found: BTreeMap<&str, Package> = BTreeMap::new();
    let mut needs: Vec<(String, Vec<&str>)> = Vec::new();
    let mut direct: BTreeSet<&str> = BTreeSet::new();
    let mut asks = false;
    for (index, line) in content.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let depth = line.len().saturating_sub(line.trim_start_matches(' ').len());
        asks = match depth {
            0 => line == "DEPENDENCIES",
            2 => asks,
            _ => false,
        };
        match (depth, words.as_slice()) {
            (2, [name, ..]) if asks => drop(direct.insert(name)),
            (4, [name, version]) => {
                // The platform is a part of the version: `1.2.3-x86_64-linux`.
                let version = version.trim_matches(['(', ')']).split('-').next().unwrap_or_default();
                let one = Package {
                    relationship: Relationship::Indirect,
                    locations: vec![line_at(index)],
                    ..package(name, version)
                };
                needs.push((one.id.clone(), Vec::new()));
                found.insert(name, one);
            }
            (6, [name, ..]) => {
                if let Some((_, needs)) = needs.last_mut() {
                    needs.push(name);
                }
            }
            _ => {}
        }
    }
    for name in direct {
        if let Some(one) = found.get_mut(name) {
            one.relationship = Relationship::Direct;
        }
    }
    let ids: BTreeMap<&str, String> = found.iter().map(|(name, one)| (*name, one.id.clone())).collect();
    let mut graph: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, needs) in needs.into_iter().filter(|(_, needs)| !needs.is_empty()) {
        graph.insert(id, needs.iter().filter_map(|need| ids.get(need).cloned()).collect());
    }
    let with_needs = |mut one: Package| {
        one.depends_on = graph.remove(&one.id).unwrap_or_default();
        one.depends_on.sort();
        one
    };
    Ok(found.into_values().map(with_needs).collect())
}

/// A gem specification in Ruby: assignments to the variable of the block.
pub(crate) fn gemspec(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let content = text(bytes);
    let (mut variable, mut name, mut version, mut licenses) = ("", "", "", String::new());
    for line in content.lines().map(str::trim) {
        if line.contains("Gem::Specification.new") {
            variable = line.split_once('|').and_then(|(_, rest)| rest.rsplit_once('|')).map_or("", |(name, _)| name);
        }
        if variable.is_empty() {
            continue;
        }
        let Some(field) = line.strip_prefix(variable).and_then(|rest| rest.strip_prefix('.')) else { continue };
        if field.starts_with("name") {
            name = literal(assigned(line, ".name"));
        } else if field.starts_with("version") {
            version = literal(assigned(line, ".version"));
        } else if field.starts_with("licenses") {
            let list = in_brackets(line).split(',').map(literal);
            licenses = list.collect::<Vec<_>>().join(", ");
        } else if field.starts_with("license") {
            literal(assigned(line, ".license")).clone_into(&mut licenses);
        }
        if !name.is_empty() && !version.is_empty() && !licenses.is_empty() {
            break;
        }
    }
    if name.is_empty() || version.is_empty() {
        return Err(ParseError::new("failed to parse gemspec: it has no name or no version"));
    }
    let licenses = crate::license::split(&licenses);
    Ok(vec![Package { name: name.to_owned(), version: version.to_owned(), licenses, ..Package::default() }])
}

/// The first word that is assigned to a field.
fn assigned<'a>(line: &'a str, field: &str) -> &'a str {
    line.match_indices(field)
        .filter_map(|(at, _)| line.get(at.saturating_add(field.len())..))
        .find_map(|rest| rest.trim_start().strip_prefix('='))
        .and_then(|value| value.split_whitespace().next())
        .unwrap_or_default()
}

/// `.licenses = [..]`
fn in_brackets(line: &str) -> &str {
    let value = line.split_once(".licenses").and_then(|(_, rest)| rest.trim_start().strip_prefix('='));
    let list = value.and_then(|value| value.trim_start().strip_prefix('['));
    list.and_then(|list| list.rsplit_once(']')).map_or("", |(inner, _)| inner)
}

/// Without quotes and `.freeze`.
fn literal(value: &str) -> &str {
    let value = value.trim();
    value.strip_suffix(".freeze").unwrap_or(value).trim_matches(['\'', '"'])
}
