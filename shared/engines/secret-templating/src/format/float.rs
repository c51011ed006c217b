//! Floats as Go writes them.

/// A float in its shortest form, with an exponent when that is below -4 or not below 6 digits, as `%v` decides.
pub(crate) fn shortest(value: f64) -> String {
    general(value, (-4, 6), None)
}

/// A float as Go's JSON encoder writes it.
pub(crate) fn json_float(value: f64) -> String {
    general(value, (-6, 21), None).replace("e-0", "e-")
}

/// `%g`: `range` says for which exponents there is none; without a precision the shortest form that reads back.
pub(crate) fn general(value: f64, (least, most): (i32, i32), precision: Option<usize>) -> String {
    if let Some(special) = special(value) {
        return special;
    }
    let scientific = match precision {
        Some(digits) => format!("{value:.*e}", digits.max(1).saturating_sub(1)),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    if value != 0.0 && (exponent < least || exponent >= most) {
        return format!("{mantissa}e{}", signed_exponent(exponent));
    }
    match precision {
        None => format!("{value}"),
        Some(_) => {
            format!("{mantissa}e{exponent}").parse::<f64>().map_or_else(|_| String::new(), |value| format!("{value}"))
        }
    }
}

/// `%e`.
pub(crate) fn exponential(value: f64, precision: usize) -> String {
    if let Some(special) = special(value) {
        return special;
    }
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{mantissa}e{}", signed_exponent(exponent.parse().unwrap_or(0)))
}

/// `%f`.
pub(crate) fn fixed(value: f64, precision: usize) -> String {
    special(value).unwrap_or_else(|| format!("{value:.precision$}"))
}

/// `%b`: mantissa and power of two.
pub(crate) fn binary(value: f64) -> String {
    if let Some(special) = special(value) {
        return special;
    }
    let bits = value.abs().to_bits();
    let (exponent, fraction) = (i64::try_from(bits >> 52).unwrap_or(0), bits & ((1 << 52) - 1));
    let (mantissa, power) =
        if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent.saturating_sub(1075)) };
    format!("{}{mantissa}p{power:+}", if value.is_sign_negative() { "-" } else { "" })
}

/// `%x`: hexadecimal mantissa and power of two.
pub(crate) fn hexadecimal(value: f64) -> String {
    if let Some(special) = special(value) {
        return special;
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value == 0.0 {
        return format!("{sign}0x0p+00");
    }
    let bits = value.abs().to_bits();
    let (exponent, fraction) = (i64::try_from(bits >> 52).unwrap_or(0).saturating_sub(1023), bits & ((1 << 52) - 1));
    let digits = format!("{fraction:013x}");
    let digits = digits.trim_end_matches('0');
    let point = if digits.is_empty() { "" } else { "." };
    let power = format!("{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs());
    format!("{sign}0x1{point}{digits}p{power}")
}

fn special(value: f64) -> Option<String> {
    if value.is_nan() {
        return Some("NaN".to_owned());
    }
    value.is_infinite().then(|| if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned())
}

fn signed_exponent(exponent: i32) -> String {
    format!("{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs())
}
