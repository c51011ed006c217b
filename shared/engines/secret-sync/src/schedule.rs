//! Durations as Go writes them, and back-off.

use std::time::Duration;

use go_time::GoDuration;

/// Parses a duration such as `1h`, `1h30m`, `0.5s` or `0`; `None` when it is none, negative, or longer than any interval means.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let nanos = GoDuration::parse(text).ok()?.as_nanos();
    u64::try_from(nanos).ok().map(Duration::from_nanos).filter(|duration| *duration < MAX)
}

/// A century.
const MAX: Duration = Duration::from_secs(100 * 366 * 86_400);

/// How long to wait after `attempts` failures in a row: doubling from `first` up to `most`, spread by a quarter either way. `seed`
/// decides the spread, so that many that failed together do not come back together.
pub(crate) fn back_off(attempts: u32, (first, most): (Duration, Duration), seed: &str) -> Duration {
    let doublings = attempts.saturating_sub(1).min(20);
    let whole = first.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(most);
    let hash = seed
        .bytes()
        .chain(attempts.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let spread = u32::try_from((hash >> 32) % 1_000).unwrap_or(0);
    whole.mul_f64(0.75 + f64::from(spread) / 2_000.0).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let cases = [
            ("1h", Some(3_600_000)),
            ("1h30m", Some(5_400_000)),
            ("0.5s", Some(500)),
            ("10ms", Some(10)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("", None),
            ("5", None),
            ("1d", None),
            ("-1s", None),
            ("999999999999h", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_duration(text), expected.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn back_off_grows_and_is_bounded() {
        let limits = (Duration::from_secs(1), Duration::from_secs(60));
        for attempts in 1..60 {
            let wait = back_off(attempts, limits, "a");
            assert!(wait >= Duration::from_millis(750) && wait <= Duration::from_secs(60), "{attempts}: {wait:?}");
        }
        assert_ne!(back_off(3, limits, "a"), back_off(3, limits, "b"));
    }
}
