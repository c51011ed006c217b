//! Quoting and escapes of constants.

/// Resolves the escapes of a quoted text that was enclosed by `quote`; `None` for an escape that does not exist.
pub(crate) fn unescape(text: &str, quote: char) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match rest.next()? {
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            // A blank after a backslash is a text of old rules: the backslash stays, the blank goes with it.
            ' ' => out.push('\\'),
            '\\' => out.push('\\'),
            '/' => out.push('/'),
            'x' => {
                let digits: String = rest.by_ref().take(2).collect();
                let byte = u8::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 2)?;
                out.push(char::from(byte));
            }
            c if c == quote => out.push(c),
            _ => return None,
        }
    }
    Some(out)
}

/// The text with everything escaped that double quotes need.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            c => out.push(c),
        }
    }
    // A quote behind a backslash does not close, so a text cannot end with one.
    if out.ends_with("\\\\") {
        out.truncate(out.len().saturating_sub(2));
        out.push_str("\\x5c");
    }
    out
}

/// A constant as it is printed: bare where a bare word reads back as the same, else in double quotes.
pub(crate) fn quoted(text: &str) -> String {
    let is_bare =
        |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '(' | ')' | '"' | '\'' | '=' | ',' | '[' | ']');
    if !text.is_empty() && text.chars().all(is_bare) { text.to_owned() } else { format!("\"{}\"", escaped(text)) }
}

/// Text as it can stand in a log: control characters become the escapes that JSON has for them, so that no terminal obeys them.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}
