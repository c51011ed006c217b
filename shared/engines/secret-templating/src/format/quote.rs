//! Text in quotation marks.

/// Text in double quotes with Go's escapes.
pub(crate) fn quote(bytes: &[u8]) -> String {
    quote_with(bytes, '"', false)
}

/// Text in the quotes given; only ASCII when asked for.
pub(crate) fn quote_with(bytes: &[u8], mark: char, is_ascii: bool) -> String {
    let mut quoted = String::from(mark);
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            push_escaped(&mut quoted, letter, mark, is_ascii);
        }
        for byte in chunk.invalid() {
            quoted.push_str(&format!("\\x{byte:02x}"));
        }
    }
    quoted.push(mark);
    quoted
}

fn push_escaped(quoted: &mut String, letter: char, mark: char, is_ascii: bool) {
    let code = u32::from(letter);
    match letter {
        '\\' => quoted.push_str("\\\\"),
        '\u{7}' => quoted.push_str("\\a"),
        '\u{8}' => quoted.push_str("\\b"),
        '\u{c}' => quoted.push_str("\\f"),
        '\n' => quoted.push_str("\\n"),
        '\r' => quoted.push_str("\\r"),
        '\t' => quoted.push_str("\\t"),
        '\u{b}' => quoted.push_str("\\v"),
        _ if letter == mark => {
            quoted.push('\\');
            quoted.push(letter);
        }
        _ if is_printable(letter) && (letter.is_ascii() || !is_ascii) => quoted.push(letter),
        _ if code < 0x20 || code == 0x7f => quoted.push_str(&format!("\\x{code:02x}")),
        _ if code < 0x10000 => quoted.push_str(&format!("\\u{code:04x}")),
        _ => quoted.push_str(&format!("\\U{code:08x}")),
    }
}

/// Whether Go counts a character as printable: letters, marks, numbers, punctuation, symbols and the plain space.
pub(crate) fn is_printable(letter: char) -> bool {
    if letter == ' ' {
        return true;
    }
    let code = u32::from(letter);
    let is_format = matches!(code, 0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x180e | 0x200b..=0x200f | 0x202a..=0x202e
        | 0x2060..=0x206f | 0xfeff | 0xfff0..=0xfffb | 0xfffe | 0xffff | 0x110bd | 0xe0001..=0xe007f);
    let is_private = matches!(code, 0xe000..=0xf8ff | 0xf0000..=0x10_ffff);
    !(letter.is_control() || letter.is_whitespace() || is_format || is_private)
}

/// Whether text can stand between backquotes.
pub(crate) fn fits_backquotes(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    text.chars()
        .all(|letter| letter != '\u{feff}' && letter != '`' && letter != '\u{7f}' && (letter >= ' ' || letter == '\t'))
}
