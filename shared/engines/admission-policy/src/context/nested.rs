//! Queries that hold variables in their texts, such as `replace_all('{{ element }}', 'old', 'new')`: compiled when the policy is
//! loaded, for variables that cannot change how the query is read.

use serde_json::Value;

use super::marks::{MarkedText, is_marked, mark, marked};
use super::query::{ExpressionCache, Query};
use super::substitute::only_variable;
use super::template::{Part, Variable};
use super::{Context, EvaluationError};

/// A query that is complete but for the variables in its literal texts.
#[derive(Debug)]
pub(crate) struct NestedQuery {
    query: Query,
    /// The literal texts that hold variables, in the order in which the query wants them.
    literals: Vec<MarkedText>,
    /// The variables by the numbers of their marks.
    variables: Vec<Variable>,
}

/// Longest text of a variable that is put into a literal.
const MAX_TEXT: usize = 4_096;

impl NestedQuery {
    /// The query that the parts make up; `None` where they are more than one, or where a variable stands outside of literal
    /// texts.
    pub(super) fn of(parts: &[Part], expressions: &mut ExpressionCache) -> Option<Self> {
        let misread = |text: &str| text.contains("\\{{") || is_marked(text);
        if parts.iter().any(|part| matches!(part, Part::Text(text) if misread(text))) {
            return None;
        }
        let variables: Vec<Variable> = parts.iter().filter_map(Part::variable).cloned().collect();
        let (query, literals) = read(parts, None, expressions)?;
        for number in 0..variables.len() {
            // A space is allowed in a literal and nowhere else in a word.
            let spaced = format!("{} x", mark(number));
            let (_, literals) = read(parts, Some(number), expressions)?;
            literals.iter().find(|literal| literal.contains(&spaced))?;
        }
        let literals = literals.iter().map(|literal| MarkedText::new(literal)).collect::<Option<_>>()?;
        Some(Self { query, literals, variables })
    }

    /// The literals with the variables replaced; `None` where one of them would be read otherwise, or grow long.
    fn given(&self, texts: &[String]) -> Option<Vec<Value>> {
        let harmless =
            |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\'' | b'`' | b'\\' | b'{' | b'}');
        let fits = |text: &String| text.len() <= MAX_TEXT && text.bytes().all(harmless) && !is_marked(text);
        let filled = self.literals.iter().map(|literal| Value::String(literal.fill(texts)));
        texts.iter().all(fits).then(|| filled.collect())
    }
}

/// The query with marks for the variables, one of them followed by more, and the literals that hold marks.
fn read(parts: &[Part], spaced: Option<usize>, expressions: &mut ExpressionCache) -> Option<(Query, Vec<String>)> {
    let text = marked(parts, spaced.map(|number| (number, " x")));
    let mut query = expressions.compile(only_variable(&text)?).ok()?;
    let literals = query.leave_open(&is_marked);
    Some((query, literals))
}

impl Context<'_> {
    /// The value of a query with variables in its texts; `None` where the query has to be read with them, be it for what is
    /// wrong with it.
    pub(super) fn nested(&mut self, nested: &NestedQuery) -> Result<Option<Value>, EvaluationError> {
        // A deletion is asked about the old object, wherever the text of the query speaks of the new one.
        if self.deleting {
            return Ok(None);
        }
        let mut texts = Vec::with_capacity(nested.variables.len());
        for variable in &nested.variables {
            let mut text = String::new();
            self.append(variable, None, &mut text)?;
            texts.push(text);
        }
        let Some(given) = nested.given(&texts) else { return Ok(None) };
        self.prepare(&nested.query);
        Ok(self.look_with(&nested.query, &given))
    }
}

#[cfg(test)]
mod tests {
    use crate::context::{ExpressionCache, TextTemplate};

    #[test]
    fn tells_where_variables_may_stand() {
        for (text, expected) in [
            ("{{ replace_all('{{ element }}', 'a', 'b') }}", true),
            ("{{ x[?name == '{{ element.name }}' && y].z | [0] }}", true),
            ("{{ regex_match('^[0-9]+$', '{{ a || '' }}-{{ b }}') }}", true),
            ("{{ map.\"{{ request.namespace }}\" }}", false),
            ("{{ map.{{ request.namespace }} }}", false),
            ("{{ {{ name }}('x') }}", false),
            ("{{ x[{{ index }}] }}", false),
            ("a {{ replace_all('{{ element }}', 'a', 'b') }}", false),
        ] {
            let template = TextTemplate::new(text, &mut ExpressionCache::default());
            assert_eq!(matches!(template, TextTemplate::Nested(..)), expected, "{text}");
        }
    }
}
