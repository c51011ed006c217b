//! Constants of text as Go writes them.

/// The bytes of a quoted, raw or character constant.
pub(crate) fn unquote(text: &str) -> Option<Vec<u8>> {
    if let Some(raw) = text.strip_prefix('`') {
        return Some(raw.strip_suffix('`')?.replace('\r', "").into_bytes());
    }
    let body = text.get(1..text.len().checked_sub(1)?)?;
    let mut bytes = Vec::with_capacity(body.len());
    let mut letters = body.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = letters.next()?;
        let mut code = |digits: usize, radix| {
            let text: String = letters.by_ref().take(digits).collect();
            if text.len() == digits { u32::from_str_radix(&text, radix).ok() } else { None }
        };
        match escape {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'f' => bytes.push(12),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(11),
            '\\' | '\'' | '"' => bytes.push(u8::try_from(escape).ok()?),
            'x' => bytes.push(u8::try_from(code(2, 16)?).ok()?),
            'u' => bytes.extend_from_slice(char::from_u32(code(4, 16)?)?.encode_utf8(&mut [0; 4]).as_bytes()),
            'U' => bytes.extend_from_slice(char::from_u32(code(8, 16)?)?.encode_utf8(&mut [0; 4]).as_bytes()),
            '0'..='7' => {
                let low = code(2, 8)?;
                bytes.push(u8::try_from(escape.to_digit(8)?.checked_mul(64)?.checked_add(low)?).ok()?);
            }
            _ => return None,
        }
    }
    Some(bytes)
}
