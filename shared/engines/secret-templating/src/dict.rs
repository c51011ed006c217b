//! Maps that templates may change. Copies share what they hold, as Go's do; none may hold itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::value::Value;

type Fields = BTreeMap<String, Value>;

/// A map with text keys, in key order.
#[derive(Clone, Default)]
pub struct Dict(Arc<Inner>);

#[derive(Default)]
struct Inner(Mutex<Fields>);

impl Drop for Inner {
    /// Takes nested maps and lists apart one by one: templates can nest maps deeper than a stack.
    fn drop(&mut self) {
        let fields = std::mem::take(self.0.get_mut().unwrap_or_else(PoisonError::into_inner));
        let mut waiting: Vec<Value> = fields.into_values().collect();
        while let Some(value) = waiting.pop() {
            match value {
                Value::Map(_, Dict(inner)) => {
                    if let Some(mut inner) = Arc::into_inner(inner) {
                        let fields = std::mem::take(inner.0.get_mut().unwrap_or_else(PoisonError::into_inner));
                        waiting.extend(fields.into_values());
                    }
                }
                Value::List(_, items) => waiting.extend(Arc::into_inner(items).unwrap_or_default()),
                _ => {}
            }
        }
    }
}

impl Dict {
    pub(crate) fn new(fields: Fields) -> Self {
        Self(Arc::new(Inner(Mutex::new(fields))))
    }

    fn fields(&self) -> MutexGuard<'_, Fields> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn len(&self) -> usize {
        self.fields().len()
    }

    pub(crate) fn get(&self, key: &str) -> Option<Value> {
        self.fields().get(key).cloned()
    }

    pub(crate) fn values(&self) -> Vec<Value> {
        self.fields().values().cloned().collect()
    }

    /// What it holds now.
    pub(crate) fn snapshot(&self) -> Vec<(String, Value)> {
        self.fields().iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    pub(crate) fn remove(&self, key: &str) {
        let removed = self.fields().remove(key);
        drop(removed);
    }

    /// Sets a key, unless the map would then hold itself.
    pub(crate) fn set(&self, key: String, value: Value) -> Result<(), String> {
        if self.is_in(&value) {
            return Err("a map cannot hold itself".to_owned());
        }
        let before = self.fields().insert(key, value);
        drop(before);
        Ok(())
    }

    /// Whether `value` is this map or holds it; also when it is too large to tell.
    fn is_in(&self, value: &Value) -> bool {
        let (mut waiting, mut seen) = (vec![value.clone()], 0_u32);
        while let Some(value) = waiting.pop() {
            seen = seen.saturating_add(1);
            match value {
                Value::Map(_, other) if Arc::ptr_eq(&self.0, &other.0) => return true,
                _ if seen > 200_000 => return true,
                Value::Map(_, other) => waiting.extend(other.values()),
                Value::List(_, items) => waiting.extend(items.iter().cloned()),
                _ => {}
            }
        }
        false
    }
}

impl PartialEq for Dict {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.snapshot() == other.snapshot()
    }
}

impl std::fmt::Debug for Dict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.fields().keys()).finish()
    }
}
