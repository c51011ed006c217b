use go_time::Schedule;
use model::Timestamp;
use proptest::prelude::*;

#[test]
fn the_next_time_is_found() {
    for (schedule, after, expected) in [
        ("*/5 * * * *", "2026-01-01T10:03:20Z", "2026-01-01T10:05:00Z"),
        ("*/5 * * * *", "2026-01-01T10:05:00Z", "2026-01-01T10:10:00Z"),
        ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("30 4 1,15 * 5", "2026-01-01T05:00:00Z", "2026-01-02T04:30:00Z"),
        ("0 22 * * 1-5", "2026-01-02T22:00:00Z", "2026-01-05T22:00:00Z"),
        ("0 9-17/4 * jan MON", "2026-01-05T13:00:00Z", "2026-01-05T17:00:00Z"),
        ("*/15 8-17 * * mon-fri", "2026-11-20T17:45:00Z", "2026-11-23T08:00:00Z"),
        ("0 0 13 * 5", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"),
        ("59 23 31 12 *", "2026-12-31T23:59:00Z", "2027-12-31T23:59:00Z"),
        ("@hourly", "2026-02-28T23:10:00Z", "2026-03-01T00:00:00Z"),
        ("@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
        ("@yearly", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("CRON_TZ=UTC @monthly", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
        ("@every 90s", "2026-01-01T00:00:00Z", "2026-01-01T00:01:30Z"),
    ] {
        let next = Schedule::parse(schedule).unwrap().next_after(after.parse().unwrap());
        assert_eq!(next, Some(expected.parse::<Timestamp>().unwrap()), "{schedule} after {after}");
    }
    assert_eq!(Schedule::parse("0 0 30 2 *").unwrap().next_after(Timestamp::from_millis(0)), None);
}

#[test]
fn what_is_no_schedule_is_refused() {
    for text in [
        "",
        "not-a-cron",
        "* * * *",
        "60 * * * *",
        "* * 0 * *",
        "* * * * 7",
        "5-1 * * * *",
        "*/0 * * * *",
        "@never",
        "@every day",
        "TZ=Asia/Tokyo @daily",
        "a * * * *",
    ] {
        assert!(Schedule::parse(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn no_time_between_is_left_out(minute in 0_u32..60, hour in 0_u32..24, weekday in 0_u32..7, from in 0_i64..4_000_000_000) {
        let schedule = Schedule::parse(&format!("{minute} {hour} * * {weekday}")).unwrap();
        let from = Timestamp::from_millis(from * 1_000);
        let next = schedule.next_after(from).unwrap();
        let wait = next.since(from).as_secs();
        prop_assert!(wait > 0 && wait <= 7 * 86_400, "{wait}");
        prop_assert_eq!(schedule.next_after(next).unwrap().since(next).as_secs(), 7 * 86_400);
    }
}
