//! Preconditions and deny conditions: `any`/`all` blocks and the older plain list.

mod operators;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::Value;

use crate::context::{Context, EvaluationError, is_dynamic, only_variable};
use crate::explain::ClauseExplanation;

pub(crate) use operators::ConditionOperator;

/// Compiled conditions.
#[derive(Clone, Debug)]
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
    /// A text that is one variable: its expression.
    Variable(String),
    /// Anything else that holds variables.
    Template(Value),
}

impl Operand {
    fn new(value: Option<&Value>) -> Self {
        let value = value.cloned().unwrap_or_default();
        match value.as_str().and_then(only_variable) {
            Some(variable) => Self::Variable(variable.to_owned()),
            None if is_dynamic(&value) => Self::Template(value),
            None => Self::Constant(value),
        }
    }

    fn resolve(&self, context: &mut Context<'_>) -> Result<Cow<'_, Value>, EvaluationError> {
        match self {
            Self::Constant(value) => Ok(Cow::Borrowed(value)),
            Self::Variable(variable) => context.resolve(variable, "").map(Cow::Owned),
            Self::Template(value) => context.substitute(value).map(Cow::Owned),
        }
    }
}

impl Conditions {
    /// Compiles conditions from any of their shapes.
    ///
    /// # Errors
    /// What is wrong with the shape.
    pub(crate) fn compile(raw: &Value) -> Result<Self, String> {
        match raw {
            Value::Object(_) => Ok(Self { blocks: vec![block(raw)?] }),
            Value::Array(items) if items.iter().any(|item| item.get("any").or(item.get("all")).is_some()) => {
                Ok(Self { blocks: items.iter().map(block).collect::<Result<_, _>>()? })
            }
            Value::Array(items) => Ok(Self { blocks: vec![Block { any: None, all: conditions(items)? }] }),
            Value::Null => Ok(Self { blocks: Vec::new() }),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                Err("conditions must be `any`/`all` blocks or a list of conditions".to_owned())
            }
        }
    }

    /// Whether they hold, with the messages of the conditions that decided.
    pub(crate) fn evaluate(&self, context: &mut Context<'_>) -> Result<(bool, String), EvaluationError> {
        let mut messages = Vec::new();
        for block in &self.blocks {
            if let Some(message) = block.evaluate(context, &mut messages)? {
                return Ok((false, message));
            }
        }
        Ok((true, join(&messages)))
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
    fn evaluate(&self, context: &mut Context<'_>, held: &mut Vec<String>) -> Result<Option<String>, EvaluationError> {
        let mut failed = Vec::new();
        let mut holds = true;
        if let Some(any) = &self.any {
            holds = false;
            for condition in any {
                if condition.holds(context)? {
                    held.push(condition.message.clone());
                    holds = true;
                    failed.clear();
                    break;
                }
                failed.push(condition.message.clone());
            }
        }
        // `all` is judged even where `any` failed: its message belongs to the answer, and its errors count.
        for condition in &self.all {
            if !condition.holds(context)? {
                holds = false;
                failed.push(condition.message.clone());
                break;
            }
            held.push(condition.message.clone());
        }
        Ok((!holds).then(|| join(&failed)))
    }
}

impl Condition {
    fn holds(&self, context: &mut Context<'_>) -> Result<bool, EvaluationError> {
        let key = self
            .key
            .resolve(context)
            .map_err(|error| error.within("failed to substitute variables in condition key"))?;
        let value = self
            .value
            .resolve(context)
            .map_err(|error| error.within("failed to substitute variables in condition value"))?;
        match &self.operator {
            Ok(operator) => Ok(operator.holds(&key, &value)),
            Err(word) => Err(EvaluationError::new(format!("failed to create handler for condition operator: {word}"))),
        }
    }
}

impl Condition {
    fn explain(&self, clause: String, context: &mut Context<'_>) -> ClauseExplanation {
        let show = |side: &Operand, context: &mut Context<'_>| match side.resolve(context) {
            Ok(value) => value.to_string(),
            Err(error) => format!("({error})"),
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

fn join(messages: &[String]) -> String {
    let parts: Vec<&str> =
        messages.iter().map(|message| message.trim()).filter(|message| !message.is_empty()).collect();
    parts.join("; ")
}

fn block(raw: &Value) -> Result<Block, String> {
    let list = |key: &str| match raw.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => conditions(items).map(Some),
        Some(_) => Err(format!("`{key}` must be a list of conditions")),
    };
    if !raw.is_object() {
        return Err("each item must be an `any`/`all` block".to_owned());
    }
    Ok(Block { any: list("any")?, all: list("all")?.unwrap_or_default() })
}

fn conditions(items: &[Value]) -> Result<Vec<Condition>, String> {
    items.iter().map(condition).collect()
}

fn condition(raw: &Value) -> Result<Condition, String> {
    let fields = raw.as_object().ok_or("a condition must have `key`, `operator` and `value`")?;
    let word = fields.get("operator").and_then(Value::as_str).unwrap_or_default();
    let message = fields.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Condition {
        key: Operand::new(fields.get("key")),
        operator: ConditionOperator::parse(word).ok_or_else(|| word.to_owned()),
        value: Operand::new(fields.get("value")),
        message,
    })
}
