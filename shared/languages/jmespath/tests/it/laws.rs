//! Laws that hold for every input.

use jmespath::quantity::Quantity;
use jmespath::{Context, compile, wildcard};
use model::Timestamp;
use proptest::prelude::*;
use serde_json::json;

fn expressions() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("a".to_owned()),
        Just("@".to_owned()),
        Just(".b".to_owned()),
        Just("[0]".to_owned()),
        Just("[*]".to_owned()),
        Just("[]".to_owned()),
        Just(".*".to_owned()),
        Just(" | ".to_owned()),
        Just(" || ".to_owned()),
        Just(" && ".to_owned()),
        Just("[?".to_owned()),
        Just("]".to_owned()),
        Just("`1`".to_owned()),
        Just("'x'".to_owned()),
        Just("length(".to_owned()),
        Just(")".to_owned()),
        Just("!".to_owned()),
        Just("&".to_owned()),
        Just("{k: ".to_owned()),
        Just("}".to_owned()),
        Just("[::2]".to_owned()),
        Just(", ".to_owned()),
        Just(" == ".to_owned()),
        Just("sort_by(".to_owned()),
        "[ -~]{0,3}",
    ];
    proptest::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_compiles_or_is_refused_and_evaluates_alike_twice(text in expressions()) {
        if let Ok(expression) = compile(&text) {
            let context = Context::new(Timestamp::from_millis(0));
            let input = json!({"a": [{"b": 1}, {"b": [1, 2, {"a": "x"}]}], "b": {"a": null}});
            prop_assert_eq!(expression.search(&input, &context), expression.search(&input, &context));
        }
    }

    #[test]
    fn quantities_survive_their_text(value in any::<i64>(), suffix in prop::sample::select(vec!["", "m", "k", "Ki", "Gi", "u", "n", "E"])) {
        let quantity = Quantity::parse(&format!("{value}{suffix}")).unwrap();
        let again = Quantity::parse(&quantity.to_string()).unwrap();
        prop_assert_eq!(quantity, again);
        prop_assert_eq!(quantity.to_string(), again.to_string());
    }

    #[test]
    fn quantities_add_like_numbers(left in -1_000_000_i64..1_000_000, right in -1_000_000_i64..1_000_000) {
        let quantity = |value: i64| Quantity::parse(&format!("{value}m")).unwrap();
        prop_assert_eq!(quantity(left).checked_add(quantity(right)).unwrap(), quantity(left + right));
        prop_assert_eq!(quantity(left).cmp(&quantity(right)), left.cmp(&right));
    }

    #[test]
    fn any_text_is_a_quantity_or_refused(text in "[-+0-9.eEinumkKMGTP]{0,40}") {
        if let Ok(quantity) = Quantity::parse(&text) {
            prop_assert!(Quantity::parse(&quantity.to_string()).is_ok(), "{}", quantity);
        }
    }

    #[test]
    fn wildcards_match_what_they_were_made_from(text in "[a-c]{0,12}", cut in 0_usize..12) {
        let at = cut.min(text.len());
        let pattern = format!("{}*{}", &text[..at], &text[at..]);
        prop_assert!(wildcard::matches(&pattern, &text));
        prop_assert!(wildcard::matches("*", &text));
        prop_assert!(wildcard::matches(&"?".repeat(text.len()), &text));
    }

    #[test]
    fn any_pattern_compiles_or_is_refused(pattern in "[-a-c0-9*+?{},()|\\[\\]^$.\\\\QEdwsbp:&~]{0,16}") {
        if let Ok(regex) = jmespath::go_regex::compile(&pattern) {
            let _ = regex.is_match("abc 019 [-]");
        }
    }
}
