//! Walks the syntax tree.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::ast::{Call, Entry, Kind, Literal, Node, Operator};
use crate::error::EvalError;
use crate::host::{Host, Limits};
use crate::value::{Key, List, Map, Struct, Text, Val};
use crate::{arithmetic, functions};

pub(crate) type Outcome<'a> = Result<Val<'a>, EvalError>;

/// One evaluation in progress.
pub(crate) struct Evaluation<'e, 'a> {
    pub(crate) host: &'e dyn Host<'a>,
    limits: Limits,
    cost: Cell<u64>,
    /// Variables of the macros around, the innermost last.
    locals: RefCell<Vec<(&'a str, Val<'a>)>>,
}

impl<'e, 'a> Evaluation<'e, 'a> {
    pub(crate) fn new(host: &'e dyn Host<'a>, limits: Limits) -> Self {
        Self { host, limits, cost: Cell::new(0), locals: RefCell::new(Vec::new()) }
    }

    pub(crate) fn cost(&self) -> u64 {
        self.cost.get()
    }

    /// Counts work against the budget.
    pub(crate) fn charge(&self, cost: usize) -> Result<(), EvalError> {
        let total = self.cost.get().saturating_add(cost as u64);
        self.cost.set(total);
        if total > self.limits.max_cost { Err(EvalError::CostExceeded) } else { Ok(()) }
    }

    /// A text result; a tenth of its length is its cost.
    pub(crate) fn produce(&self, text: impl Into<Rc<str>>) -> Outcome<'a> {
        let text = text.into();
        self.charge(text.len() / 10)?;
        Ok(Val::Text(Text::Shared(text)))
    }

    /// Evaluates `node`.
    pub(crate) fn evaluate(&self, node: &'a Node) -> Outcome<'a> {
        self.charge(1)?;
        match &node.kind {
            Kind::Literal(literal) => Ok(from_literal(literal)),
            Kind::Identifier(name) => self.identifier(name),
            Kind::Select(select) => self.select_path(node, &select.operand, &select.field, select.optional),
            Kind::Has(select) => self.has(&select.operand, &select.field),
            Kind::Index(index) => {
                let operand = self.evaluate(&index.operand)?;
                let key = self.evaluate(&index.index)?;
                at_index(&operand, &key, index.optional)
            }
            Kind::Call(call) => self.call(call),
            Kind::List(elements) => self.list(elements),
            Kind::Map(entries) => self.map(entries),
            Kind::Struct(structure) => self.structure(structure),
            Kind::And(nodes) => self.logic(nodes, false),
            Kind::Or(nodes) => self.logic(nodes, true),
            Kind::Not(inner) => match self.evaluate(inner)? {
                Val::Bool(flag) => Ok(Val::Bool(!flag)),
                _ => Err(EvalError::no_overload()),
            },
            Kind::Negate(inner) => arithmetic::negate(&self.evaluate(inner)?),
            Kind::Binary(operator, sides) => self.binary(*operator, sides),
            Kind::Conditional(parts) => self.conditional(parts),
            Kind::Comprehension(comprehension) => self.comprehension(comprehension),
            Kind::Bind(bind) => {
                let value = self.evaluate(&bind.value)?;
                self.with_local(&bind.name, value, &bind.body)
            }
            Kind::OptionalMap(bind, flat) => self.optional_map(bind, *flat),
        }
    }

    /// Evaluates `body` with one more variable.
    pub(crate) fn with_local(&self, name: &'a str, value: Val<'a>, body: &'a Node) -> Outcome<'a> {
        self.locals.borrow_mut().push((name, value));
        let outcome = self.evaluate(body);
        self.locals.borrow_mut().pop();
        outcome
    }

    fn local(&self, name: &str) -> Option<Val<'a>> {
        let locals = self.locals.borrow();
        locals.iter().rev().find(|(local, _)| *local == name).map(|(_, value)| value.clone())
    }

    fn identifier(&self, name: &str) -> Outcome<'a> {
        if let Some(value) = self.local(name) {
            return Ok(value);
        }
        if let Some(value) = self.host.variable(name) {
            return value;
        }
        match type_named(name) {
            Some(name) => Ok(Val::Type(Rc::from(name))),
            None => Err(EvalError::NoSuchVariable(name.to_owned())),
        }
    }

    /// A selection; a path that is no field may be a qualified name, such as `google.protobuf.Timestamp`.
    fn select_path(&self, node: &'a Node, operand: &'a Node, field: &str, optional: bool) -> Outcome<'a> {
        match self.evaluate(operand) {
            Ok(value) => select(&value, field, optional),
            Err(EvalError::NoSuchVariable(name)) => {
                let qualified = crate::parser::qualified(node);
                let found = qualified.as_deref().and_then(|name| {
                    self.host.variable(name).or_else(|| type_named(name).map(|name| Ok(Val::Type(Rc::from(name)))))
                });
                found.unwrap_or_else(|| Err(EvalError::NoSuchVariable(format!("{name}.{field}"))))
            }
            Err(error) => Err(error),
        }
    }

    fn has(&self, operand: &'a Node, field: &str) -> Outcome<'a> {
        let value = self.evaluate(operand)?;
        let value = match value {
            Val::Optional(None) => return Ok(Val::Bool(false)),
            Val::Optional(Some(inner)) => inner.as_ref().clone(),
            value => value,
        };
        Ok(Val::Bool(field_of(&value, field)?.is_some()))
    }

    fn conditional(&self, parts: &'a [Node; 3]) -> Outcome<'a> {
        let [condition, then, otherwise] = parts;
        match self.evaluate(condition)? {
            Val::Bool(true) => self.evaluate(then),
            Val::Bool(false) => self.evaluate(otherwise),
            _ => Err(EvalError::no_overload()),
        }
    }

    /// `&&` and `||`: `decisive` on any side decides, whatever fails on the others.
    fn logic(&self, nodes: &'a [Node], decisive: bool) -> Outcome<'a> {
        let mut failure = None;
        for node in nodes {
            match self.evaluate(node) {
                Ok(Val::Bool(flag)) if flag == decisive => return Ok(Val::Bool(decisive)),
                Ok(Val::Bool(_)) => {}
                Ok(_) => failure = failure.or(Some(EvalError::no_overload())),
                Err(EvalError::CostExceeded) => return Err(EvalError::CostExceeded),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(Val::Bool(!decisive)), Err)
    }

    fn binary(&self, operator: Operator, sides: &'a (Node, Node)) -> Outcome<'a> {
        let (left, right) = (self.evaluate(&sides.0)?, self.evaluate(&sides.1)?);
        let ordered = |test: fn(Ordering) -> bool| match left.compare(&right) {
            Some(order) => Ok(Val::Bool(test(order))),
            None if is_number(&left) && is_number(&right) => Ok(Val::Bool(false)),
            None => Err(mismatch(order_name(operator), is_comparer(&left))),
        };
        match operator {
            Operator::Equal | Operator::NotEqual => {
                self.charge(size_of(&left).min(size_of(&right)))?;
                Ok(Val::Bool(left.equals(&right) == (operator == Operator::Equal)))
            }
            Operator::Less => ordered(Ordering::is_lt),
            Operator::LessOrEqual => ordered(Ordering::is_le),
            Operator::Greater => ordered(Ordering::is_gt),
            Operator::GreaterOrEqual => ordered(Ordering::is_ge),
            Operator::In => self.contains(&left, &right),
            Operator::Add => {
                self.charge((size_of(&left).saturating_add(size_of(&right))) / 10)?;
                arithmetic::add(&left, &right)
            }
            Operator::Subtract => arithmetic::subtract(&left, &right),
            Operator::Multiply => arithmetic::multiply(&left, &right),
            Operator::Divide => arithmetic::divide(&left, &right),
            Operator::Modulo => arithmetic::modulo(&left, &right),
        }
    }

    fn contains(&self, wanted: &Val<'a>, container: &Val<'a>) -> Outcome<'a> {
        match container {
            Val::List(list) => {
                self.charge(list.len())?;
                Ok(Val::Bool(list.iter().any(|element| element.equals(wanted))))
            }
            Val::Map(map) => Ok(Val::Bool(Key::from_val(wanted).is_some_and(|key| map.get(&key).is_some()))),
            Val::Struct(value) => Ok(Val::Bool(wanted.as_str().is_some_and(|name| value.fields.contains_key(name)))),
            Val::Object(object) => match wanted.as_str() {
                Some(name) => Ok(Val::Bool(object.field(name).is_some())),
                None => Ok(Val::Bool(false)),
            },
            _ => Err(EvalError::no_overload()),
        }
    }

    fn list(&self, elements: &'a [crate::ast::Element]) -> Outcome<'a> {
        let mut values = Vec::with_capacity(elements.len());
        for element in elements {
            match self.evaluate(&element.value)? {
                Val::Optional(inner) if element.optional => values.extend(inner.map(|inner| inner.as_ref().clone())),
                value => values.push(value),
            }
        }
        Ok(Val::list(values))
    }

    fn map(&self, entries: &'a [Entry]) -> Outcome<'a> {
        let mut map = BTreeMap::new();
        for entry in entries {
            let key = self.evaluate(&entry.key)?;
            let key = Key::from_val(&key)
                .ok_or_else(|| EvalError::refused(format!("unsupported key type: {}", key.type_name())))?;
            let value = match self.evaluate(&entry.value)? {
                Val::Optional(None) if entry.optional => continue,
                Val::Optional(Some(inner)) if entry.optional => inner.as_ref().clone(),
                value => value,
            };
            if map.contains_key(&key) {
                return Err(EvalError::refused(format!("duplicate key in map: {key}")));
            }
            map.insert(key, value);
        }
        Ok(Val::Map(Map::Shared(Rc::new(map))))
    }

    fn structure(&self, structure: &'a crate::ast::Struct) -> Outcome<'a> {
        let mut fields = BTreeMap::new();
        for (name, element) in &structure.fields {
            match self.evaluate(&element.value)? {
                Val::Optional(None) if element.optional => {}
                Val::Optional(Some(inner)) if element.optional => {
                    drop(fields.insert(name.clone(), inner.as_ref().clone()))
                }
                value => drop(fields.insert(name.clone(), value)),
            }
        }
        let built = Val::Struct(Rc::new(Struct { type_name: structure.type_name.clone(), fields }));
        self.host.construct(&structure.type_name, built)
    }

    fn optional_map(&self, bind: &'a crate::ast::Bind, flat: bool) -> Outcome<'a> {
        let inner = match self.evaluate(&bind.value)? {
            Val::Optional(None) => return Ok(Val::none()),
            Val::Optional(Some(inner)) => inner.as_ref().clone(),
            other => return Err(EvalError::NoSuchOverload(format!("{}.optMap()", other.type_name()))),
        };
        let result = self.with_local(&bind.name, inner, &bind.body)?;
        match (flat, result) {
            (false, result) => Ok(Val::some(result)),
            (true, result @ Val::Optional(_)) => Ok(result),
            (true, other) => Err(EvalError::NoSuchOverload(format!("optFlatMap to {}", other.type_name()))),
        }
    }

    fn call(&self, call: &'a Call) -> Outcome<'a> {
        let mut arguments = Vec::with_capacity(call.arguments.len() + 1);
        if let Some(receiver) = &call.receiver {
            match self.evaluate(receiver) {
                Ok(value) => arguments.push(value),
                Err(EvalError::NoSuchVariable(name)) => return self.namespaced(call, receiver, name),
                Err(error) => return Err(error),
            }
        }
        for node in &call.arguments {
            arguments.push(self.evaluate(node)?);
        }
        if let (Some(_), Some((Val::Object(object), rest))) = (&call.receiver, arguments.split_first())
            && let Some(answer) = object.call(&call.name, rest)
        {
            return answer;
        }
        if let Some(function) = call.function {
            return functions::run(self, call, function, &arguments);
        }
        self.host_call(call, &call.name, &arguments)
    }

    /// A call on a name that is no variable: a function of the host with a namespace, such as `generator.apply`.
    fn namespaced(&self, call: &'a Call, receiver: &Node, missing: String) -> Outcome<'a> {
        let Some(prefix) = crate::parser::qualified(receiver) else { return Err(EvalError::NoSuchVariable(missing)) };
        let arguments: Vec<Val<'a>> =
            call.arguments.iter().map(|node| self.evaluate(node)).collect::<Result<_, _>>()?;
        let name = format!("{prefix}.{}", call.name);
        match self.host.call(&name, &arguments) {
            Some(answer) => answer,
            None => Err(EvalError::NoSuchVariable(missing)),
        }
    }

    pub(crate) fn host_call(&self, call: &'a Call, name: &str, arguments: &[Val<'a>]) -> Outcome<'a> {
        match self.host.call(name, arguments) {
            Some(answer) => answer,
            None => Err(no_overload(call, arguments)),
        }
    }
}

/// The complaint that no form of a function takes these types.
pub(crate) fn no_overload(call: &Call, arguments: &[Val<'_>]) -> EvalError {
    let names: Vec<&str> = arguments.iter().map(Val::type_name).collect();
    EvalError::NoSuchOverload(match call.name.as_str() {
        "contains" | "startsWith" | "endsWith" => String::new(),
        "size" | "matches" => call.name.clone(),
        name => format!("{name}({})", names.join(", ")),
    })
}

/// The complaint about an operator: it is named where no value of the left type takes it at all.
pub(crate) fn mismatch(operator: &str, takes_left: bool) -> EvalError {
    EvalError::NoSuchOverload(if takes_left { String::new() } else { operator.to_owned() })
}

/// What CEL calls the function of a comparison.
fn order_name(operator: Operator) -> &'static str {
    match operator {
        Operator::LessOrEqual => "_<=_",
        Operator::Greater => "_>_",
        Operator::GreaterOrEqual => "_>=_",
        _ => "_<_",
    }
}

/// Whether values of the type can be ordered.
fn is_comparer(value: &Val<'_>) -> bool {
    matches!(
        value,
        Val::Bool(_)
            | Val::Int(_)
            | Val::Uint(_)
            | Val::Double(_)
            | Val::Text(_)
            | Val::Bytes(_)
            | Val::Duration(_)
            | Val::Timestamp(_)
    )
}

fn is_number(value: &Val<'_>) -> bool {
    matches!(value, Val::Int(_) | Val::Uint(_) | Val::Double(_))
}

fn size_of(value: &Val<'_>) -> usize {
    match value {
        Val::Text(text) => text.as_str().len() / 10,
        Val::List(list) => list.len(),
        Val::Map(map) => map.len(),
        _ => 0,
    }
}

fn from_literal(literal: &Literal) -> Val<'_> {
    match literal {
        Literal::Null => Val::Null,
        Literal::Bool(flag) => Val::Bool(*flag),
        Literal::Int(value) => Val::Int(*value),
        Literal::Uint(value) => Val::Uint(*value),
        Literal::Double(value) => Val::Double(*value),
        Literal::Text(text) => Val::Text(Text::Borrowed(text)),
        Literal::Bytes(bytes) => Val::Bytes(Rc::from(bytes.as_slice())),
    }
}

/// Names of types that are values too.
pub(crate) fn type_named(name: &str) -> Option<&'static str> {
    const TYPES: [&str; 20] = [
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
        "optional_type",
        "google.protobuf.Timestamp",
        "google.protobuf.Duration",
        "kubernetes.Quantity",
        "kubernetes.Semver",
        "kubernetes.URL",
        "kubernetes.NamedFormat",
        "net.IP",
        "net.CIDR",
        "dyn",
    ];
    TYPES.into_iter().find(|known| *known == name)
}

/// The field of a value; `None` when it is absent, or when the value has no fields.
///
/// # Errors
/// For a list, which is asked by numbers.
fn field_of<'a>(value: &Val<'a>, field: &str) -> Result<Option<Val<'a>>, EvalError> {
    match value {
        Val::Map(map) => Ok(map.get_text(field)),
        Val::Struct(value) => Ok(value.fields.get(field).cloned()),
        Val::Object(object) => object.field(field).transpose(),
        Val::List(_) => Err(EvalError::refused("unsupported index type 'string' in list")),
        _ => Ok(None),
    }
}

/// `value.field` and `value.?field`; an optional on the left gives an optional.
pub(crate) fn select<'a>(value: &Val<'a>, field: &str, optional: bool) -> Outcome<'a> {
    match value {
        Val::Optional(None) => Ok(Val::none()),
        Val::Optional(Some(inner)) => Ok(field_of(inner, field)?.map_or(Val::none(), wrap)),
        value if optional => Ok(field_of(value, field)?.map_or(Val::none(), wrap)),
        value => field_of(value, field)?.ok_or_else(|| EvalError::NoSuchKey(field.to_owned())),
    }
}

/// A value in an optional; an optional stays as it is.
fn wrap(value: Val<'_>) -> Val<'_> {
    if matches!(value, Val::Optional(_)) { value } else { Val::some(value) }
}

/// `value[key]` and `value[?key]`.
pub(crate) fn at_index<'a>(value: &Val<'a>, key: &Val<'a>, optional: bool) -> Outcome<'a> {
    if let Val::Optional(inner) = value {
        return match inner {
            None => Ok(Val::none()),
            Some(inner) => at_index(inner, key, true),
        };
    }
    let found = match value {
        Val::List(list) => element(list, key, optional)?,
        Val::Map(map) => match Key::from_val(key) {
            Some(key) => map.get(&key),
            None => return Err(EvalError::NoSuchOverload("_[_]".to_owned())),
        },
        Val::Struct(_) | Val::Object(_) => match key.as_str() {
            Some(name) => field_of(value, name)?,
            None => return Err(EvalError::NoSuchOverload("_[_]".to_owned())),
        },
        _ => None,
    };
    match (found, optional) {
        (Some(found), false) => Ok(found),
        (found, true) => Ok(found.map_or(Val::none(), wrap)),
        (None, false) => Err(EvalError::NoSuchKey(Key::from_val(key).map(|key| key.to_string()).unwrap_or_default())),
    }
}

fn element<'a>(list: &List<'a>, key: &Val<'a>, optional: bool) -> Result<Option<Val<'a>>, EvalError> {
    let index = match Key::from_val(key) {
        Some(Key::Int(index)) => index,
        Some(Key::Uint(index)) => i64::try_from(index).unwrap_or(i64::MAX),
        _ => {
            let what = format!("unsupported index type '{}' in list", key.type_name());
            return Err(EvalError::refused(what));
        }
    };
    match usize::try_from(index).ok().and_then(|index| list.get(index)) {
        None if !optional => Err(EvalError::OutOfBounds(index)),
        found => Ok(found),
    }
}

impl<'a> Evaluation<'_, 'a> {
    pub(crate) fn push_local(&self, name: &'a str, value: Val<'a>) {
        self.locals.borrow_mut().push((name, value));
    }

    pub(crate) fn pop_local(&self) {
        self.locals.borrow_mut().pop();
    }
}
