//! `requirements.txt` (pip's requirements file format).

use crate::package::{LineRange, Package};
use crate::text::{ParseError, line_number, text};

/// Parses pinned requirements; with `minimum`, the lowest version that a range allows counts as pinned.
pub(crate) fn parse(bytes: &[u8], minimum: bool) -> Result<Vec<Package>, ParseError> {
    let content = if bytes.starts_with(&[0xff, 0xfe]) { utf16(bytes) } else { text(bytes).into_owned() };
    let mut packages = Vec::new();
    for (index, line) in content.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let line = line.split(';').next().unwrap_or_default();
        let line = line.split(" --").next().unwrap_or_default().trim().trim_end_matches('\\').trim();
        let Some((name, version)) = requirement(line, minimum) else { continue };
        let number = line_number(index.saturating_add(1));
        packages.push(Package {
            name: name.to_owned(),
            version,
            locations: vec![LineRange { start: number, end: number }],
            ..Package::default()
        });
    }
    Ok(packages)
}

fn requirement(line: &str, minimum: bool) -> Option<(&str, String)> {
    let end = line.find(['=', '<', '>', '!', '~', '['])?;
    let name = line.get(..end)?.trim();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if !is_name {
        return None;
    }
    let rest = line.get(end..)?;
    let rest = if rest.starts_with('[') { rest.split_once(']')?.1 } else { rest };
    let clauses: Vec<&str> = rest.split(',').map(str::trim).collect();
    let exact = match clauses.as_slice() {
        [one] => one.strip_prefix("==").map(|version| version.trim_start_matches('=').trim()),
        _ => None,
    };
    if let Some(version) = exact.filter(|version| is_version(version)) {
        return Some((name, version.to_owned()));
    }
    if !minimum {
        return None;
    }
    let lowest = |clause: &&str| {
        let version = [">=", "~=", "=="].iter().find_map(|operator| clause.strip_prefix(operator))?.trim();
        is_version(version).then(|| version.to_owned())
    };
    if let Some(version) = clauses.iter().find_map(lowest) {
        return Some((name, version));
    }
    // `==2.0.*` begins at 2.0.0; more than one star is no version.
    let stem = exact?.strip_suffix(".*")?;
    let has_three = stem.split('.').count() >= 2;
    (is_version(stem) && has_three).then(|| (name, format!("{stem}.0")))
}

/// Looks like a version of PEP 440.
fn is_version(text: &str) -> bool {
    let text = text.trim_start_matches('v');
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '_' | '!'))
}

fn utf16(bytes: &[u8]) -> String {
    let pairs = bytes.chunks_exact(2).skip(1);
    let units =
        pairs.map(|pair| u16::from_le_bytes([pair.first().copied().unwrap_or(0), pair.last().copied().unwrap_or(0)]));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}
