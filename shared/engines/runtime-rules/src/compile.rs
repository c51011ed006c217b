//! From names to typed comparisons.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use regex::bytes::{Regex, RegexBuilder};

use crate::ast::{Argument, Condition, Operand, Operator, Quantifier, Right};
use crate::fields::{Field, FieldType};

/// A condition that can be evaluated.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Exists(Source),
    Test(Box<Test>),
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Field(Field),
    Text(String),
    Transform(Transform, Vec<Source>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transform {
    Lower,
    Upper,
    Base64,
    Basename,
    Length,
    Concat,
    Join,
}

#[derive(Clone, Debug)]
pub(crate) struct Test {
    pub(crate) left: Source,
    pub(crate) operator: Operator,
    pub(crate) right: Against,
}

/// The right side, in every form in which the left side may want it.
#[derive(Clone, Debug)]
pub(crate) enum Against {
    Source(Source),
    /// Any of these; `all` asks for all of them.
    Constants {
        constants: Vec<Constant>,
        texts: BTreeSet<Vec<u8>>,
        all: bool,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Constant {
    pub(crate) text: Vec<u8>,
    pub(crate) number: Option<i64>,
    pub(crate) network: Option<IpNet>,
    pub(crate) pattern: Option<Regex>,
}

/// Compiles a condition without macros.
pub(crate) fn compile(condition: &Condition) -> Result<Node, String> {
    Ok(match condition {
        Condition::And(children) => Node::And(children.iter().map(compile).collect::<Result<_, _>>()?),
        Condition::Or(children) => Node::Or(children.iter().map(compile).collect::<Result<_, _>>()?),
        Condition::Not(child) => Node::Not(Box::new(compile(child)?)),
        Condition::Macro(name) => return Err(format!("Undefined macro '{name}' used in filter")),
        Condition::Exists(operand) => Node::Exists(source(operand)?.0),
        Condition::Compare { left, operator, right } => {
            let (left, kind) = source(left)?;
            let right = match right {
                Right::Operand(operand) => Against::Source(source(operand)?.0),
                Right::Text(text) => constants(*operator, kind, std::slice::from_ref(text), false)?,
                Right::List(list) => constants(*operator, kind, list, false)?,
                Right::Quantified(quantifier, list) => {
                    constants(*operator, kind, list, *quantifier == Quantifier::AllOf)?
                }
            };
            Node::Test(Box::new(Test { left, operator: *operator, right }))
        }
    })
}

/// Resolves an operand; also what its values are like.
pub(crate) fn source(operand: &Operand) -> Result<(Source, FieldType), String> {
    match operand {
        Operand::Field(field) => {
            let field = Field::resolve(&field.name, field.argument.as_deref())?;
            let kind = field.id.field_type();
            Ok((Source::Field(field), kind))
        }
        Operand::Transform { name, arguments, .. } => {
            let (transform, kind) = match name.as_str() {
                "tolower" => (Transform::Lower, FieldType::Text),
                "toupper" => (Transform::Upper, FieldType::Text),
                "b64" => (Transform::Base64, FieldType::Text),
                "basename" => (Transform::Basename, FieldType::Text),
                "len" => (Transform::Length, FieldType::Number),
                "concat" => (Transform::Concat, FieldType::Text),
                "join" => (Transform::Join, FieldType::Text),
                other => return Err(format!("transformer `{other}` is not supported")),
            };
            let mut sources = Vec::new();
            flatten(arguments, &mut sources)?;
            Ok((Source::Transform(transform, sources), kind))
        }
    }
}

fn flatten(arguments: &[Argument], sources: &mut Vec<Source>) -> Result<(), String> {
    for argument in arguments {
        match argument {
            Argument::Operand(operand) => sources.push(source(operand)?.0),
            Argument::Text(text) => sources.push(Source::Text(text.clone())),
            Argument::List(items) => flatten(items, sources)?,
        }
    }
    Ok(())
}

fn constants(operator: Operator, kind: FieldType, list: &[String], all: bool) -> Result<Against, String> {
    let constants: Vec<Constant> = list.iter().map(|text| constant(operator, kind, text)).collect::<Result<_, _>>()?;
    let texts = constants.iter().map(|constant| constant.text.clone()).collect();
    Ok(Against::Constants { constants, texts, all })
}

fn constant(operator: Operator, kind: FieldType, text: &str) -> Result<Constant, String> {
    let number = number(text);
    let network = network(text);
    match kind {
        FieldType::Number if number.is_none() => return Err(format!("'{text}' is not a valid number")),
        FieldType::Address if network.is_none() => return Err(format!("unrecognized IP address or network {text}")),
        FieldType::Boolean if !matches!(text, "true" | "false") => {
            return Err(format!("filter error: unrecognized boolean value {text}"));
        }
        _ => {}
    }
    let pattern = match operator {
        Operator::Regex => Some(pattern(&format!("^(?:{text})$"), false)?),
        Operator::Glob => Some(pattern(&glob(text), false)?),
        Operator::IGlob => Some(pattern(&glob(text), true)?),
        _ => None,
    };
    let bytes = match operator {
        Operator::BContains | Operator::BStartsWith => {
            hex(text).ok_or_else(|| format!("'{text}' is not an even number of hex digits"))?
        }
        Operator::IContains => text.to_ascii_lowercase().into_bytes(),
        _ => text.as_bytes().to_vec(),
    };
    Ok(Constant { text: bytes, number, network, pattern })
}

fn pattern(text: &str, ignores_case: bool) -> Result<Regex, String> {
    let built = RegexBuilder::new(text)
        .unicode(false)
        .dot_matches_new_line(true)
        .case_insensitive(ignores_case)
        .size_limit(1 << 20)
        .build();
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
                out.push_str(&format!(
                    "[{sign}{}]",
                    body.replace('\\', "\\\\").replace('[', "\\[").replace('&', "\\&")
                ));
            }
            c => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    out.push('$');
    out
}

fn number(text: &str) -> Option<i64> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return i64::from_str_radix(hex, 16).ok();
    }
    match text {
        "true" => Some(1),
        "false" => Some(0),
        text => text.parse().ok().or_else(|| port(text)),
    }
}

/// Names of services that rules use for ports.
fn port(name: &str) -> Option<i64> {
    Some(match name {
        "ssh" => 22,
        "http" => 80,
        "https" => 443,
        "domain" => 53,
        "ftp" => 21,
        "telnet" => 23,
        "smtp" => 25,
        "ntp" => 123,
        _ => return None,
    })
}

fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).filter_map(|pair| Some((pair.first()? << 4) | pair.get(1)?)).collect())
}
