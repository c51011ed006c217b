//! `Gemfile.lock` and `*.gemspec`.

use std::collections::{BTreeMap, BTreeSet};

use crate::language::graph::package;
use crate::language::other::lines::line_at;
use crate::package::{Package, Relationship};
use crate::text::{ParseError, text};

/// `Gemfile.lock`: gems stand four blanks deep, what they need six.
pub(crate) fn bundler(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let content = text(bytes);
    let mut found: Vec<(Package, Vec<&str>)> = Vec::new();
    let mut direct: BTreeSet<&str> = BTreeSet::new();
    let mut section = "";
    for (index, line) in content.lines().enumerate() {
        if !line.starts_with(' ') {
            section = line.trim();
            continue;
        }
        let depth = line.len().saturating_sub(line.trim_start().len());
        let bare = line.trim();
        let name = bare.split([' ', '!']).next().unwrap_or_default();
        match (section, depth) {
            ("DEPENDENCIES", 2) => drop(direct.insert(name)),
            ("GEM" | "GIT" | "PATH", 4) => {
                let Some((_, version)) = bare.split_once(" (") else { continue };
                // The platform is a part of the version: `1.2.3-x86_64-linux`.
                let version = version.trim_end_matches(')').split('-').next().unwrap_or_default();
                let mut one = package(name, version);
                one.locations = vec![line_at(index)];
                found.push((one, Vec::new()));
            }
            ("GEM" | "GIT" | "PATH", 6) => {
                if let Some((_, needs)) = found.last_mut() {
                    needs.push(name);
                }
            }
            _ => {}
        }
    }
    let ids: BTreeMap<String, String> = found.iter().map(|(one, _)| (one.name.clone(), one.id.clone())).collect();
    let resolve = |(mut one, needs): (Package, Vec<&str>)| {
        one.relationship = Relationship::direct(direct.contains(one.name.as_str()));
        one.depends_on = needs.iter().filter_map(|need| ids.get(*need).cloned()).collect();
        one.depends_on.sort();
        one
    };
    Ok(crate::language::graph::unique(found.into_iter().map(resolve).collect()))
}

/// A gem specification in Ruby: assignments to the variable of the block.
pub(crate) fn gemspec(bytes: &[u8]) -> Result<Vec<Package>, ParseError> {
    let content = text(bytes);
    let (mut variable, mut name, mut version, mut licenses) = ("", "", "", Vec::new());
    for line in content.lines().map(str::trim) {
        if let Some((_, rest)) = line.split_once("Gem::Specification.new") {
            variable = rest.split('|').nth(1).unwrap_or_default().trim();
            continue;
        }
        let Some(field) =
            line.strip_prefix(variable).and_then(|rest| rest.strip_prefix('.')).filter(|_| !variable.is_empty())
        else {
            continue;
        };
        let Some((key, value)) = field.split_once('=') else { continue };
        match key.trim() {
            "name" => name = literal(value),
            "version" => version = literal(value),
            "license" => licenses.push(literal(value).to_owned()),
            "licenses" => licenses.extend(literals(value).map(str::to_owned)),
            _ => {}
        }
    }
    if name.is_empty() || version.is_empty() {
        return Err(ParseError::new("failed to parse gemspec: it has no name or no version"));
    }
    licenses.retain(|license| !license.is_empty());
    Ok(vec![Package { name: name.to_owned(), version: version.to_owned(), licenses, ..Package::default() }])
}

/// The first quoted text.
fn literal(value: &str) -> &str {
    let quoted = |quote| value.split_once(quote).and_then(|(_, rest)| rest.split_once(quote)).map(|(text, _)| text);
    let (double, single) = (value.find('"'), value.find('\''));
    match (double, single) {
        (Some(double), Some(single)) if single < double => quoted('\''),
        (Some(_), _) => quoted('"'),
        (None, _) => quoted('\''),
    }
    .unwrap_or_default()
}

/// Quoted texts of a list; a lone text is no list.
fn literals(value: &str) -> impl Iterator<Item = &str> {
    let list = value.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("", |(inner, _)| inner);
    list.split(',').map(literal).filter(|text| !text.is_empty())
}
