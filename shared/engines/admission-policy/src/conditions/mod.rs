//! Preconditions and deny conditions: `any`/`all` blocks and the older plain list.

mod operators;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::Value;

use crate::context::{
    Context, EvaluationError, ExpressionCache, ValueTemplate, Variable, is_dynamic, only_variable, unresolved_at_top,
};
use crate::explain::ClauseExplanation;

pub(crate) use operators::ConditionOperator;

/// Compiled conditions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    blocks: Vec<Block>,
}

/// `any` needs one, `all` needs every one; an absent part holds.
#[derive(Clone, Debug)]
struct Block {
    any: Option<Vec<Condition>>,
    all: Vec<Condition>,
}

#[derive(Clone, Debug)]
struct Condition {
    key: Operand,
    operator: Result<ConditionOperator, String>,
    value: Operand,
    message: String,
}

/// One side of a condition.
#[derive(Clone, Debug)]
enum Operand {
    Constant(Value),
    /// A text that is one variable.
    Variable(Variable),
    /// Anything else that holds variables.
    Template(ValueTemplate),
}

impl Operand {
    fn new(value: Option<&Value>, expressions: &mut ExpressionCache) -> Self {
        let value = value.cloned().unwrap_or_default();
        match value.as_str().and_then(only_variable) {
            Some(variable) => Self::Variable(Variable::new(variable, expressions)),
            None if is_dynamic(&value) => Self::Template(ValueTemplate::new(&value, expressions)),
            None => Self::Constant(value),
        }
    }

    /// Makes what [`value`](Self::value) will look at; `Some` when that is the value itself.
    fn prepare(&self, context: &mut Context<'_>) -> Result<Option<Value>, EvaluationError> {
        match self {
            Self::Constant(_) => Ok(None),
            Self::Variable(variable) => match variable.query(context) {
                Some(query) => {
                    context.prepare(query);
                    Ok(None)
                }
                None => context.variable_value(variable).map(Some),
            },
            Self::Template(template) => context.fill(template).map(Some),
        }
    }

    /// The value, borrowed wherever it is a part of the condition or of the variables.
    fn value<'v>(
        &'v self,
        prepared: &'v Option<Value>,
        context: &'v Context<'_>,
    ) -> Result<Cow<'v, Value>, EvaluationError> {
        match (self, prepared) {
            (_, Some(value)) | (Self::Constant(value), None) => Ok(Cow::Borrowed(value)),
            (Self::Variable(variable), None) => match variable.query(context) {
                Some(query) => context.look(query).map_err(|error| unresolved_at_top(variable, error)),
                None => Ok(Cow::Owned(Value::Null)),
            },
            (Self::Template(_), None) => Ok(Cow::Owned(Value::Null)),
        }
    }
}

impl Conditions {
    /// Compiles conditions from any of their shapes.
    ///
    /// # Errors
    /// What is wrong with the shape.
    pub(crate) fn compile(raw: &Value, expressions: &mut ExpressionCache) -> Result<Self, String> {
        match raw {
            Value::Object(_) => Ok(Self { blocks: vec![block(raw, expressions)?] }),
            Value::Array(items) if items.iter().any(|item| item.get("any").or(item.get("all")).is_some()) => {
                let blocks = items.iter().map(|item| block(item, expressions));
                Ok(Self { blocks: blocks.collect::<Result<_, _>>()? })
            }
            Value::Array(items) => Ok(Self { blocks: vec![Block { any: None, all: conditions(items, expressions)? }] }),
            Value::Null => Ok(Self { blocks: Vec::new() }),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                Err("conditions must be `any`/`all` blocks or a list of conditions".to_owned())
            }
        }
    }

    /// Whether they hold, with the messages of the conditions that decided.
    pub(crate) fn evaluate(&self, context: &mut Context<'_>) -> Result<(bool, String), EvaluationError> {
        let mut messages: Vec<&str> = Vec::new();
        for block in &self.blocks {
            if let Some(message) = block.evaluate(context, &mut messages)? {
                return Ok((false, message));
            }
        }
        Ok((true, messages.join("; ")))
    }
}

impl Conditions {
    /// Every condition with the values it compares, as if each were judged alone.
    pub(crate) fn explain(&self, place: &str, context: &mut Context<'_>) -> Vec<ClauseExplanation> {
        let mut out = Vec::new();
        for (number, block) in self.blocks.iter().enumerate() {
            let place = if self.blocks.len() > 1 { format!("{place}[{number}]") } else { place.to_owned() };
            let any = block.any.iter().flatten().enumerate().map(|(index, one)| (format!("{place}.any[{index}]"), one));
            let all = block.all.iter().enumerate().map(|(index, one)| (format!("{place}.all[{index}]"), one));
            out.extend(any.chain(all).map(|(clause, condition)| condition.explain(clause, context)));
        }
        out
    }
}

impl Block {
    /// `None` when the block holds, else the message of what did not.
    fn evaluate<'m>(
        &'m self,
        context: &mut Context<'_>,
        held: &mut Vec<&'m str>,
    ) -> Result<Option<String>, EvaluationError> {
        let mut failed: Vec<&str> = Vec::new();
        let mut holds = true;
        if let Some(any) = &self.any {
            holds = false;
            for condition in any {
                if condition.holds(context)? {
                    condition.tell(held);
                    holds = true;
                    failed.clear();
                    break;
                }
                condition.tell(&mut failed);
            }
        }
        // `all` is judged even where `any` failed: its message belongs to the answer, and its errors count.
        for condition in &self.all {
            if !condition.holds(context)? {
                holds = false;
                condition.tell(&mut failed);
                break;
            }
            condition.tell(held);
        }
        Ok((!holds).then(|| failed.join("; ")))
    }
}

impl Condition {
    /// Adds the message, if there is one.
    fn tell<'m>(&'m self, messages: &mut Vec<&'m str>) {
        if !self.message.is_empty() {
            messages.push(&self.message);
        }
    }

    fn holds(&self, context: &mut Context<'_>) -> Result<bool, EvaluationError> {
        let of_key = |error: EvaluationError| error.within("failed to substitute variables in condition key");
        let of_value = |error: EvaluationError| error.within("failed to substitute variables in condition value");
        let key = self.key.prepare(context).map_err(of_key)?;
        let value = match self.value.prepare(context) {
            Ok(value) => value,
            // What is wrong with the key is told first.
            Err(error) => return Err(self.key.value(&key, context).err().map_or_else(|| of_value(error), of_key)),
        };
        let found = self.key.value(&key, context).map_err(of_key)?;
        let wanted = self.value.value(&value, context).map_err(of_value)?;
        match &self.operator {
            Ok(operator) => Ok(operator.holds(&found, &wanted)),
            Err(word) => Err(EvaluationError::new(format!("failed to create handler for condition operator: {word}"))),
        }
    }
}

impl Condition {
    fn explain(&self, clause: String, context: &mut Context<'_>) -> ClauseExplanation {
        let show = |side: &Operand, context: &mut Context<'_>| {
            let shown = side
                .prepare(context)
                .and_then(|prepared| side.value(&prepared, context).map(|value| value.to_string()));
            shown.unwrap_or_else(|error| format!("({error})"))
        };
        let operator = match &self.operator {
            Ok(operator) => format!("{operator:?}"),
            Err(word) => word.clone(),
        };
        ClauseExplanation {
            clause,
            wanted: format!("{operator} {}", show(&self.value, context)),
            found: show(&self.key, context),
            holds: self.holds(context).ok(),
        }
    }
}

fn block(raw: &Value, expressions: &mut ExpressionCache) -> Result<Block, String> {
    let mut list = |key: &str| match raw.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => conditions(items, expressions).map(Some),
        Some(_) => Err(format!("`{key}` must be a list of conditions")),
    };
    if !raw.is_object() {
        return Err("each item must be an `any`/`all` block".to_owned());
    }
    Ok(Block { any: list("any")?, all: list("all")?.unwrap_or_default() })
}

fn conditions(items: &[Value], expressions: &mut ExpressionCache) -> Result<Vec<Condition>, String> {
    items.iter().map(|item| condition(item, expressions)).collect()
}

fn condition(raw: &Value, expressions: &mut ExpressionCache) -> Result<Condition, String> {
    let fields = raw.as_object().ok_or("a condition must have `key`, `operator` and `value`")?;
    let word = fields.get("operator").and_then(Value::as_str).unwrap_or_default();
    let message = fields.get("message").and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    Ok(Condition {
        key: Operand::new(fields.get("key"), expressions),
        operator: ConditionOperator::parse(word).ok_or_else(|| word.to_owned()),
        value: Operand::new(fields.get("value"), expressions),
        message,
    })
}
