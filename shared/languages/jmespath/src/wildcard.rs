//! Wildcards: `*` stands for any text, `?` for one character.

/// Whether all of `text` matches `pattern`, in time proportional to the product of their lengths at worst.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    if !is_wildcard(pattern) {
        return pattern == text;
    }
    // Nearly all have one `*` and nothing else.
    if let Some((before, behind)) = pattern.split_once('*')
        && !is_wildcard(before)
        && !is_wildcard(behind)
    {
        return text.strip_prefix(before).is_some_and(|rest| rest.ends_with(behind));
    }
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
    pattern.bytes().any(|byte| matches!(byte, b'*' | b'?'))
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
