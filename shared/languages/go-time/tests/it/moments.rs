use go_time::{GoDuration, Moment, RFC3339};
use proptest::prelude::*;

#[test]
fn times_read_by_layout() {
    for (layout, text, expected) in [
        ("Mon Jan _2 15:04:05 2006", "Thu Feb  4 21:00:57 2010", "2010-02-04T21:00:57Z"),
        ("Monday, 02-Jan-06 15:04:05 MST", "Thursday, 04-Feb-10 21:00:57 UTC", "2010-02-04T21:00:57Z"),
        ("2006-01-02", "2024-02-29", "2024-02-29T00:00:00Z"),
        ("2006 002", "2024 060", "2024-02-29T00:00:00Z"),
        ("2006 __2", "2023   7", "2023-01-07T00:00:00Z"),
        ("3:04PM", "9:15PM", "0000-01-01T21:15:00Z"),
        ("3:04pm", "12:15am", "0000-01-01T00:15:00Z"),
        ("2006-01-02T15:04:05.000Z07:00", "2024-01-01T00:00:00.123+02:30", "2024-01-01T00:00:00+02:30"),
        ("2006-01-02T15:04:05Z07:00", "2024-01-01T7:00:00.5Z", "2024-01-01T07:00:00Z"),
        ("02 Jan 2006 -0700", "03 Dec 1999 -0800", "1999-12-03T00:00:00-08:00"),
        ("02 Jan 2006 MST", "03 Dec 1999 GMT+3", "1999-12-03T00:00:00+03:00"),
        ("2006-01-02_2006", "2024-05-06_2024", "2024-05-06T00:00:00Z"),
        ("Janus 2006", "Janus 2024", "2024-01-01T00:00:00Z"),
    ] {
        assert_eq!(Moment::parse(layout, text).unwrap().to_string(), expected, "{layout}");
    }
}

#[test]
fn faults_are_said_as_go_says_them() {
    for (layout, text, expected) in [
        ("2006-01-02", "2023-02-29", r#"parsing time "2023-02-29": day out of range"#),
        ("2006-01-02", "2023-13-01", r#"parsing time "2023-13-01": month out of range"#),
        ("15:04", "24:00", r#"parsing time "24:00": hour out of range"#),
        ("2006", "20234", r#"parsing time "20234": extra text: "4""#),
        ("Jan", "Foo", r#"parsing time "Foo" as "Jan": cannot parse "Foo" as "Jan""#),
        ("2006-01", "2023/01", r#"parsing time "2023/01" as "2006-01": cannot parse "/01" as "-""#),
        ("3:04PM", "9:15pm", r#"parsing time "9:15pm" as "3:04PM": cannot parse "pm" as "PM""#),
        ("2006 002", "2023 366", r#"parsing time "2023 366": day-of-year out of range"#),
        ("2006 01 002", "2023 02 001", r#"parsing time "2023 02 001": day-of-year does not match month"#),
        (
            RFC3339,
            "2024-01-01T00:00:00+25:00",
            r#"parsing time "2024-01-01T00:00:00+25:00": time zone offset hour out of range"#,
        ),
        (RFC3339, "", r#"parsing time "" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "2006""#),
    ] {
        assert_eq!(Moment::parse(layout, text).unwrap_err().to_string(), expected, "{layout}");
    }
}

#[test]
fn times_are_written_by_layout() {
    let (moment, zone) = Moment::parse_in_zone("2006-01-02 15:04:05.999 MST", "2024-02-29 05:06:07.08 UTC").unwrap();
    for (layout, expected) in [
        ("Monday Mon January Jan 1 01 2 _2 02 __2 002", "Thursday Thu February Feb 2 02 29 29 29  60 060"),
        ("15 3 03 4 04 5 05 PM pm 06 2006", "05 5 05 6 06 7 07 AM am 24 2024"),
        (".000 .00000 .999 .999999999", ".080 .08000 .08 .08"),
        ("Z07:00 -0700 -07 -07:00:00 MST", "Z +0000 +00 +00:00:00 UTC"),
    ] {
        assert_eq!(moment.format(layout, &zone), expected);
    }
    let east = moment.at_offset(3 * 3_600);
    assert_eq!(east.format("15 -0700 Z07:00 MST", ""), "08 +0300 +03:00 +0300");
}

#[test]
fn truncation_counts_from_the_first_year() {
    let moment = Moment::parse_rfc3339("2024-02-29T05:06:07Z").unwrap();
    for (step, expected) in [
        ("1h", "2024-02-29T05:00:00Z"),
        ("24h", "2024-02-29T00:00:00Z"),
        ("168h", "2024-02-26T00:00:00Z"),
        ("0s", "2024-02-29T05:06:07Z"),
    ] {
        assert_eq!(moment.truncate(GoDuration::parse(step).unwrap()).to_string(), expected, "{step}");
    }
}

proptest! {
    #[test]
    fn a_written_time_is_read_again(seconds in -62_167_219_200_i64..253_402_300_800, offset in -12_i32..14) {
        let moment = Moment::from_unix(seconds).at_offset(offset * 3_600);
        for layout in [RFC3339, "Mon, 02 Jan 2006 15:04:05 -0700", "2006 002 03:04:05PM Z07:00:00"] {
            // Of years before the first and after 9999 texts have other lengths.
            prop_assume!((0..10_000).contains(&moment.fields().year));
            let text = moment.format(layout, "");
            // An offset of zero is written as Z, which layouts with seconds write and do not read.
            if !text.ends_with('Z') || layout == RFC3339 {
                prop_assert_eq!(Moment::parse(layout, &text).unwrap(), moment, "{}", text);
            }
        }
    }

    #[test]
    fn any_layout_reads_or_refuses(layout in "[0-9A-Za-z:.,_ +-]{0,20}", text in "[0-9A-Za-z:.,_ +-]{0,20}") {
        if let Ok((moment, zone)) = Moment::parse_in_zone(&layout, &text) {
            let _ = moment.format(&layout, &zone);
        }
    }
}
