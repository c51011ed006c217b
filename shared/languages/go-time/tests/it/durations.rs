use go_time::GoDuration;
use proptest::prelude::*;

#[test]
fn durations_read_and_print_as_in_go() {
    for (text, expected) in [
        ("0", "0s"),
        ("-0", "0s"),
        ("1h30m", "1h30m0s"),
        ("1.5h", "1h30m0s"),
        ("-1.5s", "-1.5s"),
        ("300ms", "300ms"),
        ("1us", "1\u{b5}s"),
        ("1\u{3bc}s", "1\u{b5}s"),
        ("1500ns", "1.5\u{b5}s"),
        ("+5m", "5m0s"),
        ("1m0.1s", "1m0.1s"),
        ("100h", "100h0m0s"),
        (".5s", "500ms"),
        ("1.s", "1s"),
        ("0.3333333333333333333h", "20m0s"),
        ("9223372036854775807ns", "2562047h47m16.854775807s"),
        ("-9223372036854775808ns", "-2562047h47m16.854775808s"),
    ] {
        assert_eq!(GoDuration::parse(text).unwrap().to_string(), expected, "{text}");
    }
    for text in ["", "1", "h", "1d", "1h-1m", ".s", "1.2.3s", "-", "9999999999h", "9223372036854775808ns", "1 h"] {
        assert!(GoDuration::parse(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn durations_survive_their_text(nanos in any::<i64>()) {
        let duration = GoDuration::from_nanos(nanos);
        prop_assert_eq!(GoDuration::parse(&duration.to_string()).unwrap(), duration);
    }
}
