//! Kyverno's functions on objects and arrays.

use serde_json::{Map, Value};

use super::{ARRAY, Arguments, Function, NUMBER, OBJECT, Outcome, TEXT, function, scalar_text};
use crate::item::Item;

pub(super) const FUNCTIONS: &[Function] = &[
    function("lookup", &[OBJECT | ARRAY, TEXT | NUMBER], lookup),
    function("items", &[OBJECT | ARRAY, TEXT, TEXT], items),
    function("object_from_lists", &[ARRAY, ARRAY], object_from_lists),
];

fn lookup<'a>(mut arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let collection = arguments.take(0);
    let key = arguments.item(1).value();
    match (&collection, key) {
        (Item::Borrowed(Value::Object(map)), Some(Value::String(key))) => {
            Ok(map.get(key).map_or(Item::NULL, Item::Borrowed))
        }
        (Item::Owned(Value::Object(map)), Some(Value::String(key))) => {
            Ok(map.get(key).map_or(Item::NULL, |value| Item::Owned(value.clone())))
        }
        (Item::Borrowed(Value::Object(_)) | Item::Owned(Value::Object(_)), _) => {
            Err(arguments.fail("argument #2 is not of type String"))
        }
        (_, Some(Value::Number(index))) => {
            let index = index.as_f64().unwrap_or(-1.0);
            if index.fract() != 0.0 {
                return Err(arguments.fail(format!("argument #2: expected an integer number but got: {index}")));
            }
            #[expect(clippy::cast_possible_truncation, reason = "whole, and floats saturate")]
            Ok(if index < 0.0 { Item::NULL } else { collection.element(index as i64) })
        }
        _ => Err(arguments.fail("argument #2 is not of type Number")),
    }
}

fn items<'a>(mut arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let collection = arguments.take_value(0)?;
    let (key_name, value_name) = (arguments.text(1).to_owned(), arguments.text(2).to_owned());
    let entry = |key: Value, value: Value| {
        let mut map = Map::new();
        map.insert(key_name.clone(), key);
        map.insert(value_name.clone(), value);
        Value::Object(map)
    };
    let entries = match collection {
        Value::Object(map) => {
            let mut pairs: Vec<(String, Value)> = map.into_iter().collect();
            pairs.sort_by(|left, right| left.0.cmp(&right.0));
            pairs.into_iter().map(|(key, value)| entry(Value::String(key), value)).collect()
        }
        Value::Array(values) => {
            values.into_iter().enumerate().map(|(index, value)| entry(Value::from(index), value)).collect()
        }
        _ => Vec::new(),
    };
    Ok(Item::Owned(Value::Array(entries)))
}

fn object_from_lists<'a>(mut arguments: Arguments<'_, 'a>) -> Outcome<'a> {
    let (keys, values) = (arguments.take_value(0)?, arguments.take_value(1)?);
    let (Value::Array(keys), Value::Array(values)) = (keys, values) else { return Ok(Item::NULL) };
    let mut values = values.into_iter();
    let mut map = Map::new();
    for key in &keys {
        let key = scalar_text(key).ok_or_else(|| arguments.fail("argument #1 is not of type StringArray"))?;
        map.insert(key, values.next().unwrap_or(Value::Null));
    }
    Ok(Item::Owned(Value::Object(map)))
}
