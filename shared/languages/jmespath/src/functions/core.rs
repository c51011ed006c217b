//! The functions of the JMESPath specification, without those that order.

use serde_json::{Map, Value};

use super::{
    ANY, ARRAY, Arguments, Function, NUMBER, NUMBERS, OBJECT, Outcome, REFERENCE, TEXT, TEXTS, boolean, function,
    numeric, variadic,
};
use crate::go_json;
use crate::item::{Item, equal, item_weight};

pub(super) const FUNCTIONS: &[Function] = &[
    function("length", &[TEXT | ARRAY | OBJECT], length),
    function("contains", &[TEXT | ARRAY, ANY], contains),
    function("to_string", &[ANY], to_string),
    function("starts_with", &[TEXT, TEXT], |arguments| boolean(arguments.text(0).starts_with(arguments.text(1)))),
    function("ends_with", &[TEXT, TEXT], |arguments| boolean(arguments.text(0).ends_with(arguments.text(1)))),
    function("abs", &[NUMBER], |arguments| numeric(arguments.number(0).abs())),
    function("ceil", &[NUMBER], |arguments| numeric(arguments.number(0).ceil())),
    function("floor", &[NUMBER], |arguments| numeric(arguments.number(0).floor())),
    function("avg", &[NUMBERS], average),
    function("map", &[REFERENCE, ARRAY], map),
    variadic("merge", &[OBJECT], merge),
    function("type", &[ANY], type_of),
    function("keys", &[OBJECT], keys),
    function("values", &[OBJECT], values),
    function("join", &[TEXT, TEXTS], join),
    function("reverse", &[ARRAY | TEXT], reverse),
    function("to_array", &[ANY], to_array),
    function("to_number", &[ANY], to_number),
    variadic("not_null", &[ANY], not_null),
];

fn length<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let length = match arguments.item(0) {
        Item::List(items) => items.len(),
        other => match other.value() {
            Some(Value::String(text)) => text.chars().count(),
            Some(Value::Array(values)) => values.len(),
            Some(Value::Object(map)) => map.len(),
            _ => 0,
        },
    };
    Ok(Item::Owned(Value::from(length)))
}

fn contains<'a>(mut arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let wanted = arguments.take_value(1)?;
    if let Some(text) = arguments.item(0).value().and_then(Value::as_str) {
        return boolean(wanted.as_str().is_some_and(|wanted| text.contains(wanted)));
    }
    let elements = arguments.take(0).into_elements().unwrap_or_default();
    arguments.evaluation.charge(elements.len() as u64)?;
    for element in elements {
        let found = match element.value() {
            Some(value) => equal(value, &wanted),
            None => equal(&arguments.evaluation.own(element)?, &wanted),
        };
        if found {
            return boolean(true);
        }
    }
    boolean(false)
}

fn to_string<'a>(mut arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    if arguments.item(0).value().is_some_and(Value::is_string) {
        return Ok(arguments.take(0));
    }
    if let Some(value) = arguments.item(0).value() {
        return arguments.produce(go_json::render(value));
    }
    let value = arguments.take_value(0)?;
    arguments.produce(go_json::render(&value))
}

fn average<'a>(mut arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let value = arguments.take_value(0)?;
    let numbers: Vec<f64> = value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    #[expect(clippy::cast_precision_loss, reason = "an array is far shorter than 2^53")]
    numeric(numbers.iter().sum::<f64>() / numbers.len() as f64)
}

fn map<'a>(mut arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let Item::Reference(node) = arguments.take(0) else { return Ok(Item::NULL) };
    let elements = arguments.take(1).into_elements().unwrap_or_default();
    let mapped = elements.iter().map(|element| arguments.evaluation.lenient(node, element));
    mapped.collect::<Result<_, _>>().map(Item::List)
}

fn merge<'a>(mut arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let mut merged = Map::new();
    for index in 0..arguments.items.len() {
        if let Value::Object(map) = arguments.take_value(index)? {
            merged.extend(map);
        }
    }
    Ok(Item::Owned(Value::Object(merged)))
}

fn type_of<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let name = match arguments.item(0) {
        Item::List(_) => "array",
        Item::Reference(_) => return Err(arguments.fail("unknown type")),
        other => match other.value() {
            Some(Value::Bool(_)) => "boolean",
            Some(Value::Number(_)) => "number",
            Some(Value::String(_)) => "string",
            Some(Value::Array(_)) => "array",
            Some(Value::Object(_)) => "object",
            Some(Value::Null) | None => "null",
        },
    };
    arguments.produce(name)
}

fn keys<'a>(arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let map = arguments.item(0).value().and_then(Value::as_object);
    let keys: Vec<Value> = map.into_iter().flatten().map(|(key, _)| Value::String(key.clone())).collect();
    arguments.evaluation.charge(keys.len() as u64)?;
    Ok(Item::Owned(Value::Array(keys)))
}

fn values<'a>(mut arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let values: Vec<Item<'a>> = match arguments.take(0) {
        Item::Borrowed(Value::Object(map)) => map.values().map(Item::Borrowed).collect(),
        Item::Owned(Value::Object(map)) => map.into_iter().map(|(_, value)| Item::Owned(value)).collect(),
        _ => Vec::new(),
    };
    arguments.evaluation.charge(values.len() as u64)?;
    Ok(Item::List(values))
}

fn join<'a>(mut arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let elements = arguments.take(1).into_elements().unwrap_or_default();
    let texts: Vec<&str> = elements.iter().filter_map(|element| element.value().and_then(Value::as_str)).collect();
    let separators = texts.len().saturating_mul(arguments.text(0).len());
    arguments.evaluation.charge_text(texts.iter().map(|text| text.len()).sum::<usize>().saturating_add(separators))?;
    Ok(Item::Owned(Value::String(texts.join(arguments.text(0)))))
}

fn reverse<'a>(mut arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    if arguments.item(0).value().is_some_and(Value::is_string) {
        let reversed: String = arguments.text(0).chars().rev().collect();
        return arguments.produce(reversed);
    }
    let mut elements = arguments.take(0).into_elements().unwrap_or_default();
    elements.reverse();
    Ok(Item::List(elements))
}

fn to_array<'a>(mut arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let item = arguments.take(0);
    if matches!(item, Item::List(_)) || item.value().is_some_and(Value::is_array) {
        return Ok(item);
    }
    Ok(Item::List(vec![item]))
}

fn to_number<'a>(mut arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    match arguments.item(0).value() {
        Some(Value::Number(_)) => Ok(arguments.take(0)),
        Some(Value::String(text)) => match go_json::parse_float(text) {
            Some(value) => numeric(value),
            None => Ok(Item::NULL),
        },
        _ => Ok(Item::NULL),
    }
}

fn not_null<'a>(mut arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let found = arguments.items.iter().position(|item| !item.is_null());
    let item = found.map_or(Item::NULL, |index| arguments.take(index));
    arguments.evaluation.charge(item_weight(&item))?;
    Ok(item)
}
