//! Licences: names as package managers write them, split and never judged; texts by what they say.

pub(crate) mod classify;
pub(crate) mod spdx;

/// Splits a licence field at commas, `and` and `or`; `Version 2.0`, `or later` and `or Lesser` stay with their licence.
pub(crate) fn split(text: &str) -> Vec<String> {
    let mut licenses: Vec<String> = Vec::new();
    if text.is_empty() {
        return licenses;
    }
    let lower = text.to_lowercase();
    if TEXT_WORDS.iter().any(|word| lower.contains(word)) {
        return vec![format!("text://{text}")];
    }
    for part in parts(text) {
        let first = part.split(' ').next().unwrap_or_default().to_ascii_lowercase();
        match (licenses.last_mut(), first.as_str()) {
            (Some(last), "ver" | "version") => {
                last.push_str(", ");
                last.push_str(part);
            }
            (Some(last), "later") => {
                last.push_str(" or ");
                last.push_str(part);
            }
            // Names with a conjunction inside; the rest of any other name that goes on so is dropped.
            (Some(last), "lesser" | "distribution" | "disclaimer") => {
                let whole = [" or ", " and "].map(|joiner| format!("{last}{joiner}{part}"));
                if let Some(name) = whole.into_iter().find(|name| WITH_CONJUNCTION.contains(&name.as_str())) {
                    *last = name;
                }
            }
            _ => licenses.push(part.to_owned()),
        }
    }
    licenses
}

/// Words of a text of a licence; no name has them.
const TEXT_WORDS: [&str; 11] = [
    "http://",
    "https://",
    "(c)",
    "as-is",
    ";",
    "hereby",
    "permission to use",
    "permission is",
    "use in source",
    "use, copy, modify",
    "using",
];

const WITH_CONJUNCTION: [&str; 3] = [
    "GNU Library or Lesser General Public License (LGPL)",
    "Common Development and Distribution License 1.0 (CDDL-1.0)",
    "Historical Permission Notice and Disclaimer (HPND)",
];

/// The pieces between `,? (or|and) ` and `, *`, where a blank may also be an underscore.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut at) = (Vec::new(), 0_usize, 0_usize);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let separator = conjunction(rest).or_else(|| comma(rest));
        match separator {
            Some(length) => {
                parts.push(text.get(start..at).unwrap_or_default());
                at = at.saturating_add(length);
                start = at;
            }
            None => at = at.saturating_add(rest.chars().next().map_or(1, char::len_utf8)),
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

fn conjunction(rest: &str) -> Option<usize> {
    let blank = |c: char| matches!(c, ' ' | '_');
    let after_comma = rest.strip_prefix(',').unwrap_or(rest);
    let word = after_comma.trim_start_matches(blank);
    if word.len() == after_comma.len() {
        return None;
    }
    let tail = ["or", "and"].iter().find_map(|joiner| {
        let (head, tail) = word.split_at_checked(joiner.len())?;
        head.eq_ignore_ascii_case(joiner).then_some(tail)
    })?;
    let end = tail.trim_start_matches(blank);
    (end.len() < tail.len()).then(|| rest.len().saturating_sub(end.len()))
}

fn comma(rest: &str) -> Option<usize> {
    let tail = rest.strip_prefix(',')?;
    Some(rest.len().saturating_sub(tail.trim_start_matches(' ').len()))
}

/// The names in a licence expression of words, operators left out: `MIT BSD GPL2+`, `( Apache-2.0 OR MIT ) AND MPL-2.0`.
pub(crate) fn of_words(text: &str) -> Vec<String> {
    let operator = |word: &&str| !matches!(word.to_ascii_lowercase().as_str(), "and" | "or" | "with" | "");
    text.split_whitespace().map(|word| word.trim_matches(['(', ')', ','])).filter(operator).map(normal).collect()
}

/// The SPDX identifiers of names that have one, the names themselves otherwise; each once.
pub(crate) fn normal_all(names: &[String]) -> Vec<String> {
    let mut normal: Vec<String> = Vec::with_capacity(names.len());
    for name in names.iter().map(|name| model::license::normal_license(name)) {
        if !name.is_empty() && !normal.contains(&name) {
            normal.push(name);
        }
    }
    normal
}

/// The SPDX name of a well-known spelling, the text as it is otherwise. `GPL` without a version means any that the FSF published.
pub(crate) fn normal(name: &str) -> String {
    let upper = name.trim().to_ascii_uppercase();
    for family in ["LGPL", "AGPL", "GFDL", "GPL"] {
        let Some(rest) = upper.strip_prefix(family) else { continue };
        let rest = rest.trim_start_matches([' ', '-', '_']).trim_start_matches('V');
        let (number, is_open) = match rest.strip_suffix('+').or_else(|| rest.strip_suffix("-OR-LATER")) {
            Some(number) => (number, true),
            None => (rest.strip_suffix("-ONLY").unwrap_or(rest), rest.is_empty()),
        };
        if !number.chars().all(|c| c.is_ascii_digit() || c == '.') {
            return name.to_owned();
        }
        let number = match (number, family) {
            ("", "AGPL") => "3.0".to_owned(),
            ("", _) => "2.0".to_owned(),
            (number, _) if number.contains('.') => number.to_owned(),
            (number, _) => format!("{number}.0"),
        };
        let suffix = if is_open { "or-later" } else { "only" };
        return format!("{family}-{number}-{suffix}");
    }
    let known = match upper.as_str() {
        "BSD" => "BSD-3-Clause",
        "ZLIB" => "Zlib",
        "OPENSSL" => "OpenSSL",
        "MIT" => "MIT",
        "ISC" => "ISC",
        "ARTISTIC" => "Artistic-2.0",
        "APACHE-2" | "APACHE2" | "APACHE 2.0" | "ASL 2.0" => "Apache-2.0",
        "MPL-1.1" => "MPL-1.1",
        "MPL-2" => "MPL-2.0",
        _ => return name.to_owned(),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_names_and_keeps_versions() {
        let check = |text: &str, expected: &[&str]| assert_eq!(split(text), expected, "{text}");
        check("", &[]);
        check("MIT", &["MIT"]);
        check("MIT or Apache-2.0", &["MIT", "Apache-2.0"]);
        check("MIT, BSD-3-Clause and ISC", &["MIT", "BSD-3-Clause", "ISC"]);
        check("Apache License, Version 2.0", &["Apache License, Version 2.0"]);
        check("LGPL v2 or later (LGPLv2+)", &["LGPL v2 or later (LGPLv2+)"]);
        check("GPLv3_or_BSD", &["GPLv3", "BSD"]);
    }
}
