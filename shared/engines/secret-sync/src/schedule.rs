//! Durations as Go writes them, and back-off.

use std::time::Duration;

/// Parses a duration such as `1h`, `1h30m`, `0.5s` or `0`; `None` when it is none or negative.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, tail) = rest.split_at_checked(end)?;
        let (unit, scale) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit))?;
        total += number.parse::<f64>().ok()? * scale;
        rest = tail.strip_prefix(unit)?;
    }
    Duration::try_from_secs_f64(total).ok().filter(|duration| *duration < MAX)
}

/// Longer units first where one begins with another.
const UNITS: [(&str, f64); 8] =
    [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("μs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];

/// A century; longer than any interval means.
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
