//! `requirements.txt` (pip's requirements file format).

use crate::language::python::version::Version;
use crate::package::{LineRange, Package};
use crate::text::{ParseError, line_number, text};

/// Parses pinned requirements; with `minimum`, the lowest version that a range allows counts as pinned.
pub(crate) fn parse(bytes: &[u8], minimum: bool) -> Result<Vec<Package>, ParseError> {
    let content = if bytes.starts_with(&[0xff, 0xfe]) { utf16(bytes) } else { text(bytes).into_owned() };
    let mut packages = Vec::new();
    for (index, line) in content.lines().enumerate() {
        let Some((name, version)) = requirement(line, minimum) else { continue };
        let number = line_number(index.saturating_add(1));
        packages.push(Package {
            name,
            version,
            locations: vec![LineRange { start: number, end: number }],
            ..Package::default()
        });
    }
    Ok(packages)
}

/// `name[extras] == version, ... ; marker --hash=... # comment`
fn requirement(line: &str, minimum: bool) -> Option<(String, String)> {
    let plain = without_extras(&line.replace([' ', '\\'], ""));
    let plain = ["#", ";", "--"].iter().fold(plain.as_str(), |line, end| line.split(end).next().unwrap_or_default());
    let end = plain.find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-')))?;
    let (name, clauses) = plain.split_at_checked(end).filter(|(name, _)| !name.is_empty())?;
    let operators: &[&str] = if minimum { &["~=", ">=", "=="] } else { &["=="] };
    let stated = operators.iter().find_map(|operator| clauses.split(',').find_map(|one| one.strip_prefix(operator)))?;
    let version = match stated.strip_suffix(".*").filter(|_| minimum) {
        Some(stem) => format!("{stem}.0"),
        None => stated.to_owned(),
    };
    Version::parse(&version).map(|_| (name.to_owned(), version))
}

fn without_extras(line: &str) -> String {
    let (start, end) = (line.find('['), line.find(']'));
    match (start, end) {
        (Some(start), Some(end)) if start < end => {
            let tail = line.get(end.saturating_add(1)..).unwrap_or_default();
            format!("{}{tail}", line.get(..start).unwrap_or_default())
        }
        _ => line.to_owned(),
    }
}

fn utf16(bytes: &[u8]) -> String {
    let pairs = bytes.chunks_exact(2).skip(1);
    let units =
        pairs.map(|pair| u16::from_le_bytes([pair.first().copied().unwrap_or(0), pair.last().copied().unwrap_or(0)]));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}
