//! Names of licences as package managers write them: by habit, by family and number, by address, or in full.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::identifier;

/// Identifier without suffix and whether later versions will do.
pub(super) fn known(name: &str) -> Option<(String, bool)> {
    let key = Key::of(name);
    // An abbreviation at the end says it best: `GNU General Public License v3 or later (GPLv3+)`.
    let short = key.text.strip_suffix(')').and_then(|text| text.rsplit_once('(')).map(|(_, short)| short);
    let short = short.filter(|short| short.contains(|c: char| c.is_ascii_digit()) && !short.contains(' '));
    if let Some(found) = short.and_then(known) {
        return Some(found);
    }
    if key.text.starts_with("HTTP") {
        return address(&key.text).map(|id| (id, false));
    }
    let has_words_of_exception = key.text.contains("CLASSPATH EXCEPTION") && key.text.contains('2');
    if has_words_of_exception && key.text.starts_with('G') {
        return Some(("GPL-2.0-with-classpath-exception".to_owned(), false));
    }
    if let Some(id) = alias(&key.text) {
        return Some((id.to_owned(), key.or_later));
    }
    if let Some((id, open)) = family(&key.text) {
        return Some((id, key.or_later || open));
    }
    let by_name = identifier(&key.text).or_else(|| full_name(&key.text));
    by_name.map(|id| (id.to_owned(), key.or_later))
}

/// The licence that is published at an address.
fn address(key: &str) -> Option<String> {
    let (_, path) = key.split_once("://")?;
    let path = path.strip_prefix("WWW.").unwrap_or(path);
    let mut parts = path.trim_end_matches('/').split('/');
    let found = match (parts.next()?, parts.next()?, parts.next()?, parts.next()) {
        ("CREATIVECOMMONS.ORG", "LICENSES", kind, Some(number)) => format!("CC-{kind}-{number}"),
        ("CREATIVECOMMONS.ORG", "PUBLICDOMAIN", "ZERO", Some(number)) => format!("CC0-{number}"),
        ("APACHE.ORG", "LICENSES", file, None) => {
            let stem = file.trim_end_matches(".TXT").trim_end_matches(".HTML");
            format!("Apache-{}", stem.strip_prefix("LICENSE-")?)
        }
        ("ECLIPSE.ORG", "LEGAL", "EPL-V10.HTML", None) => "EPL-1.0".to_owned(),
        ("ECLIPSE.ORG", "LEGAL", "EPL-V20.HTML" | "EPL-2.0", None) => "EPL-2.0".to_owned(),
        ("OPENSOURCE.ORG", "LICENSE" | "LICENSES", name, None) => name.trim_end_matches(".PHP").to_owned(),
        ("SPDX.ORG", "LICENSES", name, None) => name.trim_end_matches(".HTML").to_owned(),
        _ => return None,
    };
    identifier(&found).map(str::to_owned)
}

/// A name without what makes no difference.
struct Key {
    text: String,
    or_later: bool,
}

impl Key {
    fn of(name: &str) -> Self {
        let upper = name.split_whitespace().collect::<Vec<_>>().join(" ").to_uppercase();
        let mut text = upper.replace("LICENCE", "LICENSE");
        if let Some(rest) = text.strip_prefix("THE ") {
            text = rest.to_owned();
        }
        for suffix in [" LICENSED", " LICENSE", "-LICENSED", "-LICENSE"] {
            if let Some(stem) = text.strip_suffix(suffix) {
                text = stem.to_owned();
            }
        }
        let mut or_later = false;
        for suffix in ["+", "-OR-LATER", " OR LATER"] {
            if let Some(stem) = text.strip_suffix(suffix) {
                (text, or_later) = (stem.trim_end().to_owned(), true);
            }
        }
        for suffix in ["-ONLY", " ONLY"] {
            if let Some(stem) = text.strip_suffix(suffix) {
                text = stem.to_owned();
            }
        }
        Self { text, or_later }
    }
}

/// Names that mean a licence by habit, not by their words.
fn alias(key: &str) -> Option<&'static str> {
    ALIASES.iter().find(|(_, names)| names.contains(&key)).map(|(id, _)| *id)
}

/// A licence of a family that numbers its versions: all words are the family's own, and a number. Whether later versions will do is
/// understood where the habit is to name none.
fn family(key: &str) -> Option<(String, bool)> {
    let mut number = None;
    let mut rest: Vec<String> = Vec::new();
    for word in key.split(|c: char| c.is_whitespace() || ",()-;/\"".contains(c)).filter(|word| !word.is_empty()) {
        let (stem, digits) = split_number(word);
        // A year is no version.
        let digits = if stem.is_empty() && digits.len() == 4 && !digits.contains('.') { "" } else { digits };
        if !digits.is_empty() {
            let digits = digits.strip_suffix(".0.0").unwrap_or(digits);
            if number.is_some_and(|known: &str| known.trim_end_matches(".0") != digits.trim_end_matches(".0")) {
                return None;
            }
            number = Some(digits);
        }
        if !MEANINGLESS.contains(&stem) {
            rest.push(stem.to_owned());
        }
    }
    rest.dedup();
    let words = rest.join(" ");
    if let Some(id) = creative_commons(&rest, number) {
        return Some((id, false));
    }
    let (_, versions, default) = FAMILIES
        .iter()
        .find(|(names, ..)| names.contains(&words.as_str()))
        .map(|(names, versions, default)| (names, *versions, *default))?;
    let Some(number) = number else {
        return (!default.is_empty()).then(|| (default.to_owned(), OPEN.contains(&words.as_str())));
    };
    let same = |version: &&&str| {
        let bare = version.rsplit_once('-').map_or("", |(_, number)| number);
        bare.trim_end_matches(".0") == number.trim_end_matches(".0")
    };
    let id = versions.iter().find(same)?;
    // The licence of this name is the one of BSD with another owner.
    Some((if *id == "EDL-1.0" { "BSD-3-Clause" } else { id }.to_owned(), false))
}

/// `Creative Commons Attribution-ShareAlike 3.0`, `CC BY-NC-ND 4.0`
fn creative_commons(words: &[String], number: Option<&str>) -> Option<String> {
    let terms: Vec<&str> = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["CC", rest @ ..] | ["CREATIVE", "COMMONS", rest @ ..] => rest.to_vec(),
        _ => return None,
    };
    let mut parts = vec!["CC", "BY"];
    for term in terms {
        match term {
            "ATTRIBUTION" | "BY" | "CC" | "INTERNATIONAL" | "UNPORTED" | "PUBLIC" => {}
            "NONCOMMERCIAL" | "NC" => parts.push("NC"),
            "NODERIVATIVES" | "NODERIVS" | "ND" => parts.push("ND"),
            "SHAREALIKE" | "SA" => parts.push("SA"),
            _ => return None,
        }
    }
    parts.dedup();
    identifier(&format!("{}-{}", parts.join("-"), number.unwrap_or("3.0"))).map(str::to_owned)
}

/// Words that tell no licences apart.
const MEANINGLESS: &[&str] =
    &["", "V", "V.", "VER", "VER.", "VERSION", "LICENSE", "LICENSES", "THE", "JANUARY", "FEBRUARY", "JUNE", "NOVEMBER"];

/// Families whose name alone means any version.
const OPEN: &[&str] = &[
    "GPL",
    "LGPL",
    "GFDL",
    "FDL",
    "GNU PUBLIC",
    "GENERAL PUBLIC GPL",
    "GNU GENERAL PUBLIC GPL",
    "LESSER GENERAL PUBLIC LGPL",
    "GNU FREE DOCUMENTATION FDL",
];

/// `LGPLV2.1` is `LGPL` and `2.1`.
fn split_number(word: &str) -> (&str, &str) {
    if word == "CC0" {
        return (word, "");
    }
    let Some(at) = word.find(|c: char| c.is_ascii_digit()) else { return (word, "") };
    let (stem, digits) = word.split_at_checked(at).unwrap_or((word, ""));
    if digits.chars().all(|c| c.is_ascii_digit() || c == '.') {
        let stem = if stem.len() > 1 { stem.strip_suffix('V').unwrap_or(stem) } else { stem };
        (stem, digits)
    } else {
        (word, "")
    }
}

/// By the name in full, such as `BSD Zero Clause License`.
fn full_name(key: &str) -> Option<&'static str> {
    static BY_NAME: OnceLock<HashMap<String, &'static str>> = OnceLock::new();
    let all = || {
        let current = spdx::identifiers::LICENSES.iter().filter(|one| identifier(one.name).is_some());
        current.map(|one| (Key::of(one.full_name).text, one.name)).collect()
    };
    BY_NAME.get_or_init(all).get(key).copied()
}

/// Words of a family without numbers, its versions, and what is meant when no version is named; empty when that cannot be told.
type Family = (&'static [&'static str], &'static [&'static str], &'static str);

const FAMILIES: &[Family] = &[
    (
        &[
            "GNU AFFERO GENERAL PUBLIC AGPL",
            "GNU AFFERO GENERAL PUBLIC",
            "AFFERO GENERAL PUBLIC AGPL",
            "AFFERO GENERAL PUBLIC",
            "GNU AGPL",
            "AGPL",
        ],
        &["AGPL-1.0", "AGPL-3.0"],
        "AGPL-3.0",
    ),
    (
        &[
            "GNU LESSER GENERAL PUBLIC LGPL",
            "GNU LESSER GENERAL PUBLIC",
            "GNU GENERAL LESSER PUBLIC LGPL",
            "LESSER GENERAL PUBLIC LGPL",
            "LESSER GENERAL PUBLIC",
            "GNU LIBRARY OR LESSER GENERAL PUBLIC LGPL",
            "GNU LIBRARY GENERAL PUBLIC",
            "GNU LESSER PUBLIC",
            "GNU LESSER",
            "GNU LGPL GNU LESSER GENERAL PUBLIC",
            "GNU LGPL",
        ],
        &["LGPL-2.0", "LGPL-2.1", "LGPL-3.0"],
        "LGPL-2.1",
    ),
    (&["LGPL"], &["LGPL-2.0", "LGPL-2.1", "LGPL-3.0"], "LGPL-2.0"),
    (&["GNU GENERAL PUBLIC GPL", "GNU GENERAL PUBLIC"], &["GPL-1.0", "GPL-2.0", "GPL-3.0"], "GPL-3.0"),
    (&["GENERAL PUBLIC GPL", "GNU PUBLIC", "GNU GPL", "GPL"], &["GPL-1.0", "GPL-2.0", "GPL-3.0"], "GPL-2.0"),
    (
        &["GNU FREE DOCUMENTATION GFDL", "GNU FREE DOCUMENTATION FDL", "GNU FREE DOCUMENTATION", "GFDL", "FDL"],
        &["GFDL-1.1", "GFDL-1.2", "GFDL-1.3"],
        "GFDL-1.3",
    ),
    (
        &[
            "APACHE",
            "APACHE SOFTWARE",
            "APACHE SOFTWARE APACHE",
            "APACHE PUBLIC",
            "APACHE ASL",
            "ASL",
            "ASF",
            "APL",
            "AL",
            "APACHE STYLE",
        ],
        &["Apache-1.0", "Apache-1.1", "Apache-2.0"],
        "Apache-2.0",
    ),
    (&["MOZILLA PUBLIC", "MOZILLA PUBLIC MPL", "MPL"], &["MPL-1.0", "MPL-1.1", "MPL-2.0"], "MPL-2.0"),
    (
        &["ECLIPSE PUBLIC", "ECLIPSE PUBLIC EPL", "EPL ECLIPSE PUBLIC", "ECLIPSE", "EPL", "ECLIPSE PUBLISH"],
        &["EPL-1.0", "EPL-2.0"],
        "EPL-1.0",
    ),
    (
        &["COMMON DEVELOPMENT AND DISTRIBUTION", "COMMON DEVELOPMENT AND DISTRIBUTION CDDL", "CDDL"],
        &["CDDL-1.0", "CDDL-1.1"],
        "CDDL-1.0",
    ),
    (
        &["EUROPEAN UNION PUBLIC", "EUROPEAN UNION PUBLIC EUPL", "EU PUBLIC EUPL", "EUPL"],
        &["EUPL-1.0", "EUPL-1.1", "EUPL-1.2"],
        "EUPL-1.0",
    ),
    (&["COMMON PUBLIC", "CPL"], &["CPL-1.0"], "CPL-1.0"),
    (&["ACADEMIC FREE", "ACADEMIC FREE AFL", "AFL"], &["AFL-1.1", "AFL-1.2", "AFL-2.0", "AFL-2.1", "AFL-3.0"], ""),
    (&["BOOST SOFTWARE", "BOOST SOFTWARE BSL", "BOOST", "BSL"], &["BSL-1.0"], "BSL-1.0"),
    (&["ZOPE PUBLIC", "ZOPE", "ZPL"], &["ZPL-1.1", "ZPL-2.0", "ZPL-2.1"], "ZPL-2.1"),
    (&["OPEN SOFTWARE", "OSL"], &["OSL-1.0", "OSL-1.1", "OSL-2.0", "OSL-2.1", "OSL-3.0"], ""),
    (&["SIL OPEN FONT", "SIL OPEN FONT OFL", "OFL"], &["OFL-1.0", "OFL-1.1"], ""),
    (&["ARTISTIC"], &["Artistic-1.0", "Artistic-2.0"], "Artistic-2.0"),
    (&["UNIVERSAL PERMISSIVE", "UNIVERSAL PERMISSIVE UPL", "UPL"], &["UPL-1.0"], ""),
    (&["ECLIPSE DISTRIBUTION", "ECLIPSE DISTRIBUTION EDL", "EDL"], &["EDL-1.0"], ""),
    (
        &[
            "CC0 UNIVERSAL",
            "CC0 UNIVERSAL CC0 PUBLIC DOMAIN DEDICATION",
            "CC0",
            "CREATIVE COMMONS ZERO",
            "CREATIVE COMMONS CC0",
        ],
        &["CC0-1.0"],
        "CC0-1.0",
    ),
];

const ALIASES: &[(&str, &[&str])] = &[
    ("AFL-3.0", &["AFL"]),
    ("AFL-2.1", &["ACADEMIC FREE LICENSE (AFL)"]),
    ("BSD-1-Clause", &["BSD-1"]),
    (
        "BSD-2-Clause",
        &[
            "BSD-2",
            "BSD 2 CLAUSE",
            "BSD 2-CLAUSE",
            "BSD TWO CLAUSE",
            "2-CLAUSE BSD",
            "SIMPLIFIED BSD",
            "BSD SIMPLIFIED",
            "FREEBSD",
            "BSD SOFTWARE",
        ],
    ),
    (
        "BSD-3-Clause",
        &[
            "BSD",
            "BSD*",
            "BSD-LIKE",
            "BSD-STYLE",
            "BSD STYLE",
            "BSD-3",
            "BSD 3 CLAUSE",
            "BSD 3-CLAUSE",
            "BSD-3 CLAUSE",
            "BSD THREE CLAUSE",
            "3-CLAUSE BSD",
            "NEW BSD",
            "(NEW) BSD",
            "BSD NEW",
            "BSD (3-CLAUSE)",
            "BSD 3-CLAUSE NEW",
            "MODIFIED BSD",
            "REVISED BSD",
            "BSD-VARIANT",
            "BSD (3-CLAUSE)",
            "INDIVIDUAL BSD",
            "HSQLDB",
            "ECLIPSE DISTRIBUTION LICENSE (NEW BSD LICENSE)",
            "GO",
        ],
    ),
    ("BSD-4-Clause", &["BSD-4", "BSD 4 CLAUSE", "BSD 4-CLAUSE", "BSD FOUR CLAUSE", "ORIGINAL BSD"]),
    ("ISC", &["ISCL", "ISC LICENSE (ISCL)"]),
    ("LGPL-2.0", &["LGPLV2"]),
    (
        "MIT",
        &[
            "EXPAT",
            "MIT-LIKE",
            "MIT-STYLE",
            "MIT/X11",
            "X11/MIT",
            "EXPAT (MIT/X11)",
            "BOUNCY CASTLE",
            "JQUERY",
            "MIT LICENSE (MIT)",
        ],
    ),
    ("NPL-1.1", &["NETSCAPE"]),
    ("PSF-2.0", &["PSF", "PSFL", "PYTHON SOFTWARE FOUNDATION"]),
    ("Python-2.0", &["PYTHON", "PYTHON-2", "JYTHON SOFTWARE"]),
    ("W3C", &["W3CL", "W3C SOFTWARE"]),
    ("WTFPL", &["WTF"]),
    ("Zend-2.0", &["ZEND-2"]),
    ("IPL-1.0", &["IBM PUBLIC"]),
    ("NCSA", &["NCSA OPEN SOURCE"]),
    ("QPL-1.0", &["QPL", "QT PUBLIC", "QT PUBLIC LICENSE (QPL)"]),
    ("UPL-1.0", &["UNIVERSAL PERMISSIVE LICENSE (UPL)"]),
    ("Unlicense", &["UNLICENSE (UNLICENSE)"]),
    ("zlib-acknowledgement", &["ZLIB/LIBPNG", "ZLIB / LIBPNG"]),
];

#[cfg(test)]
mod tests {
    use crate::license::normal_license;

    #[test]
    fn names_become_identifiers() {
        let check = |name: &str, expected: &str| assert_eq!(normal_license(name), expected, "{name}");
        check("mit", "MIT");
        check("The MIT License", "MIT");
        check("Apache License, Version 2.0", "Apache-2.0");
        check("The Apache Software License, Version 2.0", "Apache-2.0");
        check("GPLv2+", "GPL-2.0-or-later");
        check("GPL-3", "GPL-3.0-only");
        check("GNU General Public License v3 or later (GPLv3+)", "GPL-3.0-or-later");
        check("LGPL-2.1-or-later", "LGPL-2.1-or-later");
        check("GNU LESSER", "LGPL-2.1-only");
        check("BSD License", "BSD-3-Clause");
        check("AFL 2.0", "AFL-2.0");
        check("0BSD", "0BSD");
        check("Odd house rules", "Odd house rules");
        check("EPL 9.0", "EPL 9.0");
        check("BSD (3-Clause)", "BSD-3-Clause");
        check("Creative Commons Attribution-ShareAlike 4.0 International", "CC-BY-SA-4.0");
        check("https://creativecommons.org/licenses/by/4.0/", "CC-BY-4.0");
        check("GPLv2 with Classpath Exception", "GPL-2.0-with-classpath-exception");
        check("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0");
    }
}
