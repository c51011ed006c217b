//! Kubernetes quantities: `500m`, `1.5Gi`, `12e6`; exact parse, comparison, arithmetic and canonical text.

use std::cmp::Ordering;
use std::fmt;

/// How a quantity is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `12e6`.
    DecimalExponent,
    /// `12M`.
    DecimalSi,
    /// `12Mi`.
    BinarySi,
}

/// A decimal number `mantissa * 10^exponent` with the format it was written in.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    mantissa: i128,
    exponent: i32,
    format: Format,
    /// Fingerprint of the digits behind the first [`MAX_DIGITS`] of a very long number, 0 when they are zeros or absent. Such
    /// numbers are only compared: equal ones stay equal and different ones different.
    tail: u64,
}

/// A text that is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// No digits, or characters in the wrong place.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The suffix is none of Kubernetes' suffixes.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

const NANO: i32 = -9;
/// Where Kubernetes caps what is written with more digits than it computes with.
const CAP: i128 = i64::MAX as i128;
/// Digits that are kept exactly; longer numbers are beyond the cap, or below a billionth.
const MAX_DIGITS: usize = 28;

impl Quantity {
    /// Reads a quantity as Kubernetes does: finer than nano is rounded up, beyond 2^63-1 is capped.
    ///
    /// # Errors
    /// When the text is no number with a known suffix.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, text.get(1..).unwrap_or_default()),
            Some(b'+') => (false, text.get(1..).unwrap_or_default()),
            _ => (false, text),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, suffix) = rest.split_at(end);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(QuantityError::Format);
        }
        let suffix = Suffix::parse(suffix)?;
        let whole = whole.trim_start_matches('0');
        let mut quantity = Self::scaled(whole, fraction, suffix);
        if negative {
            quantity.mantissa = -quantity.mantissa;
        }
        Ok(quantity)
    }

    /// The number without its sign.
    fn scaled(whole: &str, fraction: &str, suffix: Suffix) -> Self {
        let format = suffix.format;
        let fast = suffix.computes_exactly(whole.len(), fraction.len());
        let cap = Self { mantissa: CAP, exponent: 0, format, tail: 0 };
        let binary = format == Format::BinarySi;
        if whole.len() > MAX_DIGITS {
            return if binary { cap } else { Self::long(whole, suffix) };
        }
        let kept = fraction.get(..fraction.len().min(MAX_DIGITS - whole.len())).unwrap_or_default();
        let lost = fraction.get(kept.len()..).is_some_and(|rest| rest.bytes().any(|byte| byte != b'0'));
        let mantissa: i128 = format!("0{whole}{kept}").parse().unwrap_or(CAP);
        let places = i32::try_from(kept.len()).unwrap_or(0);
        let Some(mantissa) = mantissa.checked_mul(1_i128 << suffix.power_of_two) else { return cap };
        let quantity = Self { mantissa, exponent: suffix.power_of_ten.saturating_sub(places), format, tail: 0 };
        let quantity = quantity.at_least_nano(lost);
        if binary && !fast && quantity > cap { cap } else { quantity }
    }

    /// A number of more digits than are kept.
    fn long(whole: &str, suffix: Suffix) -> Self {
        let (kept, rest) = whole.split_at(MAX_DIGITS.min(whole.len()));
        let significant = rest.trim_end_matches('0');
        // FNV-1a; never 0 for digits that count.
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let tail = significant.bytes().fold(0xcbf2_9ce4_8422_2325, mix).max(1);
        Self {
            mantissa: kept.parse().unwrap_or(CAP),
            exponent: suffix.power_of_ten.saturating_add(i32::try_from(rest.len()).unwrap_or(i32::MAX)),
            format: suffix.format,
            tail: if significant.is_empty() { 0 } else { tail },
        }
    }

    /// Rounds up to a whole number of billionths.
    fn at_least_nano(self, lost: bool) -> Self {
        let mut rounded = self;
        let mut inexact = lost && self.exponent <= NANO;
        while rounded.exponent < NANO {
            inexact |= rounded.mantissa % 10 != 0;
            rounded.mantissa /= 10;
            rounded.exponent += 1;
            if rounded.mantissa == 0 {
                rounded.exponent = NANO;
            }
        }
        rounded.mantissa += i128::from(inexact);
        rounded
    }

    /// A whole number in `format`.
    #[must_use]
    pub const fn from_integer(value: i64, format: Format) -> Self {
        Self { mantissa: value as i128, exponent: 0, format, tail: 0 }
    }

    /// The decimal number that `value` prints as; `None` for infinities and NaN.
    #[must_use]
    pub fn from_f64(value: f64) -> Option<Self> {
        let text = crate::go_json::display_float(value);
        Self::parse(&text).ok()
    }

    /// The format it was written in.
    #[must_use]
    pub const fn format(self) -> Format {
        self.format
    }

    /// Whether it is zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// -1, 0 or 1.
    #[must_use]
    pub const fn sign(self) -> i8 {
        self.mantissa.signum() as i8
    }

    /// The nearest float.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        format!("{}e{}", self.mantissa, self.exponent).parse().unwrap_or(f64::NAN)
    }

    /// The whole number it is, when it is one and fits.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        i64::try_from(self.whole()?).ok()
    }

    fn whole(self) -> Option<i128> {
        let power = 10_i128.checked_pow(self.exponent.unsigned_abs());
        if self.mantissa == 0 {
            return Some(0);
        }
        if self.exponent >= 0 {
            return power.and_then(|power| self.mantissa.checked_mul(power));
        }
        power.filter(|power| self.mantissa % power == 0).and_then(|power| self.mantissa.checked_div(power))
    }

    /// The mantissas at a common exponent; `None` when they lie too far apart.
    fn aligned(self, other: Self) -> Option<(i128, i128, i32)> {
        let exponent = self.exponent.min(other.exponent);
        let at = |quantity: Self| {
            let power = quantity.exponent.checked_sub(exponent).and_then(|power| u32::try_from(power).ok())?;
            quantity.mantissa.checked_mul(10_i128.checked_pow(power)?)
        };
        Some((at(self)?, at(other)?, exponent))
    }

    /// The sum; `None` on overflow. The format is this one's, unless this is zero.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let format = if self.is_zero() { other.format } else { self.format };
        let (left, right, exponent) = self.aligned(other)?;
        Some(Self { mantissa: left.checked_add(right)?, exponent, format, tail: 0 })
    }

    /// The difference; `None` on overflow.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.checked_add(Self { mantissa: other.mantissa.checked_neg()?, ..other })
    }

    /// The product, in this one's format; `None` on overflow.
    #[must_use]
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        let mantissa = self.mantissa.checked_mul(other.mantissa)?;
        Some(Self { mantissa, exponent: self.exponent.checked_add(other.exponent)?, format: self.format, tail: 0 })
    }

    /// The quotient rounded towards zero to the finer scale of the two; `None` on division by zero or overflow.
    #[must_use]
    pub fn checked_div(self, other: Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent).min(0);
        let power = u32::try_from(self.exponent.checked_sub(other.exponent)?.checked_sub(exponent)?).ok()?;
        let scaled = self.mantissa.checked_mul(10_i128.checked_pow(power)?)?;
        Some(Self { mantissa: scaled.checked_div(other.mantissa)?, exponent, format: self.format, tail: 0 })
    }

    /// Mantissa and exponent without trailing zeros.
    fn lowest_terms(self) -> (i128, i32) {
        let (mut mantissa, mut exponent) = (self.mantissa, self.exponent);
        while mantissa != 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        (mantissa, exponent)
    }

    fn write_decimal(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut mantissa, mut exponent) = self.lowest_terms();
        while exponent.rem_euclid(3) != 0 {
            mantissa = mantissa.saturating_mul(10);
            exponent -= 1;
        }
        let suffix =
            DECIMAL.iter().find(|(_, power)| *power == exponent).filter(|_| self.format != Format::DecimalExponent);
        match suffix {
            Some((suffix, _)) => write!(f, "{mantissa}{suffix}"),
            None if exponent == 0 => write!(f, "{mantissa}"),
            None => write!(f, "{mantissa}e{exponent}"),
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.sign(), other.sign()) {
            (left, right) if left != right || left == 0 => return left.cmp(&right),
            _ => {}
        }
        if let Some((left, right, _)) = self.aligned(*other) {
            return left.cmp(&right).then(self.tail.cmp(&other.tail));
        }
        // Too far apart to align, so the one with more digits before the point is further from zero.
        let digits = |quantity: &Self| {
            quantity.mantissa.unsigned_abs().checked_ilog10().map_or(0, i64::from) + i64::from(quantity.exponent)
        };
        let order = digits(self).cmp(&digits(other));
        let order = if self.sign() < 0 { order.reverse() } else { order };
        order.then(self.tail.cmp(&other.tail))
    }
}

impl fmt::Display for Quantity {
    /// The canonical text: the largest suffix that leaves a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        let whole = (self.format == Format::BinarySi).then(|| self.whole()).flatten();
        let Some(mut mantissa) = whole.filter(|whole| whole.unsigned_abs() >= 1024) else {
            return self.write_decimal(f);
        };
        let mut power = 0;
        while mantissa % 1024 == 0 && power < 60 {
            mantissa /= 1024;
            power += 10;
        }
        let suffix = BINARY.iter().find(|(_, candidate)| *candidate == power).map_or("", |(suffix, _)| suffix);
        write!(f, "{mantissa}{suffix}")
    }
}

/// What a suffix multiplies with.
#[derive(Clone, Copy)]
struct Suffix {
    power_of_ten: i32,
    power_of_two: u32,
    format: Format,
}

impl Suffix {
    fn parse(text: &str) -> Result<Self, QuantityError> {
        if let Some((_, power)) = DECIMAL.iter().find(|(suffix, _)| *suffix == text) {
            return Ok(Self { power_of_ten: *power, power_of_two: 0, format: Format::DecimalSi });
        }
        if let Some((_, power)) = BINARY.iter().find(|(suffix, _)| *suffix == text) {
            return Ok(Self { power_of_ten: 0, power_of_two: *power, format: Format::BinarySi });
        }
        let exponent = text.strip_prefix(['e', 'E']).ok_or(QuantityError::Suffix)?;
        let power_of_ten: i32 = exponent.parse().map_err(|_| QuantityError::Suffix)?;
        Ok(Self { power_of_ten, power_of_two: 0, format: Format::DecimalExponent })
    }

    /// Whether Kubernetes keeps a number of so many digits as it is, instead of capping it.
    fn computes_exactly(self, whole: usize, fraction: usize) -> bool {
        if self.format == Format::BinarySi {
            let powers = usize::try_from(self.power_of_two * 3 / 10).unwrap_or(usize::MAX);
            return fraction == 0 && whole.saturating_add(powers) < 15;
        }
        let places = i32::try_from(fraction).unwrap_or(i32::MAX);
        whole.saturating_add(fraction) <= 18 && self.power_of_ten.saturating_sub(places) >= NANO
    }
}

const DECIMAL: [(&str, i32); 10] =
    [("", 0), ("n", -9), ("u", -6), ("m", -3), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
