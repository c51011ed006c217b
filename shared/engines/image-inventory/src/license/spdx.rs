//! Identifiers of the SPDX licence list that packages use, and the addresses at which licences are published.

/// The identifier in its own spelling, when the list has it.
pub(crate) fn identifier(name: &str) -> Option<&'static str> {
    IDENTIFIERS.iter().copied().find(|known| known.eq_ignore_ascii_case(name))
}

/// The identifier of the licence that is published at an address. Scheme, `www.`, a file suffix and a slash at the end make no
/// difference.
pub(crate) fn of_address(address: &str) -> Option<&'static str> {
    let normal = normal_address(address);
    if normal.is_empty() {
        return None;
    }
    if let Some(name) = ["opensource.org/licenses/", "opensource.org/license/", "spdx.org/licenses/"]
        .iter()
        .find_map(|prefix| normal.strip_prefix(prefix))
    {
        let stem = name.trim_end_matches("-license");
        let found = identifier(stem).or_else(|| OPEN_SOURCE.iter().find(|(path, _)| *path == stem).map(|(_, id)| *id));
        if found.is_some() {
            return found;
        }
    }
    ADDRESSES.iter().find(|(known, _)| *known == normal).map(|(_, id)| *id)
}

fn normal_address(address: &str) -> String {
    let lower = address.trim().to_ascii_lowercase();
    let bare = lower.trim_start_matches("https://").trim_start_matches("http://").trim_start_matches("www.");
    let bare = bare.trim_end_matches('/');
    let stem = [".txt", ".html", ".htm", ".php"].iter().find_map(|suffix| bare.strip_suffix(suffix));
    stem.unwrap_or(bare).trim_end_matches('/').to_owned()
}

const IDENTIFIERS: &[&str] = &[
    "0BSD",
    "AFL-2.1",
    "AFL-3.0",
    "AGPL-1.0",
    "AGPL-3.0",
    "AGPL-3.0-only",
    "AGPL-3.0-or-later",
    "APSL-2.0",
    "Apache-1.0",
    "Apache-1.1",
    "Apache-2.0",
    "Artistic-1.0",
    "Artistic-1.0-Perl",
    "Artistic-2.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-2-Clause-Patent",
    "BSD-2-Clause-Views",
    "BSD-3-Clause",
    "BSD-3-Clause-Clear",
    "BSD-3-Clause-LBNL",
    "BSD-4-Clause",
    "BSD-4-Clause-UC",
    "BSL-1.0",
    "BUSL-1.1",
    "Beerware",
    "BlueOak-1.0.0",
    "BitTorrent-1.1",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-NC-4.0",
    "CC-BY-ND-4.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "CC-PDDC",
    "CC0-1.0",
    "CDDL-1.0",
    "CDDL-1.1",
    "CECILL-2.1",
    "CECILL-B",
    "CECILL-C",
    "CNRI-Python",
    "CNRI-Python-GPL-Compatible",
    "CPAL-1.0",
    "CPL-1.0",
    "ClArtistic",
    "ECL-2.0",
    "EFL-2.0",
    "EPL-1.0",
    "EPL-2.0",
    "EUPL-1.1",
    "EUPL-1.2",
    "Elastic-2.0",
    "FSFAP",
    "FSFUL",
    "FSFULLR",
    "FTL",
    "GFDL-1.1",
    "GFDL-1.2",
    "GFDL-1.3",
    "GPL-1.0",
    "GPL-1.0-only",
    "GPL-1.0-or-later",
    "GPL-2.0",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "GPL-2.0-with-classpath-exception",
    "GPL-3.0",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "HPND",
    "ICU",
    "IJG",
    "IPL-1.0",
    "ISC",
    "JSON",
    "JasPer-2.0",
    "LGPL-2.0",
    "LGPL-2.0-only",
    "LGPL-2.0-or-later",
    "LGPL-2.1",
    "LGPL-2.1-only",
    "LGPL-2.1-or-later",
    "LGPL-3.0",
    "LGPL-3.0-only",
    "LGPL-3.0-or-later",
    "LPL-1.02",
    "Libpng",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "MIT-Modern-Variant",
    "MITNFA",
    "MPL-1.0",
    "MPL-1.1",
    "MPL-2.0",
    "MPL-2.0-no-copyleft-exception",
    "MS-PL",
    "MS-RL",
    "MulanPSL-2.0",
    "NAIST-2003",
    "NCSA",
    "NPL-1.1",
    "NTP",
    "Net-SNMP",
    "ODbL-1.0",
    "OFL-1.1",
    "OLDAP-2.8",
    "OSL-2.1",
    "OSL-3.0",
    "OpenSSL",
    "PDDL-1.0",
    "PHP-3.0",
    "PHP-3.01",
    "PSF-2.0",
    "Plexus",
    "PostgreSQL",
    "Python-2.0",
    "Python-2.0.1",
    "QPL-1.0",
    "RSA-MD",
    "Ruby",
    "SGI-B-2.0",
    "SISSL",
    "SMLNJ",
    "SSPL-1.0",
    "Sleepycat",
    "TCL",
    "UPL-1.0",
    "Unicode-3.0",
    "Unicode-DFS-2015",
    "Unicode-DFS-2016",
    "Unicode-TOU",
    "Unlicense",
    "UnRAR",
    "Vim",
    "W3C",
    "W3C-20150513",
    "WTFPL",
    "X11",
    "XFree86-1.1",
    "Xnet",
    "ZPL-2.0",
    "ZPL-2.1",
    "Zend-2.0",
    "Zlib",
    "blessing",
    "bzip2-1.0.6",
    "curl",
    "libpng-2.0",
    "libtiff",
    "zlib-acknowledgement",
];

/// Paths below opensource.org that are no identifiers.
const OPEN_SOURCE: &[(&str, &str)] = &[
    ("bsd", "BSD-2-Clause"),
    ("gpl", "GPL-2.0-only"),
    ("lgpl", "LGPL-2.1-only"),
    ("cddl1", "CDDL-1.0"),
    ("eclipse-1.0", "EPL-1.0"),
    ("mozilla1.1", "MPL-1.1"),
    ("apache2.0", "Apache-2.0"),
    ("cpl1.0", "CPL-1.0"),
    ("isc-license", "ISC"),
];

const ADDRESSES: &[(&str, &str)] = &[
    ("apache.org/licenses/license-1.1", "Apache-1.1"),
    ("apache.org/licenses/license-2.0", "Apache-2.0"),
    ("eclipse.org/legal/epl-v10", "EPL-1.0"),
    ("eclipse.org/legal/epl-2.0", "EPL-2.0"),
    ("eclipse.org/legal/epl-v20", "EPL-2.0"),
    ("eclipse.org/org/documents/edl-v10", "BSD-3-Clause"),
    ("gnu.org/licenses/gpl-2.0", "GPL-2.0-only"),
    ("gnu.org/licenses/old-licenses/gpl-2.0", "GPL-2.0-only"),
    ("gnu.org/licenses/old-licenses/gpl-2.0-standalone", "GPL-2.0-only"),
    ("gnu.org/licenses/gpl-3.0", "GPL-3.0-only"),
    ("gnu.org/licenses/gpl-3.0-standalone", "GPL-3.0-only"),
    ("gnu.org/licenses/old-licenses/lgpl-2.0", "LGPL-2.0-only"),
    ("gnu.org/licenses/old-licenses/lgpl-2.1", "LGPL-2.1-only"),
    ("gnu.org/licenses/lgpl-2.1", "LGPL-2.1-only"),
    ("gnu.org/licenses/lgpl-3.0", "LGPL-3.0-only"),
    ("gnu.org/licenses/lgpl-3.0-standalone", "LGPL-3.0-only"),
    ("gnu.org/licenses/agpl", "AGPL-3.0-only"),
    ("gnu.org/licenses/agpl-3.0", "AGPL-3.0-only"),
    ("mozilla.org/mpl/1.1", "MPL-1.1"),
    ("mozilla.org/mpl/mpl-1.1", "MPL-1.1"),
    ("mozilla.org/mpl/2.0", "MPL-2.0"),
    ("mozilla.org/media/mpl/2.0/index.815ca599c9df", "MPL-2.0"),
    ("creativecommons.org/publicdomain/zero/1.0", "CC0-1.0"),
    ("creativecommons.org/publicdomain/zero/1.0/legalcode", "CC0-1.0"),
    ("creativecommons.org/licenses/by/3.0", "CC-BY-3.0"),
    ("creativecommons.org/licenses/by/4.0", "CC-BY-4.0"),
    ("creativecommons.org/licenses/by/4.0/legalcode", "CC-BY-4.0"),
    ("creativecommons.org/licenses/by-sa/4.0", "CC-BY-SA-4.0"),
    ("creativecommons.org/licenses/by-sa/4.0/legalcode", "CC-BY-SA-4.0"),
    ("unlicense.org", "Unlicense"),
    ("wtfpl.net/about", "WTFPL"),
    ("sam.zoy.org/wtfpl/copying", "WTFPL"),
    ("boost.org/license_1_0", "BSL-1.0"),
    ("zlib.net/zlib_license", "Zlib"),
    ("json.org/license", "JSON"),
    ("glassfish.dev.java.net/public/cddlv1.0", "CDDL-1.0"),
    ("glassfish.java.net/public/cddl+gpl_1_1", "CDDL-1.1"),
    ("postgresql.org/about/licence", "PostgreSQL"),
    ("php.net/license/3_01", "PHP-3.01"),
    ("jclark.com/xml/copying", "MIT"),
    ("oss.oracle.com/licenses/upl", "UPL-1.0"),
    ("isc.org/downloads/software-support-policy/isc-license", "ISC"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_to_identifiers() {
        let check = |address: &str, expected: Option<&str>| assert_eq!(of_address(address), expected, "{address}");
        check("https://www.apache.org/licenses/LICENSE-2.0.txt", Some("Apache-2.0"));
        check("http://www.apache.org/licenses/LICENSE-2.0", Some("Apache-2.0"));
        check("http://www.eclipse.org/legal/epl-v10.html", Some("EPL-1.0"));
        check("https://opensource.org/licenses/MIT", Some("MIT"));
        check("http://opensource.org/licenses/mit-license.php", Some("MIT"));
        check("https://opensource.org/licenses/BSD-3-Clause", Some("BSD-3-Clause"));
        check("https://example.com/license", None);
        check("", None);
        assert_eq!(identifier("apache-2.0"), Some("Apache-2.0"));
    }
}
