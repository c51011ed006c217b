//! Cuts an expression into tokens.

use serde_json::Value;

use crate::ast::Comparison;
use crate::error::CompileError;

/// A token with its byte offset.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) position: usize,
}

/// The kinds of tokens.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Identifier(String),
    Quoted(String),
    Number(i64),
    Literal(Value),
    Raw(String),
    Compare(Comparison),
    Dot,
    Star,
    Comma,
    Colon,
    At,
    Ampersand,
    And,
    Or,
    Pipe,
    Not,
    Flatten,
    FilterOpen,
    BracketOpen,
    BracketClose,
    BraceOpen,
    BraceClose,
    ParenOpen,
    ParenClose,
    End,
}

/// Cuts `text` into tokens; the last one is [`Kind::End`].
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, CompileError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.token()?;
        let end = token.kind == Kind::End;
        tokens.push(token);
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, next: char) -> bool {
        let found = self.peek() == Some(next);
        if found {
            self.at += next.len_utf8();
        }
        found
    }

    fn token(&mut self) -> Result<Token, CompileError> {
        while self.peek().is_some_and(|c| matches!(c, ' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
        let position = self.at;
        let Some(first) = self.peek() else { return Ok(Token { kind: Kind::End, position }) };
        self.at += first.len_utf8();
        let kind = match first {
            'a'..='z' | 'A'..='Z' | '_' => self.identifier(position),
            '0'..='9' | '-' => self.number(position)?,
            '"' => self.quoted(position)?,
            '\'' => self.raw(position)?,
            '`' => self.literal(position)?,
            other => self
                .operator(other)
                .ok_or_else(|| CompileError::new(position, format!("unexpected character `{other}`")))?,
        };
        Ok(Token { kind, position })
    }

    fn operator(&mut self, first: char) -> Option<Kind> {
        Some(match first {
            '.' => Kind::Dot,
            '*' => Kind::Star,
            ',' => Kind::Comma,
            ':' => Kind::Colon,
            '@' => Kind::At,
            ']' => Kind::BracketClose,
            '{' => Kind::BraceOpen,
            '}' => Kind::BraceClose,
            '(' => Kind::ParenOpen,
            ')' => Kind::ParenClose,
            '[' if self.take('?') => Kind::FilterOpen,
            '[' if self.take(']') => Kind::Flatten,
            '[' => Kind::BracketOpen,
            '|' if self.take('|') => Kind::Or,
            '|' => Kind::Pipe,
            '&' if self.take('&') => Kind::And,
            '&' => Kind::Ampersand,
            '<' if self.take('=') => Kind::Compare(Comparison::LessOrEqual),
            '<' => Kind::Compare(Comparison::Less),
            '>' if self.take('=') => Kind::Compare(Comparison::GreaterOrEqual),
            '>' => Kind::Compare(Comparison::Greater),
            '!' if self.take('=') => Kind::Compare(Comparison::NotEqual),
            '!' => Kind::Not,
            '=' if self.take('=') => Kind::Compare(Comparison::Equal),
            _ => return None,
        })
    }

    fn identifier(&mut self, start: usize) -> Kind {
        while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            self.at += 1;
        }
        Kind::Identifier(self.text.get(start..self.at).unwrap_or_default().to_owned())
    }

    fn number(&mut self, start: usize) -> Result<Kind, CompileError> {
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        text.parse().map(Kind::Number).map_err(|_| CompileError::new(start, format!("`{text}` is no index")))
    }

    /// The text up to `end`, which is consumed; a backslash keeps the character after it from ending the text.
    fn until(&mut self, start: usize, end: char) -> Result<&'t str, CompileError> {
        let from = self.at;
        let mut escaped = false;
        for (offset, c) in self.rest().char_indices() {
            if !escaped && c == end {
                let text = self.text.get(from..from + offset).unwrap_or_default();
                self.at = from + offset + end.len_utf8();
                return Ok(text);
            }
            escaped = !escaped && c == '\\';
        }
        Err(CompileError::new(start, format!("`{end}` is never closed")))
    }

    fn quoted(&mut self, start: usize) -> Result<Kind, CompileError> {
        let text = self.until(start, '"')?;
        serde_json::from_str(&format!("\"{text}\""))
            .map(Kind::Quoted)
            .map_err(|_| CompileError::new(start, "the quoted key is no JSON string"))
    }

    fn raw(&mut self, start: usize) -> Result<Kind, CompileError> {
        Ok(Kind::Raw(self.until(start, '\'')?.replace("\\'", "'")))
    }

    fn literal(&mut self, start: usize) -> Result<Kind, CompileError> {
        let text = self.until(start, '`')?.replace("\\`", "`");
        serde_json::from_str(&text)
            .map(Kind::Literal)
            .map_err(|error| CompileError::new(start, format!("the literal is no JSON: {error}")))
    }
}
