//! Anchors: the marks around a pattern's key that say how the key takes part.

/// The kind of an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// `(key)`: if the value matches, go on; otherwise the resource is not meant.
    Condition,
    /// `<(key)`: like a condition, but for the whole rule.
    Global,
    /// `^(key)`: at least one list item matches.
    Existence,
    /// `=(key)`: if the key is there, its value matches.
    Equality,
    /// `X(key)`: the key is absent.
    Negation,
    /// `+(key)`: add the key unless it is there.
    AddIfAbsent,
}

impl Anchor {
    /// Whether a pattern's key with it is judged before the others of its map.
    pub(crate) fn is_judged_first(self) -> bool {
        matches!(self, Self::Condition | Self::Existence | Self::Equality | Self::Negation)
    }

    /// Whether it restricts where a patch applies (and must not stay in the patch).
    pub(crate) fn is_conditional(self) -> bool {
        matches!(self, Self::Condition | Self::Global | Self::Existence | Self::Equality | Self::Negation)
    }
}

/// Splits `=(key)` into its anchor and key.
pub(crate) fn parse(key: &str) -> Option<(Anchor, &str)> {
    // Most keys have none, which their last character tells.
    if key.bytes().next_back().is_none_or(|last| last.is_ascii_graphic() && last != b')') {
        return None;
    }
    let key = key.trim();
    let inner = key.strip_suffix(')')?;
    let (modifier, name) = inner.split_once('(')?;
    let anchor = match modifier {
        "" => Anchor::Condition,
        "<" => Anchor::Global,
        "^" => Anchor::Existence,
        "=" => Anchor::Equality,
        "X" => Anchor::Negation,
        "+" => Anchor::AddIfAbsent,
        _ => return None,
    };
    (!name.is_empty()).then_some((anchor, name))
}

/// The key without its anchor.
pub(crate) fn bare(key: &str) -> &str {
    parse(key).map_or(key, |(_, key)| key)
}
