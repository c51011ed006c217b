//! Regular expressions, in Go's meaning.

use std::borrow::Cow;

use jmespath::go_regex;
use regex::Regex;

use super::{Answer, Function, Invocation, boolean, both, global, member};
use crate::error::EvalError;
use crate::value::Val;

pub(super) const FUNCTIONS: &[Function] = &[
    both("matches", |invocation, arguments| match arguments {
        [Val::Text(text), Val::Text(pattern)] => match compiled(invocation, pattern.as_str(), text.as_str()) {
            Ok(regex) => boolean(regex.is_match(text.as_str())),
            Err(error) => Some(Err(error)),
        },
        _ => None,
    }),
    member("find", |invocation, arguments| match arguments {
        [Val::Text(text), Val::Text(pattern)] => {
            Some(compiled(invocation, pattern.as_str(), text.as_str()).and_then(|regex| {
                invocation.evaluation.produce(regex.find(text.as_str()).map_or("", |found| found.as_str()))
            }))
        }
        _ => None,
    }),
    member("findAll", |invocation, arguments| match arguments {
        [Val::Text(text), Val::Text(pattern)] => Some(find_all(invocation, text.as_str(), pattern.as_str(), -1)),
        [Val::Text(text), Val::Text(pattern), Val::Int(limit)] => {
            Some(find_all(invocation, text.as_str(), pattern.as_str(), *limit))
        }
        _ => None,
    }),
    global("regex.replace", replace),
    global("regex.extract", |invocation, arguments| match arguments {
        [Val::Text(text), Val::Text(pattern)] => {
            Some(of_one_group(invocation, pattern.as_str(), text.as_str()).map(|regex| {
                let captures = regex.captures(text.as_str());
                let found = captures.and_then(|captures| captures.get(usize::from(regex.captures_len() > 1)));
                found.map_or(Val::none(), |found| Val::some(Val::text(found.as_str())))
            }))
        }
        _ => None,
    }),
    global("regex.extractAll", |invocation, arguments| match arguments {
        [Val::Text(text), Val::Text(pattern)] => {
            Some(of_one_group(invocation, pattern.as_str(), text.as_str()).map(|regex| {
                let group = usize::from(regex.captures_len() > 1);
                let found = regex.captures_iter(text.as_str()).filter_map(|captures| captures.get(group));
                Val::list(found.map(|found| Val::text(found.as_str())).collect())
            }))
        }
        _ => None,
    }),
];

fn compiled<'r>(invocation: Invocation<'_, '_, 'r>, pattern: &str, text: &str) -> Result<Cow<'r, Regex>, EvalError> {
    invocation.evaluation.charge(text.len() / 10 * (pattern.len() / 4 + 1))?;
    if let Some(regex) = &invocation.call.regex {
        return Ok(Cow::Borrowed(regex));
    }
    invocation.evaluation.charge(1_000)?;
    go_regex::compile(pattern).map(Cow::Owned).map_err(|error| EvalError::refused(error.to_string()))
}

/// A pattern whose only group, where it has one, is what is taken.
fn of_one_group<'r>(
    invocation: Invocation<'_, '_, 'r>,
    pattern: &str,
    text: &str,
) -> Result<Cow<'r, Regex>, EvalError> {
    let regex = compiled(invocation, pattern, text)?;
    if regex.captures_len() > 2 {
        return Err(EvalError::refused(format!("regular expression has more than one capturing group: {pattern:?}")));
    }
    Ok(regex)
}

fn find_all<'a>(
    invocation: Invocation<'_, '_, 'a>,
    text: &str,
    pattern: &str,
    limit: i64,
) -> Result<Val<'a>, EvalError> {
    let regex = compiled(invocation, pattern, text)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let found: Vec<Val<'a>> = regex.find_iter(text).take(limit).map(|found| Val::text(found.as_str())).collect();
    invocation.evaluation.charge(found.len())?;
    Ok(Val::list(found))
}

fn replace<'a>(invocation: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    let (text, pattern, replacement, limit) = match arguments {
        [Val::Text(text), Val::Text(pattern), Val::Text(new)] => (text, pattern, new, 0),
        [Val::Text(text), Val::Text(pattern), Val::Text(new), Val::Int(0)] => {
            let _ = (pattern, new);
            return Some(Ok(Val::Text(text.clone())));
        }
        [Val::Text(text), Val::Text(pattern), Val::Text(new), Val::Int(limit)] => {
            (text, pattern, new, usize::try_from(*limit).unwrap_or(0))
        }
        _ => return None,
    };
    let run = || {
        let regex = compiled(invocation, pattern.as_str(), text.as_str())?;
        let growth = (text.as_str().len() + 1).saturating_mul(replacement.as_str().len());
        invocation.evaluation.charge(if growth > 1 << 16 { growth / 10 } else { 1 })?;
        check_groups(replacement.as_str(), regex.captures_len())?;
        // Groups are written `\1` in this function.
        let replaced = regex
            .replacen(text.as_str(), limit, |captures: &regex::Captures<'_>| groups(captures, replacement.as_str()));
        invocation.evaluation.produce(replaced.as_ref())
    };
    Some(run())
}

/// Whether a replacement names groups that there are, and nothing else behind a backslash.
fn check_groups(template: &str, groups: usize) -> Result<(), EvalError> {
    let mut characters = template.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            continue;
        }
        let wrong = |what: &str| Err(EvalError::refused(format!("invalid replacement string: '{template}' \\ {what}")));
        match characters.next() {
            Some('\\') => {}
            Some(digit) => match digit.to_digit(10).and_then(|group| usize::try_from(group).ok()) {
                Some(group) if group < groups => {}
                Some(group) => {
                    let have = groups.saturating_sub(1);
                    let what =
                        format!("replacement string references group {group} but regex has only {have} group(s)");
                    return Err(EvalError::refused(what));
                }
                None => return wrong("must be followed by a digit or \\"),
            },
            None => return wrong("not allowed at end"),
        }
    }
    Ok(())
}

fn groups(captures: &regex::Captures<'_>, template: &str) -> String {
    let mut out = String::new();
    let mut characters = template.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match characters.next() {
            Some(digit) if digit.is_ascii_digit() => {
                let group = digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok());
                out.push_str(group.and_then(|group| captures.get(group)).map_or("", |found| found.as_str()));
            }
            Some(other) => out.push(other),
            None => out.push('\\'),
        }
    }
    out
}
