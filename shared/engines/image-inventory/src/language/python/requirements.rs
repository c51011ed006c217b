//! `requirements.txt` (pip's requirements file format).

use crate::language::python::version::Version;
use crate::package::{LineRange, Package};
use crate::text::{ParseError, line_number, text};

/// Parses pinned requirements; with `minimum`, the lowest version that a range allows counts as pinned.
pub(crate) fn parse(bytes: &[u8], minimum: bool) -> Result<Vec<Package>, ParseError> {
    let content = match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => text(bytes).into_owned(),
    };
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

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.chunks_exact(2).map(|pair| match pair {
        [first, second] => unit([*first, *second]),
        _ => 0,
    });
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8], minimum: bool) -> Vec<(String, String)> {
        parse(bytes, minimum).unwrap().into_iter().map(|one| (one.name, one.version)).collect()
    }

    #[test]
    fn clauses_count_by_their_operator() {
        for (line, pinned, minimum) in [
            ("a == 1.0 , != 2", Some("1.0"), Some("1.0")),
            ("a>=1.0,<2", None, Some("1.0")),
            ("a==1.*,>=1.2", None, Some("1.2")),
            ("a<2,>=1", None, Some("1")),
            ("a>=1,~=1.1", None, Some("1.1")),
            ("a==1.4.*", None, Some("1.4.0")),
            ("a[x,y]==1 ; python_version<'3' # why", Some("1"), Some("1")),
            ("a===1", None, None),
        ] {
            let expected = |version: Option<&str>| version.map(|one| vec![("a".to_owned(), one.to_owned())]);
            assert_eq!(found(line.as_bytes(), false), expected(pinned).unwrap_or_default(), "{line}");
            assert_eq!(found(line.as_bytes(), true), expected(minimum).unwrap_or_default(), "{line}");
        }
    }

    #[test]
    fn every_byte_order_is_read() {
        let bytes = |mark: [u8; 2], unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
            mark.into_iter().chain("a==1\r\nb==2\r\n".encode_utf16().flat_map(unit)).collect()
        };
        for text in [bytes([0xff, 0xfe], u16::to_le_bytes), bytes([0xfe, 0xff], u16::to_be_bytes)] {
            assert_eq!(found(&text, false).len(), 2);
        }
        assert_eq!(found(b"\xef\xbb\xbfa==1\n", false).len(), 1);
    }
}
