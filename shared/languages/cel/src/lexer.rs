//! Cuts an expression into tokens.

use crate::ast::Literal;
use crate::error::CompileError;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) at: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// An identifier or a keyword.
    Word(String),
    /// An identifier in backticks, allowed behind a dot only.
    Quoted(String),
    Literal(Literal),
    /// A number too large for `int` unless a minus stands before it.
    MinInt,
    Symbol(&'static str),
    End,
}

/// Longest first where one begins with another.
const SYMBOLS: [&str; 25] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", ".", ",", "(", ")", "[", "]",
    "{", "}", "=",
];

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

    fn fail<T>(&self, at: usize, what: &str) -> Result<T, CompileError> {
        Err(CompileError::new(self.text, at, format!("Syntax error: {what}")))
    }

    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with("//") {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn token(&mut self) -> Result<Token, CompileError> {
        self.skip();
        let at = self.at;
        let Some(first) = self.peek() else { return Ok(Token { kind: Kind::End, at }) };
        let digit_next = self.rest().chars().nth(1).is_some_and(|c| c.is_ascii_digit());
        let kind = match first {
            '0'..='9' => self.number()?,
            '.' if digit_next => self.number()?,
            '"' | '\'' => Kind::Literal(self.quoted(at, false, false)?),
            '`' => {
                let inner =
                    self.rest().get(1..).and_then(|rest| rest.split_once('`')).map(|(inner, _)| inner.to_owned());
                let Some(inner) = inner else { return self.fail(at, "unterminated identifier") };
                self.at += inner.len() + 2;
                Kind::Quoted(inner)
            }
            c if c.is_ascii_alphabetic() || c == '_' => self.word()?,
            _ => {
                let Some(symbol) = SYMBOLS.into_iter().find(|symbol| self.rest().starts_with(symbol)) else {
                    return self.fail(at, &format!("token recognition error at: '{first}'"));
                };
                self.at += symbol.len();
                Kind::Symbol(symbol)
            }
        };
        Ok(Token { kind, at })
    }

    fn word(&mut self) -> Result<Kind, CompileError> {
        let at = self.at;
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        self.at += end;
        if behind.starts_with(['"', '\'']) {
            let prefix = word.to_ascii_lowercase();
            let (raw, bytes) = (prefix.contains('r'), prefix.contains('b'));
            if matches!(prefix.as_str(), "r" | "b" | "br" | "rb") {
                return self.quoted(at, raw, bytes).map(Kind::Literal);
            }
        }
        Ok(match word {
            "true" => Kind::Literal(Literal::Bool(true)),
            "false" => Kind::Literal(Literal::Bool(false)),
            "null" => Kind::Literal(Literal::Null),
            word => Kind::Word(word.to_owned()),
        })
    }

    fn number(&mut self) -> Result<Kind, CompileError> {
        let at = self.at;
        let rest = self.rest();
        if let Some(hex) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
            let end = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
            self.at += end + 2;
            return self.integer(at, hex.get(..end).unwrap_or_default(), 16);
        }
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let mut end = digits(rest);
        let mut float = false;
        let tail = |end: usize| rest.get(end..).unwrap_or_default();
        if let Some(fraction) = tail(end).strip_prefix('.') {
            let count = digits(fraction);
            if count > 0 {
                float = true;
                end += 1 + count;
            }
        }
        if let Some(exponent) = tail(end).strip_prefix(['e', 'E']) {
            let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            let count = digits(unsigned);
            if count > 0 {
                float = true;
                end += 1 + (exponent.len() - unsigned.len()) + count;
            }
        }
        self.at += end;
        let text = rest.get(..end).unwrap_or_default();
        if float {
            return match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(Kind::Literal(Literal::Double(value))),
                _ => self.fail(at, "invalid double literal"),
            };
        }
        self.integer(at, text, 10)
    }

    fn integer(&mut self, at: usize, digits: &str, radix: u32) -> Result<Kind, CompileError> {
        if self.rest().starts_with(['u', 'U']) {
            self.at += 1;
            return match u64::from_str_radix(digits, radix) {
                Ok(value) => Ok(Kind::Literal(Literal::Uint(value))),
                Err(_) => self.fail(at, "invalid uint literal"),
            };
        }
        match u64::from_str_radix(digits, radix) {
            Ok(value) if value == 1 << 63 => Ok(Kind::MinInt),
            Ok(value) => match i64::try_from(value) {
                Ok(value) => Ok(Kind::Literal(Literal::Int(value))),
                Err(_) => self.fail(at, "invalid int literal"),
            },
            Err(_) => self.fail(at, "invalid int literal"),
        }
    }

    fn quoted(&mut self, at: usize, raw: bool, bytes: bool) -> Result<Literal, CompileError> {
        let rest = self.rest();
        let quote = if rest.starts_with('"') { '"' } else { '\'' };
        let triple: String = std::iter::repeat_n(quote, 3).collect();
        let long = rest.starts_with(&triple);
        let width = if long { 3 } else { 1 };
        let body = rest.get(width..).unwrap_or_default();
        let mut out = Unquoted { bytes: Vec::new(), is_bytes: bytes };
        let mut characters = body.char_indices();
        while let Some((offset, c)) = characters.next() {
            let closes =
                if long { body.get(offset..).is_some_and(|rest| rest.starts_with(&triple)) } else { c == quote };
            if closes {
                self.at += width + offset + width;
                return match out.finish() {
                    Some(literal) => Ok(literal),
                    None => self.fail(at, "the escapes make no UTF-8"),
                };
            }
            match c {
                '\n' | '\r' if !long => return self.fail(at, "newline in string literal"),
                '\\' if !raw => {
                    if out.escape(&mut characters).is_none() {
                        return self.fail(at, "invalid escape sequence");
                    }
                }
                c => out.push(c),
            }
        }
        self.fail(at, "unterminated string literal")
    }
}

struct Unquoted {
    bytes: Vec<u8>,
    is_bytes: bool,
}

impl Unquoted {
    fn push(&mut self, c: char) {
        let mut buffer = [0; 4];
        self.bytes.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
    }

    fn finish(self) -> Option<Literal> {
        if self.is_bytes {
            Some(Literal::Bytes(self.bytes))
        } else {
            String::from_utf8(self.bytes).ok().map(Literal::Text)
        }
    }

    /// Reads what follows a backslash.
    fn escape(&mut self, characters: &mut std::str::CharIndices<'_>) -> Option<()> {
        let (_, c) = characters.next()?;
        let mut code = |count: usize, radix: u32, first: u32| {
            let mut code = first;
            for _ in 0..count {
                code = code.checked_mul(radix)?.checked_add(characters.next()?.1.to_digit(radix)?)?;
            }
            Some(code)
        };
        let code = match c {
            'n' => 10,
            't' => 9,
            'r' => 13,
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'v' => 11,
            '\\' | '"' | '\'' | '`' | '?' => u32::from(c),
            'x' | 'X' => code(2, 16, 0)?,
            '0'..='3' => code(2, 8, c.to_digit(8)?)?,
            'u' if !self.is_bytes => code(4, 16, 0)?,
            'U' if !self.is_bytes => code(8, 16, 0)?,
            _ => return None,
        };
        if self.is_bytes {
            self.bytes.push(u8::try_from(code).ok()?);
        } else {
            self.push(char::from_u32(code)?);
        }
        Some(())
    }
}
