//! JSONPath as the webhook provider reads answers with it (<https://goessner.net/articles/JsonPath/>): `$.a.b`, `$['a']`, `$.list[0]`,
//! `$.list[1:3]`, `$.*`, `$..name`, `$[0,2]`, and filters such as `$.list[?(@.name == "x" && @.n > 3)].value`.
//!
//! A path of names and places leads to one value or is an error; a path that may find several gives a list of what it finds.

mod evaluate;
mod filter;
mod parse;

use serde_json::Value;

/// A path that is understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Path {
    steps: Vec<Step>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// A name, or a place in a list.
    Key(Key),
    /// Each of several.
    Union(Vec<Key>),
    /// A part of a list: from, to, by.
    Slice(Option<i64>, Option<i64>, Option<i64>),
    /// Everything inside.
    All,
    /// The value itself, and everything inside at any depth.
    Descend,
    /// Everything inside for which this holds.
    Filter(filter::Expression),
}

/// A name, or a place in a list, which counts from the end when it is negative.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Key {
    Name(String),
    Place(i64),
}

/// A path cannot be read, or leads nowhere. Never holds a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    /// It is no path.
    #[error("parsing error at {at}: {what}")]
    Malformed {
        /// Byte in the path.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// An object has no such name.
    #[error("unknown key {0}")]
    UnknownKey(String),
    /// A list has no such place.
    #[error("index {0} out of bounds")]
    OutOfBounds(i64),
    /// There is nothing inside of a text, number or truth value.
    #[error("unsupported value type for select, expected object or list")]
    NoContainer,
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// When it is none, or is longer than 4096 bytes.
    pub(crate) fn parse(text: &str) -> Result<Self, PathError> {
        parse::path(text).map(|steps| Self { steps })
    }

    /// What the path finds in `root`.
    ///
    /// # Errors
    /// When a name or place is not there and the path leads to one value only.
    pub(crate) fn find(&self, root: &Value) -> Result<Value, PathError> {
        evaluate::find(&self.steps, root, root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_find_one_or_many() {
        let root = json!({
            "a": { "b": [10, 20, 30, 40], "x.y": 1, "it's": 2 },
            "list": [{ "n": "p", "v": 1, "t": ["q"] }, { "n": "r", "v": 2.5 }, { "v": "3" }],
            "n": null, "s": "text"
        });
        for (path, expected) in [
            ("$", root.clone()),
            ("$.a.b[1]", json!(20)),
            ("a.b[0]", json!(10)),
            ("$.a.b[-1]", json!(40)),
            ("$['a']['x.y']", json!(1)),
            ("$[\"a\"][\"b\"][2]", json!(30)),
            ("$.a['it\\'s']", json!(2)),
            ("$.a.b[1:3]", json!([20, 30])),
            ("$.a.b[::-1]", json!([40, 30, 20, 10])),
            ("$.a.b[-2:]", json!([30, 40])),
            ("$.a.b[0,2]", json!([10, 30])),
            ("$.a['x.y','nope']", json!([1])),
            ("$.a.b[*]", json!([10, 20, 30, 40])),
            ("$.list.*.n", json!(["p", "r"])),
            ("$..n", json!([null, "p", "r"])),
            ("$..t[0]", json!(["q"])),
            ("$.list[?(@.n==\"r\")].v", json!([2.5])),
            ("$.list[?@.v>=1].n", json!(["p", "r"])),
            ("$.list[?(@.v < 2 || @.n == 'r')].v", json!([1, 2.5])),
            ("$.list[?(!(@.n == \"p\") && @.v != 2.5)].v", json!(["3"])),
            ("$.list[?(@.n =~ \"^[pq]$\")].v", json!([1])),
            ("$.list[?(@.n)].v", json!([1, 2.5])),
            ("$.list[?(@.v == $.a.b[0])].v", json!([])),
            ("$.n", json!(null)),
            ("$.list[?(@.nope==1)]", json!([])),
        ] {
            assert_eq!(Path::parse(path).and_then(|path| path.find(&root)), Ok(expected), "{path}");
        }
    }

    #[test]
    fn what_is_not_there_or_no_path_is_an_error() {
        let root = json!({ "a": { "b": [1] }, "s": "secret" });
        for path in [
            "$.x",
            "$.a.c",
            "$.a.b[7]",
            "$.s.t",
            "$.a.b.c",
            "$[",
            "$.",
            "$.a[?(@.b==",
            "$..",
            "$.a[1:2:0]",
            "$.a b",
            "",
        ] {
            let said = Path::parse(path).and_then(|path| path.find(&root)).unwrap_err().to_string();
            assert!(!said.contains("secret"), "{path}: {said}");
        }
        let deep = format!("$[?{}1==1{}]", "(".repeat(2_000), ")".repeat(2_000));
        assert!(Path::parse(&deep).is_err());
    }
}
