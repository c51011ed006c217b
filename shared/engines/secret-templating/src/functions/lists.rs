//! Lists.

use std::sync::Arc;

use super::reflection::is_empty;
use super::strings::texts_of;
use super::{Call, Entry, Returned, numbers, text};
use crate::value::{ListKind, Value};

pub(super) const TABLE: &[Entry] = &[
    ("list", "a*", |call| Ok(Value::list(call.arguments.clone()))),
    ("tuple", "a*", |call| Ok(Value::list(call.arguments.clone()))),
    ("append", "aa", push),
    ("push", "aa", push),
    ("mustAppend", "aa", push),
    ("mustPush", "aa", push),
    ("prepend", "aa", prepend),
    ("mustPrepend", "aa", prepend),
    ("first", "a", |call| {
        items(call, 0, "Cannot find first").map(|items| items.into_iter().next().unwrap_or_default())
    }),
    ("mustFirst", "a", |call| {
        items(call, 0, "Cannot find first").map(|items| items.into_iter().next().unwrap_or_default())
    }),
    ("last", "a", |call| {
        items(call, 0, "Cannot find last").map(|items| items.into_iter().next_back().unwrap_or_default())
    }),
    ("mustLast", "a", |call| {
        items(call, 0, "Cannot find last").map(|items| items.into_iter().next_back().unwrap_or_default())
    }),
    ("rest", "a", |call| Ok(Value::list(items(call, 0, "Cannot find rest")?.into_iter().skip(1).collect()))),
    ("mustRest", "a", |call| Ok(Value::list(items(call, 0, "Cannot find rest")?.into_iter().skip(1).collect()))),
    ("initial", "a", initial),
    ("mustInitial", "a", initial),
    ("reverse", "a", |call| Ok(Value::list(items(call, 0, "Cannot find reverse")?.into_iter().rev().collect()))),
    ("mustReverse", "a", |call| Ok(Value::list(items(call, 0, "Cannot find reverse")?.into_iter().rev().collect()))),
    ("compact", "a", compact),
    ("mustCompact", "a", compact),
    ("uniq", "a", uniq),
    ("mustUniq", "a", uniq),
    ("without", "aa*", without),
    ("mustWithout", "aa*", without),
    ("has", "aa", has),
    ("mustHas", "aa", has),
    ("slice", "aa*", slice),
    ("mustSlice", "aa*", slice),
    ("concat", "a*", concat),
    ("chunk", "ia", chunk),
    ("mustChunk", "ia", chunk),
    ("sortAlpha", "a", |call| {
        let mut texts = texts_of(&call.value(0));
        texts.sort();
        Ok(Value::texts(texts))
    }),
    ("join", "sa", |call| {
        let texts = texts_of(&call.value(1));
        text(texts.join(call.bytes(0)))
    }),
    ("toStrings", "a", |call| Ok(Value::texts(texts_of(&call.value(0))))),
];

/// The items of argument `index`, which must be a list.
fn items(call: &Call<'_>, index: usize, what: &str) -> Result<Vec<Value>, String> {
    match call.value(index) {
        Value::List(_, items) => Ok(items.to_vec()),
        Value::Nil => Err("runtime error: invalid memory address or nil pointer dereference".to_owned()),
        other => Err(format!("{what} on type {}", other.kind_name())),
    }
}

fn push(call: &mut Call<'_>) -> Returned {
    let mut list = items(call, 0, "Cannot push")?;
    list.push(call.value(1));
    Ok(Value::list(list))
}

fn prepend(call: &mut Call<'_>) -> Returned {
    let mut list = items(call, 0, "Cannot prepend")?;
    list.insert(0, call.value(1));
    Ok(Value::list(list))
}

fn initial(call: &mut Call<'_>) -> Returned {
    let mut list = items(call, 0, "Cannot find initial")?;
    list.pop();
    Ok(Value::list(list))
}

fn compact(call: &mut Call<'_>) -> Returned {
    let list = items(call, 0, "Cannot compact")?;
    Ok(Value::list(list.into_iter().filter(|item| !is_empty(item)).collect()))
}

fn uniq(call: &mut Call<'_>) -> Returned {
    let list = items(call, 0, "Cannot find uniq")?;
    if list.len() > MAX_COMPARED {
        return Err(format!("a list of more than {MAX_COMPARED} values cannot be compared with itself"));
    }
    let mut kept: Vec<Value> = Vec::new();
    for item in list {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    Ok(Value::list(kept))
}

/// Each value of the list is compared with each that was kept.
const MAX_COMPARED: usize = 5_000;

fn without(call: &mut Call<'_>) -> Returned {
    let list = items(call, 0, "Cannot find without")?;
    Ok(Value::list(list.into_iter().filter(|item| !call.from(1).contains(item)).collect()))
}

fn has(call: &mut Call<'_>) -> Returned {
    if call.value(1) == Value::Nil {
        return Ok(Value::Bool(false));
    }
    Ok(Value::Bool(items(call, 1, "Cannot find has")?.contains(&call.value(0))))
}

/// sprig's `slice` stands before Go's: it knows lists only.
fn slice(call: &mut Call<'_>) -> Returned {
    let (kind, list) = match call.value(0) {
        Value::List(kind, list) => (kind, list),
        Value::Nil => return Err("runtime error: invalid memory address or nil pointer dereference".to_owned()),
        other => return Err(format!("list should be type of slice or array but {}", other.kind_name())),
    };
    if list.is_empty() {
        return Ok(Value::Nil);
    }
    let start = call.from(1).first().map_or(0, numbers::to_int64);
    let end = call.from(2).first().map_or(i64::try_from(list.len()).unwrap_or(i64::MAX), numbers::to_int64);
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let part =
        range.and_then(|(start, end)| list.get(start..end)).ok_or("reflect.Value.Slice: slice index out of bounds")?;
    Ok(Value::List(kind, Arc::new(part.to_vec())))
}

fn concat(call: &mut Call<'_>) -> Returned {
    let mut all = Vec::new();
    for list in &call.arguments {
        match list {
            Value::List(_, items) => all.extend(items.iter().cloned()),
            Value::Nil => return Err("runtime error: invalid memory address or nil pointer dereference".to_owned()),
            other => return Err(format!("Cannot concat type {} as list", other.kind_name())),
        }
    }
    Ok(Value::list(all))
}

fn chunk(call: &mut Call<'_>) -> Returned {
    let list = match call.value(1) {
        Value::List(_, list) => list,
        Value::Nil => return Err("runtime error: invalid memory address or nil pointer dereference".to_owned()),
        other => return Err(format!("Cannot chunk type {}", other.kind_name())),
    };
    let size = usize::try_from(call.int(0))
        .ok()
        .filter(|size| *size > 0)
        .ok_or("runtime error: makeslice: len out of range")?;
    Ok(Value::List(ListKind::Lists, Arc::new(list.chunks(size).map(|part| Value::list(part.to_vec())).collect())))
}
