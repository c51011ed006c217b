//! Lists and sets.

use std::cmp::Ordering;

use super::{Answer, Function, Invocation, boolean, global, member, refuse};
use crate::arithmetic;
use crate::comprehension;
use crate::error::EvalError;
use crate::evaluate::Outcome;
use crate::value::{List, Val};

pub(super) const FUNCTIONS: &[Function] = &[
    member("isSorted", |invocation, arguments| {
        on_list(invocation, arguments, |list| {
            let mut pairs = list.iter().zip(list.iter().skip(1));
            Ok(Val::Bool(pairs.all(|(left, right)| left.compare(right).is_some_and(Ordering::is_le))))
        })
    }),
    member("sum", |invocation, arguments| {
        on_list(invocation, arguments, |list| {
            let mut values = list.into_iter();
            let first = values.next().unwrap_or(Val::Int(0));
            values.try_fold(first, |total, value| arithmetic::add(&total, &value))
        })
    }),
    member("min", |invocation, arguments| on_list(invocation, arguments, |list| extreme(list, Ordering::Less))),
    member("max", |invocation, arguments| on_list(invocation, arguments, |list| extreme(list, Ordering::Greater))),
    member("distinct", |invocation, arguments| {
        on_list(invocation, arguments, |list| {
            let mut kept: Vec<Val<'_>> = Vec::new();
            for value in list {
                if !kept.iter().any(|other| other.equals(&value)) {
                    kept.push(value);
                }
            }
            Ok(Val::list(kept))
        })
    }),
    member("sort", |invocation, arguments| {
        on_list(invocation, arguments, |list| {
            let mut keyed: Vec<_> = list.into_iter().map(|value| (value.clone(), value)).collect();
            comprehension::sort(&mut keyed)?;
            Ok(Val::list(keyed.into_iter().map(|(_, value)| value).collect()))
        })
    }),
    member("slice", slice),
    member("flatten", flatten),
    member("first", |_, arguments| match arguments {
        [Val::List(list)] => Some(Ok(list.get(0).map_or(Val::none(), Val::some))),
        _ => None,
    }),
    member("last", |_, arguments| match arguments {
        [Val::List(list)] => {
            Some(Ok(list.len().checked_sub(1).and_then(|at| list.get(at)).map_or(Val::none(), Val::some)))
        }
        _ => None,
    }),
    global("lists.range", range),
    global("sets.contains", |invocation, arguments| {
        sets(invocation, arguments, |left, right| right.iter().all(|value| has(left, &value)))
    }),
    global("sets.equivalent", |invocation, arguments| {
        sets(invocation, arguments, |left, right| {
            right.iter().all(|value| has(left, &value)) && left.iter().all(|value| has(right, &value))
        })
    }),
    global("sets.intersects", |invocation, arguments| {
        sets(invocation, arguments, |left, right| right.iter().any(|value| has(left, &value)))
    }),
];

fn has<'a>(list: &List<'a>, wanted: &Val<'a>) -> bool {
    list.iter().any(|value| value.equals(wanted))
}

fn sets<'a>(
    invocation: Invocation<'_, '_, 'a>,
    arguments: &[Val<'a>],
    test: fn(&List<'a>, &List<'a>) -> bool,
) -> Answer<'a> {
    let [Val::List(left), Val::List(right)] = arguments else { return None };
    match invocation.evaluation.charge(left.len().saturating_mul(right.len())) {
        Ok(()) => boolean(test(left, right)),
        Err(error) => Some(Err(error)),
    }
}

fn on_list<'a>(
    invocation: Invocation<'_, '_, 'a>,
    arguments: &[Val<'a>],
    run: fn(Vec<Val<'a>>) -> Outcome<'a>,
) -> Answer<'a> {
    let [Val::List(list)] = arguments else { return None };
    // Distinct compares every pair; the others look at each element once or log n times.
    let cost = if invocation.call.name == "distinct" { list.len().saturating_mul(list.len()) / 2 } else { list.len() };
    Some(invocation.evaluation.charge(cost).and_then(|()| run(list.iter().collect())))
}

fn extreme<'a>(list: Vec<Val<'a>>, wanted: Ordering) -> Outcome<'a> {
    let mut values = list.into_iter();
    let mut best = values.next().ok_or_else(|| EvalError::refused("min/max called on empty list"))?;
    for value in values {
        let order = value.compare(&best);
        if order.ok_or_else(|| EvalError::NoSuchOverload("comparing list elements".to_owned()))? == wanted {
            best = value;
        }
    }
    Ok(best)
}

fn slice<'a>(invocation: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    let [Val::List(list), Val::Int(start), Val::Int(end)] = arguments else { return None };
    let bounds = (usize::try_from(*start), usize::try_from(*end));
    let (Ok(start), Ok(end)) = bounds else { return refuse("cannot slice with negative indices") };
    if start > end || end > list.len() {
        return refuse(format!("cannot slice({start}, {end}), list is length {}", list.len()));
    }
    let sliced = (start..end).filter_map(|index| list.get(index)).collect();
    Some(invocation.evaluation.charge(end - start).map(|()| Val::list(sliced)))
}

fn flatten<'a>(invocation: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    let (list, depth) = match arguments {
        [Val::List(list)] => (list, 1),
        [Val::List(list), Val::Int(depth)] if *depth >= 0 => (list, *depth),
        [Val::List(_), Val::Int(_)] => return refuse("level must be non-negative"),
        _ => return None,
    };
    let mut values: Vec<Val<'a>> = list.iter().collect();
    for _ in 0..depth {
        let mut flat = Vec::with_capacity(values.len());
        let mut changed = false;
        for value in values {
            match value {
                Val::List(inner) => {
                    changed = true;
                    flat.extend(inner.iter());
                }
                value => flat.push(value),
            }
        }
        if let Err(error) = invocation.evaluation.charge(flat.len()) {
            return Some(Err(error));
        }
        values = flat;
        if !changed {
            break;
        }
    }
    Some(Ok(Val::list(values)))
}

fn range<'a>(invocation: Invocation<'_, '_, 'a>, arguments: &[Val<'a>]) -> Answer<'a> {
    let [Val::Int(end)] = arguments else { return None };
    let Ok(count) = usize::try_from(*end) else {
        return refuse(format!("lists.range: size must be non-negative, got {end}"));
    };
    Some(invocation.evaluation.charge(count).map(|()| Val::list((0..(*end).max(0)).map(Val::Int).collect())))
}
