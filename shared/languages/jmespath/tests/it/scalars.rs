//! Quantities, durations, times, versions, regular expressions: Kubernetes' and Go's conventions.

use jmespath::go_regex;
use jmespath::quantity::Quantity;
use jmespath::semver_range::{Range, Version};

#[test]
fn quantities_print_canonically() {
    for (text, expected) in [
        ("0", "0"),
        ("0Gi", "0"),
        ("1", "1"),
        ("+1.0", "1"),
        ("-1500m", "-1500m"),
        ("1.5", "1500m"),
        ("1000m", "1"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("1023", "1023"),
        ("1000Ki", "1000Ki"),
        ("0.5Ki", "512"),
        ("0.1Ki", "102400m"),
        ("12e6", "12e6"),
        ("12E", "12E"),
        ("1e-3", "1e-3"),
        ("100k", "100k"),
        ("1000k", "1M"),
        (".5", "500m"),
        ("5.", "5"),
        ("0.0000000001", "1n"),
        ("1.0000000001", "1000000001n"),
        ("9Ei", "9223372036854775807"),
        ("1234567", "1234567"),
    ] {
        assert_eq!(Quantity::parse(text).unwrap().to_string(), expected, "{text}");
    }
    for text in ["", "+", ".", "1.2.3", "abc", "1 Gi", "1gi", "Gi", "1e", "1KI", "--1", "1e1.5", "0x10"] {
        assert!(Quantity::parse(text).is_err(), "{text}");
    }
}

#[test]
fn quantities_compare_exactly() {
    for (small, large) in [
        ("1", "1.000000001"),
        ("999m", "1"),
        ("1M", "1Mi"),
        ("-2", "-1"),
        ("0.1", "100000001n"),
        ("1E", "1e100"),
        ("-1e100", "1"),
    ] {
        let (small, large) = (Quantity::parse(small).unwrap(), Quantity::parse(large).unwrap());
        assert!(small < large, "{small} {large}");
    }
    let long = |last: char| Quantity::parse(&format!("{}{last}", "123456789".repeat(70))).unwrap();
    assert!(long('1') == long('1') && long('1') != long('2') && long('1') > Quantity::parse("1E").unwrap());
    for (left, right) in [("1", "1000m"), ("1Gi", "1073741824"), ("0", "-0"), ("1e3", "1k")] {
        assert_eq!(Quantity::parse(left).unwrap(), Quantity::parse(right).unwrap());
    }
}

#[test]
fn versions_and_ranges() {
    for text in ["1.2", "v1.2.3", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3.4", ""] {
        assert!(Version::parse(text).is_err(), "{text}");
    }
    for (range, inside, outside) in [
        (">1.0.0 <2.0.0 || >3.0.0 !4.2.1", "3.1.1", "4.2.1"),
        ("1.2.x", "1.2.9", "1.3.0"),
        ("1.x", "1.9.9", "2.0.0"),
        (">1.2.x", "1.3.0", "1.2.9"),
        ("<= 1.2.x", "1.2.9", "1.3.0"),
        ("==1.2.3", "1.2.3+build", "1.2.4"),
        (">=1.0.0-alpha.2", "1.0.0-alpha.10", "1.0.0-alpha.1"),
    ] {
        let range = Range::parse(range).unwrap();
        assert!(range.contains(&Version::parse(inside).unwrap()), "{range:?} {inside}");
        assert!(!range.contains(&Version::parse(outside).unwrap()), "{range:?} {outside}");
    }
    for text in ["", "||", "1.0.0 ||", "~1.0.0", ">", ">=1.2"] {
        assert!(Range::parse(text).is_err(), "{text}");
    }
}

#[test]
fn regular_expressions_mean_what_they_mean_in_go() {
    for (pattern, text, expected) in [
        (r"^\d+$", "٣", false),
        (r"^\w$", "é", false),
        (r"\Qa.b*\E+", "a.b**", true),
        (r"a{,2}", "a{,2}", true),
        (r"[[]", "[", true),
        (r"[a&&b]", "&", true),
        (r"[]a]", "]", true),
        (r"[a-]", "-", true),
        (r"[^\d]", "1", false),
        (r"(?i)É", "é", true),
        (r"^a$", "b\na", false),
        (r"(?m)^a$", "b\na", true),
        (r"(?P<year>\d{4})", "2024", true),
        (r"\x41\x{42}\103", "ABC", true),
        (r"[[:alpha:]_]", "_", true),
        (r"\pL", "é", true),
        (r"a.c", "a\nc", false),
        ("a{2}b", "aab", true),
    ] {
        assert_eq!(go_regex::compile(pattern).unwrap().is_match(text), expected, "{pattern} on {text}");
    }
    for pattern in
        ["(", "a**", "*a", "a{1001}", "(?=a)", "(?<!a)", r"\1", "[a", r"\8", "(?x)a", "a{2,1}", r"(a{1000}){1000}"]
    {
        assert!(go_regex::compile(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn replacement_templates_as_in_go() {
    let regex = go_regex::compile(r"(?P<first>a)(b)").unwrap();
    for (template, expected) in [
        ("$2$1", "xbay"),
        ("${first}", "xay"),
        ("$1x", "xy"),
        ("$$1", "x$1y"),
        ("${1", "x${1y"),
        ("$", "x$y"),
        ("-$9-", "x--y"),
    ] {
        assert_eq!(go_regex::replace_all(&regex, "xaby", template), expected, "{template}");
    }
}
