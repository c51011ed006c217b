//! Input that is wrong, by accident or on purpose: clear words, bounded work, and the rest goes on.

use std::collections::BTreeMap;

use model::FaultKind;
use proptest::prelude::*;
use runtime_rules::{LoadOptions, Loaded, Matching, RuleSet, Scratch, SourceFile, Value, parse};

use crate::engine::{Sample, load};

const GOOD: &str = "- rule: good\n  desc: d\n  condition: evt.type=open\n  output: o\n  priority: INFO\n";

fn said(loaded: &Loaded) -> String {
    let errors = loaded.faults.iter().filter(|fault| fault.kind != FaultKind::Warning);
    errors.map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A bad item beside a good rule: the good one is loaded, and the words are these.
fn check(bad: &str, words: &str) {
    let loaded = load(&format!("{bad}\n{GOOD}"));
    assert_eq!(loaded.rules.rules().len(), 1, "{}", said(&loaded));
    assert!(said(&loaded).contains(words), "{}", said(&loaded));
}

fn rule(condition: &str) -> String {
    format!("- rule: bad\n  desc: d\n  condition: '{}'\n  output: o\n  priority: INFO\n", condition.replace('\'', "''"))
}

#[test]
fn broken_items_are_named() {
    for (bad, words) in [
        ("- macro: a\n  condition: a or evt.type=open\n", "reference loop in macro 'a' at r.yaml:2:14 (macro a)"),
        (
            "- macro: a\n  condition: evt.type=open\n- macro: b\n  condition: a\n- macro: a\n  condition: b\n",
            "reference loop in macro",
        ),
        ("- just a text\n", "Unexpected element type"),
        ("- list: l\n  items: text\n", "Value is not a sequence at r.yaml:1:3 (list l)"),
        ("- rule: r\n  desc: d\n  output: o\n  priority: INFO\n", "Item has no mapping for key 'condition'"),
        (
            "- rule: r\n  desc: d\n  condition: evt.type=open\n  output: o\n  priority: URGENT\n",
            "Invalid priority 'URGENT'",
        ),
        ("- required_engine_version: 99\n", "Rules require engine version 0.99.0, but engine version is 0.63.0"),
        ("- required_engine_version: soon\n", "Unable to parse engine version 'soon'"),
        ("- required_plugin_versions:\n  - name: json\n    version: 0.7.0\n", "must load one of: json (>= 0.7.0)"),
    ] {
        check(bad, words);
    }
}

#[test]
fn macros_that_cannot_be_expanded_say_why() {
    let macros = |names: &[(&str, &str)]| -> String {
        names.iter().map(|(name, condition)| format!("- macro: {name}\n  condition: {condition}\n")).collect()
    };
    let circle = "these macros name each other in a circle: ";
    for (names, words) in [
        (
            &[("a", "b"), ("b", "a")][..],
            vec![format!("(macro a): {circle}a -> b -> a"), format!("(macro b): {circle}b -> a -> b")],
        ),
        (&[("a", "a or evt.type=open")], vec![format!("(macro a): {circle}a -> a")]),
        (
            &[("a", "b or c"), ("b", "evt.type=open"), ("c", "not (b or d)"), ("d", "a and b")],
            vec![format!("(macro a): {circle}a -> c -> d -> a")],
        ),
        // It only names those of a circle.
        (
            &[("a", "b"), ("b", "c"), ("c", "b")],
            vec!["(macro a): macro b is defined only later: move it up".to_owned()],
        ),
        (&[("a", "nowhere")], vec!["(macro a): define it, or load the file that does before this one".to_owned()]),
    ] {
        words.iter().for_each(|words| check(&macros(names), words));
    }
    let broken = format!("{}{}", macros(&[("a", "b"), ("b", "a")]), rule("evt.type=open and a"));
    check(&broken, "(rule bad): macro a is broken itself: see what is said of it");
}

#[test]
fn broken_conditions_are_named() {
    for (condition, words) in [
        ("evt.type=opennat", "unknown event type opennat"),
        ("evt.type=open and proc.nonsense=1", "nonexistent field proc.nonsense"),
        ("evt.type=open and proc.name", "expected a valid check operator"),
        ("evt.type=open and proc.pid contains 1", "'contains' operator not supported for number fields"),
        ("evt.type=open and proc.name < 1", "'<' operator not supported for text fields"),
        ("evt.type=open and proc.pid = many", "'many' is not a valid number"),
        ("evt.type=open and fd.ip = here", "unrecognized IP address or network here"),
        ("evt.type=open and proc.name[1] = a", "field 'proc.name' forbids an argument"),
        ("evt.type=open and container.mount.dest = a", "requires an argument"),
        ("evt.type=open and proc.pid = val(proc.name)", "types of both sides"),
        ("evt.type=open and proc.name regex \"(((a{1000}){1000}){1000})\"", "invalid pattern"),
        ("evt.type=open and proc.name regex \"[\"", "invalid pattern"),
        ("evt.type=open and proc.name bcontains xyz", "not an even number of hex digits"),
    ] {
        check(&rule(condition), words);
    }
}

#[test]
fn growth_is_bounded() {
    let mut doubling = "- macro: m0\n  condition: evt.type=open or proc.name=a\n".to_owned();
    for n in 1..40 {
        doubling += &format!("- macro: m{n}\n  condition: m{} or m{}\n", n - 1, n - 1);
    }
    check(&format!("{doubling}{}", rule("m39")), "comparisons once its macros are expanded");

    let mut lists = "- list: l0\n  items: [a, b]\n".to_owned();
    for n in 1..40 {
        lists += &format!("- list: l{n}\n  items: [l{}, l{}]\n", n - 1, n - 1);
    }
    check(
        &format!("{lists}{}", rule("evt.type=open and proc.name in (l39)")),
        "condition is too large once its lists are expanded",
    );

    let deep = format!("{}evt.type=open{}", "(".repeat(5000), ")".repeat(5000));
    check(&rule(&deep), "exceeded max depth limit");
}

#[test]
fn megabytes_of_condition_are_read_or_refused() {
    let many = format!("evt.type=open and proc.name in ({})", vec!["abcdefghi"; 300_000].join(","));
    let loaded = load(&rule(&many));
    assert_eq!(loaded.rules.rules().len(), 1, "{}", said(&loaded));
    let most = vec!["proc.name=a"; 900_000].join(" or ");
    let loaded = load(&format!("{}{GOOD}", rule(&most)));
    assert_eq!(
        said(&loaded),
        "invalid: condition has more than 100000 comparisons once its macros are expanded at r.yaml:1:3 (rule bad)"
    );
    let options = LoadOptions { max_file_bytes: 1000, ..LoadOptions::default() };
    let loaded = RuleSet::load(&[SourceFile { name: "big.yaml", text: &many }], &options);
    assert_eq!(said(&loaded), "invalid: the file is larger than 1000 bytes at big.yaml: split it, or raise the limit");
}

/// What is united grows with each group around it; beyond a bound it is left as it is, and means the same.
#[test]
fn groups_within_groups_of_long_lists_stay_small() {
    let condition = (0..90).fold("fd.name=/x".to_owned(), |inner, level| {
        let names: Vec<_> = (0..1000).map(|number| format!("p{level}-{number}")).collect();
        format!("(proc.name in ({}) or {inner})", names.join(","))
    });
    let loaded = load(&rule(&format!("evt.type=open and {condition}")));
    assert_eq!(loaded.rules.rules().len(), 1, "{}", said(&loaded));
    for (name, expected) in [("p0-0", true), ("p89-999", true), ("p45-7", true), ("p90-0", false)] {
        let event = Sample("open", BTreeMap::from([("proc.name", Value::text(name))]));
        let matched = loaded.rules.evaluate(&event, Matching::All, &mut Scratch::default());
        assert_eq!(matched.len() == 1, expected, "{name}");
    }
}

#[test]
fn files_that_are_no_rules_are_refused_with_their_place() {
    for (text, words) in [
        ("- rule: [\n", "Could not load YAML"),
        ("a: &a [x, x]\nb: *nowhere\n", "Could not load YAML"),
        ("only: a map\n", "Rules content is not yaml array of objects"),
        ("text", "Rules content is not yaml"),
    ] {
        let loaded = load(text);
        assert!(said(&loaded).contains(words), "{text}: {}", said(&loaded));
    }
    let mut bomb = "- &a0 [x, x]\n".to_owned();
    for n in 1..40 {
        bomb += &format!("- &a{n} [*a{}, *a{}]\n", n - 1, n - 1);
    }
    assert!(said(&load(&bomb)).contains("too large once its aliases are expanded"));
    for empty in ["", "# nothing\n---\n"] {
        let told: Vec<_> = load(empty).faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["warning: the file defines nothing at r.yaml: put rules, macros or lists there, or take it out"]
        );
    }
    assert!(load("- list: l\n  items: []\n").faults.is_empty());
}

#[test]
fn one_broken_file_beside_a_good_one() {
    let files = [SourceFile { name: "bad.yaml", text: "- rule: {" }, SourceFile { name: "good.yaml", text: GOOD }];
    let loaded = RuleSet::load(&files, &LoadOptions::default());
    assert_eq!((loaded.rules.rules().len(), loaded.faults.len()), (1, 1));
    let strict = LoadOptions { all_or_nothing: true, ..LoadOptions::default() };
    assert!(RuleSet::load(&files, &strict).rules.rules().is_empty());
}

#[test]
fn values_may_be_any_bytes() {
    let yaml = "- rule: r\n  desc: d\n  condition: evt.type=open and proc.name endswith x\n  output: \"%proc.name\"\n  priority: INFO\n";
    let loaded = load(yaml);
    let event = Sample("open", BTreeMap::from([("proc.name", Value::bytes(b"\xff\x1b[0m\0x"))]));
    let matched = loaded.rules.evaluate(&event, Matching::All, &mut Scratch::default());
    assert_eq!(matched[0].output.render(&event), "\u{fffd}\u{1b}[0m\0x");
}

proptest! {
    #[test]
    fn no_bytes_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = parse(&text);
        let _ = load(&text);
        let _ = load(&rule(&text));
    }

    #[test]
    fn no_soup_of_words_makes_them_panic(words in prop::collection::vec(prop::sample::select(vec![
        "- ", "rule: r\n", "  condition: ", "  exceptions:\n", "    - name: e\n", "      fields: [proc.name]\n", "      comps: [=]\n",
        "      values: [[a]]\n", "  override: {condition: append}\n", "macro: m\n", "list: l\n", "  items: [l, m]\n", "m", " and ", " or ",
        "not ", "(", ")", "proc.name", " in ", "=", "l", "  output: \"%proc.name %evt.arg.x\"\n", "  desc: d\n", "  priority: INFO\n",
        "\n", "  append: true\n", "tolower(", "val(", "evt.type=open", "oneof ", "\"", "'", "%", "[", "]", ",",
    ]), 0..60)) {
        let text = words.concat();
        let _ = parse(&text);
        let loaded = load(&text);
        let event = Sample("open", BTreeMap::from([("proc.name", Value::text("l"))]));
        let _ = loaded.rules.evaluate(&event, Matching::All, &mut Scratch::default());
    }
}
