//! What comparisons may turn out to be for texts of which the folder is known, but not the name in it.

use crate::ast::Operator;
use crate::comparison::{Against, Comparison, Constant, is_below};
use crate::possible::May;

/// Texts that begin alike up to and with their last slash (or that have none), followed by some name: at least one byte, no slash, and
/// no dot at the front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Folder<'a>(&'a [u8]);

impl<'a> Folder<'a> {
    /// That of a text.
    pub(crate) fn of(text: &'a [u8]) -> Self {
        Self(text.get(..name_of(text)).unwrap_or_default())
    }

    /// Whether one of such texts compares with a literal, and whether one does not. `icontains` wants the literal in small letters.
    pub(crate) fn compare(self, operator: Operator, literal: &[u8]) -> May {
        use Operator as O;
        match operator {
            O::Equal | O::In | O::Intersects => self.ends_in(literal.strip_prefix(self.0)),
            O::NotEqual => self.ends_in(literal.strip_prefix(self.0)).negated(),
            O::StartsWith | O::BStartsWith => self.begins_with(literal),
            O::EndsWith => self.ends_with(literal),
            O::Contains | O::BContains => contains(self.0, literal),
            O::IContains => contains(&self.0.to_ascii_lowercase(), literal),
            O::PMatch => self.is_below(literal),
            O::Glob | O::IGlob | O::Regex | O::Less | O::LessOrEqual | O::Greater | O::GreaterOrEqual => May::OPEN,
        }
    }

    /// The same of a comparison whose left side such a text is.
    pub(crate) fn meets(self, comparison: &Comparison) -> May {
        let Against::Constants(constants, _) = &comparison.against else { return May::OPEN };
        let each = constants.iter().map(|constant| self.meets_one(comparison.operator, constant));
        let is_any = matches!(comparison.operator, Operator::In | Operator::Intersects) || !comparison.all;
        if is_any { each.fold(May::be(false), May::or) } else { each.fold(May::be(true), May::and) }
    }

    fn meets_one(self, operator: Operator, constant: &Constant) -> May {
        let is_pattern = matches!(operator, Operator::Glob | Operator::IGlob | Operator::Regex);
        if is_pattern && !self.begins_with(&constant.beginning).hold {
            return May::be(false);
        }
        self.compare(operator, &constant.text)
    }

    fn ends_in(self, name: Option<&[u8]>) -> May {
        if name.is_some_and(|name| !name.is_empty() && may_begin_name(name)) { May::OPEN } else { May::be(false) }
    }

    fn begins_with(self, literal: &[u8]) -> May {
        match literal.strip_prefix(self.0) {
            _ if self.0.starts_with(literal) => May::be(true),
            Some(rest) if may_begin_name(rest) => May::OPEN,
            _ => May::be(false),
        }
    }

    fn ends_with(self, literal: &[u8]) -> May {
        match literal.split_at_checked(name_of(literal)) {
            Some(([], [])) => May::be(true),
            Some(([], _)) => May::OPEN,
            // The last slashes of both are the same one.
            Some((folder, name)) if self.0.ends_with(folder) => self.ends_in(Some(name)),
            _ => May::be(false),
        }
    }

    fn is_below(self, literal: &[u8]) -> May {
        let mut wanted = literal.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
        let parts = self.0.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
        for part in parts {
            match wanted.next() {
                None => return May::be(true),
                Some(wanted) if is_below(part, wanted) => {}
                Some(_) => return May::be(false),
            }
        }
        match (wanted.next(), wanted.next()) {
            (None, _) => May::be(true),
            (Some(_), None) => May::OPEN,
            (Some(_), Some(_)) => May::be(false),
        }
    }
}

/// In the folder, in the name, or across the slash between them.
fn contains(folder: &[u8], literal: &[u8]) -> May {
    if memchr::memmem::find(folder, literal).is_some() {
        return May::be(true);
    }
    match literal.split_at_checked(name_of(literal)) {
        Some(([], _)) => May::OPEN,
        Some((before, name)) if folder.ends_with(before) && !name.is_empty() && may_begin_name(name) => May::OPEN,
        _ => May::be(false),
    }
}

/// Where the name begins that a text ends in.
fn name_of(text: &[u8]) -> usize {
    text.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1)
}

fn may_begin_name(text: &[u8]) -> bool {
    text.first() != Some(&b'.') && !text.contains(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_depends_on_the_name_is_left_open() {
        use Operator as O;
        let (yes, no, open) = (May::be(true), May::be(false), May::OPEN);
        for (operator, literal, expected) in [
            (O::Equal, "/etc/ssl/key", open),
            (O::Equal, "/etc/ssl/", no),
            (O::Equal, "/etc/ssl/.key", no),
            (O::Equal, "/etc/ssl/private/key", no),
            (O::Equal, "/etc/passwd", no),
            (O::NotEqual, "/etc/passwd", yes),
            (O::NotEqual, "/etc/ssl/key", open),
            (O::StartsWith, "/etc/s", yes),
            (O::StartsWith, "/etc/ssl/", yes),
            (O::StartsWith, "/etc/ssl/k", open),
            (O::StartsWith, "/etc/ssl/k/", no),
            (O::StartsWith, "/etc/sssd", no),
            (O::EndsWith, "key", open),
            (O::EndsWith, "ssl/key", open),
            (O::EndsWith, "tls/key", no),
            (O::EndsWith, "ssl/", no),
            (O::EndsWith, "", yes),
            (O::Contains, "/ssl/", yes),
            (O::Contains, "c/s", yes),
            (O::Contains, "ssl/k", open),
            (O::Contains, "ssl/.k", no),
            (O::Contains, "key", open),
            (O::Contains, "/key/", no),
            (O::Contains, "../", no),
            (O::IContains, "key", open),
            (O::IContains, "/tls/", no),
            (O::PMatch, "/etc", yes),
            (O::PMatch, "/etc/s*l", yes),
            (O::PMatch, "/etc/ssl/key", open),
            (O::PMatch, "/etc/ssl/private/key", no),
            (O::PMatch, "/usr", no),
            (O::Regex, "x", open),
        ] {
            assert_eq!(
                Folder::of(b"/etc/ssl/cert.pem").compare(operator, literal.as_bytes()),
                expected,
                "{operator:?} {literal}"
            );
        }
        let name = Folder::of(b"cert.pem");
        assert_eq!(name.compare(O::Equal, b"key"), open);
        assert_eq!(name.compare(O::Equal, b".key"), no);
        assert_eq!(name.compare(O::Contains, b"/"), no);
        assert_eq!(name.compare(O::StartsWith, b""), yes);
    }
}
