//! Walks the syntax tree.
//!
//! A missing key is an error ([`EvalError::NotFound`]) only along plain paths, on the right of `&&` and at the top; every
//! other operator turns it into null. Filters, `[]` and `.*` give null for any failure on their left. Both are how Kyverno's
//! fork behaves, and policies rely on it.

use std::cell::Cell;

use serde_json::{Map, Value};

use crate::Variable;
use crate::ast::{Call, Comparison, Node};
use crate::context::Context;
use crate::error::EvalError;
use crate::functions;
use crate::item::{Item, equal, item_weight, weight};

/// One evaluation in progress.
#[derive(Debug)]
pub(crate) struct Evaluation<'c> {
    pub(crate) context: &'c Context<'c>,
    /// The texts that the expression leaves open.
    given: &'c [Value],
    steps: Cell<u64>,
    text: Cell<u64>,
}

type Outcome<'a> = Result<Item<'a>, EvalError>;

impl<'c> Evaluation<'c> {
    pub(crate) fn new(context: &'c Context<'c>, given: &'c [Value]) -> Self {
        Self { context, given, steps: Cell::new(0), text: Cell::new(0) }
    }

    /// Counts `steps` against the limit.
    pub(crate) fn charge(&self, steps: u64) -> Result<(), EvalError> {
        let total = self.steps.get().saturating_add(steps);
        self.steps.set(total);
        if total > self.context.limits.max_steps { Err(EvalError::Limit { what: "steps" }) } else { Ok(()) }
    }

    /// Counts text that is about to be made.
    pub(crate) fn charge_text(&self, bytes: usize) -> Result<(), EvalError> {
        let total = self.text.get().saturating_add(bytes as u64);
        self.text.set(total);
        if total > self.context.limits.max_text_bytes { Err(EvalError::Limit { what: "text" }) } else { Ok(()) }
    }

    fn copy<'a>(&self, item: &Item<'a>) -> Outcome<'a> {
        if !matches!(item, Item::Borrowed(_)) {
            self.charge(item_weight(item))?;
        }
        Ok(item.clone())
    }

    /// The item as a value of its own: whatever of it is still borrowed is copied, and counted. An expression reference is
    /// null, as it has no JSON form.
    pub(crate) fn own(&self, item: Item<'_>) -> Result<Value, EvalError> {
        match item {
            Item::Borrowed(value) => {
                self.charge(weight(value))?;
                Ok(value.clone())
            }
            Item::Owned(value) => Ok(value),
            Item::List(items) => {
                let values = items.into_iter().map(|item| self.own(item));
                values.collect::<Result<_, _>>().map(Value::Array)
            }
            Item::Reference(_) => Ok(Value::Null),
            Item::Scope(scope) => {
                let whole = scope.whole();
                self.charge(weight(&whole))?;
                Ok(whole)
            }
        }
    }

    /// Evaluates `node` on `item`; a missing key is null.
    pub(crate) fn lenient<'a>(&self, node: &'a Node, item: &Item<'a>) -> Outcome<'a> {
        match self.evaluate(node, item) {
            Err(EvalError::NotFound { .. }) => Ok(Item::NULL),
            other => other,
        }
    }

    /// Evaluates `node` on `item`.
    pub(crate) fn evaluate<'a>(&self, node: &'a Node, item: &Item<'a>) -> Outcome<'a> {
        self.charge(1)?;
        match node {
            Node::Current => self.settled(self.copy(item)?),
            Node::Field(key) => self.settled(self.field(key, item)?),
            Node::Path(keys) => self.settled(self.path(keys, item)?),
            Node::Literal(value) => Ok(Item::Borrowed(value)),
            Node::Given(number) => self.given(*number),
            Node::Reference(inner) => Ok(Item::Reference(inner)),
            Node::Sub(left, right) => {
                // On the way to a field, variables need not be made one object.
                let left = match &**left {
                    Node::Field(key) => self.charge(1).and_then(|()| self.field(key, item)),
                    Node::Path(keys) => self.charge(1).and_then(|()| self.path(keys, item)),
                    left => self.evaluate(left, item),
                };
                self.evaluate(right, &left?)
            }
            Node::Pipe(left, right) => self.lenient(right, &self.lenient(left, item)?),
            Node::Index(index) => self.copy(&item.element(*index)),
            Node::Slice(start, stop, step) => self.slice(item, [*start, *stop, *step]),
            Node::Projection(left, right) => match self.lenient(left, item)?.into_elements() {
                Some(elements) => self.project(elements, right),
                None => Ok(Item::NULL),
            },
            Node::ValueProjection(left, right) => self.project_values(left, right, item),
            Node::Filter(filter) => {
                let Some(elements) = self.or_null(self.evaluate(&filter.left, item))?.into_elements() else {
                    return Ok(Item::NULL);
                };
                let mut kept = Vec::new();
                for element in elements {
                    if !self.lenient(&filter.condition, &element)?.is_false() {
                        kept.push(element);
                    }
                }
                self.project(kept, &filter.right)
            }
            Node::Flatten(left) => self.flatten(left, item),
            Node::Compare(comparison, left, right) => {
                let (left, right) = (self.lenient(left, item)?, self.lenient(right, item)?);
                self.compare(*comparison, left, right)
            }
            Node::Or(left, right) => match self.lenient(left, item)? {
                left if left.is_false() => self.lenient(right, item),
                left => Ok(left),
            },
            Node::And(left, right) => match self.lenient(left, item)? {
                left if left.is_false() => Ok(left),
                _ => self.evaluate(right, item),
            },
            Node::Not(inner) => Ok(Item::Owned(Value::Bool(self.lenient(inner, item)?.is_false()))),
            Node::List(nodes) => self.list(nodes, item),
            Node::Hash(pairs) => self.hash(pairs, item),
            Node::Call(call) => self.call(call, item),
        }
    }

    /// The item as one that has a value: variables are copied into one object.
    fn settled<'a>(&self, item: Item<'a>) -> Outcome<'a> {
        if matches!(item, Item::Scope(_)) { self.own(item).map(Item::Owned) } else { Ok(item) }
    }

    /// Null for every failure except a limit, which must end the evaluation.
    fn or_null<'a>(&self, outcome: Outcome<'a>) -> Outcome<'a> {
        match outcome {
            Err(EvalError::Limit { what }) => Err(EvalError::Limit { what }),
            other => Ok(other.unwrap_or(Item::NULL)),
        }
    }

    fn field<'a>(&self, key: &str, item: &Item<'a>) -> Outcome<'a> {
        let found = match item {
            Item::Borrowed(Value::Object(map)) => crate::item::field(map, key).map(Item::Borrowed),
            Item::Owned(Value::Object(map)) => match map.get(key) {
                Some(value) => Some(self.copy(&Item::Owned(value.clone()))?),
                None => None,
            },
            Item::Scope(scope) => scope.variable(key).map(Item::from),
            _ => return Ok(Item::NULL),
        };
        found.ok_or_else(|| EvalError::NotFound { key: key.to_owned() })
    }

    fn given<'a>(&self, number: usize) -> Outcome<'a> {
        let text = self.given.get(number).cloned().unwrap_or_default();
        self.charge(weight(&text))?;
        Ok(Item::Owned(text))
    }

    /// Follows keys from one object to the next.
    fn path<'a>(&self, keys: &'a [String], item: &Item<'a>) -> Outcome<'a> {
        // One step for each key and each dot; the first is counted already.
        self.charge((keys.len() as u64).saturating_mul(2).saturating_sub(2))?;
        let missing = |key: &str| EvalError::NotFound { key: key.to_owned() };
        let mut keys = keys.iter();
        let mut value = match item {
            Item::Borrowed(value) => *value,
            Item::Scope(scope) => {
                let mut scope = *scope;
                loop {
                    let Some(key) = keys.next() else { return Ok(Item::Scope(scope)) };
                    match scope.variable(key).ok_or_else(|| missing(key))? {
                        Variable::Value(value) => break value,
                        Variable::Scope(below) => scope = below,
                    }
                }
            }
            item => {
                let first = keys.next().map_or(Ok(Item::NULL), |key| self.field(key, item));
                return keys.try_fold(first?, |item, key| self.field(key, &item));
            }
        };
        for key in keys {
            let Value::Object(map) = value else { return Ok(Item::NULL) };
            value = crate::item::field(map, key).ok_or_else(|| missing(key))?;
        }
        Ok(Item::Borrowed(value))
    }

    fn project<'a>(&self, elements: Vec<Item<'a>>, right: &'a Node) -> Outcome<'a> {
        self.charge(elements.len() as u64)?;
        if matches!(right, Node::Current) {
            return Ok(Item::List(elements.into_iter().filter(|element| !element.is_null()).collect()));
        }
        let mut collected = Vec::with_capacity(elements.len());
        for element in elements {
            let result = self.lenient(right, &element)?;
            if !result.is_null() {
                collected.push(result);
            }
        }
        Ok(Item::List(collected))
    }

    fn project_values<'a>(&self, left: &'a Node, right: &'a Node, item: &Item<'a>) -> Outcome<'a> {
        let values = match self.or_null(self.evaluate(left, item))? {
            Item::Borrowed(Value::Object(map)) => map.values().map(Item::Borrowed).collect(),
            Item::Owned(Value::Object(map)) => map.into_iter().map(|(_, value)| Item::Owned(value)).collect(),
            _ => return Ok(Item::NULL),
        };
        self.project(values, right)
    }

    fn flatten<'a>(&self, left: &'a Node, item: &Item<'a>) -> Outcome<'a> {
        let Some(elements) = self.or_null(self.evaluate(left, item))?.into_elements() else {
            return Ok(Item::NULL);
        };
        let mut flat = Vec::with_capacity(elements.len());
        for element in elements {
            match element {
                Item::Borrowed(Value::Array(_)) | Item::Owned(Value::Array(_)) | Item::List(_) => {
                    flat.extend(element.into_elements().unwrap_or_default());
                }
                other => flat.push(other),
            }
        }
        self.charge(flat.len() as u64)?;
        Ok(Item::List(flat))
    }

    fn slice<'a>(&self, item: &Item<'a>, parts: [Option<i64>; 3]) -> Outcome<'a> {
        let Some(elements) = self.copy(item)?.into_elements() else { return Ok(Item::NULL) };
        let (start, stop, step) = bounds(elements.len(), parts)?;
        let mut taken = Vec::new();
        let mut at = start;
        while if step > 0 { at < stop } else { at > stop } {
            if let Some(element) = usize::try_from(at).ok().and_then(|at| elements.get(at)) {
                taken.push(element.clone());
            }
            at = at.saturating_add(step);
        }
        self.charge(taken.len() as u64)?;
        Ok(Item::List(taken))
    }

    fn compare<'a>(&self, comparison: Comparison, left: Item<'a>, right: Item<'a>) -> Outcome<'a> {
        let result = match comparison {
            Comparison::Equal => Some(self.equal(left, right)?),
            Comparison::NotEqual => Some(!self.equal(left, right)?),
            order => match (left.value().and_then(Value::as_f64), right.value().and_then(Value::as_f64)) {
                (Some(left), Some(right)) => Some(match order {
                    Comparison::Less => left < right,
                    Comparison::LessOrEqual => left <= right,
                    Comparison::Greater => left > right,
                    _ => left >= right,
                }),
                _ => None,
            },
        };
        Ok(Item::Owned(result.map_or(Value::Null, Value::Bool)))
    }

    fn equal(&self, left: Item<'_>, right: Item<'_>) -> Result<bool, EvalError> {
        if let (Some(left), Some(right)) = (left.value(), right.value()) {
            return Ok(equal(left, right));
        }
        Ok(equal(&self.own(left)?, &self.own(right)?))
    }

    fn list<'a>(&self, nodes: &'a [Node], item: &Item<'a>) -> Outcome<'a> {
        if item.is_null() {
            return Ok(Item::NULL);
        }
        nodes.iter().map(|node| self.lenient(node, item)).collect::<Result<_, _>>().map(Item::List)
    }

    fn hash<'a>(&self, pairs: &'a [(String, Node)], item: &Item<'a>) -> Outcome<'a> {
        if item.is_null() {
            return Ok(Item::NULL);
        }
        let mut map = Map::with_capacity(pairs.len());
        for (key, node) in pairs {
            let value = self.own(self.lenient(node, item)?)?;
            map.insert(key.clone(), value);
        }
        Ok(Item::Owned(Value::Object(map)))
    }

    fn call<'a>(&self, call: &'a Call, item: &Item<'a>) -> Outcome<'a> {
        let mut arguments = Vec::with_capacity(call.arguments.len());
        for node in &call.arguments {
            arguments.push(self.lenient(node, item)?);
        }
        functions::call(self, call, arguments)
    }
}

/// Start, stop and step of a slice on an array of `length`.
fn bounds(length: usize, parts: [Option<i64>; 3]) -> Result<(i64, i64, i64), EvalError> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let [start, stop, step] = parts;
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(EvalError::SliceStep);
    }
    let clamp = |at: i64| match at {
        at if at < 0 => (at.saturating_add(length)).max(if step < 0 { -1 } else { 0 }),
        at if at >= length => length - i64::from(step < 0),
        at => at,
    };
    let start = start.map_or(if step < 0 { length - 1 } else { 0 }, clamp);
    let stop = stop.map_or(if step < 0 { -1 } else { length }, clamp);
    Ok((start, stop, step))
}
