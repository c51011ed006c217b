//! Go durations: `1h30m`, `1.5h`, `300ms`; nanoseconds in 64 bits.

use std::fmt;

/// A signed span of time in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GoDuration(i64);

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("time: invalid duration \"{text}\"")]
pub struct DurationError {
    text: String,
}

const SECOND: f64 = 1e9;

impl GoDuration {
    /// From nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// In nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// From seconds, towards zero; saturates.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "float casts saturate")]
    pub fn from_seconds(seconds: f64) -> Self {
        Self((seconds * SECOND) as i64)
    }

    /// In seconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a remainder below a second keeps its nanoseconds")]
    pub fn as_seconds(self) -> f64 {
        (self.0 / 1_000_000_000) as f64 + (self.0 % 1_000_000_000) as f64 / SECOND
    }

    /// Reads numbers with units, such as `-1h2.5s`; `0` needs no unit.
    ///
    /// # Errors
    /// When a number or unit is missing or unknown, or the span does not fit 64 bits of nanoseconds.
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        read(text).ok_or_else(|| DurationError { text: text.chars().take(80).collect() })
    }

    /// As [`parse`](Self::parse), for who only asks whether the text is a duration.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        read(text)
    }

    /// The sum; saturates.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference; saturates.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The remainder of a division; `None` when the divisor is zero.
    #[must_use]
    pub const fn checked_rem(self, other: Self) -> Option<Self> {
        match self.0.checked_rem(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }
}

fn read(text: &str) -> Option<GoDuration> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(GoDuration(0));
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|end| *end > 0)?;
        let (digits, behind) = rest.split_at(number);
        let end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, next) = behind.split_at(end);
        total = total.checked_add(term(digits, unit_nanos(unit)?)?)?;
        rest = next;
    }
    let limit = i64::MAX.unsigned_abs() + u64::from(negative);
    if total > limit {
        return None;
    }
    let nanos = i128::from(total);
    i64::try_from(if negative { -nanos } else { nanos }).ok().map(GoDuration)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "Go rounds fractions by way of a float; below an hour in nanoseconds nothing is lost"
)]
fn term(digits: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let (mut digits, mut scale) = (0_u64, 1.0_f64);
    for digit in fraction.bytes() {
        // What does not fit any more changes nothing.
        let Some(more) = digits.checked_mul(10).and_then(|digits| digits.checked_add(u64::from(digit - b'0'))) else {
            break;
        };
        if i64::try_from(more).is_err() {
            break;
        }
        (digits, scale) = (more, scale * 10.0);
    }
    let part = digits as f64 * (unit as f64 / scale);
    whole.checked_mul(unit)?.checked_add(part as u64)
}

fn unit_nanos(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

impl fmt::Display for GoDuration {
    /// As Go prints: `72h3m0.5s`, `1.5ms`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        let point = |value: u64, unit: u64| {
            let width = unit.checked_ilog10().unwrap_or(0) as usize;
            let fraction = format!("{:0width$}", value % unit);
            let fraction = fraction.trim_end_matches('0');
            let whole = value / unit;
            if fraction.is_empty() || unit == 1 { whole.to_string() } else { format!("{whole}.{fraction}") }
        };
        match nanos {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{sign}{nanos}ns"),
            1_000..1_000_000 => write!(f, "{sign}{}\u{b5}s", point(nanos, 1_000)),
            1_000_000..1_000_000_000 => write!(f, "{sign}{}ms", point(nanos, 1_000_000)),
            _ => {
                let (minutes, seconds) = (nanos / 60_000_000_000, point(nanos % 60_000_000_000, 1_000_000_000));
                match (minutes / 60, minutes % 60) {
                    (0, 0) => write!(f, "{sign}{seconds}s"),
                    (0, minutes) => write!(f, "{sign}{minutes}m{seconds}s"),
                    (hours, minutes) => write!(f, "{sign}{hours}h{minutes}m{seconds}s"),
                }
            }
        }
    }
}
