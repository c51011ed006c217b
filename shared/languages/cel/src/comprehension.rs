//! Macros that loop: `all`, `exists`, `map`, `filter`, the transforms and `sortBy`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::ast::{Comprehension, Loop, Node};
use crate::error::EvalError;
use crate::evaluate::{Evaluation, Outcome};
use crate::value::{Key, Map, Val};

/// What a loop variable sees: the element, or the index or key and the element.
type Item<'a> = (Val<'a>, Option<Val<'a>>);

/// The first fact that was missing in a loop.
#[derive(Default)]
struct Gap(Option<EvalError>);

impl Gap {
    /// Lets an outcome through; `None` where a fact was missing. Any other failure ends the loop: with what was missing before it, if
    /// something was.
    fn pass<T>(&mut self, outcome: Result<T, EvalError>) -> Result<Option<T>, EvalError> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(error @ EvalError::Missing(_)) => {
                self.0.get_or_insert(error);
                Ok(None)
            }
            Err(EvalError::CostExceeded) => Err(EvalError::CostExceeded),
            Err(error) => Err(self.0.take().unwrap_or(error)),
        }
    }

    /// The value of the loop, unless something was missing.
    fn end<T>(self, value: T) -> Result<T, EvalError> {
        self.0.map_or(Ok(value), Err)
    }
}

impl<'a> Evaluation<'_, 'a> {
    pub(crate) fn comprehension(&self, comprehension: &'a Comprehension) -> Outcome<'a> {
        let range = self.evaluate(&comprehension.range)?;
        let items = self.items(&range, comprehension.second.is_some())?;
        match comprehension.kind {
            Loop::All => self.quantify(comprehension, items, false),
            Loop::Exists => self.quantify(comprehension, items, true),
            Loop::ExistsOne => self.exists_one(comprehension, items),
            Loop::Filter => self.filter(comprehension, items),
            Loop::Map | Loop::TransformList => self.transform_list(comprehension, items),
            Loop::TransformMap | Loop::TransformMapEntry => self.transform_map(comprehension, items),
            Loop::SortBy => self.sort_by(comprehension, items),
        }
    }

    fn items(&self, range: &Val<'a>, two: bool) -> Result<Vec<Item<'a>>, EvalError> {
        match range {
            Val::List(list) => {
                self.charge(list.len())?;
                let index = |index: usize| Val::Int(i64::try_from(index).unwrap_or(i64::MAX));
                let item = |(at, value)| if two { (index(at), Some(value)) } else { (value, None) };
                Ok(list.iter().enumerate().map(item).collect())
            }
            Val::Map(map) => {
                self.charge(map.len())?;
                let item = |(key, value): (Key<'a>, Val<'a>)| (key.to_val(), two.then_some(value));
                Ok(map.entries().into_iter().map(item).collect())
            }
            Val::Struct(value) => {
                let item = |(key, value): (&String, &Val<'a>)| (Val::text(key.as_str()), two.then(|| value.clone()));
                Ok(value.fields.iter().map(item).collect())
            }
            other => Err(EvalError::refused(format!("got '{}', expected iterable type", other.go_type()))),
        }
    }

    /// Evaluates `node` with the loop variables set.
    fn within(&self, comprehension: &'a Comprehension, item: &Item<'a>, node: &'a Node) -> Outcome<'a> {
        match (&comprehension.second, &item.1) {
            (Some(second), Some(value)) => {
                self.push_local(&comprehension.first, item.0.clone());
                let outcome = self.with_local(second, value.clone(), node);
                self.pop_local();
                outcome
            }
            _ => self.with_local(&comprehension.first, item.0.clone(), node),
        }
    }

    fn truth(&self, comprehension: &'a Comprehension, item: &Item<'a>, node: &'a Node) -> Result<bool, EvalError> {
        match self.within(comprehension, item, node)? {
            Val::Bool(flag) => Ok(flag),
            _ => Err(EvalError::no_overload()),
        }
    }

    /// Whether an item passes the filter in front of the body.
    fn kept(&self, comprehension: &'a Comprehension, item: &Item<'a>) -> Result<bool, EvalError> {
        comprehension.filter.as_ref().map_or(Ok(true), |filter| self.truth(comprehension, item, filter))
    }

    /// `all` and `exists`: an element that decides makes failures on others irrelevant.
    fn quantify(&self, comprehension: &'a Comprehension, items: Vec<Item<'a>>, decisive: bool) -> Outcome<'a> {
        let mut failure = None;
        for item in &items {
            match self.truth(comprehension, item, &comprehension.body) {
                Ok(flag) if flag == decisive => return Ok(Val::Bool(decisive)),
                Ok(_) => {}
                Err(EvalError::CostExceeded) => return Err(EvalError::CostExceeded),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(Val::Bool(!decisive)), Err)
    }

    fn exists_one(&self, comprehension: &'a Comprehension, items: Vec<Item<'a>>) -> Outcome<'a> {
        let (mut count, mut gap) = (0_usize, Gap::default());
        for item in &items {
            let is_one = gap.pass(self.truth(comprehension, item, &comprehension.body))?;
            count += usize::from(is_one == Some(true));
        }
        gap.end(Val::Bool(count == 1))
    }

    fn filter(&self, comprehension: &'a Comprehension, items: Vec<Item<'a>>) -> Outcome<'a> {
        let (mut kept, mut gap) = (Vec::new(), Gap::default());
        for item in items {
            if gap.pass(self.truth(comprehension, &item, &comprehension.body))? == Some(true) {
                kept.push(item.0);
            }
        }
        gap.end(Val::list(kept))
    }

    fn transform_list(&self, comprehension: &'a Comprehension, items: Vec<Item<'a>>) -> Outcome<'a> {
        let (mut values, mut gap) = (Vec::with_capacity(items.len()), Gap::default());
        for item in &items {
            if gap.pass(self.kept(comprehension, item))? == Some(true) {
                values.extend(gap.pass(self.within(comprehension, item, &comprehension.body))?);
            }
        }
        gap.end(Val::list(values))
    }

    fn transform_map(&self, comprehension: &'a Comprehension, items: Vec<Item<'a>>) -> Outcome<'a> {
        let mut map = BTreeMap::new();
        for item in &items {
            if !self.kept(comprehension, item)? {
                continue;
            }
            let value = self.within(comprehension, item, &comprehension.body)?;
            let entries = match (comprehension.kind, value) {
                (Loop::TransformMapEntry, Val::Map(entry)) => entry.entries(),
                (Loop::TransformMapEntry, other) => {
                    return Err(EvalError::NoSuchOverload(format!("an entry of type {}", other.type_name())));
                }
                (_, value) => Key::from_val(&item.0).map(|key| (key, value)).into_iter().collect(),
            };
            for (key, value) in entries {
                if map.contains_key(&key) {
                    return Err(EvalError::refused(format!("insert failed: key {key} already exists")));
                }
                map.insert(key, value);
            }
        }
        Ok(Val::Map(Map::Shared(Rc::new(map))))
    }

    fn sort_by(&self, comprehension: &'a Comprehension, items: Vec<Item<'a>>) -> Outcome<'a> {
        let mut keyed = Vec::with_capacity(items.len());
        for item in items {
            keyed.push((self.within(comprehension, &item, &comprehension.body)?, item.0));
        }
        sort(&mut keyed)?;
        Ok(Val::list(keyed.into_iter().map(|(_, value)| value).collect()))
    }
}

/// Sorts by the keys in front, which must be comparable with each other.
pub(crate) fn sort<'a>(keyed: &mut [(Val<'a>, Val<'a>)]) -> Result<(), EvalError> {
    if let Some((first, _)) = keyed.first() {
        let first = first.clone();
        if let Some((other, _)) = keyed.iter().find(|(key, _)| first.compare(key).is_none()) {
            return Err(EvalError::NoSuchOverload(format!("ordering {} and {}", first.type_name(), other.type_name())));
        }
    }
    keyed.sort_by(|left, right| left.0.compare(&right.0).unwrap_or(Ordering::Equal));
    Ok(())
}
