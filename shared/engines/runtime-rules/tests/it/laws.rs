//! Printing and parsing are inverse; no text makes the parser or the loader panic.

use proptest::prelude::*;
use runtime_rules::parse;

fn condition() -> impl Strategy<Value = String> {
    let field = prop_oneof![Just("proc.name"), Just("fd.name"), Just("proc.aname[2]"), Just("tolower(proc.name)")];
    let text =
        "[a-z/ \"\\\\]{0,8}[a-z]".prop_map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")));
    let leaf = (field, text).prop_flat_map(|(field, text)| {
        let listed = format!("{field} in ({text}, b)");
        prop_oneof![
            Just(format!("{field} = {text}")),
            Just(listed),
            Just(format!("{field} exists")),
            Just("a_macro".to_owned())
        ]
    });
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" and "))),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" or "))),
            inner.prop_map(|part| format!("not ({part})")),
        ]
    })
}

proptest! {
    #[test]
    fn a_printed_condition_parses_to_itself(text in condition()) {
        let tree = parse(&text).unwrap();
        prop_assert_eq!(parse(&tree.to_string()).unwrap(), tree);
    }

    #[test]
    fn no_text_panics(text in "[a-z.=\\[\\]()\"'\\\\ ,<>!0-9\u{e9}]{0,60}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_rules_file_panics(text in "(- (rule|macro|list|override): ?[a-z%(]{0,6}\n(  [a-z]{1,9}: ?[a-z=%(]{0,9}\n){0,4}){0,4}") {
        let _ = crate::engine::load(&text);
    }
}

#[test]
fn deep_conditions_are_refused() {
    assert!(parse(&"(".repeat(100_000)).is_err());
    assert!(parse(&"tolower(".repeat(100_000)).is_err());
    assert!(parse(&"not ".repeat(100_001)).is_err());
}
