//! Quantities and semantic versions of the Kubernetes libraries.

use std::cmp::Ordering;
use std::rc::Rc;

use jmespath::quantity::Quantity;
use jmespath::semver_range::Version;

use super::{Answer, Function, boolean, global, int, member, refuse};
use crate::error::EvalError;
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = &[
    global("quantity", |_, arguments| match arguments {
        [Val::Text(text)] => match Quantity::parse(text.as_str()) {
            Ok(quantity) => Some(Ok(Val::Quantity(quantity))),
            Err(error) => refuse(error.to_string()),
        },
        _ => None,
    }),
    global("isQuantity", |_, arguments| match arguments {
        [Val::Text(text)] => boolean(Quantity::parse(text.as_str()).is_ok()),
        _ => None,
    }),
    member("isInteger", |_, arguments| match arguments {
        [Val::Quantity(quantity)] => boolean(quantity.as_i64().is_some()),
        _ => None,
    }),
    member("asInteger", |_, arguments| match arguments {
        [Val::Quantity(quantity)] => match quantity.as_i64() {
            Some(value) => int(value),
            None => refuse("cannot convert value to integer"),
        },
        _ => None,
    }),
    member("asApproximateFloat", |_, arguments| match arguments {
        [Val::Quantity(quantity)] => Some(Ok(Val::Double(quantity.as_f64()))),
        _ => None,
    }),
    member("sign", |_, arguments| match arguments {
        [Val::Quantity(quantity)] => int(i64::from(quantity.sign())),
        _ => None,
    }),
    member("add", |_, arguments| combine(arguments, Quantity::checked_add)),
    member("sub", |_, arguments| combine(arguments, Quantity::checked_sub)),
    member("isLessThan", |_, arguments| compare(arguments).and_then(|order| boolean(order.is_lt()))),
    member("isGreaterThan", |_, arguments| compare(arguments).and_then(|order| boolean(order.is_gt()))),
    member("compareTo", |_, arguments| compare(arguments).and_then(|order| int(order as i8))),
    global("semver", |_, arguments| match read_version(arguments)? {
        Ok(version) => Some(Ok(Val::Semver(Rc::new(version)))),
        Err(what) => refuse(what),
    }),
    global("isSemver", |_, arguments| boolean(read_version(arguments)?.is_ok())),
    member("major", |_, arguments| part(arguments, |version| version.major)),
    member("minor", |_, arguments| part(arguments, |version| version.minor)),
    member("patch", |_, arguments| part(arguments, |version| version.patch)),
];

fn combine<'a>(arguments: &[Val<'a>], run: fn(Quantity, Quantity) -> Option<Quantity>) -> Answer<'a> {
    let (left, right) = match arguments {
        [Val::Quantity(left), Val::Quantity(right)] => (*left, *right),
        [Val::Quantity(left), Val::Int(right)] => (*left, Quantity::from_integer(*right, left.format())),
        _ => return None,
    };
    Some(run(left, right).map(Val::Quantity).ok_or(EvalError::Overflow("quantity")))
}

fn compare(arguments: &[Val<'_>]) -> Option<Ordering> {
    match arguments {
        [Val::Quantity(left), Val::Quantity(right)] => Some(left.cmp(right)),
        [Val::Semver(left), Val::Semver(right)] => Some(left.precedence(right)),
        _ => None,
    }
}

fn part<'a>(arguments: &[Val<'a>], read: fn(&Version) -> u64) -> Answer<'a> {
    match arguments {
        [Val::Semver(version)] => int(read(version)),
        _ => None,
    }
}

/// `semver(text)` and `semver(text, normalize)`, which forgives a `v`, missing parts and leading zeros.
fn read_version(arguments: &[Val<'_>]) -> Option<Result<Version, String>> {
    let (text, normalize) = match arguments {
        [Val::Text(text)] => (text.as_str(), false),
        [Val::Text(text), Val::Bool(normalize)] => (text.as_str(), *normalize),
        _ => return None,
    };
    let text = if normalize { normalized(text) } else { text.to_owned() };
    Some(Version::parse(&text).map_err(|error| error.to_string()))
}

fn normalized(text: &str) -> String {
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (core, rest) = text.split_at(end);
    let mut parts: Vec<&str> = core
        .split('.')
        .map(|part| match part.trim_start_matches('0') {
            "" if !part.is_empty() => "0",
            trimmed => trimmed,
        })
        .collect();
    while parts.len() < 3 {
        parts.push("0");
    }
    format!("{}{rest}", parts.join("."))
}
