//! Lists: their items, and their substitution as text in conditions.

use std::collections::HashMap;

use crate::collect::{Collected, Versioned};
use crate::escape::escaped;
use crate::event_type::EventType;
use crate::items::{ListItem, is_bare};

/// The text that stands for each list; `None` for one that is too large.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    contents: HashMap<String, Option<String>>,
    /// Names that are no single word, the longest first.
    phrases: Vec<String>,
}

/// A condition grows beyond this many bytes only by an accident or an attack.
const MAX_CONDITION_BYTES: usize = 32 << 20;
/// All lists together have at most this many items once lists in them are expanded.
const MAX_ITEMS: usize = 2_000_000;
/// Longer conditions are not looked through for misspelt names.
const MAX_LOOKED_AT: usize = 64 << 10;
/// Lists within lists, at most.
const MAX_DEPTH: usize = 32;

impl Lists {
    /// Resolves every list. A list sees the lists that were defined before its last change.
    pub(crate) fn of(collected: &Collected) -> Self {
        let mut contents = HashMap::new();
        let mut budget = MAX_ITEMS;
        for list in collected.lists.all() {
            let mut items = Vec::new();
            let content = gather(list, collected, 0, &mut budget, &mut items).then(|| items.join(", "));
            contents.insert(list.item.name.clone(), content);
        }
        let mut phrases: Vec<String> = contents.keys().filter(|name| !is_bare(name)).cloned().collect();
        phrases.sort_by_key(|name| std::cmp::Reverse(name.len()));
        Self { contents, phrases }
    }

    /// Substitutes lists wherever their name stands as a whole word outside quotes; an empty list takes a comma with it.
    ///
    /// # Errors
    /// When the text grows too large.
    pub(crate) fn substitute(&self, condition: &str) -> Result<String, String> {
        let mut out = String::with_capacity(condition.len());
        let mut rest = condition;
        while let Some((word, behind)) = self.word(rest) {
            rest = behind;
            let is_substituted = match self.contents.get(word) {
                Some(Some(content)) if content.is_empty() => {
                    rest = without_comma(&mut out, rest);
                    true
                }
                Some(Some(content)) => {
                    out.push_str(content);
                    true
                }
                Some(None) => false,
                None => {
                    out.push_str(word);
                    true
                }
            };
            if !is_substituted || out.len() > MAX_CONDITION_BYTES {
                return Err("condition is too large once its lists are expanded".to_owned());
            }
        }
        Ok(out)
    }

    /// The first word or delimiter of a text, and what is behind it.
    fn word<'t>(&self, text: &'t str) -> Option<(&'t str, &'t str)> {
        let first = text.chars().next()?;
        let length = match first {
            _ if let Some(length) = self.phrase(text) => length,
            '"' | '\'' => quoted_length(text, first),
            first if is_delimiter(first) => first.len_utf8(),
            _ => text.find(|c: char| is_delimiter(c) || matches!(c, '"' | '\'')).unwrap_or(text.len()),
        };
        text.split_at_checked(length)
    }

    /// What a condition names that is no list, though it probably should be: the right side of an operator for lists without
    /// parentheses, what is called as lists are among them, or nearly the name of a list. Upstream takes it as a text, and so do we.
    /// `is_known` tells other names.
    pub(crate) fn misspelt(&self, condition: &str, is_known: &dyn Fn(&str) -> bool) -> Vec<String> {
        let (mut said, mut before, mut rest, mut is_among) = (Vec::new(), "", condition, false);
        while let Some((word, behind)) = self.word(rest) {
            rest = behind;
            if word.trim().is_empty() {
                continue;
            }
            let is_name = is_bare(word) && !self.contents.contains_key(word) && !is_known(word);
            let is_side = matches!(before, "in" | "intersects" | "pmatch");
            let is_bare_side = is_side && !behind.trim_start().starts_with('(');
            match word {
                "(" => is_among = is_side,
                ")" => is_among = false,
                _ => {}
            }
            before = word;
            if !is_name || condition.len() > MAX_LOOKED_AT {
                continue;
            }
            match self.contents.keys().filter(|name| is_nearly(name, word)).min() {
                Some(name) => said.push(format!("'{word}' is no list and is taken as a text: is '{name}' meant?")),
                None if is_bare_side || (is_among && is_called_as_lists_are(word)) => {
                    said.push(format!("'{word}' is no list and is taken as a text"))
                }
                None => {}
            }
        }
        said
    }

    /// Length of the name of a list that a text begins with, if that name is no single word.
    fn phrase(&self, text: &str) -> Option<usize> {
        let is_whole = |name: &&String| {
            let rest = text.strip_prefix(name.as_str());
            !name.is_empty() && rest.is_some_and(|rest| rest.chars().next().is_none_or(is_delimiter))
        };
        self.phrases.iter().find(is_whole).map(String::len)
    }
}

/// The items of a list, those of lists in it included, while the budget lasts.
fn gather(
    list: &Versioned<ListItem>,
    collected: &Collected,
    depth: usize,
    budget: &mut usize,
    items: &mut Vec<String>,
) -> bool {
    list.item.items.iter().all(|item| {
        if *budget == 0 {
            return false;
        }
        *budget -= 1;
        let inner = collected.lists.get(item).filter(|inner| inner.index < list.visibility && depth < MAX_DEPTH);
        match inner {
            Some(inner) => gather(inner, collected, depth + 1, budget, items),
            None => {
                items.push(list_item(item));
                true
            }
        }
    })
}

/// Whether two long names differ in one or two letters: exchanged, left out or put in.
fn is_nearly(name: &str, word: &str) -> bool {
    let (name, word) = (name.as_bytes(), word.as_bytes());
    if name.len() < 8 || name.len().abs_diff(word.len()) > 2 || name == word {
        return false;
    }
    let same = name.iter().zip(word).take_while(|(a, b)| a == b).count();
    let (name, word) = (name.get(same..).unwrap_or_default(), word.get(same..).unwrap_or_default());
    let same = name.iter().rev().zip(word.iter().rev()).take_while(|(a, b)| a == b).count();
    // What is left between the same beginning and the same end.
    name.len().max(word.len()).saturating_sub(same) <= 2
}

/// Whether a word is made as names of lists are, and as hardly any program, file or user is called: `known_shells`, `shell_list`.
fn is_called_as_lists_are(word: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let is_plural = word.ends_with("list") || (word.contains('_') && word.ends_with('s'));
    is_plural && word.split('_').all(is_part) && EventType::named(word).is_none()
}

fn is_delimiter(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')' | ',' | '=')
}

/// Length of a quoted text with its quotes; a quote closes when the character before it is no backslash.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut before = ' ';
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let closes = *c == quote && before != '\\';
        before = *c;
        closes
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// Takes a comma away on the left, or else on the right.
fn without_comma<'a>(out: &mut String, rest: &'a str) -> &'a str {
    let left = out.trim_end();
    if left.ends_with(',') {
        out.truncate(left.len().saturating_sub(1));
        return rest;
    }
    rest.trim_start().strip_prefix(',').unwrap_or(rest)
}

/// An item of a list as it stands in a condition: quoted when it has to be, unless it is already.
pub(crate) fn list_item(item: &str) -> String {
    let is_special = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '=' | '"' | '\'');
    if is_quoted(item) || !(item.is_empty() || item.contains(is_special)) {
        return item.to_owned();
    }
    format!("\"{}\"", escaped(item))
}

/// A value of an exception as it stands in a condition: quoted when it has blanks, for it may be `val(field)` or a transformer.
pub(crate) fn quoted_item(item: &str) -> String {
    if is_quoted(item) || !item.contains(char::is_whitespace) {
        return item.to_owned();
    }
    format!("\"{}\"", escaped(item))
}

fn is_quoted(item: &str) -> bool {
    ['"', '\''].iter().any(|quote| item.len() >= 2 && item.starts_with(*quote) && item.ends_with(*quote))
}
