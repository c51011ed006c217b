//! One comparison: a value against constants or another value.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use regex::bytes::{Regex, RegexBuilder};

use crate::ast::Operator;
use crate::catalogue::FieldType;
use crate::event::{Event, Value};
use crate::source::Source;

/// A typed comparison.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    pub(crate) left: Source,
    pub(crate) kind: FieldType,
    pub(crate) operator: Operator,
    pub(crate) against: Against,
    /// Whether every constant must hold (`allof`), not one.
    pub(crate) all: bool,
}

/// The right side.
#[derive(Clone, Debug)]
pub(crate) enum Against {
    Source(Source),
    /// In the order of the text, and as a set of bytes for `in`.
    Constants(Vec<Constant>, BTreeSet<Vec<u8>>),
}

/// A constant in every form in which the left side may want it.
#[derive(Clone, Debug)]
pub(crate) struct Constant {
    pub(crate) text: Vec<u8>,
    number: Option<i128>,
    truth: Option<bool>,
    network: Option<IpNet>,
    pattern: Option<Regex>,
    /// What every text begins with that the pattern matches: most others are told by that.
    pub(crate) beginning: Vec<u8>,
}

impl Comparison {
    /// Whether the operator is defined for the type of the left side.
    pub(crate) fn check(&self) -> Result<(), String> {
        use Operator as O;
        let fits = match self.kind {
            FieldType::Text | FieldType::Path | FieldType::TextList => !self.operator.is_numeric(),
            FieldType::Number | FieldType::Decimal => {
                self.operator.is_numeric() || matches!(self.operator, O::Equal | O::NotEqual | O::In | O::Intersects)
            }
            FieldType::Boolean | FieldType::Address => {
                matches!(self.operator, O::Equal | O::NotEqual | O::In | O::Intersects)
            }
        };
        let operator = self.operator.as_str();
        if fits { Ok(()) } else { Err(format!("'{operator}' operator not supported for {} fields", self.kind.name())) }
    }

    /// Whether it holds. A missing value makes every comparison false.
    pub(crate) fn holds<E: Event + ?Sized>(&self, event: &E) -> bool {
        let Some(left) = self.left.value(event) else { return false };
        match &self.against {
            Against::Source(source) => {
                let Some(right) = source.value(event) else { return false };
                self.any(&left, &Constant::of_value(&right))
            }
            Against::Constants(constants, texts) => match constants.as_slice() {
                [constant] if let Some(holds) = self.of_one(&left, constant) => holds,
                _ => self.holds_for(&left, constants, texts),
            },
        }
    }

    /// The short way for what is asked most: whether something is so, and how a number compares with another.
    fn of_one(&self, left: &Value<'_>, constant: &Constant) -> Option<bool> {
        match (self.kind, left) {
            (FieldType::Boolean, Value::Boolean(truth)) => {
                Some((constant.truth? == *truth) != (self.operator == Operator::NotEqual))
            }
            (FieldType::Number, Value::Number(number)) => {
                let (number, bound) = (i128::from(*number), constant.number?);
                match self.operator {
                    Operator::Equal | Operator::In | Operator::Intersects => Some(number == bound),
                    Operator::NotEqual => Some(number != bound),
                    Operator::Less => Some(number < bound),
                    Operator::LessOrEqual => Some(number <= bound),
                    Operator::Greater => Some(number > bound),
                    Operator::GreaterOrEqual => Some(number >= bound),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn holds_for(&self, left: &Value<'_>, constants: &[Constant], texts: &BTreeSet<Vec<u8>>) -> bool {
        let is_in = |value: &Value<'_>| match self.kind.is_text() {
            true => texts.contains(value.as_bytes().as_ref()),
            false => constants.iter().any(|constant| self.is_equal(value, constant)),
        };
        match (self.operator, left) {
            (Operator::In, Value::List(items)) => !items.is_empty() && items.iter().all(is_in),
            (Operator::In | Operator::Intersects, Value::Any(items) | Value::List(items)) => items.iter().any(is_in),
            (Operator::In | Operator::Intersects, value) => is_in(value),
            _ if self.all => constants.iter().all(|constant| self.any(left, constant)),
            _ => constants.iter().any(|constant| self.any(left, constant)),
        }
    }

    /// A comparison with several values holds when it holds for one of them; `!=` on both ends of a connection asks for both.
    fn any(&self, value: &Value<'_>, constant: &Constant) -> bool {
        let asks_for_both = self.operator == Operator::NotEqual
            && matches!(&self.left, Source::Field(field) if field.id.is_both_ends());
        match value {
            Value::Any(items) | Value::List(items) if asks_for_both => {
                !items.is_empty() && items.iter().all(|item| self.one(item, constant))
            }
            Value::Any(items) | Value::List(items) => items.iter().any(|item| self.one(item, constant)),
            value => self.one(value, constant),
        }
    }

    fn one(&self, value: &Value<'_>, constant: &Constant) -> bool {
        use Operator as O;
        let wanted = constant.text.as_slice();
        match self.operator {
            O::Equal | O::In | O::Intersects => self.is_equal(value, constant),
            O::NotEqual => !self.is_equal(value, constant),
            O::Less | O::LessOrEqual | O::Greater | O::GreaterOrEqual => {
                let (Some(number), Some(bound)) = (value.number(), constant.number) else { return false };
                match self.operator {
                    O::Less => number < bound,
                    O::LessOrEqual => number <= bound,
                    O::Greater => number > bound,
                    _ => number >= bound,
                }
            }
            O::Contains | O::BContains => memchr::memmem::find(&value.as_bytes(), wanted).is_some(),
            O::IContains => memchr::memmem::find(&value.as_bytes().to_ascii_lowercase(), wanted).is_some(),
            O::StartsWith | O::BStartsWith => value.as_bytes().starts_with(wanted),
            O::EndsWith => value.as_bytes().ends_with(wanted),
            O::Glob | O::IGlob | O::Regex => constant.pattern.as_ref().is_some_and(|pattern| {
                let text = value.as_bytes();
                text.starts_with(&constant.beginning) && pattern.is_match(&text)
            }),
            O::PMatch => is_below(&value.as_bytes(), wanted),
        }
    }

    fn is_equal(&self, value: &Value<'_>, constant: &Constant) -> bool {
        match (self.kind, value) {
            (FieldType::Number | FieldType::Decimal, value) => {
                value.number().is_some_and(|number| constant.number == Some(number))
            }
            (FieldType::Address, Value::Address(address)) => {
                constant.network.is_some_and(|network| network.contains(address))
            }
            (FieldType::Address, _) => false,
            (FieldType::Boolean, Value::Boolean(truth)) => constant.truth == Some(*truth),
            _ => value.as_bytes().as_ref() == constant.text.as_slice(),
        }
    }
}

impl Against {
    /// Reads the constants of an operator on a type.
    pub(crate) fn constants(operator: Operator, kind: FieldType, list: &[String]) -> Result<Self, String> {
        let read = |text: &String| Constant::read(operator, kind, text);
        let constants: Vec<Constant> = list.iter().map(read).collect::<Result<_, _>>()?;
        let texts = constants.iter().map(|constant| constant.text.clone()).collect();
        Ok(Self::Constants(constants, texts))
    }
}

impl Constant {
    fn of_value(value: &Value<'_>) -> Self {
        let network = if let Value::Address(address) = value { Some(IpNet::from(*address)) } else { None };
        let truth = if let Value::Boolean(truth) = value { Some(*truth) } else { None };
        Self {
            text: value.as_bytes().into_owned(),
            number: value.number(),
            truth,
            network,
            pattern: None,
            beginning: Vec::new(),
        }
    }

    fn read(operator: Operator, kind: FieldType, text: &str) -> Result<Self, String> {
        let number = matches!(kind, FieldType::Number | FieldType::Decimal).then(|| number(text)).flatten();
        let network = (kind == FieldType::Address).then(|| network(text)).flatten();
        match kind {
            FieldType::Decimal if text.parse().is_ok_and(f64::is_finite) => {}
            FieldType::Number | FieldType::Decimal if number.is_none() => {
                return Err(format!("'{text}' is not a valid number"));
            }
            FieldType::Address if network.is_none() => {
                return Err(format!("unrecognized IP address or network {text}"));
            }
            FieldType::Boolean if !matches!(text, "true" | "false") => {
                return Err(format!("filter error: unrecognized boolean value {text}"));
            }
            _ => {}
        }
        let pattern = match operator {
            Operator::Regex => Some(pattern(&format!("^(?:{text})$"), false, false)?),
            Operator::Glob => Some(pattern(&glob(text), false, true)?),
            Operator::IGlob => Some(pattern(&glob(text), true, true)?),
            _ => None,
        };
        let plain = text.split(['*', '?', '[', '\\']).next().filter(|_| operator == Operator::Glob);
        let beginning = plain.unwrap_or_default().as_bytes().to_vec();
        let truth = (kind == FieldType::Boolean).then_some(text == "true");
        let text = match operator {
            Operator::BContains | Operator::BStartsWith => {
                hex(text).ok_or_else(|| format!("'{text}' is not an even number of hex digits"))?
            }
            Operator::IContains => text.to_ascii_lowercase().into_bytes(),
            _ => text.as_bytes().to_vec(),
        };
        Ok(Self { text, number, truth, network, pattern, beginning })
    }
}

/// Compiles under a bound on the size of the automaton, so that no pattern can use up the memory.
fn pattern(text: &str, ignores_case: bool, dot_is_any: bool) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(text);
    builder.unicode(false).dot_matches_new_line(dot_is_any).case_insensitive(ignores_case);
    let built = builder.size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES).build();
    built.map_err(|error| format!("invalid pattern: {}", error.to_string().lines().last().unwrap_or_default()))
}

/// A shell pattern (fnmatch(3) without flags): `*` and `?` also match `/`.
fn glob(text: &str) -> String {
    let mut out = String::from("^");
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '\\' => out.push_str(&regex::escape(&rest.next().unwrap_or('\\').to_string())),
            '[' => {
                let body: String = rest.by_ref().take_while(|c| *c != ']').collect();
                let (sign, body) = body.strip_prefix(['!', '^']).map_or(("", body.as_str()), |body| ("^", body));
                out.push_str(&format!("[{sign}{}]", escape_class(body)));
            }
            c => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    out.push('$');
    out
}

fn escape_class(body: &str) -> String {
    body.replace('\\', "\\\\").replace('[', "\\[").replace('&', "\\&").replace('~', "\\~")
}

fn number(text: &str) -> Option<i128> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return i128::from_str_radix(hex, 16).ok();
    }
    let within = |number: &i128| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(number);
    text.parse().ok().filter(within).or_else(|| port(text))
}

/// Names of services that rules use for ports.
fn port(name: &str) -> Option<i128> {
    Some(match name {
        "ssh" => 22,
        "http" => 80,
        "https" => 443,
        "domain" => 53,
        "ftp" => 21,
        "telnet" => 23,
        "smtp" => 25,
        "ntp" => 123,
        "ldap" => 389,
        "mysql" => 3306,
        _ => return None,
    })
}

fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Option<Vec<u8>> = text.chars().map(digit).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).filter_map(|pair| Some((pair.first()? << 4) | pair.get(1)?)).collect())
}

/// Whether `path` is `prefix` or lies below it; a component of the prefix may be a shell pattern.
pub(crate) fn is_below(path: &[u8], prefix: &[u8]) -> bool {
    let mut parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
    let mut wanted = prefix.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
    wanted.all(|wanted| parts.next().is_some_and(|part| part == wanted || wildcard(wanted, part)))
}

/// `*` and `?` in one path component, without recursion.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || text.get(t) == Some(byte) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                p = at + 1;
                t = from + 1;
                star = Some((at, t));
            }
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

const MAX_PATTERN_BYTES: usize = 1 << 20;
