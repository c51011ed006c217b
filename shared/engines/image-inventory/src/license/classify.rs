//! Texts of licences: which licence a text is, by sentences that only that licence has.

use crate::text::file_name;

/// SPDX identifiers of the licences whose text stands in `bytes`, in alphabetical order; empty when none is known.
pub(crate) fn classify(bytes: &[u8]) -> Vec<String> {
    let text = plain(bytes.get(..bytes.len().min(MAX_BYTES)).unwrap_or_default());
    let mut found: Vec<String> = Vec::new();
    for (id, phrases) in TEXTS {
        if phrases.iter().all(|phrase| text.contains(phrase)) {
            found.push((*id).to_owned());
        }
    }
    found.extend(bsd(&text).map(str::to_owned));
    found.extend(gnu(&text).map(str::to_owned));
    found.sort();
    found.dedup();
    found
}

/// Whether a file is named like a licence: `LICENSE`, `licence.txt`, `COPYRIGHT`.
pub(crate) fn is_license_name(path: &str) -> bool {
    let name = file_name(path);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    ["license", "licence", "copyright"].iter().any(|known| stem.eq_ignore_ascii_case(known))
}

/// Lower case words, one blank between them, without marks.
fn plain(bytes: &[u8]) -> String {
    let mut plain = String::with_capacity(bytes.len());
    for word in String::from_utf8_lossy(bytes).split(|c: char| !c.is_alphanumeric()) {
        if !word.is_empty() {
            plain.extend(word.chars().flat_map(char::to_lowercase));
            plain.push(' ');
        }
    }
    plain
}

/// The clauses of the BSD family tell its members apart.
fn bsd(text: &str) -> Option<&'static str> {
    let is_family = text.contains("redistribution and use in source and binary forms")
        && text.contains("redistributions of source code must retain");
    if !is_family || text.contains("apache license") {
        return None;
    }
    let advertising = text.contains("all advertising materials mentioning features or use");
    let endorsement = text.contains("to endorse or promote products");
    let binary = text.contains("redistributions in binary form must reproduce");
    Some(match (advertising, endorsement, binary) {
        (true, ..) => "BSD-4-Clause",
        (false, true, _) => "BSD-3-Clause",
        (false, false, true) => "BSD-2-Clause",
        (false, false, false) => "BSD-1-Clause",
    })
}

/// The title of a GNU licence with its version, at the head of the text; a text that only mentions another is not that other.
fn gnu(text: &str) -> Option<&'static str> {
    let mut head = text.len().min(400);
    while !text.is_char_boundary(head) {
        head = head.saturating_sub(1);
    }
    let head = text.get(..head)?;
    let titles: [(&str, &[(&str, &str)]); 5] = [
        ("gnu affero general public license", &[("version 3", "AGPL-3.0")]),
        ("gnu lesser general public license", &[("version 2 1", "LGPL-2.1"), ("version 3", "LGPL-3.0")]),
        ("gnu library general public license", &[("version 2", "LGPL-2.0")]),
        ("gnu free documentation license", &[("version 1 3", "GFDL-1.3"), ("version 1 2", "GFDL-1.2")]),
        ("gnu general public license", &[("version 1", "GPL-1.0"), ("version 2", "GPL-2.0"), ("version 3", "GPL-3.0")]),
    ];
    let (title, versions) =
        titles.iter().filter(|(title, _)| head.contains(title)).min_by_key(|(title, _)| head.find(title))?;
    let rest = head.split_once(title).map(|(_, rest)| rest)?;
    versions.iter().find(|(version, _)| rest.contains(version)).map(|(_, id)| *id)
}

/// Sentences in the plain form; all of them must be there.
const TEXTS: &[(&str, &[&str])] = &[
    (
        "MIT",
        &[
            "permission is hereby granted free of charge to any person obtaining a copy",
            "the above copyright notice and this permission notice shall be included in all",
        ],
    ),
    ("MIT-0", &["permission is hereby granted free of charge to any person obtaining a copy", "mit no attribution"]),
    ("Apache-2.0", &["apache license version 2 0 january 2004", "grant of patent license"]),
    (
        "Apache-2.0",
        &["licensed under the apache license version 2 0", "you may not use this file except in compliance"],
    ),
    ("Apache-1.1", &["apache software license version 1 1"]),
    (
        "ISC",
        &[
            "permission to use copy modify and or distribute this software for any purpose with or without fee is hereby granted provided",
        ],
    ),
    (
        "ISC",
        &[
            "permission to use copy modify and distribute this software for any purpose with or without fee is hereby granted provided that the above copyright notice and this permission notice appear in all copies",
        ],
    ),
    (
        "0BSD",
        &[
            "permission to use copy modify and or distribute this software for any purpose with or without fee is hereby granted the software",
        ],
    ),
    ("MPL-2.0", &["mozilla public license version 2 0", "each contributor hereby grants you"]),
    ("MPL-1.1", &["mozilla public license version 1 1", "the initial developer"]),
    ("EPL-1.0", &["eclipse public license v 1 0"]),
    ("EPL-2.0", &["eclipse public license v 2 0"]),
    ("CDDL-1.0", &["common development and distribution license", "version 1 0"]),
    ("CDDL-1.1", &["common development and distribution license", "version 1 1"]),
    ("BSL-1.0", &["boost software license version 1 0"]),
    ("Unlicense", &["this is free and unencumbered software released into the public domain"]),
    (
        "Zlib",
        &[
            "this software is provided as is without any express or implied warranty",
            "altered source versions must be plainly marked as such",
        ],
    ),
    ("CC0-1.0", &["creative commons", "cc0 1 0 universal"]),
    ("CC-BY-4.0", &["creative commons attribution 4 0 international public license"]),
    ("CC-BY-SA-4.0", &["creative commons attribution sharealike 4 0 international public license"]),
    ("WTFPL", &["do what the fuck you want to public license"]),
    ("Artistic-2.0", &["the artistic license 2 0"]),
    (
        "PostgreSQL",
        &[
            "permission to use copy modify and distribute this software and its documentation for any purpose without fee and without a written agreement is hereby granted",
        ],
    ),
    (
        "Python-2.0",
        &[
            "python software foundation license version 2",
            "beopen python open source license agreement version 1",
            "cnri license agreement for python 1 6 1",
        ],
    ),
    ("BeOpen", &["beopen python open source license agreement version 1"]),
    ("CNRI-Python-GPL-Compatible", &["cnri license agreement for python 1 6 1"]),
    (
        "LicenseRef-MIT-Lucent",
        &[
            "permission to use copy modify and distribute this software and its documentation for any purpose and without fee is hereby granted provided that the above copyright notice appear in all copies",
        ],
    ),
    ("OFL-1.1", &["sil open font license version 1 1"]),
    ("UPL-1.0", &["the universal permissive license upl version 1 0"]),
    ("BlueOak-1.0.0", &["blue oak model license"]),
    (
        "X11",
        &[
            "permission is hereby granted free of charge to any person obtaining a copy",
            "except as contained in this notice the name of the x consortium",
        ],
    ),
];

const MAX_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_told_apart() {
        let check = |text: &str, expected: &[&str]| assert_eq!(classify(text.as_bytes()), expected, "{text}");
        let bsd = "Redistribution and use in source and binary forms, with or without modification:\n\
            1. Redistributions of source code must retain the above\n2. Redistributions in binary form must reproduce\n";
        check(bsd, &["BSD-2-Clause"]);
        check(&format!("{bsd}3. Neither the name may be used to endorse or promote products"), &["BSD-3-Clause"]);
        check("GNU GENERAL PUBLIC LICENSE\n  Version 2, June 1991", &["GPL-2.0"]);
        check(
            "GNU LESSER GENERAL PUBLIC LICENSE Version 3, of the GNU General Public License version 3",
            &["LGPL-3.0"],
        );
        check("This is free and unencumbered software released into the public domain.", &["Unlicense"]);
        check("All rights reserved.", &[]);
    }

    #[test]
    fn names_of_licence_files() {
        for (name, is) in [("LICENSE", true), ("a/licence.md", true), ("COPYRIGHT.txt", true), ("LICENSE-MIT", false)] {
            assert_eq!(is_license_name(name), is, "{name}");
        }
    }
}
