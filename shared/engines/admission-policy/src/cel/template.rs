//! `generate[].template`: resources written as YAML, with CEL between `((` and `))`.
//!
//! A scalar that is one placeholder becomes whatever the expression gives; one inside a longer text must give a scalar, which
//! is written into the text. `\((` stands for the two parentheses themselves.

use cel::{EvalError, Program, Val};
use serde_json::{Map, Value};

use super::scope::Scope;
use crate::value::go_text;
use crate::yaml;

/// A compiled template: one node for each document.
#[derive(Debug)]
pub(crate) struct Template {
    documents: Vec<Node>,
}

#[derive(Debug)]
enum Node {
    Literal(Value),
    Map(Vec<(String, Node)>),
    List(Vec<Node>),
    /// The whole value.
    Splice(Program),
    Text(Vec<Segment>),
}

#[derive(Debug)]
enum Segment {
    Literal(String),
    Placeholder(Program),
}

/// A piece of a scalar: literal text, or the text of an expression.
#[derive(Debug, PartialEq)]
enum Piece {
    Literal(String),
    Expression(String),
}

const OPEN: &str = "((";
const ESCAPED: &str = "\\((";

impl Template {
    /// Compiles a template; `program` compiles an expression. Without `interpolate` the documents are taken as they are.
    ///
    /// # Errors
    /// What is wrong with the YAML, a placeholder or an expression.
    pub(super) fn compile(
        text: &str,
        interpolate: bool,
        program: &dyn Fn(&str) -> Result<Program, String>,
    ) -> Result<Self, String> {
        let mut documents = Vec::new();
        for document in yaml::documents(text) {
            let document = document.map_err(|error| format!("line {} of the template: {error}", error.line))?;
            let node = if interpolate { node(document.value, program)? } else { Node::Literal(document.value) };
            let describes = match &node {
                Node::Map(_) | Node::Splice(_) => true,
                Node::Literal(value) => value.is_object(),
                Node::List(_) | Node::Text(_) => false,
            };
            if !describes {
                return Err(format!(
                    "line {} of the template: a document must be a map that describes a resource",
                    document.line
                ));
            }
            documents.push(node);
        }
        if documents.is_empty() {
            return Err("the template has no document".to_owned());
        }
        Ok(Self { documents })
    }

    /// The resources that the documents describe.
    pub(super) fn render<'a>(&'a self, scope: &Scope<'a>) -> Result<Vec<Value>, EvalError> {
        let one = |(number, document): (usize, &'a Node)| {
            let value = document.render(scope)?;
            if value.is_object() {
                return Ok(value);
            }
            Err(EvalError::refused(format!("document {number} of the template is not a map that describes a resource")))
        };
        (1..).zip(&self.documents).map(one).collect()
    }
}

impl Node {
    fn render<'a>(&'a self, scope: &Scope<'a>) -> Result<Value, EvalError> {
        Ok(match self {
            Self::Literal(value) => value.clone(),
            Self::Map(fields) => {
                let one = |(key, node): &'a (String, Self)| Ok((key.clone(), node.render(scope)?));
                Value::Object(fields.iter().map(one).collect::<Result<Map<_, _>, EvalError>>()?)
            }
            Self::List(items) => Value::Array(items.iter().map(|item| item.render(scope)).collect::<Result<_, _>>()?),
            Self::Splice(program) => scope.evaluate(program)?.to_json()?,
            Self::Text(segments) => {
                let mut out = String::new();
                for segment in segments {
                    match segment {
                        Segment::Literal(text) => out.push_str(text),
                        Segment::Placeholder(program) => out.push_str(&scalar(program, &scope.evaluate(program)?)?),
                    }
                }
                Value::String(out)
            }
        })
    }
}

fn scalar(program: &Program, value: &Val<'_>) -> Result<String, EvalError> {
    match value {
        Val::Text(_) | Val::Bool(_) | Val::Int(_) | Val::Uint(_) | Val::Double(_) => {
            Ok(go_text::sprint(&value.to_json()?).into_owned())
        }
        other => Err(EvalError::refused(format!(
            "placeholder `{}` inside a text must give a scalar, not a {}; use it as the whole value",
            program.text(),
            other.type_name()
        ))),
    }
}

fn node(value: Value, program: &dyn Fn(&str) -> Result<Program, String>) -> Result<Node, String> {
    if !has_placeholder(&value) {
        return Ok(Node::Literal(value));
    }
    Ok(match value {
        Value::Object(fields) => {
            let mut out = Vec::new();
            for (key, value) in fields {
                if key.contains(OPEN) {
                    return Err(format!(
                        "a placeholder in the key `{key}`: put it in place of the whole parent instead"
                    ));
                }
                out.push((key, node(value, program)?));
            }
            Node::Map(out)
        }
        Value::Array(items) => Node::List(items.into_iter().map(|item| node(item, program)).collect::<Result<_, _>>()?),
        Value::String(text) => text_node(&text, program)?,
        other => Node::Literal(other),
    })
}

fn has_placeholder(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(OPEN),
        Value::Array(items) => items.iter().any(has_placeholder),
        Value::Object(fields) => fields.iter().any(|(key, value)| key.contains(OPEN) || has_placeholder(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn text_node(text: &str, program: &dyn Fn(&str) -> Result<Program, String>) -> Result<Node, String> {
    let pieces = pieces(text)?;
    match pieces.as_slice() {
        [Piece::Expression(expression)] => return program(expression).map(Node::Splice),
        [Piece::Literal(text)] => return Ok(Node::Literal(Value::from(text.as_str()))),
        _ => {}
    }
    let segment = |piece: Piece| match piece {
        Piece::Literal(text) => Ok(Segment::Literal(text)),
        Piece::Expression(expression) => program(&expression).map(Segment::Placeholder),
    };
    pieces.into_iter().map(segment).collect::<Result<_, _>>().map(Node::Text)
}

/// Cuts a scalar at its placeholders.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let (mut out, mut literal, mut rest) = (Vec::new(), String::new(), text);
    while let Some(next) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix(ESCAPED) {
            literal.push_str(OPEN);
            rest = after;
        } else if let Some(after) = rest.strip_prefix(OPEN) {
            let (expression, after) = placeholder(after)?;
            if !literal.is_empty() {
                out.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            out.push(Piece::Expression(expression));
            rest = after;
        } else {
            literal.push(next);
            rest = rest.get(next.len_utf8()..).unwrap_or_default();
        }
    }
    if !literal.is_empty() {
        out.push(Piece::Literal(literal));
    }
    Ok(out)
}

/// The expression up to its `))`, and what follows. Parentheses and quoted texts inside it count.
fn placeholder(text: &str) -> Result<(String, &str), String> {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    for (at, letter) in text.char_indices() {
        if let Some(open) = quote {
            match letter {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if letter == open => quote = None,
                _ => {}
            }
            continue;
        }
        match letter {
            '"' | '\'' => quote = Some(letter),
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            ')' => {
                let expression = text.get(..at).unwrap_or_default().trim();
                let after = text.get(at..).and_then(|rest| rest.strip_prefix("))"));
                return match after {
                    Some(after) if !expression.is_empty() => Ok((expression.to_owned(), after)),
                    Some(_) => Err("an empty placeholder".to_owned()),
                    None => Err(format!("unbalanced parentheses in the placeholder `(({text}`")),
                };
            }
            _ => {}
        }
    }
    Err(format!("the placeholder `(({text}` has no closing `))`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_scalars_at_placeholders() {
        let literal = |text: &str| Piece::Literal(text.to_owned());
        let expression = |text: &str| Piece::Expression(text.to_owned());
        let check = |text: &str, expected: &[Piece]| assert_eq!(pieces(text).as_deref(), Ok(expected), "{text}");
        check("plain", &[literal("plain")]);
        check("(( a ))", &[expression("a")]);
        check("x-((a))-((b))", &[literal("x-"), expression("a"), literal("-"), expression("b")]);
        check("(( string(f(x)) ))", &[expression("string(f(x))")]);
        check("(( ':))'.size() ))!", &[expression("':))'.size()"), literal("!")]);
        check(r#"(( "a\")) b" ))"#, &[expression(r#""a\")) b""#)]);
        check(r"\((kept))", &[literal("((kept))")]);
        check("ü((a))ü", &[literal("ü"), expression("a"), literal("ü")]);
    }

    #[test]
    fn refuses_broken_placeholders() {
        for text in ["(( ))", "((", "((a", "((a)b", "(('a))"] {
            assert!(pieces(text).is_err(), "{text}");
        }
    }
}
