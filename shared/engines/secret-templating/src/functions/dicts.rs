//! Maps.

use super::reflection::is_empty;
use super::{Call, Entry, Returned};
use crate::format::plain;
use crate::value::{Dict, MapKind, Value};

pub(super) const TABLE: &[Entry] = &[
    ("dict", "a*", dict),
    ("get", "ms", |call| Ok(call.map(0).get(&call.text(1)).unwrap_or_else(|| Value::text("")))),
    ("set", "msa", |call| {
        if call.value(0) == Value::Nil {
            return Err("assignment to entry in nil map".to_owned());
        }
        call.map(0).set(call.text(1), call.value(2))?;
        Ok(call.value(0))
    }),
    ("unset", "ms", |call| {
        call.map(0).remove(&call.text(1));
        Ok(call.value(0))
    }),
    ("hasKey", "ms", |call| Ok(Value::Bool(call.map(0).get(&call.text(1)).is_some()))),
    ("pluck", "sm*", |call| {
        let key = call.text(0);
        let maps = (1..call.arguments.len()).map(|index| call.map(index));
        Ok(Value::list(maps.filter_map(|map| map.get(&key)).collect()))
    }),
    ("keys", "m*", |call| {
        let maps = (0..call.arguments.len()).map(|index| call.map(index));
        Ok(Value::texts(maps.flat_map(|map| map.snapshot()).map(|(key, _)| key.into_bytes())))
    }),
    ("values", "m", |call| Ok(Value::list(call.map(0).values()))),
    ("pick", "ms*", |call| select(call, true)),
    ("omit", "ms*", |call| select(call, false)),
    ("merge", "mm*", |call| merge(call, false)),
    ("mustMerge", "mm*", |call| merge(call, false)),
    ("mergeOverwrite", "mm*", |call| merge(call, true)),
    ("mustMergeOverwrite", "mm*", |call| merge(call, true)),
    ("dig", "a*", dig),
];

fn dict(call: &mut Call<'_>) -> Returned {
    let pairs = call.arguments.chunks(2).map(|pair| {
        let key = pair.first().map(plain).unwrap_or_default();
        let value = pair.get(1).cloned().unwrap_or_else(|| Value::text(""));
        (String::from_utf8_lossy(&key).into_owned(), value)
    });
    Ok(Value::map(pairs))
}

fn select(call: &mut Call<'_>, is_wanted: bool) -> Returned {
    let keys: Vec<String> = (1..call.arguments.len()).map(|index| call.text(index)).collect();
    let pairs = call.map(0).snapshot().into_iter();
    Ok(Value::map(pairs.filter(|(key, _)| keys.contains(key) == is_wanted)))
}

fn merge(call: &mut Call<'_>, overwrites: bool) -> Returned {
    let target = call.map(0);
    for index in 1..call.arguments.len() {
        merge_into(&target, &call.map(index), overwrites, 60)?;
    }
    Ok(call.value(0))
}

/// Merges as `mergo` does: empty values give way, maps are merged, and an empty value never overwrites.
fn merge_into(target: &Dict, source: &Dict, overwrites: bool, depth: u32) -> Result<(), String> {
    if depth == 0 {
        return Err("maps are nested too deeply".to_owned());
    }
    for (key, value) in source.snapshot() {
        match (target.get(&key), value) {
            // Nothing is merged only where it overwrites.
            (_, Value::Nil) if !overwrites => {}
            (_, Value::Nil) => target.set(key, Value::Nil)?,
            (Some(Value::Map(_, inner)), Value::Map(_, other)) if inner.len() > 0 => {
                merge_into(&inner, &other, overwrites, depth.saturating_sub(1))?;
            }
            (Some(before), value) if is_empty(&before) || (overwrites && !is_empty(&value)) => {
                target.set(key, value)?
            }
            (Some(_), _) => {}
            (None, value) => target.set(key, value)?,
        }
    }
    Ok(())
}

fn dig(call: &mut Call<'_>) -> Returned {
    let Some((path, [default, map])) = call.arguments.split_last_chunk::<2>().filter(|(path, _)| !path.is_empty())
    else {
        return Err("dig needs at least three arguments".to_owned());
    };
    let mut value = map.clone();
    for step in path {
        let Value::Text(name) = step else {
            return Err(conversion(step, "string"));
        };
        let Value::Map(MapKind::Any, fields) = &value else {
            return Err(conversion(&value, "map[string]interface {}"));
        };
        match fields.get(&name.expose_str()) {
            Some(found) => value = found,
            None => return Ok(default.clone()),
        }
    }
    Ok(value)
}

fn conversion(value: &Value, wanted: &str) -> String {
    let is = if *value == Value::Nil { "nil" } else { value.type_name() };
    format!("interface conversion: interface {{}} is {is}, not {wanted}")
}
