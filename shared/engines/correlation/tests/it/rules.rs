//! What is wrong with a rule is said with its place and its cure.

use correlation::{Rule, RuleSet};
use model::FaultKind;

fn check(spec: &str, kind: FaultKind, line: u32, what: &str) {
    let text = format!("apiVersion: biotope.dev/v1\nkind: IncidentRule\nmetadata:\n  name: r\nspec:\n{spec}");
    let (rules, faults) = Rule::parse("dir/r.yaml", &text);
    assert!(rules.is_empty(), "{spec}");
    let fault = faults.iter().find(|fault| fault.what.contains(what)).unwrap_or_else(|| panic!("{what}: {faults:#?}"));
    assert_eq!((fault.kind, fault.line, fault.file.as_str()), (kind, line, "dir/r.yaml"), "{fault}");
    assert!(!fault.remedy.is_empty() && !fault.subject.is_empty(), "{fault}");
}

#[test]
fn faults_name_place_and_remedy() {
    use FaultKind::{Invalid, Unsupported};
    let ok = "  selections: { a: { type: run.rule.matched } }\n";
    let cases: &[(&str, FaultKind, u32, &str)] = &[
        ("  titel: x\n", Invalid, 6, "unknown key `titel`"),
        ("  level: hi\n", Invalid, 6, "level `hi`"),
        ("  join: cluster\n", Invalid, 6, "join `cluster`"),
        ("  selections:\n    a:\n      alert.rule: x\n", Invalid, 8, "without an event type"),
        (
            "  selections:\n    a:\n      type: run.rule.matched\n      f|base64: x\n",
            Unsupported,
            9,
            "modifier `base64`",
        ),
        ("  selections:\n    a:\n      type: run.rule.matched\n      f|re: '('\n", Invalid, 9, "unclosed"),
        ("  selections:\n    a: { type: build.image.scanned }\n", Unsupported, 7, "selecting `build.image.scanned`"),
        ("  selections:\n    a: { type: run.* }\n", Unsupported, 7, "wildcard"),
        (&format!("{ok}  correlation: {{ type: value_avg, rules: [a], timespan: 1m }}\n"), Unsupported, 7, "value_avg"),
        (
            &format!("{ok}  correlation: {{ type: event_count, rules: [a], timespan: 1w, condition: {{ gte: 1 }} }}\n"),
            Invalid,
            7,
            "not a duration",
        ),
        (
            &format!("{ok}  correlation: {{ type: event_count, rules: [a], timespan: 1m, condition: {{ lt: 1 }} }}\n"),
            Unsupported,
            7,
            "condition `lt`",
        ),
        (
            &format!("{ok}  correlation: {{ type: event_count, rules: [b], timespan: 1m, condition: {{ gte: 1 }} }}\n"),
            Invalid,
            7,
            "`b` is not a selection",
        ),
        (&format!("{ok}  phases:\n    - {{ phase: walk, select: a }}\n"), Invalid, 8, "phase `walk`"),
        (&format!("{ok}  phases:\n    - {{ phase: run, select: a and b }}\n"), Unsupported, 8, "expression"),
        (
            &format!("{ok}  phases:\n    - {{ phase: build, facts: {{ colour: red }} }}\n"),
            Invalid,
            8,
            "not a scan fact",
        ),
        (ok, Invalid, 6, "nothing that can open"),
        (&format!("{ok}  respond: [explode]\n"), Unsupported, 7, "response `explode`"),
    ];
    for (spec, kind, line, what) in cases {
        check(spec, *kind, *line, what);
    }
}

#[test]
fn broken_yaml_names_its_line() {
    let (_, faults) =
        Rule::parse("x.yaml", "apiVersion: biotope.dev/v1\nkind: IncidentRule\nmetadata: {name: r\nspec: [\n");
    assert_eq!(faults.len(), 1);
    assert!(faults[0].line >= 3, "{}", faults[0]);
}

#[test]
fn other_kinds_are_left_alone_and_names_are_unique() {
    let rule = "apiVersion: biotope.dev/v1\nkind: IncidentRule\nmetadata: {name: r}\nspec:\n  selections: { a: { type: run.rule.matched } }\n  phases: [ { phase: run, select: a } ]\n";
    let (rules, faults) = Rule::parse("x.yaml", &format!("kind: ConfigMap\n---\n{rule}---\n{rule}"));
    assert_eq!((rules.len(), faults.len()), (1, 1));
    let again = Rule::parse("y.yaml", rule).0;
    let (set, faults) = RuleSet::compile(rules.into_iter().chain(again).collect());
    assert_eq!(set.rules().count(), 1);
    assert!(faults[0].what.contains("x.yaml"), "{}", faults[0]);
}
