//! Words that stand for variables while a text is read without them.

const MARK: &str = "standsForVariable";

/// What stands for a variable, by its number.
pub(crate) fn mark(number: usize) -> String {
    format!("{MARK}{number}x")
}

/// Whether a text holds something that could be taken for a mark.
pub(crate) fn is_marked(text: &str) -> bool {
    text.contains(MARK)
}

/// A text cut at its marks.
#[derive(Debug)]
pub(crate) struct MarkedText(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    /// By its number.
    Variable(usize),
}

impl MarkedText {
    /// Cuts the text; `None` for a mark that is cut off.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let mut parts = text.split(MARK);
        let mut pieces = vec![Piece::Text(parts.next()?.to_owned())];
        for part in parts {
            let (number, rest) = part.split_once('x')?;
            pieces.push(Piece::Variable(number.parse().ok()?));
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Some(Self(pieces))
    }

    /// The text with the texts of the variables in it.
    pub(crate) fn fill(&self, texts: &[String]) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Variable(number) => texts.get(*number).map(String::as_str).unwrap_or_default(),
        });
        pieces.collect()
    }
}
