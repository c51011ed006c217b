//! Version ranges of npm (node-semver, "Ranges"), as far as `package.json` files use them.

use semver::{Version, VersionReq};

use crate::text::ParseError;

/// Whether a version is in a range.
///
/// # Errors
/// When the range is none of versions but a tag or an address.
pub(crate) fn matches(version: &str, range: &str) -> Result<bool, ParseError> {
    let range = range.strip_prefix("npm:").unwrap_or(range);
    if !range.split("||").all(is_range) {
        return Err(ParseError::new(format!("`{range}` is no range of versions")));
    }
    let Ok(version) = Version::parse(version.trim_start_matches('v')) else { return Ok(false) };
    Ok(range.split("||").any(|part| holds(part.trim(), &version)))
}

/// Words of operators and versions only.
fn is_range(part: &str) -> bool {
    part.split_whitespace().all(|word| {
        let bare = word.trim_start_matches(['<', '>', '=', '^', '~', 'v', '!']);
        bare.is_empty() || bare == "-" || bare.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '*' | 'x' | 'X'))
    })
}

fn holds(part: &str, version: &Version) -> bool {
    if matches!(part, "" | "*" | "x" | "X") {
        return true;
    }
    if let Some((low, high)) = part.split_once(" - ") {
        return holds(&format!(">={}", low.trim()), version) && holds(&format!("<={}", high.trim()), version);
    }
    let joined = [">= ", "<= ", "> ", "< ", "^ ", "~ ", "= "]
        .iter()
        .fold(part.to_owned(), |text, operator| text.replace(operator, operator.trim_end()));
    joined.split_whitespace().all(|one| VersionReq::parse(&comparator(one)).is_ok_and(|range| within(&range, version)))
}

/// A bare version means itself, and a part of one all that begin with it.
fn comparator(text: &str) -> String {
    let plain = text.replace(['x', 'X'], "*");
    let plain = plain.replace("~>", "~");
    let bare = plain.trim_start_matches('v');
    if bare.starts_with(|c: char| c.is_ascii_digit()) { format!("={bare}") } else { plain.replacen('v', "", 1) }
}

/// Pre-releases count like releases of their number.
fn within(range: &VersionReq, version: &Version) -> bool {
    range.matches(version)
        || (!version.pre.is_empty() && range.matches(&Version::new(version.major, version.minor, version.patch)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_versions() {
        let check =
            |range, version, expected| assert_eq!(matches(version, range).ok(), expected, "{version} in {range}");
        check("^3.0.1", "3.4.0", Some(true));
        check("~1.2", "1.3.0", Some(false));
        check("1.2.3", "1.2.4", Some(false));
        check("1.2", "1.2.9", Some(true));
        check("1.x", "1.9.0", Some(true));
        check(">= 1.0.0 <2.0.0", "1.5.0", Some(true));
        check("1.0.0 - 2.0.0", "2.0.0", Some(true));
        check("^1 || ^3", "3.1.0", Some(true));
        check("", "9.0.0", Some(true));
        check("github:a/b", "1.0.0", None);
        check("latest", "1.0.0", None);
        check("^0.2.3", "0.3.0", Some(false));
    }
}
