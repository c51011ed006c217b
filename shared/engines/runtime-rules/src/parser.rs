//! The grammar of conditions: recursive descent with a depth limit, one error with its position.
//!
//! ```text
//! Or    = And *( "or" And )            binds least; every word operator needs a blank or "(" behind it
//! And   = Not *( "and" Not )
//! Not   = *"not" ( "(" Or ")" / Check )
//! Check = Left Compare / macro name
//! Left  = field [ "[" argument "]" ] / transformer "(" arguments ")" [ "[" argument "]" ]
//! ```

use crate::ast::{Argument, Condition, FieldName, Operand, Operator, Quantifier, Right};
use crate::escape::unescape;

/// Deepest nesting of a condition.
const MAX_DEPTH: usize = 200;

/// Names of transformers.
pub(crate) const TRANSFORMERS: [&str; 8] = ["tolower", "toupper", "b64", "basename", "len", "join", "concat", "getopt"];

/// Parses a condition.
///
/// # Errors
/// The first thing that is not in the grammar, with its place.
pub fn parse(text: &str) -> Result<Condition, SyntaxError> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let condition = parser.or()?;
    parser.blanks();
    if parser.rest().is_empty() {
        Ok(condition)
    } else {
        Err(parser.fault("unexpected token after expression, expecting 'or', 'and'"))
    }
}

/// Parses the left side of a comparison standing alone, as in output formats and exceptions.
pub(crate) fn parse_operand(text: &str) -> Result<Operand, SyntaxError> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    match parser.operand()? {
        Some(operand) if parser.rest().is_empty() => Ok(operand),
        _ => Err(parser.fault("expected a field or a transformer")),
    }
}

/// Parses as much of the front of `text` as is an operand; returns it with its length.
pub(crate) fn parse_operand_prefix(text: &str) -> Option<(Operand, usize)> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let operand = parser.operand().ok().flatten()?;
    Some((operand, parser.at))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

type Parsed<T> = Result<T, SyntaxError>;

impl<'a> Parser<'a> {
    fn or(&mut self) -> Parsed<Condition> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fault("exceeded max depth limit of 200 levels"));
        }
        let mut children = vec![self.and()?];
        while self.keyword("or") {
            children.push(self.and()?);
        }
        self.depth -= 1;
        Ok(one_or(children, Condition::Or))
    }

    fn and(&mut self) -> Parsed<Condition> {
        let mut children = vec![self.not()?];
        while self.keyword("and") {
            children.push(self.not()?);
        }
        Ok(one_or(children, Condition::And))
    }

    fn not(&mut self) -> Parsed<Condition> {
        let mut negated = false;
        while self.keyword("not") {
            negated = !negated;
        }
        let child = self.check()?;
        Ok(if negated { Condition::Not(Box::new(child)) } else { child })
    }

    fn check(&mut self) -> Parsed<Condition> {
        self.blanks();
        if self.eat("(") {
            let inner = self.or()?;
            self.blanks();
            return if self.eat(")") { Ok(inner) } else { Err(self.fault("expected a ')' token")) };
        }
        if let Some(left) = self.operand()? {
            return self.comparison(left);
        }
        match self.identifier() {
            Some(name) => Ok(Condition::Macro(name.to_owned())),
            None => Err(self.fault("expected a '(' token, a field check, or an identifier")),
        }
    }

    /// A field or a transformer; `None` without moving when neither begins here.
    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let start = self.at;
        let Some(first) = self.identifier() else { return Ok(None) };
        if TRANSFORMERS.contains(&first) && self.peek() == Some('(') {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(self.fault("exceeded max depth limit of 200 levels"));
            }
            self.at += 1;
            let arguments = self.arguments()?;
            self.depth -= 1;
            let index = self.bracketed()?;
            return Ok(Some(Operand::Transform { name: first.to_owned(), arguments, index }));
        }
        let mut parts = 1;
        while self.peek() == Some('.') {
            let dot = self.at;
            self.at += 1;
            if self.identifier().is_none() {
                self.at = dot;
                break;
            }
            parts += 1;
        }
        if parts < 2 {
            self.at = start;
            return Ok(None);
        }
        let name = self.text.get(start..self.at).unwrap_or_default().to_owned();
        Ok(Some(Operand::Field(FieldName { name, argument: self.bracketed()? })))
    }

    /// Arguments of a transformer, up to the closing parenthesis.
    fn arguments(&mut self) -> Parsed<Vec<Argument>> {
        let mut arguments = Vec::new();
        loop {
            self.blanks();
            arguments.push(self.argument()?);
            self.blanks();
            if self.eat(")") {
                return Ok(arguments);
            }
            if !self.eat(",") {
                return Err(self.fault("expected a ')' token closing the transformer"));
            }
        }
    }

    fn argument(&mut self) -> Parsed<Argument> {
        if let Some(text) = self.quoted()? {
            return Ok(Argument::Text(text));
        }
        if self.eat("(") {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(self.fault("exceeded max depth limit of 200 levels"));
            }
            self.blanks();
            let items = if self.eat(")") { Vec::new() } else { self.arguments()? };
            if items.iter().any(|item| matches!(item, Argument::List(_))) {
                return Err(self.fault("expected no list inside a list of arguments"));
            }
            self.depth -= 1;
            return Ok(Argument::List(items));
        }
        if let Some(operand) = self.operand()? {
            return Ok(Argument::Operand(operand));
        }
        let number = number_prefix(self.rest());
        let text = self.rest().get(..number).unwrap_or_default().to_owned();
        self.at += number;
        if number > 0 {
            Ok(Argument::Text(text))
        } else {
            Err(self.fault("expected a field or a transformer as argument"))
        }
    }

    fn bracketed(&mut self) -> Parsed<Option<String>> {
        if !self.eat("[") {
            return Ok(None);
        }
        let argument = match self.quoted()? {
            Some(text) => text,
            None => {
                let bare = self.take(|c| !c.is_ascii_whitespace() && !matches!(c, '[' | ']' | '"' | '\''));
                if bare.is_empty() {
                    return Err(self.fault("expected a valid field argument: a quoted string or a bare string"));
                }
                bare.to_owned()
            }
        };
        if self.eat("]") { Ok(Some(argument)) } else { Err(self.fault("expected a ']' token")) }
    }

    fn comparison(&mut self, left: Operand) -> Parsed<Condition> {
        self.blanks();
        // As upstream's lexer has it, nothing need follow: `existsand` is two words.
        if self.eat("exists") {
            return Ok(Condition::Exists(left));
        }
        let Some(operator) = self.operator() else {
            return Err(self
                .fault("expected a valid check operator: one of exists, =, ==, !=, <, <=, >, >=, contains, in, ..."));
        };
        self.blanks();
        let right = if operator.takes_list() {
            self.list_or_name()?
        } else if operator.is_numeric() {
            self.number_or_operand()?
        } else {
            self.text_or_operand()?
        };
        Ok(Condition::Compare { left, operator, right })
    }

    fn operator(&mut self) -> Option<Operator> {
        for (symbol, operator) in SYMBOLS {
            if self.eat(symbol) {
                return Some(operator);
            }
        }
        let start = self.at;
        let word = self.identifier()?;
        let found = Operator::ALL.iter().copied().find(|operator| operator.as_str() == word);
        if found.is_some() && self.peek().is_some_and(is_blank) {
            return found;
        }
        self.at = start;
        // Operators that take lists need no blank behind them, so `inlist` is `in list`.
        [Operator::Intersects, Operator::In, Operator::PMatch].into_iter().find(|operator| self.eat(operator.as_str()))
    }

    fn list_or_name(&mut self) -> Parsed<Right> {
        if self.peek() == Some('(') {
            return Ok(Right::List(self.list()?));
        }
        if let Some(operand) = self.right_operand()? {
            return Ok(Right::Operand(operand));
        }
        match self.identifier() {
            // A list name that was not substituted: a list with one item, as upstream reads it.
            Some(name) => Ok(Right::List(vec![name.to_owned()])),
            None => Err(self.fault("expected a list or an identifier")),
        }
    }

    fn list(&mut self) -> Parsed<Vec<String>> {
        if !self.eat("(") {
            return Err(self.fault("expected a list"));
        }
        let mut items = Vec::new();
        self.blanks();
        if self.eat(")") {
            return Ok(items);
        }
        loop {
            self.blanks();
            items.push(self.text_value("expected an identifier or a string in a list")?);
            self.blanks();
            if self.eat(")") {
                return Ok(items);
            }
            if !self.eat(",") {
                return Err(self.fault("expected a ')' token"));
            }
        }
    }

    fn number_or_operand(&mut self) -> Parsed<Right> {
        if let Some(operand) = self.right_operand()? {
            return Ok(Right::Operand(operand));
        }
        let number = number_prefix(self.rest());
        if number == 0 {
            return Err(self.fault("expected a number"));
        }
        let text = self.rest().get(..number).unwrap_or_default().to_owned();
        self.at += number;
        Ok(Right::Text(text))
    }

    fn text_or_operand(&mut self) -> Parsed<Right> {
        if let Some(right) = self.quantified()? {
            return Ok(right);
        }
        if let Some(operand) = self.right_operand()? {
            return Ok(Right::Operand(operand));
        }
        self.text_value("expected a string").map(Right::Text)
    }

    /// `oneof`, `anyof` or `allof` between blanks, with a list or the name of one.
    fn quantified(&mut self) -> Parsed<Option<Right>> {
        let start = self.at;
        let is_after_blank =
            self.text.get(..start).is_some_and(|before| before.ends_with(|c: char| c.is_ascii_whitespace()));
        for quantifier in [Quantifier::OneOf, Quantifier::AnyOf, Quantifier::AllOf] {
            if is_after_blank && self.word(quantifier.as_str()) && self.peek().is_some_and(|c| c.is_ascii_whitespace())
            {
                self.blanks();
                if self.peek() == Some('(') {
                    return Ok(Some(Right::Quantified(quantifier, self.list()?)));
                }
                if let Some(name) = self.identifier().filter(|name| !matches!(*name, "and" | "or")) {
                    return Ok(Some(Right::Quantified(quantifier, vec![name.to_owned()])));
                }
            }
            self.at = start;
        }
        Ok(None)
    }

    /// `val(field)` or a transformer on the right side; a bare field name there is a text.
    fn right_operand(&mut self) -> Parsed<Option<Operand>> {
        let start = self.at;
        if self.eat("val(") {
            self.blanks();
            let operand = self.operand()?;
            self.blanks();
            return match operand {
                Some(operand @ Operand::Field(_)) if self.eat(")") => Ok(Some(operand)),
                _ => Err(self.fault("expected a field and a ')' token after 'val('")),
            };
        }
        let is_transformer =
            self.identifier().is_some_and(|name| TRANSFORMERS.contains(&name)) && self.peek() == Some('(');
        self.at = start;
        if is_transformer { self.operand() } else { Ok(None) }
    }

    fn text_value(&mut self, expected: &str) -> Parsed<String> {
        if let Some(text) = self.quoted()? {
            return Ok(text);
        }
        let bare = self.take(|c| !c.is_ascii_whitespace() && !matches!(c, '(' | ')' | '"' | '\'' | '=' | ','));
        if bare.is_empty() { Err(self.fault(expected)) } else { Ok(bare.to_owned()) }
    }

    /// A quoted text; a quote closes when the character before it is no backslash.
    fn quoted(&mut self) -> Parsed<Option<String>> {
        let Some(quote) = self.peek().filter(|c| matches!(c, '"' | '\'')) else { return Ok(None) };
        let body = self.rest().get(1..).unwrap_or_default();
        let mut before = ' ';
        let end = body.char_indices().find(|(_, c)| {
            let closes = *c == quote && before != '\\';
            before = *c;
            closes
        });
        let Some((end, _)) = end else { return Err(self.fault(&format!("expected a closing {quote} token"))) };
        let text = body.get(..end).and_then(|text| unescape(text, quote));
        let text = text.ok_or_else(|| self.fault("unknown escape in a quoted string"))?;
        self.at += end + 2;
        Ok(Some(text))
    }

    fn identifier(&mut self) -> Option<&'a str> {
        let starts = self.peek().is_some_and(|c| c.is_ascii_alphabetic());
        starts.then(|| self.take(|c| c.is_ascii_alphanumeric() || c == '_'))
    }

    /// A word operator with what must follow it.
    fn keyword(&mut self, word: &str) -> bool {
        self.blanks();
        let follows = self.rest().strip_prefix(word).and_then(|rest| rest.chars().next());
        let is_it = follows.is_some_and(|c| is_blank(c) || c == '(');
        if is_it {
            self.at += word.len();
        }
        is_it
    }

    /// A word that ends here: nothing of an identifier follows.
    fn word(&mut self, word: &str) -> bool {
        let follows = self.rest().strip_prefix(word).map(|rest| rest.chars().next());
        let is_it = follows.is_some_and(|next| next.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_'));
        if is_it {
            self.at += word.len();
        }
        is_it
    }

    fn eat(&mut self, token: &str) -> bool {
        let is_it = self.rest().starts_with(token);
        if is_it {
            self.at += token.len();
        }
        is_it
    }

    fn take(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn blanks(&mut self) {
        self.take(is_blank);
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn fault(&self, what: &str) -> SyntaxError {
        let before = self.text.get(..self.at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        SyntaxError { what: what.to_owned(), position: self.at, line, column }
    }
}

/// What separates words: upstream's `lex_blank` takes a backspace too, but no form feed.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{8}' | '\r' | '\n')
}

/// Length of the number at the front: decimal with fraction and exponent, or hexadecimal.
fn number_prefix(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize, is: fn(&u8) -> bool| {
        bytes.get(from..).unwrap_or_default().iter().take_while(|byte| is(byte)).count()
    };
    if text.starts_with("0x") || text.starts_with("0X") {
        let count = digits(2, u8::is_ascii_alphanumeric);
        return if count > 0 { count + 2 } else { 0 };
    }
    let sign = usize::from(text.starts_with(['+', '-']));
    let whole = digits(sign, u8::is_ascii_digit);
    if whole == 0 {
        return 0;
    }
    let mut end = sign + whole;
    if bytes.get(end) == Some(&b'.') {
        end += 1 + digits(end + 1, u8::is_ascii_digit);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) && matches!(bytes.get(end + 1), Some(b'+' | b'-')) {
        let exponent = digits(end + 2, u8::is_ascii_digit);
        if exponent > 0 {
            end += 2 + exponent;
        }
    }
    end
}

fn one_or(mut children: Vec<Condition>, many: fn(Vec<Condition>) -> Condition) -> Condition {
    match children.len() {
        1 => children.remove(0),
        _ => many(children),
    }
}

const SYMBOLS: [(&str, Operator); 7] = [
    ("==", Operator::Equal),
    ("=", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    ("<", Operator::Less),
    (">=", Operator::GreaterOrEqual),
    (">", Operator::Greater),
];

/// A text is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} (line {line}, column {column} of the condition)")]
pub struct SyntaxError {
    /// What was expected.
    pub what: String,
    /// Byte position.
    pub position: usize,
    /// Line in the condition, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}
