//! Version ranges of npm (node-semver, "Ranges"), as far as `package.json` files use them.

use semver::{Version, VersionReq};

/// Whether a version is in a range. What is no range of versions (a tag, an address) holds nothing.
pub(crate) fn matches(version: &str, range: &str) -> bool {
    let Ok(version) = Version::parse(version.trim_start_matches('v')) else { return false };
    range.split("||").any(|part| holds(part.trim(), &version))
}

fn holds(part: &str, version: &Version) -> bool {
    if matches!(part, "" | "*" | "x" | "X" | "latest") {
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
        let check = |range, version, expected| assert_eq!(matches(version, range), expected, "{version} in {range}");
        check("^3.0.1", "3.4.0", true);
        check("~1.2", "1.3.0", false);
        check("1.2.3", "1.2.4", false);
        check("1.2", "1.2.9", true);
        check("1.x", "1.9.0", true);
        check(">= 1.0.0 <2.0.0", "1.5.0", true);
        check("1.0.0 - 2.0.0", "2.0.0", true);
        check("^1 || ^3", "3.1.0", true);
        check("", "9.0.0", true);
        check("github:a/b", "1.0.0", false);
        check("^0.2.3", "0.3.0", false);
    }
}
