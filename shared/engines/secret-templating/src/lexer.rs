//! From text to tokens.

use crate::ast::Position;

/// One token with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) at: Position,
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

/// Kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Left,
    Right,
    Bool,
    Char,
    Number,
    String,
    RawString,
    Field,
    Variable,
    Identifier,
    Keyword,
    Dot,
    Nil,
    Pipe,
    OpenParen,
    CloseParen,
    Comma,
    Assign,
    Declare,
    Space,
    Other,
    Error,
    End,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    left: &'a str,
    right: &'a str,
    tokens: Vec<Token>,
    parens: u32,
}

/// Cuts `text` into tokens; an error is the last token.
pub(crate) fn lex(text: &str, (left, right): (&str, &str)) -> Vec<Token> {
    let mut lexer = Lexer { text, at: 0, left, right, tokens: Vec::new(), parens: 0 };
    if let Err(what) = lexer.run() {
        lexer.push(lexer.at, Kind::Error, what);
    } else {
        lexer.push(text.len(), Kind::End, String::new());
    }
    lexer.tokens
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn push(&mut self, at: usize, kind: Kind, text: impl Into<String>) {
        self.tokens.push(Token { at, kind, text: text.into() });
    }

    fn run(&mut self) -> Result<(), String> {
        let mut trims_left = false;
        loop {
            let rest = self.rest();
            let text_end = rest.find(self.left);
            let (start, raw) = (self.at, rest.get(..text_end.unwrap_or(rest.len())).unwrap_or_default());
            let (mut body, after) = (raw, self.at.saturating_add(raw.len()));
            if trims_left {
                body = body.trim_start_matches(SPACES);
            }
            let offset = raw.len().saturating_sub(body.len());
            let action = self.text.get(after.saturating_add(self.left.len())..).unwrap_or_default();
            let trims_right = text_end.is_some() && is_trim_start(action);
            if trims_right {
                body = body.trim_end_matches(SPACES);
            }
            let body = body.to_owned();
            if !body.is_empty() {
                self.push(start.saturating_add(offset), Kind::Text, body);
            }
            self.at = after;
            if text_end.is_none() {
                return Ok(());
            }
            trims_left = self.action(trims_right)?;
        }
    }

    /// Reads one action; says whether the text after it is trimmed.
    fn action(&mut self, has_trim: bool) -> Result<bool, String> {
        let start = self.at;
        self.at = self.at.saturating_add(self.left.len()).saturating_add(if has_trim { 1 } else { 0 });
        let is_comment = self.rest().trim_start_matches(if has_trim { SPACES } else { &[] }).starts_with("/*");
        if is_comment {
            return self.comment();
        }
        self.push(start, Kind::Left, self.left);
        self.parens = 0;
        loop {
            let rest = self.rest();
            if let Some(after) = rest.strip_prefix(is_trim_end_prefix(rest, self.right)) {
                let trims = rest.len() != after.len();
                if trims || rest.starts_with(self.right) {
                    if self.parens > 0 {
                        return Err("unclosed left paren".to_owned());
                    }
                    let skipped = rest.len().saturating_sub(after.len()).saturating_add(self.right.len());
                    self.push(self.at, Kind::Right, self.right);
                    self.at = self.at.saturating_add(skipped);
                    return Ok(trims);
                }
            }
            self.token()?;
        }
    }

    fn comment(&mut self) -> Result<bool, String> {
        let rest = self.rest();
        let Some(end) = rest.find("*/") else { return Err("unclosed comment".to_owned()) };
        let after = rest.get(end.saturating_add(2)..).unwrap_or_default();
        let prefix = is_trim_end_prefix(after, self.right);
        let tail = after.strip_prefix(prefix).unwrap_or(after);
        if !tail.starts_with(self.right) {
            return Err("comment ends before closing delimiter".to_owned());
        }
        let (left, trims) = (tail.len(), !prefix.is_empty());
        self.at = self.text.len().saturating_sub(left).saturating_add(self.right.len());
        Ok(trims)
    }

    fn token(&mut self) -> Result<(), String> {
        let start = self.at;
        let Some(letter) = self.peek() else { return Err("unclosed action".to_owned()) };
        let simple = match letter {
            '=' => Some((Kind::Assign, 1)),
            '|' => Some((Kind::Pipe, 1)),
            ',' => Some((Kind::Comma, 1)),
            '(' => Some((Kind::OpenParen, 1)),
            ')' => Some((Kind::CloseParen, 1)),
            ':' if self.rest().starts_with(":=") => Some((Kind::Declare, 2)),
            ':' => return Err("expected :=".to_owned()),
            _ => None,
        };
        if let Some((kind, length)) = simple {
            match kind {
                Kind::OpenParen => self.parens = self.parens.saturating_add(1),
                Kind::CloseParen if self.parens == 0 => return Err("unexpected right paren".to_owned()),
                Kind::CloseParen => self.parens = self.parens.saturating_sub(1),
                _ => {}
            }
            let text = self.rest().get(..length).unwrap_or_default().to_owned();
            self.push(start, kind, text);
            self.at = start.saturating_add(length);
            return Ok(());
        }
        self.long_token(start, letter)
    }

    fn long_token(&mut self, start: usize, letter: char) -> Result<(), String> {
        let next_is_digit = self.rest().chars().nth(1).is_some_and(|next| next.is_ascii_digit());
        match letter {
            _ if SPACES.contains(&letter) => {
                let end = self.rest().find(|letter| !SPACES.contains(&letter)).unwrap_or(self.rest().len());
                // A space before the trim marker belongs to the marker.
                let end = if self.rest().get(end..).is_some_and(|rest| {
                    rest.starts_with('-') && rest.get(1..).is_some_and(|rest| rest.starts_with(self.right))
                }) {
                    end.saturating_sub(1)
                } else {
                    end
                };
                if end > 0 {
                    self.take(start, Kind::Space, end);
                }
                Ok(())
            }
            '"' => self.quoted(start, '"', Kind::String, "unterminated quoted string"),
            '\'' => self.quoted(start, '\'', Kind::Char, "unterminated character constant"),
            '`' => match self.rest().get(1..).and_then(|rest| rest.find('`')) {
                Some(end) => {
                    self.take(start, Kind::RawString, end.saturating_add(2));
                    Ok(())
                }
                None => Err("unterminated raw quoted string".to_owned()),
            },
            '$' => self.word(start, Kind::Variable),
            '.' if !next_is_digit => self.word(start, Kind::Field),
            '+' | '-' | '.' | '0'..='9' => self.number(start),
            _ if letter == '_' || letter.is_alphanumeric() => self.word(start, Kind::Identifier),
            _ if letter.is_ascii_graphic() => {
                self.take(start, Kind::Other, 1);
                Ok(())
            }
            _ => Err(format!("unrecognized character in action: {}", unicode(letter))),
        }
    }

    fn take(&mut self, start: usize, kind: Kind, length: usize) {
        let text = self.rest().get(..length).unwrap_or_default().to_owned();
        self.at = start.saturating_add(text.len());
        self.push(start, kind, text);
    }

    fn quoted(&mut self, start: usize, quote: char, kind: Kind, fault: &str) -> Result<(), String> {
        let mut is_escaped = false;
        for (index, letter) in self.rest().char_indices().skip(1) {
            match letter {
                '\n' => break,
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                _ if letter == quote => {
                    self.take(start, kind, index.saturating_add(1));
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(fault.to_owned())
    }

    /// A field, variable, keyword or identifier.
    fn word(&mut self, start: usize, kind: Kind) -> Result<(), String> {
        let skip = usize::from(kind != Kind::Identifier);
        let rest = self.rest().get(skip..).unwrap_or_default();
        let length = rest.find(|letter: char| letter != '_' && !letter.is_alphanumeric()).unwrap_or(rest.len());
        let (length, follower) = (length.saturating_add(skip), rest.get(length..).and_then(|rest| rest.chars().next()));
        if kind == Kind::Field && length == 1 {
            self.take(start, Kind::Dot, 1);
            return Ok(());
        }
        let word = self.rest().get(..length).unwrap_or_default().to_owned();
        let ends = |letter: char| SPACES.contains(&letter) || matches!(letter, '.' | ',' | '|' | ':' | ')' | '(');
        if let Some(letter) = follower
            && !ends(letter)
            && !self.rest().get(length..).is_some_and(|rest| rest.starts_with(self.right))
        {
            self.at = start.saturating_add(length);
            return Err(format!("bad character {}", unicode(letter)));
        }
        let kind = match (kind, word.as_str()) {
            (Kind::Identifier, "true" | "false") => Kind::Bool,
            (Kind::Identifier, "nil") => Kind::Nil,
            (
                Kind::Identifier,
                "block" | "break" | "continue" | "define" | "else" | "end" | "if" | "range" | "template" | "with",
            ) => Kind::Keyword,
            (kind, _) => kind,
        };
        self.take(start, kind, length);
        Ok(())
    }

    /// A number, or two with a sign between them; whether it is one is the parser's to say.
    fn number(&mut self, start: usize) -> Result<(), String> {
        let rest = self.rest();
        let mut length = number_length(rest);
        let mut whole = length;
        if rest.get(length..).is_some_and(|after| after.starts_with(['+', '-'])) {
            let second = number_length(rest.get(length..).unwrap_or_default());
            whole = length.saturating_add(second);
            length = whole;
        }
        let follower = rest.get(length..).and_then(|after| after.chars().next());
        if let Some(letter) = follower.filter(|letter| *letter == '_' || letter.is_alphanumeric()) {
            let text = rest.get(..length.saturating_add(letter.len_utf8())).unwrap_or_default();
            return Err(format!("bad number syntax: {}", crate::format::quote(text.as_bytes())));
        }
        self.take(start, Kind::Number, whole);
        Ok(())
    }
}

/// How much of `text` is a number by its letters alone.
fn number_length(text: &str) -> usize {
    let mut at = usize::from(text.starts_with(['+', '-']));
    let after = |at: usize| text.get(at..).unwrap_or_default();
    let run = |at: usize, is_digit: &dyn Fn(char) -> bool| {
        after(at).find(|letter| !is_digit(letter) && letter != '_').map_or(text.len(), |end| at.saturating_add(end))
    };
    let prefix = after(at).get(..2).map(str::to_ascii_lowercase);
    let (radix, skip) = match prefix.as_deref() {
        Some("0x") => (16, 2),
        Some("0o") => (8, 2),
        Some("0b") => (2, 2),
        _ => (10, 0),
    };
    at = run(at.saturating_add(skip), &|letter| letter.is_digit(radix));
    if after(at).starts_with('.') {
        at = run(at.saturating_add(1), &|letter| letter.is_digit(radix));
    }
    let exponent: &[char] = match radix {
        10 => &['e', 'E'],
        16 => &['p', 'P'],
        _ => &[],
    };
    if after(at).starts_with(exponent) {
        let signs = usize::from(after(at.saturating_add(1)).starts_with(['+', '-']));
        at = run(at.saturating_add(1).saturating_add(signs), &|letter| letter.is_ascii_digit());
    }
    at.saturating_add(usize::from(after(at).starts_with('i')))
}

/// `{{- ` begins an action that trims what stands before it.
fn is_trim_start(action: &str) -> bool {
    let mut letters = action.chars();
    letters.next() == Some('-') && letters.next().is_some_and(|letter| SPACES.contains(&letter))
}

/// What stands before the closing delimiter if it trims: a space and a minus; else nothing.
fn is_trim_end_prefix<'a>(rest: &'a str, right: &str) -> &'a str {
    let mut letters = rest.chars();
    let is_marked = letters.next().is_some_and(|letter| SPACES.contains(&letter)) && letters.next() == Some('-');
    let after = rest.get(2..).unwrap_or_default();
    if is_marked && after.starts_with(right) { rest.get(..2).unwrap_or_default() } else { "" }
}

/// A character as Go's `%#U` writes it.
fn unicode(letter: char) -> String {
    let code = format!("U+{:04X}", u32::from(letter));
    if letter.is_control() { code } else { format!("{code} '{letter}'") }
}

const SPACES: &[char] = &[' ', '\t', '\r', '\n'];
