//! Words that stand for variables while a text is read without them.

use super::template::Part;

const MARK: &str = "standsForVariable";

/// What stands for a variable, by its number.
pub(crate) fn mark(number: usize) -> String {
    format!("{MARK}{number}x")
}

/// Whether a text holds something that could be taken for a mark.
pub(crate) fn is_marked(text: &str) -> bool {
    text.contains(MARK)
}

/// The parts as one text with marks for the variables, the one with a number followed by more.
pub(crate) fn marked(parts: &[Part], followed: Option<(usize, &str)>) -> String {
    let (mut text, mut number) = (String::new(), 0);
    for part in parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Variable(_) => {
                text.push_str(&mark(number));
                text.push_str(followed.filter(|(of, _)| *of == number).map_or("", |(_, more)| more));
                number += 1;
            }
        }
    }
    text
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
