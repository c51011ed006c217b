//! What a patch is about to change, so that it can be undone, and that a change which came to nothing can be told.

use serde_json::Value;

use super::json_patch::{Part, find, index};

/// The places that were changed, in order, each with what stood there.
#[derive(Debug, Default)]
pub(super) struct Journal {
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    /// Never inside a list whose items may shift: then the list as a whole is the place.
    path: Vec<Part<'static>>,
    before: Option<Value>,
}

impl Journal {
    /// Notes what stands where an operation on `path` begins to change the object; `adding` makes what is missing on the way.
    pub(super) fn note(&mut self, object: &Value, path: &[Part<'_>], adding: bool) {
        let (depth, before) = changing(object, path, adding);
        let path = path.iter().take(depth).map(|part| Part::Owned(part.clone().into_owned()));
        self.places.push(Place { path: path.collect(), before: before.cloned() });
    }

    /// Puts everything back.
    pub(super) fn undo(self, object: &mut Value) {
        for place in self.places.into_iter().rev() {
            place.put_back(object);
        }
    }

    /// Whether the object differs from what it was.
    pub(super) fn has_changed(self, object: &mut Value) -> bool {
        let within = |outer: &Place, inner: &Place| inner.path.starts_with(&outer.path);
        let mut pairs = self
            .places
            .iter()
            .enumerate()
            .flat_map(|(at, one)| self.places.iter().skip(at + 1).map(move |later| (one, later)));
        // Places that have nothing to do with one another can be looked at one by one.
        let apart =
            self.places.len() <= COMPARED && !pairs.any(|(one, later)| within(one, later) || within(later, one));
        if apart {
            return self.places.iter().any(|place| find(object, &place.path).as_deref() != place.before.as_ref());
        }
        let mut before = object.clone();
        self.undo(&mut before);
        before != *object
    }
}

/// Places of which each is compared with each: of more, comparing the whole object is less work.
const COMPARED: usize = 64;

impl Place {
    fn put_back(self, object: &mut Value) {
        match (self.before, self.path.split_last()) {
            (Some(before), None) => *object = before,
            (before, Some((last, parents))) => {
                if let Some(Value::Object(fields)) = find(object, parents) {
                    match before {
                        Some(before) => drop(fields.insert(last.clone().into_owned(), before)),
                        None => drop(fields.shift_remove(last.as_ref())),
                    }
                }
            }
            (None, None) => {}
        }
    }
}

/// How much of the path leads to what changes, and what stands there.
fn changing<'v>(object: &'v Value, path: &[Part<'_>], adding: bool) -> (usize, Option<&'v Value>) {
    let mut value = object;
    for (depth, part) in path.iter().enumerate() {
        let is_last = depth + 1 == path.len();
        match value {
            Value::Object(fields) => match fields.get(part.as_ref()) {
                Some(below) if !is_last && !below.is_null() => value = below,
                below => return (depth + 1, below),
            },
            Value::Array(items) => match index(part, items.len(), adding).and_then(|at| items.get(at)) {
                Some(below) if !is_last => value = below,
                _ => return (depth, Some(value)),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return (depth, Some(value)),
        }
    }
    (path.len(), Some(value))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::patch::json_patch::{apply, parse};

    fn check(operations: &str, changes: Option<bool>) {
        let before = json!({"a": {"b": 1, "z": null}, "l": [{"x": 1}, {"x": 2}], "s": "t"});
        let mut after = before.clone();
        let result = apply(&mut after, &parse(operations).unwrap());
        assert_eq!(result.as_ref().ok(), changes.as_ref(), "{operations}: {result:?}");
        let same = |left: &Value, right: &Value| assert_eq!(left, right, "{operations}");
        if changes != Some(true) {
            same(&after, &before);
        } else {
            assert_ne!(after, before, "{operations}");
        }
    }

    #[test]
    fn a_patch_that_fails_leaves_nothing_behind() {
        let fails = "{op: test, path: /s, value: no}";
        for change in [
            "{op: add, path: /new/deep/-, value: 1}",
            "{op: add, path: /a/z/deep, value: 1}",
            "{op: add, path: /l/0, value: 1}",
            "{op: add, path: /l/-/y, value: 1}",
            "{op: add, path: /l/-1/y, value: 1}",
            "{op: add, path: /l/1/y, value: 1}",
            "{op: add, path: '', value: 1}",
            "{op: remove, path: /a}",
            "{op: remove, path: /l/-2}",
            "{op: replace, path: /l/1, value: 7}",
            "{op: replace, path: /l/1/x, value: 7}",
            "{op: move, from: /l/0, path: /a/b}",
            "{op: copy, from: /l, path: /l/0}",
        ] {
            check(&format!("[{change}]"), Some(true));
            check(&format!("[{change}, {fails}]"), None);
            check(&format!("[{change}, {change}, {fails}]"), None);
            check(&format!("[{{op: remove, path: /l/0}}, {change}, {fails}]"), None);
        }
    }

    #[test]
    fn changes_that_come_to_nothing_are_none() {
        for nothing in [
            "[]",
            "[{op: remove, path: /absent/x}]",
            "[{op: replace, path: /a/b, value: 1}]",
            "[{op: add, path: /a/b, value: 1}, {op: add, path: /s, value: t}]",
            "[{op: add, path: /l/-, value: 1}, {op: remove, path: /l/-1}]",
            "[{op: replace, path: /a/b, value: 2}, {op: replace, path: /a, value: {b: 1, z: null}}]",
            "[{op: move, from: /a/b, path: /c}, {op: move, from: /c, path: /a/b}]",
        ] {
            check(nothing, Some(false));
        }
    }

    #[test]
    fn many_operations_are_judged_as_few_are() {
        let many = |one: &str, last: &str| format!("[{}{last}]", format!("{one}, ").repeat(super::COMPARED + 1));
        check(&many("{op: replace, path: /a/b, value: 1}", "{op: add, path: /s, value: t}"), Some(false));
        check(&many("{op: replace, path: /a/b, value: 1}", "{op: add, path: /s, value: u}"), Some(true));
    }
}
