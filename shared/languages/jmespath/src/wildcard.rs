//! Wildcards: `*` stands for any text, `?` for one character.

/// Whether all of `text` matches `pattern`, in time proportional to the product of their lengths at worst.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some(first) = pattern.bytes().position(is_mark) else { return pattern == text };
    // What stands before the first wildcard decides most of them.
    let (before, marked) = pattern.split_at(first);
    let Some(text) = text.strip_prefix(before) else { return false };
    // Nearly all have one `*` and nothing else.
    if let Some(behind) = marked.strip_prefix('*').filter(|behind| !is_wildcard(behind)) {
        return text.ends_with(behind);
    }
    let pattern = marked;
    let (mut pattern_at, mut text_at) = (pattern.chars(), text.chars());
    // Where to go on when a later character fails: behind the last `*`, one character further in the text.
    let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        match (pattern_at.next(), text_at.clone().next()) {
            (Some('*'), _) => retry = Some((pattern_at.clone(), text_at.clone())),
            (Some('?'), Some(_)) => {
                text_at.next();
            }
            (Some(wanted), Some(found)) if wanted == found => {
                text_at.next();
            }
            (None, None) => return true,
            _ => {
                let Some((behind, from)) = &mut retry else { return false };
                if from.next().is_none() {
                    return false;
                }
                pattern_at = behind.clone();
                text_at = from.clone();
            }
        }
    }
}

/// Whether `pattern` has a wildcard at all.
#[must_use]
pub fn is_wildcard(pattern: &str) -> bool {
    pattern.bytes().any(is_mark)
}

fn is_mark(byte: u8) -> bool {
    matches!(byte, b'*' | b'?')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn matches_as_kyverno_does() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("?", "", false),
            ("?", "é", true),
            ("a?c", "abc", true),
            ("??*", "a", false),
            ("*a*b*", "xxaxxbxx", true),
            ("a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
            ("nginx:*", "nginx:", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }
}
