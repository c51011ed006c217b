//! JSON patches written as YAML text with variables: read when the policy is loaded, wherever the variables cannot change how
//! the text is read.

use serde_json::{Map, Value};

use super::json_patch;
use crate::context::marks::{MarkedText, is_marked, mark, marked};
use crate::context::{Context, EvaluationError, Part, Place as Root, TextTemplate, Variable};

/// The operations of a patch as they are written.
#[derive(Debug)]
pub(crate) struct PatchText {
    text: TextTemplate,
    /// The operations, for variables that are [harmless](Place::admits).
    shape: Option<Shape>,
}

#[derive(Debug)]
struct Shape {
    operations: Vec<Node>,
    /// In the order of the text.
    variables: Vec<(Variable, Place)>,
}

/// Where a variable stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between quotes, or in a block of text.
    Quoted,
    /// In a plain text that is a path, and so is nothing but a text.
    Path,
}

/// A value with the variables in it.
#[derive(Debug)]
enum Node {
    Constant(Value),
    Text(MarkedText),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl PatchText {
    /// Reads the text as far as that can be done without its variables.
    pub(crate) fn new(text: TextTemplate) -> Self {
        Self { shape: Shape::of(&text), text }
    }

    /// The operations with the variables replaced.
    pub(crate) fn operations(
        &self,
        root: &Root<'_>,
        context: &mut Context<'_>,
    ) -> Result<Result<Vec<Value>, String>, EvaluationError> {
        if let Some(shape) = &self.shape {
            let mut texts = Vec::with_capacity(shape.variables.len());
            for (variable, _) in &shape.variables {
                let mut text = String::new();
                context.append(variable, Some(root), &mut text)?;
                texts.push(text);
            }
            let mut pairs = shape.variables.iter().zip(&texts);
            if pairs.all(|((_, place), text)| place.admits(text)) {
                return Ok(Ok(shape.operations.iter().map(|node| node.fill(&texts)).collect()));
            }
        }
        Ok(json_patch::parse(&context.fill_text(Some(root), &self.text)?))
    }
}

/// Longest text of a variable that is put into a shape.
const MAX_TEXT: usize = 4_096;

impl Place {
    /// Whether the text stands here as it is, whatever is around it.
    fn admits(self, text: &str) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
        let printable = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\'' | b'\\' | b'{' | b'}');
        text.len() <= MAX_TEXT
            && match self {
                Self::Path => text.bytes().all(plain),
                Self::Quoted => text.bytes().all(printable) && text.trim() == text,
            }
    }
}

impl Shape {
    fn of(text: &TextTemplate) -> Option<Self> {
        let TextTemplate::Parts(parts) = text else { return None };
        let misread = |text: &String| text.contains("{{") || is_marked(text);
        if parts.iter().any(|part| matches!(part, Part::Text(text) if misread(text))) {
            return None;
        }
        let variables: Vec<&Variable> = parts.iter().filter_map(Part::variable).collect();
        let operations = read(parts, None)?;
        let nodes: Vec<Node> = operations.iter().map(Node::of).collect::<Option<_>>()?;
        let place = |(number, variable): (usize, &&Variable)| {
            // A colon and a space end a plain text, and nothing else.
            let quoted = read(parts, Some(number)).is_some_and(|found| holds(&found, &format!("{}: x", mark(number))));
            let path = || holds(&operations, &mark(number)) && stands_in_a_path(&operations, &mark(number));
            let place = if quoted { Place::Quoted } else { path().then_some(Place::Path)? };
            Some(((*variable).clone(), place))
        };
        let variables = variables.iter().enumerate().map(place).collect::<Option<_>>()?;
        Some(Self { operations: nodes, variables })
    }
}

/// The operations with marks for the variables; one of them may be followed by a colon and more.
fn read(parts: &[Part], with_colon: Option<usize>) -> Option<Vec<Value>> {
    let text = marked(parts, with_colon.map(|number| (number, ": x")));
    json_patch::parse(&text).ok()
}

/// Whether some text below holds `wanted`.
fn holds(values: &[Value], wanted: &str) -> bool {
    texts(values).iter().any(|text| text.contains(wanted))
}

/// Whether every text that holds the mark holds a slash of its own: no number, date or word does.
fn stands_in_a_path(values: &[Value], mark: &str) -> bool {
    texts(values).iter().filter(|text| text.contains(mark)).all(|text| text.contains('/'))
}

fn texts(values: &[Value]) -> Vec<&str> {
    let mut found = Vec::new();
    let mut open: Vec<&Value> = values.iter().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => found.push(text.as_str()),
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => open.extend(fields.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    found
}

impl Node {
    /// `None` where a key holds a variable.
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) if is_marked(text) => MarkedText::new(text).map(Self::Text),
            Value::Array(items) => items.iter().map(Self::of).collect::<Option<_>>().map(Self::List),
            Value::Object(fields) => {
                let field = |(key, value): (&String, &Value)| {
                    (!is_marked(key)).then(|| Some((key.clone(), Self::of(value)?))).flatten()
                };
                fields.iter().map(field).collect::<Option<_>>().map(Self::Map)
            }
            constant => Some(Self::Constant(constant.clone())),
        }
    }

    fn fill(&self, texts: &[String]) -> Value {
        match self {
            Self::Constant(value) => value.clone(),
            Self::Text(text) => Value::String(text.fill(texts)),
            Self::List(items) => items.iter().map(|item| item.fill(texts)).collect(),
            Self::Map(fields) => {
                let mut out = Map::with_capacity(fields.len());
                for (key, item) in fields {
                    out.insert(key.clone(), item.fill(texts));
                }
                Value::Object(out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PatchText, Place};
    use crate::context::{ExpressionCache, TextTemplate};

    fn places(text: &str) -> Option<Vec<Place>> {
        let shape = PatchText::new(TextTemplate::new(text, &mut ExpressionCache::default())).shape?;
        Some(shape.variables.iter().map(|(_, place)| *place).collect())
    }

    #[test]
    fn tells_where_variables_stand() {
        let cases = [
            ("- {op: add, path: \"/a/{{ x }}\", value: '{{ y }}'}", Some(vec![Place::Quoted, Place::Quoted])),
            ("- op: add\n  path: /a/{{ x }}/b\n  value: \"{{ y }}m\"\n", Some(vec![Place::Path, Place::Quoted])),
            ("- op: add\n  path: /a\n  value: |\n    some {{ x }}\n", Some(vec![Place::Quoted])),
            // What a plain text is depends on the variable.
            ("- op: add\n  path: /a\n  value: {{ x }}\n", None),
            ("- op: add\n  path: /a\n  value: {{ x }}m\n", None),
            ("- op: add\n  path: /a\n  value: {'{{ x }}': y}\n", None),
            ("{{ x }}\n- {op: remove, path: /a}\n", None),
        ];
        for (text, expected) in cases {
            assert_eq!(places(text), expected, "{text}");
        }
    }

    #[test]
    fn admits_what_cannot_end_the_text() {
        for (text, quoted, path) in [
            ("web-1.a/b_c", true, true),
            ("", true, true),
            ("a b: #c", true, false),
            (" a", false, false),
            ("a\"", false, false),
            ("a'b", false, false),
            ("a\\n", false, false),
            ("a\nb", false, false),
            ("\u{e4}", false, false),
            ("{{ x }}", false, false),
        ] {
            assert_eq!((Place::Quoted.admits(text), Place::Path.admits(text)), (quoted, path), "{text:?}");
        }
    }
}
